//! All states at one point, and a sum for each that costs next to nothing.
//!
//! Sectors over which the same pieces compete are one class: whichever of its pieces survives last
//! decides what all of its sectors hold. So a state's sum needs one look at each class, however
//! many sectors there are.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;

use super::content::Content;
use super::deltas::Deltas;
use super::history::History;
use super::subset::Subset;

/// What survives or does not as one: sectors of a pending request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The number of its request.
    pub request: usize,
    /// Its sectors.
    pub sectors: Range<u64>,
}

/// Prints as `SECTOR+COUNT`.
impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sectors = &self.sectors;
        write!(f, "{}+{}", sectors.start, sectors.end - sectors.start)
    }
}

/// What is durable at a point, and all that may survive or not.
#[derive(Debug)]
pub struct Space {
    pieces: Vec<Piece>,
    classes: Vec<Class>,
    durable: u128,
}

/// Sectors over which the same pieces compete.
#[derive(Debug, Default)]
struct Class {
    /// Numbers of pieces, the last to be applied first, each with the sum of the sectors that it wins.
    pieces: Vec<(usize, u128)>,
    /// The sum of what is durable there.
    durable: u128,
}

impl Space {
    /// The states of `durable`, whose sum is `sum`, and any of `candidates`, in pieces of `tear` sectors.
    pub fn new(
        history: &History,
        deltas: &Deltas,
        durable: &Content,
        sum: u128,
        candidates: &[usize],
        tear: Option<u64>,
    ) -> Self {
        let pieces: Vec<_> = candidates
            .iter()
            .flat_map(|request| pieces_of(history, *request, tear))
            .collect();
        let classes = classes_of(&pieces, history, deltas, durable);
        Self {
            pieces,
            classes,
            durable: sum,
        }
    }

    /// All pieces, in the order in which they are applied.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The sum of the state in which `subset` of the pieces survives.
    pub fn sum(&self, subset: &Subset) -> u128 {
        let mut sum = self.durable;
        for class in &self.classes {
            if let Some((_, won)) = class.pieces.iter().find(|(piece, _)| subset.has(*piece)) {
                sum = sum.wrapping_add(*won).wrapping_sub(class.durable);
            }
        }
        sum
    }

    /// The content of that state, on top of `durable`.
    pub fn content(&self, durable: &Content, subset: &Subset) -> Content {
        let mut content = durable.clone();
        for (number, piece) in self.pieces.iter().enumerate() {
            if subset.has(number) {
                content.apply(piece.request, &piece.sectors);
            }
        }
        content
    }
}

/// Sorts the sectors of `pieces` by the pieces that compete over them.
fn classes_of(
    pieces: &[Piece],
    history: &History,
    deltas: &Deltas,
    durable: &Content,
) -> Vec<Class> {
    let mut classes: HashMap<Vec<usize>, Class> = HashMap::new();
    for (sectors, competing) in intervals(pieces) {
        for (part, last) in durable.segments(&sectors) {
            let is_later = |piece: &usize| last.is_none_or(|last| last < pieces[*piece].request);
            let competing: Vec<_> = competing.iter().copied().filter(is_later).collect();
            let delta = |request: usize| {
                deltas.of_part(request, history.requests[request].sectors.start, &part)
            };
            let wins = competing.iter().rev();
            let wins: Vec<_> = wins
                .map(|piece| (*piece, delta(pieces[*piece].request)))
                .collect();
            if !wins.is_empty() {
                let class = classes.entry(competing).or_default();
                class.add(&wins, last.map_or(0, delta));
            }
        }
    }
    classes.into_values().collect()
}

impl Class {
    /// Adds sectors, with the sum that each piece makes of them and that of what is durable there.
    fn add(&mut self, wins: &[(usize, u128)], durable: u128) {
        if self.pieces.is_empty() {
            self.pieces = wins.iter().map(|(piece, _)| (*piece, 0)).collect();
        }
        for ((_, total), (_, sum)) in self.pieces.iter_mut().zip(wins) {
            *total = total.wrapping_add(*sum);
        }
        self.durable = self.durable.wrapping_add(durable);
    }
}

/// The pieces of a request: of `tear` sectors each, from its beginning on. A discard is never torn: it is
/// a change of the disk's map.
fn pieces_of(history: &History, request: usize, tear: Option<u64>) -> Vec<Piece> {
    let of = &history.requests[request];
    let (start, end) = (of.sectors.start, of.sectors.end);
    let len = match (tear, of.data_at) {
        (Some(tear), Some(_)) => tear,
        _ => end - start,
    };
    let starts = (start..end).step_by(len as usize);
    let piece = |start: u64| Piece {
        request,
        sectors: start..end.min(start + len),
    };
    starts.map(piece).collect()
}

/// Ranges of sectors over each of which the same pieces lie, with their numbers.
fn intervals(pieces: &[Piece]) -> Vec<(Range<u64>, Vec<usize>)> {
    let edges = pieces
        .iter()
        .flat_map(|piece| [piece.sectors.start, piece.sectors.end]);
    let edges: Vec<_> = edges.collect::<BTreeSet<_>>().into_iter().collect();
    let mut over = vec![Vec::new(); edges.len()];
    for (number, piece) in pieces.iter().enumerate() {
        let first = edges.partition_point(|edge| *edge < piece.sectors.start);
        let last = edges.partition_point(|edge| *edge < piece.sectors.end);
        over[first..last]
            .iter_mut()
            .for_each(|over| over.push(number));
    }
    let ranges = edges.windows(2).map(|edges| edges[0]..edges[1]);
    ranges
        .zip(over)
        .filter(|(_, over)| !over.is_empty())
        .collect()
}
