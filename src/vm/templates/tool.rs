//! `qemu-img`: what an image consists of, and a raw copy of it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::error::TemplateError;
use super::identity::Identity;
use crate::os::{poll, sys};
use crate::units::text;
use crate::vm::VmError;

const PROGRAM: &str = "qemu-img";
/// More files than any chain of backing files has that people make.
const MOST_FILES: usize = 64;
/// What `qemu-img check` ends with if it finds damage, and if it cannot look for it. Other numbers tell of clusters that
/// nothing uses, or of a format that it does not check.
const DAMAGED: i32 = 2;
const CHECK_FAILED: i32 = 1;
/// Between two looks whether the conversion was stopped.
const TICK: Duration = Duration::from_millis(100);
/// Most bytes of its messages that an error shows.
const LONGEST_TEXT: u64 = 2000;

/// An image that qemu-img can read, as a user named it and by its first bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) format: &'static str,
}

/// What an image consists of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Bytes of the disk in it.
    pub(super) size: u64,
    /// The image, its backing files, and their other files.
    pub(super) files: Vec<Identity>,
}

/// A part of what `qemu-img info --output=json` says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    virtual_size: u64,
    backing_filename: Option<String>,
    full_backing_filename: Option<String>,
    backing_filename_format: Option<String>,
    format_specific: Option<serde_json::Value>,
}

impl Info {
    /// The other files that the image at `path` has its data in.
    fn data_files(&self, path: &Path) -> Vec<PathBuf> {
        let data = self.format_specific.as_ref().map(|it| &it["data"]);
        let Some(data) = data else {
            return Vec::new();
        };
        let extents = data["extents"].as_array().into_iter().flatten();
        let named = extents.map(|extent| &extent["filename"]);
        let names = named.chain([&data["data-file"]]);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let names = names.filter_map(|name| Some(folder.join(name.as_str()?)));
        names.filter(|name| name != path).collect()
    }
}

impl<'a> Source<'a> {
    /// What it consists of. Nothing but files of this host, and nothing that is damaged.
    pub(super) fn parts(&self) -> Result<Parts, TemplateError> {
        let mut files = vec![self.identity(self.path)?];
        let mut info = self.info(self.path, Some(qemu_name(self.format)))?;
        let mut layers = vec![(self.path.to_owned(), info.format.clone())];
        let size = info.virtual_size;
        let mut path = self.path.to_owned();
        loop {
            for file in info.data_files(&path) {
                files.push(self.identity(&file)?);
            }
            let Some(next) = info.full_backing_filename.or(info.backing_filename) else {
                break;
            };
            path = self.file_of_host(&next)?;
            files.push(self.identity(&path)?);
            if files.len() > MOST_FILES {
                return Err(TemplateError::LongChain {
                    image: self.path.to_owned(),
                    most: MOST_FILES,
                });
            }
            info = self.info(&path, info.backing_filename_format.as_deref())?;
            layers.push((path.clone(), info.format.clone()));
        }
        // Only now: a check opens the files below, wherever they are.
        for (path, format) in layers {
            self.check(&path, &format)?;
        }
        Ok(Parts { size, files })
    }

    fn identity(&self, file: &Path) -> Result<Identity, TemplateError> {
        Identity::of(file).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound if file != self.path => TemplateError::NoBacking {
                image: self.path.to_owned(),
                needed: text::path(file),
            },
            _ => self.io(text::path(file))(cause),
        })
    }

    /// The path that the name of a backing file is. QEMU would follow one to the network, too.
    fn file_of_host(&self, name: &str) -> Result<PathBuf, TemplateError> {
        match name.starts_with('/') {
            true => Ok(name.into()),
            false => Err(TemplateError::Elsewhere {
                image: self.path.to_owned(),
                needed: text::escaped(name.as_bytes()),
            }),
        }
    }

    /// What qemu-img says of the file at `path`, without opening its backing file.
    fn info(&self, path: &Path, format: Option<&str>) -> Result<Info, TemplateError> {
        let mut command = Command::new(PROGRAM);
        // Somebody may be writing it: that shows when it is converted.
        command.args(["info", "--output=json", "--force-share"]);
        command.args(format.into_iter().flat_map(|format| ["-f", format]));
        let output = command.arg(path).stdin(Stdio::null()).output();
        let output = output.map_err(|cause| self.not_started(cause))?;
        if !output.status.success() {
            return Err(self.failed(output.status, &output.stderr));
        }
        let said = serde_json::from_slice(&output.stdout);
        said.map_err(|error| self.unreadable(error.to_string()))
    }

    /// Fails if the file at `path` is damaged: reading a file that was cut off gives zeros, and no error.
    fn check(&self, path: &Path, format: &str) -> Result<(), TemplateError> {
        let mut command = Command::new(PROGRAM);
        command.args(["check", "--force-share", "-f", format]);
        let output = command.arg(path).stdin(Stdio::null()).output();
        let output = output.map_err(|cause| self.not_started(cause))?;
        if !matches!(output.status.code(), Some(DAMAGED | CHECK_FAILED)) {
            return Ok(());
        }
        let messages = text::escaped(&output.stderr);
        let lines = messages.lines().filter(|line| !line.trim().is_empty());
        let first = lines.clone().next().unwrap_or("`qemu-img check` fails");
        let first = first.strip_prefix("qemu-img: ").unwrap_or(first);
        let file = match path == self.path {
            true => "it ".to_owned(),
            false => format!("its backing file {} ", path.display()),
        };
        let more = match lines.count() {
            0 | 1 => String::new(),
            lines => format!(" (and {} more)", lines - 1),
        };
        Err(self.unreadable(format!("{file}is damaged: {first}{more}")))
    }

    /// Writes the disk in the image to `target`, which is as large and has nothing in it. `watch` is told how much is
    /// done, in percent, and stops it with an error.
    pub(super) fn convert(
        &self,
        target: &File,
        watch: &mut dyn FnMut(f64) -> Result<(), VmError>,
    ) -> Result<(), VmError> {
        let mut messages = tempfile::tempfile().map_err(self.io("a file for messages"))?;
        let its_messages = messages.try_clone().map_err(self.io("the same"))?;
        let mut command = Command::new(PROGRAM);
        command
            .args(["convert", "-p", "-n", "--target-is-zero"])
            .args(["-f", qemu_name(self.format), "-O", "raw"])
            .arg(self.path)
            .arg(format!("/proc/self/fd/{}", target.as_raw_fd()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(its_messages);
        sys::inherit(&mut command, target.as_fd());
        sys::die_with_starter(&mut command, libc::SIGKILL);
        let child = command.spawn().map_err(|cause| self.not_started(cause))?;
        let status = Running(child).watch(watch);
        let status = status.map_err(|error| match error {
            Stop::Wanted(error) => error,
            Stop::Io(cause) => self.io("qemu-img")(cause).into(),
        })?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        let read = messages.rewind().and_then(|()| {
            let mut end = messages.take(LONGEST_TEXT);
            end.read_to_end(&mut text)
        });
        read.map_err(self.io("its messages"))?;
        Err(self.failed(status, &text).into())
    }

    fn not_started(&self, cause: io::Error) -> TemplateError {
        match cause.kind() {
            io::ErrorKind::NotFound => TemplateError::NoTool {
                image: self.path.to_owned(),
                format: self.format,
            },
            _ => self.io("cannot start qemu-img")(cause),
        }
    }

    fn failed(&self, status: ExitStatus, messages: &[u8]) -> TemplateError {
        if status.signal().is_some() {
            return TemplateError::Killed {
                image: self.path.to_owned(),
                status: status.to_string(),
            };
        }
        let messages = text::escaped(messages);
        let lines = messages.lines().map(str::trim);
        let lines = lines.map(|line| line.strip_prefix("qemu-img: ").unwrap_or(line));
        self.unreadable(lines.collect::<Vec<_>>().join("; "))
    }

    fn unreadable(&self, text: String) -> TemplateError {
        TemplateError::Unreadable {
            image: self.path.to_owned(),
            format: self.format,
            text,
        }
    }

    pub(super) fn io(&self, context: impl Into<String>) -> impl FnOnce(io::Error) -> TemplateError {
        let (image, context) = (self.path.to_owned(), context.into());
        move |cause| TemplateError::Io {
            image,
            context,
            cause,
        }
    }
}

/// What QEMU calls a format.
fn qemu_name(format: &str) -> &str {
    match format {
        "vhd" => "vpc",
        format => format,
    }
}

/// Why a conversion was not waited for.
enum Stop {
    Wanted(VmError),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

/// A qemu-img that runs; killed when this is dropped.
struct Running(Child);

impl Running {
    fn watch(
        mut self,
        watch: &mut dyn FnMut(f64) -> Result<(), VmError>,
    ) -> Result<ExitStatus, Stop> {
        let mut output = self
            .0
            .stdout
            .take()
            .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let (mut percent, mut line) = (0.0, Vec::new());
        let mut buffer = [0; 4096];
        loop {
            watch(percent).map_err(Stop::Wanted)?;
            if !poll::wait_readable(&output, TICK)? {
                continue;
            }
            match output.read(&mut buffer)? {
                0 => break,
                n => line.extend_from_slice(&buffer[..n]),
            }
            percent = percent_in(&mut line).unwrap_or(percent);
        }
        Ok(self.0.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last of the lines `    (12.34/100%)\r` of which all is there; takes them out.
fn percent_in(line: &mut Vec<u8>) -> Option<f64> {
    let end = line.iter().rposition(|byte| *byte == b'\r')?;
    let lines: Vec<u8> = line.drain(..=end).collect();
    let text = String::from_utf8_lossy(&lines);
    let (_, last) = text.rsplit_once('(')?;
    last.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_that_of_the_last_whole_line() {
        let mut line = b"    (1.00/100%)\r    (2.50/100%)\r    (3.".to_vec();
        assert_eq!(percent_in(&mut line), Some(2.5));
        assert_eq!(percent_in(&mut line), None);
        line.extend(b"75/100%)\r");
        assert_eq!(percent_in(&mut line), Some(3.75));
        assert!(line.is_empty());
    }

    #[test]
    fn data_files_are_those_that_the_image_names_beside_itself() {
        let info = |specific: serde_json::Value| Info {
            format: String::new(),
            virtual_size: 0,
            backing_filename: None,
            full_backing_filename: None,
            backing_filename_format: None,
            format_specific: Some(specific),
        };
        let path = Path::new("/i/a.img");
        let qcow2 = info(serde_json::json!({ "data": { "data-file": "a.raw" } }));
        assert_eq!(qcow2.data_files(path), [Path::new("/i/a.raw")]);
        let extents = serde_json::json!([{ "filename": "/i/a.img" }, { "filename": "b.vmdk" }]);
        let vmdk = info(serde_json::json!({ "data": { "extents": extents } }));
        assert_eq!(vmdk.data_files(path), [Path::new("/i/b.vmdk")]);
    }
}
