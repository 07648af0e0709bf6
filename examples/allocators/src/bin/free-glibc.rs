//! With the C library's allocator, as Rust has it by default; with `--one-arena` it may have no more than one.

use std::os::unix::process::CommandExt;
use std::process::Command;

const TUNABLES: &str = "GLIBC_TUNABLES";
const ONE_ARENA: &str = "glibc.malloc.arena_max=1";

fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() != Some("--one-arena") {
        return allocators::run("glibc");
    }
    if std::env::var(TUNABLES).is_ok_and(|set| set == ONE_ARENA) {
        return allocators::run("glibc-one-arena");
    }
    // The C library reads it before anything of ours runs: so once more.
    Err(Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(TUNABLES, ONE_ARENA).exec())
}
