//! What a thread can do with variables and contexts: what PEP 567 promises, and where it ends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ctxvar::{Context, ContextVar, Inherit, in_context, thread};

static NAME: ContextVar<String> = ContextVar::new("name");
static NUMBER: ContextVar<u32> = ContextVar::with_default("number", 7);

/// Each test has a context of its own, whichever thread it is given.
fn alone(test: impl FnOnce()) {
    Context::new().run(test);
}

#[test]
fn an_unset_variable_has_its_default_or_nothing() {
    alone(|| {
        assert_eq!(NUMBER.get(), 7);
        assert_eq!(NUMBER.try_get(), Some(7));
        NUMBER.with(|number| assert_eq!(number, Some(&7)));
        assert_eq!(Context::current().get(&NUMBER), None, "a default is not in a context");
        assert_eq!(NAME.try_get(), None);
        assert!(NAME.with(|name| name.is_none()));
    });
}

#[test]
fn to_get_an_unset_variable_panics_with_its_name_and_the_remedy() {
    alone(|| {
        let panic = catch_unwind(|| NAME.get()).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(
            message.contains("`name`") && message.contains("in_context") && message.contains("try_get"),
            "{message}"
        );
    });
}

#[test]
fn tokens_take_back_in_any_order() {
    alone(|| {
        let first = NUMBER.set(1);
        let second = NUMBER.set(2);
        assert_eq!((first.old(), second.old()), (None, Some(&1)));
        first.reset().unwrap();
        assert_eq!(NUMBER.get(), 7);
        second.reset().unwrap();
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn a_token_is_good_in_its_context_only_and_stays_good_there() {
    alone(|| {
        let token = NUMBER.set(1);
        let mut copy = Context::current();
        let error = copy.run(|| token.reset()).unwrap_err();
        assert_eq!(copy.get(&NUMBER), Some(&1));
        assert!(error.to_string().contains("`number`"), "{error}");
        assert!(format!("{error:?}").contains("number"));
        error.into_token().reset().unwrap();
        assert_eq!(NUMBER.get(), 7);
    });
}

#[test]
fn a_context_that_is_left_and_entered_again_is_the_same() {
    alone(|| {
        let mut context = Context::new();
        let token = context.run(|| NUMBER.set(1));
        context.run(|| token.reset()).unwrap();
        assert_eq!(context.get(&NUMBER), None);
        // Also with copies taken in between, which make it move.
        let token = context.run(|| NUMBER.set(2));
        let mut copy = context.clone();
        context.run(|| NUMBER.set(3));
        let token = copy.run(|| token.reset()).unwrap_err().into_token();
        context.run(|| token.reset()).unwrap();
        assert_eq!((context.get(&NUMBER), copy.get(&NUMBER)), (None, Some(&2)));
    });
}

#[test]
fn a_thread_has_a_context_of_its_own_that_is_empty_at_first() {
    NUMBER.set(1);
    std::thread::spawn(|| {
        assert_eq!(NUMBER.get(), 7);
        assert!(Context::current().is_empty());
        NUMBER.set(2);
    })
    .join()
    .unwrap();
    assert_eq!(NUMBER.get(), 1);
}

#[test]
fn a_snapshot_shares_until_one_changes() {
    alone(|| {
        NAME.set("ada".to_owned());
        let before = Context::current();
        assert!(before.ptr_eq(&Context::current()) && before.ptr_eq(&before.clone()));
        NAME.set("grace".to_owned());
        assert!(!before.ptr_eq(&Context::current()));
        assert_eq!(before.get(&NAME).unwrap(), "ada");
        let changed = before.with(&NUMBER, 3);
        assert_eq!((before.get(&NUMBER), changed.get(&NUMBER)), (None, Some(&3)));
    });
}

#[test]
fn a_context_lists_its_variables() {
    alone(|| {
        NAME.set("ada".to_owned());
        NUMBER.set(1);
        let context = Context::current();
        let mut seen: Vec<_> =
            context.iter().map(|(name, value)| (name, value.downcast_ref::<u32>().copied())).collect();
        seen.sort_unstable();
        assert_eq!(seen, [("name", None), ("number", Some(1))]);
        assert_eq!((context.len(), context.is_empty()), (2, false));
    });
}

#[test]
fn debug_prints_names_and_values() {
    #[derive(Debug)]
    struct Shown;
    struct Secret;
    static SHOWN: ContextVar<Shown> = ContextVar::new("shown").debug();
    static SECRET: ContextVar<Secret> = ContextVar::new("secret");
    static WAIT: ContextVar<Duration> = ContextVar::new("wait");
    static PASSWORD: ContextVar<String> = ContextVar::new("password").hidden();

    let one = |set: &dyn Fn()| {
        let mut context = Context::new();
        context.run(set);
        format!("{context:?}")
    };
    assert_eq!(one(&|| drop(NAME.set("ada".to_owned()))), r#"Context {"name": "ada"}"#);
    assert_eq!(one(&|| drop(NUMBER.set(3))), r#"Context {"number": 3}"#);
    assert_eq!(one(&|| drop(WAIT.set(Duration::from_millis(5)))), r#"Context {"wait": 5ms}"#);
    assert_eq!(one(&|| drop(PASSWORD.set("ada".to_owned()))), r#"Context {"password": <hidden>}"#);
    assert_eq!(one(&|| drop(SHOWN.set(Shown))), r#"Context {"shown": Shown}"#);
    let secret = one(&|| drop(SECRET.set(Secret)));
    assert!(secret.starts_with(r#"Context {"secret": <"#) && secret.contains("Secret"), "{secret}");
    assert_eq!(format!("{SECRET:?}"), r#"ContextVar { name: "secret", inherit: Always, .. }"#);
}

#[test]
fn a_scope_ends_when_it_panics() {
    alone(|| {
        NUMBER.set(1);
        let result = catch_unwind(|| {
            NUMBER.scope(2, || {
                assert_eq!(NUMBER.get(), 2);
                std::panic::resume_unwind(Box::new(()));
            });
        });
        assert!(result.is_err());
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn run_ends_when_it_panics_and_keeps_what_was_set() {
    alone(|| {
        let mut context = Context::new();
        let result = catch_unwind(AssertUnwindSafe(|| {
            context.run(|| {
                NUMBER.set(2);
                std::panic::resume_unwind(Box::new(()));
            });
        }));
        assert!(result.is_err());
        assert_eq!((NUMBER.get(), context.get(&NUMBER)), (7, Some(&2)));
    });
}

#[test]
fn a_guard_takes_back_where_it_was_made_and_nowhere_else() {
    alone(|| {
        {
            let _guard = NUMBER.set_guard(1);
            assert_eq!(NUMBER.get(), 1);
        }
        assert_eq!(NUMBER.get(), 7);
        let mut other = Context::new();
        let guard = other.run(|| NUMBER.set_guard(2));
        NUMBER.set(3);
        drop(guard);
        assert_eq!((NUMBER.get(), other.get(&NUMBER)), (3, Some(&2)));
    });
}

#[test]
fn what_is_looked_at_stays_whatever_is_set_meanwhile() {
    alone(|| {
        NAME.set("a name that is long enough to be allocated".to_owned());
        NAME.with(|outer| {
            drop(NAME.set("another name that is long enough".to_owned()));
            NAME.with(|inner| {
                for number in 0..100 {
                    NAME.set(number.to_string());
                    drop(Context::current());
                }
                assert_eq!(inner.unwrap(), "another name that is long enough");
            });
            assert_eq!(outer.unwrap(), "a name that is long enough to be allocated");
        });
        assert_eq!(NAME.get(), "99");
    });
}

#[test]
fn to_set_while_one_looks_costs_no_more_and_more_memory() {
    struct Counted(Arc<()>);
    static COUNTED: ContextVar<Counted> = ContextVar::new("counted");

    alone(|| {
        let alive = Arc::new(());
        NUMBER.set(1);
        NUMBER.with(|_| {
            for _ in 0..1_000 {
                COUNTED.set(Counted(Arc::clone(&alive)));
            }
            assert_eq!(Arc::strong_count(&alive), 2);
        });
        assert!(COUNTED.with(|counted| Arc::ptr_eq(&counted.unwrap().0, &alive)));
    });
}

#[test]
fn code_of_others_may_use_variables_wherever_it_is_called() {
    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }

    struct Busy;

    fn use_everything() {
        // What it does drops and clones such values, which do this again.
        if CALLS.get() == 1_000 {
            return;
        }
        CALLS.set(CALLS.get() + 1);
        BUSY.set(Busy);
        NUMBER.set(NUMBER.get() + 1);
        let snapshot = Context::current();
        NUMBER.set(NUMBER.get() + 1);
        NUMBER.scope(0, || drop(Context::capture()));
        drop(snapshot);
    }

    impl Clone for Busy {
        fn clone(&self) -> Self {
            use_everything();
            Self
        }
    }

    impl std::fmt::Debug for Busy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            use_everything();
            f.write_str("Busy")
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            use_everything();
        }
    }

    static BUSY: ContextVar<Busy> = ContextVar::new("busy").debug().inherit(Inherit::Fork(Busy::clone));

    alone(|| {
        let token = BUSY.set(Busy);
        drop(BUSY.get());
        let snapshot = Context::current();
        BUSY.set(Busy);
        assert!(format!("{:?}", Context::current()).contains("Busy"));
        drop(Context::capture());
        drop(snapshot);
        token.reset().unwrap();
        assert!(BUSY.with(|busy| busy.is_none()));
    });
    assert_eq!(CALLS.get(), 1_000);
}

#[test]
fn a_destructor_that_panics_leaves_all_in_order() {
    struct Throws(bool);
    static THROWS: ContextVar<Throws> = ContextVar::new("throws");

    impl Drop for Throws {
        fn drop(&mut self) {
            if self.0 {
                std::panic::resume_unwind(Box::new("thrown"));
            }
        }
    }

    alone(|| {
        THROWS.set(Throws(true));
        assert!(catch_unwind(|| drop(THROWS.set(Throws(false)))).is_err());
        assert!(THROWS.with(|throws| !throws.unwrap().0));
        let alive = Arc::new(());
        let holder: ContextVar<Arc<()>> = ContextVar::new("holder");
        let mut context = Context::new();
        context.run(|| {
            THROWS.set(Throws(true));
            holder.set(Arc::clone(&alive));
        });
        assert!(catch_unwind(AssertUnwindSafe(|| drop(context))).is_err());
        // And blocks can still be freed.
        let mut context = Context::new();
        context.run(|| holder.set(Arc::clone(&alive)));
        let before = Arc::strong_count(&alive);
        drop(context);
        assert_eq!(Arc::strong_count(&alive), before - 1);
    });
}

#[test]
fn a_dropped_variable_leaves_its_number_to_the_next_but_not_its_value() {
    alone(|| {
        let text: ContextVar<String> = ContextVar::new("text");
        text.set("a text that is long enough to be allocated".to_owned());
        let snapshot = Context::current();
        drop(text);
        // Of other types, until one of them has that number.
        for _ in 0..3 {
            let number: ContextVar<[u64; 3]> = ContextVar::new("number");
            assert_eq!(number.try_get(), None);
            let token = number.set([1, 2, 3]);
            assert_eq!((number.get(), token.old()), ([1, 2, 3], None));
            snapshot.clone().run(|| assert_eq!(number.try_get(), None));
            token.reset().unwrap();
            assert_eq!(number.try_get(), None);
        }
        assert_eq!(snapshot.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["text"]);
    });
}

#[test]
fn a_dropped_variable_leaves_no_policy_to_the_next() {
    alone(|| {
        let open: ContextVar<u32> = ContextVar::new("open");
        open.set(1);
        drop(open);
        // With the same number, whose slot has a value of the former.
        let secret: ContextVar<u32> = ContextVar::new("secret").inherit(Inherit::Never);
        secret.set(2);
        assert_eq!(Context::capture().get(&secret), None);
        assert_eq!(Context::current().get(&secret), Some(&2));
    });
}

#[test]
fn values_are_dropped_when_the_last_who_can_see_them_is_gone() {
    alone(|| {
        let alive = Arc::new(());
        let holder: ContextVar<Arc<()>> = ContextVar::new("holder");
        drop(holder.set(Arc::clone(&alive)));
        let snapshot = Context::current();
        drop(holder.set(Arc::new(())));
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(snapshot);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn snapshots_that_overlap_for_ever() {
    alone(|| {
        let mut latest = VecDeque::new();
        for number in 0..100_000_u32 {
            NAME.set(number.to_string());
            NUMBER.set(number);
            latest.push_back((number, Context::capture()));
            if latest.len() > 3 {
                latest.pop_front();
            }
        }
        for (number, context) in latest {
            assert_eq!((context.get(&NAME), context.get(&NUMBER)), (Some(&number.to_string()), Some(&number)));
        }
    });
}

#[test]
fn a_destructor_finds_dropped_what_it_dropped() {
    /// Waits for a thread that ends when the last sender is gone, which is in a context of its own.
    struct Worker(Option<Context>, Option<std::thread::JoinHandle<()>>);

    impl Drop for Worker {
        fn drop(&mut self) {
            drop(self.0.take());
            self.1.take().unwrap().join().unwrap();
        }
    }

    static SENDER: ContextVar<std::sync::mpsc::SyncSender<()>> = ContextVar::new("sender");
    static WORKER: ContextVar<std::sync::Mutex<Worker>> = ContextVar::new("worker");

    let (sender, receiver) = std::sync::mpsc::sync_channel(0);
    let thread = std::thread::spawn(move || assert!(receiver.recv().is_err()));
    let worker = Worker(Some(Context::new().with(&SENDER, sender)), Some(thread));
    drop(Context::new().with(&WORKER, std::sync::Mutex::new(worker)));
}

#[test]
fn a_stale_value_whose_destructor_panics_leaves_no_scope_behind() {
    struct Throws;

    impl Drop for Throws {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("thrown"));
        }
    }

    alone(|| {
        let throws: ContextVar<Throws> = ContextVar::new("throws");
        throws.set(Throws);
        drop(throws);
        // With the number of the former.
        let number: ContextVar<u32> = ContextVar::new("number");
        let result = catch_unwind(AssertUnwindSafe(|| number.scope(1, || assert_eq!(number.get(), 1))));
        assert!(result.is_err());
        assert_eq!(number.try_get(), None);
    });
}

#[test]
fn a_million_snapshots_deep_is_not_too_deep() {
    static LINK: ContextVar<Option<Context>> = ContextVar::new("link");
    let small_stack = std::thread::Builder::new().stack_size(128 * 1024);
    let deep = small_stack.spawn(|| {
        // Each a copy with one value more changed, all alive at once.
        let mut chain = vec![Context::new()];
        for number in 0..1_000_000 {
            chain.push(chain.last().unwrap().with(&NUMBER, number));
        }
        assert_eq!(chain.last().unwrap().get(&NUMBER), Some(&999_999));
        drop(chain);
        // Each the value of the next one: a list, dropped from its head.
        let mut context = Context::new();
        for number in 0..1_000_000 {
            context = Context::new().with(&NUMBER, number).with(&LINK, Some(context));
        }
        drop(context);
        // The same, held by the thread's own context.
        for number in 0..1_000_000 {
            NUMBER.set(number);
            let inside = Context::current();
            LINK.set(Some(inside));
        }
    });
    deep.unwrap().join().unwrap();
}

#[test]
fn the_thread_s_end_is_no_trouble() {
    struct Late(&'static str);

    impl Drop for Late {
        fn drop(&mut self) {
            // In whatever order the thread's variables are destroyed.
            let _ = (NAME.try_get(), NUMBER.get(), Context::capture().len());
            NUMBER.scope(1, || assert_eq!(NUMBER.get(), 1));
            NAME.scope(self.0.to_owned(), || assert_eq!(NAME.get(), self.0));
            let mut own = Context::new();
            own.run(|| drop(NAME.set(self.0.to_owned())));
            assert_eq!(own.get(&NAME).unwrap(), self.0);
        }
    }

    thread_local! {
        static EARLY: RefCell<Option<Late>> = const { RefCell::new(None) };
        static LAST: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    static VALUE: ContextVar<Late> = ContextVar::new("value");

    std::thread::spawn(|| {
        EARLY.set(Some(Late("destroyed before or after ours")));
        VALUE.set(Late("a value of the thread's"));
        NAME.set("name".to_owned());
        LAST.set(Some(Late("destroyed after or before ours")));
    })
    .join()
    .unwrap();
}

#[test]
fn closures_and_threads_take_the_context_along() {
    alone(|| {
        NAME.set("ada".to_owned());
        let job = in_context(|| {
            let name = NAME.get();
            NAME.set("changed".to_owned());
            name
        });
        NAME.set("grace".to_owned());
        assert_eq!(std::thread::spawn(job).join().unwrap(), "ada");
        assert_eq!(thread::spawn(|| NAME.get()).join().unwrap(), "grace");
        thread::scope(|scope| {
            scope.spawn(|| NAME.set("in a child".to_owned()));
            scope.spawn(move || {
                scope.spawn(|| assert_eq!(NAME.get(), "grace"));
            });
        });
        assert_eq!(NAME.get(), "grace");
    });
}

#[test]
fn a_closure_that_is_never_called_is_dropped_in_its_context() {
    struct Says(Rc<Cell<u32>>);

    impl Drop for Says {
        fn drop(&mut self) {
            self.0.set(NUMBER.get());
        }
    }

    alone(|| {
        let said = Rc::new(Cell::new(0));
        let says = Says(Rc::clone(&said));
        let job = NUMBER.scope(5, || in_context(move || drop(says)));
        assert_eq!(said.get(), 0);
        drop(job);
        assert_eq!(said.get(), 5);
    });
}

#[cfg(feature = "rayon")]
#[test]
fn rayon_s_tasks_are_children() {
    use rayon::prelude::*;

    alone(|| {
        NUMBER.set(1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        assert_eq!(ctxvar::rayon::install(&pool, || NUMBER.get()), 1);
        let sums = ctxvar::rayon::install(&pool, || {
            ctxvar::rayon::join(|| ctxvar::rayon::join(|| NUMBER.get(), || NUMBER.get()), || NUMBER.get())
        });
        assert_eq!(sums, ((1, 1), 1));
        let (sender, receiver) = std::sync::mpsc::channel();
        let from_task = sender.clone();
        ctxvar::rayon::spawn(move || from_task.send(NUMBER.get()).unwrap());
        ctxvar::rayon::scope(|scope| {
            scope.spawn(move |scope| {
                NUMBER.set(2);
                scope.spawn(move |_| sender.send(NUMBER.get()).unwrap());
            });
        });
        let mut seen: Vec<u32> = receiver.iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        let context = Context::capture();
        let all = (0..100).into_par_iter().map_init(|| context.clone(), |context, _| context.run(|| NUMBER.get()));
        assert!(all.collect::<Vec<_>>().iter().all(|number| *number == 1));
    });
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_s_ways_to_spawn_have_children() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    alone(|| {
        NUMBER.set(1);
        runtime.block_on(tokio::task::LocalSet::new().run_until(async {
            assert_eq!(ctxvar::tokio::spawn(async { NUMBER.get() }).await.unwrap(), 1);
            assert_eq!(ctxvar::tokio::spawn_local(async { NUMBER.get() }).await.unwrap(), 1);
            assert_eq!(ctxvar::tokio::spawn_blocking(|| NUMBER.get()).await.unwrap(), 1);
            let mut set = ctxvar::tokio::JoinSet::new();
            set.spawn(async { NUMBER.get() });
            set.spawn_local(async { NUMBER.get() });
            set.spawn_blocking(|| NUMBER.get());
            NUMBER.set(2);
            assert_eq!(set.len(), 3);
            assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
            assert_eq!(set.join_all().await, [1, 1]);
        }));
    });
}

#[cfg(feature = "smol")]
#[test]
fn smol_s_ways_to_spawn_have_children() {
    alone(|| {
        NUMBER.set(1);
        assert_eq!(smol::block_on(ctxvar::smol::spawn(async { NUMBER.get() })), 1);
        assert_eq!(smol::block_on(ctxvar::smol::unblock(|| NUMBER.get())), 1);
    });
}
