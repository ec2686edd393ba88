//! The I/O of a request: the one place where requests meet the image. Rules that change data or place act
//! on the way there and back.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::apply::{Applied, Done};
use super::context::RequestContext;
use super::corrupt::corrupt;
use super::plan::Segment;
use super::request::{Answer, Reply, Request, owned};
use crate::disk::cache::entry::erase;
use crate::disk::device::Disk;
use crate::fault::{Change, FiredChange, Op, Outcome};
use crate::storage::{Image, NextData, with_buffer};

impl Disk {
    /// Does the I/O on this thread, as rules have decided, and answers.
    #[inline(always)]
    pub(super) fn serve<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        outcome: Outcome,
        context: RequestContext<R>,
    ) {
        let applied = match Applied::new(self, request, context.range, outcome) {
            Ok(applied) => applied,
            Err(errno) => return self.answer_injected(errno, context),
        };
        if let Request::Read { offset, len } = *request {
            return self.serve_read(request, offset, applied.len(len), &applied, context);
        }
        if self.image.is_cached() {
            return self.serve_cached(request, applied, context);
        }
        if self.log.is_on() {
            return self.serve_logged(request, applied, context);
        }
        // Out of the table before the answer: a client that has it finds its request gone.
        let visible = context.begin_io(self);
        let result = self.change(request, &applied);
        drop(visible);
        self.answer_changed(request, result, &applied, context);
    }

    /// Answers a request that changes the disk, or flushes it.
    pub(super) fn answer_changed<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        result: io::Result<()>,
        applied: &Applied,
        context: RequestContext<R>,
    ) {
        if let (Request::Grow { offset, len }, Ok(())) = (request, &result) {
            applied.heal(*offset, *len);
        }
        match (result, applied.afterwards()) {
            (Ok(()), Some(errno)) => self.answer_injected(errno, context),
            (result, _) => {
                let result = result.map(|()| Answer::Done(context.range.len));
                self.answer(request, result, Done::Served(applied), context);
            }
        }
    }

    #[inline(always)]
    fn serve_read<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        offset: u64,
        len: u32,
        applied: &Applied,
        context: RequestContext<R>,
    ) {
        let visible = context.begin_io(self);
        with_buffer(len as usize, |buffer| {
            let read = buffer.and_then(|buffer| {
                let n = self.read_parts(buffer, offset, applied)?;
                Ok(&mut buffer[..n])
            });
            drop(visible);
            let data = read.and_then(|data| {
                self.change_read(data, offset, applied)?;
                Ok(Answer::Data(data))
            });
            self.answer(request, data, Done::Served(applied), context);
        });
    }

    /// Reads each part from where it is served. Returns how much was read.
    fn read_parts(&self, buffer: &mut [u8], offset: u64, applied: &Applied) -> io::Result<usize> {
        if !applied.is_in_parts() {
            return self.image.read_at(buffer, offset);
        }
        let len = buffer.len();
        for part in applied.served(offset, len as u64) {
            let range = (part.from - offset) as usize..(part.to - offset) as usize;
            let found = self
                .image
                .read_at(&mut buffer[range.clone()], part.place())?;
            // The host has cut the image off meanwhile.
            buffer[range.start + found..range.end].fill(0);
        }
        Ok(len)
    }

    /// Serves any request but a read, of a disk without a cache.
    pub(super) fn change(&self, request: &Request<'_>, applied: &Applied) -> io::Result<()> {
        let image = &self.image.below;
        match *request {
            Request::Write {
                offset, ref data, ..
            } => self.write(data, offset, applied, |data, place| {
                image.write_part(&data, place)
            }),
            Request::Flush { data_only } => image.flush(data_only),
            Request::Discard { offset, len } => {
                let mut next = NextData::default();
                self.change_parts(request, offset, len, applied, |part| {
                    let (place, len) = (part.place(), part.len());
                    // For a part that begins or ends within a block a file system takes long, and much memory. Blocks
                    // that are reserved and were never written stay reserved in its place.
                    match applied.is_in_parts() && next.is_past(image, place, len) {
                        true => Ok(()),
                        false => image.discard(place, len),
                    }
                })
            }
            Request::Zero {
                offset,
                len,
                keep_size,
            } => self.change_parts(request, offset, len, applied, |part| {
                image.write_zeroes(part.place(), part.len(), keep_size)?;
                self.learn_growth(part.place(), part.len(), keep_size);
                Ok(())
            }),
            Request::Allocate {
                offset,
                len,
                keep_size,
            } => {
                image.allocate(offset, len, keep_size)?;
                self.learn_growth(offset, len, keep_size);
                Ok(())
            }
            Request::Erase { offset, len } => {
                self.change_parts(request, offset, len, applied, |part| {
                    erase(image, part.place(), part.len())
                })
            }
            Request::Grow { offset, len } => {
                image.set_len(offset + len)?;
                self.learn_growth(offset, len, false);
                Ok(())
            }
            // A read is served apart; the others have got a place before.
            Request::Read { .. } | Request::Append { .. } | Request::SetSize { .. } => {
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    /// Has `change` do each part of a request without data, where rules have it, and notes where the disk then differs
    /// from the client's belief.
    pub(super) fn change_parts(
        &self,
        request: &Request<'_>,
        offset: u64,
        len: u64,
        applied: &Applied,
        mut change: impl FnMut(Segment) -> io::Result<()>,
    ) -> io::Result<()> {
        for part in applied.served(offset, len) {
            self.snapshots.preserve(part.place(), part.len())?;
        }
        for part in applied.served(offset, len) {
            change(part)?;
            if request.op() == Op::Zero {
                applied.heal(part.place(), part.len());
            }
        }
        if applied.is_in_parts() {
            let (offset, len) = request.changed(self.known_size());
            self.note_misdirected(offset, len, applied);
            for part in applied.served(offset, len) {
                self.note_overwritten(part, part.len(), applied);
            }
        }
        Ok(())
    }

    pub(super) fn learn_growth(&self, offset: u64, len: u64, keep_size: bool) {
        if !keep_size {
            self.sizes.learn_end(offset.saturating_add(len));
        }
    }

    /// Writes `data` as rules change it, each part where they have it, and notes where the disk then differs from the
    /// client's belief. `put` stores bytes at a place; it says how many it has stored, and why these are not all.
    pub(super) fn write(
        &self,
        data: &[u8],
        offset: u64,
        applied: &Applied,
        mut put: impl FnMut(Cow<'_, [u8]>, u64) -> (usize, io::Result<()>),
    ) -> io::Result<()> {
        let len = data.len() as u64;
        let mut changed = Cow::Borrowed(data);
        for fired in &applied.changes {
            match fired.change {
                Change::Corrupt(how) => {
                    let mut own = owned(changed)?;
                    corrupt(&mut own, offset, how, fired);
                    changed = Cow::Owned(own);
                }
                Change::Misdirect(_) | Change::Stale => {}
            }
        }
        for part in applied.served(offset, len) {
            self.snapshots.preserve(part.place(), part.len())?;
        }
        let (mut result, mut moved) = (Ok(()), Vec::new());
        for part in applied.served(offset, len) {
            let place = part.place();
            let done;
            (done, result) = put(take(&mut changed, part, offset), place);
            self.sizes.learn_end(place + done as u64);
            applied.heal(place, done as u64);
            self.note_corrupted(part, done, applied);
            if part.shift != 0 {
                moved.push((part, done as u64));
            }
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            self.note_torn(offset, len, applied);
            self.note_misdirected(offset, len, applied);
        }
        for (part, done) in moved {
            self.note_overwritten(part, done, applied);
        }
        result
    }

    /// Changes the data that a read found, for its reader alone.
    fn change_read(&self, data: &mut [u8], offset: u64, applied: &Applied) -> io::Result<()> {
        let is_stale = |fired: &FiredChange| fired.change == Change::Stale;
        // A stale rule goes back to the contents of the image, past the changes of other rules.
        let image = match applied.changes.iter().any(is_stale) {
            true => owned(Cow::Borrowed(&*data))?,
            false => Vec::new(),
        };
        for fired in &applied.changes {
            match fired.change {
                Change::Corrupt(how) => corrupt(data, offset, how, fired),
                Change::Stale => self.show_old(fired, data, &image, offset, applied),
                Change::Misdirect(_) => {}
            }
        }
        Ok(())
    }

    /// Puts what a stale rule's sectors held into `data`, where the disk has `image`.
    fn show_old(
        &self,
        fired: &FiredChange,
        data: &mut [u8],
        image: &[u8],
        offset: u64,
        applied: &Applied,
    ) {
        for part in applied.served(offset, data.len() as u64) {
            for (from, to) in fired.pieces.within(part.from, part.to) {
                let range = (from - offset) as usize..(to - offset) as usize;
                let data = &mut data[range.clone()];
                data.copy_from_slice(&image[range]);
                let place = from.saturating_add_signed(part.shift);
                self.snapshots.overlay(&fired.rule, data, place);
            }
        }
    }
}

/// The data of a part of the request from `offset` on. Of the whole request they are taken out of `data`.
fn take<'a>(data: &'a mut Cow<'_, [u8]>, part: Segment, offset: u64) -> Cow<'a, [u8]> {
    let (from, to) = ((part.from - offset) as usize, (part.to - offset) as usize);
    match to - from == data.len() {
        true => std::mem::replace(data, Cow::Borrowed(&[])),
        false => Cow::Borrowed(&data[from..to]),
    }
}
