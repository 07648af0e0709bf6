use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A closed stretch of the line that covers the true value with at least the given probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end, in the unit of the data.
    pub low: f64,
    /// The upper end, in the unit of the data.
    pub high: f64,
    /// The level that was asked for, in (0, 1). Rank intervals come in steps and cover at least this much.
    pub confidence: f64,
}

impl Interval {
    /// Whether `value` lies in it, the ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The distance between its ends, in the unit of the data.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_belong_to_it() {
        let interval = Interval { low: -1.0, high: 2.0, confidence: 0.95 };
        assert!(interval.contains(-1.0) && interval.contains(2.0));
        assert!(!interval.contains(-1.001) && !interval.contains(f64::NAN));
        assert!((interval.width() - 3.0).abs() < 1e-15);
    }

    #[test]
    fn it_survives_json() {
        let interval = Interval { low: 0.1, high: 0.2, confidence: 0.95 };
        let text = serde_json::to_string(&interval).unwrap();
        assert_eq!(text, r#"{"low":0.1,"high":0.2,"confidence":0.95}"#);
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), interval);
    }
}
