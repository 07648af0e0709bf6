//! Views of files beside plain reading and raw maps, by paired rounds: each bar with its verdict. And what snapshots cost.
//!
//!     cargo bench --package benches --bench mmap_demo             all of it, about three minutes; nothing else should run meanwhile
//!     cargo bench --package benches --bench mmap_demo -- random   only what has that in its name
//!
//! All files are warm: in the page cache. It takes 1 GiB of disk where temporary files are, and as much memory.
#![allow(clippy::print_stdout, reason = "it prints its result")]

mod table;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use mmap_demo::{Access, Detail, FileView, MemorySnapshot, Method, Process, ViewOptions};
use table::Table;
use tempfile::TempDir;

/// What everybody reads in.
const PIECE: usize = 64 << 10;
/// So many places are read in a glance.
const GLANCE: usize = 16;
/// A view is as fast as the better of its peers, but for so much.
const AS_FAST: f64 = 1.0 / 0.97;

fn file(directory: &TempDir, name: &str, length: usize) -> PathBuf {
    let path = directory.path().join(name);
    let bytes: Vec<u8> = (0..length.min(1 << 20)).map(|index| index as u8).collect();
    let file = File::create(&path).expect("a temporary file");
    for at in (0..length).step_by(bytes.len().max(1)) {
        file.write_all_at(&bytes, at as u64).expect("room for it");
    }
    path
}

/// The raw map that a careless program would use.
fn raw(path: &Path) -> Mmap {
    let file = File::open(path).expect("it was just made");
    #[allow(unsafe_code, reason = "the peer")]
    // SAFETY: nobody else knows the file.
    unsafe {
        Mmap::map(&file).expect("a mapping")
    }
}

/// All bytes of a file once, from a descriptor.
fn by_pread(file: &File, length: usize, buffer: &mut [u8]) -> usize {
    let mut at = 0;
    while at < length {
        let read = file.read_at(&mut buffer[..PIECE.min(length - at)], at as u64).expect("it is there");
        if read == 0 {
            break;
        }
        at += read;
    }
    at
}

fn by_copy(bytes: &[u8], buffer: &mut [u8]) -> usize {
    for piece in bytes.chunks(PIECE) {
        black_box(&mut buffer[..piece.len()]).copy_from_slice(piece);
    }
    bytes.len()
}

fn by_view(view: &FileView, buffer: &mut [u8]) -> usize {
    let mut at = 0;
    while at < view.len() {
        at += view.read_at(black_box(buffer), at).expect("it is there") as u64;
    }
    at as usize
}

fn sequential(table: &Table, directory: &TempDir) {
    for (name, length) in [("4 KiB", 4 << 10), ("1 MiB", 1 << 20), ("1 GiB", 1 << 30)] {
        let length = if table.quick { length.min(1 << 20) } else { length };
        let path = file(directory, "sequential", length);
        let (plain, raw, view) =
            (File::open(&path).expect("a file"), raw(&path), FileView::open(&path).expect("a view"));
        let mut buffers = [vec![0; PIECE], vec![0; PIECE], vec![0; PIECE]];
        let [first, second, third] = &mut buffers;
        let comparison = table
            .compare("sequential")
            .contender("pread", || by_pread(&plain, length, first))
            .contender("raw", || by_copy(&raw, second))
            .contender("view", || by_view(&view, third))
            .run()
            .expect("three contenders");
        for contender in ["pread", "raw", "view"] {
            Table::just(&format!("{name}, all of it in pieces of 64 KiB: {contender}"), &comparison, contender);
        }
        let method = view.choice().method;
        let what = format!("{name}: read_at ({method:?}) beside the better of both");
        table.beside_better(&what, AS_FAST, &comparison, "view", ["pread", "raw"]);
    }
}

fn small(table: &Table, directory: &TempDir) {
    const FILES: usize = 10_000;
    let files = if table.quick { 100 } else { FILES };
    let paths: Vec<PathBuf> = (0..files).map(|index| file(directory, &format!("small-{index}"), 4096)).collect();
    let mut buffers = [vec![0; PIECE], vec![0; PIECE], vec![0; PIECE]];
    let [first, second, third] = &mut buffers;
    let mut next = [0; 3];
    let [a, b, c] = &mut next;
    let one = |next: &mut usize| {
        *next = (*next + 1) % paths.len();
        &paths[*next]
    };
    let options = ViewOptions::new().access(Access::Once).files(files);
    let comparison = table
        .compare("small")
        .contender("pread", || {
            // Until there is no more: that takes a second call, and no question for the length.
            let file = File::open(one(a)).expect("a file");
            by_pread(&file, usize::MAX, first)
        })
        .contender("raw", || by_copy(&self::raw(one(b)), second))
        .contender("view", || by_view(&options.open(one(c)).expect("a view"), third))
        .run()
        .expect("three contenders");
    for contender in ["pread", "raw", "view"] {
        Table::just(&format!("{files} files of 4 KiB, one opened, read, closed: {contender}"), &comparison, contender);
    }
    let what = format!("{files} files of 4 KiB: open and read_at beside the better of both");
    table.beside_better(&what, AS_FAST, &comparison, "view", ["pread", "raw"]);
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(0, |sum, word| sum ^ u64::from_le_bytes(word.try_into().expect("8 bytes")))
}

fn borrowed(table: &Table, directory: &TempDir) {
    let path = file(directory, "borrowed", 16 << 20);
    let (raw, view) = (raw(&path), FileView::open(&path).expect("a view"));
    let comparison = table
        .compare("bytes")
        .contender("raw", || sum(black_box(&raw)))
        .contender("view", || {
            #[allow(unsafe_code, reason = "what is measured")]
            // SAFETY: nobody else knows the file.
            let bytes = unsafe { view.bytes() };
            sum(black_box(bytes.expect("it is mapped")))
        })
        .run()
        .expect("two contenders");
    table.bar("bytes() of 16 MiB, summed, beside a raw map", "times", AS_FAST, &comparison, &["view", "raw"], |f| {
        f[0] / f[1]
    });
}

fn random(table: &Table, directory: &TempDir) {
    let length: usize = if table.quick { 1 << 20 } else { 256 << 20 };
    let path = file(directory, "random", length);
    let (plain, raw) = (File::open(&path).expect("a file"), raw(&path));
    let view = ViewOptions::new().method(Method::Map).open(&path).expect("a view");
    // So that no first touch is in the figures.
    black_box(sum(&raw));
    by_view(&view, &mut vec![0; PIECE]);
    let places = || {
        let mut state = 1_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % (length / 8) * 8
        }
    };
    let (mut a, mut b, mut c, mut d) = (places(), places(), places(), places());
    let comparison = table
        .compare("random")
        .contender("raw", || {
            let at = a();
            u64::from_le_bytes(raw[at..at + 8].try_into().expect("8 bytes"))
        })
        .contender("view", || {
            let mut word = [0; 8];
            view.read_at(&mut word, b() as u64).expect("it is there");
            u64::from_le_bytes(word)
        })
        .contender("get", || u64::from_le_bytes(view.get(d() as u64).expect("it is there")))
        .contender("pread", || {
            let mut word = [0; 8];
            plain.read_exact_at(&mut word, c() as u64).expect("it is there");
            u64::from_le_bytes(word)
        })
        .run()
        .expect("three contenders");
    for contender in ["raw", "view", "get", "pread"] {
        Table::just(&format!("8 bytes anywhere in {} MiB: {contender}", length >> 20), &comparison, contender);
    }
    table.bar("8 bytes anywhere: read_at beside a raw map", "times", 1.2, &comparison, &["view", "raw"], |f| {
        f[0] / f[1]
    });
    table.bar("8 bytes anywhere: get beside a raw map", "times", 1.2, &comparison, &["get", "raw"], |f| f[0] / f[1]);
    let (mut a, mut b) = (places(), places());
    let comparison = table
        .compare("random, many")
        .contender("raw", || {
            (0..GLANCE).fold(0, |sum, _| {
                let at = a();
                sum ^ u64::from_le_bytes(raw[at..at + 8].try_into().expect("8 bytes"))
            })
        })
        .contender("glance", || {
            view.glance(|glance| (0..GLANCE).fold(0, |sum, _| sum ^ u64::from_le_bytes(glance.get(b() as u64))))
                .expect("it is there")
        })
        .run()
        .expect("two contenders");
    for contender in ["raw", "glance"] {
        Table::just(&format!("{GLANCE} times 8 bytes anywhere: {contender}"), &comparison, contender);
    }
    let what = format!("{GLANCE} times 8 bytes anywhere: one glance beside a raw map");
    table.bar(&what, "times", 1.2, &comparison, &["glance", "raw"], |f| f[0] / f[1]);
}

fn choice(table: &Table, directory: &TempDir) {
    for (name, length) in
        [("4 KiB", 4 << 10), ("16 KiB", 16 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20), ("16 MiB", 16 << 20)]
    {
        let path = file(directory, "choice", length);
        let mut buffers = [vec![0; PIECE], vec![0; PIECE], vec![0; PIECE]];
        let [first, second, third] = &mut buffers;
        let with = |method| ViewOptions::new().method(method).open(&path).expect("a view");
        let comparison = table
            .compare("choice")
            .contender("loaded", || by_view(&with(Method::Load), first))
            .contender("read", || by_view(&with(Method::Read), second))
            .contender("mapped", || by_view(&with(Method::Map), third))
            .run()
            .expect("three contenders");
        for contender in ["loaded", "read", "mapped"] {
            Table::just(&format!("{name}, opened, read once, closed: {contender}"), &comparison, contender);
        }
    }
}

fn cut(table: &Table, directory: &TempDir) {
    let path = file(directory, "cut", 64 << 10);
    let file = File::options().write(true).open(&path).expect("a file");
    let view = std::cell::RefCell::new(FileView::open(&path).expect("a view"));
    let again = |expected: bool| {
        let mut view = view.borrow_mut();
        let read = view.read_at(&mut [0; 8], 0);
        assert_eq!(read.is_ok(), expected);
        file.set_len(64 << 10).expect("it grows again");
        view.refresh().expect("the file is there");
    };
    let comparison = table
        .compare("cut")
        .contender("whole", || again(true))
        .contender("cut", || {
            file.set_len(0).expect("a cut");
            again(false);
        })
        .run()
        .expect("two contenders");
    Table::just("a read of 8 bytes and a refresh", &comparison, "whole");
    Table::just("the same with a cut before", &comparison, "cut");
}

fn snapshot(table: &Table) {
    let own = Process::own().expect("/proc");
    let take = |detail| MemorySnapshot::of(&own, detail).expect("our own");
    let comparison = table
        .compare("snapshot")
        .contender("sizes", || take(Detail::Sizes))
        .contender("kinds", || take(Detail::Kinds))
        .contender("sharing", || take(Detail::Sharing))
        .run()
        .expect("three contenders");
    table.bar("a snapshot of sizes (statm)", "ns", 50_000.0, &comparison, &["sizes"], |f| f[0]);
    Table::just("a snapshot of kinds, too (stat, status)", &comparison, "kinds");
    Table::just("a snapshot of sharing, too (smaps_rollup, maps)", &comparison, "sharing");
}

type Group = fn(&Table, &TempDir);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let table = Table { quick: arguments.iter().any(|argument| argument == "--test") };
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| name.contains(asked.as_str()));
    let directory = TempDir::new().expect("a temporary folder");
    if wanted("snapshot") {
        snapshot(&table);
    }
    let groups: [(&str, Group); 6] = [
        ("random", random),
        ("bytes", borrowed),
        ("sequential", sequential),
        ("small", small),
        ("choice", choice),
        ("cut", cut),
    ];
    for (_, group) in groups.iter().filter(|(name, _)| wanted(name)) {
        group(&table, &directory);
    }
}
