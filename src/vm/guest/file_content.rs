//! The content of files in the guest, through its agent: whole files, in pieces.

use qapi::qga::{guest_file_close, guest_file_open, guest_file_read, guest_file_write};

use super::agent::{Agent, LivenessCheck};
use crate::vm::VmError;

/// Bytes that one message to or from the agent carries.
const PIECE: usize = 256 * 1024;
/// Most bytes of a file that is read whole. A guest can say for ever that there is more.
const LONGEST_FILE: usize = 256 << 20;

/// The content of the file at `path`.
pub(in crate::vm) fn read_file(
    agent: &mut Agent,
    check: LivenessCheck<'_>,
    path: &str,
) -> Result<Vec<u8>, VmError> {
    let read = |agent: &mut Agent, handle, check: LivenessCheck<'_>| {
        read_all(agent, handle, check, LONGEST_FILE)
    };
    with_file(agent, check, path, "r", read)
}

/// Makes `data` the content of the file at `path`.
pub(in crate::vm) fn write_file(
    agent: &mut Agent,
    check: LivenessCheck<'_>,
    path: &str,
    data: &[u8],
) -> Result<(), VmError> {
    let write =
        |agent: &mut Agent, handle, check: LivenessCheck<'_>| write_all(agent, handle, check, data);
    with_file(agent, check, path, "w", write)
}

/// Opens the file at `path` in this mode of fopen(3), does `action` with its handle, and closes it.
pub(in crate::vm) fn with_file<T>(
    agent: &mut Agent,
    check: LivenessCheck<'_>,
    path: &str,
    mode: &str,
    action: impl FnOnce(&mut Agent, i64, LivenessCheck<'_>) -> Result<T, VmError>,
) -> Result<T, VmError> {
    let open = guest_file_open {
        path: path.to_owned(),
        mode: Some(mode.to_owned()),
    };
    let handle = agent.execute(&open, check)?;
    let result = action(agent, handle, check);
    let closed = agent.execute(&guest_file_close { handle }, check);
    let value = result?;
    closed?;
    Ok(value)
}

fn read_all(
    agent: &mut Agent,
    handle: i64,
    check: LivenessCheck<'_>,
    most: usize,
) -> Result<Vec<u8>, VmError> {
    let mut content = Vec::new();
    loop {
        let count = Some(PIECE as i64);
        let piece = agent.execute(&guest_file_read { handle, count }, check)?;
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

fn write_all(
    agent: &mut Agent,
    handle: i64,
    check: LivenessCheck<'_>,
    data: &[u8],
) -> Result<(), VmError> {
    let mut rest = data;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(PIECE)];
        let write = guest_file_write {
            handle,
            count: None,
            buf_b64: piece.to_vec(),
        };
        let written = agent.execute(&write, check)?.count;
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn file_without_an_end_is_an_error_and_takes_no_memory() {
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
}
