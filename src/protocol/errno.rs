//! The kernel's error numbers and their names.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::line::BadLine;
use crate::units::nearest;

/// A Linux error number. Prints as its name where it has one, else as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// Every name, by number (asm-generic/errno-base.h, asm-generic/errno.h).
const NAMES: &[(&str, i32)] = &[
    ("EPERM", 1),
    ("ENOENT", 2),
    ("ESRCH", 3),
    ("EINTR", 4),
    ("EIO", 5),
    ("ENXIO", 6),
    ("E2BIG", 7),
    ("ENOEXEC", 8),
    ("EBADF", 9),
    ("ECHILD", 10),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EFAULT", 14),
    ("ENOTBLK", 15),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("EXDEV", 18),
    ("ENODEV", 19),
    ("ENOTDIR", 20),
    ("EISDIR", 21),
    ("EINVAL", 22),
    ("ENFILE", 23),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("ETXTBSY", 26),
    ("EFBIG", 27),
    ("ENOSPC", 28),
    ("ESPIPE", 29),
    ("EROFS", 30),
    ("EMLINK", 31),
    ("EPIPE", 32),
    ("EDOM", 33),
    ("ERANGE", 34),
    ("EDEADLK", 35),
    ("ENAMETOOLONG", 36),
    ("ENOLCK", 37),
    ("ENOSYS", 38),
    ("ENOTEMPTY", 39),
    ("ELOOP", 40),
    ("ENOMSG", 42),
    ("EIDRM", 43),
    ("ECHRNG", 44),
    ("EL2NSYNC", 45),
    ("EL3HLT", 46),
    ("EL3RST", 47),
    ("ELNRNG", 48),
    ("EUNATCH", 49),
    ("ENOCSI", 50),
    ("EL2HLT", 51),
    ("EBADE", 52),
    ("EBADR", 53),
    ("EXFULL", 54),
    ("ENOANO", 55),
    ("EBADRQC", 56),
    ("EBADSLT", 57),
    ("EBFONT", 59),
    ("ENOSTR", 60),
    ("ENODATA", 61),
    ("ETIME", 62),
    ("ENOSR", 63),
    ("ENONET", 64),
    ("ENOPKG", 65),
    ("EREMOTE", 66),
    ("ENOLINK", 67),
    ("EADV", 68),
    ("ESRMNT", 69),
    ("ECOMM", 70),
    ("EPROTO", 71),
    ("EMULTIHOP", 72),
    ("EDOTDOT", 73),
    ("EBADMSG", 74),
    ("EOVERFLOW", 75),
    ("ENOTUNIQ", 76),
    ("EBADFD", 77),
    ("EREMCHG", 78),
    ("ELIBACC", 79),
    ("ELIBBAD", 80),
    ("ELIBSCN", 81),
    ("ELIBMAX", 82),
    ("ELIBEXEC", 83),
    ("EILSEQ", 84),
    ("ERESTART", 85),
    ("ESTRPIPE", 86),
    ("EUSERS", 87),
    ("ENOTSOCK", 88),
    ("EDESTADDRREQ", 89),
    ("EMSGSIZE", 90),
    ("EPROTOTYPE", 91),
    ("ENOPROTOOPT", 92),
    ("EPROTONOSUPPORT", 93),
    ("ESOCKTNOSUPPORT", 94),
    ("EOPNOTSUPP", 95),
    ("EPFNOSUPPORT", 96),
    ("EAFNOSUPPORT", 97),
    ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99),
    ("ENETDOWN", 100),
    ("ENETUNREACH", 101),
    ("ENETRESET", 102),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("ENOBUFS", 105),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ESHUTDOWN", 108),
    ("ETOOMANYREFS", 109),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTDOWN", 112),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("EINPROGRESS", 115),
    ("ESTALE", 116),
    ("EUCLEAN", 117),
    ("ENOTNAM", 118),
    ("ENAVAIL", 119),
    ("EISNAM", 120),
    ("EREMOTEIO", 121),
    ("EDQUOT", 122),
    ("ENOMEDIUM", 123),
    ("EMEDIUMTYPE", 124),
    ("ECANCELED", 125),
    ("ENOKEY", 126),
    ("EKEYEXPIRED", 127),
    ("EKEYREVOKED", 128),
    ("EKEYREJECTED", 129),
    ("EOWNERDEAD", 130),
    ("ENOTRECOVERABLE", 131),
    ("ERFKILL", 132),
];

/// Second names.
const ALIASES: [(&str, &str); 3] = [
    ("EWOULDBLOCK", "EAGAIN"),
    ("EDEADLOCK", "EDEADLK"),
    ("ENOTSUP", "EOPNOTSUPP"),
];

/// Why a rule cannot have a disk answer with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadErrno {
    /// The name does not exist, or the kernel does not carry the number.
    #[error(
        "is not a known errno{0} (valid: a number from 1 to {largest}, or a name of errno(3): EIO, \
         ENOSPC, ENXIO, ETIMEDOUT, EOPNOTSUPP, ENOMEM, EREMOTEIO, ENODATA, EILSEQ, ...)",
        largest = Errno::LARGEST
    )]
    Unknown(String),
    /// ENOSYS: the kernel would not send such a request again, to any disk of the mount.
    #[error(
        "tells the kernel that this file system never serves such requests, and it sends no more \
         for any disk: write EOPNOTSUPP, a disk's own answer to what it does not know"
    )]
    Protocol,
}

impl Errno {
    /// The largest number that the kernel takes from a FUSE server (fs/fuse/dev.c). It rejects an answer with a larger
    /// one, and the client would wait for ever.
    pub const LARGEST: i32 = 511;

    /// Input/output error: the answer of a disk that failed.
    pub const EIO: Self = Self(libc::EIO);
    /// The host has no memory left.
    pub const ENOMEM: Self = Self(libc::ENOMEM);

    /// The number that `error` carries; EIO when it carries none.
    pub fn of(error: &io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }

    /// The error called `text`: a name such as `ENOSPC`, or a number. Only errors that a disk can answer with.
    pub fn parse(text: &str) -> Result<Self, BadErrno> {
        let number = match text.parse() {
            Ok(number) => Some(number).filter(|number| (1..=Self::LARGEST).contains(number)),
            Err(_) => number_of(text),
        };
        match number {
            Some(libc::ENOSYS) => Err(BadErrno::Protocol),
            Some(number) => Ok(Self(number)),
            None => Err(BadErrno::Unknown(nearest(text, Self::names()))),
        }
    }

    /// Every name, for messages that offer the nearest one.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

fn number_of(name: &str) -> Option<i32> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    let found = NAMES.iter().find(|(known, _)| *known == name)?;
    Some(found.1)
}

impl FromStr for Errno {
    type Err = BadLine;

    /// Any error number, as it prints. Rules take fewer: see [`Errno::parse`].
    fn from_str(text: &str) -> Result<Self, BadLine> {
        let number = number_of(text).or_else(|| text.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| BadLine::new("an error number", text))
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_known_by_name_number_and_second_name() {
        assert_eq!(Errno::parse("EIO"), Ok(Errno(libc::EIO)));
        assert_eq!(Errno::parse("28"), Ok(Errno(libc::ENOSPC)));
        assert_eq!(Errno::parse("EWOULDBLOCK"), Ok(Errno(libc::EAGAIN)));
        assert_eq!(Errno(400).to_string(), "400");
    }

    #[test]
    fn errno_that_the_kernel_does_not_carry_is_rejected_with_the_range() {
        for bad in ["eio", "0", "512", "4095", "-5", "99999999999", ""] {
            let error = Errno::parse(bad).unwrap_err().to_string();
            assert!(error.contains("a number from 1 to 511, or a name"), "{bad}");
        }
        assert_eq!(Errno::parse("511"), Ok(Errno(511)));
    }

    #[test]
    fn errno_enosys_is_rejected_by_name_and_number() {
        for text in ["ENOSYS", "38"] {
            assert_eq!(Errno::parse(text), Err(BadErrno::Protocol));
        }
    }

    #[test]
    fn errno_names_are_those_of_their_numbers() {
        for (name, number) in NAMES {
            assert_eq!(number_of(name), Some(*number));
            assert_eq!(Errno(*number).to_string(), *name);
        }
    }
}
