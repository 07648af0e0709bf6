//! A hundred thousand cuts under readers, in a file of its own: what is left afterwards is counted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::RwLock;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use mmap_demo::{FileView, Method, ViewError, ViewOptions};

const CUTS: u64 = 100_000;
/// So many of the cuts have to fall into the middle of a copy. The reader does nothing but copy, so that nearly all do.
const IN_THE_MIDDLE: u64 = CUTS / 2;
/// What is copied in one go: 32 pages, so that there are many to be lost, and a cut costs few faults.
const LENGTH: usize = 128 << 10;
const PAGE: usize = 4096;

fn lines(file: &str) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One of two threads, and what it says to the other one and hears from it: a message each for "I copy", "it is cut" and "it is whole again". That
/// one of them has panicked is heard, too.
struct Side {
    say: Sender<()>,
    hear: Receiver<()>,
}

impl Side {
    fn say(&self) {
        self.say.send(()).unwrap();
    }

    fn wait(&self) {
        self.hear.recv().unwrap();
    }

    /// Copies the whole file over and over until a copy fails, and tells whether that one was under way when the file was cut: its first
    /// page was still the file's, of a later one it has zeros.
    fn copy_until_cut(&self, view: &FileView, buffer: &mut [u8], bytes: &[u8]) -> bool {
        self.say();
        let mut told = false;
        loop {
            match view.read_at(buffer, 0) {
                // A page is the file's or zeros: a byte of each tells.
                Ok(read) => {
                    let whole = read == LENGTH && buffer.iter().step_by(PAGE).all(|&byte| byte == 7);
                    assert!(whole && !told, "zeros, as Ok");
                }
                Err(ViewError::Truncated { offset, then, now, .. }) => {
                    assert_eq!((then, now), (LENGTH as u64, 0));
                    // The lowest address that one of the two threads has missed; all of its page is gone.
                    let lost = offset as usize / PAGE * PAGE;
                    assert_eq!(buffer[..lost], bytes[..lost], "lost from {offset} on");
                    if !told {
                        self.wait();
                    }
                    return buffer[0] == 7 && buffer.contains(&0);
                }
                Err(error) => panic!("{error}"),
            }
            match self.hear.try_recv() {
                Ok(()) => told = true,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => panic!("the other thread has panicked"),
            }
        }
    }
}

/// Two threads, one view: in each round one of them copies, and the other one cuts the file, and then reads it, too. Tells how many cuts fell
/// into the middle of a copy.
fn cut_and_read(rounds: u64) -> u64 {
    let file = tempfile::tempfile().unwrap();
    let bytes = vec![7; LENGTH];
    file.write_all_at(&bytes, 0).unwrap();
    let options = ViewOptions::new().method(Method::Map);
    let view = RwLock::new(options.of(file.try_clone().unwrap()).unwrap());
    let (file, view, bytes): (&File, _, &[u8]) = (&file, &view, &bytes);
    let work = |parity: u64, side: Side| {
        move || {
            let (mut buffer, mut middle) = (vec![0; LENGTH], 0);
            for round in 0..rounds {
                if round % 2 == parity {
                    middle += u64::from(side.copy_until_cut(&view.read().unwrap(), &mut buffer, bytes));
                    file.write_all_at(bytes, 0).unwrap();
                    view.write().unwrap().refresh().unwrap();
                    side.say();
                } else {
                    side.wait();
                    file.set_len(0).unwrap();
                    let error = view.read().unwrap().read_at(&mut buffer[..8], round * 97 % LENGTH as u64).unwrap_err();
                    assert!(matches!(error, ViewError::Truncated { now: 0, .. }), "{error}");
                    side.say();
                    side.wait();
                }
            }
            middle
        }
    };
    let ((say, to_first), (to_second, hear)) = (channel(), channel());
    let (first, second) = (Side { say: to_second, hear: to_first }, Side { say, hear });
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work(0, first)), scope.spawn(work(1, second))];
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn a_hundred_thousand_cuts_under_two_threads_are_all_errors_and_leave_nothing_behind() {
    // Whatever is made once is made now: allocations of threads, the handler.
    cut_and_read(100);
    let before = (lines("/proc/self/maps"), descriptors());
    let middle = cut_and_read(CUTS);
    let after = (lines("/proc/self/maps"), descriptors());
    // malloc's arenas and the stacks of threads come and go; of a leak of one mapping in a thousand cuts there would be a hundred.
    assert!(after.0 < before.0 + 64, "{} mappings before and {} after", before.0, after.0);
    assert_eq!(after.1, before.1, "descriptors");
    eprintln!("{middle} of {CUTS} cuts fell into the middle of a copy");
    assert!(middle >= IN_THE_MIDDLE, "{middle} of {CUTS} cuts fell into the middle of a copy");
}
