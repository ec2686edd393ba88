//! What `attach` and `release` take.

use std::fmt;
use std::str::FromStr;

use super::disk_options::DiskOptions;
use super::errno::{BadErrno, Errno};
use super::line::{BadLine, quoted};

/// What `image` takes: it leaves the image to others until somebody opens the disk.
pub const UNLOCK: &str = "unlock";

/// What `attach` takes. Prints as `ID IMAGE [ro] [fixed] [share] [cache=volatile]`, quoted as for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The disk's ID.
    pub id: String,
    /// The path of its image.
    pub image: String,
    /// How it is served.
    pub options: DiskOptions,
}

/// What `release` takes. Prints as `TAG [ERRNO|drop]`, quoted as for a shell, with `all` for all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Of the rules with this tag; None for all rules.
    pub tag: Option<String>,
    /// What becomes of the requests.
    pub then: Released,
}

/// What becomes of requests that are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Those that are held are served.
    Served,
    /// Those that are held fail with this error.
    Failed(Errno),
    /// Those that are held or delayed fail with EIO, and are not done.
    Dropped,
}

/// Why a text is not a [`Release`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is not one or two words.
    #[error(transparent)]
    Words(#[from] BadLine),
    /// The second word is not an error that a disk can answer with.
    #[error("`{0}` {1}")]
    Errno(String, BadErrno),
}

const ALL: &str = "all";
const DROP: &str = "drop";

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, image) = (quoted(&self.id), quoted(&self.image));
        write!(f, "{id} {image}{}", self.options.words(' '))
    }
}

impl FromStr for Attach {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = shlex::split(text)?.into_iter();
            let (id, image) = (words.next()?, words.next()?);
            let mut options = DiskOptions::default();
            let are_options = words.all(|word| options.set(&word));
            are_options.then_some(Self { id, image, options })
        };
        parse().ok_or_else(|| BadLine::new("a line for `ctl/attach`", text))
    }
}

impl Release {
    /// Of the rules with this tag, or of all for `all`. `then` is `drop` or the name of an error; without it the
    /// requests are served.
    pub fn new(tag: &str, then: Option<&str>) -> Result<Self, ReleaseError> {
        let error = |name: &str| {
            let errno = Errno::parse(name).map(Released::Failed);
            errno.map_err(|why| ReleaseError::Errno(name.to_owned(), why))
        };
        Ok(Self {
            tag: Some(tag.to_owned()).filter(|tag| tag != ALL),
            then: match then {
                None => Released::Served,
                Some(DROP) => Released::Dropped,
                Some(name) => error(name)?,
            },
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => f.write_str(&quoted(tag))?,
            None => f.write_str(ALL)?,
        }
        match self.then {
            Released::Served => Ok(()),
            Released::Failed(errno) => write!(f, " {errno}"),
            Released::Dropped => write!(f, " {DROP}"),
        }
    }
}

impl FromStr for Release {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let words = shlex::split(text).unwrap_or_default();
        match words.as_slice() {
            [tag] => Self::new(tag, None),
            [tag, then] => Self::new(tag, Some(then)),
            _ => Err(BadLine::new("a line for `release`", text).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attach_line_is_parsed_as_it_is_printed() {
        for (id, image) in [("vda", "/a.img"), ("", "/it's two"), ("a b", "/ä\n\"\\$x")] {
            for (read_only, fixed) in [(false, false), (true, false), (false, true), (true, true)] {
                let attach = Attach {
                    id: id.into(),
                    image: image.into(),
                    options: DiskOptions {
                        read_only,
                        fixed,
                        ..DiskOptions::default()
                    },
                };
                assert_eq!(attach.to_string().parse(), Ok(attach));
            }
        }
        for bad in ["", "vda", "vda /a rw", "vda '/a", "vda /a fixed wrong"] {
            assert!(bad.parse::<Attach>().is_err(), "{bad}");
        }
    }

    #[test]
    fn release_line_is_parsed_as_it_is_printed() {
        for text in ["all", "all drop", "a EIO", "'a b' 400", "''"] {
            let release: Release = text.parse().unwrap();
            assert_eq!(release.to_string(), text);
        }
        for bad in ["", "a b c", "'a", "a EBOGUS", "a ENOSYS"] {
            assert!(bad.parse::<Release>().is_err(), "{bad}");
        }
        let bad = "a EBOGUS".parse::<Release>().unwrap_err().to_string();
        assert!(bad.starts_with("`EBOGUS` is not a known errno"), "{bad}");
    }
}
