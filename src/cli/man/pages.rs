//! The manual pages that are no command's: their text is that of a topic of `provium help`, and of a page of docs/.

use super::markdown::to_roff;
use super::roff::Roff;
use crate::cli::help::{self, Section};

/// A manual page made of a page of docs/.
pub(super) struct DocPage {
    pub(super) name: &'static str,
    pub(super) section: u8,
    about: &'static str,
    synopsis: &'static [&'static str],
    /// The page.
    text: &'static str,
    /// The heading of its only part that is used.
    part: Option<&'static str>,
    /// What stands before it: a topic of `provium help`, word for word.
    topic: fn() -> Vec<Section>,
    see_also: &'static [&'static str],
}

pub(super) const PAGES: [DocPage; 6] = [
    DocPage {
        name: "provium-rules",
        section: 7,
        about: "rules by which requests of a disk fail",
        synopsis: &["ACTION KEY=VALUE ...", "MODE KEY=VALUE ..."],
        text: include_str!("../../../docs/faults.md"),
        part: None,
        topic: help::rules,
        see_also: &["provium-fault(1)", "provium-ctl(5)"],
    },
    DocPage {
        name: "provium-lua",
        section: 7,
        about: "calls of Lua tests",
        synopsis: &["provium test FILE.test.lua"],
        text: include_str!("../../../docs/lua-reference.md"),
        part: None,
        topic: Vec::new,
        see_also: &["provium-test(1)", "provium.toml(5)", "provium-rules(7)"],
    },
    DocPage {
        name: "provium-ctl",
        section: 5,
        about: "files of a provium mount",
        synopsis: &["MNT/ID", "MNT/ctl/FILE", "MNT/ctl/ID/FILE"],
        text: include_str!("../../../docs/control-files.md"),
        part: None,
        topic: Vec::new,
        see_also: &["provium-mount(1)", "provium-rules(7)"],
    },
    DocPage {
        name: "provium-log",
        section: 5,
        about: "log of a provium server",
        synopsis: &["provium mount --log FILE ..."],
        text: include_str!("../../../docs/server-log.md"),
        part: None,
        topic: Vec::new,
        see_also: &["provium-mount(1)", "provium-doctor(1)"],
    },
    DocPage {
        name: "provium.toml",
        section: 5,
        about: "configuration of provium test",
        synopsis: &["provium.toml"],
        text: include_str!("../../../docs/testing.md"),
        part: Some("provium.toml"),
        topic: Vec::new,
        see_also: &["provium-test(1)", "provium-guest(1)", "provium-lua(7)"],
    },
    DocPage {
        name: "mount.provium",
        section: 8,
        about: "mount disk images by mount(8), fstab(5) or systemd(1)",
        synopsis: &["mount -t provium SOURCE MNT -o OPTIONS"],
        text: include_str!("../../../docs/fstab.md"),
        part: None,
        topic: Vec::new,
        see_also: &["provium-mount(1)", "provium-ctl(5)", "mount(8)", "fstab(5)"],
    },
];

impl DocPage {
    /// The page in roff.
    pub(super) fn text(&self) -> String {
        let mut roff = Roff::default();
        roff.title(self.name, self.section);
        roff.section("NAME");
        roff.paragraph(&format!("{} - {}", self.name, self.about));
        roff.section("SYNOPSIS");
        roff.literal(&self.synopsis.join("\n"));
        for section in (self.topic)() {
            roff.section(section.title);
            roff.literal(&section.text);
        }
        roff.section("DESCRIPTION");
        let text = roff.text() + &to_roff(self.body());
        let mut end = Roff::default();
        end.section("SEE ALSO");
        end.see_also(&[self.see_also, &["provium(1)"]].concat(), self.name);
        text + &end.text()
    }

    /// The text without its title, or the part that is used.
    fn body(&self) -> &'static str {
        let after = |start: &str, text: &'static str| {
            let at = text.find(start).map_or(0, |at| at + start.len());
            let rest = &text[at..];
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        };
        match self.part {
            None => after("# ", self.text),
            Some(part) => {
                let body = after(&format!("\n## {part}"), self.text);
                body.split("\n## ").next().unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_page_is_all_below_its_heading() {
        let page = PAGES.iter().find(|page| page.part.is_some()).unwrap();
        let body = page.body();
        assert!(
            body.contains("[profiles.") && !body.contains("\n## "),
            "{body}"
        );
        assert!(body.len() < page.text.len() / 2);
    }
}
