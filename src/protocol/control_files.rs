//! The control files: their names, and what each says to a read, a write and a close.
//!
//! A new file is a row of [`ControlFile`] or of [`DiskFile`]. The compiler then names all places that have to
//! know it: the row below, `control` (what it reads as, what a write does), and `fuse` (which threads serve it).

use std::fmt;
use std::str::FromStr;

use super::line::BadLine;
use crate::units::listed;

/// What a read of a control file finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nothing: the file takes writes only.
    Nothing,
    /// A text, made when its beginning is read.
    Text,
    /// Lines as they come: a read waits for the next one.
    Stream,
}

/// What a write to a control file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// It is refused: the file is read only.
    Refused,
    /// It is a command. A truncation without a write does nothing.
    Command,
    /// It is a command that may change which rules act, or the data. A truncation without a write does nothing.
    SwitchesRules,
    /// It may change which rules are armed. A truncation without a write disarms them all, once the file is
    /// closed for the last time.
    ArmsRules,
}

listed! {
    /// A file in `ctl/`. Its contract is in docs/control-files.md.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[allow(missing_docs)] // docs/control-files.md says it.
    pub enum ControlFile {
        Version,
        Disks,
        Attach,
        Detach,
        Clear,
        Error,
        Power,
        Mark,
        Events,
    }
}

impl ControlFile {
    const fn row(self) -> (&'static str, Reads, Writes) {
        match self {
            Self::Version => ("version", Reads::Text, Writes::Refused),
            Self::Disks => ("disks", Reads::Text, Writes::Refused),
            Self::Attach => ("attach", Reads::Nothing, Writes::Command),
            Self::Detach => ("detach", Reads::Nothing, Writes::Command),
            Self::Clear => ("clear", Reads::Nothing, Writes::ArmsRules),
            Self::Error => ("error", Reads::Text, Writes::Refused),
            Self::Power => ("power", Reads::Text, Writes::SwitchesRules),
            Self::Mark => ("mark", Reads::Nothing, Writes::Command),
            Self::Events => ("events", Reads::Stream, Writes::Refused),
        }
    }
}

listed! {
    /// A file in `ctl/ID/`. Its contract is in docs/control-files.md.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[allow(missing_docs)] // docs/control-files.md says it.
    pub enum DiskFile {
        Faults,
        Rules,
        Stats,
        Inflight,
        Release,
        Damage,
        Trace,
        Decisions,
        Size,
        Image,
        Mode,
        Seed,
        Cache,
        Pending,
        Power,
        Log,
        Mark,
        Checkpoint,
    }
}

impl DiskFile {
    const fn row(self) -> (&'static str, Reads, Writes) {
        match self {
            Self::Faults => ("faults", Reads::Text, Writes::ArmsRules),
            Self::Rules => ("rules", Reads::Text, Writes::SwitchesRules),
            Self::Stats => ("stats", Reads::Text, Writes::Refused),
            Self::Inflight => ("inflight", Reads::Text, Writes::Refused),
            Self::Release => ("release", Reads::Nothing, Writes::Command),
            Self::Damage => ("damage", Reads::Text, Writes::Refused),
            Self::Trace => ("trace", Reads::Stream, Writes::Refused),
            Self::Decisions => ("decisions", Reads::Stream, Writes::Refused),
            Self::Size => ("size", Reads::Text, Writes::Refused),
            Self::Image => ("image", Reads::Text, Writes::Command),
            Self::Mode => ("mode", Reads::Text, Writes::Refused),
            Self::Seed => ("seed", Reads::Text, Writes::Command),
            Self::Cache => ("cache", Reads::Text, Writes::Command),
            Self::Pending => ("pending", Reads::Text, Writes::Refused),
            Self::Power => ("power", Reads::Text, Writes::SwitchesRules),
            Self::Log => ("log", Reads::Text, Writes::Command),
            Self::Mark => ("mark", Reads::Nothing, Writes::Command),
            Self::Checkpoint => ("checkpoint", Reads::Text, Writes::SwitchesRules),
        }
    }
}

/// The questions that both kinds of file answer from their row.
macro_rules! answers {
    ($file:ty) => {
        impl $file {
            /// Its name in its folder.
            pub const fn name(self) -> &'static str {
                self.row().0
            }

            /// What a read finds.
            pub const fn reads(self) -> Reads {
                self.row().1
            }

            /// What a write does.
            pub const fn writes(self) -> Writes {
                self.row().2
            }

            /// The permissions of its owner.
            pub const fn permissions(self) -> u16 {
                let read = match self.reads() {
                    Reads::Nothing => 0,
                    Reads::Text | Reads::Stream => 0o400,
                };
                let write = match self.writes() {
                    Writes::Refused => 0,
                    Writes::Command | Writes::SwitchesRules | Writes::ArmsRules => 0o200,
                };
                read | write
            }

            /// The file called `name`.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|file| file.name() == name)
            }
        }
    };
}

answers!(ControlFile);
answers!(DiskFile);

impl Writes {
    /// Whether a write may change which rules act on requests.
    pub const fn changes_rules(self) -> bool {
        matches!(self, Self::SwitchesRules | Self::ArmsRules)
    }

    /// Whether a truncation without a write disarms all rules.
    pub const fn clears_when_emptied(self) -> bool {
        matches!(self, Self::ArmsRules)
    }
}

/// A control file by its place below `ctl/`. Prints as that path: `attach`, `vda/faults`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlPath {
    /// A file of the mount.
    Mount(ControlFile),
    /// A file of the disk with this ID.
    Disk(String, DiskFile),
}

impl fmt::Display for ControlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount(file) => f.write_str(file.name()),
            Self::Disk(id, file) => write!(f, "{id}/{}", file.name()),
        }
    }
}

impl FromStr for ControlPath {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let path = match text.split_once('/') {
            None => ControlFile::named(text).map(Self::Mount),
            Some((id, name)) => DiskFile::named(name).map(|file| Self::Disk(id.to_owned(), file)),
        };
        path.ok_or_else(|| BadLine::new("the path of a control file", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_files_have_names_of_their_own() {
        for file in ControlFile::ALL {
            assert_eq!(ControlFile::named(file.name()), Some(file));
            let path = ControlPath::Mount(file);
            assert_eq!(path.to_string().parse(), Ok(path));
        }
        for file in DiskFile::ALL {
            assert_eq!(DiskFile::named(file.name()), Some(file));
            let path = ControlPath::Disk("vda".into(), file);
            assert_eq!(path.to_string().parse(), Ok(path));
        }
        for bad in ["", "vda", "vda/", "vda/bogus", "faults"] {
            assert!(bad.parse::<ControlPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn control_file_permissions_follow_from_what_it_reads_and_takes() {
        assert_eq!(ControlFile::Version.permissions(), 0o400);
        assert_eq!(ControlFile::Attach.permissions(), 0o200);
        assert_eq!(DiskFile::Faults.permissions(), 0o600);
        assert_eq!(DiskFile::Trace.permissions(), 0o400);
        assert_eq!(DiskFile::Release.permissions(), 0o200);
    }

    #[test]
    fn control_files_are_all_described_in_the_documents() {
        let page = include_str!("../../docs/control-files.md");
        let names = ControlFile::ALL.map(|file| format!("`ctl/{}`", file.name()));
        let of_disks = DiskFile::ALL.map(|file| format!("`ctl/vda/{}`", file.name()));
        for name in names.iter().chain(&of_disks) {
            assert!(page.contains(name), "{name}");
        }
    }
}
