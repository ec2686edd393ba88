//! Whether KVM can run a guest on this host.

use std::fs::File;

/// The state of KVM on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvm {
    /// It runs guests.
    Works,
    /// There is no /dev/kvm.
    Missing,
    /// This user may not open it.
    Denied,
    /// It opens, but the processor shows no virtualisation: guests hang in the firmware.
    NoProcessor,
}

/// Looks at /dev/kvm and at the processor.
pub fn kvm() -> Kvm {
    match File::options().read(true).write(true).open("/dev/kvm") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kvm::Missing,
        Err(_) => Kvm::Denied,
        Ok(_) if processor_virtualises() => Kvm::Works,
        Ok(_) => Kvm::NoProcessor,
    }
}

/// The processor that KVM shows to guests: a state saved on another one may not run.
pub(in crate::vm) fn processor() -> String {
    const NAMES: [&str; 3] = ["model name", "microcode", "flags"];
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_first = |name: &&str| cpuinfo.lines().find(|line| line.starts_with(*name));
    NAMES
        .iter()
        .filter_map(of_first)
        .collect::<Vec<_>>()
        .join("\n")
}

fn processor_virtualises() -> bool {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| {
        line.split_whitespace()
            .any(|flag| flag == "vmx" || flag == "svm")
    })
}
