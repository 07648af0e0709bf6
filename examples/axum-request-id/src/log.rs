//! A log whose lines begin with the request that they were written for.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::request_id::with_id;

/// Any of `tracing_subscriber`'s formats, with the request's id before it.
///
/// An event is formatted where it happens, in the context of the work that it tells of. So there is nothing to hand over: no span has to
/// be opened for the request, or entered in what it spawns.
struct WithRequestId<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithRequestId<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, about: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        with_id(|id| write!(writer, "[{id}]"))?;
        self.0.format_event(about, writer, event)
    }
}

/// Where the log goes: to the standard output, and here, for the program to check it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// All lines that were written.
    pub(crate) fn all(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl Write for Lines {
    /// Called once for each line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        io::stdout().write_all(line)?;
        lines.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Makes it the program's log.
pub(crate) fn start() -> anyhow::Result<Lines> {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(subscriber(&lines)).map_err(|error| anyhow!("no log: {error}"))?;
    Ok(lines)
}

fn subscriber(lines: &Lines) -> impl Subscriber + Send + Sync + use<> {
    let lines = lines.clone();
    tracing_subscriber::fmt()
        .event_format(WithRequestId(Format::default().without_time().with_target(false).with_ansi(false)))
        .with_writer(move || lines.clone())
        .finish()
}

#[cfg(test)]
mod tests {
    use tracing::info;

    use super::*;
    use crate::request_id::REQUEST_ID;

    #[test]
    fn each_line_begins_with_the_id_of_its_moment() {
        let lines = Lines::default();
        tracing::subscriber::with_default(subscriber(&lines), || {
            info!(shelf = 3, "before");
            REQUEST_ID.scope("ada-1".into(), || info!("within"));
            info!("after");
        });
        assert_eq!(lines.all(), ["[nobody] INFO before shelf=3", "[ada-1] INFO within", "[nobody] INFO after"]);
    }
}
