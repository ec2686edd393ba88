//! The lines of a console that a short report shows: the last ones, or those around a panic or a reboot.

use super::ConsoleEvidence;
use super::lines::cut;
use crate::units::text::printable;

/// Lines that are shown.
const MOST: usize = 15;
/// Of them, those before a panic or a reboot.
const BEFORE: usize = 6;
/// The kernel's words when it panics, and when it starts.
const PANIC: &str = "] Kernel panic - not syncing";
const START: &str = "] Linux version ";
/// Its last words before a reboot.
const LAST_WORDS: [&str; 3] = [
    "sysrq: Resetting",
    "reboot: Restarting system",
    "reboot: machine restart",
];
/// What the kernel's lines begin with that tell of a new disk in detail; the one with its name and size is shown.
const HOT_PLUG: [&str; 2] = ["pci 0000:", "virtio-pci 0000:"];

/// The lines to show of a console.
pub(super) fn console_lines(console: &ConsoleEvidence) -> Vec<String> {
    let all: Vec<&str> = texts(console).filter(|line| !is_hot_plug(line)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let last = all.len().saturating_sub(MOST);
    // What begins with the kernel's start is a boot: where it has come to counts.
    let event = (0..all.len()).find(|&at| is_panic(all[at]) || at > 0 && is_start(all[at]));
    let first = event.map_or(last, |at| at.saturating_sub(BEFORE).min(last));
    let end = (first + MOST).min(all.len());
    let vm = printable(&console.vm);
    let mut lines = vec![format!("console of vm {vm}:")];
    lines.extend((first > 0).then(|| format!("  ... {first} lines before")));
    let shown = all[first..end].iter();
    lines.extend(shown.map(|line| format!("  | {}", cut(line))));
    let after = all.len() - end;
    lines.extend((after > 0).then(|| format!("  ... {after} lines after")));
    lines
}

/// A sentence about a guest that has rebooted.
pub(super) fn reboot(consoles: &[ConsoleEvidence]) -> Option<String> {
    consoles.iter().find_map(|console| {
        let how = texts(console).filter_map(rebooted).last()?;
        let vm = printable(&console.vm);
        Some(format!(
            "the guest of vm `{vm}` has rebooted: its kernel {how}"
        ))
    })
}

/// What a line says of a reboot; None if it is about something else.
fn rebooted(line: &str) -> Option<String> {
    let kernel = line.strip_prefix('[')?;
    if kernel.contains(START) {
        return Some("has started anew".to_owned());
    }
    let mut words = LAST_WORDS.into_iter();
    let last = words.find(|words| kernel.trim_end().ends_with(&format!("] {words}")))?;
    Some(format!("said `{last}`"))
}

fn texts(console: &ConsoleEvidence) -> impl Iterator<Item = &str> {
    let lines = console.lines.iter();
    lines.filter_map(|line| Some(line.split_once(' ')?.1))
}

fn is_panic(line: &str) -> bool {
    line.starts_with('[') && line.contains(PANIC)
}

fn is_start(line: &str) -> bool {
    line.starts_with('[') && line.contains(START)
}

fn is_hot_plug(line: &str) -> bool {
    let text = line
        .split_once("] ")
        .map_or("", |(_, text)| text.trim_start());
    let is_queue = text.starts_with("virtio_blk ") && text.ends_with(" queues");
    is_queue || HOT_PLUG.iter().any(|words| text.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(lines: impl Iterator<Item = String>) -> ConsoleEvidence {
        ConsoleEvidence {
            vm: "a".into(),
            lines: lines.map(|line| format!("12.5 {line}")).collect(),
        }
    }

    #[test]
    fn console_lines_are_the_last_without_those_of_a_new_disk() {
        let plugged = "[    6.861450] pci 0000:01:00.0: [1af4:1042] type 00 class 0x010000";
        let lines = (1..=20).map(|n| format!("line {n}"));
        let shown = console_lines(&console(lines.chain([plugged.to_owned()])));
        let first = ["console of vm a:", "  ... 5 lines before", "  | line 6"];
        assert_eq!(shown[..3], first);
        assert_eq!(shown.last().unwrap(), "  | line 20");
        assert!(console_lines(&console([plugged.to_owned()].into_iter())).is_empty());
    }

    #[test]
    fn console_lines_are_those_around_a_panic_and_a_reboot() {
        let lines = |event: &str| {
            let before = (1..=20).map(|n| format!("line {n}"));
            let after = (1..=40).map(|n| format!("register {n}"));
            console(before.chain([event.to_owned()]).chain(after))
        };
        for event in [
            "[    9.1] Kernel panic - not syncing: sysrq",
            "[    0.0] Linux version 6.1.0",
        ] {
            let shown = console_lines(&lines(event));
            assert_eq!(shown[1..3], ["  ... 14 lines before", "  | line 15"]);
            assert_eq!(shown[8], format!("  | {event}"));
            assert_eq!(shown.last().unwrap(), "  ... 32 lines after");
        }
    }

    #[test]
    fn console_lines_of_a_boot_are_the_last() {
        let boot = (0..40).map(|n| match n {
            0 => "[    0.0] Linux version 6.1.0".to_owned(),
            n => format!("[    {n}.0] step {n}"),
        });
        let shown = console_lines(&console(boot));
        assert_eq!(shown[1], "  ... 25 lines before");
        assert_eq!(shown.last().unwrap(), "  | [    39.0] step 39");
    }

    #[test]
    fn reboot_is_only_what_the_kernel_says() {
        let said = reboot(&[console(
            ["[    0.0] Linux version 6.1.0".to_owned()].into_iter(),
        )]);
        let sentence = "the guest of vm `a` has rebooted: its kernel has started anew";
        assert_eq!(said.as_deref(), Some(sentence));
        let words = ["[   10.5] sysrq: Resetting".to_owned()];
        let said = reboot(&[console(words.into_iter())]);
        let sentence = "the guest of vm `a` has rebooted: its kernel said `sysrq: Resetting`";
        assert_eq!(said.as_deref(), Some(sentence));
        let other = ["Linux version 6.1.0".to_owned(), "hello".to_owned()];
        assert_eq!(reboot(&[console(other.into_iter())]), None);
    }
}
