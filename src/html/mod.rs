//! A run as one HTML file that needs no network, from the evidence folders of its tests.
//!
//! This module reads the folders and packs what is in them. What a person sees of it, and all that is interactive, is
//! the page's own: style and scripts in `page/`, and the plots of uPlot in `vendor/`.

mod detail;
mod disk;
mod index;
mod lines;
mod pack;
mod page;
mod run;
mod trace;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use detail::Detail;
use index::Index;
use pack::Blocks;
pub use run::Run;

/// Writes the page of `run` to the file `to`. What is missing or damaged in a folder is left out, and the page says
/// so. Fails only if the page cannot be written.
pub fn write(run: &Run, to: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(to)?);
    let page = page::Page::new();
    file.write_all(page.head().as_bytes())?;
    let mut index = Index::new(run);
    let mut blocks = Blocks::new();
    for folder in &run.tests {
        let detail = Detail::read(folder);
        let place = blocks.add(&mut file, &detail)?;
        index.add(&detail, place);
    }
    blocks.end(&mut file)?;
    pack::block(&mut file, "index", &serde_json::to_vec(&index)?)?;
    file.write_all(page.tail().as_bytes())?;
    file.flush()
}
