//! Why there is no template of an image.

use std::io;
use std::path::PathBuf;

use crate::units::size::show_size;

/// Why there is no template of an image. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The texts say it.
pub enum TemplateError {
    #[error(
        "image {} is a {format} file: `qemu-img` makes a raw template of it, and is not installed (run `provium doctor`)",
        image.display()
    )]
    NoTool {
        image: PathBuf,
        format: &'static str,
    },
    #[error("image {} is a {format} file: unpack it first", image.display())]
    Packed {
        image: PathBuf,
        format: &'static str,
    },
    #[error("image {} is a {format} file that qemu-img cannot read: {text}", image.display())]
    Unreadable {
        image: PathBuf,
        format: &'static str,
        text: String,
    },
    #[error(
        "image {}: it needs the file {needed}, which does not exist: its backing file was moved or removed",
        image.display()
    )]
    NoBacking { image: PathBuf, needed: String },
    #[error(
        "image {}: it needs `{needed}`, which is not a file of this host: make an image of its own with `qemu-img convert`",
        image.display()
    )]
    Elsewhere { image: PathBuf, needed: String },
    #[error("image {}: its backing files need each other, or are more than {most}", image.display())]
    LongChain { image: PathBuf, most: usize },
    #[error(
        "image {}: the file system of {} has no room for a raw template of it (up to {}): free some, or set XDG_CACHE_HOME to a folder elsewhere",
        image.display(), folder.display(), show_size(*size)
    )]
    NoRoom {
        image: PathBuf,
        folder: PathBuf,
        size: u64,
    },
    #[error("image {} was changed while a template was made of it: try again once nobody writes to it", .0.display())]
    Changed(PathBuf),
    #[error("qemu-img was killed ({status}) while it made a template of image {}: the next boot tries again", image.display())]
    Killed { image: PathBuf, status: String },
    #[error("a template of image {}: {context}: {cause}", image.display())]
    Io {
        image: PathBuf,
        context: String,
        cause: io::Error,
    },
}
