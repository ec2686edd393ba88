//! `provium.toml`: the folders of tests, and the guests that they run.

mod disk;
mod guest;
mod hardware;
mod machine;
mod profile;
mod qemu_args;
mod word;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use disk::{CACHE, DiskKeys, DiskSource, SIZE, VmDisk};
pub use guest::{DEFAULT_PROFILE, GUESTS, STORAGE_GUEST, build_command};
pub use hardware::{CacheType, DiskBus, DiskHardware, HardwareKeys, OnError};
pub use machine::{AgentTimeout, Firmware, Net};
pub use profile::{Accel, CPUS, MEMORY, Profile, cpus, memory, memory_of};

/// The name that is searched for, from the working folder upwards.
pub const FILE_NAME: &str = "provium.toml";

/// The content of a configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The project.
    #[serde(default)]
    pub provium: Project,
    /// The guests, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// The folder that relative paths start from.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The `[provium]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Project {
    /// Where `provium test` looks for tests, and Lua for modules.
    pub roots: Vec<PathBuf>,
}

impl Default for Project {
    fn default() -> Self {
        Self {
            roots: vec!["tests".into()],
        }
    }
}

/// A mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file does not parse, or has an unknown key; the text shows where and names the known.
    #[error("configuration {}: {text}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// No such profile.
    #[error("unknown profile `{name}` (known: {known})")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl Config {
    /// The nearest `provium.toml`, from `folder` upwards.
    pub fn find(folder: &Path) -> Option<PathBuf> {
        let candidates = folder.ancestors().map(|up| up.join(FILE_NAME));
        candidates.into_iter().find(|path| path.is_file())
    }

    /// The configuration in `file`; without one the defaults, whose paths start at `folder`.
    pub fn load(file: Option<&Path>, folder: &Path) -> Result<Self, ConfigError> {
        match file {
            Some(path) => Self::read(path),
            None => Ok(Self {
                folder: folder.to_owned(),
                ..Self::default()
            }),
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Read {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&text, path)
    }

    /// Parses `text`, the content of the file `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            text: error.to_string().trim_end().to_owned(),
        })?;
        config.folder = path.parent().unwrap_or(Path::new("")).to_owned();
        for (name, profile) in &mut config.profiles {
            profile.check().map_err(|text| ConfigError::Parse {
                path: path.to_owned(),
                text: format!("profile `{name}`: {text}"),
            })?;
        }
        Ok(config)
    }

    /// Every profile, those that need no configuration included.
    pub fn all_profiles(&self) -> impl Iterator<Item = Profile> {
        let names = self.profiles.keys().map(String::as_str);
        let names = names.chain(GUESTS);
        names.filter_map(|name| self.profile(name).ok())
    }

    /// The profile called `name`, its paths absolute.
    pub fn profile(&self, name: &str) -> Result<Profile, ConfigError> {
        let mut profile = match self.profiles.get(name) {
            Some(profile) => profile.clone(),
            None if GUESTS.contains(&name) => Profile::built_in(name),
            None => {
                let mut known: Vec<_> = self.profiles.keys().map(String::as_str).collect();
                let built_in = GUESTS
                    .iter()
                    .filter(|name| !self.profiles.contains_key(**name));
                known.extend(built_in);
                return Err(ConfigError::UnknownProfile {
                    name: name.to_owned(),
                    known: known.join(", "),
                });
            }
        };
        profile.start_paths_at(&self.folder);
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, text).unwrap();
        let found = Config::find(&folder.path().join("below/it"));
        Config::load(found.as_deref(), folder.path())
    }

    #[test]
    fn built_in_guests_have_profiles_of_their_names() {
        let config = Config::default();
        for name in GUESTS {
            assert_eq!(config.profile(name).unwrap().built_in_guest(), name);
        }
    }

    #[test]
    fn default_profile_exists_without_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(None, folder.path()).unwrap();
        assert_eq!(config.provium.roots, [PathBuf::from("tests")]);
        assert_eq!(config.profile("default").unwrap().memory, "256M");
    }

    #[test]
    fn file_is_found_upwards_and_its_paths_start_there() {
        let config = load("[profiles.own]\nkernel = 'k/bzImage'\ncpus = 2\n").unwrap();
        let profile = config.profile("own").unwrap();
        assert_eq!(profile.kernel.unwrap(), config.folder.join("k/bzImage"));
        assert_eq!(profile.cpus, 2);
    }

    #[test]
    fn unknown_key_is_an_error_that_names_the_known_ones() {
        let error = load("[profiles.own]\nmemroy = '1G'\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("memroy") && error.contains("`memory`"),
            "{error}"
        );
    }

    #[test]
    fn unknown_profile_is_an_error_that_names_the_known_ones() {
        let error = load("[profiles.own]\n")
            .unwrap()
            .profile("won")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown profile `won` (known: own, default, storage)"
        );
    }

    #[test]
    fn unknown_guest_is_an_error() {
        let error = load("[profiles.own]\nguest = 'windows'\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("unknown guest `windows` (known: default, storage)"),
            "{error}"
        );
    }

    #[test]
    fn memory_and_processors_that_no_guest_can_have_are_errors_that_say_what_is_valid() {
        let message = |text: &str| {
            let error = load(&format!("[profiles.own]\n{text}\n")).unwrap_err();
            error
                .to_string()
                .split_once("profile `own`: ")
                .unwrap()
                .1
                .to_owned()
        };
        assert_eq!(
            message("cpus = 0"),
            "`cpus` expects a whole number from 1 to 255, not 0"
        );
        for wrong in ["lots", "5", "512", "5M", ""] {
            let expected = format!("`memory` expects {MEMORY}, not {wrong:?}");
            assert_eq!(message(&format!("memory = '{wrong}'")), expected);
        }
    }

    #[test]
    fn memory_is_given_to_qemu_in_mebibytes_from_any_unit() {
        for (text, expected) in [("1.5GiB", "1536M"), ("64m", "64M"), ("65536K", "64M")] {
            assert_eq!(memory(text).as_deref(), Some(expected), "{text}");
        }
    }
}
