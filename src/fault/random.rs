//! Random numbers that depend on a seed and a position alone: the tenth request that matches a rule draws
//! the same numbers on any thread, whatever was drawn before.

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// Of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The source for `seed` at `position`.
    pub fn at(seed: u64, position: u64) -> Self {
        Self(mix(seed ^ mix(position)))
    }

    /// The seed whose numbers at `position` are the ones that come next here.
    pub fn seed_at(&self, position: u64) -> u64 {
        unmix(self.0) ^ mix(position)
    }

    /// The next number (SplitMix64).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// The next number below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product. Its bias is at most `end` in 2^64.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// The next normally distributed number, with the mean 0 and the standard deviation 1 (Box and Muller). It takes two.
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
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

/// The value that [`mix`] turns into `value`. Its factors are the inverses of those of `mix` modulo 2^64.
fn unmix(value: u64) -> u64 {
    let unshift = |z: u64, by: u32| z ^ (z >> by) ^ (z >> (2 * by));
    let z = unshift(value, 31).wrapping_mul(0x3196_42b2_d24d_8ec3);
    let z = unshift(z, 27).wrapping_mul(0x96de_1b17_3f11_9089);
    unshift(z, 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seed_gives_the_numbers_that_are_left_at_another_position(
            seed: u64, from: u64, to: u64, drawn in 0..3,
        ) {
            let mut random = Random::at(seed, from);
            for _ in 0..drawn {
                random.draw();
            }
            let mut again = Random::at(random.seed_at(to), to);
            prop_assert_eq!(again.draw(), random.draw());
        }
    }

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
