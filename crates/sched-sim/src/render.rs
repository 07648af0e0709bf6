//! Outcomes for people and for other programs: a table, a picture, a trace. All are plain functions of the outcome.

mod gantt;
mod table;
mod trace;

pub use gantt::gantt;
pub use table::table;
pub use trace::chrome_trace;
