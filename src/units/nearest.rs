//! The known word that is nearest to a misspelt one.

/// Bytes of the longest word that a known one is looked for.
const LONGEST: usize = 40;

/// `; did you mean ...?`, if one of `known`, which are ASCII, is near.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    if word.len() > LONGEST {
        return String::new();
    }
    match closest(&word.to_lowercase(), known) {
        Some(known) => format!("; did you mean `{known}`?"),
        None => String::new(),
    }
}

/// The one of `known` with the smallest distance to `word`, if it is near enough.
///
/// A distance costs some microseconds, so most are not computed: first only those of known words that may
/// be near enough, and then, if one is, those of the others that may be nearer still.
fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters = Letters::of(word);
    let distance = |known: &str| strsim::damerau_levenshtein(word, &known.to_lowercase());
    let bounded = known.map(|known| (letters.least_distance(Letters::of(known)), known));
    let (likely, unlikely): (Vec<_>, Vec<_>) =
        bounded.partition(|(least, known)| *least <= limit(known));
    let near = likely
        .into_iter()
        .map(|(_, known)| (distance(known), known));
    let best = near.min()?;
    if best.0 > limit(best.1) {
        return None;
    }
    let rivals = unlikely.into_iter().filter(|(least, _)| *least <= best.0);
    let is_nearer = |(_, known): (usize, &str)| (distance(known), known) < best;
    // None of these is near enough itself.
    (!rivals.into_iter().any(is_nearer)).then_some(best.1)
}

/// The largest distance of a word that is near to `known`.
fn limit(known: &str) -> usize {
    1.max(known.len() / 3)
}

/// The characters of a text, whatever their case.
#[derive(Clone, Copy)]
struct Letters {
    /// A bit for each of 64 groups of characters, of which the text has one. Those outside of ASCII are in
    /// the first.
    groups: u64,
    count: usize,
}

impl Letters {
    fn of(text: &str) -> Self {
        let mut letters = Self {
            groups: 0,
            count: 0,
        };
        for letter in text.chars() {
            let group = match letter.is_ascii() {
                true => letter.to_ascii_lowercase() as u32 % u64::BITS,
                false => 0,
            };
            letters.groups |= 1 << group;
            letters.count += 1;
        }
        letters
    }

    /// A lower bound of the edit distance of two texts: an edit adds at most one character and removes at
    /// most one.
    fn least_distance(self, other: Self) -> usize {
        let missing = (other.groups & !self.groups).count_ones() as usize;
        let extra = (self.groups & !other.groups).count_ones() as usize;
        let longer = self.count.abs_diff(other.count);
        longer.max(missing).max(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same without the shortcut.
    fn by_all_distances(word: &str, known: &[&str]) -> String {
        let distance =
            |known: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase());
        let best = known.iter().map(|known| (distance(known), *known)).min();
        match best {
            Some((distance, known)) if distance <= limit(known) => {
                format!("; did you mean `{known}`?")
            }
            _ => String::new(),
        }
    }

    #[test]
    fn nearest_offers_a_word_with_a_typo_and_none_for_another_word() {
        let known = ["error", "delay", "hang"];
        let nearest = |word| nearest(word, known.into_iter());
        assert_eq!(nearest("eror"), "; did you mean `error`?");
        assert_eq!(nearest("DELYA"), "; did you mean `delay`?");
        assert_eq!(nearest("slow"), "");
        assert_eq!(nearest(&"e".repeat(LONGEST + 1)), "");
    }

    proptest! {
        #[test]
        fn nearest_is_what_all_distances_say(
            word in "[A-Ca-cé]{0,8}",
            known in proptest::collection::vec("[A-Ca-c]{1,12}", 0..8),
        ) {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            prop_assert_eq!(nearest(&word, known.iter().copied()), by_all_distances(&word, &known));
        }
    }
}
