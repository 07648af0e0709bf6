//! What sites are weighed by, and stacks as text.

use std::collections::BTreeMap;
use std::iter;

use super::analysis::{Analysis, Blocks};
use super::format::KINDS;
use super::symbols::{Frame, Symbols};

/// What to weigh sites by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Bytes in blocks when the process had most.
    Peak,
    /// Bytes in blocks never given back.
    Leaked,
    /// Calls.
    Allocations,
    /// Bytes asked for in all calls.
    Bytes,
    /// Blocks given back before their thread asked for another.
    Temporary,
    /// Bytes that the C library took from the system for the calls.
    System,
}

impl Measure {
    /// All, with the names that a command line has for them.
    pub const ALL: [(&str, Self); 6] = [
        ("peak", Self::Peak),
        ("leaked", Self::Leaked),
        ("allocations", Self::Allocations),
        ("bytes", Self::Bytes),
        ("temporary", Self::Temporary),
        ("system", Self::System),
    ];

    /// Of a site's figures, the one.
    pub fn of(self, blocks: &Blocks) -> u64 {
        match self {
            Self::Peak => blocks.at_peak,
            Self::Leaked => blocks.live_bytes,
            Self::Allocations => blocks.allocations,
            Self::Bytes => blocks.bytes,
            Self::Temporary => blocks.temporary,
            Self::System => blocks.from_system,
        }
    }

    /// Whether it counts bytes, or else calls.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::Peak | Self::Leaked | Self::Bytes | Self::System)
    }
}

/// Weights by stack, the outermost function first and the call last, equal ones added up.
pub fn stacks(analysis: &Analysis, measure: Measure, symbols: &mut Symbols) -> BTreeMap<Vec<String>, u64> {
    let found = all_stacks(analysis, [measure], symbols, |frame| frame.function);
    found.into_iter().map(|(stack, [weight])| (stack, weight)).collect()
}

/// The same for several measures at once, without the stacks of which all are 0; of each function what `of` tells.
pub(super) fn all_stacks<const N: usize, F: Ord>(
    analysis: &Analysis,
    measures: [Measure; N],
    symbols: &mut Symbols,
    of: impl Fn(Frame) -> F,
) -> BTreeMap<Vec<F>, [u64; N]> {
    let mut found = BTreeMap::new();
    let Analysis { context, by_site, .. } = analysis;
    for (site, blocks) in context.sites.iter().zip(by_site) {
        let weights = measures.map(|measure| measure.of(blocks));
        if weights == [0; N] {
            continue;
        }
        let call = Frame { function: KINDS[usize::from(site.kind)].to_owned(), location: None, is_python: false };
        let mut stack: Vec<F> = iter::once(call).chain(symbols.stack(context, site)).map(&of).collect();
        stack.reverse();
        let sums = found.entry(stack).or_insert([0; N]);
        sums.iter_mut().zip(weights).for_each(|(sum, weight): (&mut u64, u64)| *sum = sum.saturating_add(weight));
    }
    found
}

/// Collapsed stacks, a line each, as flame graph programs read them: functions with semicolons between, the outermost first, and a weight.
pub fn collapsed(stacks: &BTreeMap<Vec<String>, u64>) -> String {
    let line = |(stack, weight): (&Vec<String>, &u64)| {
        let names: Vec<String> = stack.iter().map(|name| name.replace([';', '\n'], ":")).collect();
        format!("{} {weight}\n", names.join(";"))
    };
    stacks.iter().map(line).collect()
}
