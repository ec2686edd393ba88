//! Answers in the kernel's terms: error numbers, and how it is to treat files.

use std::time::Duration;

use fuser::FopenFlags;

use crate::protocol::Errno;

/// How long the kernel may keep names and attributes. Not at all: an image may change its size, and disks
/// are attached and detached.
pub(super) const TTL: Duration = Duration::ZERO;

/// How the kernel treats a data file: it caches nothing, and does not serialise requests.
pub(super) const DATA_FILE: FopenFlags = FopenFlags::FOPEN_DIRECT_IO
    .union(FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES)
    .union(FopenFlags::FOPEN_NOFLUSH);

/// How the kernel treats a control file.
pub(super) const CONTROL_FILE: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;

/// How the kernel treats a stream: like a control file, and without a position.
pub(super) const STREAM: FopenFlags = CONTROL_FILE.union(FopenFlags::FOPEN_STREAM);

/// The kernel's own number for "not supported". Some file systems let it out (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// The kernel's type for an error number: one that it carries, and that means the same to it as to the
/// client.
///
/// ENOSYS is a word of the protocol: the kernel then sends no such requests any more, for any file
/// (fs/fuse/file.c: `no_fsync`, `no_fallocate`, `no_lseek`, `no_open`, ...). A disk answers EOPNOTSUPP
/// instead. The kernel rejects an answer with a number above 511, and its client would wait for ever.
pub(super) fn errno(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(match errno.0 {
        libc::ENOSYS | ENOTSUPP => libc::EOPNOTSUPP,
        number @ 1..=Errno::LARGEST => number,
        _ => libc::EIO,
    })
}

/// The same for calls that go by a path: on ESTALE and ECHILD the kernel walks the path again, and repeats
/// the request (fs/namei.c).
pub(super) fn errno_by_path(number: Errno) -> fuser::Errno {
    errno(match number.0 {
        libc::ESTALE | libc::ECHILD => Errno::EIO,
        _ => number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_kept_unless_the_kernel_would_take_it_for_something_else() {
        let changed = |to: fn(Errno) -> fuser::Errno| {
            let numbers = (-1..5000).map(|number| (number, to(Errno(number)).code()));
            let changed = numbers.filter(|(number, code)| number != code);
            changed.collect::<Vec<_>>()
        };
        let mut expected = vec![(-1, libc::EIO), (0, libc::EIO), (38, libc::EOPNOTSUPP)];
        expected.extend((512..5000).map(|number| (number, libc::EIO)));
        expected[3 + 524 - 512].1 = libc::EOPNOTSUPP;
        assert_eq!(changed(errno), expected);
        expected.insert(2, (libc::ECHILD, libc::EIO));
        expected.push((libc::ESTALE, libc::EIO));
        expected.sort_unstable();
        assert_eq!(changed(errno_by_path), expected);
    }
}
