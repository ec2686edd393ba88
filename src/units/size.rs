//! Sizes as users write them: `512`, `64K`, `256M`, `1.5G`, `4GiB`.

/// The number of bytes that `text` means. Units are powers of 1024, as QEMU has them.
pub fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let shift = match unit
        .to_ascii_lowercase()
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let bytes = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (bytes < u64::MAX as f64 && bytes.fract() == 0.0).then_some(bytes as u64)
}

/// A number of bytes as [`parse_size`] takes it, in the largest unit of which it is a multiple: `10M`.
pub fn exact_size(bytes: u64) -> String {
    let mut units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")].into_iter();
    let unit = units.find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(
        || bytes.to_string(),
        |(shift, name)| format!("{}{name}", bytes >> shift),
    )
}

/// A number of bytes for people: the largest unit of which there is one, with one digit after the point.
pub fn show_size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() / 10).min(4);
    match power {
        0 => format!("{bytes} bytes"),
        _ => {
            let number = bytes as f64 / (1_u64 << (10 * power)) as f64;
            format!("{number:.1} {}", units[power as usize])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_shown_in_the_largest_unit_that_it_has() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (2 << 30, "2.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(show_size(bytes), shown);
        }
    }

    #[test]
    fn exact_size_is_parsed_as_the_same_number() {
        for (bytes, shown) in [
            (0, "0"),
            (1, "1"),
            (1536, "1536"),
            (10 << 20, "10M"),
            (3 << 41, "6T"),
        ] {
            assert_eq!(exact_size(bytes), shown);
            assert_eq!(parse_size(shown), Some(bytes));
        }
    }

    #[test]
    fn size_units_are_powers_of_1024_and_other_texts_are_none() {
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("64K"), Some(65_536));
        assert_eq!(parse_size("1.5g"), Some(1_610_612_736));
        assert_eq!(parse_size("4GiB"), Some(4 << 30));
        for bad in ["", "M", "-1", "1X", "1e3", "0.3", "99999999999T"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
