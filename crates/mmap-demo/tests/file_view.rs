//! Views of files of every kind, beside what plain reading gives.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use mmap_demo::{Access, Advice, Advised, FileView, Method, Sealed, ViewError, ViewOptions};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, MemfdFlags, Mode};
use rustix::process::Uid;
use tempfile::TempDir;

const METHODS: [Method; 3] = [Method::Load, Method::Read, Method::Map];

/// Bytes of which none is zero, and neighbours differ.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251 + 1) as u8).collect()
}

fn file_of(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn cut(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn all_of(view: &FileView) -> Vec<u8> {
    let mut bytes = vec![0; view.len() as usize];
    view.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_read_of_any_window_is_what_a_slice_gives(
        length in 0_usize..70_000,
        begin in 0.0..1.0_f64,
        part in 0.0..1.0_f64,
        reads in prop::collection::vec((0_u64..80_000, 0_usize..20_000), 1..20),
    ) {
        let bytes = pattern(length);
        let (_directory, path) = file_of(&bytes);
        let start = (length as f64 * begin) as usize;
        let end = start + ((length - start) as f64 * part) as usize;
        for method in METHODS {
            let view = ViewOptions::new().method(method).window(start as u64..end as u64).open(&path).unwrap();
            let expected = &bytes[start..end];
            prop_assert_eq!(view.len(), expected.len() as u64);
            for &(offset, size) in &reads {
                let mut buffer = vec![0; size];
                let read = view.read_at(&mut buffer, offset).unwrap();
                let from = expected.len().min(offset as usize);
                let to = expected.len().min(offset as usize + size);
                prop_assert_eq!(&buffer[..read], &expected[from..to]);
            }
            prop_assert!(matches!(view.read_at(&mut [0; 8], u64::MAX), Ok(0)));
        }
    }

    #[test]
    fn windows_one_after_the_other_are_the_whole(length in 0_usize..70_000, size in 1_u64..30_000) {
        let bytes = pattern(length);
        let (_directory, path) = file_of(&bytes);
        let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
        let mut whole = Vec::new();
        for window in view.windows(NonZeroU64::new(size).unwrap()) {
            let window = window.unwrap();
            prop_assert!(window.len() <= size && window.range().start == whole.len() as u64);
            whole.extend(all_of(&window));
        }
        prop_assert_eq!(whole, bytes);
    }
}

#[test]
fn a_window_beyond_the_end_is_refused_with_both() {
    let (_directory, path) = file_of(b"12345");
    for window in [2..6, 6..6, 0..u64::MAX, Range { start: 4, end: 3 }] {
        let error = ViewOptions::new().window(window.clone()).open(&path).unwrap_err();
        assert!(matches!(&error, ViewError::Window { length: 5, range, .. } if *range == window), "{error}");
    }
    assert_eq!(all_of(&ViewOptions::new().window(2..5).open(&path).unwrap()), b"345");
}

#[test]
fn a_cut_is_an_error_for_a_map_and_for_reads_and_nothing_to_what_was_loaded() {
    for method in METHODS {
        let bytes = pattern(100_000);
        let (_directory, path) = file_of(&bytes);
        let mut view = ViewOptions::new().method(method).open(&path).unwrap();
        assert!(!view.is_cut().unwrap());
        cut(&path, 50_000);
        assert_eq!(view.is_cut().unwrap(), method != Method::Load);
        let mut buffer = [0; 100];
        let read = view.read_at(&mut buffer, 80_000);
        if method == Method::Load {
            assert_eq!((read.unwrap(), &buffer[..]), (100, &bytes[80_000..80_100]));
            continue;
        }
        let error = read.unwrap_err();
        assert!(matches!(error, ViewError::Truncated { then: 100_000, now: 50_000, .. }), "{error}");
        assert!(error.to_string().contains("had 100000 bytes and has 50000"), "{error}");
        assert_eq!(view.is_whole(), method == Method::Read);
        // A mapped view stays failed, also where the bytes still are; a call each time can tell them apart.
        assert_eq!(view.read_at(&mut buffer, 0).is_err(), method == Method::Map);
        view.refresh().unwrap();
        assert_eq!(all_of(&view), &bytes[..50_000]);
    }
}

#[test]
fn small_reads_by_value_and_in_a_glance_give_the_files_bytes_or_an_error() {
    let bytes = pattern(70_001);
    let (_directory, path) = file_of(&bytes);
    for method in METHODS {
        let view = ViewOptions::new().method(method).open(&path).unwrap();
        for offset in (0..70_001).step_by(97).chain(69_980..70_001) {
            let expected = |length: usize| bytes.get(offset..offset + length);
            let at = offset as u64;
            macro_rules! same {
                ($($length:literal)*) => {$({
                    let expected = expected($length);
                    assert_eq!(view.get::<$length>(at).ok().as_ref().map(<[u8; $length]>::as_slice), expected);
                    let glance = view.glance(|glance| glance.get::<$length>(at));
                    assert_eq!(glance.ok().as_ref().map(<[u8; $length]>::as_slice), expected);
                    let mut buffer = [0; $length];
                    let read = view.read_at(&mut buffer, at).unwrap();
                    assert_eq!(&buffer[..read], &bytes[offset..(offset + $length).min(bytes.len())]);
                })*};
            }
            same!(0 1 2 3 4 5 7 8 9 16 100);
        }
        assert!(view.get::<8>(u64::MAX).is_err() && view.glance(|glance| glance.get::<1>(70_001)).is_err());
    }
}

/// Loads are no wider than what was asked for where the next page may be gone: the byte is there, and the view stays whole.
#[test]
fn what_is_still_there_can_be_read_up_to_the_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    std::fs::write(&path, vec![7; 3 * 65_536]).unwrap();
    let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(65_536).unwrap();
    assert_eq!(view.get::<1>(65_535).unwrap(), [7]);
    assert_eq!(view.get::<2>(65_534).unwrap(), [7; 2]);
    assert_eq!(view.get::<3>(65_533).unwrap(), [7; 3]);
    assert_eq!(view.get::<7>(65_529).unwrap(), [7; 7]);
    assert_eq!(view.glance(|glance| (glance.get::<1>(65_535), glance.get::<4>(65_532))).unwrap(), ([7], [7; 4]));
    assert!(view.is_whole());
    assert!(view.get::<2>(65_535).is_err() && !view.is_whole());
}

#[test]
fn a_cut_fails_small_reads_and_a_glance_as_a_whole() {
    let (_directory, path) = file_of(&pattern(70_000));
    let mut view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
    assert!(view.get::<8>(60_000).is_ok());
    cut(&path, 8_192);
    assert!(matches!(view.get::<8>(60_000), Err(ViewError::Truncated { then: 70_000, now: 8_192, .. })));
    view.refresh().unwrap();
    assert!(view.get::<8>(0).is_ok());
    cut(&path, 0);
    let mut seen = 0;
    let glance = view.glance(|glance| seen = u64::from_le_bytes(glance.get(4_096)) + u64::from(glance.get::<1>(9)[0]));
    assert!(matches!(glance, Err(ViewError::Truncated { then: 8_192, now: 0, .. })), "{glance:?}");
    assert_eq!(seen, 0, "zeros, in place of what is gone");
    assert!(view.glance(|_| ()).is_err(), "it stays failed until it is looked at afresh");
}

#[test]
fn a_file_that_was_cut_and_has_grown_again_is_told_from_a_shorter_one() {
    let (_directory, path) = file_of(&pattern(100_000));
    let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
    cut(&path, 0);
    let mut buffer = [0; 8];
    assert!(view.read_at(&mut buffer, 70_000).is_err());
    cut(&path, 100_000);
    assert!(matches!(view.read_at(&mut buffer, 0).unwrap_err(), ViewError::Changed { .. }));
}

#[test]
fn a_cut_within_a_page_leaves_zeros_and_only_the_length_tells() {
    // As the documentation says: nothing that could be caught happens.
    let (_directory, path) = file_of(&pattern(100_000));
    let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
    cut(&path, 99_990);
    let mut buffer = [1; 10];
    assert_eq!(view.read_at(&mut buffer, 99_990).unwrap(), 10);
    assert_eq!((buffer, view.is_whole(), view.is_cut().unwrap()), ([0; 10], true, true));
}

#[test]
fn a_long_read_over_the_end_fails_and_leaves_one_mapping_when_it_is_dropped_none() {
    let (_directory, path) = file_of(&[]);
    cut(&path, 64 << 20);
    let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
    cut(&path, 1 << 20);
    let error = view.read_at(&mut vec![0; 64 << 20], 0).unwrap_err();
    assert!(matches!(error, ViewError::Truncated { offset, .. } if offset == 1 << 20), "{error}");
}

#[test]
fn four_threads_on_one_view_never_take_zeros_for_the_files_bytes() {
    for round in 0..200_u64 {
        let bytes = pattern(1 << 20);
        let (_directory, path) = file_of(&bytes);
        let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
        let begun = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let (view, bytes, begun) = (&view, &bytes, &begun);
                scope.spawn(move || {
                    let mut buffer = vec![0; 20_000];
                    for step in thread.. {
                        let offset = step * 7_919 % (1 << 20);
                        match view.read_at(&mut buffer, offset as u64) {
                            Ok(read) => assert_eq!(buffer[..read], bytes[offset..offset + read], "at {offset}"),
                            Err(ViewError::Truncated { .. }) => break,
                            Err(error) => panic!("{error}"),
                        }
                        begun.store(true, Ordering::Relaxed);
                    }
                });
            }
            while !begun.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            // At a page's end: a cut within a page is another matter.
            cut(&path, (round * 5 % 200) * 4096);
        });
        assert!(!view.is_whole());
    }
}

#[test]
fn the_bytes_are_those_of_the_file_and_zeros_where_it_was_cut() {
    let bytes = pattern(100_000);
    let (_directory, path) = file_of(&bytes);
    for method in METHODS {
        let view = ViewOptions::new().method(method).open(&path).unwrap();
        // SAFETY: nobody else knows the file.
        let borrowed = unsafe { view.bytes() };
        assert_eq!(borrowed.is_none(), method == Method::Read);
        assert!(borrowed.is_none_or(|borrowed| borrowed == bytes));
    }
    let view = ViewOptions::new().method(Method::Map).open(&path).unwrap();
    cut(&path, 0);
    // SAFETY: cut before it is borrowed, and not changed after.
    let sum: u32 = unsafe { view.bytes() }.unwrap().iter().map(|&byte| u32::from(byte)).sum();
    assert_eq!((sum, view.is_whole()), (0, false));
}

#[test]
fn an_empty_file_is_an_empty_view() {
    let (_directory, path) = file_of(b"");
    for options in METHODS.map(|method| ViewOptions::new().method(method)).into_iter().chain([ViewOptions::new()]) {
        let view = options.open(&path).unwrap();
        assert!(view.is_empty() && matches!(view.read_at(&mut [0; 9], 0), Ok(0)));
        assert_eq!(view.windows(NonZeroU64::MIN).count(), 0);
    }
}

#[test]
fn what_is_appended_shows_after_a_refresh_and_not_before() {
    for method in METHODS {
        let (_directory, path) = file_of(&pattern(20_000));
        let mut view = ViewOptions::new().method(method).open(&path).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(&vec![9; 50_000]).unwrap();
        assert!(matches!(view.read_at(&mut [0; 4], 20_000), Ok(0)));
        view.refresh().unwrap();
        assert_eq!((view.len(), all_of(&view)[69_999]), (70_000, 9));
    }
}

#[test]
fn directories_pipes_sockets_and_devices_are_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let kind = |path: &Path| match FileView::open(path).unwrap_err() {
        ViewError::NotAFile { kind, .. } => kind,
        error => panic!("{error}"),
    };
    assert_eq!(kind(directory.path()), "a directory");
    assert_eq!(kind(Path::new("/dev/zero")), "a device without fixed places");
    assert_eq!(kind(Path::new("/dev/null")), "a device without fixed places");
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // Nobody writes to it: to open it the usual way would wait for ever.
    assert_eq!(kind(&pipe), "a pipe");
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(FileView::open(&socket), Err(ViewError::Open { .. })));
    let error = FileView::open(directory.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none can't be opened: No such file"), "{error}");
}

#[test]
fn a_disk_can_be_read_where_there_is_one() {
    let disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut disks = disks.map(|disk| Path::new("/dev").join(disk.file_name()));
    let Some(view) = disks.find_map(|disk| FileView::open(disk).ok().filter(|view| view.len() > 1 << 20)) else {
        eprintln!("SKIPPED: no disk that may be read");
        return;
    };
    assert_eq!(view.choice().method, Method::Read);
    assert_eq!(view.read_at(&mut [0; 512], view.len() - 512).unwrap(), 512);
}

#[test]
fn files_made_when_they_are_read_are_loaded() {
    let view = FileView::open("/proc/self/limits").unwrap();
    assert_eq!(view.choice().method, Method::Load);
    assert_eq!(all_of(&view), std::fs::read("/proc/self/limits").unwrap());
    // Also a part of it, and one part after the other.
    let limits = all_of(&view);
    let part = ViewOptions::new().window(5..25).open("/proc/self/limits").unwrap();
    assert_eq!((all_of(&part), part.range()), (limits[5..25].to_vec(), 5..25));
    let parts = view.windows(NonZeroU64::new(100).unwrap()).map(|part| all_of(&part.unwrap()));
    assert_eq!(parts.collect::<Vec<_>>().concat(), limits);
    let beyond = ViewOptions::new().window(5..1 << 20).open("/proc/self/limits").unwrap_err();
    assert!(matches!(beyond, ViewError::Window { length, .. } if length == limits.len() as u64), "{beyond}");
    // Longer than a page, in several reads.
    assert!(FileView::open("/proc/self/smaps").unwrap().len() > 4096);
    // It says that it has a page, and has a line.
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    if let Ok(line) = std::fs::read(path) {
        assert_eq!(all_of(&FileView::open(path).unwrap()), line);
    }
}

#[test]
fn a_file_without_permission_is_an_error_that_says_so() {
    let (directory, path) = file_of(b"secret");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let error = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        FileView::open(&path).unwrap_err().to_string()
    });
    let error = error.join().unwrap();
    assert!(error.contains("Permission denied"), "{error}");
}

#[test]
fn a_sparse_file_of_6_gib_is_read_at_both_ends() {
    let (_directory, path) = file_of(b"");
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let length = 6 << 30;
    file.set_len(length).unwrap();
    file.write_all_at(b"far", (4 << 30) - 1).unwrap();
    file.write_all_at(b"end", length - 3).unwrap();
    for method in [Method::Read, Method::Map] {
        let view = ViewOptions::new().method(method).open(&path).unwrap();
        let mut three = [0; 3];
        view.read_exact_at(&mut three, (4 << 30) - 1).unwrap();
        assert_eq!(&three, b"far");
        view.read_exact_at(&mut three, length - 3).unwrap();
        assert_eq!(&three, b"end");
        assert!(view.read_exact_at(&mut three, length - 2).is_err());
    }
    // Less address space than it has: reads, or windows.
    let view = ViewOptions::new().address_space(1 << 30).open(&path).unwrap();
    assert_eq!(view.choice().method, Method::Read);
    assert!(view.choice().to_string().contains("address space"), "{}", view.choice());
    let windows: Vec<FileView> = view.windows(NonZeroU64::new(1 << 30).unwrap()).map(Result::unwrap).collect();
    assert_eq!(windows.len(), 6);
    let mut three = [0; 3];
    windows[5].read_exact_at(&mut three, (1 << 30) - 3).unwrap();
    assert_eq!((windows[5].choice().method, &three), (Method::Map, b"end"));
    // What no memory holds is not loaded.
    file.set_len(1 << 43).unwrap();
    assert!(matches!(ViewOptions::new().method(Method::Load).open(&path), Err(ViewError::Read { .. })));
}

#[test]
fn a_read_only_file_system_is_no_hindrance() {
    let script = "mount -t tmpfs none \"$0\" && head -c 100000 /dev/zero | tr '\\0' x > \"$0/file\" && mount -o remount,ro none \"$0\" \
                  && exec \"$1\" --exact in_a_read_only_file_system --ignored --nocapture";
    let directory = TempDir::new().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .args([directory.path(), &std::env::current_exe().unwrap()])
        .env("READ_ONLY", directory.path().join("file"))
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match text {
        Ok(text) if text.contains("seen it") => assert!(text.contains("1 passed"), "{text}"),
        Ok(text) if text.contains("running 1 test") => panic!("{text}"),
        _ => eprintln!("SKIPPED: no file system can be mounted here"),
    }
}

#[test]
#[ignore = "run by the one above, in a namespace of its own"]
fn in_a_read_only_file_system() {
    let Some(path) = std::env::var_os("READ_ONLY") else { return };
    #[allow(clippy::print_stdout, reason = "it tells the other one how far it came")]
    {
        println!("seen it");
    }
    assert!(File::options().write(true).open(&path).is_err());
    let view = FileView::open(&path).unwrap();
    assert_eq!((view.choice().method, all_of(&view)), (Method::Map, vec![b'x'; 100_000]));
}

#[test]
fn memory_files_can_be_viewed_and_cut_too() {
    let file = File::from(rustix::fs::memfd_create("plain", MemfdFlags::CLOEXEC).unwrap());
    file.write_all_at(&pattern(100_000), 0).unwrap();
    let view = ViewOptions::new().of(file.try_clone().unwrap()).unwrap();
    assert_eq!((view.choice().method, all_of(&view)), (Method::Map, pattern(100_000)));
    file.set_len(4096).unwrap();
    assert!(matches!(view.read_at(&mut [0; 9], 5_000).unwrap_err(), ViewError::Truncated { now: 4096, .. }));
    assert!(Sealed::of(file).is_err(), "it could be changed");
}

#[test]
fn sealed_bytes_can_be_neither_changed_nor_cut() {
    let bytes = pattern(100_000);
    let sealed = Sealed::new(&bytes[..]).unwrap();
    assert_eq!(*sealed, bytes[..]);
    assert!(sealed.as_file().set_len(5).is_err() && sealed.as_file().set_len(200_000).is_err());
    assert!(sealed.as_file().write_all_at(b"no", 0).is_err());
    assert!(Sealed::new(&b""[..]).unwrap().is_empty());
}

#[test]
fn advice_reaches_the_kernel_or_says_why_not() {
    let (_directory, path) = file_of(&pattern(1 << 20));
    let all = [
        Advice::Normal,
        Advice::Sequential,
        Advice::Random,
        Advice::WillNeed,
        Advice::Populate,
        Advice::DontNeed,
        Advice::Cold,
        Advice::HugePage,
    ];
    let view = |method| ViewOptions::new().method(method).open(&path).unwrap();
    let map = view(Method::Map);
    for advice in all {
        // Any range will do, also one that begins in the middle of a page and ends beyond the end.
        let told = map.advise(advice, 5_000..u64::MAX);
        if advice == Advice::HugePage && !Path::new("/sys/kernel/mm/transparent_hugepage").is_dir() {
            assert!(told.is_err(), "a kernel without huge pages");
        } else {
            assert_eq!(told.unwrap(), Advised::Told, "{advice:?}");
        }
        assert_eq!(all_of(&map), pattern(1 << 20), "{advice:?} changes nothing");
    }
    assert!(matches!(map.advise(Advice::Random, 7..7), Ok(Advised::NothingToTell(_))));
    assert!(matches!(view(Method::Load).advise(Advice::Random, 0..9), Ok(Advised::NothingToTell(_))));
    assert_eq!(view(Method::Read).advise(Advice::Random, 0..9).unwrap(), Advised::Told);
    assert!(matches!(view(Method::Read).advise(Advice::Cold, 0..9), Ok(Advised::NothingToTell(_))));
    // To populate what is gone is an error, and no signal.
    cut(&path, 0);
    assert!(map.advise(Advice::Populate, 0..4096).is_err());
}

#[test]
fn a_small_file_that_is_read_once_is_read_where_it_is_wanted() {
    let once = |path: &Path| ViewOptions::new().access(Access::Once).open(path);
    let (directory, path) = file_of(&pattern(4096));
    let view = once(&path).unwrap();
    assert_eq!((view.choice().method, all_of(&view)), (Method::Read, pattern(4096)));
    // Nothing of it was kept: what is cut is missed.
    cut(&path, 1_000);
    let mut buffer = [0; 4096];
    let error = view.read_at(&mut buffer, 0).unwrap_err();
    assert!(matches!(error, ViewError::Truncated { offset: 1_000, then: 4_096, now: 1_000, .. }), "{error}");
    assert_eq!(view.len(), 4096);
    // A folder that looks like a small file is found out by the first read.
    let error = once(directory.path()).and_then(|view| view.read_at(&mut buffer, 0)).unwrap_err();
    assert!(matches!(error, ViewError::NotAFile { kind: "a directory", .. }), "{error}");
    for path in ["/proc/self/limits", "/dev/null"] {
        assert_eq!(once(Path::new(path)).is_ok(), path == "/proc/self/limits");
    }
}

#[test]
fn a_file_that_promises_a_page_and_has_a_line_ends_where_it_ends() {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let Ok(line) = std::fs::read(path) else {
        eprintln!("SKIPPED: no such file in /sys");
        return;
    };
    let options = ViewOptions::new().access(Access::Once);
    for options in [options.clone(), options.method(Method::Read), ViewOptions::new().method(Method::Read)] {
        let view = options.open(path).unwrap();
        assert_eq!(view.len(), 4096, "what it says");
        let (mut read, mut buffer) = (Vec::new(), [0; 9]);
        while (read.len() as u64) < view.len() {
            let more = view.read_at(&mut buffer, read.len() as u64).unwrap();
            read.extend_from_slice(&buffer[..more]);
        }
        assert_eq!((read.as_slice(), view.range()), (line.as_slice(), 0..line.len() as u64));
        assert!(view.read_exact_at(&mut buffer, line.len() as u64).is_err());
    }
}

#[test]
fn the_choice_says_what_was_measured() {
    let (_directory, path) = file_of(&pattern(1 << 20));
    let view = ViewOptions::new().access(Access::Once).open(&path).unwrap();
    assert_eq!(view.choice().method, Method::Read);
    assert!(view.choice().to_string().contains("read once"), "{}", view.choice());
    assert_eq!(FileView::open(&path).unwrap().choice().method, Method::Map);
    assert_eq!(all_of(&view), pattern(1 << 20));
}
