//! How much y grows with x, say bytes with the number of tasks, when a few points are off.

use super::order::median_in_place;

/// The slope of a straight line through the points: the median of the slopes of all pairs with different x (Theil
/// 1950; Sen, "Estimates of the regression coefficient based on Kendall's tau", Journal of the American Statistical
/// Association 63, 1968). In units of y per unit of x: bytes a task. Up to 29 % of wild points cannot carry it away.
///
/// `None` when no two points differ in x, or when a coordinate is not finite.
///
/// ```
/// use bench_harness::stats::slope::theil_sen;
///
/// // 64 bytes a task; the allocator took another page once.
/// let points = [(0.0, 500.0), (10.0, 1140.0), (20.0, 1780.0), (30.0, 6516.0), (40.0, 3060.0)];
/// assert_eq!(theil_sen(&points), Some(64.0));
/// ```
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    median_in_place(&mut pairwise(points)?)
}

/// The least and the greatest of the slopes of all pairs with different x, in units of y per unit of x. Not a
/// confidence interval: it says how straight the line is.
///
/// `None` as for [`theil_sen`].
pub fn range(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let slopes = pairwise(points)?;
    Some((slopes.iter().copied().min_by(f64::total_cmp)?, slopes.iter().copied().max_by(f64::total_cmp)?))
}

fn pairwise(points: &[(f64, f64)]) -> Option<Vec<f64>> {
    if !points.iter().all(|(x, y)| x.is_finite() && y.is_finite()) {
        return None;
    }
    let mut slopes = Vec::new();
    for (index, (x, y)) in points.iter().enumerate() {
        #[expect(clippy::float_cmp, reason = "only a step of exactly 0 has no slope")]
        let others = points[index + 1..].iter().filter(|(other_x, _)| other_x != x);
        slopes.extend(others.map(|(other_x, other_y)| (other_y - y) / (other_x - x)));
    }
    Some(slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_has_its_slope_in_every_pair() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 - 2.0 * f64::from(x))).collect();
        assert_eq!(theil_sen(&points), Some(-2.0));
        assert_eq!(range(&points), Some((-2.0, -2.0)));
    }

    #[test]
    fn points_at_the_same_x_say_nothing_about_the_slope() {
        assert_eq!(theil_sen(&[(1.0, 0.0), (1.0, 100.0), (2.0, 50.0), (3.0, 100.0)]), Some(50.0));
        assert_eq!(theil_sen(&[(1.0, 0.0), (1.0, 100.0)]), None);
        assert_eq!(range(&[(1.0, 0.0)]), None);
        assert_eq!(theil_sen(&[(1.0, 0.0), (f64::NAN, 100.0)]), None);
    }
}
