//! Raw templates of images in other formats: qemu-img makes them once, and the cache keeps them until the image
//! changes. No process that is killed leaves half of one.

mod clock;
mod error;
mod identity;
mod store;
mod tool;
mod unfinished;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::clock::Clock;
use self::store::About;
use self::tool::Source;
use self::unfinished::Unfinished;
use super::{Limit, VmError};
use crate::storage::{PACKED, format_of};

pub(super) use error::TemplateError;
pub use store::{Template, TemplateStore};

/// The formats that qemu-img makes raw templates of.
const KNOWN: [&str; 8] = [
    "qcow2",
    "qed",
    "vmdk",
    "vhdx",
    "vhd",
    "vdi",
    "parallels",
    "bochs",
];

/// Between two looks whether another process is done.
const TICK: Duration = Duration::from_millis(100);

/// The format of the image at `image`, by its content, if a raw template is made of it.
pub(in crate::vm) fn other_format(image: &Path) -> Option<&'static str> {
    format_of(image).filter(|format| KNOWN.contains(format))
}

/// A raw file with the disk of `image`, an absolute path: the image itself, or a template of it that is made if it is
/// not there. `limit` stands still meanwhile.
pub(in crate::vm) fn raw_file(image: &Path, limit: &Limit) -> Result<PathBuf, VmError> {
    match format_of(image) {
        Some(format) if KNOWN.contains(&format) => {
            // Whichever way leads to it, an image has one template.
            let path = image.canonicalize();
            let path = path.as_deref().unwrap_or(image);
            template_of(Source { path, format }, limit)
        }
        Some(format) if PACKED.contains(&format) => {
            let image = image.to_owned();
            Err(TemplateError::Packed { image, format }.into())
        }
        _ => Ok(image.to_owned()),
    }
}

fn template_of(source: Source<'_>, limit: &Limit) -> Result<PathBuf, VmError> {
    let store = TemplateStore::open().map_err(source.io("the folder of templates"))?;
    let mut clock = Clock::new(&source, limit);
    loop {
        if let Some(found) = store.find(source.path) {
            return Ok(found);
        }
        let lock = store.lock(source.path);
        if let Some(_lock) = lock.map_err(source.io("its lock"))? {
            // It may have been made in the meantime.
            return match store.find(source.path) {
                Some(found) => Ok(found),
                None => make(&source, &store, &mut clock),
            };
        }
        clock.tick(None)?;
        std::thread::sleep(TICK);
    }
}

/// Makes the template. The caller has the lock of the image.
fn make(
    source: &Source<'_>,
    store: &TemplateStore,
    clock: &mut Clock<'_>,
) -> Result<PathBuf, VmError> {
    let parts = source.parts()?;
    let path = store.raw_path(source.path, &parts.files);
    let no_room = |cause: io::Error| match cause.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => no_room_for(source, store, parts.size),
        _ => source.io(store.folder().display().to_string())(cause),
    };
    let new = Unfinished::beside(&path).map_err(no_room)?;
    new.file.set_len(parts.size).map_err(no_room)?;
    let converted = source.convert(&new.file, &mut |percent| clock.tick(Some(percent)));
    converted.map_err(|error| match error {
        VmError::Template(TemplateError::Unreadable { text, .. })
            if text.contains("No space left on device") =>
        {
            no_room_for(source, store, parts.size).into()
        }
        error => error,
    })?;
    if parts.files.iter().any(|file| !file.holds()) {
        return Err(TemplateError::Changed(source.path.to_owned()).into());
    }
    new.publish(&path).map_err(no_room)?;
    let raw = path.file_name().unwrap_or_default();
    let published = store.publish(&About {
        image: source.path.to_owned(),
        format: source.format.to_owned(),
        size: parts.size,
        files: parts.files,
        raw: raw.to_string_lossy().into_owned(),
    });
    published.map_err(source.io("the list of templates"))?;
    clock.done();
    Ok(path)
}

fn no_room_for(source: &Source<'_>, store: &TemplateStore, size: u64) -> TemplateError {
    TemplateError::NoRoom {
        image: source.path.to_owned(),
        folder: store.folder().to_owned(),
        size,
    }
}
