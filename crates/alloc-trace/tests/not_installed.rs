//! Without the allocator nothing passes in silence.

use std::panic::{UnwindSafe, catch_unwind};

use alloc_trace::{is_installed, measure, process_totals};

fn refusal<R>(call: impl FnOnce() -> R + UnwindSafe) -> String {
    let Err(panic) = catch_unwind(call) else { panic!("it passed") };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into())).expect("a message")
}

#[test]
fn whoever_asks_is_told_how_to_install_it() {
    assert!(!is_installed());
    for message in [refusal(|| measure(|| ())), refusal(process_totals)] {
        assert!(message.contains("#[global_allocator]"), "{message}");
        assert!(message.contains("Tracked::new(std::alloc::System)"), "{message}");
    }
}
