//! The key of a saved state: all that the state depends on. A machine with another key cannot go on from it.

use crate::units::fnv;

/// A file that a machine is made of: its path, and the digest of what is in it.
pub(in crate::vm) type Part = (String, u64);

/// A machine as a text: equal texts, equal machines.
#[derive(Clone, Debug)]
pub(in crate::vm) struct Key {
    text: String,
    parts: Vec<Part>,
}

impl Key {
    /// The key of the machine with QEMU's arguments `words`, made of `parts` (QEMU itself, kernel,
    /// initrd), wherever these lie, and, under KVM, of the host's `processor`.
    pub(in crate::vm) fn new(words: &[String], parts: Vec<Part>, processor: &str) -> Self {
        let mut text = Self::first_line();
        for word in words {
            text += word;
            text.push('\n');
        }
        for (_, digest) in &parts {
            text += &format!("{digest:016x}\n");
        }
        text += processor;
        Self { text, parts }
    }

    /// What the keys of this version begin with.
    pub(super) fn first_line() -> String {
        format!("provium {} 2\n", env!("CARGO_PKG_VERSION"))
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What the machine is made of.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A name for files. Two keys may have the same name; the text tells them apart.
    pub(super) fn name(&self) -> String {
        format!("{:016x}", fnv(self.text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_depends_on_the_content_of_files_and_not_on_their_paths() {
        let key =
            |path: &str, digest| Key::new(&["-m".into()], vec![(path.to_owned(), digest)], "");
        let (here, there) = (key("/a/vmlinuz", 7), key("/b/vmlinuz", 7));
        assert_eq!(here.text(), there.text());
        let other = key("/a/vmlinuz", 8);
        assert_ne!(here.text(), other.text());
        assert_ne!(here.name(), other.name());
    }
}
