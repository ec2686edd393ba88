//! The other end of a socket: it has sent all that it ever will, and takes what comes.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// Our end of a socket whose other end has sent `data`, and is returned too: it must be kept, or we
/// could not write.
pub fn that_sent(data: &[u8]) -> (UnixStream, UnixStream) {
    // More would wait for a reader.
    let data = &data[..data.len().min(64 << 10)];
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(data).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    (ours, theirs)
}
