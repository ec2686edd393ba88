//! Numbers in sentences: `1 byte`, `2 bytes`, `2nd`, `11th`.

/// `1 byte`, `2 bytes`: a number of things, of which one is called `thing`.
pub fn counted(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`: the place of something in a row.
pub fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        (_, _) => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinal_has_the_ending_that_is_spoken() {
        for (number, expected) in [
            (0, "0th"),
            (1, "1st"),
            (2, "2nd"),
            (3, "3rd"),
            (4, "4th"),
            (10, "10th"),
            (11, "11th"),
            (12, "12th"),
            (13, "13th"),
            (14, "14th"),
            (20, "20th"),
            (21, "21st"),
            (22, "22nd"),
            (23, "23rd"),
            (101, "101st"),
            (111, "111th"),
            (112, "112th"),
            (113, "113th"),
            (121, "121st"),
            (1_000_000_000_000_000, "1000000000000000th"),
            (u64::MAX, "18446744073709551615th"),
        ] {
            assert_eq!(ordinal(number), expected);
        }
    }

    #[test]
    fn counted_has_a_plural_for_all_numbers_but_one() {
        let bytes = [0, 1, 2, 11, 21].map(|number| counted(number, "byte"));
        assert_eq!(
            bytes,
            ["0 bytes", "1 byte", "2 bytes", "11 bytes", "21 bytes"]
        );
    }
}
