//! Outcomes for people: a table, a trace, a picture.

mod gantt;
mod number;
mod sweep;
mod table;
mod trace;

pub use gantt::{Picture, gantt};
pub use sweep::{SHOWN, sweep_table};
pub use table::table;
pub use trace::chrome_trace;
