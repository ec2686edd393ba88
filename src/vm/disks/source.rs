//! The file that a disk of a VM is served from: an image of the host, an empty one, or a copy.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::{DiskSource, VmDisk};
use crate::os::folders;
use crate::storage::{FileImage, Image, copy};
use crate::units::text::shown;
use crate::vm::templates::{other_format, raw_file};
use crate::vm::{Vm, VmError};

/// A copy with a name that was not written to for as long was left by a process that was killed.
const LEFT: Duration = Duration::from_secs(3600);

/// The file that a disk is served from. Unless it stays, it is removed with this.
#[derive(Debug)]
pub(in crate::vm) struct SourceFile {
    pub(in crate::vm) path: PathBuf,
    life: Life,
}

/// How long such a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It is the user's.
    Stays,
    /// It lies in the folder of the VM.
    WithDisk,
    /// It needs no name once the mount has it open: so nothing of it is left, whoever is killed.
    UntilServed,
}

impl SourceFile {
    fn new(path: PathBuf, life: Life) -> Self {
        Self { path, life }
    }

    /// Notes that the mount has it open. True if the file goes with the disk: then its removal is up to the caller.
    pub(in crate::vm) fn served(mut self) -> bool {
        let is_private = self.life == Life::WithDisk;
        if is_private {
            self.life = Life::Stays;
        }
        is_private
    }
}

impl Drop for SourceFile {
    fn drop(&mut self) {
        if self.life != Life::Stays {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Vm {
    /// Makes the templates that `disks` need and that are not there, which may take long.
    pub(in crate::vm) fn prepare_templates(&self, disks: &[VmDisk]) -> Result<(), VmError> {
        let sources = disks.iter().filter_map(|disk| disk.source.as_ref());
        for source in sources {
            if let DiskSource::Image(path) | DiskSource::Template(path) = source
                && let Ok(path) = existing(path)
                && other_format(&path).is_some()
            {
                raw_file(&path, &self.limit)?;
            }
        }
        Ok(())
    }

    /// The file for the disk `id` from `source`, which is to have `size` bytes if the file is a copy.
    pub(in crate::vm) fn provide(
        &mut self,
        id: &str,
        source: &DiskSource,
        size: Option<u64>,
    ) -> Result<SourceFile, VmError> {
        let path = match source {
            DiskSource::Scratch(size) => {
                let path = self.folder.scratch_image(*size)?;
                return Ok(SourceFile::new(path, Life::WithDisk));
            }
            DiskSource::Path(path) | DiskSource::Image(path) | DiskSource::Template(path) => {
                existing(path)?
            }
        };
        match (source, other_format(&path)) {
            (DiskSource::Image(_), None) => self.note_size(id, &path, size),
            (DiskSource::Image(_), Some(format)) => {
                let file = self.copied(&path, size)?;
                let image = shown(&path);
                self.note(format!(
                    "image {image} is a {format} file: disk `{id}` is a raw copy of the disk in it, and the file stays \
                     as it is; `path` in place of `image` serves the file itself"
                ));
                return Ok(file);
            }
            (DiskSource::Template(_), _) => return self.copied(&path, size),
            (DiskSource::Path(_) | DiskSource::Scratch(_), _) => {}
        }
        Ok(SourceFile::new(path, Life::Stays))
    }

    /// The size of an image that is served itself is what it is.
    fn note_size(&mut self, id: &str, image: &Path, size: Option<u64>) {
        let has = image.metadata().map(|found| found.len());
        if let (Some(size), Ok(has)) = (size, has)
            && size != has
        {
            let image = shown(image);
            let text = format!("disk `{id}` has the {has} bytes of image {image}, not {size}");
            self.note(text);
        }
    }

    /// A copy of the disk in the image at `path`, of `size` bytes if they are given.
    fn copied(&self, path: &Path, size: Option<u64>) -> Result<SourceFile, VmError> {
        let from = FileImage::open(&raw_file(path, &self.limit)?, true)?;
        let failed = || VmError::io(format!("a copy of image {}", path.display()));
        let has = from.size().map_err(failed())?;
        if let Some(size) = size.filter(|size| *size < has) {
            let image = path.to_owned();
            return Err(VmError::SmallerCopy { image, size, has });
        }
        let folder = copies().map_err(failed())?;
        let to = folder.join(format!("{}-{:08x}", std::process::id(), fastrand::u32(..)));
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).mode(0o600);
        let file = file.open(&to).map_err(failed())?;
        let source = SourceFile::new(to, Life::UntilServed);
        let copied = copy(&from, &file).and_then(|()| file.set_len(size.unwrap_or(has)));
        match copied {
            Ok(()) => Ok(source),
            Err(cause) if cause.raw_os_error() == Some(libc::ENOSPC) => {
                Err(VmError::NoRoomForCopy {
                    image: path.to_owned(),
                    folder,
                })
            }
            Err(cause) => Err(failed()(cause)),
        }
    }
}

/// The absolute path of an image that exists, checked before anything is started for it.
fn existing(image: &Path) -> Result<PathBuf, VmError> {
    let failed = VmError::io(format!("image {}", image.display()));
    let absolute = std::path::absolute(image).map_err(failed)?;
    match absolute.exists() {
        true => Ok(absolute),
        false => Err(VmError::NoImage(image.to_owned())),
    }
}

/// The folder for copies, in the cache: a run-time folder often lies in memory. Removes what killed processes left.
fn copies() -> io::Result<PathBuf> {
    let folder = folders::cache()?.join("copies");
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&folder)?;
    for entry in folder.read_dir()?.flatten() {
        let written = entry.metadata().and_then(|found| found.modified());
        let age = written.ok().map(|at| SystemTime::now().duration_since(at));
        if age.is_some_and(|age| age.is_ok_and(|age| age > LEFT)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(folder)
}
