//! How long a queue is over time: its mean and its most, and each change if the timeline shall have it.

/// The length of one queue.
#[derive(Debug, Default)]
pub(crate) struct DepthLog {
    depth: u32,
    pub(crate) most: u32,
    /// Since when it has that length.
    since: u64,
    /// Length times time, up to then.
    area: u128,
    /// (from when, how long); `None` if nobody wants to know.
    changes: Option<Vec<(u64, u32)>>,
    /// The most entries.
    room: usize,
    pub(crate) truncated: bool,
}

impl DepthLog {
    /// A queue that is empty at time 0; up to `room` changes are kept.
    pub(crate) fn new(room: Option<u64>) -> Self {
        Self { changes: room.map(|_| Vec::new()), room: room.unwrap_or(0) as usize, ..Self::default() }
    }

    /// The queue has this length from now on.
    #[inline]
    pub(crate) fn note(&mut self, now: u64, depth: usize) {
        let depth = depth as u32;
        self.area += u128::from(self.depth) * u128::from(now - self.since);
        self.since = now;
        self.depth = depth;
        self.most = self.most.max(depth);
        let Some(changes) = &mut self.changes else { return };
        let has_room = changes.len() < self.room;
        match changes.last_mut() {
            Some((_, last)) if *last == depth => {}
            // Of one instant the last one counts.
            Some((time, last)) if *time == now => *last = depth,
            _ if has_room => changes.push((now, depth)),
            _ => self.truncated = true,
        }
    }

    /// The mean length up to the end of the run.
    pub(crate) fn mean(&self, end: u64) -> f64 {
        let area = self.area + u128::from(self.depth) * u128::from(end.saturating_sub(self.since));
        if end == 0 { 0.0 } else { area as f64 / end as f64 }
    }

    pub(crate) fn changes(&self) -> Option<&[(u64, u32)]> {
        self.changes.as_deref()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.changes.as_ref().map_or(0, |changes| changes.capacity() * size_of::<(u64, u32)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_time_and_an_instant_has_one_length() {
        let mut log = DepthLog::new(Some(10));
        log.note(10, 1);
        log.note(10, 2);
        log.note(15, 4);
        log.note(15, 0);
        assert_eq!(log.changes(), Some(&[(10, 2), (15, 0)][..]));
        assert_eq!(log.most, 4);
        assert!((log.mean(20) - 10.0 / 20.0).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_room_is_missing_and_said() {
        let mut log = DepthLog::new(Some(1));
        log.note(1, 1);
        log.note(2, 2);
        assert!(log.truncated && log.most == 2);
        assert_eq!(log.changes().map(<[_]>::len), Some(1));
    }
}
