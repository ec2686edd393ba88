//! The buffer that a thread reads into, kept for its next request.

use std::cell::RefCell;
use std::io;

const PAGE: usize = 4096;

thread_local!(static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });

/// Calls `work` with a buffer of `len` bytes of any content, or with ENOMEM. It begins with a page: the
/// kernel takes what it is given page by page, and 4 KiB that lie in two cost it twice.
pub fn with_buffer<T>(len: usize, work: impl FnOnce(io::Result<&mut [u8]>) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| {
        let more = (len + PAGE).saturating_sub(buffer.len());
        if buffer.try_reserve_exact(more).is_err() {
            return work(Err(io::Error::from_raw_os_error(libc::ENOMEM)));
        }
        // Not zeroes: those the kernel would only promise.
        buffer.resize(buffer.len() + more, 1);
        let start = buffer.as_ptr().align_offset(PAGE);
        work(Ok(&mut buffer[start..][..len]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_begins_with_a_page_and_grows() {
        for len in [0, 1, 512, PAGE, 1 << 20, 512] {
            with_buffer(len, |buffer| {
                let buffer = buffer.unwrap();
                assert_eq!(buffer.len(), len);
                assert_eq!(buffer.as_ptr().addr() % PAGE, 0);
            });
        }
    }
}
