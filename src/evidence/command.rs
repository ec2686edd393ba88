//! The command line that runs a test again.

use super::FILE_TEST;

/// The command line that runs a test again, or its whole file; `words` are those before the file.
pub fn command_line(words: &[String], file: &str, test: Option<&str>) -> String {
    let filter = test.filter(|test| *test != FILE_TEST);
    let filter = filter.map(|test| ["--filter", test]);
    let words = words.iter().map(String::as_str);
    quoted(words.chain([file]).chain(filter.into_iter().flatten()))
}

/// Words as a shell takes them.
pub fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted = words.map(|word| shlex::try_quote(word).map_or(word.into(), |word| word));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_one_that_a_shell_understands() {
        let words = ["provium", "test"].map(str::to_owned);
        let line = command_line(&words, "a b.test.lua", Some("it's"));
        assert_eq!(line, r#"provium test 'a b.test.lua' --filter "it's""#);
        assert_eq!(command_line(&words, "a", None), "provium test a");
    }
}
