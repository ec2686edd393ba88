//! The file that a disk of a VM is served from: an image of the host, or an empty one. An image that is to stay as it is
//! is only read, and the changes go into layers above it.

use std::path::{Path, PathBuf};

use crate::config::{DiskSource, VmDisk};
use crate::protocol::disk_options::Scratch;
use crate::storage::{FileImage, Image};
use crate::units::text::shown;
use crate::vm::templates::{other_format, raw_file};
use crate::vm::{Vm, VmError};

/// The file that a disk is served from. Unless it stays, it is removed with this.
#[derive(Debug)]
pub(in crate::vm) struct SourceFile {
    pub(in crate::vm) path: PathBuf,
    life: Life,
    /// Whether it stays as it is.
    pub(in crate::vm) scratch: Scratch,
}

/// How long such a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It is the user's.
    Stays,
    /// It lies in the folder of the VM.
    WithDisk,
}

impl SourceFile {
    fn new(path: PathBuf, life: Life) -> Self {
        let scratch = Scratch::No;
        Self {
            path,
            life,
            scratch,
        }
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

    /// The file for the disk `id` from `source`, which is to have `size` bytes if the file stays as it is.
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
                let file = self.scratch(&path, size)?;
                let image = shown(&path);
                self.note(format!(
                    "image {image} is a {format} file: disk `{id}` is the disk in it, and the file stays as it is, \
                     with all changes gone at the end; `path` in place of `image` serves the file itself"
                ));
                return Ok(file);
            }
            (DiskSource::Template(_), _) => return self.scratch(&path, size),
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

    /// The disk in the image at `path`, which stays as it is: of `size` bytes if they are given.
    fn scratch(&self, path: &Path, size: Option<u64>) -> Result<SourceFile, VmError> {
        let raw = raw_file(path, &self.limit)?;
        let from = FileImage::open(&raw, true)?;
        let has = from.size();
        let has = has.map_err(VmError::io(format!("image {}", path.display())))?;
        if let Some(size) = size.filter(|size| *size < has) {
            let image = path.to_owned();
            return Err(VmError::SmallerDisk { image, size, has });
        }
        Ok(SourceFile {
            path: raw,
            life: Life::Stays,
            scratch: size.map_or(Scratch::Yes, Scratch::OfSize),
        })
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
