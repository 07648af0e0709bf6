//! Programs in C, built here, that tell what they did; their traces have to tell the same.
//!
//! Needs `cc`, and for musl `musl-gcc`; what needs one that isn't there is skipped with a reason, unless `LAB_REQUIRE` names it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod checking;
mod tracing;

use std::path::Path;

use alloc_trace::trace::format::{END_OF_CHAIN, KINDS};
use alloc_trace::trace::{Analysis, Measure, Symbols, TraceFile, stacks};
use tempfile::TempDir;
use tracing::{Program, alloc_trace, compile, told};

#[test]
fn every_function_is_counted_exactly() {
    for program in Program::build_all("all_functions") {
        let (output, analysis) = program.trace(&[]);
        let [calls, bytes, frees, live, live_bytes, peak] = told(&output);
        let total = &analysis.total;
        assert_eq!(program.own(&analysis), [calls, bytes, frees, live, live_bytes]);
        assert_eq!([total.allocations, total.bytes, total.frees], [calls, bytes, frees]);
        assert_eq!([total.live, total.live_bytes, total.at_peak], [live, live_bytes, peak]);
        assert_eq!((analysis.missed(), analysis.strangers()), (0, 0));
        let at_peak: u64 = analysis.by_site.iter().map(|blocks| blocks.at_peak).sum();
        assert_eq!(at_peak, peak);
    }
}

#[test]
fn blocks_that_wander_between_threads_are_followed() {
    for program in Program::build_all("threads") {
        let (output, analysis) = program.trace(&[]);
        let [calls, bytes, frees, live, live_bytes, _] = told(&output);
        assert_eq!(program.own(&analysis), [calls, bytes, frees, live, live_bytes]);
        assert_eq!((analysis.missed(), analysis.strangers()), (0, 0));
        assert!(analysis.context.threads.len() >= 81, "{}", analysis.context.threads.len());
        assert!(analysis.context.threads.values().all(|thread| thread.name == "threads"));
    }
}

/// What is theirs is taken back before their last destructors run.
#[test]
fn what_threads_do_at_their_very_end_is_counted_exactly() {
    for program in Program::build_all("afterwards") {
        let (output, analysis) = program.trace(&[]);
        let [calls, bytes, frees, live, live_bytes, _] = told(&output);
        assert_eq!(program.own(&analysis), [calls, bytes, frees, live, live_bytes]);
        assert_eq!((analysis.missed(), analysis.strangers()), (0, 0));
        // The program calls `posix_memalign` alone, which in musl is another call of ours.
        let inner = analysis.context.sites.iter().zip(&analysis.by_site);
        let inner = inner.filter(|(site, _)| KINDS[usize::from(site.kind)] == "aligned_alloc");
        assert_eq!(inner.map(|(_, blocks)| blocks.allocations).sum::<u64>(), 0);
    }
}

/// The trace begins in one of them, and the others wait for it: in the program, and in a child of it.
#[test]
fn threads_that_begin_at_once_are_all_followed() {
    for program in Program::build_all("at_once") {
        for _ in 0..10 {
            let (output, parent) = program.trace(&[]);
            assert!(output.status.success(), "{output:?}");
            let child = std::fs::read_dir(program.directory.path()).unwrap().find_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.starts_with("trace.").then_some(name)
            });
            let child = child.unwrap();
            for analysis in [&parent, &program.read(&child)] {
                assert_eq!(
                    program.own(analysis)[..3],
                    [8 * 1000, 8 * 1000 * 20, 8 * 1000],
                    "{}",
                    program.path.display()
                );
                assert_eq!(analysis.missed(), 0);
            }
            std::fs::remove_file(program.file("trace")).unwrap();
            std::fs::remove_file(program.file(&child)).unwrap();
        }
    }
}

#[test]
fn whatever_ends_the_program_nothing_is_lost() {
    for program in Program::build_all("ends") {
        for (how, exit_handlers) in [("kill", 0), ("abort", 0), ("_exit", 0), ("fault", 0), ("return", 1)] {
            let (_, analysis) = program.trace(&[how]);
            let [calls, bytes, ..] = program.own(&analysis);
            assert_eq!(calls, 20_001 + exit_handlers, "{how}");
            assert_eq!(bytes, 201_000 + 2000 * exit_handlers, "{how}");
            std::fs::remove_file(program.file("trace")).unwrap();
        }
    }
}

#[test]
fn the_programs_end_is_passed_on() {
    let Some(program) = Program::build("ends") else { return };
    assert_eq!(program.run(&["kill"]).status.code(), Some(128 + 9));
    let again = program.run(&["return"]);
    assert_eq!(again.status.code(), Some(2));
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(text.contains("is there already"), "{text}");
}

#[test]
fn children_have_traces_of_their_own() {
    for program in Program::build_all("family") {
        let (output, parent) = program.trace(&[]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(program.own(&parent)[..3], [11, 570, 1]);
        let mut children: Vec<Analysis> = std::fs::read_dir(program.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("trace."))
            .map(|name| program.read(&name))
            .collect();
        children.sort_by_key(|child| child.total.bytes);
        let [forked, executed] = &children[..] else { panic!("{} children", children.len()) };
        assert_eq!(program.own(forked)[..3], [20, 1000, 0]);
        assert_eq!(forked.strangers(), 1);
        assert_eq!(program.own(executed)[..3], [30, 1500, 0]);
        assert_eq!(executed.strangers(), 0);
        for child in [forked, executed] {
            assert_eq!(child.origin.parent, parent.origin.process);
        }
        assert_eq!(executed.origin.arguments[1], "again");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(&format!("alloc-trace:   {} family", forked.origin.process)), "{text}");
    }
}

#[test]
fn what_the_process_has_of_the_systems_memory_is_looked_at() {
    let Some(program) = Program::build("resident") else { return };
    let (output, analysis) = program.trace(&[]);
    assert!(output.status.success(), "{output:?}");
    let memory = &analysis.memory;
    let (most, last) = (memory.iter().max_by_key(|look| look.resident).unwrap(), memory.last().unwrap());
    assert!(most.resident >= 64 << 20 && last.resident < 32 << 20, "{memory:?}");
    assert!(most.mapped >= most.resident && last.mapped + (64 << 20) <= most.mapped, "{memory:?}");
    assert!(memory.is_sorted_by_key(|look| look.time) && memory.is_sorted_by_key(|look| look.minor), "{memory:?}");
    assert!(memory[0].share.is_some_and(|share| share <= memory[0].resident + (1 << 20)), "{memory:?}");
}

#[test]
fn signals_in_the_midst_of_a_note_are_counted_at_least() {
    for program in Program::build_all("signals") {
        let (output, analysis) = program.trace(&[]);
        let [calls, bytes, frees, live, live_bytes, handled] = told(&output);
        assert_eq!(program.own(&analysis), [calls, bytes, frees, live, live_bytes]);
        assert_eq!(analysis.mapped.calls + analysis.missed(), 2 * handled);
    }
}

#[test]
fn libraries_at_the_same_addresses_are_told_apart() {
    let Some(program) = Program::build("host") else { return };
    let names = ["from_first", "from_second"];
    for name in names {
        compile("plugin.c", &program.file(&format!("{name}.so")), &["-shared", "-fPIC", &format!("-DNAME={name}")]);
    }
    let libraries = names.map(|name| program.file(&format!("{name}.so")).to_str().unwrap().to_owned());
    let (output, analysis) = program.trace(&[&libraries[0], &libraries[1]]);
    assert!(output.status.success(), "{output:?}");
    let found = stacks(&analysis, Measure::Leaked, &mut Symbols::default());
    for name in names {
        let of_library: Vec<_> = found.iter().filter(|(stack, _)| stack.iter().any(|frame| frame == name)).collect();
        let [(stack, bytes)] = &of_library[..] else { panic!("{name}: {found:?}") };
        let inner = &stack[stack.len() - 4..];
        assert_eq!((inner, **bytes), (&["main", "entry", name, "malloc"].map(str::to_owned)[..], 123));
    }
}

#[test]
fn mappings_are_followed() {
    let Some(program) = Program::build("maps") else { return };
    let (output, analysis) = program.trace(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(analysis.mapped.live_bytes, 21 * 4096);
    assert_eq!(analysis.heap_moved, 4096);
    assert_eq!(analysis.missed(), 0, "no signal handler ran");
}

#[test]
fn what_malloc_asks_the_system_for_is_put_down_to_calls() {
    let Some(program) = Program::build("system") else { return };
    let (output, analysis) = program.trace(&[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (most, end) = text.trim().split_once(' ').unwrap();
    let [most, end]: [i64; 2] = [most, end].map(|number| number.parse().unwrap());
    let system = &analysis.system;
    // What printf takes is in it, and comes from the same heap; what there was when main began is not.
    assert!(most > 6_000_000 && system.grown_bytes.cast_signed() >= most, "{most} {system:?}");
    assert_eq!(analysis.heap_moved, 0, "the program has moved nothing itself");
    assert!(end < most && system.shrunk_bytes.cast_signed() >= most - end, "{most} {end} {system:?}");
    // Once asked for, once made smaller.
    assert_eq!((system.mapped, system.unmapped), (2, 2), "{system:?}");
    assert_eq!(system.mapped_bytes, system.unmapped_bytes);
    assert!((60 << 20..61 << 20).contains(&system.mapped_bytes), "{system:?}");
    assert_eq!((system.arenas, system.arena_bytes), (1, 64 << 20));
    let found = stacks(&analysis, Measure::System, &mut Symbols::default());
    let by = |name: &str| -> u64 {
        let of = |(stack, bytes): (&Vec<String>, &u64)| stack.iter().any(|frame| frame == name).then_some(*bytes);
        found.iter().filter_map(of).sum()
    };
    assert!((40 << 20..41 << 20).contains(&by("large")), "{found:?}");
    assert!(by("second") >= 64 << 20, "{found:?}");
}

#[test]
fn a_program_that_closes_our_file_keeps_its_own_whole() {
    let Some(program) = Program::build("closes") else { return };
    let own = program.file("own");
    let (output, analysis) = program.trace(&[own.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::metadata(own).unwrap().len(), 0);
    assert_eq!(program.own(&analysis)[..2], [50_001, 250_005]);
}

#[test]
fn a_file_that_can_not_grow_ends_the_trace_and_not_the_program() {
    let Some(program) = Program::build("limit") else { return };
    let output = program.run(&[]);
    assert!(output.status.success(), "{output:?}");
    let analysis = Analysis::of(TraceFile::open(&program.file("trace")).unwrap(), |_| {});
    let [damage] = &analysis.damage[..] else { panic!("{:?}", analysis.damage) };
    assert!(damage.what.starts_with("the trace stops after"), "{damage}");
    let noted = program.own(&analysis)[0];
    assert!((10_000..400_000).contains(&noted), "{noted}");
}

#[test]
fn stacks_have_names_files_and_lines() {
    for program in Program::build_all("stacks") {
        let (_, analysis) = program.trace(&[]);
        let mut symbols = Symbols::default();
        let context = &analysis.context;
        let index = analysis.by_site.iter().position(|blocks| blocks.bytes == 4321).unwrap();
        let site = context.sites.get(index as u32).unwrap();
        let frames: Vec<(String, u32)> = context
            .sites
            .stack(site)
            .take(3)
            .flat_map(|address| symbols.frames(&context.modules, address).to_vec())
            .map(|frame| (frame.function, frame.location.unwrap().1))
            .collect();
        let expected = [("inner", 5), ("outer", 11), ("main", 16)].map(|(name, line)| (name.to_owned(), line));
        assert_eq!(frames, expected);
    }
}

/// With frame pointers, without, and in a mixture of a program with and a C library without.
#[test]
fn stacks_are_those_that_backtrace_tells() {
    for flags in [&["-O0"][..], &["-O1"], &["-O2"], &["-O1", "-fomit-frame-pointer"], &["-O2", "-fomit-frame-pointer"]]
    {
        let Some(program) = Program::build_with("chains", flags) else { return };
        let (output, analysis) = program.trace(&[]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 4);
        for line in text.lines() {
            let (size, told) = line.split_once(' ').unwrap();
            let size: u64 = size.parse().unwrap();
            let told: Vec<u64> = told.split(' ').map(|address| u64::from_str_radix(address, 16).unwrap()).collect();
            let index = analysis.by_site.iter().position(|blocks| blocks.bytes == size).unwrap();
            let site = analysis.context.sites.get(index as u32).unwrap();
            let stack: Vec<u64> = analysis.context.sites.stack(site).map(|address| address.address).collect();
            // The innermost function calls both, in two places.
            assert_eq!(stack[1..], told[1..], "{size} with {flags:?}");
            assert_eq!(site.end, END_OF_CHAIN as u8, "{size} with {flags:?}");
        }
    }
}

#[test]
fn walks_that_begin_where_the_last_one_ended_find_what_whole_ones_find() {
    for flags in [&["-O0"][..], &["-O1"], &["-O2", "-fomit-frame-pointer"]] {
        let Some(program) = Program::build_with("wanders", flags) else { return };
        let library = checking::library();
        for seed in ["1", "2", "3"] {
            let output = program.command(&[seed, "50000"]).env("ALLOC_TRACE_PRELOAD", &library).output().unwrap();
            assert!(output.status.success(), "{flags:?}, seed {seed}: {output:?}");
            let [calls, _, frees, ..] = program.own(&program.read("trace"));
            assert!(calls > 15_000 && frees == calls, "{calls} {frees}");
            std::fs::remove_file(program.file("trace")).unwrap();
        }
    }
}

/// The draw is the same in each run, by the seed: what holds once always holds.
#[test]
fn estimates_from_a_sample_come_close_to_what_the_program_tells() {
    for program in Program::build_all("sampled") {
        for seed in ["1", "2", "3"] {
            let output = program.command_with(&["--sample", "16K", "--seed", seed], &[]).output().unwrap();
            let [calls, bytes, frees, live, live_bytes, _] = told(&output);
            let analysis = program.read("trace");
            let found = program.own(&analysis);
            // Of bytes every draw tells as much as another; of calls those that drew a small block tell for thousands.
            for (name, found, told, at_most) in [
                ("bytes", found[1], bytes, 0.05),
                ("bytes left", found[4], live_bytes, 0.15),
                ("calls", found[0], calls, 0.25),
                ("frees", found[2], frees, 0.25),
            ] {
                let off = found as f64 / told as f64 - 1.0;
                assert!(off.abs() < at_most, "seed {seed}, {name}: {found} for {told}");
            }
            assert!(live > 0 && found[3] > 0, "{live}");
            assert!(analysis.noted < calls / 4, "{} of {calls}", analysis.noted);
            assert_eq!((analysis.missed(), analysis.strangers(), analysis.total.temporary), (0, 0, 0));
            let report = alloc_trace().arg("summary").arg(program.file("trace")).output().unwrap();
            let text = String::from_utf8(report.stdout).unwrap();
            assert!(text.contains("sampled     one byte in 16.0 KiB: all figures of blocks are estimates"), "{text}");
            std::fs::remove_file(program.file("trace")).unwrap();
        }
    }
}

#[test]
fn what_can_not_be_traced_is_told_before() {
    let refused = |program: &Path| {
        let output = alloc_trace().args(["run", "--"]).arg(program).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let directory = TempDir::new().unwrap();
    let text = directory.path().join("text");
    assert!(refused(&text).contains("no such program"));
    std::fs::write(&text, "hello").unwrap();
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&text, runs).unwrap();
    assert!(refused(&text).contains("no ELF program"));
    let fixed = directory.path().join("fixed");
    if compile("nothing.c", &fixed, &["-static", "-nostdlib", "-no-pie"]) {
        assert!(refused(&fixed).contains("statically linked"));
    }
    let output = alloc_trace().arg("summary").arg(&text).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no trace of alloc-trace"));
}

#[test]
fn help_has_examples() {
    for command in
        ["run", "summary", "stats", "flamegraph", "collapsed", "html", "perfetto", "pprof", "dhat", "heaptrack", "diff"]
    {
        let output = alloc_trace().args([command, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(&format!("Example: alloc-trace {command}")), "{text}");
    }
}
