//! The contender protocol, version 0: JSON lines over a child's stdin and stdout.
//!
//! A contender is any program, in any language, that speaks it. The exchange:
//!
//! ```text
//! child -> {"hello":{"proto":0,"name":"tokio-ct",...}}
//! host  -> {"prepare":{"workload":"yield/one","params":{"n":1000},"seed":7}}
//! child -> {"ready":{"listen":null}}
//! host  -> {"run":{"block":1,"iters":20}}
//! child -> {"done":{"block":1,"iters":20,"t0_ns":..,"t1_ns":..,"ops":20000,"checksum":"..","usage":{..}}}
//! host  -> {"bye":true}                      (the child exits with 0)
//! ```
//!
//! A child that serves answers `ready` with its address. After each `run` it says `{"started":{"block":1}}` when it has read its
//! counters: only then the load comes, and `done` follows when all is served.
//!
//! In place of `ready` or `done` a child may answer `{"error":{"kind":"unsupported","message":".."}}`.
//! The child times the block itself, so that neither its start-up nor the pipe is in the figure.
//!
//! Between `ready` or `done` and the next `run` others are measured: the child blocks, and so do its threads. One that uses more than a
//! twentieth of a CPU meanwhile is out of the comparison, with that as the reason.
//!
//! Unknown keys are ignored on both sides, so that a newer child can talk to an older host.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The protocol's version; a child that says another one is refused.
pub const PROTO: u32 = 0;

/// The largest integer the protocol carries, 2^53: beyond it a JSON number is no longer exact everywhere.
pub const MAX_INTEGER: u64 = 1 << 53;

/// The longest line the host reads, in bytes. A latency list of 100,000 distinct values fits.
pub const MAX_LINE: usize = 4 << 20;

/// A server that answers `ready` with an address gets messages of this many bytes there, from any number of connections, and sends
/// each back as it is. The first 8 bytes are a little-endian number, by which both sides check what was served. The byte after
/// them is 1 where the message belongs to a block, and 0 where it only shows that somebody answers.
pub const ECHO_MESSAGE: usize = 64;

/// What the host says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostMessage {
    /// Set up a workload; answered by `ready` or `error`.
    Prepare(Prepare),
    /// Run one timed block; answered by `done` or `error`.
    Run(Run),
    /// No more work: exit with 0.
    Bye(bool),
}

/// What the child says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildMessage {
    /// The first line, unasked.
    Hello(Hello),
    /// The workload stands ready.
    Ready(Ready),
    /// A server has read its counters: the block's load may come.
    Started(Started),
    /// A block is done.
    Done(Done),
    /// The request can't be met.
    Error(Refusal),
}

/// Who takes part, said once at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version, [`PROTO`].
    pub proto: u32,
    /// The contender's name, as it stands in tables.
    pub name: String,
    /// Language and its version.
    pub lang: String,
    /// Runtime and its version.
    pub runtime: String,
    /// The workloads it can do, with their variants.
    pub workloads: Vec<String>,
    /// The clock behind `t0_ns` and `t1_ns`; only `CLOCK_MONOTONIC` is accepted.
    pub clock: String,
    /// How many threads it means to work with.
    pub threads: u32,
    /// What makes it not quite comparable: `eager`, `gil`, `stackful`, `no_timers`.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The parameters of a workload, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Params(pub BTreeMap<String, Value>);

impl Params {
    /// A whole number that has to be there and lie within `range`.
    ///
    /// # Errors
    /// `bad_params`, with the key and what would be right.
    pub fn integer(&self, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, Refusal> {
        let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
        let value = self.0.get(key).ok_or_else(|| Refusal::bad_params(format!("`{key}` is missing: {}", wanted())))?;
        match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(number),
            _ => Err(Refusal::bad_params(format!("`{key}` is {value}: it has to be {}", wanted()))),
        }
    }
}

impl<const N: usize> From<[(&str, u64); N]> for Params {
    fn from(pairs: [(&str, u64); N]) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect())
    }
}

/// Asks for a workload to be set up, untimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepare {
    /// Name with variant, as `ping-pong/channel`.
    pub workload: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Params,
    /// Seeds the inputs: the same seed gives every contender the same work.
    pub seed: u64,
}

/// A workload is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// For servers: the address they listen on.
    #[serde(default)]
    pub listen: Option<String>,
}

/// Asks for one timed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The block's number, repeated in the answer.
    pub block: u64,
    /// How many iterations of the prepared workload to run, at least 1.
    pub iters: u64,
}

/// A server waits for a block's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The number from the request.
    pub block: u64,
}

/// One timed block, as the child saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// The number from the request.
    pub block: u64,
    /// The iterations from the request.
    pub iters: u64,
    /// `CLOCK_MONOTONIC` when the block began, ns.
    pub t0_ns: u64,
    /// `CLOCK_MONOTONIC` when it ended, ns.
    pub t1_ns: u64,
    /// Operations done: `iters` times the operations of one iteration.
    pub ops: u64,
    /// The checksum of one iteration, 16 hex digits, the same for every contender.
    pub checksum: String,
    /// What the block cost.
    #[serde(default)]
    pub usage: Usage,
    /// Where a workload has latencies: (value in ns, how often).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Vec<(u64, u64)>>,
    /// The workload's other figures, by name (`worst_lateness_ns`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, f64>,
}

impl Done {
    /// How long the block took, ns.
    pub fn wall_ns(&self) -> u64 {
        self.t1_ns.saturating_sub(self.t0_ns)
    }

    /// Wall time of one operation, ns.
    pub fn wall_ns_per_op(&self) -> f64 {
        self.wall_ns() as f64 / self.ops as f64
    }

    /// CPU time of one operation, ns, where the child could say.
    pub fn cpu_ns_per_op(&self) -> Option<f64> {
        Some((self.usage.user_ns? + self.usage.system_ns?) as f64 / self.ops as f64)
    }
}

/// What a block cost its process and the children that ended in it. What a language can't say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU time in user mode, ns.
    pub user_ns: Option<u64>,
    /// CPU time in the kernel, ns.
    pub system_ns: Option<u64>,
    /// Switches because the thread blocked or yielded.
    pub voluntary_switches: Option<u64>,
    /// Switches because the scheduler took the core away.
    pub involuntary_switches: Option<u64>,
    /// Page faults served without reading a disk.
    pub minor_faults: Option<u64>,
    /// Page faults that waited for a disk.
    pub major_faults: Option<u64>,
    /// The process's largest resident size so far, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Time its threads stood runnable but waited for a core, ns; `None` when threads came and went in the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_queue_wait_ns: Option<u64>,
    /// Instructions retired, where the kernel offers the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Core cycles, where the kernel offers the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Why instructions and cycles are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_missing: Option<String>,
}

/// Why a request was not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What sort of no it is.
    pub kind: RefusalKind,
    /// One sentence for a person.
    pub message: String,
}

/// The sorts of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The contender has no such thing.
    Unsupported,
    /// A parameter is missing or out of range.
    BadParams,
    /// It tried and could not.
    Failed,
}

impl Refusal {
    /// The contender has no such thing; `message` says why.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Unsupported, message: message.into() }
    }

    /// A parameter is missing or out of range.
    pub fn bad_params(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::BadParams, message: message.into() }
    }

    /// The contender tried and could not.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Failed, message: message.into() }
    }
}

/// A checksum as the protocol writes it: 16 lower-case hex digits.
pub fn checksum_text(checksum: u64) -> String {
    format!("{checksum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_the_contract_writes_them() {
        let run: HostMessage = serde_json::from_str(r#"{"run":{"block":17,"iters":20}}"#).unwrap();
        assert_eq!(run, HostMessage::Run(Run { block: 17, iters: 20 }));
        let bye: HostMessage = serde_json::from_str(r#"{"bye":true}"#).unwrap();
        assert_eq!(bye, HostMessage::Bye(true));
        let error: ChildMessage = serde_json::from_str(r#"{"error":{"kind":"unsupported","message":"no"}}"#).unwrap();
        assert_eq!(error, ChildMessage::Error(Refusal::unsupported("no")));
    }

    #[test]
    fn usage_keys_that_a_language_cannot_say_may_be_null_or_absent() {
        let usage: Usage = serde_json::from_str(r#"{"user_ns":null,"system_ns":5}"#).unwrap();
        assert_eq!(usage, Usage { system_ns: Some(5), ..Usage::default() });
    }

    #[test]
    fn a_parameter_out_of_range_names_key_and_range() {
        let params = Params::from([("n", 0)]);
        let refusal = params.integer("n", 1..=10).unwrap_err();
        assert_eq!(refusal.message, "`n` is 0: it has to be a whole number from 1 to 10");
        assert_eq!(refusal.kind, RefusalKind::BadParams);
    }
}
