//! Which lines of a trace are shown.

use std::time::Duration;

use clap::Args;

use crate::fault::{Op, Ops, Sectors, parse_sectors, sectors_meant};
use crate::protocol::names::SECTOR;
use crate::protocol::{Answered, Completion};
use crate::units::duration::parse_duration;
use crate::units::nearest;
use crate::units::text::readable;

/// The filters of the command line; all that are given must hold. Marks and events of disks pass.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only requests of these kinds: a list of read, write, flush, discard, zero
    #[arg(long, value_name = "OP,...", value_parser = parse_ops)]
    op: Option<Ops>,
    /// Only requests that overlap these sectors
    #[arg(long, value_name = "START+COUNT,...", value_parser = parse_at)]
    at: Option<Ranges>,
    /// Only requests on which a rule acted
    #[arg(long)]
    faults: bool,
    /// Only requests that were answered with an error, injected or of the host
    #[arg(long)]
    errors: bool,
    /// Only requests on which a rule with this tag acted
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only requests that took longer than this
    #[arg(long, value_name = "DURATION", value_parser = parse_time)]
    slower: Option<Duration>,
}

/// Ranges of sectors.
#[derive(Clone, Debug)]
struct Ranges(Vec<Sectors>);

fn parse_ops(text: &str) -> Result<Ops, String> {
    let op = |name| {
        Op::named(name).ok_or_else(|| {
            let known = Op::ALL.map(Op::name);
            let nearest = nearest(name, known.into_iter());
            format!(
                "`{}` is not a kind of request{nearest} (valid: {})",
                readable(name),
                known.join(", ")
            )
        })
    };
    let ops: Vec<Op> = text.split(',').map(op).collect::<Result<_, _>>()?;
    Ok(Ops::of(&ops))
}

fn parse_at(text: &str) -> Result<Ranges, String> {
    let valid = "sectors as START+COUNT, with commas between ranges, as in 2048+8";
    let ranges = parse_sectors(text).map(Ranges);
    ranges.ok_or_else(|| format!("valid: {valid}{}", sectors_meant(text)))
}

/// A time with its unit.
pub(in crate::cli) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text);
    time.ok_or_else(|| "valid: a time with its unit, as in 200us, 50ms, 1.5s, 2m".to_owned())
}

impl Filter {
    /// Whether the line of this request is shown.
    pub(super) fn passes(&self, request: &Answered<'_>) -> bool {
        let touches = |at: &Ranges| at.0.iter().any(|at| overlaps(*at, request));
        let is_error = request.verdict.completion != Completion::Done;
        let injected = matches!(request.verdict.completion, Completion::Injected(_));
        let acted = injected || !request.verdict.effects.is_empty();
        self.op.is_none_or(|ops| ops.contains(request.op))
            && self.at.as_ref().is_none_or(touches)
            && (acted || !self.faults)
            && (is_error || !self.errors)
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| has_tag(&request.rules, tag))
            && self.slower.is_none_or(|time| request.latency > time)
    }
}

fn overlaps(at: Sectors, request: &Answered<'_>) -> bool {
    let (start, end) = at.bytes();
    let first = request.sector.saturating_mul(SECTOR);
    let last = first.saturating_add(request.count.saturating_mul(SECTOR));
    first < end && start < last
}

/// Whether one of `rules`, as a trace shows them, has this tag.
fn has_tag(rules: &str, tag: &str) -> bool {
    let mut words = rules.split([' ', ';']);
    words.any(|word| word.strip_prefix("tag=") == Some(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filter: Filter,
    }

    fn shown(options: &str, line: &str) -> bool {
        let words = std::iter::once("x").chain(options.split_whitespace());
        let line: Answered<'_> = line.parse().unwrap();
        Line::try_parse_from(words).unwrap().filter.passes(&line)
    }

    #[test]
    fn filter_passes_requests_for_which_all_options_hold() {
        let read = "1 12.0 read 8 2 delayed+EIO 51.000ms slow; eio_read tag=bad";
        let flush = "2 12.0 flush 0 0 ok 0.100ms -";
        let host = "3 12.0 write 9 1 host:EIO 1.000ms -";
        let delayed = "4 12.0 read 7 1 delayed 50.000ms slow tag=bad2; slow";
        for (options, expected) in [
            ("", [true, true, true, true]),
            ("--op read", [true, false, false, true]),
            ("--op write,flush", [false, true, true, false]),
            ("--at 9+1", [true, false, true, false]),
            ("--at 0+8,100+1", [false, false, false, true]),
            ("--at 4608+512,4608B+1k,1M+1", [true, false, true, false]),
            ("--at 0+9", [true, false, false, true]),
            ("--faults", [true, false, false, true]),
            ("--errors", [true, false, true, false]),
            ("--faults --errors", [true, false, false, false]),
            ("--tag bad", [true, false, false, false]),
            ("--slower 50ms", [true, false, false, false]),
            ("--slower 1ms", [true, false, false, true]),
        ] {
            let found = [read, flush, host, delayed].map(|line| shown(options, line));
            assert_eq!(found, expected, "{options}");
        }
    }

    #[test]
    fn filter_that_is_none_is_explained() {
        let said = |words: &[&str]| {
            let words = [&["x"], words].concat();
            Line::try_parse_from(words).err().unwrap().to_string()
        };
        assert!(said(&["--op", "raed"]).contains("did you mean `read`?"));
        assert!(said(&["--at", "8"]).contains("START+COUNT"));
        assert!(said(&["--at", "8..9"]).contains("did you mean 8+2?"));
        assert!(said(&["--at", "end-8+8"]).contains("START+COUNT"));
        assert!(said(&["--slower", "50"]).contains("a time with its unit"));
    }
}
