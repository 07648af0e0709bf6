//! What the attribute refuses, as the compiler says it: with the remedy.
#![cfg(feature = "macros")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The compiler's errors for a function with this attribute.
fn errors(package: &Path, items: &str) -> String {
    fs::write(package.join("src/lib.rs"), format!("#![allow(dead_code)]\nuse alloc_trace::alloc_budget;\n{items}\n"))
        .unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    let check = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--color=never"])
        .current_dir(package)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    String::from_utf8(check.stderr).unwrap()
}

#[test]
fn errors_say_what_would_be_right_and_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path();
    fs::create_dir(package.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"refused\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         alloc-trace = {{ path = {:?}, default-features = false, features = [\"macros\"] }}\n",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();

    assert_eq!(errors(package, "#[alloc_budget(max_allocs = 0)] fn f() {}"), "", "this is right");
    let cases = [
        (
            "#[alloc_budget] fn f() {}",
            "a budget without limits: write limits, for example `#[alloc_budget(max_allocs = 0)]`",
            "3:1",
        ),
        ("#[alloc_budget(max_alloc = 0)] fn f() {}", "there is no `max_alloc`: write `max_allocs`", "3:16"),
        ("#[alloc_budget(max_allocs)] fn f() {}", "`max_allocs` needs a value: write `max_allocs = ...`", "3:16"),
        ("#[alloc_budget(max_allocs = )] fn f() {}", "`max_allocs` needs a value", "3:16"),
        ("#[alloc_budget(7)] fn f() {}", "write limits, for example", "3:16"),
        ("#[alloc_budget(max_peak = 1, max_peak = 2)] fn f() {}", "`max_peak` is given twice: leave one", "3:30"),
        ("#[alloc_budget(max_allocs = 0, scope = task)] fn f() {}", "this function is not async", "3:1"),
        ("#[alloc_budget(max_allocs = 0, scope = thread)] async fn f() {}", "write `scope = task`", "3:1"),
        ("#[alloc_budget(max_allocs = 0, scope = process)] async fn f() {}", "between its polls others run", "3:1"),
        ("#[alloc_budget(max_allocs = 0)] struct S;", "put `#[alloc_budget(..)]` on a `fn`", "3:1"),
        ("#[alloc_budget(max_allocs = 0)] const fn f() {}", "a const function can't have a budget", "3:33"),
        ("trait T {\n#[alloc_budget(max_allocs = 0)] fn f(); }", "on a `fn` with a body", "4:1"),
        ("#[alloc_budget(max_allocs = \"0\")] fn f() {}", "expected `u64`, found `&str`", "3:29"),
    ];
    for (items, message, place) in cases {
        let found = errors(package, items);
        assert!(found.contains(message), "{items}\n{found}");
        assert!(found.contains(&format!("src/lib.rs:{place}")), "{items}\n{found}");
        assert_eq!(
            found.matches("\nerror").count() + usize::from(found.starts_with("error")),
            2,
            "one, and the sum: {found}"
        );
    }
}
