//! The calls of control files, and attributes. Work that may take long goes to threads for which no data waits.

use fuser::{
    Errno, FileAttr, FileHandle, OpenFlags, ReplyData, ReplyOpen, ReplyWrite, Request as Call,
};

use tracing::{Span, info_span};

use super::data_calls::{Opened, writes};
use super::inode::Inode;
use super::kernel;
use super::provium::Provium;
use super::reply::AttrReply;
use super::stream;
use crate::disk::{Answer, Reply};
use crate::protocol::Reads;

impl Provium {
    /// Answers with the attributes of `inode` through `answer`.
    pub(super) fn with_attr(
        &self,
        inode: Inode,
        answer: impl FnOnce(Result<FileAttr, Errno>) + Send + 'static,
    ) {
        if self.tree.takes_long(inode) {
            return self.run_apart(inode, move |tree| {
                answer(tree.attr(inode).map_err(kernel::errno_by_path));
            });
        }
        answer(self.tree.attr(inode).map_err(kernel::errno_by_path));
        self.tree.loops.rest();
    }

    /// Sets the size of a control file, which can only be emptied; without a `size` nothing changes.
    pub(super) fn set_control_size(
        &self,
        call: &Call,
        inode: Inode,
        size: Option<u64>,
        reply: AttrReply,
    ) {
        let caller = caller(call);
        self.run_apart(inode, move |tree| {
            let _caller = caller.entered();
            let emptied = match size {
                None => Ok(()),
                Some(0) => tree.empty(inode),
                Some(_) => Err(crate::protocol::Errno(libc::EINVAL)),
            };
            reply.send(emptied.map(|()| Answer::Done(0)));
        });
    }

    /// Opens a control file. One that is opened with O_TRUNC is emptied once it is closed without a write.
    pub(super) fn open_control(&self, inode: Inode, flags: OpenFlags, reply: ReplyOpen) {
        if inode.reads() != Reads::Stream {
            let truncate = writes(flags) && flags.0 & libc::O_TRUNC != 0;
            let handle = self.tree.handles.open(truncate);
            return reply.opened(FileHandle(handle), kernel::CONTROL_FILE);
        }
        match self.tree.listen(inode) {
            Ok(listener) => {
                let handle = self.tree.handles.open_stream(listener);
                reply.opened(FileHandle(handle), kernel::STREAM);
            }
            Err(errno) => reply.error(kernel::errno(errno)),
        }
    }

    /// Reads `size` bytes of a control file. A read of a stream waits for its next line.
    pub(super) fn read_control(
        &self,
        call: &Call,
        inode: Inode,
        from: Opened,
        offset: u64,
        size: u32,
        reply: ReplyData,
    ) {
        let handle = from.client;
        if let Some(listener) = self.tree.handles.stream(handle) {
            self.tree.streams.answer(stream::Read {
                listener,
                pid: call.pid(),
                size,
                waits: from.flags.0 & libc::O_NONBLOCK == 0,
                reply,
            });
            return self.tree.loops.rest();
        }
        self.run_apart(inode, move |tree| {
            match tree.page(inode, handle, offset, size as usize) {
                Ok(page) => reply.data(&page),
                Err(errno) => reply.error(kernel::errno(errno)),
            }
        });
    }

    /// Writes `data` to a control file.
    pub(super) fn write_control(
        &self,
        call: &Call,
        inode: Inode,
        handle: u64,
        data: &[u8],
        reply: ReplyWrite,
    ) {
        let (data, caller) = (data.to_vec(), caller(call));
        self.run_apart(inode, move |tree| {
            let _caller = caller.entered();
            match tree.write_control(inode, handle, &data) {
                Ok(()) => reply.written(data.len() as u32),
                Err(errno) => reply.error(kernel::errno(errno)),
            }
        });
    }

    /// The last client has closed an open control file.
    pub(super) fn released(&self, inode: Inode, handle: u64) {
        if self.tree.released(inode, handle) {
            self.run_apart(inode, move |tree| tree.finish_truncation(inode));
        }
    }
}

/// Who calls, for the log. The kernel gives the number of the process as the server's namespace has it, or 0.
fn caller(call: &Call) -> Span {
    info_span!("caller", pid = call.pid(), uid = call.uid())
}
