//! The filesystem of a mount: its files, and the threads that its requests may wait on.

use std::sync::Arc;

use super::inode::Inode;
use super::tree::Tree;
use crate::disk::Disk;

/// The filesystem of one mount.
pub(super) struct Provium {
    pub(super) tree: Arc<Tree>,
}

/// The session drops the filesystem at its end. If no request ever came, nothing else shows the end.
impl Drop for Provium {
    fn drop(&mut self) {
        self.tree.loops.end();
    }
}

impl Provium {
    pub(super) fn new(tree: Tree) -> Self {
        let tree = Arc::new(tree);
        Self { tree }
    }

    /// Does `work` on a thread of the data pool, because it may take as long as the storage of `disk`.
    pub(super) fn run_on_pool(&self, disk: &Disk, work: impl FnOnce() + Send + 'static) {
        let pool = self.tree.disks.pool();
        pool.run(disk.owner(), work);
        self.tree.loops.rest();
    }

    /// Does `work` for a control file, or for the attributes of a disk, on a thread for which no data
    /// waits. If none can be had, the reply that `work` owns answers EIO.
    pub(super) fn run_apart(&self, inode: Inode, work: impl FnOnce(&Tree) + Send + 'static) {
        let tree = Arc::clone(&self.tree);
        let pool = &self.tree.control_pool;
        pool.run(inode.group(), move || work(&tree));
        self.tree.loops.rest();
    }
}
