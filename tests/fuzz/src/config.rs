//! `provium.toml`: what is understood has guests that can be, and what is not is said with the file's
//! name.

use std::path::Path;

use provium::config::Config;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let path = Path::new("/project/provium.toml");
    let config = match Config::parse(text, path) {
        Ok(config) => config,
        Err(error) => {
            let text = error.to_string();
            return assert!(
                text.starts_with("configuration /project/provium.toml: "),
                "{text}"
            );
        }
    };
    assert_eq!(config.folder, Path::new("/project"));
    for name in config.profiles.keys() {
        let profile = config.profile(name).unwrap();
        assert!(profile.memory_bytes() >= 16 << 20, "{}", profile.memory);
        assert!((1..=255).contains(&profile.cpus));
        let paths = [&profile.kernel, &profile.initrd];
        assert!(paths.into_iter().flatten().all(|path| path.is_absolute()));
    }
}
