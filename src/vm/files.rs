//! Files in the guest. Content goes through the agent, the rest through the guest's own tools.

use qapi::qga::{guest_file_close, guest_file_open, guest_file_read, guest_file_write};

use super::agent::{Agent, Well};
use super::machine::Machine;
use super::{Command, Exit, Vm, VmError};

/// Bytes that one message to or from the agent carries.
const PIECE: usize = 256 * 1024;
/// Most bytes of a file that is read whole. A guest can say for ever that there is more.
const LONGEST_FILE: usize = 256 << 20;

/// What `stat` says of a file in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// In bytes.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// `file`, `dir`, `link` or `other`.
    pub kind: &'static str,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Vm {
    /// The content of the file at `path` in the guest.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>, VmError> {
        self.with_machine("vm:read_file", |machine| {
            machine.agent(|agent, well| read_file(agent, well, path))
        })
    }

    /// Makes `data` the content of the file at `path` in the guest.
    pub fn write_file(&mut self, path: &str, data: &[u8]) -> Result<(), VmError> {
        self.with_machine("vm:write_file", |machine| machine.write_file(path, data))
    }

    /// What the guest knows of `path`; links are not followed.
    pub fn stat(&mut self, path: &str) -> Result<FileStat, VmError> {
        let text = self.tool("vm:stat", "stat", &["-c", "%s %a %f %Y %u %g", "--", path])?;
        let words: Vec<_> = text.split_whitespace().collect();
        parse_stat(&words).ok_or_else(|| VmError::Agent(format!("stat printed {text:?}")))
    }

    /// The names in the folder `path`, sorted, without `.` and `..`.
    pub fn listdir(&mut self, path: &str) -> Result<Vec<String>, VmError> {
        // With the slash a plain file is an error.
        let find = [
            &format!("{path}/"),
            "-mindepth",
            "1",
            "-maxdepth",
            "1",
            "-print0",
        ];
        let text = self.tool("vm:listdir", "find", &find)?;
        let paths = text.split('\0').filter(|path| !path.is_empty());
        let mut names: Vec<_> = paths.filter_map(|path| path.rsplit('/').next()).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Makes the folder `path`, with those above it if `parents`, with the permissions `perm`.
    pub fn mkdir(&mut self, path: &str, parents: bool, perm: Option<u32>) -> Result<(), VmError> {
        let perm = perm.map(|perm| format!("{perm:o}"));
        let mut args: Vec<&str> = Vec::new();
        args.extend(parents.then_some("-p"));
        args.extend(perm.iter().flat_map(|perm| ["-m", perm]));
        args.extend(["--", path]);
        self.tool("vm:mkdir", "mkdir", &args).map(drop)
    }

    /// Gives the file at `path` the permissions `mode`.
    pub(super) fn chmod(&mut self, path: &str, mode: u32) -> Result<(), VmError> {
        let mode = format!("{mode:o}");
        self.tool("vm:boot", "chmod", &[&mode, "--", path])
            .map(drop)
    }

    /// Removes the file at `path`.
    pub fn unlink(&mut self, path: &str) -> Result<(), VmError> {
        self.tool("vm:unlink", "rm", &["--", path]).map(drop)
    }

    /// Moves `from` to `to`.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), VmError> {
        self.tool("vm:rename", "mv", &["--", from, to]).map(drop)
    }

    /// Runs a tool of the guest; what it says when it fails becomes the error.
    fn tool(
        &mut self,
        call: &'static str,
        program: &str,
        args: &[&str],
    ) -> Result<String, VmError> {
        let command = Command {
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..Command::default()
        };
        let result = self.with_machine(call, |machine| machine.run(&command))?;
        if result.exit != Exit::Exited(0) {
            let text = String::from_utf8_lossy(&result.stderr).trim().to_owned();
            return Err(VmError::Guest(text));
        }
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    }
}

impl Machine {
    /// Makes `data` the content of the file at `path` in the guest.
    pub(super) fn write_file(&mut self, path: &str, data: &[u8]) -> Result<(), VmError> {
        self.agent(|agent, well| write_file(agent, well, path, data))
    }
}

/// The content of the file at `path`.
pub(super) fn read_file(agent: &mut Agent, well: Well<'_>, path: &str) -> Result<Vec<u8>, VmError> {
    let read =
        |agent: &mut Agent, handle, well: Well<'_>| read_all(agent, handle, well, LONGEST_FILE);
    with_file(agent, well, path, "r", read)
}

/// Makes `data` the content of the file at `path`.
pub(super) fn write_file(
    agent: &mut Agent,
    well: Well<'_>,
    path: &str,
    data: &[u8],
) -> Result<(), VmError> {
    let write = |agent: &mut Agent, handle, well: Well<'_>| write_all(agent, handle, well, data);
    with_file(agent, well, path, "w", write)
}

fn with_file<T>(
    agent: &mut Agent,
    well: Well<'_>,
    path: &str,
    mode: &str,
    action: impl FnOnce(&mut Agent, i64, Well<'_>) -> Result<T, VmError>,
) -> Result<T, VmError> {
    let open = guest_file_open {
        path: path.to_owned(),
        mode: Some(mode.to_owned()),
    };
    let handle = agent.execute(&open, well)?;
    let result = action(agent, handle, well);
    let closed = agent.execute(&guest_file_close { handle }, well);
    let value = result?;
    closed?;
    Ok(value)
}

fn read_all(
    agent: &mut Agent,
    handle: i64,
    well: Well<'_>,
    most: usize,
) -> Result<Vec<u8>, VmError> {
    let mut content = Vec::new();
    loop {
        let count = Some(PIECE as i64);
        let piece = agent.execute(&guest_file_read { handle, count }, well)?;
        content.extend_from_slice(&piece.buf_b64);
        if content.len() > most {
            let mebibytes = most >> 20;
            let text = format!("the file has more than {mebibytes} MiB, the most that is read");
            return Err(VmError::Guest(text));
        }
        if piece.eof || piece.buf_b64.is_empty() {
            return Ok(content);
        }
    }
}

fn write_all(agent: &mut Agent, handle: i64, well: Well<'_>, data: &[u8]) -> Result<(), VmError> {
    let mut rest = data;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(PIECE)];
        let write = guest_file_write {
            handle,
            count: None,
            buf_b64: piece.to_vec(),
        };
        let written = agent.execute(&write, well)?.count;
        match usize::try_from(written) {
            Ok(n) if n > 0 && n <= piece.len() => rest = &rest[n..],
            _ => {
                return Err(VmError::Agent(format!(
                    "wrote {written} of {} bytes",
                    piece.len()
                )));
            }
        }
    }
    Ok(())
}

/// Reads `SIZE MODE(octal) RAWMODE(hex) MTIME UID GID`.
fn parse_stat(words: &[&str]) -> Option<FileStat> {
    let [size, mode, raw, mtime, uid, gid] = words else {
        return None;
    };
    Some(FileStat {
        size: size.parse().ok()?,
        mode: u32::from_str_radix(mode, 8).ok()?,
        kind: match u32::from_str_radix(raw, 16).ok()? & libc::S_IFMT {
            libc::S_IFREG => "file",
            libc::S_IFDIR => "dir",
            libc::S_IFLNK => "link",
            _ => "other",
        },
        mtime: mtime.parse().ok()?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_file_without_an_end_is_an_error_and_not_our_memory() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let liar = std::thread::spawn(move || {
            let answer = r#"{"return":{"count":3,"buf-b64":"AAAA","eof":false}}"#;
            for line in BufReader::new(&theirs).lines() {
                if line.is_err() || writeln!(&theirs, "{answer}").is_err() {
                    return;
                }
            }
        });
        let mut agent = Agent::new(ours);
        let error = read_all(&mut agent, 1, &mut || Ok(()), 1000).unwrap_err();
        assert!(
            error.to_string().contains("the most that is read"),
            "{error}"
        );
        drop(agent);
        liar.join().unwrap();
    }

    #[test]
    fn a_stat_line_is_read_by_its_columns() {
        let stat = parse_stat(&["12", "1777", "43ff", "99", "0", "5"]).unwrap();
        assert_eq!((stat.size, stat.mode, stat.kind), (12, 0o1777, "dir"));
        assert_eq!((stat.mtime, stat.uid, stat.gid), (99, 0, 5));
        assert_eq!(parse_stat(&["12"]), None);
    }
}
