//! Whether a file is a kernel that a QEMU can load: by what it begins with, before QEMU starts. QEMU itself runs
//! almost any file, and the guest then says nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::vm::qemu::target::Target;

/// Bytes in which the marks of a kernel stand: that of Multiboot may be anywhere in them.
const BEGINNING: u64 = 8192;
/// A word that Multiboot kernels have, little-endian.
const MULTIBOOT: [u8; 4] = 0x1bad_b002_u32.to_le_bytes();

/// What a file is, by its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// A kernel in the form of this architecture.
    Kernel(Target),
    /// A program of Linux in the ELF format, or a library.
    Program,
    /// An ELF file that may be a kernel.
    Elf,
    /// One that the firmware or QEMU's loader unpacks or starts: an EFI program, a U-Boot image, a Multiboot kernel.
    Efi,
    UBoot,
    Multiboot,
    Gzip,
    /// Nothing at all.
    Nothing,
    /// Something that is known not to be a kernel.
    Other(&'static str),
    Unknown,
}

/// What is wrong with the file at `path` as a kernel for `target`; `has_firmware` tells that the profile has one,
/// which may start EFI programs.
pub(in crate::vm) fn flaw(
    path: &Path,
    target: Target,
    has_firmware: bool,
) -> io::Result<Option<String>> {
    let mut beginning = Vec::new();
    File::open(path)?
        .take(BEGINNING)
        .read_to_end(&mut beginning)?;
    Ok(flaw_of(content(&beginning), target, has_firmware))
}

fn flaw_of(content: Content, target: Target, has_firmware: bool) -> Option<String> {
    let forms = forms(target);
    let expected = format!("a kernel for {} is {forms}", target.name());
    match content {
        Content::Kernel(of) if of == target || (of.is_pc() && target.is_pc()) => None,
        Content::Kernel(of) => Some(format!(
            "it is a kernel for {other}: set `qemu = \"qemu-system-{other}\"`, or take one for {}",
            target.name(),
            other = of.name(),
        )),
        Content::Elf => None,
        Content::Multiboot if target.is_pc() => None,
        Content::Efi if has_firmware || !target.is_pc() => None,
        Content::Efi => Some(format!(
            "it is an EFI program, which needs an EFI `firmware`; {expected}"
        )),
        Content::Gzip | Content::UBoot if !target.is_pc() => None,
        Content::Gzip => Some(format!("it is a gzip file: unpack it; {expected}")),
        Content::Multiboot => Some(format!("it is a Multiboot kernel; {expected}")),
        Content::UBoot => Some(format!("it is a U-Boot image; {expected}")),
        Content::Program => Some(format!("it is a program of Linux; {expected}")),
        Content::Nothing => Some(format!("it is empty; {expected}")),
        Content::Other(what) => Some(format!("it is {what}; {expected}")),
        // QEMU loads a raw image as it is.
        Content::Unknown if !target.is_pc() => None,
        Content::Unknown => Some(format!("it has the mark of none; {expected}")),
    }
}

fn forms(target: Target) -> &'static str {
    match target {
        Target::X86_64 | Target::I386 => {
            "a bzImage (arch/x86/boot/bzImage, /boot/vmlinuz-*), an ELF file with a PVH entry (vmlinux) or a \
             Multiboot kernel"
        }
        Target::Aarch64 => {
            "an Image (arch/arm64/boot/Image), which may be packed by gzip, or an ELF file"
        }
        Target::Arm => "a zImage (arch/arm/boot/zImage) or an ELF file",
        Target::Riscv64 => "an Image (arch/riscv/boot/Image) or an ELF file",
    }
}

fn content(file: &[u8]) -> Content {
    let at = |place: usize, mark: &[u8]| file.get(place..).is_some_and(|at| at.starts_with(mark));
    let kernels = [
        (0x202, &b"HdrS"[..], Target::X86_64),
        (0x38, b"ARM\x64", Target::Aarch64),
        (0x24, b"\x18\x28\x6f\x01", Target::Arm),
        (0x38, b"RSC\x05", Target::Riscv64),
    ];
    if let Some((.., target)) = kernels.iter().find(|(place, mark, _)| at(*place, mark)) {
        return Content::Kernel(*target);
    }
    let marks = [
        (0, &b"MZ"[..], Content::Efi),
        (0, b"\x27\x05\x19\x56", Content::UBoot),
        (0, b"\x1f\x8b", Content::Gzip),
        (0, b"QFI\xfb", Content::Other("a disk image (qcow2)")),
        (
            0,
            b"0707",
            Content::Other("a cpio archive, such as an initramfs: see `initrd`"),
        ),
        (
            0,
            b"!<arch>",
            Content::Other("an archive, such as a Debian package"),
        ),
        (
            0,
            b"\x28\xb5\x2f\xfd",
            Content::Other("a zstd file: unpack it"),
        ),
        (0, b"\xfd7zXZ", Content::Other("an xz file: unpack it")),
        (0, b"PK\x03\x04", Content::Other("a zip file")),
        (257, b"ustar", Content::Other("a tar archive")),
        (
            0x1fe,
            b"\x55\xaa",
            Content::Other("a disk image or a boot sector"),
        ),
    ];
    match file {
        [] => Content::Nothing,
        _ if at(0, b"\x7fELF") => elf(file),
        _ if file.windows(4).step_by(4).any(|word| word == MULTIBOOT) => Content::Multiboot,
        _ if is_text(file) => Content::Other("a text"),
        _ => {
            let known = marks.iter().find(|(place, mark, _)| at(*place, mark));
            known.map_or(Content::Unknown, |(.., content)| *content)
        }
    }
}

/// A program says what interpreter it wants, or has its code at any address.
fn elf(file: &[u8]) -> Content {
    const INTERPRETER: u32 = 3; // PT_INTERP
    let is_64 = file.get(4) == Some(&2);
    let (table, size, count) = match is_64 {
        true => (
            number(file, 0x20, 8),
            number(file, 0x36, 2),
            number(file, 0x38, 2),
        ),
        false => (
            number(file, 0x1c, 4),
            number(file, 0x2a, 2),
            number(file, 0x2c, 2),
        ),
    };
    let mut kinds = (0..count.min(64)).map(|n| number(file, table.saturating_add(n * size), 4));
    match kinds.any(|kind| kind == u64::from(INTERPRETER)) {
        true => Content::Program,
        false => Content::Elf,
    }
}

/// The little-endian number of `bytes` bytes at this place; 0 past the end.
fn number(file: &[u8], place: u64, bytes: usize) -> u64 {
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    let found = file.get(place..).and_then(|rest| rest.get(..bytes));
    let found = found.unwrap_or_default().iter().rev();
    found.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn is_text(file: &[u8]) -> bool {
    let is_printed = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    file.iter().all(is_printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(place: usize, mark: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 4096];
        file[place..place + mark.len()].copy_from_slice(mark);
        file
    }

    /// What is wrong with it, without firmware.
    fn flaw(file: &[u8], target: Target) -> String {
        flaw_of(content(file), target, false).unwrap_or_default()
    }

    #[test]
    fn kernels_are_told_by_their_marks() {
        let bzimage = with(0x202, b"HdrS");
        let image = with(0x38, b"ARM\x64");
        assert_eq!(flaw(&bzimage, Target::X86_64), "");
        assert_eq!(flaw(&image, Target::Aarch64), "");
        assert_eq!(flaw(&with(0, b"\x1f\x8b\x08"), Target::Aarch64), "");
        assert_eq!(flaw(&with(64, &MULTIBOOT), Target::X86_64), "");
        assert_eq!(flaw(&with(0, b"raw code"), Target::Aarch64), "");
        let other = flaw(&image, Target::X86_64);
        assert!(
            other.contains("a kernel for aarch64: set `qemu = \"qemu-system-aarch64\"`"),
            "{other}"
        );
        assert!(flaw(&bzimage, Target::Aarch64).contains("a kernel for x86_64"));
    }

    #[test]
    fn other_files_are_refused_with_what_they_are_and_what_a_kernel_is() {
        for (file, what) in [
            (&b""[..], "it is empty"),
            (b"#!/bin/sh\necho a script\n", "it is a text"),
            (b"070701000002", "it is a text"),
            (&with(0, b"070701"), "a cpio archive, such as an initramfs"),
            (&with(0, b"QFI\xfb"), "a disk image (qcow2)"),
            (&with(0x1fe, b"\x55\xaa"), "a disk image or a boot sector"),
            (&with(0, b"\x1f\x8b\x08"), "it is a gzip file: unpack it"),
            (
                &with(0, b"MZ"),
                "an EFI program, which needs an EFI `firmware`",
            ),
            (&[0; 4096], "it has the mark of none"),
        ] {
            let flaw = flaw(file, Target::X86_64);
            assert!(flaw.contains(what), "{flaw}");
            assert!(flaw.contains("a kernel for x86_64 is a bzImage"), "{flaw}");
        }
        assert!(flaw(b"#!/bin/sh\n", Target::Aarch64).contains("it is a text"));
        assert_eq!(flaw_of(Content::Efi, Target::X86_64, true), None);
    }

    #[test]
    fn program_is_told_from_a_kernel_in_the_same_format() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        assert!(flaw(&program[..8192], Target::X86_64).contains("a program of Linux"));
        let mut kernel = with(0, b"\x7fELF\x02");
        kernel[0x20] = 64;
        kernel[0x36] = 56;
        kernel[0x38] = 1;
        kernel[64] = 1; // PT_LOAD
        assert_eq!(flaw(&kernel, Target::X86_64), "");
    }
}
