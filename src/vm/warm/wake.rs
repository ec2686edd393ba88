//! The program that a resumed guest runs first: it sets the clock and gives the random pool a seed
//! of its own, without which all guests from one state would draw the same numbers.
//!
//! No common tool asks the kernel to take a new seed at once (`RNDRESEEDCRNG`), and a kernel need
//! not have the driver for QEMU's `vmgenid`; so this is a small static program for x86-64 Linux.

use std::fs::File;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where it may lie in the guest: the first of them on which programs run.
pub(in crate::vm) const PLACES: [&str; 3] = [
    "/run/provium-wake",
    "/tmp/provium-wake",
    "/root/provium-wake",
];

/// Bytes of the seed.
const SEED: usize = 64;
/// Where the program is loaded, by convention.
const BASE: u64 = 0x40_0000;
/// The headers of an ELF file with one segment.
const HEADERS: u64 = 64 + 56;

/// Reads a `timespec` and a `rand_pool_info` (88 bytes) from standard input; exits with 0 when both
/// are in force.
#[rustfmt::skip]
const CODE: [u8; 130] = [
    0x48, 0x83, 0xec, 0x58,                   // sub   rsp, 88
    0x31, 0xff,                               // xor   edi, edi
    0x48, 0x89, 0xe6,                         // mov   rsi, rsp
    0xba, 0x58, 0x00, 0x00, 0x00,             // mov   edx, 88
    0x31, 0xc0,                               // xor   eax, eax
    0x0f, 0x05,                               // read(0, rsp, 88)
    0x83, 0xf8, 0x58,                         // cmp   eax, 88
    0x75, 0x52,                               // jne   fail
    0x31, 0xff,                               // xor   edi, edi
    0x48, 0x89, 0xe6,                         // mov   rsi, rsp
    0xb8, 0xe3, 0x00, 0x00, 0x00,             // mov   eax, 227
    0x0f, 0x05,                               // clock_settime(CLOCK_REALTIME, rsp)
    0x85, 0xc0,                               // test  eax, eax
    0x75, 0x42,                               // jne   fail
    0x48, 0x8d, 0x3d, 0x47, 0x00, 0x00, 0x00, // lea   rdi, [path]
    0xbe, 0x01, 0x00, 0x00, 0x00,             // mov   esi, 1
    0xb8, 0x02, 0x00, 0x00, 0x00,             // mov   eax, 2
    0x0f, 0x05,                               // open(path, O_WRONLY)
    0x85, 0xc0,                               // test  eax, eax
    0x78, 0x2b,                               // js    fail
    0x89, 0xc7,                               // mov   edi, eax
    0xbe, 0x03, 0x52, 0x08, 0x40,             // mov   esi, 0x40085203
    0x48, 0x8d, 0x54, 0x24, 0x10,             // lea   rdx, [rsp + 16]
    0xb8, 0x10, 0x00, 0x00, 0x00,             // mov   eax, 16
    0x0f, 0x05,                               // ioctl(edi, RNDADDENTROPY, rsp + 16)
    0x85, 0xc0,                               // test  eax, eax
    0x75, 0x14,                               // jne   fail
    0xbe, 0x07, 0x52, 0x00, 0x00,             // mov   esi, 0x5207
    0xb8, 0x10, 0x00, 0x00, 0x00,             // mov   eax, 16
    0x0f, 0x05,                               // ioctl(edi, RNDRESEEDCRNG)
    0x85, 0xc0,                               // test  eax, eax
    0x75, 0x04,                               // jne   fail
    0x31, 0xff,                               // xor   edi, edi
    0xeb, 0x05,                               // jmp   exit
    0xbf, 0x01, 0x00, 0x00, 0x00,             // fail: mov edi, 1
    0xb8, 0x3c, 0x00, 0x00, 0x00,             // exit: mov eax, 60
    0x0f, 0x05,                               // exit(edi)
    b'/', b'd', b'e', b'v', b'/', b'u', b'r', b'a', b'n', b'd', b'o', b'm', 0, // path
];

/// The program, as an ELF file.
pub(in crate::vm) fn wake_program() -> Vec<u8> {
    let size = HEADERS + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec(); // 64 bits, little-endian, version 1
    file.resize(16, 0);
    let halves = |file: &mut Vec<u8>, values: &[u16]| {
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    let longs = |file: &mut Vec<u8>, values: &[u64]| {
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    halves(&mut file, &[2, 62, 1, 0]); // executable, x86-64, version 1
    longs(&mut file, &[BASE + HEADERS, 64, 0]); // entry, program headers, no sections
    halves(&mut file, &[0, 0, 64, 56, 1, 0, 0, 0]); // flags, sizes, one program header
    halves(&mut file, &[1, 0, 5, 0]); // to be loaded, readable and executable
    longs(&mut file, &[0, BASE, BASE, size, size, 0x1000]);
    file.extend(CODE);
    file
}

/// The input of the program: this moment, and a seed from the host's random pool.
pub(in crate::vm) fn wake_input() -> io::Result<Vec<u8>> {
    let mut seed = [0; SEED];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(io::Error::other)?;
    let mut input = Vec::new();
    input.extend(now.as_secs().to_le_bytes());
    input.extend(u64::from(now.subsec_nanos()).to_le_bytes());
    input.extend((SEED as u32 * 8).to_le_bytes()); // bits of entropy
    input.extend((SEED as u32).to_le_bytes());
    input.extend(seed);
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn input_has_the_length_that_the_program_reads_and_is_never_the_same() {
        let [one, other] = [wake_input().unwrap(), wake_input().unwrap()];
        assert_eq!(one.len(), 88);
        assert_ne!(one[24..], other[24..]);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn program_runs_and_rejects_an_input_that_is_too_short() {
        let folder = tempfile::tempdir().unwrap();
        let [draft, path] = ["draft", "wake"].map(|name| folder.path().join(name));
        std::fs::write(&draft, wake_program()).unwrap();
        // By a child: what this process has open for writing, another test's child may have too, and it does not run.
        let mut install = Command::new("install");
        let copied = install.args(["-m", "755"]).args([&draft, &path]).status();
        assert!(copied.unwrap().success());
        let status = Command::new(&path).stdin(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(1));
    }
}
