//! As what an error of a disk arrives in the guest: a bus has words of its own for what went wrong.
//!
//! Measured with QEMU 7.2 and Linux 6.1, for reads and writes of 4 KiB with O_DIRECT: docs/buses.md.

use crate::config::DiskBus;
use crate::fault::{Action, Op, Rule, Then};
use crate::protocol::Errno;

/// As what an error arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vm) enum Arrival {
    /// With this number.
    As(i32),
    /// Not at all: the kernel tries the request again until the rule is gone.
    Never,
}

impl Arrival {
    /// What a program of the guest sees of `errno`.
    pub(in crate::vm) fn of(bus: DiskBus, errno: Errno) -> Self {
        let is_scsi = matches!(bus, DiskBus::VirtioScsi | DiskBus::Usb);
        Self::As(match (bus, errno.0) {
            (DiskBus::Nvme, _) => libc::ENODATA,
            (DiskBus::VirtioScsi, libc::EDOM) => return Self::Never,
            (DiskBus::Usb, libc::ENOMEM | libc::EREMOTEIO) => return Self::Never,
            (DiskBus::VirtioScsi, libc::ENOMEM | libc::EREMOTEIO) => libc::EREMOTEIO,
            (DiskBus::VirtioScsi, libc::EBADE) => libc::EBADE,
            (_, libc::EINVAL) if is_scsi => libc::EREMOTEIO,
            (_, libc::ENOSPC | libc::ENODATA) if is_scsi => errno.0,
            _ => libc::EIO,
        })
    }
}

/// What to know of `rule` before a guest with the disk on `bus` is judged by it: that its error arrives as another one.
pub(in crate::vm) fn note(bus: DiskBus, rule: &Rule) -> Option<String> {
    let is_met = rule.ops.contains(Op::Read) || rule.ops.contains(Op::Write);
    let (Action::Error(errno)
    | Action::Hang(_, Then::Error(errno))
    | Action::Tear(_, Then::Error(errno))) = rule.action
    else {
        return None;
    };
    changed(bus, errno).filter(|_| is_met)
}

/// That `errno` arrives as another error, if it does.
pub(in crate::vm) fn changed(bus: DiskBus, errno: Errno) -> Option<String> {
    let why = match bus {
        DiskBus::VirtioBlk => "virtio-blk has one error for all",
        DiskBus::VirtioScsi => "QEMU makes a sense code of it",
        DiskBus::Nvme => "QEMU's nvme reports an unrecovered read, or a write fault",
        DiskBus::Sata => "QEMU's disk aborts the command",
        DiskBus::Usb => "QEMU makes a sense code of it, in the words of a USB stick",
    };
    match Arrival::of(bus, errno) {
        Arrival::As(number) if number == errno.0 => None,
        Arrival::As(number) => {
            let seen = Errno(number);
            Some(format!("{errno} arrives in the guest as {seen}: {why}"))
        }
        Arrival::Never => Some(format!(
            "{errno} does not arrive in the guest, whose kernel tries the request on {bus} again and again: {why}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::parse_rule;

    fn note_of(bus: DiskBus, rule: &str) -> Option<String> {
        note(bus, &parse_rule(rule, 1).unwrap())
    }

    #[test]
    fn error_that_a_bus_cannot_carry_is_told_and_others_are_not() {
        let blk = note_of(DiskBus::VirtioBlk, "error op=write errno=ENOSPC").unwrap();
        assert!(
            blk.starts_with("ENOSPC arrives in the guest as EIO: "),
            "{blk}"
        );
        assert_eq!(note_of(DiskBus::VirtioBlk, "eio_read"), None);
        let scsi = |rule| note_of(DiskBus::VirtioScsi, rule);
        assert_eq!(scsi("error op=write errno=ENOSPC"), None);
        assert_eq!(scsi("error op=read errno=ENODATA"), None);
        assert!(
            scsi("error op=read errno=EINVAL")
                .unwrap()
                .contains("as EREMOTEIO")
        );
        assert!(
            scsi("error op=read errno=EDOM")
                .unwrap()
                .contains("does not arrive")
        );
        let nvme = note_of(DiskBus::Nvme, "eio_read").unwrap();
        assert!(nvme.contains("as ENODATA"), "{nvme}");
        assert_eq!(note_of(DiskBus::Nvme, "slow"), None);
    }
}
