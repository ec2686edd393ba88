//! How a disk is served: the words after its image, in `--disk` and in `ctl/attach`.

use super::cache_mode::CacheMode;
use crate::units::size::parse_size;

/// The word `cache=off` or `cache=volatile`.
const CACHE: &str = "cache=";
const SCRATCH: &str = "scratch";

/// Whether changes of a disk are gone at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scratch {
    /// They reach the image.
    #[default]
    No,
    /// They are. The image is only read.
    Yes,
    /// The same, and the disk has this many bytes at least.
    OfSize(u64),
}

/// How a disk is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskOptions {
    /// It can only be read.
    pub read_only: bool,
    /// It does not grow: a write at its end or after it is ENOSPC, as on a real disk.
    pub fixed: bool,
    /// Whether it has a volatile write cache.
    pub cache: CacheMode,
    /// Whether its changes are gone at its end.
    pub scratch: Scratch,
    /// Other disks that say so too may have the same image.
    pub share: bool,
}

impl DiskOptions {
    /// The options of a disk that can only be read.
    pub const READ_ONLY: Self = Self {
        read_only: true,
        fixed: false,
        cache: CacheMode::Off,
        scratch: Scratch::No,
        share: false,
    };

    /// Why these options do not go together, if so.
    pub fn contradiction(self) -> Option<&'static str> {
        match self {
            Self { share: false, .. } => None,
            Self {
                cache: CacheMode::Volatile,
                ..
            } => Some(
                "`share` and `cache=volatile` exclude each other: what is pending on one path would not be seen through the other",
            ),
            Self {
                scratch: Scratch::No,
                ..
            } => None,
            _ => Some(
                "`share` needs an image that is written: changes of a scratch disk are its own",
            ),
        }
    }

    /// `ro` or `rw`.
    pub fn access(self) -> &'static str {
        if self.read_only { "ro" } else { "rw" }
    }

    /// Sets the option `word`. False when it is not an option.
    pub fn set(&mut self, word: &str) -> bool {
        match (word, word.strip_prefix(CACHE).map(str::parse)) {
            ("ro", _) => self.read_only = true,
            ("fixed", _) => self.fixed = true,
            ("share", _) => self.share = true,
            (SCRATCH, _) => self.scratch = Scratch::Yes,
            (_, Some(Ok(cache))) => self.cache = cache,
            (_, Some(Err(_))) => return false,
            (_, None) => match scratch_size(word) {
                Some(size) => self.scratch = Scratch::OfSize(size),
                None => return false,
            },
        }
        true
    }

    /// Whether its image is only read.
    pub fn spares_image(self) -> bool {
        self.read_only || self.scratch != Scratch::No
    }

    /// The same, without whether it can be written.
    #[must_use]
    pub fn without_access(self) -> Self {
        Self {
            read_only: false,
            ..self
        }
    }

    /// The options as words, each after `before`.
    pub fn words(self, before: char) -> String {
        let words = [
            ("ro", self.read_only),
            ("fixed", self.fixed),
            ("share", self.share),
        ];
        let said = words.into_iter().filter(|(_, is_set)| *is_set);
        let words = said.map(|(word, _)| format!("{before}{word}"));
        let words = words.chain(self.cache_word(before));
        words.chain(self.scratch_word(before)).collect()
    }

    fn scratch_word(self, before: char) -> Option<String> {
        match self.scratch {
            Scratch::No => None,
            Scratch::Yes => Some(format!("{before}{SCRATCH}")),
            Scratch::OfSize(size) => Some(format!("{before}{SCRATCH}={size}")),
        }
    }

    fn cache_word(self, before: char) -> Option<String> {
        let cache = self.cache;
        (cache != CacheMode::Off).then(|| format!("{before}{CACHE}{cache}"))
    }

    /// Splits `IMAGE,WORD...`. A path may have commas: a word that is not an option belongs to it.
    pub(super) fn split_from(text: &str) -> (&str, Self) {
        let (mut image, mut options) = (text, Self::default());
        while let Some((rest, word)) = image.rsplit_once(',') {
            if !options.set(word) {
                break;
            }
            image = rest;
        }
        (image, options)
    }
}

/// The size of `scratch=SIZE`.
fn scratch_size(word: &str) -> Option<u64> {
    parse_size(word.strip_prefix(SCRATCH)?.strip_prefix('=')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_options_follow_the_image_and_other_commas_belong_to_its_path() {
        for (text, image, read_only, fixed) in [
            ("a,b.img", "a,b.img", false, false),
            ("a.img,ro", "a.img", true, false),
            ("a,x.img,fixed", "a,x.img", false, true),
            ("a.img,fixed,ro", "a.img", true, true),
            ("a.img,ro,b", "a.img,ro,b", false, false),
        ] {
            let options = DiskOptions {
                read_only,
                fixed,
                ..DiskOptions::default()
            };
            assert_eq!(DiskOptions::split_from(text), (image, options), "{text}");
        }
    }

    #[test]
    fn disk_options_are_parsed_as_they_are_printed() {
        for (read_only, fixed) in [(false, false), (true, false), (false, true), (true, true)] {
            for (cache, scratch) in [
                (CacheMode::Off, Scratch::Yes),
                (CacheMode::Volatile, Scratch::OfSize(1 << 20)),
                (CacheMode::Volatile, Scratch::No),
            ] {
                let options = DiskOptions {
                    read_only,
                    fixed,
                    cache,
                    scratch,
                    share: fixed,
                };
                let text = format!("a.img{}", options.words(','));
                assert_eq!(DiskOptions::split_from(&text), ("a.img", options));
            }
        }
        let (image, _) = DiskOptions::split_from("a.img,cache=on");
        assert_eq!(image, "a.img,cache=on");
    }
}
