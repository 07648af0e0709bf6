//! What a block that was drawn counts for.

/// How many blocks of its size a block stands for that was noted because one of its bytes was drawn, one in `mean` bytes on average: one over
/// the probability that one is.
pub(crate) fn weight(size: u64, mean: u64) -> f64 {
    -1.0 / (-(size.max(1) as f64) / mean.max(1) as f64).exp_m1()
}
