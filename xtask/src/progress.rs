//! What a person sees while it runs, on stderr. Drawn between rounds alone: nothing here runs while a block is timed.

use std::time::{Duration, Instant};

use bench_harness::session::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::watched;

/// A plain line every so often, where stderr is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows where a session stands.
pub(crate) struct Display {
    bars: Option<(MultiProgress, ProgressBar, ProgressBar)>,
    last_line: Option<Instant>,
    last_title: String,
}

impl Display {
    /// Bars on a terminal, else plain lines.
    pub(crate) fn new() -> Self {
        let bars = watched().then(|| {
            let bars = MultiProgress::new();
            let style = |template: &str| {
                // The templates are constants; a wrong one would show in the first test.
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("█▌ ")
            };
            let one = bars.add(ProgressBar::new(0));
            one.set_style(style("{prefix:34} {bar:20} {msg}"));
            let all = bars.add(ProgressBar::new(0));
            all.set_style(style("{prefix:34} {bar:20} {msg}"));
            all.set_prefix("overall");
            (bars, one, all)
        });
        Self { bars, last_line: None, last_title: String::new() }
    }

    /// Draws the state after a round.
    pub(crate) fn show(&mut self, progress: &Progress<'_>) {
        let left = progress.left.map_or_else(String::new, |left| format!(" · at most about {} left", clock(left)));
        let decided =
            progress.comparison.contenders.iter().filter(|row| row.ratio.values().any(|ratio| ratio.decided)).count();
        let round = format!("round {} of {}", progress.rounds, progress.target);
        let overall = format!("{} of {} comparisons{left}", progress.looked_at, progress.comparisons);
        if let Some((_, one, all)) = &self.bars {
            one.set_prefix(progress.title.to_owned());
            one.set_length(u64::from(progress.target));
            one.set_position(u64::from(progress.rounds));
            one.set_message(if decided > 0 { format!("{round} · {decided} decided") } else { round });
            all.set_length(progress.comparisons as u64);
            all.set_position(progress.looked_at as u64);
            all.set_message(format!("{overall} · Ctrl-C keeps what is there"));
            return;
        }
        let due = self.last_line.is_none_or(|last| last.elapsed() >= PLAIN_EVERY);
        if due || self.last_title != progress.title {
            anstream::eprintln!("{} · {round} · {overall}", progress.title);
            self.last_line = Some(Instant::now());
            progress.title.clone_into(&mut self.last_title);
        }
    }

    /// Clears the bars.
    pub(crate) fn end(self) {
        if let Some((bars, one, all)) = self.bars {
            one.finish_and_clear();
            all.finish_and_clear();
            let _ = bars.clear();
        }
    }
}

fn clock(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
