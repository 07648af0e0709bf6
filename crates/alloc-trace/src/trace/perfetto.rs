//! Memory over time as Perfetto reads it (<https://ui.perfetto.dev>), beside other traces of the same process: the Trace Event Format's JSON, with a counter.

use serde_json::{Value, json};

use super::analysis::Analysis;

/// Bytes in blocks over time, as a counter: what each step came to at most. And what the process had of the system's memory, with its page faults.
pub fn perfetto(analysis: &Analysis) -> String {
    let process = analysis.origin.process;
    let named =
        json!({ "ph": "M", "pid": process, "name": "process_name", "args": { "name": analysis.origin.program } });
    let line = &analysis.timeline;
    let counts = line.most.iter().enumerate().map(|(step, bytes)| {
        // Microseconds.
        let time = (step as u64 * line.step()) as f64 / 1e3;
        json!({ "ph": "C", "pid": process, "ts": time, "name": "bytes in blocks", "args": { "bytes": bytes } })
    });
    let memory = analysis.memory.iter().flat_map(|memory| {
        let count = |name: &str, value: u64| {
            json!({ "ph": "C", "pid": process, "ts": memory.time as f64 / 1e3, "name": name, "args": { "value": value } })
        };
        let share = memory.share.map(|share| count("PSS", share));
        let all = [("VIRT", memory.mapped), ("RES", memory.resident), ("minor faults", memory.minor), ("major faults", memory.major)];
        all.map(|(name, value)| count(name, value)).into_iter().chain(share)
    });
    let events: Vec<Value> = std::iter::once(named).chain(counts).chain(memory).collect();
    json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_a_count() {
        let mut analysis = Analysis::default();
        analysis.origin.process = 7;
        analysis.timeline.set(0, 5);
        analysis.timeline.set(3 * analysis.timeline.step(), 9);
        let trace: Value = serde_json::from_str(&perfetto(&analysis)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let counts: Vec<(u64, u64)> = events[1..]
            .iter()
            .map(|event| ((event["ts"].as_f64().unwrap() * 1e3) as u64, event["args"]["bytes"].as_u64().unwrap()))
            .collect();
        assert_eq!(counts, [(0, 5), (1 << 14, 5), (2 << 14, 5), (3 << 14, 9)]);
        assert!(events.iter().all(|event| event["pid"] == 7));
    }
}
