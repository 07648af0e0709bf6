//! Pages to read beside the code. There is nothing here to call.
//!
//! | page | what it answers |
//! |---|---|
//! | [`semantics`] | what holds, sentence by sentence; what PEP 567 promises and where it is here |
//! | [`patterns`] | a web service, pools, parallel iterators, transactions, spans; how to find spawns that forget the context |
//! | [`performance`] | what each operation costs beside others', how to measure it, why it is built this way |

pub mod semantics {
    #![doc = include_str!("docs/semantics.md")]
}

pub mod patterns {
    #![doc = include_str!("docs/patterns.md")]
}

pub mod performance {
    #![doc = include_str!("docs/performance.md")]
}
