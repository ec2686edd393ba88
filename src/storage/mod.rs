//! The backing image of a disk: bytes at offsets, and nothing about faults.

mod buffer;
mod copy;
mod file;
mod format;
mod image;
mod layers;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod new_file;
mod next_data;
mod place;
pub mod write_log;

pub use buffer::with_buffer;
pub use copy::copy;
pub use file::{FileImage, OpenError};
pub use format::{PACKED, format_of, format_warning};
pub use image::{Extent, Image};
pub use layers::{Discarded, Frozen, LayerFolder, LayerPair, LayeredImage, WriteBackError};
#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryImage;
pub use new_file::{Existing, NewFile, NewFileError};
pub use next_data::NextData;
