//! Stacks that are switched by hand, in the middle of everything: contexts are mixed up, and nothing is used that is gone. Run it under
//! the address sanitizer, too: `.ci/deep` does.

use std::cell::RefCell;
use std::sync::Arc;

use corosensei::{Coroutine, Yielder};
use ctxvar::{Context, ContextVar};

static NAME: ContextVar<String> = ContextVar::new("name");
static OTHER: ContextVar<String> = ContextVar::new("other");

fn text(number: u32) -> String {
    format!("a text that is long enough to be allocated: {number}")
}

/// Enters a context of its own, looks at a value there, and is suspended.
fn looks() -> Coroutine<(), (), ()> {
    Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
        Context::new().run(|| {
            NAME.set(text(1));
            NAME.with(|name| {
                yielder.suspend(());
                assert_eq!(name, Some(&text(1)));
            });
        });
    })
}

#[test]
fn a_context_that_is_dropped_while_a_suspended_stack_looks_into_it() {
    let mut looks = looks();
    let mut context = Context::new();
    // It ends with the other's values, for the other has not left yet.
    context.run(|| looks.resume(()));
    drop(context);
    looks.resume(());
}

#[test]
fn a_context_that_is_changed_in_another_thread_meanwhile() {
    let mut looks = looks();
    let mut context = Context::new();
    context.run(|| looks.resume(()));
    let elsewhere = std::thread::spawn(move || {
        context.run(|| drop(NAME.set(text(2))));
        context
    });
    drop(elsewhere.join().unwrap());
    looks.resume(());
}

#[test]
fn stacks_that_end_in_the_order_in_which_they_began() {
    let enters = || {
        Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
            Context::new().run(|| {
                OTHER.set(text(3));
                yielder.suspend(());
            });
        })
    };
    let (mut first, mut second) = (enters(), enters());
    Context::new().run(|| {
        NAME.set(text(1));
        NAME.with(|name| {
            first.resume(());
            second.resume(());
            drop(first);
            drop(second);
            assert_eq!(name, Some(&text(1)));
        });
    });
}

#[test]
fn a_stack_that_outlives_the_thread_s_context() {
    thread_local! {
        static STACK: RefCell<Option<Coroutine<(), (), ()>>> = const { RefCell::new(None) };
    }

    struct Looks<'a>(&'a String);

    impl Drop for Looks<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0, &text(1));
        }
    }

    std::thread::spawn(|| {
        // Registered first, and so destroyed last.
        STACK.with(|_| ());
        NAME.set(text(1));
        let mut stack = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
            NAME.with(|name| {
                let _looks = Looks(name.unwrap());
                yielder.suspend(());
            });
        });
        stack.resume(());
        STACK.set(Some(stack));
    })
    .join()
    .unwrap();
}

#[test]
fn a_destructor_that_is_suspended_holds_nobody_else_up() {
    thread_local! {
        static YIELDER: RefCell<Option<*const Yielder<(), ()>>> = const { RefCell::new(None) };
    }

    struct Suspends;

    impl Drop for Suspends {
        #[allow(unsafe_code, reason = "a destructor has no other way to its stack's yielder")]
        fn drop(&mut self) {
            let yielder = YIELDER.with_borrow(|yielder| yielder.unwrap());
            // SAFETY: it is that of the stack on which this runs.
            unsafe { (*yielder).suspend(()) };
        }
    }

    static SUSPENDS: ContextVar<Suspends> = ContextVar::new("suspends");
    static HELD: ContextVar<Arc<()>> = ContextVar::new("held");

    let mut stack = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
        YIELDER.set(Some(yielder));
        drop(Context::new().with(&SUSPENDS, Suspends));
    });
    stack.resume(());
    let alive = Arc::new(());
    drop(Context::new().with(&HELD, Arc::clone(&alive)));
    assert_eq!(Arc::strong_count(&alive), 1);
    stack.resume(());
}
