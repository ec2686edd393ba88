//! Data in the page: JSON, compressed, in elements that no browser runs. Base64 has no sign that HTML knows, so what a
//! guest or a test has written cannot become a part of the page.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde::Serialize;

/// A block is written when it has this many bytes of JSON. The page unpacks it when a person looks at a test in it.
const BLOCK: usize = 256 << 10;
/// As quick as it is small, of 0 to 10.
const LEVEL: u8 = 6;

/// Where the page finds a test.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The number of the block.
    pub(super) block: usize,
    /// Its place in the block.
    pub(super) slot: usize,
}

/// Writes tests in blocks.
pub(super) struct Blocks {
    json: Vec<u8>,
    next: Place,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self {
            json: Vec::new(),
            next: Place { block: 0, slot: 0 },
        }
    }

    /// Adds `test` to the block that is being filled, and says where it is.
    pub(super) fn add(&mut self, to: &mut impl Write, test: &impl Serialize) -> io::Result<Place> {
        let place = self.next;
        self.json.push(if place.slot == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut self.json, test)?;
        self.next.slot += 1;
        if self.json.len() >= BLOCK {
            self.end(to)?;
        }
        Ok(place)
    }

    /// Writes the last block.
    pub(super) fn end(&mut self, to: &mut impl Write) -> io::Result<()> {
        if self.next.slot == 0 {
            return Ok(());
        }
        self.json.push(b']');
        block(to, &format!("block-{}", self.next.block), &self.json)?;
        self.json.clear();
        self.next = Place {
            block: self.next.block + 1,
            slot: 0,
        };
        Ok(())
    }
}

/// Writes `json` as an element with this ID.
pub(super) fn block(to: &mut impl Write, id: &str, json: &[u8]) -> io::Result<()> {
    let packed = STANDARD.encode(compress_to_vec_zlib(json, LEVEL));
    writeln!(
        to,
        "<script type=\"application/octet-stream\" id=\"{id}\">{packed}</script>"
    )
}
