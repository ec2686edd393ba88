//! The README and docs/ say only what is true: their examples are run, and their numbers, defaults, limits and
//! error texts are quoted beside the test that proves them.

mod contributing;
mod examples;
mod fault_pages;
mod lua_reference;
mod other_pages;
mod other_tools;
mod quotes;

pub use quotes::{help_says, page_says};
