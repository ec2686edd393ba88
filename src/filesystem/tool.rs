//! Running the tools of file systems.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::LocateError;
use super::image::Image;

/// A tool of a file system.
pub(super) struct Tool {
    pub(super) program: &'static str,
    /// What Debian has it in.
    pub(super) package: &'static str,
}

/// The image in the words of a tool: its standard input.
pub(super) const INPUT: &str = "/dev/stdin";

impl Tool {
    /// What it prints for `args`, with `image` as its standard input, and what it says of errors.
    pub(super) fn run(
        &self,
        image: &Image,
        args: &[&str],
    ) -> Result<(String, String), LocateError> {
        let program = find(self.program).ok_or(LocateError::NoTool {
            program: self.program,
            package: self.package,
        })?;
        let failed = |said: String| LocateError::Tool {
            program: self.program,
            image: image.path().to_owned(),
            said,
        };
        let input = image.file().try_clone();
        let output = input.and_then(|input| {
            Command::new(program)
                .args(args)
                .env("LC_ALL", "C")
                .env("DEBUGFS_PAGER", "__none__")
                .stdin(Stdio::from(input))
                .output()
        });
        let output = output.map_err(|error| failed(error.to_string()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    }

    /// The error that quotes `said`, but for the name and version that it begins with.
    pub(super) fn failed(&self, image: &Image, said: &str) -> LocateError {
        let lines = said.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(self.program));
        LocateError::Tool {
            program: self.program,
            image: image.path().to_owned(),
            said: lines.collect::<Vec<_>>().join("; ").replace(INPUT, "it"),
        }
    }
}

/// The image in the words of a tool of e2fsprogs: its standard input, from byte `begin` on.
pub(super) fn input_from(begin: u64) -> String {
    match begin {
        0 => INPUT.into(),
        begin => format!("{INPUT}?offset={begin}"),
    }
}

/// A program in PATH, or where administrators have theirs.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders = folders.chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut places = folders.map(|folder: PathBuf| folder.join(Path::new(program)));
    places.find(|place| place.is_file())
}
