//! The list of all tasks tells where each was spawned, where it awaits, how old it is and what it does.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use mini_executor::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use mini_executor::{
    Async, Dump, Executor, LocalExecutor, Phase, Runtime, TaskReport, block_on, group, interval, send_group,
    set_busy_times, sleep, spawn_blocking, timeout, yield_now,
};

const LONG: Duration = Duration::from_hours(1);

/// What the list says of the only task.
fn only(dump: &Dump) -> &TaskReport {
    assert_eq!(dump.tasks.len(), 1, "{dump}");
    &dump.tasks[0]
}

/// Polls a task on a thread that serves timers, and tells in which line of this file it awaits.
fn awaited_line(future: impl Future<Output = ()>) -> Option<u32> {
    let executor = LocalExecutor::new();
    executor.spawn(future).detach();
    block_on(async { assert!(executor.try_tick()) });
    let dump = executor.dump();
    let place = only(&dump).awaits;
    assert!(place.is_none_or(|place| place.file() == file!()), "{place:?}");
    place.map(Location::line)
}

/// Has a task await something in the line that this is called in, and asserts that the list says so.
macro_rules! assert_told {
    ($awaited:expr) => {
        assert_eq!(awaited_line(async { _ = $awaited.await }), Some(line!()), "{}", stringify!($awaited));
    };
}

#[test]
fn every_future_of_the_crate_tells_where_it_is_awaited() {
    assert_told!(sleep(LONG));
    assert_told!(yield_now());
    assert_told!(interval(LONG).tick());
    assert_told!(timeout(LONG, pending::<()>()));
    let (release, held) = std::sync::mpsc::channel::<()>();
    assert_told!(spawn_blocking(move || held.recv()));
    drop(release);

    let mutex = Mutex::new(());
    let guard = mutex.try_lock();
    assert_told!(mutex.lock());
    drop(guard);
    assert_told!(Semaphore::new(0).acquire());
    assert_told!(Notify::new().notified());
    let (_sender, receiver) = oneshot::channel::<()>();
    assert_told!(receiver);
    let (sender, mut receiver) = mpsc::bounded(1);
    assert_told!(receiver.recv());
    assert!(sender.try_send(()).is_ok());
    assert_told!(sender.send(()));

    let (here, _there) = UnixStream::pair().unwrap();
    let here = Async::new(here).unwrap();
    assert_told!(here.read_with(|mut stream| stream.read(&mut [0; 1])));
    let listener = Async::<std::net::TcpListener>::bind("127.0.0.1:0").unwrap();
    assert_told!(listener.accept());

    let others = LocalExecutor::new();
    assert_told!(others.spawn(async {}));
    assert_told!(others.spawn(async {}).fallible());
    assert_told!(others.spawn(async {}).cancel());
    assert_told!(others.run(pending::<()>()));
    let none = LocalExecutor::new();
    assert_told!(none.tick());
    assert_told!(Executor::new().run(pending::<()>()));
    assert_told!(Executor::new().tick());

    assert_told!(group(async |group| drop(group.spawn(pending::<()>()))));
    assert_told!(group(async |group| group.spawn(sleep(LONG)).await));
    assert_told!(send_group(async |group| drop(group.spawn(pending::<()>()))));
}

#[test]
fn what_is_awaited_within_a_combinator_is_told_rather_than_the_combinator() {
    let (line, inner) = (Cell::new(0), LocalExecutor::new());
    let awaited = awaited_line(async {
        let nested = async {
            line.set(line!() + 1);
            sleep(LONG).await;
        };
        let _ = timeout(LONG, inner.run(nested)).await;
    });
    assert_eq!(awaited, Some(line.get()));
}

#[test]
fn what_is_not_of_this_crate_is_not_known_even_after_something_that_is() {
    let awaited = awaited_line(async {
        // The first poll awaits ours, the second does not.
        yield_now().await;
        pending::<()>().await;
    });
    assert!(awaited.is_some());
    let executor = LocalExecutor::new();
    executor
        .spawn(async {
            yield_now().await;
            pending::<()>().await;
        })
        .detach();
    assert!(executor.try_tick() && executor.try_tick());
    assert_eq!(only(&executor.dump()).awaits, None);
}

#[test]
fn a_future_that_was_polled_and_given_up_is_not_what_is_awaited() {
    let line = Cell::new(0);
    let awaited = awaited_line(async {
        {
            let mut first = Box::pin(sleep(LONG));
            poll_fn(|context| {
                assert!(first.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        line.set(line!() + 1);
        yield_now().await;
    });
    assert_eq!(awaited, Some(line.get()));
}

#[test]
fn a_leaf_behind_a_box_or_without_an_await_is_not_told() {
    assert_eq!(awaited_line(sleep(LONG)), None);
    assert_eq!(awaited_line(Box::pin(sleep(LONG))), None);
    let line = line!() + 1;
    let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { sleep(LONG).await });
    assert_eq!(awaited_line(boxed), Some(line));
}

#[test]
fn names_places_polls_and_phases_are_told() {
    let executor = LocalExecutor::new();
    let spawned = line!() + 1;
    executor.spawn_named("spinner", async { while !yield_now_once().await {} }).detach();
    let dump = executor.dump();
    assert_eq!((only(&dump).polls, only(&dump).phase, only(&dump).awaits), (0, Phase::Ready, None));
    for _ in 0..5 {
        assert!(executor.try_tick());
    }
    let dump = executor.dump();
    let task = only(&dump);
    assert_eq!((task.name.as_deref(), task.spawned.line(), task.spawned.file()), (Some("spinner"), spawned, file!()));
    assert_eq!((task.polls, task.phase), (5, Phase::Ready));
    let text = dump.to_string();
    assert!(text.starts_with("1 task\n    \"spinner\", spawned at ") && text.contains(", polls: 5"), "{text}");

    let waiting = LocalExecutor::new();
    waiting.spawn(sleep(LONG)).detach();
    block_on(async { waiting.try_tick() });
    assert_eq!(only(&waiting.dump()).phase, Phase::Waiting);

    let inside = Rc::new(LocalExecutor::new());
    let own = inside.clone();
    inside.spawn(async move { assert_eq!(only(&own.dump()).phase, Phase::Running) }).detach();
    assert!(inside.try_tick() && inside.dump().tasks.is_empty());
}

async fn yield_now_once() -> bool {
    yield_now().await;
    false
}

#[test]
fn polls_of_tasks_with_names_are_timed_where_it_was_asked_for() {
    let executor = LocalExecutor::new();
    let spins = async || {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(2) {}
        std::future::pending::<()>().await;
    };
    let _tasks = [executor.spawn_named("spins", spins()), executor.spawn(spins())];
    set_busy_times(true);
    while executor.try_tick() {}
    set_busy_times(false);
    let dump = executor.dump();
    let busy = |name: Option<&str>| dump.tasks.iter().find(|task| task.name.as_deref() == name).unwrap().busy;
    assert_eq!(busy(None), None);
    assert!(busy(Some("spins")).unwrap() >= Duration::from_millis(2));
    assert!(dump.to_string().contains("polls: 1, busy for "), "{dump}");
}

#[test]
fn a_task_that_another_thread_has_woken_is_ready() {
    let executor = LocalExecutor::new();
    let (sender, receiver) = oneshot::channel();
    executor.spawn(async { receiver.await.unwrap() }).detach();
    assert!(executor.try_tick());
    assert_eq!(only(&executor.dump()).phase, Phase::Waiting);
    std::thread::spawn(move || sender.send(())).join().unwrap().unwrap();
    assert_eq!(only(&executor.dump()).phase, Phase::Ready);
}

#[test]
fn who_was_spawned_later_is_younger() {
    let executor = LocalExecutor::new();
    block_on(async {
        executor.spawn_named("old", pending::<()>()).detach();
        // The clock goes on by steps, and may lag on a busy machine; but it goes on.
        loop {
            sleep(Duration::from_millis(20)).await;
            executor.spawn(pending::<()>()).detach();
            let tasks = executor.dump().tasks;
            assert!(tasks.is_sorted_by_key(|task| task.age), "{tasks:#?}");
            assert_eq!(tasks.last().unwrap().name.as_deref(), Some("old"));
            if tasks[0].age < tasks.last().unwrap().age {
                break;
            }
        }
    });
    let youngest = || executor.dump().tasks[0].age;
    // So old that who comes now is of another time.
    while youngest() < Duration::from_millis(50) {
        std::thread::yield_now();
    }
    executor.spawn(pending::<()>()).detach();
    let tasks = executor.dump().tasks;
    assert!(tasks[0].age < tasks[1].age, "outside of block_on, too");
    while youngest() == Duration::ZERO {
        std::thread::yield_now();
    }
}

#[test]
fn tasks_of_several_threads_are_listed_from_any_thread() {
    let runtime = Runtime::new(2).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..100).map(|_| runtime.spawn(sleep(LONG))).collect();
    let spinner = is_over.clone();
    let running = runtime.spawn_named("spinner", async move {
        while !spinner.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    });
    let handle = runtime.handle();
    let dump = loop {
        let dump = handle.dump();
        let waiting = dump.tasks.iter().filter(|task| task.phase == Phase::Waiting).count();
        if waiting == 100 && dump.tasks.iter().any(|task| task.phase == Phase::Running) {
            break dump;
        }
        std::thread::yield_now();
    };
    assert_eq!(dump.tasks.len(), 101);
    let spinner = dump.tasks.iter().find(|task| task.name.is_some()).unwrap();
    assert_eq!((spinner.phase, spinner.polls), (Phase::Running, 1));
    let text = dump.to_string();
    assert!(
        text.contains("100 times a task, spawned at ") && text.contains(", waiting, "),
        "no `.await` of the user's: {text}"
    );
    is_over.store(true, Ordering::Relaxed);
    runtime.block_on(running);
    drop(tasks);
}

#[test]
fn threads_may_ask_while_others_spawn_and_run() {
    let runtime = Runtime::new(2).unwrap();
    let handle = runtime.handle();
    let spawner = runtime.spawn(async move {
        for _ in 0..2_000 {
            let task = handle.spawn(async {});
            yield_now().await;
            task.await;
        }
    });
    while !spawner.is_finished() {
        assert!(runtime.dump().tasks.iter().all(|task| task.spawned.file() == file!()));
    }
    runtime.block_on(spawner);
}
