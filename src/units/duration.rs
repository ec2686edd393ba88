//! Durations as users write them: `200us`, `50ms`, `1.5s`, `2m`, `1h`.

use std::time::Duration;

/// The units, smallest first, with their length in microseconds.
const UNITS: [(&str, u64); 5] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
];

/// The longest duration that is written with a fraction, in microseconds.
const MOST: f64 = 1e18;

/// The duration that `text` means: a number and a unit. A fraction is rounded to the microsecond.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit)?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*micros).map(Duration::from_micros);
    }
    let micros = number.parse::<f64>().ok()? * *micros as f64;
    let is_duration = (0.0..=MOST).contains(&micros);
    is_duration.then(|| Duration::from_micros(micros.round() as u64))
}

/// The shortest text that means `duration`, to the microsecond.
pub fn show_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".into();
    }
    // Longer than a text can say is as long as it can say.
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let fits = |(_, unit): &&(&str, u64)| micros.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
    format!("{}{name}", micros / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn duration_is_a_number_and_a_unit() {
        assert_eq!(parse_duration("200us"), Some(Duration::from_micros(200)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5400)));
        for bad in ["", "5", "ms", "-1s", "5 h", "1e18s", "1e400s", "NaNs"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn duration_is_parsed_as_it_is_shown(micros in 0_u64..1 << 50) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }

        #[test]
        fn duration_with_a_fraction_is_parsed_as_it_is_shown(
            number in "[0-9]{1,8}\\.[0-9]{1,9}",
            unit in "us|ms|s|m|h",
        ) {
            let duration = parse_duration(&format!("{number}{unit}")).unwrap();
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
    }
}
