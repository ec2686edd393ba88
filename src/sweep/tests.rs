//! Sweeps over a program that is made up: what has a turn, what is noticed, and what a sweep says.

use std::time::Duration;

use super::*;
use crate::fault::Rule;
use crate::protocol::{Answered, Completion, Errno, Note, Noted, Op, TraceLine, Verdict};

/// What the program does next.
#[derive(Clone, Copy)]
enum Step {
    Write(u64),
    Read(u64),
    Flush,
    Mark(&'static str),
}
use Step::{Flush, Mark, Read, Write};

/// A program that stops at the first error, and fails if it was at one of `bad`.
struct Program {
    steps: fn(u64) -> Vec<Step>,
    bad: Vec<u64>,
    rule: Option<Rule>,
    order: Order,
    watched: Option<Watched>,
    begun: Vec<u64>,
    clock: u64,
}

fn order(fault: &str, op: &str) -> Order {
    Order {
        fault: SweptFault::new(fault, Some(op), None, false).unwrap(),
        from: None,
        thinning: Thinning::default(),
        lasts: None,
        who: "the function",
    }
}

fn program(order: &Order, bad: &[u64], steps: fn(u64) -> Vec<Step>) -> Program {
    Program {
        steps,
        bad: bad.to_vec(),
        rule: None,
        order: order.clone(),
        watched: None,
        begun: Vec::new(),
        clock: 0,
    }
}

fn answered(op: Op, sector: u64, at: u64, rule: Option<&Rule>) -> TraceLine<'static> {
    TraceLine::Answered(Answered {
        sequence: at,
        time: Duration::from_micros(100 * at + 50),
        op,
        sector,
        count: u64::from(op != Op::Flush),
        verdict: Verdict {
            effects: Vec::new(),
            completion: match rule {
                Some(_) => Completion::Injected(Errno::EIO),
                None => Completion::Done,
            },
        },
        latency: Duration::from_micros(50),
        rules: rule.map_or("-".to_owned(), Rule::to_string).into(),
    })
}

impl Subject for Program {
    type Error = ();

    fn begin(&mut self, k: u64, rule: &Rule) -> Result<(), ()> {
        self.begun.push(k);
        self.rule = Some(rule.clone());
        let observed = Observed::new(&self.order.fault, self.order.from.as_deref());
        self.watched = Some(Watched {
            matched: 0,
            fired: 0,
            observed,
        });
        Ok(())
    }

    fn run(&mut self, k: u64) -> Result<Option<String>, ()> {
        let (rule, watched) = (self.rule.as_ref().unwrap(), self.watched.as_mut().unwrap());
        for (step, at) in (self.steps)(k).into_iter().zip(1..) {
            let (op, sector) = match step {
                Write(sector) => (Op::Write, sector),
                Read(sector) => (Op::Read, sector),
                Flush => (Op::Flush, 0),
                Mark(text) => {
                    watched.observed.note(&TraceLine::Noted(Noted {
                        sequence: at,
                        time: Duration::from_micros(100 * at),
                        note: Note::Mark(text.to_owned()),
                    }));
                    continue;
                }
            };
            watched.matched += u64::from(rule.ops.contains(op));
            let fails = rule.ops.contains(op) && watched.matched > rule.skip;
            watched.fired += u64::from(fails);
            let rule = fails.then_some(rule);
            watched.observed.note(&answered(op, sector, at, rule));
            if fails {
                let is_bad = self.bad.contains(&k);
                return Ok(is_bad.then(|| format!("left a lock\nat {k}")));
            }
        }
        Ok((k == 0 && self.bad.contains(&0)).then(|| "broken".to_owned()))
    }

    fn end(&mut self, _: u64) -> Result<Watched, ()> {
        Ok(self.watched.take().unwrap())
    }

    fn judge(&mut self, _: u64, wrong: Option<String>, _: bool) -> Result<Judgement, ()> {
        self.clock += 10;
        Ok(Judgement {
            wrong,
            states: None,
        })
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.clock)
    }
}

fn steps(_: u64) -> Vec<Step> {
    vec![
        Read(0),
        Write(8),
        Flush,
        Write(16),
        Mark("m"),
        Write(24),
        Flush,
    ]
}

fn swept(order: &Order, program: &mut Program) -> Swept {
    match sweep(program, order, |_, _, _| ()) {
        Ok(swept) => swept,
        Err(SweepError::Nothing(why) | SweepError::Wrong(why)) => panic!("{why}"),
        Err(SweepError::Subject(())) => panic!("the program cannot go on"),
    }
}

fn nothing(order: &Order, program: &mut Program) -> String {
    match sweep(program, order, |_, _, _| ()) {
        Err(SweepError::Nothing(why)) => why,
        _ => panic!("the sweep has a result"),
    }
}

#[test]
fn each_request_fails_once_and_the_bad_ones_are_named() {
    let order = order("error errno=EIO", "write,flush");
    let mut program = program(&order, &[2, 5], steps);
    let swept = swept(&order, &mut program);
    assert_eq!(program.begun, [0, 1, 2, 3, 4, 5]);
    assert_eq!(swept.requests, 5);
    assert_eq!(swept.notes, [""; 0]);
    let requests: Vec<_> = swept.points.iter().map(Point::request).collect();
    assert_eq!(
        requests,
        ["write 8+1", "flush", "write 16+1", "write 24+1", "flush"]
    );
    assert_eq!(swept.failed(), [2, 5]);
    let text = swept.text(|k| format!("only = {k}"));
    assert_eq!(
        text,
        "2 of 5 points failed: k=2,5 (`error op=write,flush errno=EIO`, 5 requests)\n     \
         2  flush  FAIL  left a lock\n     5  flush  FAIL  left a lock\nagain: only = 2"
    );
}

#[test]
fn progress_counts_the_turns_that_are_over() {
    let order = order("error", "write");
    let mut told = Vec::new();
    let swept = sweep(
        &mut program(&order, &[], steps),
        &order,
        |point, done, of| {
            told.push((point.k, done, of));
        },
    );
    assert!(swept.is_ok_and(|swept| swept.failed().is_empty()));
    assert_eq!(told, [(1, 1, 3), (2, 2, 3), (3, 3, 3)]);
}

#[test]
fn turns_begin_behind_the_mark() {
    let order = Order {
        from: Some("m".into()),
        ..order("error", "write")
    };
    let swept_here = swept(&order, &mut program(&order, &[], steps));
    let requests: Vec<_> = swept_here.points.iter().map(Point::request).collect();
    assert_eq!(requests, ["write 24+1"]);
    assert_eq!(swept_here.notes, [""; 0]);
    let order = Order {
        from: Some("other".into()),
        ..order
    };
    let said = nothing(&order, &mut program(&order, &[], steps));
    assert!(
        said.contains("the function has set no mark `other`"),
        "{said}"
    );
}

#[test]
fn one_run_shows_all_of_what_was_wrong() {
    let only = Some(3);
    let order = Order {
        thinning: Thinning {
            only,
            ..Thinning::default()
        },
        ..order("error", "write")
    };
    let text = swept(&order, &mut program(&order, &[3], steps)).text(|k| k.to_string());
    assert!(text.ends_with("\nk=3: left a lock\nat 3"), "{text}");
}

#[test]
fn nothing_to_sweep_says_what_was_seen() {
    let discards = order("error", "discard,zero");
    let said = nothing(&discards, &mut program(&discards, &[], steps));
    assert_eq!(
        said,
        "no request matches `error op=discard,zero`: the function made 1 read, 3 writes, 2 flushes and \
         no discard or zero"
    );
    let silent = nothing(&discards, &mut program(&discards, &[], |_| Vec::new()));
    assert!(silent.ends_with("the function made no request"), "{silent}");
    let said = nothing(&discards, &mut program(&discards, &[0], steps));
    assert_eq!(
        said,
        "the function fails without any fault, so there is nothing to sweep: broken"
    );
}

#[test]
fn run_with_fewer_requests_ends_the_sweep() {
    let order = order("error", "write");
    let fewer = |k| match k {
        0..=2 => steps(k),
        _ => vec![Write(8)],
    };
    let swept = swept(&order, &mut program(&order, &[1], fewer));
    assert_eq!(swept.points.len(), 2);
    assert_eq!(swept.planned, 3);
    assert_eq!(
        swept.notes,
        ["the sweep ended at k=3: this run made 1 request of 3"]
    );
    assert_eq!(swept.failed(), [1], "what was found stays found");
}

#[test]
fn runs_that_differ_are_noticed() {
    let order = order("error", "write");
    let other = |k| match k {
        2 => vec![Write(8), Write(99), Write(24)],
        _ => steps(k),
    };
    let swept = swept(&order, &mut program(&order, &[], other));
    let [note] = &swept.notes[..] else {
        panic!("{:?}", swept.notes)
    };
    assert!(
        note.contains("do not make the same requests: at k=2"),
        "{note}"
    );
}

#[test]
fn fault_at_another_place_than_its_turn_is_noticed() {
    let order = Order {
        from: Some("m".into()),
        ..order("error", "write")
    };
    // The mark comes a request earlier in later runs.
    let moved = |k| match k {
        0 => steps(k),
        _ => vec![Write(8), Mark("m"), Write(16), Write(24)],
    };
    let swept = swept(&order, &mut program(&order, &[], moved));
    let note = swept.points[0].note.as_deref();
    assert_eq!(
        note,
        Some("this run made 1 request before the mark, and the first run 2")
    );
}

#[test]
fn requests_side_by_side_may_have_come_in_either_order() {
    let order = order("error", "write");
    let mut observed = Observed::new(&order.fault, None);
    let rule = order.fault.rule(1, None);
    let at = |sector, answered: u64, latency, rule| match self::answered(Op::Write, sector, 0, rule)
    {
        TraceLine::Answered(request) => TraceLine::Answered(Answered {
            time: Duration::from_micros(answered),
            latency: Duration::from_micros(latency),
            ..request
        }),
        other => other,
    };
    observed.note(&at(0, 100, 50, None));
    observed.note(&at(8, 250, 100, Some(&rule)));
    observed.note(&at(16, 300, 120, None));
    observed.note(&at(24, 400, 50, None));
    let faulted = observed.faulted().next().unwrap();
    assert_eq!(observed.places(faulted), 2..=3);
}

#[test]
fn numbers_in_a_row_are_a_range() {
    assert_eq!(numbers(&[]), "");
    assert_eq!(numbers(&[1, 2, 3, 7, 9, 10]), "1-3,7,9,10");
}
