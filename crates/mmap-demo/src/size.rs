//! Sizes as text.

use std::fmt;

/// Bytes with a unit that fits: `512 B`, `4 KiB`, `1.50 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut units = UNITS.iter();
        let mut unit = units.next().unwrap_or(&"");
        // 1023.95 would be printed as 1024.
        while value >= 999.5 {
            let Some(next) = units.next() else { break };
            (value, unit) = (value / 1024.0, next);
        }
        let exact = value.fract() == 0.0;
        let digits = if exact || value >= 100.0 {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

/// The same with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signed(pub(crate) i64);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        f.pad(&format!("{sign}{}", Size(self.0.unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_unit_that_fits() {
        let texts =
            [0, 1_023, 1_024, 4_096, 132 << 10, 1_000 << 10, (3 << 30) / 2, 8 << 30].map(|size| Size(size).to_string());
        assert_eq!(texts, ["0 B", "1023 B", "1 KiB", "4 KiB", "132 KiB", "0.98 MiB", "1.50 GiB", "8 GiB"]);
        assert_eq!(Signed(-4096).to_string(), "-4 KiB");
        assert_eq!(Size(u64::MAX).to_string(), "16 EiB");
    }
}
