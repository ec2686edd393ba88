//! Files in the guest: reading, writing, listing and the like. Content goes through the agent, the rest through the
//! guest's own tools.

use super::agent::{Agent, LivenessCheck};
use super::command::{Command, Exit};
use super::file_content::{read_file, with_file, write_file};
use crate::vm::machine::Machine;
use crate::vm::{Vm, VmError};

/// The permissions of a file that is made.
const NEW_FILE: u32 = 0o644;

/// The metadata of a file in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// In bytes.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `block_device`, `char_device` or `other`.
    pub entry_type: &'static str,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// An entry of a folder in the guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name; any bytes.
    pub name: Vec<u8>,
    /// As in [`FileStat`].
    pub entry_type: String,
}

impl Vm {
    /// The content of the file at `path` in the guest; up to 256 MiB.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>, VmError> {
        self.with_machine(|machine| machine.agent(|agent, check| read_file(agent, check, path)))
    }

    /// Makes `data` the content of the file at `path` in the guest. A file that is not there is made,
    /// with mode 0644.
    pub fn write_file(&mut self, path: &str, data: &[u8]) -> Result<(), VmError> {
        self.with_machine(|machine| {
            let is_new = !machine.exists(path)?;
            machine.write_file(path, data)?;
            match is_new {
                // The agent makes files that all may write to. Not every file system has modes.
                true => machine.run(&chmod(path, NEW_FILE)).map(drop),
                false => Ok(()),
            }
        })
    }

    /// The same, and makes the folders above it that are missing.
    pub(in crate::vm) fn write_file_with_parents(
        &mut self,
        path: &str,
        data: &[u8],
    ) -> Result<(), VmError> {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        match (self.write_file(path, data), parent) {
            (Err(VmError::Agent(_)), Some(parent)) if !parent.is_empty() => {
                self.mkdir(parent, true, None)?;
                self.write_file(path, data)
            }
            (written, _) => written,
        }
    }

    /// The metadata of `path` in the guest; links are followed.
    pub fn stat(&mut self, path: &str) -> Result<FileStat, VmError> {
        let format = "%s %a %f %Y %u %g %y";
        let text = self.tool("stat", &["-L", "-c", format, "--", path])?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let words: Vec<_> = text.split_whitespace().collect();
        parse_stat(&words).ok_or_else(|| VmError::Agent(format!("stat printed {text:?}")))
    }

    /// The entries of the folder `path`, sorted by name, without `.` and `..`.
    pub fn listdir(&mut self, path: &str) -> Result<Vec<Entry>, VmError> {
        // Where nothing is hidden, or nothing else, a pattern stands for itself.
        const LIST: &str = r#"
            cd -- "$1/" 2>/dev/null || { ls -- "$1/"; exit 1; }
            for name in .* *; do
                case $name in .|..) continue;; esac
                if [ -L "$name" ]; then type=symlink
                elif [ -f "$name" ]; then type=file
                elif [ -d "$name" ]; then type=directory
                elif [ -p "$name" ]; then type=fifo
                elif [ -S "$name" ]; then type=socket
                elif [ -b "$name" ]; then type=block_device
                elif [ -c "$name" ]; then type=char_device
                elif [ -e "$name" ]; then type=other
                else continue
                fi
                printf '%s/%s\0' "$type" "$name"
            done"#;
        let list = self.tool("/bin/sh", &["-c", LIST, "sh", path])?;
        let mut entries: Vec<_> = list.split(|byte| *byte == 0).filter_map(entry).collect();
        entries.sort();
        Ok(entries)
    }

    /// Makes the folder `path`, with those above it if `parents`, with the permissions `perm`.
    pub fn mkdir(&mut self, path: &str, parents: bool, perm: Option<u32>) -> Result<(), VmError> {
        let perm = perm.map(|perm| format!("{perm:o}"));
        let mut args: Vec<&str> = Vec::new();
        args.extend(parents.then_some("-p"));
        args.extend(perm.iter().flat_map(|perm| ["-m", perm]));
        args.extend(["--", path]);
        self.tool("mkdir", &args).map(drop)
    }

    /// Gives the file at `path` the permissions `mode`.
    pub(in crate::vm) fn chmod(&mut self, path: &str, mode: u32) -> Result<(), VmError> {
        let chmod = chmod(path, mode);
        self.checked(&chmod).map(drop)
    }

    /// Removes the file, or the empty folder, at `path`.
    pub fn unlink(&mut self, path: &str) -> Result<(), VmError> {
        const REMOVE: &str = r#"
            if [ -d "$1" ] && ! [ -L "$1" ]; then exec rmdir -- "$1"; fi
            exec rm -- "$1""#;
        let args = ["-c", REMOVE, "sh", path];
        self.tool("/bin/sh", &args).map(drop)
    }

    /// Makes `to` the name of `from`. A folder that is there does not take it in.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), VmError> {
        let args = ["-T", "--", from, to];
        self.tool("mv", &args).map(drop)
    }

    /// Runs a tool of the guest, and returns what it prints.
    pub(super) fn tool(&mut self, program: &str, args: &[&str]) -> Result<Vec<u8>, VmError> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.checked(&Command::new(program, args))
    }

    /// Runs `command`, and returns what it prints. When it fails, its standard error is the error.
    fn checked(&mut self, command: &Command) -> Result<Vec<u8>, VmError> {
        let result = self.with_machine(|machine| machine.run(command))?;
        match result.exit {
            Exit::Exited(0) => Ok(result.stdout),
            _ => {
                let text = String::from_utf8_lossy(&result.stderr).trim().to_owned();
                Err(VmError::Guest(text))
            }
        }
    }
}

fn chmod(path: &str, mode: u32) -> Command {
    let args = [format!("{mode:o}"), "--".into(), path.into()];
    Command::new("chmod", args.into())
}

/// Reads `TYPE/NAME`.
fn entry(record: &[u8]) -> Option<Entry> {
    let slash = record.iter().position(|byte| *byte == b'/')?;
    Some(Entry {
        name: record[slash + 1..].to_vec(),
        entry_type: String::from_utf8_lossy(&record[..slash]).into_owned(),
    })
}

impl Machine {
    /// Whether there is something at `path` that can be written to. Nothing waits for the other end of
    /// a pipe that is opened both ways.
    fn exists(&mut self, path: &str) -> Result<bool, VmError> {
        let nothing = |_: &mut Agent, _, _: LivenessCheck<'_>| Ok(());
        match self.agent(|agent, check| with_file(agent, check, path, "r+", nothing)) {
            Ok(()) => Ok(true),
            Err(VmError::Agent(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes `data` the content of the file at `path` in the guest.
    pub(in crate::vm) fn write_file(&mut self, path: &str, data: &[u8]) -> Result<(), VmError> {
        self.agent(|agent, check| write_file(agent, check, path, data))
    }
}

/// Reads `SIZE MODE(octal) RAWMODE(hex) MTIME UID GID DATE TIME.NANOSECONDS ZONE`.
fn parse_stat(words: &[&str]) -> Option<FileStat> {
    let [size, mode, raw, mtime, uid, gid, _, time, ..] = words else {
        return None;
    };
    let seconds: i64 = mtime.parse().ok()?;
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    let nanos: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(FileStat {
        size: size.parse().ok()?,
        mode: u32::from_str_radix(mode, 8).ok()?,
        entry_type: match u32::from_str_radix(raw, 16).ok()? & libc::S_IFMT {
            libc::S_IFREG => "file",
            libc::S_IFDIR => "directory",
            libc::S_IFLNK => "symlink",
            libc::S_IFIFO => "fifo",
            libc::S_IFSOCK => "socket",
            libc::S_IFBLK => "block_device",
            libc::S_IFCHR => "char_device",
            _ => "other",
        },
        mtime_ns: seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_line_is_read_by_its_columns() {
        let stat = |line: &str| parse_stat(&line.split(' ').collect::<Vec<_>>());
        let gnu = stat("12 1777 43ff 99 0 5 1970-01-01 00:01:39.000000042 +0000").unwrap();
        assert_eq!((gnu.size, gnu.mode), (12, 0o1777));
        assert_eq!(
            (gnu.entry_type, gnu.mtime_ns),
            ("directory", 99_000_000_042)
        );
        assert_eq!((gnu.uid, gnu.gid), (0, 5));
        let whole = stat("0 644 61b0 99 0 0 1970-01-01 00:01:39").unwrap();
        assert_eq!(
            (whole.entry_type, whole.mtime_ns),
            ("block_device", 99_000_000_000)
        );
        assert_eq!(parse_stat(&["12"]), None);
    }
}
