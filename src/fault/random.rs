//! Random numbers that depend on a seed and a position alone: the tenth request that matches a rule draws
//! the same numbers on any thread, whatever was drawn before.

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The source for `seed` at `position`.
    pub fn at(seed: u64, position: u64) -> Self {
        Self(mix(seed ^ mix(position)))
    }

    /// The next number (SplitMix64).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next number below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product. Its bias is at most `end` in 2^64.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// The next number: at least 0, and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        // The first of its published sequence for the seed 0.
        assert_eq!(Random(0).draw(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn position_has_its_numbers_whatever_was_drawn_before() {
        let of = |position| Random::at(42, position).draw();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert_ne!(of(7), Random::at(43, 7).draw());
    }
}
