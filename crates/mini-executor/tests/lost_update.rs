//! What `examples/lost_update.rs` says.

#[path = "../examples/lost_update.rs"]
mod lost_update;

#[test]
fn the_example_loses_an_update_shows_how_and_finds_nothing_with_a_lock() {
    let mut told = Vec::new();
    lost_update::tell(&mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("The counter says 1.\n"), "{told}");
    assert!(told.contains("left: 1\n") && told.contains("right: 2\n"), "{told}");
    assert!(told.contains("Run again, it was the same"), "{told}");
    // The turns: both read, and yield, before one writes, and ends.
    let turns = |name: &str, what: &str| {
        let is_it = |line: &&str| line.contains(&format!("{name:?}")) && line.contains(what);
        let line = told.lines().find(is_it).unwrap_or_else(|| panic!("{name} {what}: {told}"));
        line.split_whitespace().next().unwrap().parse::<u32>().unwrap()
    };
    let last_read = turns("first", "yields").max(turns("second", "yields"));
    assert!(last_read < turns("first", "ends").min(turns("second", "ends")), "{told}");
    assert!(told.trim_end().ends_with(" different interleavings.") && told.contains("1000 runs passed"), "{told}");
}
