//! The known word that is nearest to a misspelt one.

/// `; did you mean ...?`, if one of `known` is near.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    if word.len() > 40 {
        return String::new();
    }
    let distance =
        |known: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase());
    let best = known.map(|known| (distance(known), known)).min();
    match best {
        Some((distance, known)) if distance <= 1.max(known.len() / 3) => {
            format!("; did you mean `{known}`?")
        }
        _ => String::new(),
    }
}
