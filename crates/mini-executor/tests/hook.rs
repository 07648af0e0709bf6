//! The hook for panics that nobody hears of. It is the process's: alone here, or other tests' panics would come to it.

use std::panic::panic_any;
use std::sync::atomic::{AtomicU32, Ordering};

use mini_executor::{LocalExecutor, set_unhandled_hook};

#[test]
fn a_hook_may_replace_itself_and_have_destructors_that_report() {
    thread_local! {
        static EXECUTOR: LocalExecutor<'static> = const { LocalExecutor::new() };
    }
    fn fail(message: &'static str) {
        EXECUTOR.with(|executor| {
            executor.spawn(async move { panic_any(message) }).detach();
            executor.try_tick();
        });
    }
    struct Reports;
    impl Drop for Reports {
        fn drop(&mut self) {
            fail("from a destructor");
        }
    }
    static HEARD: AtomicU32 = AtomicU32::new(0);
    let reports = Reports;
    set_unhandled_hook(move |_| {
        let _ = &reports;
        set_unhandled_hook(|panic| {
            HEARD.fetch_add(u32::from(panic.message() == Some("from a destructor")), Ordering::Relaxed);
        });
    });
    fail("first");
    assert_eq!(HEARD.load(Ordering::Relaxed), 1);
}
