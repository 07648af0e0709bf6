//! A hundred thousand cuts under readers, in a file of its own: what is left afterwards is counted.

use std::os::unix::fs::FileExt;

use mmap_demo::{Method, ViewError, ViewOptions};

const THREADS: u64 = 2;
const CUTS: u64 = 100_000;

fn lines(file: &str) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn cut_and_read(cuts: u64) {
    let file = tempfile::tempfile().unwrap();
    let bytes = vec![7; 40_000];
    file.write_all_at(&bytes, 0).unwrap();
    let mut view = ViewOptions::new().method(Method::Map).of(file.try_clone().unwrap()).unwrap();
    let mut buffer = vec![0; 40_000];
    for cut in 0..cuts {
        file.set_len(0).unwrap();
        let length = [1, 4096, 40_000][cut as usize % 3];
        let error = view.read_at(&mut buffer[..length], cut * 97 % (40_001 - length as u64)).unwrap_err();
        assert!(matches!(error, ViewError::Truncated { then: 40_000, now: 0, .. }), "{error}");
        file.write_all_at(&bytes, 0).unwrap();
        view.refresh().unwrap();
        view.read_exact_at(&mut buffer[..8], 39_992).unwrap();
        assert_eq!(buffer[..8], [7; 8]);
    }
}

#[test]
fn a_hundred_thousand_cuts_under_two_threads_are_all_errors_and_leave_nothing_behind() {
    // Whatever is made once is made now: allocations of threads, the handler.
    let run = |cuts: u64| {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(move || cut_and_read(cuts / THREADS));
            }
        });
    };
    run(100);
    let before = (lines("/proc/self/maps"), descriptors());
    run(CUTS);
    let after = (lines("/proc/self/maps"), descriptors());
    // malloc's arenas and the stacks of threads come and go; of a leak of one mapping in a thousand cuts there would be a hundred.
    assert!(after.0 < before.0 + 64, "{} mappings before and {} after", before.0, after.0);
    assert_eq!(after.1, before.1, "descriptors");
}
