//! Calls from Lua to Rust: their arguments, their names, and their errors.

mod arguments;
mod call_text;
mod duration;
mod error;
mod methods;
mod signature;

pub(super) use arguments::{GUEST_TEXT, GuestText, Options, bytes, guest_texts, items};
pub(super) use duration::{DURATION, LuaDuration};
pub(super) use error::{CallError, CallResult};
pub(super) use methods::{Methods, look_up, method, native};
pub(super) use signature::{found, surplus, wrong_argument};
