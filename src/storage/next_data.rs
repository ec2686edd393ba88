//! Where an image stores data next, for a request of very many parts that need not ask for each.

use super::image::{Extent, Image};

/// What was asked last: nothing is stored from `hole` to `data`.
#[derive(Debug, Default)]
pub struct NextData {
    hole: u64,
    data: u64,
}

impl NextData {
    /// Whether the image stores nothing of a range: it reads as zeros.
    pub fn is_past(&mut self, image: &dyn Image, offset: u64, len: u64) -> bool {
        let is_known = self.hole <= offset && offset < self.data;
        if !is_known {
            self.hole = offset;
            self.data = match image.seek(Extent::Data, offset) {
                Ok(data) => data,
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => u64::MAX,
                // It cannot tell, as a block device.
                Err(_) => offset,
            };
        }
        offset.saturating_add(len) <= self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileImage;

    #[test]
    fn data_are_found_in_each_range_that_has_some_and_in_no_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        let image = FileImage::open(file.path(), false).unwrap();
        for at in [2_u64 << 20, 5 << 20] {
            image.write_at(b"data", at).unwrap();
        }
        let mut next = NextData::default();
        // In any order, and past the end.
        for mib in [0, 1, 2, 3, 4, 5, 6, 7, 20, 1, 2, 5, 4, 3] {
            let is_hole = next.is_past(&image, mib << 20, 1 << 20);
            assert_eq!(is_hole, ![2, 5].contains(&mib), "{mib}");
        }
        assert!(next.is_past(&image, 0, 2 << 20));
        assert!(!next.is_past(&image, 0, (2 << 20) + 1));
    }
}
