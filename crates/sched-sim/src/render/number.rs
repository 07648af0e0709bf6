//! Numbers as people read them.

/// Six significant digits at most, without zeros at the end.
pub(super) fn number(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { libm::floor(libm::log10(value.abs())) };
    let decimals = (5.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn six_digits_and_no_zeros() {
        let texts = [0.0, 12.0, 0.1 + 0.2, 166.666_666, 1_234_567.8, 0.000_012_34, -3.5, 1e12].map(number);
        assert_eq!(texts, ["0", "12", "0.3", "166.667", "1234568", "0.00001234", "-3.5", "1000000000000"]);
    }
}
