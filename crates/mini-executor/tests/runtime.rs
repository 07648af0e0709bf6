//! Everything at once.

use std::future::{Future, pending, poll_fn};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use mini_executor::sync::oneshot;
use mini_executor::{Async, Handle, Runtime, interval, sleep, yield_now};

const MS: Duration = Duration::from_millis(1);

#[test]
fn no_workers_are_refused_and_the_remedy_is_named() {
    let refused = Runtime::new(0).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("LocalExecutor"));
}

#[test]
fn tasks_timers_sockets_and_calls_work_together() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    let listener = Async::<TcpListener>::bind("127.0.0.1:0")?;
    let address = listener.get_ref().local_addr()?;
    let handle = runtime.handle();
    let server = runtime.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            let serve = async move {
                let mut buffer = [0; 100];
                loop {
                    let count = stream.read(&mut buffer).await?;
                    if count == 0 {
                        return io::Result::Ok(());
                    }
                    sleep(MS).await;
                    stream.write_all(&buffer[..count]).await?;
                }
            };
            handle.spawn(serve).detach();
        }
        #[expect(unreachable_code, reason = "says what `?` returns")]
        io::Result::Ok(())
    });
    let clients: Vec<_> = (0..10_u8)
        .map(|number| {
            runtime.spawn_blocking(move || {
                let mut stream = TcpStream::connect(address)?;
                for _ in 0..10 {
                    stream.write_all(&[number; 10])?;
                    let mut answer = [0; 10];
                    stream.read_exact(&mut answer)?;
                    assert_eq!(answer, [number; 10]);
                }
                io::Result::Ok(())
            })
        })
        .collect();
    runtime.block_on(async {
        for client in clients {
            client.await?;
        }
        io::Result::Ok(())
    })?;
    assert!(!server.is_finished());
    Ok(())
}

/// It leaves timers to workers that are awake. This one does not come to them.
#[test]
fn a_thread_in_block_on_serves_itself_beside_workers_that_compute() -> io::Result<()> {
    let runtime = Runtime::new(1)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = is_over.clone();
    let hog = runtime.spawn(async move { while !seen.load(Ordering::Relaxed) {} });
    runtime.block_on(async {
        for _ in 0..5 {
            sleep(MS).await;
        }
        is_over.store(true, Ordering::Relaxed);
        hog.await;
    });
    Ok(())
}

/// The hog computes until the ticker has gone on beside it; it would compute for ever if the ticker waited for its end.
#[test]
fn a_ticker_goes_on_beside_a_task_that_computes() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    let ticks = Arc::new(AtomicU32::new(0));
    let count = ticks.clone();
    let ticker = runtime.spawn(async move {
        let mut interval = interval(5 * MS);
        loop {
            interval.tick().await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let hog = runtime.spawn(async move {
        sleep(12 * MS).await;
        let (begin, before) = (Instant::now(), ticks.load(Ordering::Relaxed));
        while ticks.load(Ordering::Relaxed) < before + 5 {
            assert!(begin.elapsed() < Duration::from_secs(30), "nobody serves the ticker");
            std::hint::spin_loop();
        }
    });
    runtime.block_on(hog);
    runtime.block_on(ticker.cancel());
    Ok(())
}

/// The woken task is in the slot of a worker that does not come back to it, and nobody else is awake to look there.
#[test]
fn a_task_woken_by_one_that_then_blocks_is_not_forgotten() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    for _ in 0..20 {
        let (sender, receiver) = oneshot::channel();
        let (answer, answered) = mpsc::channel();
        let woken = runtime.spawn(async move {
            receiver.await.unwrap();
            answer.send(()).unwrap();
        });
        // Long enough for everybody to be asleep, mostly: if not, the test is an easier one.
        std::thread::sleep(3 * MS);
        let blocks = runtime.spawn(async move {
            sender.send(()).unwrap();
            answered.recv_timeout(Duration::from_mins(1)).unwrap();
        });
        runtime.block_on(async {
            blocks.await;
            woken.await;
        });
    }
    Ok(())
}

#[test]
fn a_shutdown_waits_for_calls_that_have_not_begun() -> io::Result<()> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    for number in 1..=50 {
        let runtime = Runtime::new(1)?;
        runtime.spawn_blocking(|| CALLS.fetch_add(1, Ordering::Relaxed)).detach();
        let report = runtime.shutdown(Duration::from_mins(1));
        assert_eq!(CALLS.load(Ordering::Relaxed), number, "{report:?}");
    }
    Ok(())
}

#[test]
fn a_deadline_may_be_as_far_away_as_there_is_time() -> io::Result<()> {
    let runtime = Runtime::new(1)?;
    runtime.spawn(sleep(MS)).detach();
    assert_eq!(runtime.shutdown(Duration::MAX).cancelled, 0);
    Ok(())
}

#[test]
fn a_destructor_that_spawns_after_the_end_hangs_nobody() -> io::Result<()> {
    struct Spawns(Handle);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.spawn(pending::<()>()).detach();
        }
    }
    let runtime = Runtime::new(1)?;
    let handle = runtime.handle();
    drop(runtime);
    let spawns = Spawns(handle.clone());
    let task = handle.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    });
    assert!(task.is_finished());
    Ok(())
}

#[test]
fn a_stranger_s_waker_that_panics_ends_no_worker() -> io::Result<()> {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker's own"));
        }
    }
    let runtime = Runtime::new(1)?;
    let (sender, receiver) = oneshot::channel();
    let mut joined = runtime.spawn(receiver);
    let waker = Waker::from(Arc::new(Panics));
    while pin!(&mut joined).poll(&mut Context::from_waker(&waker)).is_ready() {}
    sender.send(7).unwrap();
    while !joined.is_finished() {
        std::thread::yield_now();
    }
    assert_eq!(runtime.block_on(runtime.spawn(async { 42 })), 42);
    assert_eq!(runtime.block_on(joined), Ok(7));
    Ok(())
}

#[test]
fn a_shutdown_waits_for_tasks_and_counts_them() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    for number in 0..10 {
        runtime.spawn(async move { sleep(number * MS).await }).detach();
    }
    let report = runtime.shutdown(Duration::from_secs(20));
    assert_eq!((report.cancelled, report.stuck.len()), (0, 0));
    assert!(report.finished <= 10);
    Ok(())
}

#[test]
fn a_task_that_ends_is_counted_though_it_leaves_another_behind() {
    // Here no task begins before the shutdown.
    let runtime = Runtime::deterministic(1);
    for _ in 0..10 {
        let handle = runtime.handle();
        runtime.spawn(async move { handle.spawn(pending::<()>()).detach() }).detach();
    }
    let report = runtime.shutdown(MS);
    assert_eq!((report.finished, report.cancelled), (10, 10));
}

#[test]
fn what_is_left_at_the_deadline_is_dropped_even_if_it_holds_a_handle() -> io::Result<()> {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicU32::new(0));
    let runtime = Runtime::new(2)?;
    for _ in 0..5 {
        let (guard, handle) = (Dropped(drops.clone()), runtime.handle());
        runtime
            .spawn(async move {
                let _kept = (guard, handle);
                pending::<()>().await;
            })
            .detach();
    }
    let handle = runtime.handle();
    let report = runtime.shutdown(5 * MS);
    assert_eq!((report.cancelled, report.stuck.len()), (5, 0));
    assert_eq!(drops.load(Ordering::Relaxed), 5);
    let late = handle.spawn(async {});
    assert!(late.is_finished(), "a task that nobody would run");
    Ok(())
}

#[test]
fn what_is_stuck_is_told() -> io::Result<()> {
    let runtime = Runtime::new(2)?;
    let (release, held) = mpsc::channel::<()>();
    let line = line!() + 1;
    runtime.spawn_blocking(move || held.recv().is_ok()).detach();
    let goes_on = Arc::new(AtomicBool::new(true));
    let flag = goes_on.clone();
    let (begun, has_begun) = mpsc::channel();
    let task_line = line!() + 1;
    let task = runtime.spawn_named("stubborn", async move {
        begun.send(()).unwrap();
        while flag.load(Ordering::Relaxed) {
            std::thread::sleep(MS);
        }
    });
    task.detach();
    has_begun.recv().unwrap();
    let report = runtime.shutdown(20 * MS);
    let told: Vec<String> = report.stuck.iter().map(ToString::to_string).collect();
    assert_eq!(report.stuck.len(), 2, "{told:?}");
    let [call, task] = [&report.stuck[0], &report.stuck[1]];
    assert!(call.is_call && !task.is_call, "{told:?}");
    assert_eq!((call.name.as_deref(), call.spawned.unwrap().line()), (None, line), "{told:?}");
    assert_eq!((task.name.as_deref(), task.spawned.unwrap().line()), (Some("stubborn"), task_line), "{told:?}");
    assert!(told[1].starts_with("the task \"stubborn\", spawned at "), "{told:?}");
    if cfg!(feature = "stacks") {
        for stuck in &report.stuck {
            assert!(stuck.stack.iter().any(|function| function.contains("what_is_stuck_is_told")), "{stuck}");
        }
    }
    goes_on.store(false, Ordering::Relaxed);
    drop(release);
    Ok(())
}

#[test]
fn a_dropped_runtime_ends_its_threads() -> io::Result<()> {
    let kept = Arc::new(());
    let inside = kept.clone();
    let runtime = Runtime::new(2)?;
    runtime
        .spawn(async move {
            let kept = inside;
            while Arc::strong_count(&kept) > 0 {
                yield_now().await;
            }
        })
        .detach();
    drop(runtime);
    assert_eq!(Arc::strong_count(&kept), 1);
    Ok(())
}

#[test]
fn a_future_given_to_block_on_stays_on_its_thread() -> io::Result<()> {
    let runtime = Runtime::new(1)?;
    let here = std::thread::current().id();
    let mut polls = 0;
    runtime.block_on(poll_fn(|context| {
        assert_eq!(std::thread::current().id(), here);
        polls += 1;
        if polls == 3 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    Ok(())
}
