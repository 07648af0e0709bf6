//! The C library's allocator and its way to the operating system.

use std::io::Write;
use std::ops::Range;
use std::process::Command;
use std::time::Instant;

use super::memory::{Block, asked_of_a_child, free_at_the_end, program_break, set_parameter, trim};
use super::outcome::{Findings, Judged, Outcome, Verdict, bytes, percent};
use super::paired::{Claim, Comparison, Subject, Timed, Way};
use super::reserve::{Steps, signed, within};
use super::{Failure, Trying};

const MIB: usize = 1 << 20;
const LARGE: usize = 40 * MIB;
/// glibc's `M_MMAP_THRESHOLD` at the beginning (`malloc/malloc.c`, `DEFAULT_MMAP_THRESHOLD`).
const THRESHOLD: usize = 128 << 10;
/// Where the first request is looked for that is mapped.
const SEARCHED: Range<usize> = 65_536..262_144;

/// Whether a block was mapped for its own, and is no part of the heap.
fn is_mapped(block: &Block) -> bool {
    // The heap lies below the break, mappings far above.
    block.address() > program_break()
}

fn block(size: usize) -> Result<Block, Failure> {
    Block::new(size).trying("to allocate memory")
}

/// Allocates small blocks until the heap has no room left at its end. It grows when there is no hole that a request fits into, and it is
/// asked whether to map instead at that moment alone.
fn use_up(taken: &mut Vec<Block>) -> Result<(), Failure> {
    while free_at_the_end() > 2_048 {
        taken.push(block(1_024)?);
    }
    Ok(())
}

/// The smallest request, to 16 bytes, that is mapped by a heap with no room left. What is mapped is kept: to free it would move the threshold.
fn first_mapped(taken: &mut Vec<Block>, mapped: &mut Vec<Block>) -> Result<Option<usize>, Failure> {
    let (mut from, mut to) = (SEARCHED.start / 16, SEARCHED.end / 16);
    while from < to {
        let middle = usize::midpoint(from, to);
        use_up(taken)?;
        let block = block(middle * 16)?;
        if is_mapped(&block) {
            mapped.push(block);
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok((from * 16 < SEARCHED.end).then_some(from * 16))
}

/// Tells the program to look at its heap as soon as it begins, and at nothing else.
const FRESH: &str = "MMAP_DEMO_FRESH_HEAP";
/// A request needs a header of 8 bytes, is rounded up to 16, and has to leave 32 at the heap's end (`malloc/malloc.c`, `MINSIZE`).
const FRESH_SLACK: usize = 64;

/// A heap that nobody has used yet but what runs before a program's first line.
struct Fresh {
    /// Free at its end, bytes.
    room: usize,
    /// The smallest request that is mapped, to 16 bytes.
    first: usize,
}

/// What a program finds that is begun for this alone. `None` if it finds nothing.
fn fresh() -> Result<Option<Fresh>, Failure> {
    let program = std::env::current_exe().trying("to find this program")?;
    let output = Command::new(program).env(FRESH, "1").output().trying("to start this program")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut numbers = said.split_whitespace().filter_map(|number| number.parse().ok());
    Ok(numbers.next().zip(numbers.next()).map(|(room, first)| Fresh { room, first }))
}

/// Looks at the heap as it is when the program begins, if it was begun for that, and tells whether it was. Each request is made by a child
/// of its own, a copy of the fresh process.
pub(crate) fn began_for_its_heap() -> bool {
    if std::env::var_os(FRESH).is_none() {
        return false;
    }
    let room = free_at_the_end();
    let mapped =
        |size: usize| asked_of_a_child(|| block(size).is_ok_and(|block| is_mapped(&block))).is_ok_and(|mapped| mapped);
    let (mut from, mut to) = (SEARCHED.start / 16, SEARCHED.end / 16);
    while from < to {
        let middle = usize::midpoint(from, to);
        if mapped(middle * 16) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    if from * 16 < SEARCHED.end {
        // Who began it reads what there is.
        let _ = writeln!(std::io::stdout(), "{room} {}", from * 16);
    }
    true
}

/// What fits into the room that a fresh heap has is never mapped.
fn of_a_fresh_heap(fresh: Option<&Fresh>, first: usize) -> Verdict {
    let claim =
        "on a fresh heap the first request that is mapped is larger: what the heap has room for comes from there";
    match fresh {
        Some(Fresh { room, first: on_fresh }) => Verdict::of(
            claim,
            *on_fresh > first && on_fresh.abs_diff(*room) <= FRESH_SLACK,
            format!(
                "{room} bytes free at the heap's end when the program begins; the first request mapped is that of {on_fresh} bytes, and \
                 {first} once that room is used up"
            ),
        ),
        None => Verdict::skipped(claim, "the program could not be begun afresh, or none of its requests was mapped"),
    }
}

pub(super) fn walk() -> Result<Outcome, Failure> {
    let mut steps = Steps::new()?;
    let fresh = fresh()?;
    let mut verdicts = Vec::new();
    let (mut taken, mut mapped) = (Vec::new(), Vec::new());
    let Some(first) = first_mapped(&mut taken, &mut mapped)? else {
        let why =
            format!("no request below {} bytes was mapped: this is not glibc's allocator as it comes", SEARCHED.end);
        let verdict = Verdict::skipped("malloc uses mmap above 128 KiB", &why);
        return Ok(outcome(steps, vec![verdict]));
    };
    steps.note(
        "the smallest request looked for that is mapped",
        &format!("that of {first} bytes, once the heap has no room left"),
    )?;
    // The largest of them is what the threshold becomes.
    drop(mapped);
    use_up(&mut taken)?;
    let again = is_mapped(&block(first)?);
    let four = block(4 * MIB)?;
    let four_mapped = is_mapped(&four);
    drop(four);
    let four_again = is_mapped(&block(4 * MIB)?);
    steps.note("4 MiB allocated and freed, twice", "mapped the first time, from the heap the second")?;
    verdicts.push(Verdict::judged(
        "malloc uses mmap above 128 KiB",
        if first.abs_diff(THRESHOLD) < 4096 && four_mapped && !again && !four_again {
            Judged::Depends
        } else if four_again {
            Judged::True
        } else {
            Judged::False
        },
        format!(
            "true once: the smallest request that is mapped is that of {first} bytes (128 KiB less a header, rounded){}; \
             once it is freed the same request comes from {}, for each free of a mapped block raises the threshold to its size; 4 MiB: \
             first {}, then {}",
            match &fresh {
                Some(fresh) => format!(", on a fresh heap that of {} bytes", fresh.first),
                None => String::new(),
            },
            place(again),
            place(four_mapped),
            place(four_again)
        ),
    ));
    verdicts.push(of_a_fresh_heap(fresh.as_ref(), first));
    let large = block(LARGE)?;
    large.touch();
    let always = is_mapped(&large);
    steps.note("40 MiB allocated and touched", "always mapped: the threshold goes up to 32 MiB")?;
    drop(large);
    steps.note("and freed", "")?;
    let (_, res) = steps.growth();
    let mapped_free = res;
    let always_again = is_mapped(&block(LARGE)?);
    let trimmed = trimmed_by_hand(&mut steps)?;
    let blocks = (0..400).map(|_| block(100_000)).collect::<Result<Vec<Block>, Failure>>()?;
    blocks.iter().for_each(Block::touch);
    // Holes further down are filled first.
    let last = blocks.iter().map(Block::address).max().unwrap_or(0);
    let mut pins = vec![block(2_000)?];
    while pins.iter().all(|pin| pin.address() < last) {
        pins.push(block(2_000)?);
    }
    steps.note("400 blocks of 100,000 bytes touched, and a small one after", "")?;
    let grown = steps.growth().1;
    drop(blocks);
    steps.note("the 400 freed", "the small one lies between them and the end of the heap")?;
    let kept = steps.growth().1;
    trim();
    steps.note("malloc_trim", "")?;
    let given_back = steps.growth().1;
    verdicts.push(Verdict::of(
        "free of a mapped block gives it back at once, of a heap block not",
        always && always_again && within(-mapped_free, LARGE) && grown > 0 && kept.abs() < grown / 20,
        format!(
            "40 MiB mapped, freed: RES {}; 400 blocks of the heap ({}), freed: RES {}; malloc_trim: RES {}",
            signed(mapped_free),
            bytes(grown.unsigned_abs()),
            signed(kept),
            signed(given_back)
        ),
    ));
    drop(pins);
    verdicts.push(by_hand(&mut steps, &mut taken)?);
    drop(taken);
    verdicts.push(trimmed);
    let mut values = vec![
        ("first_mapped_kib", (first as f64 / 1024.0).round()),
        ("again_mapped", f64::from(u8::from(again))),
        ("mapped_given_back_percent", percent(-mapped_free, LARGE)),
        ("heap_given_back_percent", percent(-kept, grown.max(1) as usize)),
    ];
    if let Some(fresh) = fresh {
        values.push(("fresh_more_bytes", fresh.first as f64 - first as f64));
    }
    Ok(outcome(steps, verdicts).with_values(values))
}

/// A threshold that was set, and requests above it.
fn by_hand(steps: &mut Steps, taken: &mut Vec<Block>) -> Result<Verdict, Failure> {
    let fixed = set_parameter(libc::M_MMAP_THRESHOLD, THRESHOLD);
    // What the heap still has is used up first.
    loop {
        let block = block(200_000)?;
        if is_mapped(&block) {
            break;
        }
        taken.push(block);
        if taken.len() > 100_000 {
            break;
        }
    }
    let each_time = (0..3).map(|_| Ok(is_mapped(&block(200_000)?))).collect::<Result<Vec<bool>, Failure>>()?;
    steps.note(
        "M_MMAP_THRESHOLD set by hand, 200,000 bytes three times",
        "mapped each time: it doesn't move any more",
    )?;
    Ok(Verdict::of(
        "a threshold set by hand stays where it is",
        fixed && each_time == [true; 3],
        format!("200,000 bytes three times over: {}", each_time.into_iter().map(place).collect::<Vec<_>>().join(", ")),
    ))
}

/// From how much free room at its end on the heap gives that back, set to little and to more than there is. To be called when requests of
/// a MiB come from the heap, and it has no hole for them.
fn trimmed_by_hand(steps: &mut Steps) -> Result<Verdict, Failure> {
    let mut freed = |threshold: usize, name: &str| -> Result<i64, Failure> {
        // Nothing else may be allocated while they are, or it would lie behind them, and they were not at the end when they are freed.
        let mut blocks = Vec::with_capacity(20);
        let set = set_parameter(libc::M_TRIM_THRESHOLD, threshold);
        for _ in 0..20 {
            blocks.push(block(MIB)?);
        }
        blocks.iter().for_each(Block::touch);
        drop(blocks);
        let note = if set { "" } else { "the allocator refused the threshold" };
        steps.note(&format!("20 MiB at its end touched, freed: M_TRIM_THRESHOLD {name}"), note)?;
        Ok(steps.growth().1)
    };
    let (low, high) = (freed(THRESHOLD, "128 KiB")?, freed(64 * MIB, "64 MiB")?);
    trim();
    steps.note("malloc_trim", "")?;
    Ok(Verdict::of(
        "what is freed at the end of the heap is given back from M_TRIM_THRESHOLD on",
        low.abs() < MIB.cast_signed() as i64 && within(high, 20 * MIB),
        format!("20 MiB touched and freed: with 128 KiB RES {}, with 64 MiB RES {}", signed(low), signed(high)),
    ))
}

fn outcome(steps: Steps, verdicts: Vec<Verdict>) -> Outcome {
    let question = "When does malloc ask for a mapping, and what does free give back?";
    Outcome::new("malloc", question, Findings::Steps(steps.steps), verdicts)
}

fn place(mapped: bool) -> &'static str {
    if mapped { "a mapping" } else { "the heap" }
}

pub(super) fn comparison() -> Comparison {
    Comparison {
        name: "malloc-cost",
        question: "200,000 bytes allocated, touched at the beginning, and freed: from the heap or as a mapping?",
        operation: "malloc and free",
        ways: vec![
            Way { name: "malloc-heap", prepare: || Ok(Box::new(Pairs { threshold: 32 * MIB })) },
            Way { name: "malloc-map", prepare: || Ok(Box::new(Pairs { threshold: THRESHOLD })) },
        ],
        claims: vec![Claim {
            text: "a mapping for each request costs a hundred times as much as the heap",
            way: "malloc-map",
            versus: Some("malloc-heap"),
            at_least: 100.0,
            at_most: f64::INFINITY,
        }],
    }
}

struct Pairs {
    threshold: usize,
}

impl Subject for Pairs {
    fn run(&mut self, iterations: u64) -> Result<Timed, Failure> {
        if !set_parameter(libc::M_MMAP_THRESHOLD, self.threshold) {
            return Err(Failure::File("the C library has no such parameter: it is not glibc".to_owned()));
        }
        // The heap keeps what it has: to grow and to shrink it each time is another cost.
        set_parameter(libc::M_TRIM_THRESHOLD, 64 * MIB);
        let from_heap = self.threshold > 200_000;
        if !from_heap {
            // Room that the heap has left would serve the request, whatever the threshold.
            trim();
        }
        if is_mapped(&block(200_000)?) == from_heap {
            let why = "the allocator took the request from elsewhere than it was meant to";
            return Err(Failure::File(why.to_owned()));
        }
        let begin = Instant::now();
        for _ in 0..iterations {
            let block = block(200_000)?;
            block.write_first();
        }
        Ok(Timed { operations: iterations, spent: begin.elapsed() })
    }
}
