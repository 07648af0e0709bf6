//! What holds of alloc-trace's allocator, whichever it is put around.

use alloc_trace::{Budget, measure};
use proptest::prelude::*;

#[path = "../../../../crates/alloc-trace/tests/model/mod.rs"]
mod model;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_calls_come_to_what_the_model_says(rounds in prop::collection::vec(model::calls(), 1..4)) {
        let mut blocks = model::Blocks::default();
        for calls in &rounds {
            blocks.check(calls);
        }
    }
}

#[test]
fn it_is_the_one_that_is_asked() {
    let stats = measure(|| drop(std::hint::black_box(vec![0_u8; 100])));
    assert_eq!((stats.allocations, stats.bytes, stats.frees), (1, 100, 1));
    Budget::new().max_allocs(0).check(|| ());
}
