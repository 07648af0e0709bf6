//! Prefix codes: frequent symbols get short codes. Codes are canonical: their lengths alone say what they are.

/// The longest code, in bits: a length is written in four.
pub const LONGEST: usize = 15;

/// Finds code lengths for symbols that occur `counts[symbol]` times, 0 for those that don't.
///
/// Huffman's algorithm in place, as Moffat and Katajainen describe it (In-Place Calculation of Minimum-Redundancy Codes, 1995); codes that
/// come out too long are shortened at the cost of others. `order` and `weights` are scratch, at least as long as `counts`.
pub fn lengths(counts: &[u32], lengths: &mut [u8], order: &mut [u32], weights: &mut [u32]) {
    lengths[..counts.len()].fill(0);
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate() {
        if count > 0 {
            order[used] = symbol as u32;
            used += 1;
        }
    }
    let order = &mut order[..used];
    match used {
        0 => return,
        1 => {
            lengths[order[0] as usize] = 1;
            return;
        }
        _ => order.sort_unstable_by_key(|&symbol| counts[symbol as usize]),
    }
    let weights = &mut weights[..used];
    for (weight, &symbol) in weights.iter_mut().zip(&*order) {
        *weight = counts[symbol as usize];
    }
    depths(weights);
    // How many codes of each length there are, none longer than allowed.
    let mut of_length = [0_u32; LONGEST + 1];
    for &depth in &*weights {
        of_length[(depth as usize).min(LONGEST)] += 1;
    }
    // Kraft's sum in units of the longest code: too much of it, and there are not enough codes. A code is then made longer by one bit.
    let mut sum: u64 = (1..=LONGEST).map(|length| u64::from(of_length[length]) << (LONGEST - length)).sum();
    while sum > 1 << LONGEST {
        let from = (1..LONGEST).rev().find(|&length| of_length[length] > 0).unwrap_or(1);
        of_length[from] -= 1;
        of_length[from + 1] += 1;
        sum -= 1 << (LONGEST - from - 1);
    }
    // The rarest symbols come first in `order`, and get the longest codes.
    let mut next = order.iter();
    for length in (1..=LONGEST).rev() {
        for &symbol in next.by_ref().take(of_length[length] as usize) {
            lengths[symbol as usize] = length as u8;
        }
    }
}

/// Turns weights, sorted upwards, into the depths of their leaves.
fn depths(a: &mut [u32]) {
    let n = a.len();
    // First: parents of inner nodes, from the lightest up.
    a[0] += a[1];
    let (mut root, mut leaf) = (0, 2);
    for next in 1..n - 1 {
        let mut take = |a: &mut [u32]| {
            if leaf >= n || (root < next && a[root] < a[leaf]) {
                let weight = a[root];
                a[root] = next as u32;
                root += 1;
                weight
            } else {
                leaf += 1;
                a[leaf - 1]
            }
        };
        let first = take(a);
        a[next] = 0;
        let second = take(a);
        a[next] = first + second;
    }
    // Second: depths of inner nodes, from the root down.
    a[n - 2] = 0;
    for next in (0..n - 2).rev() {
        a[next] = a[a[next] as usize] + 1;
    }
    // Third: depths of the leaves, from the root down.
    let (mut available, mut used, mut depth) = (1_usize, 0_usize, 0_u32);
    // Both are one more than the place.
    let mut root = n - 1;
    let mut next = n;
    while available > 0 {
        while root > 0 && a[root - 1] == depth {
            used += 1;
            root -= 1;
        }
        while available > used {
            next -= 1;
            a[next] = depth;
            available -= 1;
        }
        available = 2 * used;
        depth += 1;
        used = 0;
    }
}

/// The codes that lengths stand for, each `code | length << 16`, its first bit the lowest.
pub fn codes(lengths: &[u8], codes: &mut [u32]) {
    let mut next = first_codes(lengths);
    for (&length, code) in lengths.iter().zip(codes) {
        if length > 0 {
            let reversed = u32::from(next[usize::from(length)].reverse_bits() >> (16 - u32::from(length)));
            *code = reversed | u32::from(length) << 16;
            next[usize::from(length)] = next[usize::from(length)].wrapping_add(1);
        }
    }
}

/// The first code of each length.
pub fn first_codes(lengths: &[u8]) -> [u16; LONGEST + 1] {
    let mut of_length = [0_u16; LONGEST + 1];
    for &length in lengths {
        of_length[usize::from(length)] += 1;
    }
    of_length[0] = 0;
    let mut first = [0_u16; LONGEST + 1];
    for length in 1..=LONGEST {
        first[length] = first[length - 1].wrapping_add(of_length[length - 1]) << 1;
    }
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lengths_of(counts: &[u32]) -> Vec<u8> {
        let mut found = vec![0; counts.len()];
        lengths(counts, &mut found, &mut vec![0; counts.len()], &mut vec![0; counts.len()]);
        found
    }

    #[test]
    fn lengths_are_the_known_ones() {
        // Textbook: 45, 13, 12, 16, 9, 5 (Cormen et al., Introduction to Algorithms, 16.3).
        assert_eq!(lengths_of(&[45, 13, 12, 16, 9, 5]), [1, 3, 3, 3, 4, 4]);
        assert_eq!(lengths_of(&[0, 3, 0]), [0, 1, 0]);
        assert_eq!(lengths_of(&[0]), [0]);
    }

    proptest! {
        #[test]
        fn codes_are_prefix_free_and_short_enough(counts in prop::collection::vec(prop_oneof![Just(0_u32), 1..5_u32, 1..9000_u32], 1..600)) {
            let found = lengths_of(&counts);
            let sum: f64 = found.iter().filter(|&&length| length > 0).map(|&length| 0.5_f64.powi(length.into())).sum();
            prop_assert!(sum <= 1.0 && found.iter().all(|&length| usize::from(length) <= LONGEST));
            prop_assert!(counts.iter().zip(&found).all(|(&count, &length)| (count > 0) == (length > 0)));
        }
    }

    #[test]
    fn weights_that_grow_like_fibonaccis_numbers_are_cut() {
        let mut counts = vec![1_u32, 1];
        while counts.len() < 40 {
            counts.push(counts[counts.len() - 1] + counts[counts.len() - 2]);
        }
        let found = lengths_of(&counts);
        assert_eq!(usize::from(found[0]), LONGEST);
        let sum: f64 = found.iter().map(|&length| 0.5_f64.powi(length.into())).sum();
        assert!(sum <= 1.0);
    }
}
