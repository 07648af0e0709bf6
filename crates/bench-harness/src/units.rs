//! Numbers as people read them.

/// `value` with `digits` significant digits and thousands separated, never in exponent form.
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = digits - 1 - magnitude;
    let factor = 10_f64.powi(decimals);
    let rounded = (value * factor).round() / factor;
    // Rounding may carry into another digit: 9.996 has three significant digits as 10.0.
    let decimals = digits - 1 - rounded.abs().log10().floor() as i32;
    thousands(&format!("{rounded:.*}", decimals.max(0) as usize))
}

/// A count that is an extrapolation, with no more digits than it deserves.
pub fn about(count: u32) -> String {
    match count {
        0..100 => format!("about {count}"),
        100..=1_000 => format!("about {}", significant(f64::from(count), 2)),
        _ => "more than 1,000".to_owned(),
    }
}

/// A count to its last digit, thousands separated.
pub fn whole(count: u64) -> String {
    thousands(&count.to_string())
}

fn thousands(plain: &str) -> String {
    let (whole, fraction) = plain.split_once('.').map_or((plain, None), |(whole, fraction)| (whole, Some(fraction)));
    let (sign, number) = whole.strip_prefix('-').map_or(("", whole), |number| ("-", number));
    let mut grouped = String::new();
    for (index, digit) in number.chars().enumerate() {
        if index > 0 && (number.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        Some(fraction) => format!("{sign}{grouped}.{fraction}"),
        None => format!("{sign}{grouped}"),
    }
}

/// The unit in which a time in ns reads best, and how many ns it has.
pub fn scale_of_ns(ns: f64) -> (f64, &'static str) {
    match ns.abs() {
        size if size < 1e5 => (1.0, "ns"),
        size if size < 1e7 => (1e3, "us"),
        size if size < 1e10 => (1e6, "ms"),
        _ => (1e9, "s"),
    }
}

/// A time in ns, with three significant digits and its unit.
pub fn time(ns: f64) -> String {
    let (scale, unit) = scale_of_ns(ns);
    format!("{} {unit}", significant(ns / scale, 3))
}

/// A size in bytes, with three significant digits and its unit.
pub fn bytes(bytes: f64) -> String {
    let (scale, unit) = match bytes.abs() {
        size if size < 10_240.0 => (1.0, "B"),
        size if size < 10_485_760.0 => (1024.0, "KiB"),
        size if size < 10_737_418_240.0 => (1_048_576.0, "MiB"),
        _ => (1_073_741_824.0, "GiB"),
    };
    format!("{} {unit}", significant(bytes / scale, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_significant_digits_whatever_the_size() {
        let cases = [
            (0.071_23, "0.0712"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (12.94, "12.9"),
            (165.2, "165"),
            (32_449.0, "32,400"),
            (-1234.0, "-1,230"),
            (999_960.0, "1,000,000"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value, 3), expected);
        }
    }

    #[test]
    fn counts_keep_every_digit() {
        assert_eq!([0, 999, 12_345_678].map(whole), ["0", "999", "12,345,678"]);
    }

    #[test]
    fn extrapolated_counts_are_not_given_to_the_last_digit() {
        assert_eq!([7, 426, 28_257].map(about), ["about 7", "about 430", "more than 1,000"]);
    }

    #[test]
    fn times_and_sizes_carry_the_unit_that_reads_best() {
        assert_eq!(time(12.94), "12.9 ns");
        assert_eq!(time(32_449.0), "32,400 ns");
        assert_eq!(time(297_000_000.0), "297 ms");
        assert_eq!(bytes(16_900.0), "16.5 KiB");
    }
}
