//! Whole numbers on the command line, with an error that says which are valid.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The parser of a whole number in `range`.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            format!(
                "valid: a whole number from {} to {}",
                range.start(),
                range.end()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_number_is_in_its_range_or_the_range_is_named() {
        let parse = whole(1_u16..=1000);
        assert_eq!((parse("1"), parse("1000")), (Ok(1), Ok(1000)));
        let said = Err("valid: a whole number from 1 to 1000".to_owned());
        for text in ["0", "1001", "70000", "-1", "1.5", "many", ""] {
            assert_eq!(parse(text), said, "{text}");
        }
    }
}
