//! With the C library's allocator, as Rust has it by default.

fn main() -> std::io::Result<()> {
    allocators::run("free-glibc")
}
