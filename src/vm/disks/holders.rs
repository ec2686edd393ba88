//! The processes that have a disk open, and which errors a QEMU among them lets its guest see.

use std::path::Path;

use super::visibility::ErrorHandling;
use crate::os::proc;

/// A process that has a disk open.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its program's name.
    pub program: String,
    /// For a QEMU: whether its guest would see every injected error; null when that cannot be told.
    pub visible: Option<bool>,
    /// The settings that keep an error from the guest, each with the change to make.
    pub obstacles: Vec<String>,
}

/// The processes that have the file at `path` open, by whichever path, as far as this user may know.
pub fn holders(path: &Path) -> Vec<Holder> {
    let Some(file) = proc::identity(path) else {
        return Vec::new();
    };
    let holding = proc::processes().filter_map(|pid| Some((pid, proc::opened(pid, file)?)));
    holding
        .filter_map(|(pid, path)| holder(pid, &path))
        .collect()
}

/// The process has the file open by this path.
fn holder(pid: u32, path: &Path) -> Option<Holder> {
    let folder = Path::new("/proc").join(pid.to_string());
    let line = std::fs::read(folder.join("cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0);
    let args: Vec<_> = words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = Path::new(args.first()?)
        .file_name()?
        .to_string_lossy()
        .into_owned();
    let is_qemu = program.starts_with("qemu-system-");
    let works_in = folder.join("cwd").read_link().unwrap_or_default();
    let handling = is_qemu
        .then(|| ErrorHandling::on_command_line(&args, &works_in, path))
        .flatten();
    let obstacles = handling.as_ref().map(ErrorHandling::obstacles);
    Some(Holder {
        pid,
        program,
        visible: obstacles.as_ref().map(Vec::is_empty),
        obstacles: obstacles.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_is_found_until_it_closes_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().canonicalize().unwrap();
        let found = holders(&path);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].pid, found[0].visible), (std::process::id(), None));
        let path = file.into_temp_path();
        assert!(holders(&path).is_empty());
    }
}
