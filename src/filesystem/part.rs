//! A part of a file system, as a user names it.

use std::fmt;
use std::str::FromStr;

/// A part of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The superblock, with all its copies.
    Superblock,
    /// The journal, or xfs' log.
    Journal,
    /// The tables of inodes of ext, the chunks of inodes of xfs.
    Inodes,
    /// The content of the file or folder with this path, which begins with `/`.
    File(String),
}

/// A text that names no part.
#[derive(Debug, thiserror::Error)]
#[error("expects superblock, journal, inodes or file:/PATH, not `{0}`")]
pub struct BadPart(String);

impl FromStr for Part {
    type Err = BadPart;

    fn from_str(text: &str) -> Result<Self, BadPart> {
        match text {
            "superblock" => Ok(Self::Superblock),
            "journal" => Ok(Self::Journal),
            "inodes" => Ok(Self::Inodes),
            _ => match text.strip_prefix("file:") {
                Some(path) if path.starts_with('/') && !path.contains('\n') => {
                    Ok(Self::File(path.to_owned()))
                }
                _ => Err(BadPart(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superblock => f.write_str("superblock"),
            Self::Journal => f.write_str("journal"),
            Self::Inodes => f.write_str("inodes"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_prints_as_it_is_written_and_others_are_errors() {
        for text in ["superblock", "journal", "inodes", "file:/a b/c"] {
            assert_eq!(text.parse::<Part>().unwrap().to_string(), text);
        }
        for text in ["", "file:", "file:relative", "super", "file:/a\nb"] {
            let error = text.parse::<Part>().unwrap_err().to_string();
            assert!(error.contains(&format!("not `{text}`")), "{error}");
        }
    }
}
