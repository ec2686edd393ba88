//! The values of `--disk` and `-o`.

use std::path::PathBuf;

use crate::protocol::disk_options::DiskOptions;
use crate::protocol::names::{BadId, valid_id};
use crate::server::launch::DiskSpec;

/// The values of `-o`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Other users may open the data files.
    pub allow_other: bool,
    /// All disks are served for reading only.
    pub read_only: bool,
    /// No disk grows.
    pub fixed: bool,
    /// Disks, for fstab, which has no `--disk`.
    pub disks: Vec<DiskSpec>,
}

const KNOWN: &str = "allow_other, ro, rw, fixed, disk=ID=IMAGE, rodisk=ID=IMAGE";
/// Options that fstab and mount(8) pass along and that do not concern us.
const FSTAB: [&str; 15] = [
    "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail",
    "nosuid", "nodev", "noexec", "noatime", "relatime",
];

/// A value of `-o` or `--disk` that provium cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A word of `-o` that it does not know.
    #[error("unknown mount option `{0}` (known: {KNOWN})")]
    Unknown(String),
    /// A disk that does not have the form ID=IMAGE.
    #[error("`{0}` is not ID=IMAGE[,ro][,fixed], as in `vda=disk.img`")]
    NotADisk(String),
    /// An ID that no disk can have.
    #[error(transparent)]
    Id(#[from] BadId),
}

/// Parses the texts of `-o`, each a list of words with commas between them.
pub fn parse_options(texts: &[String]) -> Result<MountOptions, OptionError> {
    let mut options = MountOptions::default();
    let words = texts.iter().flat_map(|text| text.split(','));
    for word in words.filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            None if word == "allow_other" => options.allow_other = true,
            None if word == "ro" => options.read_only = true,
            None if word == "rw" => options.read_only = false,
            None if word == "fixed" => options.fixed = true,
            None if FSTAB.contains(&word) => {}
            _ if word.starts_with("x-") || word.starts_with("comment=") => {}
            Some(("disk", disk)) => options.disks.push(parse_disk(disk)?),
            Some(("rodisk", disk)) => {
                let mut disk = parse_disk(disk)?;
                disk.options.read_only = true;
                options.disks.push(disk);
            }
            _ => return Err(OptionError::Unknown(word.to_owned())),
        }
    }
    Ok(options)
}

/// Parses `ID=IMAGE[,ro][,fixed]`.
pub fn parse_disk(text: &str) -> Result<DiskSpec, OptionError> {
    let wrong = || OptionError::NotADisk(text.to_owned());
    let (id, image) = text.split_once('=').ok_or_else(wrong)?;
    let (image, options) = DiskOptions::split_from(image);
    if image.is_empty() {
        return Err(wrong());
    }
    if !valid_id(id) {
        return Err(BadId(id.to_owned()).into());
    }
    Ok(DiskSpec {
        id: id.to_owned(),
        image: PathBuf::from(image),
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(id: &str, image: &str, read_only: bool) -> DiskSpec {
        DiskSpec {
            id: id.into(),
            image: image.into(),
            options: DiskOptions {
                read_only,
                fixed: false,
            },
        }
    }

    #[test]
    fn disk_is_an_id_and_an_image_that_may_contain_commas() {
        assert_eq!(
            parse_disk("vda=a,b=c.img"),
            Ok(disk("vda", "a,b=c.img", false))
        );
        assert_eq!(parse_disk("vda=a.img,ro"), Ok(disk("vda", "a.img", true)));
        for bad in ["vda", "vda=", "vda=,ro", "=a.img", "ctl=a.img", "1=a.img"] {
            assert!(parse_disk(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_can_express_everything_for_fstab() {
        let texts = [
            "rw,allow_other,disk=vda=/a".into(),
            "rodisk=vdb=/b,nofail,x-y=1,fixed".into(),
        ];
        let options = parse_options(&texts).unwrap();
        assert!(options.allow_other && options.fixed && !options.read_only);
        assert_eq!(
            options.disks,
            [disk("vda", "/a", false), disk("vdb", "/b", true)]
        );
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
