//! A line of `ctl/disks`: a disk of a mount.

use std::fmt;
use std::str::FromStr;

use super::cache_mode::CacheMode;
use super::disk_options::{DiskOptions, Scratch};
use super::line::{BadLine, quoted};

/// A disk of a mount. Prints as `ID SIZE rw|ro IMAGE [fixed] [share] [cache=volatile]`, quoted as for a shell.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DiskLine {
    /// The disk's ID.
    pub id: String,
    /// In bytes; None when the host could not tell.
    #[serde(rename = "size_bytes")]
    pub size: Option<u64>,
    /// Whether it can only be read.
    pub read_only: bool,
    /// The path of its image.
    pub image: String,
    /// Whether it never grows.
    pub fixed: bool,
    /// Whether it has a volatile write cache.
    pub cache: CacheMode,
    /// Whether its changes are gone at its end.
    #[serde(serialize_with = "is_scratch")]
    pub scratch: Scratch,
    /// Whether other disks may have its image too.
    pub share: bool,
}

fn is_scratch<S: serde::Serializer>(scratch: &Scratch, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bool(*scratch != Scratch::No)
}

impl DiskLine {
    /// How the disk is served.
    pub fn options(&self) -> DiskOptions {
        DiskOptions {
            read_only: self.read_only,
            fixed: self.fixed,
            cache: self.cache,
            scratch: self.scratch,
            share: self.share,
        }
    }
}

impl fmt::Display for DiskLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options();
        let access = options.access();
        let image = quoted(&self.image);
        match self.size {
            Some(size) => write!(f, "{} {size} {access} {image}", self.id)?,
            None => write!(f, "{} - {access} {image}", self.id)?,
        }
        let rest = DiskOptions {
            read_only: false,
            ..options
        };
        f.write_str(&rest.words(' '))
    }
}

impl FromStr for DiskLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = shlex::split(line)?.into_iter();
            let (id, size, access) = (words.next()?, words.next()?, words.next()?);
            let image = words.next()?;
            let mut options = DiskOptions::default();
            // A word that only a newer server knows says nothing here.
            words.for_each(|word| _ = options.set(&word));
            Some(Self {
                id,
                size: size.parse().ok(),
                read_only: access == DiskOptions::READ_ONLY.access(),
                image,
                fixed: options.fixed,
                cache: options.cache,
                scratch: options.scratch,
                share: options.share,
            })
        };
        parse().ok_or_else(|| BadLine::new("a line of `ctl/disks`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_line_is_parsed_as_it_is_printed() {
        for (image, size) in [
            ("/a.img", Some(0)),
            ("/two words/it's", None),
            ("/ä\\", Some(u64::MAX)),
        ] {
            for (read_only, fixed) in [(false, false), (true, false), (false, true), (true, true)] {
                let line = DiskLine {
                    id: "vda".into(),
                    size,
                    read_only,
                    image: image.into(),
                    fixed,
                    cache: CacheMode::Volatile,
                    scratch: Scratch::OfSize(7),
                    share: fixed,
                };
                assert_eq!(line.to_string().parse(), Ok(line));
            }
        }
        assert!("vda 1 rw".parse::<DiskLine>().is_err());
    }

    #[test]
    fn disk_line_has_the_columns_of_the_documents() {
        let line: DiskLine = "vda 512 ro '/two words.img' fixed".parse().unwrap();
        assert_eq!(line.image, "/two words.img");
        assert_eq!(line.to_string(), "vda 512 ro '/two words.img' fixed");
        let line: DiskLine = "vda - rw /a.img".parse().unwrap();
        assert_eq!(
            (line.size, line.read_only, line.fixed),
            (None, false, false)
        );
        assert_eq!(line.to_string(), "vda - rw /a.img");
    }
}
