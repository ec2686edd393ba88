//! The I/O of a request: the one place where requests meet the image. Rules that change data or place act
//! on the way there and back.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::apply::{Applied, Done};
use super::context::RequestContext;
use super::corrupt::{corrupt, pieces};
use super::request::{Answer, Reply, Request, owned};
use crate::disk::cache::entry::erase;
use crate::disk::device::Disk;
use crate::fault::{Change, FiredChange, Outcome};
use crate::storage::{Image, with_buffer};

impl Disk {
    /// Does the I/O on this thread, as rules have decided, and answers.
    pub(super) fn serve<R: Reply>(
        self: &Arc<Self>,
        request: &Request<'_>,
        outcome: Outcome,
        context: RequestContext<R>,
    ) {
        let applied = match Applied::new(self, context.range, outcome) {
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
        match (result, applied.afterwards()) {
            (Ok(()), Some(errno)) => self.answer_injected(errno, context),
            (result, _) => {
                let result = result.map(|()| Answer::Done(context.range.len));
                self.answer(request, result, Done::Served(applied), context);
            }
        }
    }

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
                let n = self.image.read_at(buffer, applied.place(offset))?;
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
                self.snapshots.preserve(offset, len)?;
                image.discard(offset, len)
            }
            Request::Zero {
                offset,
                len,
                keep_size,
            } => {
                self.snapshots.preserve(offset, len)?;
                image.write_zeroes(offset, len, keep_size)?;
                self.learn_growth(offset, len, keep_size);
                Ok(())
            }
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
                self.snapshots.preserve(offset, len)?;
                erase(image, offset, len)
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

    pub(super) fn learn_growth(&self, offset: u64, len: u64, keep_size: bool) {
        if !keep_size {
            self.sizes.learn_end(offset.saturating_add(len));
        }
    }

    /// Writes `data` as rules change it, and notes where the disk then differs from the client's belief. `put`
    /// stores bytes at a place; it says how many it has stored, and why these are not all.
    pub(super) fn write(
        &self,
        data: &[u8],
        offset: u64,
        applied: &Applied,
        put: impl FnOnce(Cow<'_, [u8]>, u64) -> (usize, io::Result<()>),
    ) -> io::Result<()> {
        let (place, kept) = (applied.place(offset), applied.kept(data.len() as u64));
        let mut changed = Cow::Borrowed(data);
        for fired in &applied.changes {
            match fired.change {
                Change::Corrupt(how) => {
                    let mut own = owned(changed)?;
                    let pieces = pieces(&fired.rule, offset, data.len());
                    corrupt(&mut own, &pieces, how, &fired.random);
                    changed = Cow::Owned(own);
                }
                Change::Misdirect(_) | Change::Stale => {}
            }
        }
        self.snapshots.preserve(place, kept)?;
        let (done, result) = put(first(changed, kept as usize), place);
        self.sizes.learn_end(place + done as u64);
        self.note_corrupted(offset, done, applied);
        if result.is_ok() {
            self.note_unwritten(offset, data.len() as u64, applied);
        }
        if let Some(rule) = applied.misdirection() {
            self.damage.record(place, done as u64, "overwritten", rule);
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
        for FiredChange {
            change,
            random,
            rule,
        } in &applied.changes
        {
            let pieces = pieces(rule, offset, data.len());
            match change {
                Change::Corrupt(how) => corrupt(data, &pieces, *how, random),
                Change::Stale => {
                    for (from, to) in pieces {
                        data[from..to].copy_from_slice(&image[from..to]);
                        let place = applied.place(offset) + from as u64;
                        self.snapshots.overlay(rule, &mut data[from..to], place);
                    }
                }
                Change::Misdirect(_) => {}
            }
        }
        Ok(())
    }
}

/// The first `len` bytes of `data`.
fn first(data: Cow<'_, [u8]>, len: usize) -> Cow<'_, [u8]> {
    match data {
        Cow::Borrowed(data) => Cow::Borrowed(&data[..len]),
        Cow::Owned(mut data) => {
            data.truncate(len);
            Cow::Owned(data)
        }
    }
}
