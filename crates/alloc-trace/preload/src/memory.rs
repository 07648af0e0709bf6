//! What the process has of the system's memory, now and then: addresses, what is resident, its share of what it has with others, page faults.
//!
//! A thread looks when it writes the time anyway, or has asked the system for memory: every 5 ms at most, and more seldom in long traces. The share
//! costs the kernel a walk through all pages: it is read as seldom as keeps that below a half percent of the time.
//!
//! A program that has forbidden itself system calls (seccomp) is not looked at: it might be killed for it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::live;
use crate::system::{self, File};

/// Nanoseconds from one look to the next, and which part of the trace so far.
const INTERVAL: u64 = 5_000_000;
const PART: u64 = 2000;
/// How much longer than a look at the share lasted it is to the next.
const SHARE: u64 = 200;
/// Bytes of what the kernel tells.
const BUFFER: usize = 2048;

/// All zeros is one that looks at once.
#[repr(C)]
pub(crate) struct Memory {
    /// When the next look is due, and the next at the share: nanoseconds from the trace's start.
    due: AtomicU64,
    share_due: AtomicU64,
}

impl Memory {
    /// The words of a [`MEMORY`](crate::format::MEMORY) record, if a look is due.
    #[inline]
    pub(crate) fn look(&self, now: u64, buffer: &mut [u8]) -> Option<[u64; 6]> {
        let due = self.due.load(Relaxed);
        if now < due || self.due.compare_exchange(due, now + INTERVAL.max(now / PART), Relaxed, Relaxed).is_err() {
            return None;
        }
        self.read(now, buffer.get_mut(..BUFFER)?)
    }

    #[cold]
    #[inline(never)]
    fn read(&self, now: u64, buffer: &mut [u8]) -> Option<[u64; 6]> {
        if system::is_filtered() {
            return None;
        }
        // statm: pages mapped, resident, and more (proc_pid_statm(5)).
        let (mapped, resident) = {
            let mut pages = numbers(whole(c"/proc/self/statm", buffer)?);
            // Without the addresses that are ours, which would hide the program's.
            ((pages.next()? * 4096).saturating_sub(live::ADDRESSES as u64), pages.next()? * 4096)
        };
        let [minor, major] = system::faults()?;
        let mut share = 0;
        if now >= self.share_due.load(Relaxed) {
            let begin = system::clock(libc::CLOCK_MONOTONIC);
            // proc_pid_smaps(5): a line `Pss:  1234 kB`.
            let text = whole(c"/proc/self/smaps_rollup", buffer).unwrap_or_default();
            let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Pss:"));
            let kibibytes = line.and_then(|line| numbers(line).next());
            share = kibibytes.map_or(0, |number| number * 1024 + 1);
            let lasted = system::clock(libc::CLOCK_MONOTONIC).saturating_sub(begin);
            self.share_due.store(kibibytes.map_or(u64::MAX, |_| now + lasted * SHARE), Relaxed);
        }
        Some([now, mapped, resident, share, minor, major])
    }
}

/// What a file says, as far as there is room.
fn whole<'a>(path: &core::ffi::CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = File::open(path, libc::O_RDONLY).ok()?;
    let mut filled = 0;
    loop {
        let read = file.read(&mut buffer[filled..]);
        filled += read;
        if read == 0 {
            break;
        }
    }
    file.close();
    Some(&buffer[..filled])
}

/// The numbers in a text.
fn numbers(text: &[u8]) -> impl Iterator<Item = u64> {
    text.split(|byte| !byte.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.iter().fold(0_u64, |number, digit| number.wrapping_mul(10) + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_looked_at_when_it_is_time() {
        let memory = Memory { due: AtomicU64::new(0), share_due: AtomicU64::new(0) };
        let mut buffer = [0; BUFFER];
        let [now, mapped, resident, share, minor, _] = memory.look(7, &mut buffer).unwrap();
        assert_eq!(now, 7);
        // Nobody has made the regions here, whose addresses are left out: there may be nothing left of the others.
        assert!(resident > 0 && minor > 0 && mapped % 4096 == 0, "{mapped} {resident} {minor}");
        assert!(share > 1 && share - 1 <= resident + (1 << 20), "{share} {resident}");
        assert_eq!(memory.look(7 + INTERVAL - 1, &mut buffer), None);
        // The second look comes before the share is due again, if the first has lasted longer than a fortieth of a millisecond.
        memory.share_due.store(u64::MAX, Relaxed);
        assert!(memory.look(7 + INTERVAL, &mut buffer).is_some_and(|words| words[3] == 0));
        // After 20 s it is every 10 ms.
        assert!(memory.look(20_000_000_000, &mut buffer).is_some());
        assert_eq!(memory.look(20_009_000_000, &mut buffer), None);
        assert!(memory.look(20_010_000_000, &mut buffer).is_some());
        assert_eq!(memory.look(u64::MAX / 2, &mut []), None);
    }

    #[test]
    fn numbers_are_found_among_other_things() {
        assert_eq!(numbers(b"12 345\tkB, 6").collect::<Vec<_>>(), [12, 345, 6]);
        assert_eq!(numbers(b"none").count(), 0);
    }
}
