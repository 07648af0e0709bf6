//! Waiting for time: sleeping, intervals, time-outs.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::awaits;
use crate::clock;
use crate::driver::Driver;
use crate::timers::Key;

/// From this slack on a timer may be late by a rounded-up millisecond of epoll's.
const COARSE: Duration = Duration::from_millis(1);

/// Waits until `duration` has passed, precisely: late by what the kernel needs, some 10 us. A timer that may be late says so by
/// [`slack`](Sleep::slack), and many of them cost less.
///
/// # Panics
/// When it is awaited outside [`block_on`](crate::block_on): there is nobody to serve the timer.
///
/// ```
/// use mini_executor::{block_on, sleep};
/// use std::time::{Duration, Instant};
///
/// let begin = Instant::now();
/// block_on(sleep(Duration::from_millis(2)));
/// assert!(begin.elapsed() >= Duration::from_millis(2));
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::at(clock::now().saturating_add(clock::nanos(duration)))
}

/// What time it is for timers: [`Instant::now`], but on a thread that runs a [deterministic runtime](crate::Runtime::deterministic) its
/// virtual time. What measures how long it took, or gives [`sleep_until`] a deadline, asks here to be testable there.
///
/// ```
/// use mini_executor::{Runtime, now, sleep};
/// use std::time::Duration;
///
/// let took = Runtime::deterministic(1).block_on(async {
///     let begin = now();
///     sleep(Duration::from_hours(1)).await;
///     now() - begin
/// });
/// assert_eq!(took, Duration::from_hours(1));
/// ```
pub fn now() -> Instant {
    clock::instant()
}

/// Waits until `deadline`. As [`sleep`].
///
/// ```
/// use mini_executor::{block_on, sleep_until};
/// use std::time::{Duration, Instant};
///
/// let deadline = Instant::now() + Duration::from_millis(1);
/// block_on(sleep_until(deadline));
/// assert!(Instant::now() >= deadline);
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::at(clock::at(deadline))
}

/// What [`sleep`] and [`sleep_until`] give.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sleep {
    /// In nanoseconds of the process's clock.
    due: u64,
    is_precise: bool,
    key: Key,
    /// Whose timer it is, once it is one.
    driver: Option<Arc<Driver>>,
}

impl Sleep {
    fn at(due: u64) -> Self {
        Self { due, is_precise: true, key: 0, driver: None }
    }

    /// Lets the timer be late by as much as `slack`: it is due at the next whole multiple of it, together with all others of the
    /// same slack. 1 ms is what tokio does; thousands of timers then cost one wait. Has no effect on a timer that was polled.
    ///
    /// ```
    /// use mini_executor::{block_on, sleep};
    /// use std::time::Duration;
    ///
    /// block_on(sleep(Duration::from_micros(100)).slack(Duration::from_millis(1)));
    /// ```
    pub fn slack(mut self, slack: Duration) -> Self {
        let slack_ns = clock::nanos(slack);
        if self.driver.is_none() && slack_ns > 0 {
            self.due = self.due.checked_next_multiple_of(slack_ns).unwrap_or(u64::MAX);
            self.is_precise = slack < COARSE;
        }
        self
    }

    #[track_caller]
    fn arm(&mut self, context: &mut Context<'_>) {
        let driver = Driver::current().expect(
            "a timer was awaited where nobody serves it: run the future with mini_executor::block_on, \
             or take the timer of the runtime that runs it",
        );
        self.key = driver.arm(self.due, self.is_precise, context.waker());
        self.driver = Some(driver);
    }

    fn disarm(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.disarm(self.key);
        }
    }
}

impl From<Duration> for Sleep {
    fn from(duration: Duration) -> Self {
        sleep(duration)
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(driver) = &self.driver {
            if driver.poll_timer(self.key, context.waker()) {
                return Poll::Ready(());
            }
            if driver.is_current() {
                awaits::here();
                return Poll::Pending;
            }
            // Awaited on another thread now, whose driver it is that serves it.
            self.disarm();
        }
        // A deadline that has passed needs no timer, and sleeping for no time is over at once.
        if self.due <= clock::now() {
            return Poll::Ready(());
        }
        self.arm(context);
        awaits::here();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remaining = Duration::from_nanos(self.due.saturating_sub(clock::now()));
        f.debug_struct("Sleep").field("remaining", &remaining).finish_non_exhaustive()
    }
}

/// Ticks every `period`: first after one period, and then on schedule, however long the work between ticks takes. Ticks that were
/// missed come at once, one after the other.
///
/// # Panics
/// When `period` is zero.
///
/// ```
/// use mini_executor::{block_on, interval};
/// use std::time::{Duration, Instant};
///
/// let begin = Instant::now();
/// block_on(async {
///     let mut ticks = interval(Duration::from_millis(1));
///     for _ in 0..3 {
///         ticks.tick().await;
///     }
/// });
/// assert!(begin.elapsed() >= Duration::from_millis(3));
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval of no time would tick for ever without waiting");
    Interval { next: clock::now(), period: clock::nanos(period), slack: Duration::ZERO }
}

/// What [`interval`] gives.
#[derive(Debug)]
pub struct Interval {
    next: u64,
    period: u64,
    slack: Duration,
}

impl Interval {
    /// Lets each tick be late, as [`Sleep::slack`] does. The ticks stay on schedule.
    ///
    /// ```
    /// use mini_executor::{block_on, interval};
    /// use std::time::Duration;
    ///
    /// let mut ticks = interval(Duration::from_millis(2)).slack(Duration::from_millis(1));
    /// block_on(ticks.tick());
    /// ```
    #[must_use]
    pub fn slack(self, slack: Duration) -> Self {
        Self { slack, ..self }
    }

    /// Waits for the next tick. If this future is dropped, the tick is not lost: the next call waits for it.
    ///
    /// ```
    /// use mini_executor::{block_on, interval};
    /// use std::time::Duration;
    ///
    /// block_on(async {
    ///     let mut ticks = interval(Duration::from_millis(1));
    ///     ticks.tick().await; // after 1 ms
    ///     ticks.tick().await; // after 2 ms, counted from the beginning
    /// });
    /// ```
    #[track_caller]
    pub fn tick(&mut self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let due = self.next.saturating_add(self.period);
            awaits::from(place, Sleep::at(due).slack(self.slack)).await;
            self.next = due;
        }
    }
}

/// Waits for `future`, but no longer than `time`: a duration from the first poll on, or a [`Sleep`], which may have a slack.
///
/// # Errors
/// [`TimedOut`] when the time has passed; the future is dropped then. It is polled once more first: a result that is there counts.
///
/// ```
/// use mini_executor::{TimedOut, block_on, timeout};
/// use std::future::{pending, ready};
/// use std::time::Duration;
///
/// assert_eq!(block_on(timeout(Duration::from_millis(1), pending::<()>())), Err(TimedOut));
/// assert_eq!(block_on(timeout(Duration::ZERO, ready(1))), Ok(1));
/// ```
///
/// Time-outs of connections may be late, and are cheap then:
///
/// ```
/// use mini_executor::{block_on, sleep, timeout};
/// use std::time::Duration;
///
/// let in_30_s = sleep(Duration::from_secs(30)).slack(Duration::from_millis(1));
/// assert_eq!(block_on(timeout(in_30_s, async { "an answer" })), Ok("an answer"));
/// ```
#[track_caller]
pub fn timeout<T>(
    time: impl Into<Sleep>,
    future: impl Future<Output = T>,
) -> impl Future<Output = Result<T, TimedOut>> {
    let place = Location::caller();
    async move {
        let mut future = pin!(future);
        let mut sleep = pin!(time.into());
        std::future::poll_fn(|context| {
            awaits::or(place, || {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(output));
                }
                // It is the future that is awaited, and not the end of the time.
                awaits::quietly(|| sleep.as_mut().poll(context)).map(|()| Err(TimedOut))
            })
        })
        .await
    }
}

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over before the future had its result")
    }
}

impl std::error::Error for TimedOut {}
