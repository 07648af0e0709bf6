//! The GPU experiment without a GPU: a driver that the system's C compiler makes, which fails where it is told to.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A driver whose memory of the device is none of the host's, as a real one's. `FAKE_CUDA` says which call gives which error: `cuInit=100`.
const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static int code(const char *call) {
    const char *told = getenv("FAKE_CUDA");
    size_t length = strlen(call);
    if (!told || strncmp(told, call, length) || told[length] != '=') return 0;
    return atoi(told + length + 1);
}
int cuGetErrorName(int error, const char **name) { *name = "CUDA_ERROR_OF_THE_TEST"; return error == 999; }
int cuInit(unsigned flags) { return flags ? 1 : code("cuInit"); }
int cuDeviceGetCount(int *count) { *count = code("count") ? 0 : 1; return code("cuDeviceGetCount"); }
int cuDeviceGet(int *device, int ordinal) { *device = 7 + ordinal; return code("cuDeviceGet"); }
static char *reserved;
int cuDevicePrimaryCtxRetain(void **context, int device) {
    int error = device == 7 ? code("cuDevicePrimaryCtxRetain") : 1;
    if (error) return error;
    reserved = mmap(0, 4UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    memset(malloc(8 << 20), 1, 8 << 20);
    *context = reserved;
    return 0;
}
int cuCtxSetCurrent(void *context) { return context == reserved ? code("cuCtxSetCurrent") : 1; }
/* What was not given back, or twice, is known by the file that the test names. */
static int held;
static void note(const char *what, int more) {
    held += more;
    const char *file = getenv("FAKE_CUDA_LOG");
    FILE *log = file ? fopen(file, "a") : 0;
    if (log) { fprintf(log, "%s %d\n", what, held); fclose(log); }
}
int cuDevicePrimaryCtxRelease_v2(int device) { note("released", 0); return munmap(reserved, 4UL << 30) || device != 7; }
int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    int error = bytes == 1 << 30 ? code("cuMemAlloc") : 1;
    if (!error) { *address = 1; note("allocated", 1); }
    return error;
}
int cuMemsetD8_v2(unsigned long long address, unsigned char byte, size_t bytes) {
    return address != 1 || byte != 1 || bytes != 1 << 30 ? 1 : code("cuMemsetD8");
}
int cuCtxSynchronize(void) { return code("cuCtxSynchronize"); }
int cuMemFree_v2(unsigned long long address) { note("freed", -1); return address != 1; }
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    int error = flags ? 1 : code("cuMemHostAlloc");
    if (error) return error;
    *address = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(*address, 1, bytes);
    return 0;
}
int cuMemFreeHost(void *address) { return munmap(address, 256 << 20); }
"#;

/// The functions that the experiment needs, as the driver's library names them.
const FUNCTIONS: [&str; 13] = [
    "cuGetErrorName",
    "cuInit",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDevicePrimaryCtxRetain",
    "cuCtxSetCurrent",
    "cuDevicePrimaryCtxRelease_v2",
    "cuMemAlloc_v2",
    "cuMemsetD8_v2",
    "cuCtxSynchronize",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
];

/// The library, compiled with more arguments; `None` where there is no compiler, which is said.
fn driver_with(directory: &TempDir, more: &[&str]) -> Option<PathBuf> {
    let (source, library) = (directory.path().join("driver.c"), directory.path().join("libdriver.so"));
    std::fs::write(&source, SOURCE).unwrap();
    let compiled = Command::new("cc").args(more).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    let Ok(compiled) = compiled else {
        let required = std::env::var("LAB_REQUIRE").is_ok_and(|all| all.split_whitespace().any(|one| one == "cc"));
        assert!(!required, "there is no C compiler, and LAB_REQUIRE wants it");
        eprintln!("SKIPPED: there is no C compiler");
        return None;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(library)
}

fn driver(directory: &TempDir) -> Option<PathBuf> {
    driver_with(directory, &[])
}

fn gpu(library: &Path, told: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmap-demo"));
    command.args(["gpu", "--json", "-"]).env("MMAP_DEMO_CUDA", library).env("FAKE_CUDA", told);
    command.env("FAKE_CUDA_LOG", library.with_file_name("log")).output().unwrap()
}

fn outcome(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How each of the five claims was judged, and the reasons of those that were skipped: `true skipped:out_of_memory ...`.
fn judged(outcome: &Value) -> String {
    let word = |verdict: &Value| match verdict["reason"].as_str() {
        Some(reason) => format!("skipped:{reason}"),
        None => verdict["judged"].as_str().unwrap().to_owned(),
    };
    outcome["verdicts"].as_array().unwrap().iter().map(word).collect::<Vec<String>>().join(" ")
}

#[test]
fn without_a_context_there_is_a_reason_and_all_that_needs_one_is_skipped() {
    let directory = TempDir::new().unwrap();
    let missing = outcome(&gpu(&directory.path().join("no-such.so"), ""));
    assert_eq!(missing["skipped"]["reason"], "no_driver_library");
    assert_eq!(judged(&missing), ["skipped:no_driver_library"; 5].join(" "));
    let Some(driver) = driver(&directory) else { return };
    for (told, reason, said) in [
        ("cuInit=100", "no_device", "no GPU"),
        ("count=1", "no_device", "no GPU"),
        ("cuInit=3", "init_failed", "cuInit gave 3 (CUDA_ERROR_OF_THE_TEST)"),
        ("cuInit=999", "init_failed", "an error without a name"),
        ("cuInit=304", "not_permitted", "cuInit gave 304"),
        ("cuDeviceGetCount=3", "init_failed", "cuDeviceGetCount gave 3"),
        ("cuDeviceGetCount=100", "no_device", "no GPU"),
        ("cuDeviceGet=101", "init_failed", "cuDeviceGet gave 101"),
        ("cuDeviceGet=800", "not_permitted", "cuDeviceGet gave 800"),
        ("cuDevicePrimaryCtxRetain=800", "not_permitted", "cuDevicePrimaryCtxRetain gave 800"),
        ("cuDevicePrimaryCtxRetain=2", "out_of_memory", "cuDevicePrimaryCtxRetain said so"),
        ("cuCtxSetCurrent=201", "init_failed", "cuCtxSetCurrent gave 201"),
        ("cuCtxSetCurrent=2", "out_of_memory", "cuCtxSetCurrent said so"),
    ] {
        let log = directory.path().join("log");
        let _ = std::fs::remove_file(&log);
        let outcome = outcome(&gpu(&driver, told));
        assert_eq!(outcome["skipped"]["reason"], reason, "{told}: {outcome}");
        assert!(outcome["skipped"]["why"].as_str().unwrap().contains(said), "{told}: {outcome}");
        // The library was loaded all the same, and costs what it costs.
        let skipped = format!("skipped:{reason}");
        assert_eq!(judged(&outcome), format!("true {}", [skipped.as_str(); 4].join(" ")), "{told}: {outcome}");
        // What was retained is given back.
        let released = std::fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(released == "released 0\n", told.starts_with("cuCtxSetCurrent"), "{told}: {released}");
    }
}

#[test]
fn what_fails_late_takes_nothing_from_what_was_seen_before_or_after() {
    let directory = TempDir::new().unwrap();
    let Some(driver) = driver(&directory) else { return };
    for (told, expected) in [
        ("cuMemAlloc=2", "true true skipped:out_of_memory true true"),
        ("cuMemAlloc=800", "true true skipped:not_permitted true true"),
        ("cuMemsetD8=2", "true true skipped:out_of_memory true true"),
        ("cuMemsetD8=1", "true true skipped:init_failed true true"),
        ("cuCtxSynchronize=2", "true true skipped:out_of_memory true true"),
        ("cuMemHostAlloc=2", "true true false true skipped:out_of_memory"),
    ] {
        let log = directory.path().join("log");
        let _ = std::fs::remove_file(&log);
        let outcome = outcome(&gpu(&driver, told));
        assert!(outcome["skipped"].is_null(), "{told}: {outcome}");
        assert_eq!(judged(&outcome), expected, "{told}: {outcome}");
        let steps = outcome["result"]["steps"].as_array().unwrap();
        let failed = steps.iter().filter(|step| step["note"].as_str().unwrap().starts_with("failed: ")).count();
        assert_eq!(failed, 1, "{told}: {outcome}");
        // Memory that was allocated is freed, once, and so is the context.
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.lines().last(), Some("released 0"), "{told}: {log}");
        assert_eq!(log.matches("allocated").count(), log.matches("freed").count(), "{told}: {log}");
    }
}

#[test]
fn a_driver_that_works_is_judged_by_what_the_host_pays() {
    let directory = TempDir::new().unwrap();
    let Some(driver) = driver(&directory) else { return };
    let outcome = outcome(&gpu(&driver, ""));
    assert_eq!(judged(&outcome), "true true false true true", "{outcome}");
    assert!(outcome["skipped"].is_null());
    assert_eq!(outcome["values"]["context_virtual_gib"], 4.0);
    assert_eq!(outcome["values"]["memory_resident_percent"], 0.0);
    assert_eq!(outcome["values"]["pinned_resident_percent"], 100.0);
}

#[test]
fn a_driver_that_lacks_a_function_is_none_and_the_function_is_named() {
    let directory = TempDir::new().unwrap();
    for function in FUNCTIONS {
        // Under another name it is not there.
        let Some(driver) = driver_with(&directory, &[&format!("-D{function}=another")]) else { return };
        let outcome = outcome(&gpu(&driver, ""));
        assert_eq!(outcome["skipped"]["reason"], "no_driver_library", "{function}: {outcome}");
        assert!(outcome["skipped"]["why"].as_str().unwrap().contains(function), "{function}: {outcome}");
    }
}

#[test]
fn a_library_that_is_no_driver_is_none() {
    let directory = TempDir::new().unwrap();
    let text = directory.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    let outcome = outcome(&gpu(&text, ""));
    assert_eq!(outcome["skipped"]["reason"], "no_driver_library", "{outcome}");
}
