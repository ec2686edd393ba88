//! The disks of a VM: one set of keys, in a profile, in `vm:boot` and in `vm:attach_disk`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::hardware::{DiskHardware, HardwareKeys};
use crate::fault::{GrammarError, Rule, parse_rule};
use crate::protocol::CacheMode;
use crate::protocol::disk_options::{DiskOptions, Scratch};
use crate::units::size::parse_size;

/// The form of a size.
pub const SIZE: &str = "a size such as \"256M\", or a number of bytes";

/// The values of the key `cache`.
pub const CACHE: &str = "\"volatile\" or \"off\"";

/// A disk that a VM is to have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub struct VmDisk {
    /// Its name. Without one it is `attached-VM`, or `bootN`, N being its place among the disks of a boot.
    pub id: Option<String>,
    /// Where its bytes come from. A disk without a source is only a record on the host.
    pub source: Option<DiskSource>,
    /// Bytes: the size of a record, or of a disk from a template, which can be larger than that.
    pub size: Option<u64>,
    /// How it is served.
    pub served: DiskOptions,
    /// How the guest sees it.
    pub hardware: DiskHardware,
    /// What is armed before the guest has it.
    pub faults: Vec<Rule>,
}

/// Where the bytes of a disk come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskSource {
    /// A file of the host, whatever is in it.
    Path(PathBuf),
    /// A raw image of the host. An image in another format is the same as a template.
    Image(PathBuf),
    /// What an image of the host holds. It stays as it is, and changes are removed with the VM.
    Template(PathBuf),
    /// An empty image of this many bytes, which is removed with the VM.
    Scratch(u64),
}

/// The keys of a disk, as they were given.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // docs/lua-reference.md says it.
pub struct DiskKeys {
    pub path: Option<PathBuf>,
    pub image: Option<PathBuf>,
    pub template: Option<PathBuf>,
    pub scratch: Option<u64>,
    pub size: Option<u64>,
    pub id: Option<String>,
    pub readonly: bool,
    pub fixed: Option<bool>,
    pub cache: Option<CacheMode>,
    pub mediated: Option<bool>,
    pub faults: Vec<Rule>,
    pub share: bool,
    pub hardware: HardwareKeys,
}

impl DiskKeys {
    /// The names of all keys but those of the hardware.
    const OWN_NAMES: [&str; 12] = [
        "path", "image", "template", "scratch", "size", "id", "readonly", "fixed", "cache",
        "mediated", "faults", "share",
    ];

    /// The names of all keys.
    pub fn names() -> Vec<&'static str> {
        [&Self::OWN_NAMES[..], &HardwareKeys::NAMES].concat()
    }

    /// The disk that they describe; an error if they contradict each other. A disk without a source passes.
    pub fn checked(self) -> Result<VmDisk, String> {
        let given = [
            self.path.map(|path| ("path", DiskSource::Path(path))),
            self.image.map(|path| ("image", DiskSource::Image(path))),
            self.template
                .map(|path| ("template", DiskSource::Template(path))),
            self.scratch
                .map(|size| ("scratch", DiskSource::Scratch(size))),
        ];
        let mut given: Vec<_> = given.into_iter().flatten().collect();
        if given.len() > 1 {
            let names: Vec<_> = given.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(not_one_source(&names.join(" and ")));
        }
        let source = given.pop().map(|(_, source)| source);
        if self.size.is_some() {
            size_fits(source.as_ref())?;
        }
        let cache = cache_mode(self.cache, self.mediated)?;
        if self.share {
            can_share(source.as_ref(), cache)?;
        }
        Ok(VmDisk {
            id: self.id,
            source,
            size: self.size,
            served: DiskOptions {
                read_only: self.readonly,
                // A real disk does not grow.
                fixed: self.fixed.unwrap_or(true),
                cache,
                scratch: Scratch::No,
                share: self.share,
            },
            hardware: self.hardware.checked()?,
            faults: self.faults,
        })
    }
}

impl VmDisk {
    /// A disk from the image at `path`, as one that says nothing else is.
    pub(super) fn image(path: PathBuf) -> Self {
        Self {
            id: None,
            source: Some(DiskSource::Image(path)),
            size: None,
            served: DiskOptions {
                fixed: true,
                ..DiskOptions::default()
            },
            hardware: DiskHardware::default(),
            faults: Vec::new(),
        }
    }

    /// The same disk, for a guest that is to have it when it boots; an error if it has no source.
    pub fn for_boot(self) -> Result<Self, String> {
        match self.source {
            Some(_) => Ok(self),
            None => Err(not_one_source("none")),
        }
    }

    /// The same, of a profile in `folder`: any number of VMs have it, so an image stays as it is.
    pub(super) fn of_profile(mut self, folder: &Path) -> Self {
        self.source = self.source.map(|source| match source {
            DiskSource::Path(path) => DiskSource::Path(folder.join(path)),
            DiskSource::Image(path) | DiskSource::Template(path) => {
                DiskSource::Template(folder.join(path))
            }
            DiskSource::Scratch(size) => DiskSource::Scratch(size),
        });
        self
    }
}

fn not_one_source(given: &str) -> String {
    let expected = "a disk has exactly one of `path`, `image`, `template` and `scratch`";
    format!("{expected}; given: {given}")
}

/// Fails if a disk from `source` takes no `size`.
fn size_fits(source: Option<&DiskSource>) -> Result<(), String> {
    match source {
        Some(DiskSource::Scratch(_)) => {
            Err("`scratch` is the size already: leave `size` out".into())
        }
        Some(DiskSource::Path(_)) => Err(
            "`path` and `size` exclude each other: the disk has the size of its file; \
             only one of a `template` can be larger"
                .into(),
        ),
        Some(DiskSource::Image(_) | DiskSource::Template(_)) | None => Ok(()),
    }
}

/// Fails if a disk from `source` cannot share its image.
fn can_share(source: Option<&DiskSource>, cache: CacheMode) -> Result<(), String> {
    if cache == CacheMode::Volatile {
        return Err("`share` and `cache = \"volatile\"` exclude each other: what is pending on one path would not be seen through the other".into());
    }
    match source {
        Some(DiskSource::Path(_) | DiskSource::Image(_)) => Ok(()),
        Some(DiskSource::Template(_) | DiskSource::Scratch(_)) | None => Err(
            "`share` needs the `path` of an image: what comes from a `template` or a `scratch` is one disk's own".into(),
        ),
    }
}

/// What the keys `cache` and `mediated` of a disk say together. `mediated = true` is another spelling of
/// `cache = "volatile"`; an error if the two disagree.
fn cache_mode(cache: Option<CacheMode>, mediated: Option<bool>) -> Result<CacheMode, String> {
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

/// A disk of a profile: its keys, or the path of an image alone.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the path of an image, or a table with the keys of a disk"
)]
enum Entry {
    Image(PathBuf),
    Keys(toml::Table),
}

/// The keys of a disk, as TOML has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: Option<PathBuf>,
    image: Option<PathBuf>,
    template: Option<PathBuf>,
    scratch: Option<Size>,
    size: Option<Size>,
    id: Option<String>,
    #[serde(default)]
    readonly: bool,
    fixed: Option<bool>,
    cache: Option<String>,
    mediated: Option<bool>,
    #[serde(default)]
    faults: Vec<String>,
    #[serde(default)]
    share: bool,
    bus: Option<String>,
    logical_block_size: Option<Size>,
    physical_block_size: Option<Size>,
    serial: Option<String>,
    queues: Option<u64>,
    rerror: Option<String>,
    werror: Option<String>,
    cache_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a size such as \"256M\", or a number of bytes"
)]
enum Size {
    Bytes(u64),
    Text(String),
}

impl TryFrom<Entry> for VmDisk {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let keys = match entry {
            Entry::Image(image) => return Ok(Self::image(image)),
            Entry::Keys(keys) => keys.try_into::<Table>(),
        };
        let keys = keys.map_err(|error| error.message().to_owned())?;
        keys.keys()?.checked()?.for_boot()
    }
}

impl Table {
    fn keys(self) -> Result<DiskKeys, String> {
        let cache = self.cache.map(|text| {
            let mode = text.parse();
            mode.map_err(|_| format!("`cache` expects {CACHE}, not {text:?}"))
        });
        let faults = self.faults.iter().map(|text| fault(text));
        Ok(DiskKeys {
            path: self.path,
            image: self.image,
            template: self.template,
            scratch: size("scratch", self.scratch)?,
            size: size("size", self.size)?,
            id: self.id,
            readonly: self.readonly,
            fixed: self.fixed,
            cache: cache.transpose()?,
            mediated: self.mediated,
            faults: faults.collect::<Result<_, _>>()?,
            share: self.share,
            hardware: HardwareKeys {
                bus: self.bus,
                logical_block_size: size("logical_block_size", self.logical_block_size)?,
                physical_block_size: size("physical_block_size", self.physical_block_size)?,
                serial: self.serial,
                queues: self.queues,
                rerror: self.rerror,
                werror: self.werror,
                cache_type: self.cache_type,
            },
        })
    }
}

fn size(key: &str, size: Option<Size>) -> Result<Option<u64>, String> {
    match size {
        None => Ok(None),
        Some(Size::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Size::Text(text)) => match parse_size(&text) {
            None => Err(format!("`{key}` expects {SIZE}, not {text:?}")),
            bytes => Ok(bytes),
        },
    }
}

fn fault(text: &str) -> Result<Rule, String> {
    let why = |error| match error {
        GrammarError::At { what, .. } => what,
        error => error.to_string(),
    };
    parse_rule(text, 1).map_err(|error| format!("`faults`: {text:?}: {}", why(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VmDisk, String> {
        #[derive(Deserialize)]
        struct Disks {
            disk: VmDisk,
        }
        let parsed = toml::from_str::<Disks>(&format!("disk = {text}"));
        let parsed = parsed.map_err(|error| error.to_string());
        Ok(parsed?.disk)
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn disk_has_exactly_one_source_and_an_error_names_those_that_are_given() {
        let none = error("{ id = 'a' }");
        let expected = "exactly one of `path`, `image`, `template` and `scratch`; given: none";
        assert!(none.contains(expected), "{none}");
        let two = error("{ path = '/x', scratch = '1M' }");
        assert!(two.contains("given: `path` and `scratch`"), "{two}");
        assert!(error("{ scratch = 'much' }").contains("`scratch` expects a size"));
        let unknown = error("{ scratch = 512, mediatde = true }");
        assert!(
            unknown.contains("mediatde") && unknown.contains("`faults`"),
            "{unknown}"
        );
        let disk = parse("{ scratch = 512 }").unwrap();
        assert_eq!(disk.source, Some(DiskSource::Scratch(512)));
        assert!(error("7").contains("the path of an image, or a table"));
    }

    #[test]
    fn disk_says_how_the_guest_sees_it() {
        let disk = parse("{ scratch = 8192, bus = 'nvme', logical_block_size = '4K', queues = 2 }");
        let hardware = disk.unwrap().hardware;
        assert_eq!(hardware.bus.name(), "nvme");
        assert_eq!(
            (hardware.logical_block_size, hardware.queues),
            (Some(4096), Some(2))
        );
        assert!(error("{ scratch = 512, bus = 'scsi' }").contains("`bus` expects one of"));
        assert!(error("{ scratch = 512, queue = 2 }").contains("queue"));
    }

    #[test]
    fn only_an_image_that_is_written_at_once_is_shared() {
        assert!(parse("{ path = '/x', share = true }").unwrap().served.share);
        assert!(error("{ scratch = '1M', share = true }").contains("needs the `path`"));
        let cached = error("{ path = '/x', share = true, cache = 'volatile' }");
        assert!(cached.contains("exclude each other"), "{cached}");
    }

    #[test]
    fn path_alone_is_an_image_and_a_profile_copies_images() {
        let disk = parse("'root.img'").unwrap();
        assert_eq!(disk.source, Some(DiskSource::Image("root.img".into())));
        let of_profile = |text| parse(text).unwrap().of_profile(Path::new("/p")).source;
        let copied = Some(DiskSource::Template("/p/root.img".into()));
        assert_eq!(of_profile("'root.img'"), copied);
        assert_eq!(of_profile("{ template = 'root.img' }"), copied);
        let itself = Some(DiskSource::Path("/p/root.img".into()));
        assert_eq!(of_profile("{ path = 'root.img' }"), itself);
    }

    #[test]
    fn size_is_for_a_copy_and_any_other_one_is_contradicted() {
        assert_eq!(
            parse("{ template = 'x', size = '2K' }").unwrap().size,
            Some(2048)
        );
        assert!(error("{ scratch = '1M', size = '1M' }").contains("leave `size` out"));
        assert!(error("{ path = 'x', size = 512 }").contains("exclude each other"));
        assert!(error("{ template = 'x', size = 'big' }").contains("`size` expects a size"));
    }

    #[test]
    fn faults_are_rules_and_a_wrong_one_is_an_error() {
        let disk = parse("{ scratch = 512, faults = ['slow', 'error op=read'] }").unwrap();
        assert_eq!(disk.faults.len(), 2);
        let wrong = error("{ scratch = 512, faults = ['slwo'] }");
        assert!(wrong.contains("`faults`: \"slwo\": "), "{wrong}");
    }

    #[test]
    fn write_cache_is_chosen_by_either_of_two_keys_that_agree() {
        let with = |text: &str| parse(&format!("{{ scratch = 512{text} }}"));
        for (text, cache) in [
            ("", CacheMode::Off),
            (", cache = 'off'", CacheMode::Off),
            (", cache = 'volatile'", CacheMode::Volatile),
            (", mediated = true", CacheMode::Volatile),
            (", cache = 'volatile', mediated = true", CacheMode::Volatile),
            (", cache = 'off', mediated = false", CacheMode::Off),
        ] {
            assert_eq!(with(text).unwrap().served.cache, cache, "{text}");
        }
        let unknown = with(", cache = 'on'").unwrap_err();
        let expected = "`cache` expects \"volatile\" or \"off\", not \"on\"";
        assert!(unknown.contains(expected), "{unknown}");
        let both = with(", cache = 'off', mediated = true").unwrap_err();
        let expected = "`cache = \"off\"` and `mediated = true` disagree";
        assert!(both.contains(expected), "{both}");
    }
}
