//! What a stranger may see. A file of its own: the thread gives up its rights, and the kernel then guards the whole process's files.

use mmap_demo::{Detail, Figure, MemorySnapshot, Process, Source};
use rustix::process::Uid;

#[test]
fn a_strangers_process_gives_a_partial_answer_that_says_why() {
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/1").unwrap());
    if !rustix::process::geteuid().is_root() && rustix::process::geteuid().as_raw() == owner {
        eprintln!("SKIPPED: process 1 is our own");
        return;
    }
    let snapshot = std::thread::spawn(|| {
        if rustix::process::geteuid().is_root() {
            let nobody = Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        MemorySnapshot::of(&Process::of(1).unwrap(), Detail::Sharing).unwrap()
    });
    let snapshot = snapshot.join().unwrap();
    assert!(snapshot.get(Figure::Virtual).unwrap() > 0);
    assert_eq!((snapshot.get(Figure::Proportional), snapshot.get(Figure::Heap)), (None, None));
    let missing: Vec<Source> = snapshot.missing().map(|(source, _)| source).collect();
    assert_eq!(missing, [Source::SmapsRollup, Source::Maps]);
    assert!(snapshot.missing().all(|(_, why)| why.contains("root's rights")), "{snapshot}");
}
