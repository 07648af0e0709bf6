//! How it works inside: pages to read beside the code. There is nothing here to call.
//!
//! | page | what it answers |
//! |---|---|
//! | [`how_it_works`] | what happens between `spawn` and a result; the files in the order to read them |
//! | [`task_states`] | what the bits in a task's header mean, and who may change them |
//! | [`stealing_and_parking`] | where a task waits when several threads could run it, who comes for it, who sleeps and who is woken |
//! | [`timers`] | how a thread sleeps until exactly then, and why a timer may ask not to be exact |
//! | [`hangs`] | why a program stands still: what tells it, and what nobody can tell |
//! | [`deterministic`](crate::deterministic) | how a race that was found is found again: seeds, virtual time, what they decide and what not |
//! | [`left_out`] | what this crate does not do, and what to do instead |
//!
//! **Numbers** without another source are medians of one 2-core virtual machine, taken from other runtimes before this crate was written
//! (tokio 1.54, async-executor 1.14, async-io 2.6, monoio 0.2, glommio 0.9). They say why something is as it is; they are not
//! this crate's results. Those come from your own machine: `cargo xtask compare-runtimes`, and on each page the part of
//! it that belongs there.

pub mod how_it_works {
    #![doc = include_str!("docs/how_it_works.md")]
}

pub mod task_states {
    #![doc = include_str!("docs/task_states.md")]
}

pub mod stealing_and_parking {
    #![doc = include_str!("docs/stealing_and_parking.md")]
}

pub mod timers {
    #![doc = include_str!("docs/timers.md")]
}

pub mod hangs {
    #![doc = include_str!("docs/hangs.md")]
}

pub mod left_out {
    #![doc = include_str!("docs/left_out.md")]
}
