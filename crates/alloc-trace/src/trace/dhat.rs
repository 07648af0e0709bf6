//! Traces as valgrind's DHAT viewer reads them (`dh_view.html`, in valgrind's `libexec` folder): its JSON, version 2.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::analysis::{Analysis, Weigher};
use super::events::Event;
use super::file::TraceFile;
use super::format::KINDS;
use super::symbols::Symbols;

/// Nanoseconds that a block lives at most to be shown as a short-lived one.
const SHORT: u64 = 1_000_000;

/// What the viewer shows of a stack.
#[derive(Clone, Copy, Default)]
struct Point {
    bytes: u64,
    blocks: u64,
    /// Nanoseconds that all blocks lived, together.
    lives: u64,
    live_bytes: u64,
    live_blocks: u64,
    /// When it had most.
    most: [u64; 2],
    /// When the process had most, and which rise of the peak that was.
    at_peak: [u64; 2],
    peaks: u64,
}

impl Point {
    /// Before its figures change: what they were at the peak is kept.
    fn seen(&mut self, peaks: u64) {
        if self.peaks != peaks {
            self.peaks = peaks;
            self.at_peak = [self.live_bytes, self.live_blocks];
        }
    }

    fn lived(&mut self, was: &Live, until: u64) {
        self.lives = self.lives.saturating_add(until.saturating_sub(was.begin).saturating_mul(was.blocks));
    }
}

struct Live {
    point: usize,
    begin: u64,
    blocks: u64,
    bytes: u64,
}

/// The whole trace for DHAT's viewer. `analysis` is of the same trace as `file`, which is read once more.
///
/// ```sh
/// alloc-trace dhat app.trace > app.json    # then open valgrind's dh_view.html, and load it
/// ```
pub fn dhat(analysis: &Analysis, mut file: TraceFile, symbols: &mut Symbols) -> String {
    // Frame 0 is the viewer's own.
    let (mut texts, mut frames) = (vec!["[root]".to_owned()], HashMap::new());
    let (mut points, mut numbers) = (Vec::new(), HashMap::new());
    // Sites that look the same are one: the viewer takes a stack once alone.
    let of_site: Vec<usize> = analysis
        .context
        .sites
        .iter()
        .map(|site| {
            let mut stack = vec![KINDS[usize::from(site.kind)].to_owned()];
            stack.extend(symbols.stack(&analysis.context, site).into_iter().map(|frame| match frame.location {
                Some((file, line)) => format!("{} ({file}:{line})", frame.function),
                None => frame.function,
            }));
            let mut number = |text: String| {
                *frames.entry(text).or_insert_with_key(|text| {
                    texts.push(text.clone());
                    texts.len() - 1
                })
            };
            let stack: Vec<usize> = stack.into_iter().map(&mut number).collect();
            *numbers.entry(stack).or_insert_with_key(|stack| {
                points.push((Point::default(), stack.clone()));
                points.len() - 1
            })
        })
        .collect();
    let mut weigher = Weigher::new(analysis.origin.sampled);
    let (mut live, mut freed_early) = (HashMap::new(), HashSet::new());
    let (mut total, mut peak, mut peaks) = (0_u64, 0, 0);
    file.each_event(
        |_| {},
        |_, time, event| match event {
            Event::Alloc { block, site, size } => {
                let (count, bytes) = weigher.weigh(size);
                let blocks = u64::from(count);
                let Some(&point) = of_site.get(site as usize) else { return };
                let of_point = &mut points[point].0;
                of_point.seen(peaks);
                of_point.blocks += blocks;
                of_point.bytes = of_point.bytes.saturating_add(bytes);
                if freed_early.remove(&block) {
                    return;
                }
                of_point.live_blocks += blocks;
                of_point.live_bytes = of_point.live_bytes.saturating_add(bytes);
                if of_point.live_bytes > of_point.most[0] {
                    of_point.most = [of_point.live_bytes, of_point.live_blocks];
                }
                live.insert(block, Live { point, begin: time, blocks, bytes });
                total = total.saturating_add(bytes);
                if total > peak {
                    peak = total;
                    peaks += 1;
                }
            }
            Event::Free { block } => {
                let Some(was) = live.remove(&block) else {
                    freed_early.insert(block);
                    return;
                };
                let of_point = &mut points[was.point].0;
                of_point.seen(peaks);
                of_point.live_blocks -= was.blocks;
                of_point.live_bytes = of_point.live_bytes.saturating_sub(was.bytes);
                of_point.lived(&was, time);
                total = total.saturating_sub(was.bytes);
            }
            _ => {}
        },
    );
    // What is left lived until the end.
    for was in live.values() {
        points[was.point].0.lived(was, analysis.end_time);
    }
    let points: Vec<Value> = points
        .into_iter()
        .filter(|(point, _)| point.blocks > 0)
        .map(|(mut point, stack)| {
            point.seen(peaks);
            json!({
                "tb": point.bytes, "tbk": point.blocks, "tl": point.lives,
                "mb": point.most[0], "mbk": point.most[1],
                "gb": point.at_peak[0], "gbk": point.at_peak[1],
                "eb": point.live_bytes, "ebk": point.live_blocks,
                "fs": stack,
            })
        })
        .collect();
    let command = if analysis.origin.arguments.is_empty() {
        analysis.origin.program.clone()
    } else {
        analysis.origin.arguments.join(" ")
    };
    let whole = json!({
        "dhatFileVersion": 2, "mode": "heap", "verb": "Allocated", "bklt": true, "bkacc": false,
        "tu": "ns", "Mtu": "ms", "tuth": SHORT,
        "cmd": command, "pid": analysis.origin.process,
        "tg": analysis.peak_time, "te": analysis.end_time.max(1),
        "pps": points, "ftbl": texts,
    });
    whole.to_string() + "\n"
}
