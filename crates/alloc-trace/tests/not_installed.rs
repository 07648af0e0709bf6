//! Without the allocator nothing passes in silence.

use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_trace::{Budget, Scope, count, is_installed, measure, measure_process, process_totals};

fn refusal<R>(call: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else { panic!("it passed") };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into())).expect("a message")
}

#[test]
fn whoever_asks_is_told_how_to_install_it() {
    assert!(!is_installed());
    let refusals = [
        refusal(|| measure(|| ())),
        refusal(process_totals),
        refusal(|| measure_process(|| ())),
        refusal(Scope::new),
        refusal(|| count(async {})),
        refusal(|| Budget::new().max_allocs(0).check(|| ())),
        refusal(|| Budget::new().max_allocs(0).whole_process().check(|| ())),
        refusal(|| Budget::new().max_allocs(0).wrap(async {})),
        refusal(|| alloc_trace::assert_no_alloc!(())),
    ];
    for message in refusals {
        assert!(message.contains("#[global_allocator]"), "{message}");
        assert!(message.contains("Tracked::new(std::alloc::System)"), "{message}");
    }
}
