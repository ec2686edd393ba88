//! The README and docs/ are true: the tests run their examples, and quote their numbers, defaults, limits and
//! error texts beside the proof.

mod contributing;
mod database_pages;
mod examples;
mod fault_pages;
mod file_nodes;
mod json_samples;
mod lua_reference;
mod machine_pages;
mod other_pages;
mod other_tools;
mod python_pages;
mod quotes;

pub use examples::blocks;
pub use quotes::{help_says, page_says};
