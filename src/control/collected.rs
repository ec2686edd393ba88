//! Rules for `faults` in several writes through one open file: from a line `begin` to a line `commit`.

use std::sync::Arc;

use super::Control;
use super::error::WriteError;
use super::write::edit_faults;
use crate::disk::Disk;
use crate::protocol::names::LONGEST_TRANSACTION;
use crate::protocol::{DiskFile, Errno};

const BEGIN: &[u8] = b"begin";
const COMMIT: &[u8] = b"commit";

/// What was written after `begin` through an open file. Dropped, it changes nothing.
#[derive(Debug, Default)]
pub struct Collected {
    /// The text behind the line `begin`.
    text: Vec<u8>,
    /// A write was rejected: the text has a gap.
    is_broken: bool,
}

impl Collected {
    /// Adds `data`. Returns whether the line `commit` is in the text now, at its end.
    fn add(&mut self, data: &[u8]) -> Result<bool, WriteError> {
        if self.is_broken {
            return Err(WriteError::Broken);
        }
        if self.text.len() + data.len() > LONGEST_TRANSACTION {
            return Err(WriteError::TooManyRules);
        }
        let known = self.text.len();
        self.text.extend_from_slice(data);
        // The last line may have come in part before.
        let last = self.text[..known].iter().rposition(|byte| *byte == b'\n');
        let last = last.map_or(0, |end| end + 1);
        let mut lines = self.text[last..].split(|byte| *byte == b'\n');
        let is_committed = lines.any(|line| line.trim_ascii() == COMMIT);
        match is_committed && lines.any(|line| !line.trim_ascii().is_empty()) {
            true => Err(WriteError::AfterCommit),
            false => Ok(is_committed),
        }
    }

    /// The lines before `commit`.
    fn rules(&self) -> &[u8] {
        let text = self.text.trim_ascii_end();
        text.strip_suffix(COMMIT).unwrap_or(text)
    }
}

/// What follows the line `begin`, if `data` begins with it.
fn after_begin(data: &[u8]) -> Option<&[u8]> {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (line, rest) = data.split_at(end.map_or(data.len(), |end| end + 1));
    (line.trim_ascii() == BEGIN).then_some(rest)
}

impl Control {
    /// Carries out a write to `faults` of `disk` through an open file that has collected `collected`. Returns whether
    /// it took effect: what follows `begin` does so with `commit`. Otherwise as [`write_disk`](Self::write_disk).
    pub fn write_faults(
        &self,
        disk: &Arc<Disk>,
        collected: &mut Option<Collected>,
        data: &[u8],
        replace: bool,
    ) -> Result<bool, Errno> {
        let (mut rules, data) = match (collected.take(), after_begin(data)) {
            (Some(rules), _) => (rules, data),
            (None, Some(rest)) => (Collected::default(), rest),
            (None, None) => {
                self.write_disk(disk, DiskFile::Faults, data, replace)?;
                return Ok(true);
            }
        };
        let done = match rules.add(data) {
            Ok(true) => edit_faults(disk, rules.rules(), replace),
            Ok(false) => {
                *collected = Some(rules);
                return Ok(false);
            }
            Err(error) => {
                *collected = Some(Collected {
                    text: Vec::new(),
                    is_broken: true,
                });
                Err(error)
            }
        };
        self.end_write(disk, DiskFile::Faults, rules.rules(), done)?;
        Ok(true)
    }

    /// The open file that has collected `collected` is closed: without `commit` nothing has changed.
    pub fn close_faults(&self, disk: &Disk, collected: &Collected) {
        if !collected.is_broken {
            let done = Err(WriteError::NotCommitted);
            let _ = self.end_write(disk, DiskFile::Faults, collected.rules(), done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(writes: &[&str]) -> Result<Option<String>, String> {
        let mut collected = Collected::default();
        for write in writes {
            if collected
                .add(write.as_bytes())
                .map_err(|error| error.to_string())?
            {
                let rules = std::str::from_utf8(collected.rules()).unwrap();
                return Ok(Some(rules.to_owned()));
            }
        }
        Ok(None)
    }

    #[test]
    fn transaction_ends_with_its_line_commit_wherever_writes_cut_the_text() {
        for writes in [
            &["slow\neio_read\ncommit\n"][..],
            &["slow\neio", "_read\n", "commit"],
            &["slow\neio_read\nco", "mmit\n\n"],
            &["slow\neio_read", "\n", "commit\n"],
        ] {
            assert_eq!(
                rules(writes),
                Ok(Some("slow\neio_read\n".into())),
                "{writes:?}"
            );
        }
        assert_eq!(rules(&["commit\n"]), Ok(Some(String::new())));
        for open in [
            &["slow\n"][..],
            &["!commit\n"],
            &["# commit\n"],
            &["slow\ncommi"],
        ] {
            assert_eq!(rules(open), Ok(None), "{open:?}");
        }
    }

    #[test]
    fn rule_after_commit_is_an_error() {
        let said = rules(&["slow\ncommit\neio_read\n"]).unwrap_err();
        assert!(said.contains("nothing may follow"), "{said}");
    }

    #[test]
    fn begin_is_a_line_of_its_own() {
        assert_eq!(after_begin(b"begin\nslow\n"), Some(&b"slow\n"[..]));
        assert_eq!(after_begin(b"begin"), Some(&b""[..]));
        assert_eq!(after_begin(b"beginslow\n"), None);
        assert_eq!(after_begin(b"slow\nbegin\n"), None);
    }
}
