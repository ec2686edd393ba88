//! Which of the pending pieces survive.

use std::fmt;

/// A set of numbers below a fixed length. Prints in hexadecimal, number 0 as the lowest bit; five and
/// more equal digits in a row as the digit and `_N_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subset {
    words: Vec<u64>,
    len: usize,
}

impl Subset {
    /// None of `len`.
    pub fn none(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    /// All of `len`.
    pub fn all(len: usize) -> Self {
        Self::first(len, len)
    }

    /// The first `n` of `len`.
    pub fn first(n: usize, len: usize) -> Self {
        let mut subset = Self::none(len);
        (0..n).for_each(|number| subset.set(number, true));
        subset
    }

    /// All of `len` but `lost`.
    pub fn without(lost: &[usize], len: usize) -> Self {
        let mut subset = Self::all(len);
        lost.iter().for_each(|number| subset.set(*number, false));
        subset
    }

    /// Those of `len` whose bit is set in `bits`.
    pub fn of_bits(bits: u64, len: usize) -> Self {
        let mut subset = Self::none(len);
        if let Some(word) = subset.words.first_mut() {
            *word = bits;
        }
        subset
    }

    /// How many there could be.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there could be none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `number` is in it.
    #[inline]
    pub fn has(&self, number: usize) -> bool {
        self.words[number / 64] >> (number % 64) & 1 == 1
    }

    /// Puts `number` in, or takes it out.
    pub fn set(&mut self, number: usize, is_in: bool) {
        let bit = 1 << (number % 64);
        match is_in {
            true => self.words[number / 64] |= bit,
            false => self.words[number / 64] &= !bit,
        }
    }

    /// The numbers that are not in it.
    pub fn lost(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len).filter(|number| !self.has(*number))
    }

    /// Reads what [`Display`](fmt::Display) prints. None where it is not a subset of `len` numbers.
    pub fn parse(text: &str, len: usize) -> Option<Self> {
        let digits = expanded(text, len.div_ceil(4).max(1))?;
        let mut subset = Self::none(len);
        for (place, digit) in digits.iter().rev().enumerate() {
            for bit in (0..4).filter(|bit| digit >> bit & 1 == 1) {
                let number = place * 4 + bit;
                if number >= len {
                    return None;
                }
                subset.set(number, true);
            }
        }
        Some(subset)
    }

    fn digits(&self) -> Vec<u8> {
        let digit = |place: usize| (self.words[place / 16] >> (place % 16 * 4)) as u8 & 15;
        let digits = (0..self.len.div_ceil(4)).rev().map(digit);
        let digits: Vec<_> = digits.skip_while(|digit| *digit == 0).collect();
        if digits.is_empty() { vec![0] } else { digits }
    }
}

/// The digits of `text`, at most `most`.
fn expanded(text: &str, most: usize) -> Option<Vec<u8>> {
    let mut digits = Vec::new();
    let mut parts = text.split('_');
    loop {
        for digit in parts.next()?.chars() {
            digits.push(digit.to_digit(16)? as u8);
        }
        let Some(times) = parts.next() else {
            break;
        };
        let times = times
            .parse::<usize>()
            .ok()
            .filter(|times| (1..=most).contains(times))?;
        let digit = *digits.last()?;
        digits.extend(std::iter::repeat_n(digit, times - 1));
    }
    (!digits.is_empty() && digits.len() <= most).then_some(digits)
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in self.digits().chunk_by(|a, b| a == b) {
            match run.len() {
                n @ 0..5 => (0..n).try_for_each(|_| write!(f, "{:x}", run[0]))?,
                n => write!(f, "{:x}_{n}_", run[0])?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subset_is_short_in_print() {
        assert_eq!(Subset::of_bits(0x3f, 9).to_string(), "3f");
        assert_eq!(Subset::none(0).to_string(), "0");
        assert_eq!(Subset::all(1000).to_string(), "f_250_");
        assert_eq!(Subset::first(1, 100).to_string(), "1");
        let mut subset = Subset::all(70);
        subset.set(3, false);
        assert_eq!(subset.to_string(), "3f_16_7");
    }

    #[test]
    fn text_that_is_not_a_subset_is_none() {
        for bad in [
            "", "g", "8", "10", "_3_", "1_0_", "1_99_", "1_2", "-1", "1__",
        ] {
            assert_eq!(Subset::parse(bad, 3), None, "{bad}");
        }
        assert_eq!(Subset::parse("7", 3), Some(Subset::all(3)));
    }

    proptest! {
        #[test]
        fn subset_reads_back_as_it_prints(bits in prop::collection::vec(prop::bool::weighted(0.8), 0..300)) {
            let mut subset = Subset::none(bits.len());
            for (number, is_in) in bits.iter().enumerate() {
                subset.set(number, *is_in);
            }
            prop_assert_eq!(Subset::parse(&subset.to_string(), bits.len()), Some(subset));
        }
    }
}
