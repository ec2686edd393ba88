//! The values of `-o`.

use super::mount_words::{instead_of, is_taken};
use crate::fuse::Access;
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::{BadDiskSpec, DiskSpec};
use crate::units::size::parse_size;

/// The values of `-o`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Who may open the data files.
    pub access: Access,
    /// How all disks are served, beside what each says itself.
    pub served: DiskOptions,
    /// Disks, for fstab, which has no `--disk`.
    pub disks: Vec<DiskSpec>,
    /// Bytes that all pending and held data together may take.
    pub memory: Option<u64>,
}

const KNOWN: &str = "allow_other, uid=N, gid=N, umask=OCTAL, mmap, ro, rw, fixed, cache=volatile, scratch, memory=SIZE, \
                     disk=ID=IMAGE, rodisk=ID=IMAGE, and the words of fstab(5)";
/// Less memory would not hold one request.
const LEAST_MEMORY: u64 = 1 << 20;

/// A value of `-o` that provium cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A word of `-o` that it does not know.
    #[error("unknown mount option `{0}` (known: {KNOWN})")]
    Unknown(String),
    /// A word that other file systems know, and what to use in its place.
    #[error("provium does not offer the mount option `{0}`: {1}")]
    NotOffered(String, &'static str),
    /// A disk that is not ID=IMAGE.
    #[error(transparent)]
    Disk(#[from] BadDiskSpec),
    /// A limit that is not a size, or too small.
    #[error("`memory={0}` expects a size of at least 1M, as in `memory=256M`")]
    Memory(String),
    /// An owner that is not a number.
    #[error("`{0}={1}` expects a number: `id NAME` shows those of a user")]
    Owner(&'static str, String),
    /// A mask that is not octal.
    #[error("`umask={0}` expects an octal number of at most 777, as in `umask=007`")]
    Umask(String),
    /// Nobody else would be let in.
    #[error(
        "`uid=`, `gid=` and `umask=` concern other users: without `allow_other` the kernel lets none of them in"
    )]
    NotShared,
}

impl MountOptions {
    /// The options, as words of `-o`, that concern the server beside its disks.
    pub fn of_the_server(&self) -> Vec<String> {
        let memory = self.memory.map(|bytes| format!("memory={bytes}"));
        self.access.options().into_iter().chain(memory).collect()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<bool, OptionError> {
        match name {
            "memory" => self.memory = Some(memory(value)?),
            "disk" => self.disks.push(value.parse()?),
            "rodisk" => {
                let mut disk: DiskSpec = value.parse()?;
                disk.options.read_only = true;
                self.disks.push(disk);
            }
            "uid" => self.access.uid = Some(owner("uid", value)?),
            "gid" => self.access.gid = Some(owner("gid", value)?),
            "umask" => self.access.umask = umask(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Parses the texts of `-o`, each a list of words with commas between them.
pub fn parse_options(texts: &[String]) -> Result<MountOptions, OptionError> {
    let mut options = MountOptions::default();
    let words = texts.iter().flat_map(|text| text.split(','));
    for word in words.filter(|word| !word.is_empty()) {
        let known = match word.split_once('=') {
            None if word == "allow_other" => {
                options.access.allow_other = true;
                true
            }
            None if word == "mmap" => {
                options.access.mmap = true;
                true
            }
            None if word == "rw" => {
                options.served.read_only = false;
                true
            }
            None => options.served.set(word),
            Some(("cache", _)) => options.served.set(word),
            Some((name, value)) => options.set(name, value)?,
        };
        if !known && !is_taken(word) {
            return Err(match instead_of(word) {
                Some(instead) => OptionError::NotOffered(word.to_owned(), instead),
                None => OptionError::Unknown(word.to_owned()),
            });
        }
    }
    match options.access.names_others() && !options.access.allow_other {
        true => Err(OptionError::NotShared),
        false => Ok(options),
    }
}

fn memory(size: &str) -> Result<u64, OptionError> {
    let bytes = parse_size(size).filter(|bytes| *bytes >= LEAST_MEMORY);
    bytes.ok_or_else(|| OptionError::Memory(size.to_owned()))
}

fn owner(name: &'static str, value: &str) -> Result<u32, OptionError> {
    // The largest number means "nobody" to the kernel.
    let number = value.parse().ok().filter(|number| *number != u32::MAX);
    number.ok_or_else(|| OptionError::Owner(name, value.to_owned()))
}

fn umask(value: &str) -> Result<u16, OptionError> {
    let mask = u16::from_str_radix(value, 8).ok();
    let mask = mask.filter(|mask| *mask <= 0o777 && !value.starts_with('+'));
    mask.ok_or_else(|| OptionError::Umask(value.to_owned()))
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
        assert!(options.access.allow_other && options.served.fixed && !options.served.read_only);
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

    #[test]
    fn word_of_another_file_system_is_explained() {
        let parse = |text: &str| parse_options(&[text.to_owned()]);
        for (word, instead) in [
            ("sync", "O_SYNC"),
            ("remount", "provium attach"),
            ("fmask=077", "`umask=`"),
        ] {
            let error = parse(word).unwrap_err().to_string();
            assert!(error.contains(&format!("option `{word}`: ")), "{error}");
            assert!(error.contains(instead), "{error}");
        }
        let fstab = "defaults,exec,dev,suid,noatime,x-systemd.automount,comment=a,user=b";
        assert_eq!(parse(fstab), Ok(MountOptions::default()));
    }

    #[test]
    fn owner_and_mask_are_of_the_data_files_that_others_may_open() {
        let parse = |text: &str| parse_options(&[text.to_owned()]);
        let options = parse("allow_other,uid=7,gid=8,umask=027").unwrap();
        let words = "allow_other,uid=7,gid=8,umask=027";
        assert_eq!(options.of_the_server().join(","), words);
        assert_eq!(parse("uid=7"), Err(OptionError::NotShared));
        assert_eq!(parse("mmap").unwrap().of_the_server(), ["mmap"]);
        for bad in [
            "uid=bob",
            "gid=-1",
            "uid=4294967295",
            "umask=8",
            "umask=1000",
            "umask=",
        ] {
            let error = parse(&format!("allow_other,{bad}"))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(&format!("`{bad}` expects ")), "{error}");
        }
    }
}
