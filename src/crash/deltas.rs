//! Sums that tell contents apart: each sector of a content that is not zero counts with a number made of
//! its data and its place, so that what changes in a content changes its sum by what it costs alone.
//!
//! All sums are differences to the base. Two contents with the same sum are taken for the same: of a
//! million of them two differ and have one sum with a probability of 1 in 10^26.

use std::io;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::base::Base;
use super::history::{History, Request};
use crate::storage::write_log::WriteLog;

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;

/// For each request, by how much it changes the sum.
#[derive(Debug)]
pub struct Deltas(Vec<Prefix>);

/// Sums over the first sectors of a request.
#[derive(Debug)]
enum Prefix {
    /// Of each sector and those before it.
    Data(Vec<u128>),
    /// Of the sectors of the base that a discard made zeros: each that was not zero, with the sum up to
    /// it.
    Discard(Vec<(u64, u128)>),
}

impl Deltas {
    /// Reads all data of `log`, and what they overwrite of `base`. Tells `progress` how many requests are done.
    pub fn of(
        history: &History,
        log: &WriteLog,
        base: &Base,
        mut progress: impl FnMut(usize),
    ) -> io::Result<Self> {
        let prefix = |(number, request): (usize, &Request)| {
            progress(number);
            match request.data_at {
                Some(at) => data_prefix(request, at, log, base),
                None => discard_prefix(request, base),
            }
        };
        let requests = history.requests.iter().enumerate();
        requests.map(prefix).collect::<io::Result<_>>().map(Self)
    }

    /// By how much `request`, whose first sector is `start`, changes the sum where `sectors` are its.
    pub fn of_part(&self, request: usize, start: u64, sectors: &Range<u64>) -> u128 {
        let upto = |sector: u64| match &self.0[request] {
            Prefix::Data(sums) => match (sector - start) as usize {
                0 => 0,
                n => sums[n - 1],
            },
            Prefix::Discard(sums) => {
                let n = sums.partition_point(|(at, _)| *at < sector);
                if n == 0 { 0 } else { sums[n - 1].1 }
            }
        };
        upto(sectors.end).wrapping_sub(upto(sectors.start))
    }
}

fn of_sector(data: &[u8], sector: u64) -> u128 {
    match data.iter().all(|byte| *byte == 0) {
        true => 0,
        false => xxh3_128_with_seed(data, sector),
    }
}

/// Calls `each` with the data of each sector in `range`, read with `read`.
fn for_each_sector(
    range: &Range<u64>,
    read: impl Fn(&mut [u8], u64) -> io::Result<()>,
    mut each: impl FnMut(u64, &[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK as usize];
    let mut at = range.start;
    while at < range.end {
        let n = (range.end - at).min(CHUNK / 512);
        let buffer = &mut buffer[..(n * 512) as usize];
        read(buffer, at)?;
        for (sector, data) in (at..).zip(buffer.chunks_exact(512)) {
            each(sector, data);
        }
        at += n;
    }
    Ok(())
}

fn data_prefix(request: &Request, data_at: u64, log: &WriteLog, base: &Base) -> io::Result<Prefix> {
    let start = request.sectors.start;
    let mut sums = Vec::with_capacity((request.sectors.end - start) as usize);
    let of_log = |buffer: &mut [u8], at: u64| log.read_at(buffer, data_at + (at - start) * 512);
    for_each_sector(&request.sectors, of_log, |sector, data| {
        sums.push(of_sector(data, sector));
    })?;
    let mut total = 0_u128;
    let of_base = |buffer: &mut [u8], at: u64| base.read_at(buffer, at * 512);
    for_each_sector(&request.sectors, of_base, |sector, data| {
        let sum = &mut sums[(sector - start) as usize];
        total = total
            .wrapping_add(*sum)
            .wrapping_sub(of_sector(data, sector));
        *sum = total;
    })?;
    Ok(Prefix::Data(sums))
}

fn discard_prefix(request: &Request, base: &Base) -> io::Result<Prefix> {
    let (mut sums, mut total) = (Vec::new(), 0_u128);
    let mut at = request.sectors.start;
    while let Some(start) = base
        .next_data(at)?
        .filter(|start| *start < request.sectors.end)
    {
        at = request.sectors.end.min(start + CHUNK / 512);
        let of_base = |buffer: &mut [u8], at: u64| base.read_at(buffer, at * 512);
        for_each_sector(&(start..at), of_base, |sector, data| {
            let sum = of_sector(data, sector);
            if sum != 0 {
                total = total.wrapping_sub(sum);
                sums.push((sector, total));
            }
        })?;
    }
    Ok(Prefix::Discard(sums))
}
