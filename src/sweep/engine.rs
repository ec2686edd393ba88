//! One run after the other: first without a fault, then one for each turn.

use std::time::Duration;

use super::fault::SweptFault;
use super::observed::Observed;
use super::point::{Point, Request, StatesFound};
use super::report::{Swept, numbers};
use super::thinning::Thinning;
use crate::fault::Rule;
use crate::units::{counted, ordinal};

/// What is swept. A run without a fault has the number 0.
pub trait Subject {
    /// Why the sweep cannot go on.
    type Error;
    /// Goes back to where the sweep began, has `rule` armed, and begins to watch the disk.
    fn begin(&mut self, k: u64, rule: &Rule) -> Result<(), Self::Error>;
    /// Runs it once. Returns what went wrong.
    fn run(&mut self, k: u64) -> Result<Option<String>, Self::Error>;
    /// Disarms the rule. Returns what it did, and what the disk was asked.
    fn end(&mut self, k: u64) -> Result<Watched, Self::Error>;
    /// Judges the run with the result `wrong`, in which the fault has acted or has not.
    fn judge(
        &mut self,
        k: u64,
        wrong: Option<String>,
        acted: bool,
    ) -> Result<Judgement, Self::Error>;
    /// The time, from any moment on.
    fn now(&self) -> Duration;
}

/// What a sweep has seen of a run.
#[derive(Clone, Debug)]
pub struct Watched {
    /// How many requests matched the rule.
    pub matched: u64,
    /// How often it acted.
    pub fired: u64,
    /// What the trace shows.
    pub observed: Observed,
}

/// What becomes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What was wrong; None where all was well.
    pub wrong: Option<String>,
    /// The crash states, where each was checked.
    pub states: Option<StatesFound>,
}

/// What a sweep does.
#[derive(Clone, Debug)]
pub struct Order {
    /// What goes wrong, and with which requests.
    pub fault: SweptFault,
    /// The mark behind which requests have turns.
    pub from: Option<String>,
    /// Which of the requests have turns.
    pub thinning: Thinning,
    /// How long an armed rule may act.
    pub lasts: Option<Duration>,
    /// What makes the requests, for sentences: `the function`.
    pub who: &'static str,
}

/// Why there is no result.
#[derive(Debug)]
pub enum SweepError<E> {
    /// The subject cannot go on.
    Subject(E),
    /// There is nothing to sweep, for this reason.
    Nothing(String),
    /// The turn that was asked for does not exist.
    Wrong(String),
}

impl<E> From<E> for SweepError<E> {
    fn from(error: E) -> Self {
        Self::Subject(error)
    }
}

/// A run that is over.
struct Ran {
    watched: Watched,
    judgement: Judgement,
    took: Duration,
}

/// What the run without a fault has shown.
struct First {
    requests: u64,
    before: u64,
    in_order: Vec<Request>,
}

/// Runs `subject` for each turn. `each` is told of every one, with the number of those that are over, and of all.
pub fn sweep<S: Subject>(
    subject: &mut S,
    order: &Order,
    mut each: impl FnMut(&Point, u64, u64),
) -> Result<Swept, SweepError<S::Error>> {
    let began = subject.now();
    let first = first(subject, order)?;
    let turns = order.thinning.turns(first.requests);
    let turns = turns.map_err(SweepError::Wrong)?;
    let all = turns.len() as u64;
    let mut swept = Swept::new(order, first.requests, all);
    let mut others = Vec::new();
    for (k, done) in turns.into_iter().zip(1..) {
        let rule = order.fault.rule(first.before + k, order.lasts);
        let ran = run_once(subject, k, &rule)?;
        if ran.watched.fired == 0 {
            swept.ended = Some(order.ended(k, &ran, &first));
            break;
        }
        let point = order.point(k, ran, &first);
        if first.place(k) != point.request.as_ref() {
            others.push(k);
        }
        each(&point, done, all);
        swept.points.push(point);
    }
    swept.conclude(others, subject.now().saturating_sub(began));
    Ok(swept)
}

fn run_once<S: Subject>(subject: &mut S, k: u64, rule: &Rule) -> Result<Ran, S::Error> {
    let began = subject.now();
    subject.begin(k, rule)?;
    let wrong = subject.run(k)?;
    let watched = subject.end(k)?;
    let judgement = subject.judge(k, wrong, watched.fired > 0)?;
    Ok(Ran {
        watched,
        judgement,
        took: subject.now().saturating_sub(began),
    })
}

/// The run without a fault.
fn first<S: Subject>(subject: &mut S, order: &Order) -> Result<First, SweepError<S::Error>> {
    let rule = order.fault.counting(order.lasts);
    let ran = run_once(subject, 0, &rule)?;
    let who = order.who;
    if let Some(wrong) = ran.judgement.wrong {
        return Err(SweepError::Nothing(format!(
            "{who} fails without any fault, so there is nothing to sweep: {wrong}"
        )));
    }
    let Watched {
        matched, observed, ..
    } = ran.watched;
    let requests = match &order.from {
        None => matched,
        Some(mark) if observed.misses_the_mark() => {
            return Err(SweepError::Nothing(format!(
                "{who} has set no mark `{mark}`, behind which its requests would have turns"
            )));
        }
        Some(_) => observed.matching(),
    };
    if requests == 0 {
        return Err(SweepError::Nothing(order.nothing(&observed)));
    }
    Ok(First {
        requests,
        before: observed.before(),
        in_order: observed.in_order(),
    })
}

impl First {
    /// The request that had this turn.
    fn place(&self, k: u64) -> Option<&Request> {
        self.in_order.get(usize::try_from(k - 1).ok()?)
    }
}

impl Order {
    fn nothing(&self, observed: &Observed) -> String {
        let fault = self.fault.text();
        let behind = self.from.as_ref();
        let behind = behind.map(|mark| format!(" behind the mark `{mark}`"));
        format!(
            "no request matches `{fault}`: {} made {}{}",
            self.who,
            observed.made(),
            behind.unwrap_or_default()
        )
    }

    fn point(&self, k: u64, ran: Ran, first: &First) -> Point {
        let Judgement { wrong, states } = ran.judgement;
        let observed = &ran.watched.observed;
        let request = observed.faulted().next().map(|seen| seen.request.clone());
        Point {
            k,
            request,
            passed: wrong.is_none(),
            error: wrong.as_deref().map(first_line),
            whole: wrong,
            requests: self.requests(&ran.watched),
            seconds: ran.took.as_secs_f64(),
            states,
            note: self.doubt(k, &ran.watched, first),
        }
    }

    /// How many requests with a turn a run made.
    fn requests(&self, watched: &Watched) -> u64 {
        match self.from {
            None => watched.matched,
            Some(_) => watched.observed.matching(),
        }
    }

    /// What of a run is not as it should be: one fault, at the `k`th request.
    fn doubt(&self, k: u64, watched: &Watched, first: &First) -> Option<String> {
        let Watched {
            fired, observed, ..
        } = watched;
        let shown = observed.faulted().count() as u64;
        let once = !self.fault.is_persistent();
        if observed.lost() > 0 {
            let lines = counted(observed.lost(), "line");
            return Some(format!(
                "{lines} of the trace were lost: the place of the fault is not known"
            ));
        }
        if shown == 0 || (once && (shown != 1 || *fired != 1)) {
            return Some(format!(
                "the fault acted {}, and the trace shows it {}",
                times(*fired),
                times(shown)
            ));
        }
        if self.from.is_some() && observed.before() != first.before {
            return Some(format!(
                "this run made {} before the mark, and the first run {}",
                counted(observed.before(), "request"),
                first.before
            ));
        }
        let places = observed.places(observed.faulted().next()?);
        let is_known = self.fault.is_traceable() && !places.contains(&k);
        is_known.then(|| format!("the fault met the {} request", ordinal(*places.start())))
    }

    fn ended(&self, k: u64, ran: &Ran, first: &First) -> String {
        let made = counted(self.requests(&ran.watched), "request");
        let wrong = ran.judgement.wrong.as_deref().map(first_line);
        let wrong = wrong.map(|wrong| format!(" and failed without a fault ({wrong})"));
        format!(
            "the sweep ended at k={k}: this run made {made} of {}{}",
            first.requests,
            wrong.unwrap_or_default()
        )
    }
}

impl Swept {
    fn new(order: &Order, requests: u64, planned: u64) -> Self {
        Self {
            fault: order.fault.text().to_owned(),
            requests,
            planned,
            points: Vec::new(),
            ended: None,
            notes: Vec::new(),
            seconds: 0.0,
        }
    }

    /// `others` met another request than the first run made in that place.
    fn conclude(&mut self, others: Vec<u64>, took: Duration) {
        self.seconds = took.as_secs_f64();
        self.notes.extend(self.ended.clone());
        let noted = self.points.iter().filter_map(|point| {
            let note = point.note.as_ref()?;
            Some(format!("k={}: {note}", point.k))
        });
        self.notes.extend(noted);
        if !others.is_empty() {
            let made = self.points.iter().map(|point| point.requests);
            let (least, most) = (made.clone().min(), made.max());
            self.notes.push(format!(
                "the runs do not make the same requests: at k={} the request was not that of the first run, which \
                 made {}; the others made {} to {}",
                numbers(&others),
                self.requests,
                least.unwrap_or_default(),
                most.unwrap_or_default()
            ));
        }
    }
}

fn times(number: u64) -> String {
    match number {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
