//! The state of a machine's devices, as QEMU's stream has it, and whether a machine can load it without forgetting the
//! code that it has translated.
//!
//! When QEMU (TCG) loads the section `cpu_common` of a processor, it drops all translated code, and a guest needs several
//! times as long for its first steps. That section has two numbers: whether the processor is halted, and which
//! interrupts are on their way to it. Before QEMU loads a state it resets the machine; the first processor then runs, and
//! nothing is on its way. A halted processor that runs is what hardware may do at any time: the guest halts it again. So
//! where nothing was on its way to the only processor, its section can be left out.

use std::ops::Range;

use memchr::memmem;

/// What the section begins with: the length of its name, and the name.
const NAME: &[u8] = b"\x0acpu_common";
/// A section that is whole; a number of 32 bits for it follows.
const FULL: u8 = 4;
/// The end of a section; its number follows.
const FOOTER: u8 = 0x7e;
/// The bytes of a number.
const WORD: usize = 4;

/// What the stream says of the processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Processors {
    /// There is one, and nothing is on its way to it: this section can be left out.
    Quiet(Range<usize>),
    /// There is one, and an interrupt is on its way to it.
    Interrupted,
    /// There are several, or the section is of a kind that we do not know.
    Others,
}

impl Processors {
    /// Looks for them in the stream of a machine.
    pub(super) fn of(stream: &[u8]) -> Self {
        let mut found = memmem::find_iter(stream, NAME);
        let (Some(at), None) = (found.next(), found.next()) else {
            return Self::Others;
        };
        match section(stream, at) {
            Some((section, 0)) => Self::Quiet(section),
            Some(_) => Self::Interrupted,
            None => Self::Others,
        }
    }
}

/// Where the section is whose name stands at `at`, and which interrupts are on their way.
fn section(stream: &[u8], at: usize) -> Option<(Range<usize>, u32)> {
    let start = at.checked_sub(1 + WORD)?;
    let number = stream.get(start + 1..at)?;
    let mut rest = stream.get(at + NAME.len()..)?;
    let mut next = || {
        let (word, after) = rest.split_first_chunk::<WORD>()?;
        rest = after;
        Some(u32::from_be_bytes(*word))
    };
    let [instance, version, halted, interrupts] = [next()?, next()?, next()?, next()?];
    let footer = rest.get(..=WORD)?;
    let is_known = stream[start] == FULL && instance == 0 && version == 1 && halted <= 1;
    let ends = footer[0] == FOOTER && footer[1..] == *number;
    let end = at + NAME.len() + 4 * WORD + footer.len();
    (is_known && ends).then_some((start..end, interrupts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processor(halted: u32, interrupts: u32) -> Vec<u8> {
        let words = |words: &[u32]| {
            words
                .iter()
                .flat_map(|w| w.to_be_bytes())
                .collect::<Vec<_>>()
        };
        let head = [&[FULL][..], &words(&[5]), NAME].concat();
        let data = words(&[0, 1, halted, interrupts]);
        [head, data, vec![FOOTER], words(&[5])].concat()
    }

    #[test]
    fn section_of_a_quiet_processor_is_found_whole() {
        let section = processor(1, 0);
        let stream = [b"before", &section[..], b"after"].concat();
        let range = 6..6 + section.len();
        assert_eq!(Processors::of(&stream), Processors::Quiet(range));
        assert_eq!(Processors::of(&processor(0, 2)), Processors::Interrupted);
    }

    #[test]
    fn section_that_is_not_known_stays() {
        let one = processor(0, 0);
        let mut longer = one.clone();
        longer.insert(one.len() - 5, 5);
        let cut = &one[..one.len() - 1];
        for stream in [&[one.clone(), one.clone()].concat(), &longer, cut, b""] {
            assert_eq!(Processors::of(stream), Processors::Others);
        }
    }
}
