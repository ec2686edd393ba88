//! Errnos of any number.

/// The largest that the kernel takes from a FUSE server.
const LARGEST: i64 = 511;
/// ENOSYS, with which a FUSE server says that it serves no such requests at all.
const ENOSYS: i64 = 38;

/// The numbers that the beginning of `data` means: one that is likely to be an errno, and one of any size.
pub fn any(data: &[u8]) -> [i64; 2] {
    let mut bytes = [0; 8];
    let length = data.len().min(8);
    bytes[..length].copy_from_slice(&data[..length]);
    let small = i16::from_le_bytes([bytes[0], bytes[1]]) % 1024;
    [small.into(), i64::from_le_bytes(bytes)]
}

/// Whether a client can get it as an answer.
pub fn is_carried(number: i64) -> bool {
    (1..=LARGEST).contains(&number) && number != ENOSYS
}
