//! What the own process sees when it touches memory. Alone in its process: every test beside it would take and give some.

use mmap_demo::{Detail, Figure, MemorySnapshot, Process};

#[test]
fn memory_that_is_touched_shows_as_anonymous_and_as_minor_faults() {
    const BYTES: usize = 32 << 20;
    let own = Process::own().unwrap();
    let before = MemorySnapshot::of(&own, Detail::Sharing).unwrap();
    let block = vec![7_u8; BYTES];
    let change = MemorySnapshot::of(&own, Detail::Sharing).unwrap().since(&before);
    let near = |bytes: i64| (BYTES.cast_signed() as i64 * 3 / 4..BYTES.cast_signed() as i64 * 5 / 4).contains(&bytes);
    for figure in [Figure::ResidentExact, Figure::PrivateDirty, Figure::ResidentAnonymous, Figure::Proportional] {
        assert!(near(change.get(figure).unwrap()), "{figure:?}\n{change}");
    }
    assert!(change.get(Figure::MinorFaults).unwrap() > 0);
    assert!(change.to_string().contains("private_dirty"), "{change}");
    assert_eq!(block[BYTES / 2], 7);
}
