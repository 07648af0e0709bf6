//! Latencies: merged into one histogram, read only where there are events enough, and measured on a schedule that a
//! slow server cannot slow down.

use std::num::NonZeroU64;

use hdrhistogram::Histogram;

/// The largest latency told apart, ns (104 days): the largest whole number that every JSON reader keeps. Longer ones
/// count as this long.
pub const LONGEST_NS: u64 = 1 << 53;

/// The quantiles that reports show.
pub(crate) const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// A quantile q needs 10 / (1 - q) events: so that about ten lie beyond it, and not one or two accidents decide.
const EVENTS_BEYOND: f64 = 10.0;

/// Latencies of any number of blocks, to three significant digits (`HdrHistogram`, Gil Tene).
///
/// ```
/// use bench_harness::tails::Tails;
///
/// let mut tails = Tails::new();
/// tails.add(&[(1_000, 990), (5_000, 9), (80_000, 1)]).unwrap();
/// assert_eq!(tails.median(), Some(1_000));
/// assert_eq!(tails.quantile(0.99), Some(1_000));
/// // Would need 10,000 events.
/// assert_eq!(tails.quantile(0.999), None);
/// assert_eq!(tails.max(), Some(80_000));
/// ```
#[derive(Debug, Clone)]
pub struct Tails {
    histogram: Histogram<u64>,
    /// The histogram knows it to three digits only.
    max: u64,
}

/// More events than a 64-bit number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than 2^64 - 1 latencies: the counts of a list are wrong")]
pub struct TooManyEvents;

impl Default for Tails {
    fn default() -> Self {
        Self::new()
    }
}

impl Tails {
    /// No latencies yet.
    ///
    /// # Panics
    /// Never: three digits are within what the histogram offers.
    pub fn new() -> Self {
        let histogram = Histogram::new(3).expect("0 to 5 significant digits are possible");
        Self { histogram, max: 0 }
    }

    /// Merges a block's list of (latency in ns, how often). Latencies above [`LONGEST_NS`] count as that long.
    ///
    /// # Errors
    /// When the events in all are more than fit 64 bits; then nothing of the list is merged.
    ///
    /// # Panics
    /// Never: the histogram grows to any latency of 64 bits.
    pub fn add(&mut self, latencies: &[(u64, u64)]) -> Result<(), TooManyEvents> {
        let events = latencies.iter().try_fold(self.events(), |sum, &(_, count)| sum.checked_add(count));
        events.ok_or(TooManyEvents)?;
        for &(latency_ns, count) in latencies.iter().filter(|&&(_, count)| count > 0) {
            let latency_ns = latency_ns.min(LONGEST_NS);
            self.histogram.record_n(latency_ns, count).expect("the histogram grows with its values");
            self.max = self.max.max(latency_ns);
        }
        Ok(())
    }

    /// How many latencies there are.
    pub fn events(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that the share `q` of the events does not exceed, ns, at most 0.1 % too high. `None` when `q` is
    /// not in [0, 1), or when there are fewer than 10 / (1 - q) events: 20 for the median, 1,000 for p99, 10,000 for
    /// p99.9.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if !(0.0..1.0).contains(&q) {
            return None;
        }
        // 100 * (1 - 0.9) is a little below 10 in floating point, and 100 events are enough for p90.
        let beyond = self.events() as f64 * (1.0 - q) * (1.0 + 1e-9);
        // The histogram answers with the largest latency it cannot tell from the right one.
        (beyond >= EVENTS_BEYOND).then(|| self.histogram.value_at_quantile(q).min(self.max))
    }

    /// The latency that half of the events do not exceed, ns: `quantile(0.5)`, so `None` below 20 events.
    pub fn median(&self) -> Option<u64> {
        self.quantile(0.5)
    }

    /// The longest latency, ns, exactly; `None` when there is none. One event, whatever their number: not to be compared.
    pub fn max(&self) -> Option<u64> {
        (self.events() > 0).then_some(self.max)
    }

    /// The latencies as the protocol carries them: (ns to three digits, how often), rising.
    pub fn pairs(&self) -> Vec<(u64, u64)> {
        let recorded = self.histogram.iter_recorded();
        recorded.map(|step| (step.value_iterated_to().min(self.max), step.count_at_value())).collect()
    }
}

/// A load generator's schedule: requests start at a fixed rate whatever the server does, and latency counts from when a
/// request *should* have started.
///
/// A generator that waits for an answer before it sends the next request asks a stalled server nothing, and so
/// measures one long latency where users at that rate would have had thousands ("coordinated omission"; Tene, "How NOT
/// to measure latency"; wrk2). Here the requests that became due during the stall start late, and their wait counts.
///
/// It holds no clock: the caller says what time it is, so that a test can.
///
/// ```
/// use std::num::NonZeroU64;
/// use bench_harness::tails::OpenLoop;
///
/// let begin = bench_harness::monotonic_ns();
/// let mut load = OpenLoop::new(begin, NonZeroU64::new(1_000_000).unwrap());
/// for _ in 0..100 {
///     let intended = load.next_start();
///     while bench_harness::monotonic_ns() < intended {}
///     load.started(intended, bench_harness::monotonic_ns());
///     std::hint::black_box(intended); // The request.
///     load.finished(intended, bench_harness::monotonic_ns());
/// }
/// assert_eq!(load.latencies().events(), 100);
/// ```
#[derive(Debug, Clone)]
pub struct OpenLoop {
    begin_ns: u64,
    per_second: NonZeroU64,
    issued: u64,
    latencies: Tails,
    lateness: Tails,
}

impl OpenLoop {
    /// The first request is due at `begin_ns`, the others follow at `per_second` requests a second.
    pub fn new(begin_ns: u64, per_second: NonZeroU64) -> Self {
        Self { begin_ns, per_second, issued: 0, latencies: Tails::new(), lateness: Tails::new() }
    }

    /// When the next request should start, ns; each call is another request. The generator waits until then, or starts
    /// at once where that has passed.
    pub fn next_start(&mut self) -> u64 {
        let start = self.start_of(self.issued);
        self.issued += 1;
        start
    }

    /// How many requests should have started by `now_ns` and were not yet handed out.
    pub fn overdue(&self, now_ns: u64) -> u64 {
        let Some(elapsed) = now_ns.checked_sub(self.begin_ns) else { return 0 };
        // Request i is due at begin + floor(i * 10^9 / rate): so all i with i * 10^9 < (elapsed + 1) * rate are.
        let due = ((u128::from(elapsed) + 1) * u128::from(self.per_second.get())).div_ceil(1_000_000_000);
        (due as u64).saturating_sub(self.issued)
    }

    /// The request that was due at `intended_ns` starts now. What it is late is the generator's own delay; where that is
    /// no small part of the latency, the figures are about the generator.
    pub fn started(&mut self, intended_ns: u64, now_ns: u64) {
        record(&mut self.lateness, now_ns.saturating_sub(intended_ns));
    }

    /// The request that was due at `intended_ns` has its answer now. Requests still without one when the experiment ends
    /// (and those [`overdue`](Self::overdue)) have to be finished with its end: at least so long they would have
    /// taken, and leaving them out would omit the worst.
    pub fn finished(&mut self, intended_ns: u64, now_ns: u64) {
        record(&mut self.latencies, now_ns.saturating_sub(intended_ns));
    }

    /// Latencies from the intended starts.
    pub fn latencies(&self) -> &Tails {
        &self.latencies
    }

    /// How late the generator itself started its requests.
    pub fn lateness(&self) -> &Tails {
        &self.lateness
    }

    /// From the request's number and not from the start before it: a rounded gap would add up to another rate.
    fn start_of(&self, request: u64) -> u64 {
        let offset = u128::from(request) * 1_000_000_000 / u128::from(self.per_second.get());
        self.begin_ns.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }
}

fn record(tails: &mut Tails, latency_ns: u64) {
    tails.add(&[(latency_ns, 1)]).expect("no machine sees 2^64 requests");
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rate(per_second: u64) -> NonZeroU64 {
        NonZeroU64::new(per_second).unwrap()
    }

    #[test]
    fn a_quantile_is_refused_until_ten_events_lie_beyond() {
        for (q, needed) in [(0.5, 20), (0.9, 100), (0.99, 1_000), (0.999, 10_000), (0.9999, 100_000)] {
            let mut tails = Tails::new();
            tails.add(&[(7, needed - 1)]).unwrap();
            assert_eq!(tails.quantile(q), None, "{q}");
            tails.add(&[(7, 1)]).unwrap();
            assert_eq!(tails.quantile(q), Some(7), "{q}");
        }
    }

    #[test]
    fn blocks_merge_as_if_they_were_one() {
        let (mut parts, mut whole) = (Tails::new(), Tails::new());
        for block in 0..50_u64 {
            let list: Vec<_> = (1..100).map(|step| (step * (1_000 + block * 37), 1 + step % 3)).collect();
            parts.add(&list).unwrap();
            whole.add(&parts_of(&list)).unwrap();
        }
        assert_eq!(parts.pairs(), whole.pairs());
        let mut again = Tails::new();
        again.add(&whole.pairs()).unwrap();
        assert_eq!(again.pairs(), whole.pairs());
        assert_eq!((again.events(), again.max()), (whole.events(), whole.max()));
    }

    /// Every event by itself, the last first.
    fn parts_of(list: &[(u64, u64)]) -> Vec<(u64, u64)> {
        list.iter().rev().flat_map(|&(latency, count)| (0..count).map(move |_| (latency, 1))).collect()
    }

    #[test]
    fn quantiles_are_right_to_three_digits_from_nanoseconds_to_days() {
        for scale in [1, 1_000, 1_000_000_000, 1 << 42] {
            let mut tails = Tails::new();
            tails.add(&(1..=1_000).map(|step| (step * scale, 1)).collect::<Vec<_>>()).unwrap();
            for (q, step) in [(0.5, 500), (0.9, 900), (0.99, 990)] {
                let (read, expected) = (tails.quantile(q).unwrap(), step * scale);
                assert!(read >= expected && read <= expected + expected / 1_000, "{q} of {scale}: {read}");
            }
        }
    }

    #[test]
    fn absurd_latencies_count_as_the_longest() {
        let mut tails = Tails::new();
        tails.add(&[(u64::MAX, 30), (0, 30)]).unwrap();
        assert_eq!((tails.max(), tails.median(), tails.quantile(0.6)), (Some(LONGEST_NS), Some(0), Some(LONGEST_NS)));
    }

    #[test]
    fn a_list_that_counts_too_much_changes_nothing() {
        let mut tails = Tails::new();
        tails.add(&[(5, u64::MAX - 1)]).unwrap();
        assert_eq!(tails.add(&[(9, 1), (9, 1)]), Err(TooManyEvents));
        assert_eq!((tails.events(), tails.max()), (u64::MAX - 1, Some(5)));
    }

    #[test]
    fn nothing_has_no_tail() {
        let mut tails = Tails::new();
        tails.add(&[(80, 0)]).unwrap();
        assert_eq!((tails.events(), tails.max(), tails.median(), tails.quantile(0.0)), (0, None, None, None));
        tails.add(&[(80, 100)]).unwrap();
        assert_eq!((tails.quantile(1.0), tails.quantile(-0.1), tails.quantile(f64::NAN)), (None, None, None));
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_is_kept() {
        let mut load = OpenLoop::new(5, rate(3));
        let starts: Vec<_> = (0..7).map(|_| load.next_start()).collect();
        assert_eq!(starts, [5, 333_333_338, 666_666_671, 1_000_000_005, 1_333_333_338, 1_666_666_671, 2_000_000_005]);
    }

    #[test]
    fn overdue_counts_what_should_have_started() {
        for per_second in [1, 3, 7, 1_000, 3_000_000, 2_000_000_000] {
            let mut load = OpenLoop::new(100, rate(per_second));
            assert_eq!((load.overdue(0), load.overdue(99)), (0, 0));
            for request in 0..50 {
                let start = load.start_of(request);
                assert!(load.overdue(start) >= 1, "{per_second}: request {request} is due at its start");
                assert_eq!(load.next_start(), start);
                // Above one a nanosecond several are due at once.
                let others =
                    (load.issued..load.issued + 9).filter(|&other| load.start_of(other) <= start).count() as u64;
                assert_eq!(load.overdue(start), others);
            }
        }
    }

    /// One connection, a server that answers in 1 ms but stalls for 1 s in the middle of 10 s, and a request every 10 ms.
    /// Gives the latencies from the intended and from the actual starts.
    fn stall() -> (OpenLoop, Tails) {
        let (stall_begin, stall_end) = (5_000 * MS, 6_000 * MS);
        let mut load = OpenLoop::new(0, rate(100));
        let mut closed = Tails::new();
        let mut now = 0;
        for _ in 0..1_000 {
            let intended = load.next_start();
            now = now.max(intended);
            load.started(intended, now);
            let actual = now;
            now += MS;
            if (stall_begin..stall_end).contains(&actual) {
                now = stall_end;
            }
            load.finished(intended, now);
            closed.add(&[(now - actual, 1)]).unwrap();
        }
        (load, closed)
    }

    #[test]
    fn a_stall_counts_for_every_request_that_should_have_started_meanwhile() {
        let (load, closed) = stall();
        let slow = |tails: &Tails| -> u64 {
            tails.pairs().iter().filter(|&&(latency, _)| latency > 2 * MS).map(|&(_, count)| count).sum()
        };
        // From the actual start one request was slow, and p99 looks fine.
        assert_eq!(slow(&closed), 1);
        assert!(closed.quantile(0.99).unwrap() < 2 * MS);
        // The first of the stall waits 1,000 ms, each later one 9 ms less (due 10 ms later, answered 1 ms later), until
        // the queue has drained: 1,000 - 9 * 110 = 10 ms is the last, and then 1 ms again.
        assert_eq!(slow(load.latencies()), 111);
        assert_eq!(load.latencies().max(), Some(1_000 * MS));
        assert!(load.latencies().quantile(0.99).unwrap() > 900 * MS);
        // One connection cannot start on time either, and the schedule says so.
        assert!(load.lateness().quantile(0.99).unwrap() > 900 * MS);
    }

    #[test]
    fn those_due_first_in_the_stall_wait_longest() {
        let (load, _) = stall();
        let waits: Vec<_> = load.latencies().pairs().into_iter().rev().take(100).collect();
        for (place, (wait, count)) in waits.into_iter().enumerate() {
            let expected = (1_000 - 9 * place as u64) * MS;
            assert_eq!(count, 1);
            assert!(wait.abs_diff(expected) <= expected / 1_000, "{place}: {wait}");
        }
    }
}
