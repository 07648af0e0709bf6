//! The program as it is run by hand: how it ends, and what it prints.

use std::collections::HashSet;
use std::process::Command;

#[test]
fn it_ends_by_itself_with_a_table_and_a_log() {
    let output = Command::new(env!("CARGO_BIN_EXE_axum-request-id")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let (log, rest) = text.split_once("\n\n").unwrap();

    let mut ids = HashSet::new();
    for row in rest.lines().skip(1).take_while(|line| !line.is_empty()) {
        let cells: Vec<_> = row.split_whitespace().collect();
        let [sent, id, in_context @ .., bare] = &cells[..] else { panic!("{row}") };
        assert!(["-", id].contains(sent), "{row}");
        assert_eq!(in_context, [*id; 4], "{row}");
        assert_eq!(*bare, "nobody", "{row}");
        assert!(ids.insert(*id), "{id} twice");
    }
    assert_eq!(ids.iter().filter(|id| id.starts_with("client-")).count(), 4);
    assert_eq!(ids.iter().filter(|id| id.starts_with("made-")).count(), 4);

    let count = |line: &str| log.lines().filter(|logged| *logged == line).count();
    for id in ids {
        assert_eq!(count(&format!("[{id}] INFO shelf checked")), 1);
        assert_eq!(count(&format!("[{id}] INFO receipt written")), 1);
    }
    assert_eq!(count("[nobody] INFO mail sent"), 8);
    assert_eq!(log.lines().count(), 24);
}
