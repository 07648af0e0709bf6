//! One line a contender, for spreadsheets (RFC 4180).

use crate::plan::CPU;
use crate::report::{Ratio, Report};

/// The columns.
const HEADER: &str = "workload,placement,kind,metric,reference,contender,version,status,reason,wall_ns_per_op,cpu_ns_per_op,\
voluntary_switches_per_op,involuntary_switches_per_op,minor_faults_per_op,peak_rss_bytes,figure,ratio,ratio_low,ratio_high,\
rounds,decided,cpu_ratio,cpu_ratio_low,cpu_ratio_high,floor_multiple";

/// The whole report.
pub fn report(report: &Report) -> String {
    let mut lines = vec![HEADER.to_owned()];
    for comparison in &report.comparisons {
        for row in &comparison.contenders {
            let per_op = row.per_op.as_ref();
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let ratio = row.ratio.get(&comparison.metric);
            let part = |ratio: Option<&Ratio>, pick: fn(&Ratio) -> f64| number(ratio.map(pick));
            let cpu = row.ratio.get(CPU);
            let fields = [
                comparison.workload.clone(),
                comparison.placement.name().to_owned(),
                format!("{:?}", comparison.kind).to_lowercase(),
                comparison.metric.clone(),
                comparison.reference.clone(),
                row.name.clone(),
                row.version.clone(),
                format!("{:?}", row.status).to_lowercase(),
                row.reason
                    .clone()
                    .or_else(|| comparison.error.clone())
                    .or_else(|| comparison.note.clone())
                    .unwrap_or_default(),
                number(per_op.map(|per_op| per_op.wall_ns)),
                number(per_op.and_then(|per_op| per_op.cpu_ns)),
                number(per_op.and_then(|per_op| per_op.voluntary_switches)),
                number(per_op.and_then(|per_op| per_op.involuntary_switches)),
                number(per_op.and_then(|per_op| per_op.minor_faults)),
                row.peak_rss_bytes.map_or_else(String::new, |bytes| bytes.to_string()),
                number(super::figure(comparison, row)),
                part(ratio, |ratio| ratio.estimate),
                part(ratio, |ratio| ratio.low),
                part(ratio, |ratio| ratio.high),
                ratio.map_or_else(String::new, |ratio| ratio.rounds.to_string()),
                ratio.map_or_else(String::new, |ratio| ratio.decided.to_string()),
                part(cpu, |ratio| ratio.estimate),
                part(cpu, |ratio| ratio.low),
                part(cpu, |ratio| ratio.high),
                number(row.floor_multiple),
            ];
            lines.push(fields.map(|field| quoted(&field)).join(","));
        }
    }
    lines.join("\r\n") + "\r\n"
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_with_commas_and_quotes_stays_one_field() {
        assert_eq!(quoted("no, it said \"no\""), "\"no, it said \"\"no\"\"\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
