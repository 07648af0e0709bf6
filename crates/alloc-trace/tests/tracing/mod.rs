//! C programs, built and traced, and what their traces have.
#![allow(dead_code, reason = "each of the tests that share it uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use alloc_trace::trace::{Analysis, TraceFile};
use tempfile::TempDir;

/// A program, built into a directory that goes with it.
pub(crate) struct Program {
    pub(crate) directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Program {
    /// `None` where there is no compiler.
    pub(crate) fn build(name: &str) -> Option<Self> {
        Self::build_with(name, &[])
    }

    /// The same with more of the compiler's flags.
    pub(crate) fn build_with(name: &str, flags: &[&str]) -> Option<Self> {
        Self::build_by("cc", name, &[&["-pthread", "-ldl"], flags].concat())
    }

    /// The program linked with the system's C library, and linked with musl: those for which there is a compiler.
    pub(crate) fn build_all(name: &str) -> Vec<Self> {
        [Self::build(name), Self::build_by("musl-gcc", name, &[])].into_iter().flatten().collect()
    }

    fn build_by(compiler: &str, name: &str, flags: &[&str]) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join(name);
        compile_by(compiler, &format!("{name}.c"), &path, flags).then_some(Self { directory, path })
    }

    /// Runs it and reads its trace.
    pub(crate) fn trace(&self, arguments: &[&str]) -> (Output, Analysis) {
        let output = self.run(arguments);
        (output, self.read("trace"))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_with(&[], arguments)
    }

    /// The same with options of `run`.
    pub(crate) fn command_with(&self, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = alloc_trace();
        command.args(["run", "-o"]).arg(self.file("trace")).args(options);
        command.arg("--").arg(&self.path).args(arguments);
        command
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Analysis {
        let analysis = Analysis::of(TraceFile::open(&self.file(name)).unwrap(), |_| {});
        assert_eq!(analysis.damage, [], "{name}");
        analysis
    }

    /// The blocks that the program itself asked for, not those of the C library for its threads: calls, bytes, frees, left, bytes left.
    pub(crate) fn own(&self, analysis: &Analysis) -> [u64; 5] {
        let context = &analysis.context;
        let mut sum = [0; 5];
        for (site, blocks) in context.sites.iter().zip(&analysis.by_site) {
            let caller = context.sites.stack(site).next();
            let module = caller.and_then(|caller| context.modules.locate(caller.generation, caller.address));
            if module.is_some_and(|(path, _)| Path::new(path) == self.path) {
                let figures = [blocks.allocations, blocks.bytes, blocks.frees, blocks.live, blocks.live_bytes];
                sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
            }
        }
        sum
    }
}

/// What a program told: calls, bytes, frees, left, bytes left, peak.
pub(crate) fn told(output: &Output) -> [u64; 6] {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// Whether `LAB_REQUIRE` names it: then a test that needs it may not be skipped.
pub(crate) fn is_required(name: &str) -> bool {
    std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split([' ', ',']).any(|one| one == name))
}

/// `false`, with a reason, where there is no compiler.
pub(crate) fn compile(source: &str, to: &Path, more: &[&str]) -> bool {
    compile_by("cc", source, to, more)
}

fn compile_by(compiler: &str, source: &str, to: &Path, more: &[&str]) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
    let flags = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-builtin"];
    let output = Command::new(compiler).args(flags).arg(source).arg("-o").arg(to).args(more).output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            assert!(!is_required(compiler), "LAB_REQUIRE names {compiler}, but it can't be run: {error}");
            eprintln!("skipped: {compiler} can't be run: {error}");
            false
        }
    }
}

/// The command line, with the library built once.
pub(crate) fn alloc_trace() -> Command {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let program = Path::new(env!("CARGO_BIN_EXE_alloc-trace"));
    let library = LIBRARY.get_or_init(|| {
        let directory = TempDir::new().unwrap();
        let mut first = Command::new(program);
        first.args(["run", "-o"]).arg(directory.path().join("trace")).args(["--", "true"]);
        let output = first.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program.parent().unwrap().parent().unwrap().join("preload/liballoc_trace_preload.so")
    });
    let mut command = Command::new(program);
    command.env("ALLOC_TRACE_PRELOAD", library);
    command
}
