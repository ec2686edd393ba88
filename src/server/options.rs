//! The values of `-o`.

use crate::protocol::disk_options::DiskOptions;
use crate::protocol::{BadDiskSpec, DiskSpec};
use crate::units::size::parse_size;

/// The values of `-o`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Other users may open the data files.
    pub allow_other: bool,
    /// How all disks are served, beside what each says itself.
    pub served: DiskOptions,
    /// Disks, for fstab, which has no `--disk`.
    pub disks: Vec<DiskSpec>,
    /// Bytes that all pending and held data together may take.
    pub memory: Option<u64>,
}

const KNOWN: &str =
    "allow_other, ro, rw, fixed, cache=volatile, memory=SIZE, disk=ID=IMAGE, rodisk=ID=IMAGE";
/// Less memory would not hold one request.
const LEAST_MEMORY: u64 = 1 << 20;
/// Options that fstab and mount(8) pass along and that do not concern us.
const FSTAB: [&str; 15] = [
    "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail",
    "nosuid", "nodev", "noexec", "noatime", "relatime",
];

/// A value of `-o` that provium cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A word of `-o` that it does not know.
    #[error("unknown mount option `{0}` (known: {KNOWN})")]
    Unknown(String),
    /// A disk that is not ID=IMAGE.
    #[error(transparent)]
    Disk(#[from] BadDiskSpec),
    /// A limit that is not a size, or too small.
    #[error("`memory={0}` expects a size of at least 1M, as in `memory=256M`")]
    Memory(String),
}

impl MountOptions {
    /// The options, as words of `-o`, that concern the server beside its disks.
    pub fn of_the_server(&self) -> Vec<String> {
        let allow_other = self.allow_other.then(|| "allow_other".to_owned());
        let memory = self.memory.map(|bytes| format!("memory={bytes}"));
        allow_other.into_iter().chain(memory).collect()
    }
}

/// Parses the texts of `-o`, each a list of words with commas between them.
pub fn parse_options(texts: &[String]) -> Result<MountOptions, OptionError> {
    let mut options = MountOptions::default();
    let words = texts.iter().flat_map(|text| text.split(','));
    for word in words.filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            None if word == "allow_other" => options.allow_other = true,
            None if word == "rw" => options.served.read_only = false,
            None if options.served.set(word) => {}
            None if FSTAB.contains(&word) => {}
            _ if word.starts_with("x-") || word.starts_with("comment=") => {}
            Some(("cache", _)) if options.served.set(word) => {}
            Some(("memory", size)) => options.memory = Some(memory(size)?),
            Some(("disk", disk)) => options.disks.push(disk.parse()?),
            Some(("rodisk", disk)) => {
                let mut disk: DiskSpec = disk.parse()?;
                disk.options.read_only = true;
                options.disks.push(disk);
            }
            _ => return Err(OptionError::Unknown(word.to_owned())),
        }
    }
    Ok(options)
}

fn memory(size: &str) -> Result<u64, OptionError> {
    let bytes = parse_size(size).filter(|bytes| *bytes >= LEAST_MEMORY);
    bytes.ok_or_else(|| OptionError::Memory(size.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CacheMode;

    fn disk(id: &str, image: &str, read_only: bool) -> DiskSpec {
        DiskSpec {
            id: id.into(),
            image: image.into(),
            options: DiskOptions {
                read_only,
                ..DiskOptions::default()
            },
        }
    }

    #[test]
    fn options_can_express_everything_for_fstab() {
        let texts = [
            "rw,allow_other,disk=vda=/a".into(),
            "rodisk=vdb=/b,nofail,x-y=1,fixed".into(),
        ];
        let options = parse_options(&texts).unwrap();
        assert!(options.allow_other && options.served.fixed && !options.served.read_only);
        assert_eq!(
            options.disks,
            [disk("vda", "/a", false), disk("vdb", "/b", true)]
        );
    }

    #[test]
    fn cache_and_memory_are_options_of_the_whole_mount() {
        let parse = |text: &str| parse_options(&[text.to_owned()]);
        let options = parse("disk=vda=/a,cache=volatile,memory=256M").unwrap();
        assert_eq!(options.served.cache, CacheMode::Volatile);
        assert_eq!(options.memory, Some(256 << 20));
        assert_eq!(options.of_the_server(), ["memory=268435456"]);
        assert_eq!(parse("memory=1M").unwrap().memory, Some(1 << 20));
        for bad in ["memory=1023K", "memory=lots", "memory="] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("at least 1M"), "{bad}: {error}");
        }
        let error = parse("cache=on").unwrap_err().to_string();
        assert!(error.contains("`cache=on` (known: "), "{error}");
    }

    #[test]
    fn unknown_option_is_named_with_the_known_ones() {
        let error = parse_options(&["allow_others".into()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`allow_others`") && error.contains("allow_other,"),
            "{error}"
        );
    }
}
