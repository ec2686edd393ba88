//! What `checkpoint` takes: a moment of a disk that is saved, returned to, or dropped.

use std::fmt;
use std::str::FromStr;

use crate::units::text::readable;

/// What `checkpoint` takes. Prints as `save NAME [faults=yes]`, `restore NAME` or `drop NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointCommand {
    /// Keeps the disk as it is now.
    Save {
        /// What the checkpoint is called.
        name: String,
        /// The rules and their counters belong to it.
        faults: bool,
    },
    /// Makes the disk what it was.
    Restore {
        /// The checkpoint.
        name: String,
    },
    /// Forgets a checkpoint.
    Drop {
        /// The checkpoint.
        name: String,
    },
}

/// Why a text is not a [`CheckpointCommand`]: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// It is no such command.
    #[error("checkpoint expects `save NAME`, perhaps with `faults=yes`, `restore NAME` or `drop NAME`, not `{}`", readable(.0))]
    Words(String),
    /// No checkpoint can have the name.
    #[error("bad checkpoint name `{}`: a name has 1 to {LONGEST} letters, digits, `.`, `_` or `-`", readable(.0))]
    Name(String),
}

/// Most bytes of a name.
const LONGEST: usize = 63;
const SAVE: &str = "save";
const RESTORE: &str = "restore";
const DROP: &str = "drop";
const WITH_FAULTS: &str = "faults=yes";
const WITHOUT_FAULTS: &str = "faults=no";

impl CheckpointCommand {
    /// The checkpoint that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Save { name, .. } | Self::Restore { name } | Self::Drop { name } => name,
        }
    }
}

fn checked(name: &str) -> Result<String, BadCheckpoint> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match (1..=LONGEST).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(name.to_owned()),
        false => Err(BadCheckpoint::Name(name.to_owned())),
    }
}

impl fmt::Display for CheckpointCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save { name, faults } => {
                write!(f, "{SAVE} {name}")?;
                match faults {
                    true => write!(f, " {WITH_FAULTS}"),
                    false => Ok(()),
                }
            }
            Self::Restore { name } => write!(f, "{RESTORE} {name}"),
            Self::Drop { name } => write!(f, "{DROP} {name}"),
        }
    }
}

impl FromStr for CheckpointCommand {
    type Err = BadCheckpoint;

    fn from_str(text: &str) -> Result<Self, BadCheckpoint> {
        let words: Vec<_> = text.split_whitespace().collect();
        Ok(match words.as_slice() {
            [SAVE, name] | [SAVE, name, WITHOUT_FAULTS] => Self::Save {
                name: checked(name)?,
                faults: false,
            },
            [SAVE, name, WITH_FAULTS] => Self::Save {
                name: checked(name)?,
                faults: true,
            },
            [RESTORE, name] => Self::Restore {
                name: checked(name)?,
            },
            [DROP, name] => Self::Drop {
                name: checked(name)?,
            },
            _ => return Err(BadCheckpoint::Words(text.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_command_is_parsed_as_it_is_printed() {
        for text in [
            "save a",
            "save 1.b_c-d faults=yes",
            "restore before-mkfs",
            "drop a",
        ] {
            let command: CheckpointCommand = text.parse().unwrap();
            assert_eq!(command.to_string(), text);
        }
        let same: CheckpointCommand = " save  a faults=no\n".parse().unwrap();
        assert_eq!(same.to_string(), "save a");
    }

    #[test]
    fn checkpoint_command_that_is_wrong_is_explained() {
        let longest = "n".repeat(LONGEST);
        assert!(
            format!("save {longest}")
                .parse::<CheckpointCommand>()
                .is_ok()
        );
        for (text, what) in [
            ("", "checkpoint expects `save NAME`"),
            ("save", "not `save`"),
            ("save a b", "not `save a b`"),
            ("restore a faults=yes", "not `restore a faults=yes`"),
            ("keep a", "not `keep a`"),
            (
                "save a/b",
                "bad checkpoint name `a/b`: a name has 1 to 63 letters",
            ),
            ("drop \u{e4}", "bad checkpoint name"),
            (&format!("restore {longest}n"), "bad checkpoint name"),
        ] {
            let error = text.parse::<CheckpointCommand>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
