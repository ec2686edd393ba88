//! Corrupting the data of a request, in memory.

use std::collections::BTreeSet;

use crate::fault::{FiredChange, How, Random};
use crate::protocol::names::SECTOR;

/// The pieces of a request that a rule changes, counted from its start.
fn pieces(fired: &FiredChange, offset: u64, len: usize) -> Vec<(usize, usize)> {
    let pieces = fired.pieces.within(offset, offset + len as u64);
    pieces
        .map(|(from, to)| ((from - offset) as usize, (to - offset) as usize))
        .collect()
}

/// Corrupts those pieces of the data of a request that the rule changes. The request begins at `offset`.
pub(super) fn corrupt(data: &mut [u8], offset: u64, how: How, fired: &FiredChange) {
    let pieces = &pieces(fired, offset, data.len());
    let mut random = fired.random.clone();
    match how {
        How::Flip(bits) if fired.rule.rule.per_sector => {
            for (from, to) in pieces {
                for sector in data[*from..*to].chunks_mut(SECTOR as usize) {
                    let all = (0, sector.len());
                    flip(sector, &[all], bits, &mut random);
                }
            }
        }
        How::Flip(bits) => flip(data, pieces, bits, &mut random),
        How::Zero => fill(data, pieces, |piece| piece.fill(0)),
        How::Fill(byte) => fill(data, pieces, |piece| piece.fill(byte)),
        How::Random => fill(data, pieces, |piece| {
            for part in piece.chunks_mut(8) {
                part.copy_from_slice(&random.draw().to_le_bytes()[..part.len()]);
            }
        }),
    }
}

fn fill(data: &mut [u8], pieces: &[(usize, usize)], mut fill: impl FnMut(&mut [u8])) {
    for (from, to) in pieces {
        fill(&mut data[*from..*to]);
    }
}

/// Flips `bits` different bits of all pieces together, or all bits if there are fewer.
fn flip(data: &mut [u8], pieces: &[(usize, usize)], bits: u32, random: &mut Random) {
    let all = pieces.iter().map(|(from, to)| (to - from) as u64 * 8).sum();
    let mut chosen = BTreeSet::new();
    while (chosen.len() as u64) < u64::from(bits).min(all) {
        chosen.insert(random.below(all));
    }
    let (mut pieces, mut before) = (pieces.iter(), 0);
    let mut piece = pieces.next();
    for bit in chosen {
        while let Some((from, to)) = piece
            && bit >= before + (to - from) as u64 * 8
        {
            before += (to - from) as u64 * 8;
            piece = pieces.next();
        }
        if let Some((from, _)) = piece {
            let bit = bit - before;
            data[from + (bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}
