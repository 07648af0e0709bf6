//! Profiles as pprof reads them: a protocol buffer (github.com/google/pprof, `proto/profile.proto`), not compressed, which pprof takes, too.

use std::collections::HashMap;

use super::analysis::Analysis;
use super::format::KINDS;
use super::measure::Measure;
use super::symbols::Symbols;

/// The fields of a message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number; 0 is what a reader takes for one that is not there.
    fn number(&mut self, field: u64, number: u64) {
        if number != 0 {
            self.varint(field << 3);
            self.varint(number);
        }
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn numbers(&mut self, field: u64, numbers: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        numbers.into_iter().for_each(|number| packed.varint(number));
        self.message(field, &packed);
    }
}

/// Texts by number, each once; the empty one is 0.
#[derive(Default)]
struct Texts {
    numbers: HashMap<String, u64>,
    list: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u64 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.list.len() as u64;
        self.numbers.insert(text.to_owned(), number);
        self.list.push(text.to_owned());
        number
    }
}

/// All measures of all sites, as a profile; the peak is what it shows first.
///
/// ```sh
/// alloc-trace pprof app.trace > app.pb && go tool pprof -http=: app.pb
/// ```
pub fn pprof(analysis: &Analysis, symbols: &mut Symbols) -> Vec<u8> {
    let (mut profile, mut texts) = (Message::default(), Texts::default());
    texts.number("");
    for (name, measure) in Measure::ALL {
        let mut kind = Message::default();
        kind.number(1, texts.number(name));
        kind.number(2, texts.number(if measure.is_bytes() { "bytes" } else { "count" }));
        profile.message(1, &kind);
    }
    let mut locations: HashMap<(String, String, u64), u64> = HashMap::new();
    let mut functions: HashMap<(String, String), u64> = HashMap::new();
    for (site, blocks) in analysis.context.sites.iter().zip(&analysis.by_site) {
        if blocks.allocations == 0 {
            continue;
        }
        // A location for each function; the call is one of its own, the innermost.
        let mut stack = vec![(KINDS[usize::from(site.kind)].to_owned(), String::new(), 0)];
        stack.extend(symbols.stack(&analysis.context, site).into_iter().map(|frame| {
            let (file, line) = frame.location.unwrap_or_default();
            (frame.function, file, u64::from(line))
        }));
        let mut numbers = Vec::new();
        for place in stack {
            let next = locations.len() as u64 + 1;
            numbers.push(*locations.entry(place).or_insert_with_key(|(name, file, line)| {
                let mut location = Message::default();
                location.number(1, next);
                let next_function = functions.len() as u64 + 1;
                let function = *functions.entry((name.clone(), file.clone())).or_insert_with(|| {
                    let mut function = Message::default();
                    function.number(1, next_function);
                    function.number(2, texts.number(name));
                    function.number(3, texts.number(name));
                    function.number(4, texts.number(file));
                    profile.message(5, &function);
                    next_function
                });
                let mut place = Message::default();
                place.number(1, function);
                place.number(2, *line);
                location.message(4, &place);
                profile.message(4, &location);
                next
            }));
        }
        let mut sample = Message::default();
        sample.numbers(1, numbers);
        sample.numbers(2, Measure::ALL.map(|(_, measure)| measure.of(blocks)));
        profile.message(2, &sample);
    }
    profile.number(9, (analysis.origin.began * 1e9) as u64);
    profile.number(10, analysis.end_time);
    profile.number(14, texts.number(Measure::ALL[0].0));
    for text in &texts.list {
        profile.bytes(6, text.as_bytes());
    }
    profile.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a message: numbers, and bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        let varint = |bytes: &mut &[u8]| {
            let mut number = 0;
            for shift in (0..).step_by(7) {
                let (first, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                number |= u64::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    break;
                }
            }
            number
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let number = varint(&mut bytes);
            let mut content = &bytes[..0];
            match key & 7 {
                0 => {}
                2 => (content, bytes) = bytes.split_at(number as usize),
                other => panic!("wire type {other}"),
            }
            found.push((key >> 3, number, content));
        }
        found
    }

    #[test]
    fn every_reference_leads_somewhere_and_weights_are_the_sites() {
        let mut analysis = Analysis::default();
        let site = analysis.context.sites.number(1, 0, 0, &[0x10, 0x20]);
        analysis.by_site.resize_with(site as usize + 1, Default::default);
        let blocks = &mut analysis.by_site[site as usize];
        (blocks.allocations, blocks.bytes, blocks.at_peak, blocks.live_bytes) = (3, 300, 200, 100);
        let bytes = pprof(&analysis, &mut Symbols::default());
        let profile = fields(&bytes);
        let of = |field| profile.iter().filter(move |found| found.0 == field).map(|found| found.2);
        let texts: Vec<&str> = of(6).map(|text| std::str::from_utf8(text).unwrap()).collect();
        assert_eq!((texts[0], of(1).count(), of(2).count()), ("", 6, 1));
        let sample = fields(of(2).next().unwrap());
        assert_eq!((sample[0].2, sample[1].2), (&[1, 2, 3][..], &[200, 1, 100, 3, 172, 2, 0, 0][..]));
        let functions: Vec<_> =
            of(5).map(|function| (fields(function)[0].1, texts[fields(function)[1].1 as usize])).collect();
        assert_eq!(functions, [(1, "malloc"), (2, "0x20"), (3, "0x10")]);
        let locations: Vec<_> =
            of(4).map(|location| (fields(location)[0].1, fields(fields(location)[1].2)[0].1)).collect();
        assert_eq!(locations, [(1, 1), (2, 2), (3, 3)]);
        let shown_first = profile.iter().find(|found| found.0 == 14).unwrap().1;
        assert_eq!(texts[shown_first as usize], "peak");
    }
}
