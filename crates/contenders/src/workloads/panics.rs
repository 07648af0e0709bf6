//! panic: a unit panics. Is whoever joins it told? And if nobody does: does anybody hear of it, does the process live on?
//!
//! The unit panics in a process of its own, this program once more, so that a runtime that ends its process can be seen
//! doing so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

use bench_harness::child::{Prepared, Work};
use bench_harness::host::{Child, ChildError, Interrupt, Launch, Limits};
use bench_harness::placement::allowed_cpus;
use bench_harness::protocol::{Prepare, Refusal, Run};

use super::{Answer, Workload, mix, not_started, repeat};
use crate::capability::{Jobs, Tasks, Threads};

pub(super) struct Panic;

const JOINED: &str = "panic/joined";
/// The parameter that tells the process in which the unit panics from the one that watches it.
const INSIDE: &str = "inside";
/// Time for a detached unit to panic in, and for a runtime to show that it goes on.
const A_WHILE: Duration = Duration::from_millis(50);

impl Workload for Panic {
    const NAMES: &'static [&'static str] = &[JOINED, "panic/detached"];

    fn on_tasks<R: Tasks>(name: &str) -> Answer {
        watched(name, |joined| {
            let runtime = R::start().map_err(|error| not_started(&error))?;
            let told = panics(|| {
                runtime.run(async move {
                    let unit = R::spawn(async { fall() });
                    if joined {
                        unit.await;
                    } else {
                        R::detach(unit);
                        for _ in 0..3 {
                            R::yield_now().await;
                        }
                    }
                });
                std::thread::sleep(A_WHILE);
            });
            Ok(Scene {
                told,
                runtime_lives: !panics(|| assert_eq!(runtime.run(async { R::spawn(async { 7 }).await }), 7)),
            })
        })
    }

    fn on_jobs<R: Jobs>(name: &str) -> Answer {
        watched(name, |joined| {
            R::start().map_err(|error| not_started(&error))?;
            let told = panics(|| {
                let unit = R::spawn(fall);
                if joined {
                    R::join(unit);
                } else {
                    drop(unit);
                    std::thread::sleep(A_WHILE);
                }
            });
            // On a thread that may wait for ever: a pool that has lost its last worker never answers.
            let (answer, answered) = mpsc::channel();
            std::thread::spawn(move || answer.send(R::join(R::spawn(|| 7))));
            Ok(Scene { told, runtime_lives: answered.recv_timeout(A_WHILE) == Ok(7) })
        })
    }

    fn on_threads<R: Threads>(name: &str) -> Answer {
        watched(name, |joined| {
            R::start().map_err(|error| not_started(&error))?;
            let told = panics(|| {
                R::run(move || {
                    let unit = R::spawn(fall);
                    if joined {
                        R::join(unit)
                    } else {
                        drop(unit);
                        R::yield_now();
                        0
                    }
                });
                std::thread::sleep(A_WHILE);
            });
            Ok(Scene { told, runtime_lives: !panics(|| assert_eq!(R::run(|| R::join(R::spawn(|| 7))), 7)) })
        })
    }

    fn on_processes<R: Jobs>(name: &str) -> Answer {
        watched(name, |joined| {
            R::start().map_err(|error| not_started(&error))?;
            let told = panics(|| {
                let unit = R::spawn(fall);
                if joined {
                    R::join(unit);
                } else {
                    drop(unit);
                    std::thread::sleep(A_WHILE);
                }
            });
            Ok(Scene { told, runtime_lives: !panics(|| assert_eq!(R::join(R::spawn(|| 7)), 7)) })
        })
    }

    fn on_rayon(name: &str) -> Answer {
        watched(name, |joined| {
            let told = panics(|| {
                if joined {
                    rayon::join(fall, || 0);
                } else {
                    rayon::spawn(|| {
                        fall();
                    });
                    std::thread::sleep(A_WHILE);
                }
            });
            Ok(Scene { told, runtime_lives: rayon::join(|| 3, || 4) == (3, 4) })
        })
    }

    fn on_scope(name: &str) -> Answer {
        watched(name, |joined| {
            let told = panics(|| {
                let scoped = crossbeam_utils::thread::scope(|scope| {
                    let unit = scope.spawn(|_| fall());
                    if joined {
                        unit.join().expect("this is the question");
                    }
                });
                scoped.expect("this is the question");
            });
            Ok(Scene { told, runtime_lives: true })
        })
    }

    fn on_floor<R: Tasks>(_: &str) -> Answer {
        Err(Refusal::unsupported("it catches no panic: a yardstick for time alone"))
    }
}

/// What came of it, in the process in which the unit panicked.
struct Scene {
    /// Whether anybody but a reader of stderr was told.
    told: bool,
    /// Whether the runtime still runs units.
    runtime_lives: bool,
}

fn fall() -> u64 {
    panic!("a unit panics, as it is asked to")
}

fn panics(what: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(what)).is_err()
}

/// The workload as the host sees it: watches the process in which the unit panics. That process comes here too, and is told by
/// a parameter that it is the one.
fn watched(name: &str, scene: fn(bool) -> Result<Scene, Refusal>) -> Answer {
    let name = name.to_owned();
    Ok(Box::new(move |params, seed| {
        if params.0.contains_key(INSIDE) {
            return Ok(inside(name == JOINED, seed, scene));
        }
        let mut request = Prepare { workload: name, params: params.clone(), seed };
        request.params.0.insert(INSIDE.to_owned(), 1.into());
        Ok(repeat(move |iters, _| {
            let mut work = Work::new(iters, mix(seed, 1));
            for _ in 0..iters {
                let (told, process_lives, runtime_lives) = watch(&request)?;
                let values = [("told", told), ("process_lives", process_lives), ("runtime_lives", runtime_lives)];
                work.values = values.map(|(name, value)| (name.to_owned(), f64::from(u8::from(value)))).into();
            }
            Ok(work)
        }))
    }))
}

fn inside(joined: bool, seed: u64, scene: fn(bool) -> Result<Scene, Refusal>) -> Box<dyn Prepared> {
    repeat(move |iters, _| {
        // A line, as the usual hook prints it, and never a backtrace: a coroutine's stack has no room for one.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
        let scene = scene(joined)?;
        let mut work = Work::new(iters, mix(seed, 1));
        let values = [("told", scene.told), ("runtime_lives", scene.runtime_lives)];
        work.values = values.map(|(name, value)| (name.to_owned(), f64::from(u8::from(value)))).into();
        Ok(work)
    })
}

/// Runs the scene in a process of its own. A process that ends has told everybody.
fn watch(request: &Prepare) -> Result<(bool, bool, bool), Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::failed(format!("the process to watch: {error}"));
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let launch = Launch { program, args: std::env::args().skip(1).collect() };
    let cpus = allowed_cpus().map_err(|error| failed(&error))?;
    let limits = Limits { block: Duration::from_secs(5), ..Limits::default() };
    let mut child = Child::start(&launch, &cpus, limits, &Interrupt::default()).map_err(|error| failed(&error))?;
    child.prepare(request).map_err(|error| failed(&error))?;
    match child.run(Run { block: 1, iters: 1 }) {
        Ok((done, _)) => Ok((done.values["told"] > 0.0, true, done.values["runtime_lives"] > 0.0)),
        Err(ChildError::Exited { .. }) => Ok((true, false, false)),
        // It stands still: nobody was told, and nothing runs any more.
        Err(ChildError::Hung { .. }) => Ok((false, true, false)),
        Err(error) => Err(failed(&error)),
    }
}
