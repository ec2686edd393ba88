//! The states that a power cut may leave a disk in, from a log of its writes.
//!
//! A *point* is a place in the log. There some requests are durable and some are pending; a *state* is
//! what is durable and a subset of what is pending, applied in order.

mod base;
mod check;
mod content;
mod deltas;
mod history;
mod image;
mod judge;
mod pick;
mod sectors;
mod source;
mod space;
mod states;
mod subset;
mod summary;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;

pub use base::Base;
pub use check::Checker;
pub use content::Content;
pub use deltas::Deltas;
pub use history::{BadMark, Cursor, History, Request, Step};
pub use image::StateImage;
pub use judge::{Examiner, Judge, Judged, Shelf};
pub use pick::{BadPick, Pick};
pub use sectors::Sectors;
pub use source::{BaseImage, Source, SourceError};
pub use space::{Piece, Space};
pub use states::States;
pub use subset::Subset;
pub use summary::{Group, Summary};
pub use verdict::{Failure, Verdict, Verdicts, agree};
pub use walk::{At, Found, StateId, Walk};
