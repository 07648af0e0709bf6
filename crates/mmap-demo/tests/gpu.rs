//! The GPU experiment without a GPU: a driver that the system's C compiler makes, which fails where it is told to.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A driver whose memory of the device is none of the host's, as a real one's. `FAKE_CUDA` says which call gives which error: `cuInit=100`.
const SOURCE: &str = r#"
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
int cuDeviceGetCount(int *count) { *count = code("count") ? 0 : 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7 + ordinal; return 0; }
static char *reserved;
int cuDevicePrimaryCtxRetain(void **context, int device) {
    int error = device == 7 ? code("cuDevicePrimaryCtxRetain") : 1;
    if (error) return error;
    reserved = mmap(0, 4UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    memset(malloc(8 << 20), 1, 8 << 20);
    *context = reserved;
    return 0;
}
int cuCtxSetCurrent(void *context) { return context == reserved ? 0 : 1; }
int cuDevicePrimaryCtxRelease_v2(int device) { return munmap(reserved, 4UL << 30) || device != 7; }
int cuMemAlloc_v2(unsigned long long *address, size_t bytes) { *address = 1; return bytes == 1 << 30 ? code("cuMemAlloc") : 1; }
int cuMemsetD8_v2(unsigned long long address, unsigned char byte, size_t bytes) { return address != 1 || byte != 1 || bytes != 1 << 30; }
int cuCtxSynchronize(void) { return code("cuCtxSynchronize"); }
int cuMemFree_v2(unsigned long long address) { return address != 1; }
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    int error = flags ? 1 : code("cuMemHostAlloc");
    if (error) return error;
    *address = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(*address, 1, bytes);
    return 0;
}
int cuMemFreeHost(void *address) { return munmap(address, 256 << 20); }
"#;

/// The library; `None` where there is no compiler, which is said.
fn driver(directory: &TempDir) -> Option<PathBuf> {
    let (source, library) = (directory.path().join("driver.c"), directory.path().join("libdriver.so"));
    std::fs::write(&source, SOURCE).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    let Ok(compiled) = compiled else {
        eprintln!("skipped: there is no C compiler");
        return None;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(library)
}

fn gpu(library: &Path, told: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmap-demo"));
    command.args(["gpu", "--json", "-"]).env("MMAP_DEMO_CUDA", library).env("FAKE_CUDA", told).output().unwrap()
}

fn outcome(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn each_way_to_fail_has_its_reason_and_skips_all_claims() {
    let directory = TempDir::new().unwrap();
    let missing = outcome(&gpu(&directory.path().join("no-such.so"), ""));
    assert_eq!(missing["skipped"]["reason"], "no_driver_library");
    let Some(driver) = driver(&directory) else { return };
    for (told, reason, said) in [
        ("cuInit=100", "no_device", "no GPU"),
        ("count=1", "no_device", "no GPU"),
        ("cuInit=3", "init_failed", "cuInit gave 3 (CUDA_ERROR_OF_THE_TEST)"),
        ("cuInit=999", "init_failed", "an error without a name"),
        ("cuInit=304", "not_permitted", "cuInit gave 304"),
        ("cuDevicePrimaryCtxRetain=800", "not_permitted", "cuDevicePrimaryCtxRetain gave 800"),
        ("cuDevicePrimaryCtxRetain=2", "out_of_memory", "cuDevicePrimaryCtxRetain said so"),
        ("cuMemAlloc=2", "out_of_memory", "cuMemAlloc said so"),
        ("cuCtxSynchronize=2", "out_of_memory", "cuCtxSynchronize said so"),
        ("cuMemHostAlloc=2", "out_of_memory", "cuMemHostAlloc said so"),
    ] {
        let outcome = outcome(&gpu(&driver, told));
        assert_eq!(outcome["skipped"]["reason"], reason, "{told}: {outcome}");
        assert!(outcome["skipped"]["why"].as_str().unwrap().contains(said), "{told}: {outcome}");
        let verdicts = outcome["verdicts"].as_array().unwrap();
        assert!(
            verdicts.len() == 4 && verdicts.iter().all(|verdict| verdict["judged"] == "skipped"),
            "{told}: {outcome}"
        );
    }
}

#[test]
fn a_driver_that_works_is_judged_by_what_the_host_pays() {
    let directory = TempDir::new().unwrap();
    let Some(driver) = driver(&directory) else { return };
    let outcome = outcome(&gpu(&driver, ""));
    let judged: Vec<_> = outcome["verdicts"].as_array().unwrap().iter().map(|verdict| &verdict["judged"]).collect();
    assert_eq!(judged, ["true", "false", "true", "true"], "{outcome}");
    assert!(outcome["skipped"].is_null());
    assert_eq!(outcome["values"]["context_virtual_gib"], 4.0);
    assert_eq!(outcome["values"]["memory_resident_percent"], 0.0);
    assert_eq!(outcome["values"]["pinned_resident_percent"], 100.0);
}

#[test]
fn a_library_that_is_no_driver_is_none() {
    let directory = TempDir::new().unwrap();
    let text = directory.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    let outcome = outcome(&gpu(&text, ""));
    assert_eq!(outcome["skipped"]["reason"], "no_driver_library", "{outcome}");
}
