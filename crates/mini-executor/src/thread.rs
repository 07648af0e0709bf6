//! Which thread is this? A number a thread, never given twice. And has it a CPU to itself?
//!
//! `std::thread::ThreadId` is the same thing, but asking for it goes through an `Arc`. This one is asked for on every wake: the
//! answer has to cost one load.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::primitives::per_thread;

per_thread! {
    static TOKEN: Cell<u32> = const { Cell::new(0) };
}

/// This thread's number; never 0.
#[inline]
pub(crate) fn token() -> u32 {
    match TOKEN.with(Cell::get) {
        0 => assign(),
        token => token,
    }
}

#[cold]
fn assign() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    // A thread that took another one's number would touch its tasks without any synchronization: it must not run over, however often
    // threads try.
    let token = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| next.checked_add(1));
    let token = token.expect("four billion threads have been started in this process");
    TOKEN.with(|mine| mine.set(token));
    token
}

/// Whether this process has more than one CPU. With one it does not pay to look out for what another thread is about to do, or to wake a
/// thread that could only take the CPU away.
pub(crate) fn has_several_cpus() -> bool {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_token_and_shares_it_with_nobody() {
        let mine = token();
        assert_eq!(mine, token());
        let theirs: Vec<u32> = (0..4).map(|_| std::thread::spawn(token).join().unwrap()).collect();
        let mut all = theirs.clone();
        all.push(mine);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }
}
