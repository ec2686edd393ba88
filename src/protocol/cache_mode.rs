//! What `cache` reads and takes: whether a disk has a volatile write cache.

use std::fmt;
use std::str::FromStr;

use super::line::BadLine;

/// Whether a disk has a volatile write cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// It has none: what is answered has reached the image.
    #[default]
    Off,
    /// It has one: what is answered reaches the image with the next flush.
    Volatile,
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Volatile => "volatile",
        })
    }
}

impl FromStr for CacheMode {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        match text {
            "off" => Ok(Self::Off),
            "volatile" => Ok(Self::Volatile),
            _ => Err(BadLine::new("`off` or `volatile`", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_mode_is_parsed_as_it_is_printed() {
        for mode in [CacheMode::Off, CacheMode::Volatile] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("on".parse::<CacheMode>().is_err());
    }
}
