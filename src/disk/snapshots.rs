//! What `stale` rules serve: the image as it was when they were armed.
//!
//! Nothing is copied when a rule is armed. Whoever is about to change a block keeps its old content
//! first, if nobody has yet; what is not kept has not changed.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::fault::{Action, Armed, FaultSet};
use crate::image::Image;

/// Bytes that are kept together.
const BLOCK: u64 = 4096;

/// A snapshot for each `stale` rule that is armed.
#[derive(Default)]
pub(super) struct Snapshots {
    /// Whether there is any: all that a write without faults has to look at.
    any: AtomicBool,
    all: ArcSwap<Vec<Arc<Snapshot>>>,
}

struct Snapshot {
    rule: Arc<Armed>,
    /// Old contents by block; None stands for zeros.
    blocks: Mutex<HashMap<u64, Option<Box<[u8]>>>>,
}

impl Snapshots {
    /// Begins one for each new `stale` rule of `faults`, and drops those of rules that are no more.
    /// One caller at a time.
    pub(super) fn keep_for(&self, faults: &FaultSet) {
        let old = self.all.load();
        let stale = faults
            .armed()
            .iter()
            .filter(|armed| armed.rule.action == Action::Stale);
        let snapshot = |rule: &Arc<Armed>| {
            let same = old.iter().find(|snapshot| snapshot.rule.id == rule.id);
            same.cloned().unwrap_or_else(|| {
                Arc::new(Snapshot {
                    rule: Arc::clone(rule),
                    blocks: Mutex::default(),
                })
            })
        };
        let new: Vec<_> = stale.map(snapshot).collect();
        self.any.store(!new.is_empty(), Ordering::SeqCst);
        self.all.store(Arc::new(new));
    }

    /// Keeps what the range holds, before it is changed.
    pub(super) fn preserve(&self, image: &dyn Image, offset: u64, len: u64) -> io::Result<()> {
        if !self.any.load(Ordering::SeqCst) {
            return Ok(());
        }
        for snapshot in self.all.load().iter() {
            snapshot.preserve(image, offset, len)?;
        }
        Ok(())
    }

    /// Puts what `rule`'s snapshot has of the range into `data`, which was read at `offset`: `from`
    /// up to `to`, counted from there.
    pub(super) fn overlay(
        &self,
        rule: &Armed,
        data: &mut [u8],
        offset: u64,
        from: usize,
        to: usize,
    ) {
        let all = self.all.load();
        let Some(snapshot) = all.iter().find(|snapshot| snapshot.rule.id == rule.id) else {
            return;
        };
        let blocks = snapshot.blocks.lock();
        let (start, end) = (offset + from as u64, offset + to as u64);
        for block in start / BLOCK..end.div_ceil(BLOCK) {
            let Some(kept) = blocks.get(&block) else {
                continue;
            };
            let (first, last) = (start.max(block * BLOCK), end.min((block + 1) * BLOCK));
            let target = &mut data[(first - offset) as usize..(last - offset) as usize];
            let in_block = (first - block * BLOCK) as usize;
            match kept {
                Some(kept) => target.copy_from_slice(&kept[in_block..in_block + target.len()]),
                None => target.fill(0),
            }
        }
    }
}

impl Snapshot {
    fn preserve(&self, image: &dyn Image, offset: u64, len: u64) -> io::Result<()> {
        for block in offset / BLOCK..(offset + len).div_ceil(BLOCK) {
            if self.blocks.lock().contains_key(&block) {
                continue;
            }
            // Not under the lock. Whoever changes the block has kept it before: if this read
            // finds it changed, it is in the table by now, and stays as it is there.
            let mut content = vec![0; BLOCK as usize];
            image.read_at(&mut content, block * BLOCK)?;
            let is_zero = content.iter().all(|byte| *byte == 0);
            let kept = (!is_zero).then(|| content.into_boxed_slice());
            self.blocks.lock().entry(block).or_insert(kept);
        }
        Ok(())
    }
}
