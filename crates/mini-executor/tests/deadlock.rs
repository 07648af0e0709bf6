//! A deadlock of all tasks is reported, with where each awaits; what only takes its time is not. The hook is the process's: alone here.

use std::future::pending;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Barrier, LazyLock, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mini_executor::sync::{Mutex, Notify, oneshot};
use mini_executor::{
    Async, Deadlock, Executor, LocalExecutor, Runtime, block_on, set_deadlock_after, set_deadlock_hook, sleep,
    spawn_blocking, timeout, yield_now,
};

static REPORTS: StdMutex<Vec<Deadlock>> = StdMutex::new(Vec::new());
static REPORTED: LazyLock<Notify> = LazyLock::new(Notify::new);

const SOON: Duration = Duration::from_millis(5);
/// Much longer.
const LATER: Duration = Duration::from_millis(60);

/// One test at a time, with a hook that notes what is reported.
fn alone(after: Option<Duration>) -> MutexGuard<'static, ()> {
    static ALONE: StdMutex<()> = StdMutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_deadlock_after(after);
    set_deadlock_hook(|deadlock| {
        REPORTS.lock().unwrap().push(deadlock.clone());
        REPORTED.notify_one();
    });
    REPORTS.lock().unwrap().clear();
    // Of a test before, which did not wait for it.
    let _ = block_on(timeout(Duration::ZERO, REPORTED.notified()));
    alone
}

fn reports() -> Vec<Deadlock> {
    std::mem::take(&mut REPORTS.lock().unwrap())
}

/// Takes a lock and, once others had their turn, another.
async fn take_both(one: &Mutex<()>, other: &Mutex<()>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

const SECOND_LOCK: u32 = line!() - 3;

/// Waits for a thread that comes later.
fn wait_for_a_thread(run: impl FnOnce(oneshot::Receiver<()>)) {
    let (sender, receiver) = oneshot::channel();
    let other = std::thread::spawn(move || {
        std::thread::sleep(LATER);
        sender.send(())
    });
    run(receiver);
    other.join().unwrap().unwrap();
}

#[test]
fn two_tasks_that_take_two_locks_in_opposite_order_are_reported_once() {
    let _alone = alone(Some(SOON));
    let (first, second) = (Mutex::new(()), Mutex::new(()));
    let executor = LocalExecutor::new();
    executor.spawn_named("left", take_both(&first, &second)).detach();
    executor.spawn_named("right", take_both(&second, &first)).detach();
    let own = line!() + 1;
    block_on(executor.run(async { REPORTED.notified().await }));
    let [report] = &reports()[..] else { panic!("not one report") };
    assert_eq!(report.awaits.unwrap().line(), own);
    assert_eq!(report.entered.unwrap().line(), own);
    assert_eq!(report.tasks.tasks.len(), 2);
    for task in &report.tasks.tasks {
        assert!(["left", "right"].contains(&task.name.as_deref().unwrap()));
        assert_eq!((task.awaits.unwrap().file(), task.awaits.unwrap().line()), (file!(), SECOND_LOCK));
        assert_eq!(task.polls, 2);
    }
    let text = report.to_string();
    assert!(
        text.contains("Unless another thread wakes one of them they wait for ever:\nthe future of block_on"),
        "{text}"
    );
    assert!(text.contains("\n2 tasks\n"), "{text}");
}

#[test]
fn one_block_on_is_reported_once_and_the_next_again() {
    let _alone = alone(Some(SOON));
    let executor = LocalExecutor::new();
    executor.spawn(pending::<()>()).detach();
    for _ in 0..2 {
        wait_for_a_thread(|receiver| {
            block_on(executor.run(async {
                REPORTED.notified().await;
                // For longer than until it would be reported again.
                receiver.await.unwrap();
            }));
        });
        assert_eq!(reports().len(), 1);
    }
}

#[test]
fn a_runtime_whose_tasks_all_wait_is_reported_once_whichever_thread_finds_it() {
    let _alone = alone(Some(SOON));
    let runtime = Runtime::new(2).unwrap();
    let handle = runtime.handle();
    let parent = async move {
        for name in ["first", "second"] {
            let child = async {
                // A timer first, while which nothing is to be said.
                sleep(LATER).await;
                pending::<()>().await;
            };
            handle.spawn_named(name, child).detach();
        }
    };
    runtime.spawn(parent).detach();
    while REPORTS.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    std::thread::sleep(LATER);
    drop(runtime);
    let [report] = &reports()[..] else { panic!("not one report") };
    assert_eq!((report.entered, report.awaits), (None, None));
    let mut names: Vec<_> = report.tasks.tasks.iter().map(|task| task.name.clone().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["first", "second"]);
    assert!(report.tasks.tasks.iter().all(|task| task.polls == 2));
    assert!(report.thread.as_deref().unwrap().starts_with("mini-"));
}

#[test]
fn a_report_of_a_threads_own_tasks_does_not_keep_the_runtimes_from_being_told() {
    let _alone = alone(Some(SOON));
    let runtime = Runtime::new(1).unwrap();
    let executor = LocalExecutor::new();
    executor.spawn_named("own", pending::<()>()).detach();
    runtime.block_on(executor.run(async { REPORTED.notified().await }));
    runtime.spawn_named("runtime's", pending::<()>()).detach();
    let begin = Instant::now();
    while REPORTS.lock().unwrap().len() < 2 {
        assert!(begin.elapsed() < Duration::from_mins(1), "the runtime's is not told");
        std::thread::yield_now();
    }
    drop(runtime);
    let names: Vec<_> = reports().into_iter().map(|report| report.tasks.tasks[0].name.clone().unwrap()).collect();
    assert_eq!(names, ["own", "runtime's"]);
}

/// Runs a future beside a task that waits for ever.
fn run_beside_a_task<T>(future: impl Future<Output = T>) -> T {
    let executor = LocalExecutor::new();
    executor.spawn(pending::<()>()).detach();
    block_on(executor.run(future))
}

#[test]
fn who_waits_for_time_for_a_descriptor_or_for_a_call_is_not_reported() {
    let _alone = alone(Some(SOON));
    run_beside_a_task(sleep(LATER));
    run_beside_a_task(sleep(LATER).slack(Duration::from_millis(2)));
    run_beside_a_task(spawn_blocking(|| std::thread::sleep(LATER)));
    let (here, there) = UnixStream::pair().unwrap();
    let here = Async::new(here).unwrap();
    let closing = std::thread::spawn(move || {
        std::thread::sleep(LATER);
        drop(there);
    });
    assert_eq!(run_beside_a_task(here.read_with(|mut stream| stream.read(&mut [0; 1]))).unwrap(), 0);
    closing.join().unwrap();
    assert_eq!(reports().len(), 0);
}

#[test]
fn who_is_woken_in_time_is_not_reported() {
    let _alone = alone(Some(Duration::from_hours(1)));
    wait_for_a_thread(|receiver| run_beside_a_task(receiver).unwrap());
    assert_eq!(reports().len(), 0);
}

#[test]
fn a_thread_without_tasks_that_waits_for_another_is_not_reported() {
    let _alone = alone(Some(SOON));
    wait_for_a_thread(|receiver| block_on(receiver).unwrap());
    let empty = LocalExecutor::new();
    wait_for_a_thread(|receiver| block_on(empty.run(receiver)).unwrap());
    let runtime = Runtime::new(2).unwrap();
    wait_for_a_thread(|receiver| runtime.block_on(receiver).unwrap());
    assert_eq!(reports().len(), 0);
}

#[test]
fn reports_may_be_turned_off() {
    let _alone = alone(None);
    wait_for_a_thread(|receiver| run_beside_a_task(receiver).unwrap());
    assert_eq!(reports().len(), 0);
}

#[test]
fn a_hook_may_panic_and_an_executor_that_was_given_up_is_not_asked() {
    let _alone = alone(Some(SOON));
    let gone = LocalExecutor::new();
    gone.spawn_named("gone", pending::<()>()).detach();
    // A run that is leaked in the middle.
    let mut run = Box::pin(gone.run(pending::<()>()));
    block_on(std::future::poll_fn(|context| {
        assert!(run.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    }));
    std::mem::forget(run);
    set_deadlock_hook(|deadlock| {
        REPORTS.lock().unwrap().push(deadlock.clone());
        REPORTED.notify_one();
        std::panic::resume_unwind(Box::new("a hook's own"));
    });
    drop(gone);
    run_beside_a_task(REPORTED.notified());
    let [report] = &reports()[..] else { panic!("not one report") };
    assert_eq!(report.tasks.tasks.len(), 1);
    assert_eq!(report.tasks.tasks[0].name, None);
}

#[test]
fn an_executor_for_several_threads_is_reported_if_only_one_runs_it() {
    let _alone = alone(Some(SOON));
    let executor = Executor::new();
    executor.spawn_named("waiting", pending::<()>()).detach();
    // Others may have timers, of which this thread knows nothing.
    let (stop, stopped) = oneshot::channel::<()>();
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            block_on(executor.run(async {
                both.wait();
                stopped.await.unwrap();
            }));
        });
        wait_for_a_thread(|receiver| {
            block_on(executor.run(async {
                both.wait();
                receiver.await.unwrap();
            }));
        });
        stop.send(()).unwrap();
    });
    assert_eq!(reports().len(), 0);
    block_on(executor.run(REPORTED.notified()));
    let [report] = &reports()[..] else { panic!("not one report") };
    assert_eq!(report.tasks.tasks[0].name.as_deref(), Some("waiting"));
}
