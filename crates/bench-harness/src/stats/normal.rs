//! The standard normal distribution's tail and its inverse, to about 13 digits also far out.

use std::f64::consts::PI;

/// From here on the continued fraction converges fast; below it the series loses no digits that matter.
const SERIES_UNTIL: f64 = 3.0;

/// The probability of a value above `z`.
pub(super) fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        1.0 - upper_tail(-z)
    } else if z < SERIES_UNTIL {
        0.5 - density(z) * series(z)
    } else {
        density(z) * mills_ratio(z)
    }
}

/// The `z` above which the probability `tail` lies, for a tail in (0, 1/2].
pub(super) fn upper_quantile(tail: f64) -> f64 {
    debug_assert!(tail > 0.0 && tail <= 0.5);
    // Q(z) <= exp(-z^2 / 2) / 2, so this start lies at or above the root. The logarithm of the tail is concave, so
    // Newton's steps come down to the root and never jump over it.
    let mut z = (-2.0 * (2.0 * tail).ln()).sqrt();
    for _ in 0..64 {
        let probability = upper_tail(z);
        let step = (probability / tail).ln() * probability / density(z);
        z += step;
        if step.abs() <= 1e-15 * z.abs() {
            break;
        }
    }
    z
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * PI).sqrt()
}

/// `(Phi(z) - 1/2) / density(z)` = z + z^3/3 + z^5/(3*5) + ... (Abramowitz & Stegun 26.2.11).
fn series(z: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term > sum * f64::EPSILON / 4.0 {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    sum
}

/// The tail over the density: 1/(z + 1/(z + 2/(z + 3/(z + ...)))) (Laplace; Abramowitz & Stegun 26.2.14).
fn mills_ratio(z: f64) -> f64 {
    // 100 levels leave an error below 1e-15 at z = 3 and less beyond.
    1.0 / (1..=100).rev().fold(z, |inner, level| z + f64::from(level) / inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, theirs: f64) {
        assert!((ours / theirs - 1.0).abs() < 1e-12, "{ours:e} is not {theirs:e}");
    }

    #[test]
    fn the_tail_is_the_tables_value() {
        // scipy.stats.norm.sf
        close(upper_tail(0.0), 0.5);
        close(upper_tail(1.0), 0.158_655_253_931_457_05);
        close(upper_tail(-1.0), 0.841_344_746_068_542_9);
        close(upper_tail(3.0), 1.349_898_031_630_094_6e-3);
        close(upper_tail(10.0), 7.619_853_024_160_527e-24);
        assert_eq!(upper_tail(f64::NEG_INFINITY).to_bits(), 1.0_f64.to_bits());
        assert_eq!(upper_tail(f64::INFINITY).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn both_formulas_agree_where_they_meet() {
        close(0.5 - density(SERIES_UNTIL) * series(SERIES_UNTIL), density(SERIES_UNTIL) * mills_ratio(SERIES_UNTIL));
    }

    #[test]
    fn the_inverse_undoes_the_tail() {
        close(upper_quantile(0.025), 1.959_963_984_540_054);
        for tail in [1e-300, 1e-20, 1e-6, 0.01, 0.2, 0.499] {
            close(upper_tail(upper_quantile(tail)), tail);
        }
        assert!(upper_quantile(0.5).abs() < 1e-12);
    }
}
