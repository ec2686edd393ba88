//! A disk of the command line: `ID=IMAGE[,ro][,fixed][,share][,cache=volatile][,scratch]`, as `--disk` and the options of fstab have it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use super::disk_options::DiskOptions;
use super::names::{BadId, valid_id};

/// An image to serve from the start of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// The disk's ID.
    pub id: String,
    /// The path of its image.
    pub image: PathBuf,
    /// How it is served.
    pub options: DiskOptions,
}

/// A text that is not a [`DiskSpec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDiskSpec {
    /// It does not have the form `ID=IMAGE`.
    #[error(
        "`{0}` is not ID=IMAGE[,ro][,fixed][,share][,cache=volatile][,scratch], as in `vda=disk.img`"
    )]
    Form(String),
    /// No disk can have the ID.
    #[error(transparent)]
    Id(#[from] BadId),
}

impl DiskSpec {
    /// The text of it. A path need not be UTF-8, so the text need not either.
    pub fn to_argument(&self) -> OsString {
        let mut argument = OsString::from(format!("{}=", self.id));
        argument.push(&self.image);
        argument.push(self.options.words(','));
        argument
    }
}

impl FromStr for DiskSpec {
    type Err = BadDiskSpec;

    fn from_str(text: &str) -> Result<Self, BadDiskSpec> {
        let bad = || BadDiskSpec::Form(text.to_owned());
        let (id, image) = text.split_once('=').ok_or_else(bad)?;
        let (image, options) = DiskOptions::split_from(image);
        if image.is_empty() {
            return Err(bad());
        }
        if !valid_id(id) {
            return Err(BadId(id.to_owned()).into());
        }
        Ok(Self {
            id: id.to_owned(),
            image: PathBuf::from(image),
            options,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_spec_is_an_id_and_an_image_that_may_contain_commas() {
        let disk = |image: &str, read_only| DiskSpec {
            id: "vda".into(),
            image: image.into(),
            options: DiskOptions {
                read_only,
                ..DiskOptions::default()
            },
        };
        assert_eq!("vda=a,b=c.img".parse(), Ok(disk("a,b=c.img", false)));
        assert_eq!("vda=a.img,ro".parse(), Ok(disk("a.img", true)));
        for bad in ["vda", "vda=", "vda=,ro", "=a.img", "ctl=a.img", "1=a.img"] {
            assert!(bad.parse::<DiskSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn disk_spec_is_parsed_as_it_is_printed() {
        for text in [
            "vda=/a.img",
            "a.b=/a,b=c.img,ro",
            "v=x,fixed",
            "v=x,ro,fixed",
            "v=x,cache=volatile",
        ] {
            let disk: DiskSpec = text.parse().unwrap();
            assert_eq!(disk.to_argument(), text);
        }
    }
}
