//! Hardware counters by `perf_event_open`, where the kernel offers them; elsewhere the reason why not.

use crate::protocol::Usage;

/// Instructions and cycles of this process and the threads it makes from now on.
#[derive(Debug)]
pub(crate) struct HardwareCounters {
    #[cfg(feature = "hardware-counters")]
    open: Result<[perf_event::Counter; 2], String>,
}

/// One reading, or the reason why there is none.
#[derive(Debug)]
pub(crate) struct Reading(Result<[u64; 2], String>);

impl Reading {
    /// Writes the reading into `usage`.
    pub(crate) fn fill(self, usage: &mut Usage) {
        match self.0 {
            Ok([instructions, cycles]) => {
                usage.instructions = Some(instructions);
                usage.cycles = Some(cycles);
            }
            Err(reason) => usage.hardware_missing = Some(reason),
        }
    }
}

#[cfg(not(feature = "hardware-counters"))]
impl HardwareCounters {
    pub(crate) fn open() -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, reason = "the same shape as with the feature")]
    pub(crate) fn start(&mut self) {}

    #[expect(clippy::unused_self, reason = "the same shape as with the feature")]
    pub(crate) fn stop(&mut self) -> Reading {
        Reading(Err("built without the feature hardware-counters".to_owned()))
    }
}

#[cfg(feature = "hardware-counters")]
impl HardwareCounters {
    /// Opens both counters, inherited by threads made later.
    pub(crate) fn open() -> Self {
        use perf_event::events::Hardware;
        let counter = |event| {
            let mut builder = perf_event::Builder::new().kind(event);
            builder.inherit(true);
            builder.build()
        };
        let open = counter(Hardware::INSTRUCTIONS)
            .and_then(|instructions| Ok([instructions, counter(Hardware::CPU_CYCLES)?]))
            .map_err(|error| format!("perf_event_open: {error}"));
        Self { open }
    }

    pub(crate) fn start(&mut self) {
        if let Ok(counters) = &mut self.open {
            let started = counters.iter_mut().try_for_each(|counter| counter.reset().and_then(|()| counter.enable()));
            if let Err(error) = started {
                self.open = Err(format!("perf counters: {error}"));
            }
        }
    }

    pub(crate) fn stop(&mut self) -> Reading {
        let reading = match &mut self.open {
            Ok([instructions, cycles]) => instructions
                .disable()
                .and_then(|()| cycles.disable())
                .and_then(|()| Ok([instructions.read()?, cycles.read()?]))
                .map_err(|error| format!("perf counters: {error}")),
            Err(reason) => Err(reason.clone()),
        };
        Reading(reading)
    }
}
