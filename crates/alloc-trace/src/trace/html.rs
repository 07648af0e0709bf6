//! A page with everything: figures, memory over time, sizes, a flame graph, and stacks to sort and to search. One file that needs no network.
//!
//! What is shown is data in the page; `page.html` draws it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::analysis::Analysis;
use super::measure::{Measure, all_stacks};
use super::memory::Memory;
use super::summary::summary;
use super::symbols::{Frame, Symbols};

const PAGE: &str = include_str!("page.html");
/// How often the page shows what the process had of the system's memory, about.
const MEMORY_POINTS: usize = 600;
/// Where the page has its data.
const PLACE: &str = "\"DATA\"";

/// Functions, each once.
#[derive(Default)]
struct Names {
    all: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Names {
    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        self.all.push(name.to_owned());
        self.numbers.insert(name.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// Makes the page; with `before`, another trace, it shows what has changed since.
pub fn html(analysis: &Analysis, before: Option<&Analysis>) -> String {
    let mut symbols = Symbols::default();
    let measures = Measure::ALL.map(|(_, measure)| measure);
    // Lines of two programs are not the same lines.
    let shown = |frame: Frame| {
        let place = if before.is_none() { frame.place() } else { String::new() };
        (frame.function, place)
    };
    let mut both: BTreeMap<Vec<(String, String)>, [[u64; Measure::ALL.len()]; 2]> = BTreeMap::new();
    for (stack, weights) in all_stacks(analysis, measures, &mut symbols, shown) {
        both.entry(stack).or_default()[0] = weights;
    }
    if let Some(before) = before {
        for (stack, weights) in all_stacks(before, measures, &mut Symbols::default(), shown) {
            both.entry(stack).or_default()[1] = weights;
        }
    }
    let (mut names, mut numbers) = (Names::default(), HashMap::new());
    let mut frames = Vec::new();
    let stacks: Vec<Value> = both
        .into_iter()
        .map(|(stack, [now, former])| {
            let stack = stack.into_iter().map(|frame| {
                *numbers.entry(frame).or_insert_with_key(|(function, place)| {
                    frames.push(json!([names.number(function), place]));
                    frames.len() - 1
                })
            });
            json!([stack.collect::<Vec<usize>>(), now, former])
        })
        .collect();
    let text = summary(analysis, &mut symbols);
    // Up to the first list of stacks, which the page shows by itself.
    let figures = text.split("\nMost at the peak").next().unwrap_or(&text).trim_end();
    let memory: Vec<Value> = Memory::some(&analysis.memory, MEMORY_POINTS)
        .iter()
        .map(|memory| json!([memory.time, memory.mapped, memory.resident, memory.share, memory.minor, memory.major]))
        .collect();
    let data = json!({
        "title": analysis.origin.program,
        "figures": figures,
        "measures": Measure::ALL.map(|(name, measure)| json!({ "name": name, "bytes": measure.is_bytes() })),
        "names": names.all,
        "frames": frames,
        "stacks": stacks,
        "step": analysis.timeline.step(),
        "timeline": analysis.timeline.most,
        "memory": memory,
        "sizes": analysis.sizes.iter().collect::<Vec<_>>(),
        "before": before.map(|before| &before.origin.program),
    });
    // Nothing in there ends the element that it is in.
    PAGE.replacen(PLACE, &data.to_string().replace('<', "\\u003c"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_in_the_page_once_and_can_not_end_it() {
        assert_eq!(PAGE.matches(PLACE).count(), 1);
        let mut analysis = Analysis::default();
        analysis.origin.program = "</script><b>".to_owned();
        let site = analysis.context.sites.number(1, 0, 0, &[0x10]);
        analysis.by_site.resize_with(site as usize + 1, Default::default);
        analysis.by_site[site as usize].live_bytes = 7;
        let page = html(&analysis, Some(&analysis));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        let begin = page.find("const DATA = ").unwrap() + "const DATA = ".len();
        let end = page[begin..].find(";\n").unwrap() + begin;
        let data: Value = serde_json::from_str(&page[begin..end]).unwrap();
        assert_eq!(data["title"], "</script><b>");
        assert_eq!((&data["names"], &data["frames"]), (&json!(["0x10", "malloc"]), &json!([[0, ""], [1, ""]])));
        assert_eq!(data["stacks"], json!([[[0, 1], [0, 7, 0, 0, 0, 0], [0, 7, 0, 0, 0, 0]]]));
    }
}
