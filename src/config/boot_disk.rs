//! The disks that a VM boots with, as a profile or a test says.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::protocol::CacheMode;
use crate::protocol::disk_options::DiskOptions;
use crate::units::size::parse_size;

/// The form of a scratch disk's size.
pub const SCRATCH: &str = "a size such as \"256M\", or a number of bytes";

/// The values of the option `cache`.
pub const CACHE: &str = "\"volatile\" or \"off\"";

/// A disk that a guest finds when it boots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct BootDisk {
    /// Its name; `bootN` without one, N being its place among the boot's disks.
    pub id: Option<String>,
    /// What is on it.
    pub image: BootImage,
    /// How it is served.
    pub served: DiskOptions,
}

/// Where the bytes of a boot disk come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootImage {
    /// An image of the host.
    Path(PathBuf),
    /// An empty one of this many bytes, which is removed with the VM.
    Scratch(u64),
    /// A copy of an image of the host, which is removed with the VM.
    Template(PathBuf),
}

impl BootImage {
    /// The one that is given; none and several are errors that name them.
    pub fn one_of(
        path: Option<PathBuf>,
        scratch: Option<u64>,
        template: Option<PathBuf>,
    ) -> Result<Self, String> {
        let given = [
            path.map(|path| ("path", Self::Path(path))),
            scratch.map(|size| ("scratch", Self::Scratch(size))),
            template.map(|path| ("template", Self::Template(path))),
        ];
        let mut given: Vec<_> = given.into_iter().flatten().collect();
        match given.len() {
            1 => Ok(given.remove(0).1),
            _ => {
                let names: Vec<_> = given.iter().map(|(name, _)| format!("`{name}`")).collect();
                let names = match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(" and "),
                };
                let expected = "a disk has exactly one of `path`, `scratch` and `template`";
                Err(format!("{expected}; given: {names}"))
            }
        }
    }

    /// The same, with its path starting at `folder`.
    pub(super) fn below(self, folder: &Path) -> Self {
        match self {
            Self::Path(path) => Self::Path(folder.join(path)),
            Self::Template(path) => Self::Template(folder.join(path)),
            Self::Scratch(size) => Self::Scratch(size),
        }
    }
}

/// What the options `cache` and `mediated` of a disk say together. `mediated = true` is another spelling of
/// `cache = "volatile"`; an error if the two disagree.
pub fn cache_mode(cache: Option<CacheMode>, mediated: Option<bool>) -> Result<CacheMode, String> {
    let other = mediated.map(|mediated| match mediated {
        true => CacheMode::Volatile,
        false => CacheMode::Off,
    });
    match (cache, other) {
        (Some(cache), Some(other)) if cache != other => {
            let mediated = other == CacheMode::Volatile;
            Err(format!(
                "`cache = \"{cache}\"` and `mediated = {mediated}` disagree: give one of them"
            ))
        }
        (cache, other) => Ok(cache.or(other).unwrap_or_default()),
    }
}

/// A disk, as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: Option<PathBuf>,
    scratch: Option<Size>,
    template: Option<PathBuf>,
    id: Option<String>,
    #[serde(default)]
    readonly: bool,
    fixed: Option<bool>,
    cache: Option<String>,
    mediated: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

impl TryFrom<Table> for BootDisk {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let cache = table.cache.map(|text| {
            let mode = text.parse();
            mode.map_err(|_| format!("`cache` expects {CACHE}, not {text:?}"))
        });
        let scratch = table.scratch.map(|size| match size {
            Size::Bytes(bytes) => Ok(bytes),
            Size::Text(text) => parse_size(&text)
                .ok_or_else(|| format!("`scratch` expects {SCRATCH}, not {text:?}")),
        });
        Ok(Self {
            id: table.id,
            image: BootImage::one_of(table.path, scratch.transpose()?, table.template)?,
            served: DiskOptions {
                read_only: table.readonly,
                fixed: table.fixed.unwrap_or(true),
                cache: cache_mode(cache.transpose()?, table.mediated)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_has_exactly_one_source_and_an_error_names_those_that_are_given() {
        let error = |text: &str| toml::from_str::<BootDisk>(text).unwrap_err().to_string();
        assert!(
            error("id = 'a'")
                .contains("exactly one of `path`, `scratch` and `template`; given: none")
        );
        let two = error("path = '/x'\nscratch = '1M'");
        assert!(two.contains("given: `path` and `scratch`"), "{two}");
        assert!(error("scratch = 'much'").contains("`scratch` expects a size"));
        assert!(error("scratch = 512\nmediatde = true").contains("mediated"));
        let disk: BootDisk = toml::from_str("scratch = 512").unwrap();
        assert_eq!(disk.image, BootImage::Scratch(512));
    }

    #[test]
    fn write_cache_is_chosen_by_either_of_two_options_that_agree() {
        let parse = |text: &str| toml::from_str::<BootDisk>(&format!("scratch = 512\n{text}"));
        for (text, cache) in [
            ("", CacheMode::Off),
            ("cache = 'off'", CacheMode::Off),
            ("cache = 'volatile'", CacheMode::Volatile),
            ("mediated = true", CacheMode::Volatile),
            ("cache = 'volatile'\nmediated = true", CacheMode::Volatile),
            ("cache = 'off'\nmediated = false", CacheMode::Off),
        ] {
            assert_eq!(parse(text).unwrap().served.cache, cache, "{text}");
        }
        let error = |text: &str| parse(text).unwrap_err().to_string();
        let unknown = error("cache = 'on'");
        assert!(
            unknown.contains("`cache` expects \"volatile\" or \"off\", not \"on\""),
            "{unknown}"
        );
        let both = error("cache = 'off'\nmediated = true");
        assert!(
            both.contains("`cache = \"off\"` and `mediated = true` disagree"),
            "{both}"
        );
    }
}
