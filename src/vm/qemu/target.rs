//! The architecture of a guest, which that of its QEMU is.

use std::path::Path;

use crate::config::Accel;
use crate::vm::VmError;

/// An architecture whose machines provium can put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vm) enum Target {
    X86_64,
    I386,
    Aarch64,
    Arm,
    Riscv64,
}

impl Target {
    const ALL: [Self; 5] = [
        Self::X86_64,
        Self::I386,
        Self::Aarch64,
        Self::Arm,
        Self::Riscv64,
    ];

    /// That of this QEMU, by its name: `qemu-system-ARCHITECTURE`, with or without more before and behind. A QEMU of
    /// another name is taken for one of the host's architecture, as `qemu-kvm` is.
    pub(in crate::vm) fn of(qemu: &Path) -> Result<Self, VmError> {
        let name = qemu.file_name().unwrap_or_default().to_string_lossy();
        let Some((_, rest)) = name.split_once("qemu-system-") else {
            return Ok(Self::host().unwrap_or(Self::X86_64));
        };
        let word = |target: &&Self| {
            let rest = rest.strip_prefix(target.name());
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let known = Self::ALL.iter().find(word).copied();
        known.ok_or_else(|| VmError::UnknownTarget {
            program: qemu.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }

    /// The host's, if it is known.
    fn host() -> Option<Self> {
        let host = match std::env::consts::ARCH {
            "x86" => "i386",
            other => other,
        };
        Self::ALL.into_iter().find(|target| target.name() == host)
    }

    /// As QEMU calls it.
    pub(in crate::vm) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
        }
    }

    /// Whether it has the machines and the devices of a PC.
    pub(in crate::vm) fn is_pc(self) -> bool {
        matches!(self, Self::X86_64 | Self::I386)
    }

    /// Whether the host's KVM can run its guests.
    pub(in crate::vm) fn is_of_host(self) -> bool {
        let host = Self::host();
        host == Some(self) || (self == Self::I386 && host == Some(Self::X86_64))
    }

    /// What Linux calls the first serial port of the usual machine.
    pub(in crate::vm) fn serial_port(self) -> &'static str {
        match self {
            Self::X86_64 | Self::I386 | Self::Riscv64 => "ttyS0",
            Self::Aarch64 | Self::Arm => "ttyAMA0",
        }
    }

    /// The processor; QEMU's default without one.
    pub(in crate::vm) fn cpu(self, accel: Accel) -> Option<&'static str> {
        match (self, accel) {
            // QEMU 7.2 has neither for it.
            (Self::Riscv64, _) => None,
            (_, Accel::Kvm) => Some("host"),
            // Pointers are signed in a way that takes QEMU less time.
            (Self::Aarch64, _) => Some("max,pauth-impdef=on"),
            _ => Some("max"),
        }
    }

    /// The Debian package with this QEMU.
    pub(in crate::vm) fn package(self) -> &'static str {
        match self {
            Self::X86_64 | Self::I386 => "qemu-system-x86",
            Self::Aarch64 | Self::Arm => "qemu-system-arm",
            Self::Riscv64 => "qemu-system-misc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architecture_is_in_the_name_of_the_program() {
        let name = |path: &str| Target::of(Path::new(path)).map(Target::name);
        assert_eq!(name("qemu-system-x86_64").unwrap(), "x86_64");
        assert_eq!(name("/opt/b/qemu-system-aarch64-9.0").unwrap(), "aarch64");
        assert_eq!(name("my-qemu-system-arm").unwrap(), "arm");
        let error = name("qemu-system-s390x").unwrap_err().to_string();
        assert!(
            error.contains("`qemu-system-s390x`") && error.contains("x86_64, i386, aarch64"),
            "{error}"
        );
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn program_of_another_name_is_for_this_host() {
        assert_eq!(
            Target::of(Path::new("/usr/libexec/qemu-kvm")).unwrap(),
            Target::X86_64
        );
        assert!(Target::I386.is_of_host() && !Target::Aarch64.is_of_host());
    }
}
