//! A program's calls of malloc and its like, as a small file.
//!
//! A recording is a line of text, then the calls, packed by `code.rs`. The line begins with `lab-malloc-recording/0`; then come the number of calls, of blocks, of
//! blocks that are live at a time, at most, and of their bytes; then the program's command line. Blocks are numbered by the calls that make them. A call
//! says what it is, how many bytes it asks for, and its block: by how many blocks are younger, or by how far it is from the one before.

use std::fmt;

use super::code::{Bits, Coder, Reader, Writer};
use crate::block::LEAST;

/// How a recording begins.
const MAGIC: &str = "lab-malloc-recording/0";
/// More calls than that are in none: each takes 20 bytes while it is replayed.
const MOST_CALLS: u64 = 20_000_000;
/// More bytes than that are not live at a time.
const MOST_BYTES: u64 = 1 << 40;
/// A block that is no farther than that from the one before is told by the distance.
const NEAR: u64 = 8;
/// No block: before there is one.
const NONE: u32 = u32::MAX;

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A block of so many bytes is asked for.
    Allocate {
        /// Bytes.
        bytes: u64,
    },
    /// A block is to have so many bytes. It may move, and has a new number from now on.
    Resize {
        /// The number it had: how many calls before made one.
        block: u32,
        /// Bytes.
        bytes: u64,
    },
    /// A block is given back.
    Free {
        /// Its number.
        block: u32,
    },
}

/// What is done in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A block of so many bytes comes to a place that is empty.
    Allocate { place: u32, bytes: u64 },
    /// The block at a place is to have so many bytes.
    Resize { place: u32, bytes: u64 },
    /// The block at a place is freed.
    Free { place: u32 },
}

/// Sequence, and what they come to.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    pub(crate) steps: Vec<Step>,
    /// Blocks that are allocated.
    pub(crate) blocks: u64,
    /// Places that are needed: most blocks live at a time.
    pub(crate) places: usize,
    /// Most bytes live at a time.
    pub(crate) most_live: u64,
    /// Where a block is, by its number; [`NONE`] where it no longer is.
    place_of: Vec<u32>,
    /// Bytes at each place.
    bytes_at: Vec<u64>,
    empty: Vec<u32>,
    live: u64,
    /// What it was read with. Like all the rest it stays: what is freed before a replay is there for it, and the system is asked for less.
    odds: Box<[u16]>,
}

/// Why calls are no recording.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is something else.
    Foreign,
    /// Something is wrong with it; the number of the call that makes no sense, or as many as there are where all of them make sense.
    Damaged(u64),
    /// There is no block in it.
    Empty,
    /// A call's block is not live, or bytes are too many; the number of the call.
    Senseless(u64),
    /// It is too long.
    Long,
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(formatter, "no recording: `trace-to-replay` makes one of a trace"),
            Self::Damaged(call) => write!(formatter, "the recording is damaged (call {call}): have it made again"),
            Self::Empty => write!(formatter, "no block is allocated in it"),
            Self::Senseless(call) => write!(formatter, "call {call} is of a block that is not there, or too large"),
            Self::Long => write!(formatter, "more than {MOST_CALLS} calls"),
        }
    }
}

impl std::error::Error for Unusable {}

impl Sequence {
    /// Room for so many calls, of which so many blocks come that are live at a time.
    fn with_room(calls: usize, places: usize) -> Self {
        Self {
            // Blocks that were never freed are freed in the end.
            steps: Vec::with_capacity(calls + places),
            place_of: Vec::with_capacity(calls),
            bytes_at: Vec::with_capacity(places),
            empty: Vec::with_capacity(places),
            ..Self::default()
        }
    }

    /// Adds a call; `None` where it makes no sense.
    fn add(&mut self, call: Call) -> Option<()> {
        match call {
            Call::Allocate { bytes } => {
                let place = self.empty.pop().or_else(|| self.new_place())?;
                let bytes = self.put(place, bytes)?;
                self.blocks += 1;
                self.steps.push(Step::Allocate { place, bytes });
            }
            Call::Resize { block, bytes } => {
                let place = self.take(block)?;
                let bytes = self.put(place, bytes)?;
                self.steps.push(Step::Resize { place, bytes });
            }
            Call::Free { block } => {
                let place = self.take(block)?;
                self.empty.push(place);
                self.steps.push(Step::Free { place });
            }
        }
        Some(())
    }

    fn new_place(&mut self) -> Option<u32> {
        let place = u32::try_from(self.places).ok()?;
        self.places += 1;
        self.bytes_at.push(0);
        Some(place)
    }

    fn put(&mut self, place: u32, bytes: u64) -> Option<u64> {
        let bytes = bytes.max(LEAST);
        self.live = self.live.checked_add(bytes).filter(|&live| live <= MOST_BYTES)?;
        self.most_live = self.most_live.max(self.live);
        self.place_of.push(place);
        *self.bytes_at.get_mut(place as usize)? = bytes;
        Some(bytes)
    }

    fn take(&mut self, block: u32) -> Option<u32> {
        let place = self.place_of.get_mut(block as usize).filter(|place| **place != NONE)?;
        let place = std::mem::replace(place, NONE);
        self.live -= self.bytes_at.get(place as usize)?;
        Some(place)
    }

    /// Frees what is left, the oldest first.
    fn end(&mut self) {
        let left = self.place_of.iter().filter(|place| **place != NONE);
        self.steps.extend(left.map(|&place| Step::Free { place }));
    }
}

/// Both ends of a recording: what one has written is what the other has read.
struct Calls<B> {
    coder: Coder<B>,
    /// How many blocks there are.
    made: u64,
    /// The number of the block that was resized or freed last.
    before: u64,
    /// What the last calls were, two bits each.
    history: u64,
    /// How many bytes were asked for, the last time and the time before.
    asked: [u64; 2],
}

impl<B: Bits> Calls<B> {
    fn new(bits: B) -> Self {
        Self { coder: Coder::new(bits), made: 0, before: 0, history: 0, asked: [0; 2] }
    }

    /// The next one. Who reads gives any.
    fn next(&mut self, call: Call) -> Call {
        let (kind, block, bytes) = match call {
            Call::Allocate { bytes } => (0, 0, bytes),
            Call::Resize { block, bytes } => (1, u64::from(block), bytes),
            Call::Free { block } => (2, u64::from(block), 0),
        };
        let history = self.history & 0xfff;
        let kind = self.coder.number(1 << 60 | history, kind);
        self.history = self.history << 2 | kind & 3;
        let block = if kind == 0 { 0 } else { self.block(history, block) };
        let bytes = if kind >= 2 { 0 } else { self.bytes(kind, bytes) };
        match kind {
            0 => Call::Allocate { bytes },
            1 => Call::Resize { block: block as u32, bytes },
            _ => Call::Free { block: block as u32 },
        }
    }

    fn block(&mut self, history: u64, block: u64) -> u64 {
        let near = self.before.wrapping_sub(NEAR);
        let from_near = block.wrapping_sub(near);
        let told = if from_near <= 2 * NEAR { from_near } else { 2 * NEAR + 1 };
        let told = self.coder.number(2 << 60 | history & 0xff, told);
        let block = if told <= 2 * NEAR {
            near.wrapping_add(told)
        } else {
            let younger = self.made.wrapping_sub(1).wrapping_sub(block);
            self.made.wrapping_sub(1).wrapping_sub(self.coder.number(3 << 60 | history & 0xf, younger))
        };
        self.before = block;
        block
    }

    fn bytes(&mut self, kind: u64, bytes: u64) -> u64 {
        let [last, earlier] = self.asked;
        let context = 4 << 60 | kind << 56 | (last & 0xfff) << 8 | u64::from(earlier.leading_zeros());
        let bytes = self.coder.number(context, bytes);
        self.asked = [bytes, last];
        self.made += 1;
        bytes
    }
}

/// Makes a recording of calls, and says what they come to: blocks, and most bytes live at a time.
///
/// # Errors
/// When they make no sense, are none, or too many.
pub fn write(program: &str, calls: &[Call]) -> Result<Recorded, Unusable> {
    if calls.len() as u64 > MOST_CALLS {
        return Err(Unusable::Long);
    }
    let mut sequence = Sequence::with_room(calls.len(), 0);
    for (number, &call) in calls.iter().enumerate() {
        sequence.add(call).ok_or(Unusable::Senseless(number as u64))?;
    }
    if sequence.blocks == 0 {
        return Err(Unusable::Empty);
    }
    let program = program.replace(['\n', '\r'], " ");
    let Sequence { blocks, places, most_live, .. } = sequence;
    let head = format!("{MAGIC} {} {blocks} {places} {most_live} {program}\n", calls.len());
    let mut packed = Calls::new(Writer::after(head.into_bytes()));
    for &call in calls {
        packed.next(call);
    }
    Ok(Recorded { bytes: packed.coder.finish(), blocks, most_live })
}

/// A recording that was made.
#[derive(Debug)]
pub struct Recorded {
    /// The file.
    pub bytes: Vec<u8>,
    /// Blocks that are allocated.
    pub blocks: u64,
    /// Most bytes live at a time.
    pub most_live: u64,
}

/// The sequence of the calls before block `n` + 1, those that free what is live then among them.
pub(crate) fn read(bytes: &[u8], n: u64) -> Result<Sequence, Unusable> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or(Unusable::Foreign)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Unusable::Foreign)?;
    let mut words = head.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(Unusable::Foreign);
    }
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or(Unusable::Damaged(0));
    let (calls, blocks, places, most_live) = (number()?, number()?, number()?, number()?);
    if calls > MOST_CALLS {
        return Err(Unusable::Long);
    }
    let mut sequence = Sequence::with_room(calls as usize, places.min(calls) as usize);
    let mut packed = Calls::new(Reader::of(&bytes[end + 1..]));
    for number in 0..calls {
        let call = packed.next(Call::Free { block: 0 });
        if matches!(call, Call::Allocate { .. }) && sequence.blocks == n {
            break;
        }
        sequence.add(call).ok_or(Unusable::Damaged(number))?;
    }
    if n >= blocks && (sequence.blocks, sequence.most_live) != (blocks, most_live) {
        return Err(Unusable::Damaged(calls));
    }
    sequence.end();
    sequence.odds = packed.coder.into_odds();
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use proptest::prelude::*;

    /// Sensible calls: each choice is taken for what is live.
    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let choice = (0..4_u8, any::<prop::sample::Index>(), 0..1_u64 << 30, 0..30_u32);
        prop::collection::vec(choice, 1..400).prop_map(|choices| {
            let (mut live, mut made) = (Vec::new(), 0);
            let mut made_one = |live: &mut Vec<u32>| {
                live.push(made);
                made += 1;
            };
            let one = |(kind, which, bytes, less): (u8, prop::sample::Index, u64, u32)| {
                let bytes = bytes >> less;
                if live.is_empty() || kind < 2 {
                    made_one(&mut live);
                    return Call::Allocate { bytes };
                }
                let block = live.remove(which.index(live.len()));
                if kind == 2 {
                    return Call::Free { block };
                }
                made_one(&mut live);
                Call::Resize { block, bytes }
            };
            choices.into_iter().map(one).collect()
        })
    }

    /// Goes through steps in the plainest way: blocks allocated, most bytes live, blocks left.
    fn played(sequence: &Sequence) -> (u64, u64, usize) {
        let mut table = vec![None; sequence.places];
        let (mut blocks, mut most) = (0, 0);
        for step in &sequence.steps {
            match *step {
                Step::Allocate { place, bytes } => {
                    assert_eq!(table[place as usize].replace(bytes), None, "a place is taken twice");
                    blocks += 1;
                }
                Step::Resize { place, bytes } => assert!(table[place as usize].replace(bytes).is_some()),
                Step::Free { place } => assert!(table[place as usize].take().is_some(), "nothing is there"),
            }
            most = most.max(table.iter().flatten().sum());
        }
        (blocks, most, table.iter().flatten().count())
    }

    proptest! {
        #[test]
        fn calls_come_back(calls in calls()) {
            let recorded = write("a program", &calls).unwrap();
            let begin = recorded.bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let mut packed = Calls::new(Reader::of(&recorded.bytes[begin..]));
            for &call in &calls {
                prop_assert_eq!(packed.next(Call::Free { block: 0 }), call);
            }
        }

        #[test]
        fn a_replay_has_the_blocks_that_are_asked_for_and_frees_them_all(calls in calls(), n in 1..500_u64) {
            let recorded = write("a program", &calls).unwrap();
            let whole = read(&recorded.bytes, u64::MAX).unwrap();
            prop_assert_eq!(played(&whole), (recorded.blocks, recorded.most_live, 0));
            let cut = read(&recorded.bytes, n).unwrap();
            prop_assert_eq!(played(&cut), (n.min(recorded.blocks), cut.most_live, 0));
        }

        #[test]
        fn a_damaged_recording_is_refused_or_makes_sense(
            calls in calls(),
            change in (any::<prop::sample::Index>(), any::<NonZeroU64>()),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = write("a program", &calls).unwrap().bytes;
            let (at, by) = change;
            let at = at.index(bytes.len());
            bytes[at] ^= by.get() as u8;
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(sequence) = read(&bytes, u64::MAX) {
                prop_assert_eq!(played(&sequence).2, 0);
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_recording() {
        let refused = |calls: &[Call]| write("", calls).unwrap_err();
        assert_eq!(refused(&[]), Unusable::Empty);
        assert_eq!(refused(&[Call::Free { block: 0 }]), Unusable::Senseless(0));
        let twice = [Call::Allocate { bytes: 1 }, Call::Free { block: 0 }, Call::Free { block: 0 }];
        assert_eq!(refused(&twice), Unusable::Senseless(2));
        assert_eq!(refused(&[Call::Allocate { bytes: u64::MAX }]), Unusable::Senseless(0));
        assert_eq!(read(b"#!/bin/sh\n", 1).unwrap_err(), Unusable::Foreign);
        assert_eq!(read(b"", 1).unwrap_err(), Unusable::Foreign);
    }
}
