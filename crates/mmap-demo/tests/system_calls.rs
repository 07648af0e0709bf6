//! What a small file costs in system calls: as many as plain reading makes, and none more.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use mmap_demo::{Access, ViewOptions};

const WAYS: [&str; 2] = ["pread", "view"];

/// What `strace` counts while one way reads so many files; `None` where there is no `strace`, or it may not trace.
fn calls(way: &str, files: usize, directory: &Path) -> Option<usize> {
    let log = directory.join(format!("{way}-{files}"));
    let output = Command::new("strace")
        .args(["-f", "-e", "trace=%desc,%file", "-o"])
        .args([log.as_os_str(), std::env::current_exe().unwrap().as_os_str()])
        .args(["--exact", "reads_small_files", "--ignored"])
        .env("READ", format!("{way} {files}"))
        .env("FILES", directory)
        .output();
    match output {
        Ok(output) if output.status.success() => Some(std::fs::read_to_string(log).unwrap().lines().count()),
        refused => {
            let required =
                std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split_whitespace().any(|one| one == "strace"));
            assert!(!required, "strace can't be used, and LAB_REQUIRE wants it: {refused:?}");
            eprintln!("SKIPPED: no strace");
            None
        }
    }
}

#[test]
fn a_small_file_read_once_takes_no_more_calls_than_plain_reading() {
    let directory = tempfile::tempdir().unwrap();
    for index in 0..110 {
        std::fs::write(directory.path().join(index.to_string()), [7; 4096]).unwrap();
    }
    let of = |way| {
        let (few, many) = (calls(way, 10, directory.path())?, calls(way, 110, directory.path())?);
        // What the program does besides is in both.
        Some(many - few)
    };
    let [Some(plain), Some(view)] = WAYS.map(of) else { return };
    assert!(plain >= 400, "open, read, read the end, close: {plain} for 100 files");
    assert!(view <= plain, "{view} calls for 100 files, where plain reading takes {plain}");
}

#[test]
#[ignore = "run by the one above, under strace"]
fn reads_small_files() {
    let (Ok(read), Some(directory)) = (std::env::var("READ"), std::env::var_os("FILES")) else { return };
    let (way, files) = read.split_once(' ').unwrap();
    let mut buffer = vec![0; 64 << 10];
    for index in 0..files.parse().unwrap() {
        let path = Path::new(&directory).join(u32::to_string(&index));
        let mut at = 0;
        if way == "view" {
            let view = ViewOptions::new().access(Access::Once).open(path).unwrap();
            while at < view.len() {
                at += view.read_at(&mut buffer, at).unwrap() as u64;
            }
        } else {
            let file = File::open(path).unwrap();
            // Until there is no more: a short read alone may be half of an error.
            loop {
                match file.read_at(&mut buffer, at).unwrap() {
                    0 => break,
                    read => at += read as u64,
                }
            }
        }
        assert_eq!((at, buffer[4095]), (4096, 7));
    }
}
