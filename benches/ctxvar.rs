//! Context variables beside their peers, by paired rounds: each bar with its verdict.
//!
//!     cargo bench --package benches --bench ctxvar
//!
//! Takes about two minutes; nothing else should run meanwhile. `CPython` takes part where there is a `python3`. How many instructions an
//! operation executes does not depend on the machine's mood and is counted elsewhere: `crates/ctxvar/tests/instructions.rs`.
#![allow(clippy::print_stdout, reason = "it prints its result")]

mod table;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::pin::Pin;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use bench_harness::stats::median;
use ctxvar::{Context, ContextExt, ContextVar};
use opentelemetry::Context as Otel;
use table::Table;

/// The bars go up to here.
const MANY: usize = 100;

static NUMBERS: [ContextVar<u64>; MANY] = [const { ContextVar::new("number") }; MANY];
static TEXTS: [ContextVar<String>; 10] = [const { ContextVar::new("text") }; 10];

tokio::task_local! {
    static OF_TOKIO: u64;
}

/// A context with that many numbers set.
fn context_of(variables: usize) -> Context {
    let mut context = Context::new();
    context.run(|| {
        for (variable, value) in NUMBERS[..variables].iter().zip(0..) {
            variable.set(value);
        }
    });
    context
}

fn get(table: &Table) {
    let mut context = context_of(10);
    let _attached = Otel::current().with_value(Number::<5>(7)).attach();
    context.run(|| {
        let comparison = table
            .compare("get")
            .contender("nothing", || 7_u64)
            .contender("ctxvar", || NUMBERS[5].get())
            .contender("opentelemetry", || {
                Otel::map_current(|context| context.get::<Number<5>>().map(|number| number.0))
            })
            .run()
            .expect("three contenders");
        Table::just("get of a number, ctxvar (with the loop)", &comparison, "ctxvar");
        Table::just("get of a number, opentelemetry's map_current (with the loop)", &comparison, "opentelemetry");
    });
}

#[derive(Debug)]
struct Number<const N: usize>(u64);

/// Never ready.
async fn for_ever() {
    std::future::poll_fn(|_| Poll::<()>::Pending).await;
}

fn poll(table: &Table) {
    let poll = |mut future: Pin<Box<dyn Future<Output = ()>>>| {
        move || black_box(&mut future).as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending()
    };
    let comparison = table
        .compare("poll")
        .contender("bare", poll(Box::pin(for_ever())))
        .contender("ctxvar, 1", poll(Box::pin(for_ever().in_context_of(context_of(1)))))
        .contender("ctxvar, 100", poll(Box::pin(for_ever().in_context_of(context_of(MANY)))))
        .contender("tokio", poll(Box::pin(OF_TOKIO.scope(7, for_ever()))))
        .run()
        .expect("four contenders");
    Table::just("a bare poll", &comparison, "bare");
    for contender in ["ctxvar, 1", "ctxvar, 100"] {
        table.bar(
            &format!("poll, {contender} variables: over the bare one"),
            "ns",
            1.3,
            &comparison,
            &[contender, "bare"],
            |f| f[0] - f[1],
        );
        table.bar(
            &format!("poll, {contender} variables: beside tokio's task_local scope, both over the bare one"),
            "times",
            0.4,
            &comparison,
            &[contender, "bare", "tokio"],
            |f| (f[0] - f[1]) / (f[2] - f[1]),
        );
    }
}

fn snapshot(table: &Table) {
    for variables in [10, MANY] {
        let arc = Arc::new(7_u64);
        context_of(variables).run(|| {
            let comparison = table
                .compare("snapshot")
                .contender("arc", || drop(black_box(Arc::clone(black_box(&arc)))))
                .contender("ctxvar", || drop(black_box(Context::current())))
                .run()
                .expect("two contenders");
            let what = format!("snapshot of {variables} variables and drop, beside an Arc's clone and drop");
            table.bar(&what, "times", 1.1, &comparison, &["ctxvar", "arc"], |f| f[0] / f[1]);
        });
    }
}

fn set(table: &Table) {
    let mut numbers = context_of(10);
    // It keeps a value a type.
    let theirs = Otel::new()
        .with_value(Number::<0>(0))
        .with_value(Number::<1>(0))
        .with_value(Number::<2>(0))
        .with_value(Number::<3>(0))
        .with_value(Number::<4>(0))
        .with_value(Number::<5>(0))
        .with_value(Number::<6>(0))
        .with_value(Number::<7>(0))
        .with_value(Number::<8>(0))
        .with_value(Number::<9>(0));
    let _attached = theirs.attach();
    let mut next = 0;
    let comparison = numbers.run(|| {
        table
            .compare("set")
            .contender("in place", || {
                next += 1;
                NUMBERS[next as usize % 10].set(next);
            })
            .contender("shared", || {
                let snapshot = Context::current();
                NUMBERS[5].set(7);
                drop(snapshot);
            })
            .contender("opentelemetry", || drop(Otel::current().with_value(Number::<5>(7)).attach()))
            .run()
            .expect("three contenders")
    });
    table.bar("set in place, one of 10 numbers", "ns", 20.0, &comparison, &["in place"], |f| f[0]);
    table.bar("snapshot, set, drop: one of 10 numbers", "ns", 45.0, &comparison, &["shared"], |f| f[0]);
    table.bar(
        "the same beside opentelemetry's attach of one more of 10 values",
        "times",
        0.35,
        &comparison,
        &["shared", "opentelemetry"],
        |f| f[0] / f[1],
    );
    let mut texts = Context::new();
    let comparison = texts.run(|| {
        for text in &TEXTS {
            text.set("a text of some length".to_owned());
        }
        let value = "another text of length".to_owned();
        table
            .compare("set")
            .contender("clone", || drop(black_box(value.clone())))
            .contender("shared", || {
                let snapshot = Context::current();
                TEXTS[5].set(value.clone());
                drop(snapshot);
            })
            .run()
            .expect("two contenders")
    });
    table.bar(
        "snapshot, set, drop: one of 10 Strings, with the String's clone",
        "ns",
        150.0,
        &comparison,
        &["shared"],
        |f| f[0],
    );
}

fn spawn(table: &Table) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut context = context_of(10);
    let comparison = context.run(|| {
        table
            .compare("spawn")
            .contender("bare", || runtime.block_on(async { tokio::spawn(tokio::task::yield_now()).await.is_ok() }))
            .contender("ctxvar", || {
                runtime.block_on(async { ctxvar::tokio::spawn(tokio::task::yield_now()).await.is_ok() })
            })
            .run()
            .expect("two contenders")
    });
    Table::just("tokio's spawn, yield and join", &comparison, "bare");
    table.bar(
        "tokio's spawn, yield and join, wrapped beside bare",
        "times",
        1.03,
        &comparison,
        &["ctxvar", "bare"],
        |f| f[0] / f[1],
    );
}

/// Times its own loops, so that pipes don't count. Each line asks for a batch: the number of variables.
const PYTHON: &str = r#"
import sys, time
from contextvars import ContextVar, Context
from itertools import repeat

MANY = 100
variables = [ContextVar(f"number-{i}") for i in range(MANY)]
N = 50_000

def batch(count):
    for variable in variables[:count]:
        variable.set(0)
    put = variables[count // 2].set
    begin = time.perf_counter_ns()
    for value in repeat(7, N):
        put(value)
    middle = time.perf_counter_ns()
    for value in repeat(7, N):
        pass
    end = time.perf_counter_ns()
    return ((middle - begin) - (end - middle)) / N

print(sys.version.split()[0], flush=True)
for line in sys.stdin:
    print(Context().run(batch, int(line)), flush=True)
"#;

struct Python {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Option<(Self, String)> {
        let mut child =
            Command::new("python3").args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut output = BufReader::new(child.stdout.take()?);
        let mut version = String::new();
        output.read_line(&mut version).ok()?;
        Some((Self { child, output }, version.trim().to_owned()))
    }

    /// Nanoseconds a `set`, without the loop.
    fn batch(&mut self, variables: usize) -> Option<f64> {
        writeln!(self.child.stdin.as_mut()?, "{variables}").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Ours with the snapshot that makes the set expensive, and with the loop; theirs without either.
fn python(table: &Table) {
    let Some((mut python, version)) = Python::start() else {
        println!("no python3 here: CPython's set is not beside ours");
        return;
    };
    for variables in [1, 10, MANY] {
        let mut context = context_of(variables);
        let mut ours = || {
            let begin = Instant::now();
            context.run(|| {
                for value in 0..50_000 {
                    let snapshot = black_box(Context::current());
                    NUMBERS[variables / 2].set(value);
                    drop(snapshot);
                }
            });
            begin.elapsed().as_nanos() as f64 / 50_000.0
        };
        let rounds = if table.quick { 8 } else { 32 };
        let pairs: Vec<(f64, f64)> = (0..rounds).filter_map(|_| Some((ours(), python.batch(variables)?))).collect();
        let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        println!(
            "snapshot, set, drop: one of {variables} numbers {:.1} ns; CPython {version}'s set alone {:.1} ns",
            median(&ours).unwrap_or(f64::NAN),
            median(&theirs).unwrap_or(f64::NAN)
        );
        let ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        table.line(&format!("the same as a ratio, {variables} numbers"), "times", 1.0, &ratios);
    }
}

fn main() {
    let table = Table { quick: std::env::args().any(|argument| argument == "--test") };
    get(&table);
    poll(&table);
    snapshot(&table);
    set(&table);
    spawn(&table);
    python(&table);
}
