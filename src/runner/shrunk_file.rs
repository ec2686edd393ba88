//! The file of a test with the few faults that it needs: a copy that fails when it is run.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::shrink::{Shrunk, Target, replay};
use crate::units::text::{self, printable};

/// What such a file begins with.
const HEAD: &str = "-- Made by `provium test --shrink`";
/// How many of them may be beside a test file.
const MOST: u32 = 1000;

impl Shrunk {
    /// Writes the file beside that of the test, in the place of one that was made of the same test. Returns its path.
    pub fn write(&self, target: &Target) -> io::Result<PathBuf> {
        let source = fs::read_to_string(&target.file)?;
        let call = format!("provium:replay({}, {{\n", quoted(&target.test));
        let free = (1..=MOST).map(|number| name(&target.file, number));
        let is_free = |path: &PathBuf| match fs::read_to_string(path) {
            Ok(text) => text.starts_with(HEAD) && text.contains(&call),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let path = { free }.find(is_free).ok_or(io::ErrorKind::AlreadyExists)?;
        fs::write(&path, self.text(target, &call, &source))?;
        Ok(path)
    }

    fn text(&self, target: &Target, call: &str, source: &str) -> String {
        let file = text::path(&target.file);
        let (needed, all) = (self.needed.len(), self.recording.faults());
        let mut text = format!(
            "{HEAD} of provium {} from {file}.\n-- {needed} of {all} recorded faults. Without any one of them it does not fail \
             so:\n--   {}\n",
            env!("CARGO_PKG_VERSION"),
            printable(&self.reason)
        );
        text += call;
        for (disk, rules) in replay(&self.recording, &self.needed).0 {
            let rules: Vec<_> = rules
                .iter()
                .filter(|(_, rule)| !rule.faults.is_empty())
                .collect();
            if rules.is_empty() {
                continue;
            }
            let _ = writeln!(text, "  [{}] = {{", quoted(&disk));
            for (number, rule) in rules {
                let _ = writeln!(
                    text,
                    "    [{}] = {{ rule = {},",
                    number + 1,
                    quoted(&rule.rule)
                );
                for fault in &rule.faults {
                    let _ = writeln!(text, "      {},", quoted(fault));
                }
                text += "    },\n";
            }
            text += "  },\n";
        }
        text += "})\n\n";
        text + source
    }
}

/// `x.shrunk.test.lua` beside `x.test.lua`; further ones have a number.
fn name(file: &Path, number: u32) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".test.lua").unwrap_or(&name);
    let number = if number == 1 {
        String::new()
    } else {
        format!("-{number}")
    };
    file.with_file_name(format!("{stem}.shrunk{number}.test.lua"))
}

/// A text as Lua writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\{:03}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_one_that_lua_reads() {
        assert_eq!(
            quoted("a \"b\" \\ \n\u{fc}"),
            "\"a \\\"b\\\" \\\\ \\010\u{fc}\""
        );
    }

    #[test]
    fn shrunk_file_is_beside_the_one_that_it_was_made_of() {
        let names = [1, 2].map(|number| name(Path::new("tests/a.test.lua"), number));
        assert_eq!(
            names,
            ["tests/a.shrunk.test.lua", "tests/a.shrunk-2.test.lua"].map(PathBuf::from)
        );
    }
}
