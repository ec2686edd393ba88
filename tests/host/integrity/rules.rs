//! Rules at random, through a mount, against a model that is as simple as the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use provium::fault::{Action, At, Client, How, Op, Random, Rule, Start, Then, parse_rule};
use provium::os::sys;
use provium::protocol::RuleLine;
use provium::protocol::names::IOCTL_OWN_CALLS;

use super::{seed, setting};
use crate::harness::*;
use crate::write_log::raw::replay;
use crate::write_log::{base_of, log_of, start_log, stop_log};

const SECTOR: u64 = 512;
const SECTORS: u64 = 64;
/// Bytes of the disk when a set of rules is armed.
const SIZE: u64 = SECTORS * SECTOR;
const EIO: i32 = 5;

/// The result of a request: the data of a read, or an error number.
type End = Result<Vec<u8>, i32>;

/// A request of a client.
#[derive(Clone, Debug)]
enum Call {
    Read { is_direct: bool },
    Write { is_direct: bool, data: Vec<u8> },
    Flush,
    Discard,
    Zero { keeps_size: bool },
    Allocate { keeps_size: bool },
    Truncate,
}

impl Call {
    fn op(&self) -> Op {
        match self {
            Self::Read { .. } => Op::Read,
            Self::Write { .. } => Op::Write,
            Self::Flush => Op::Flush,
            Self::Discard => Op::Discard,
            Self::Zero { .. } | Self::Allocate { .. } | Self::Truncate => Op::Zero,
        }
    }
}

struct ModelRule {
    rule: Rule,
    matched: u64,
    fired: u64,
    /// The sectors that it is for; those that are drawn as the server says.
    sectors: Option<Vec<u64>>,
    /// The bad ones of them, each with how often a write was tried, if they heal.
    bad: Option<BTreeMap<u64, u64>>,
    healed: u64,
    refused: u64,
}

impl ModelRule {
    fn new(rule: Rule, line: &RuleLine) -> Result<Self, String> {
        let said = sectors_of(&rule);
        let sectors = match rule.draw {
            Some(draw) => {
                let disk = said.unwrap_or_else(|| (0..SECTORS).collect());
                let disk: BTreeSet<_> = disk.into_iter().filter(|at| *at < SECTORS).collect();
                let drawn = line.bad.clone().unwrap_or_default();
                let drawn = drawn
                    .into_iter()
                    .flat_map(|(start, count)| start..start + count);
                let drawn: Vec<_> = drawn.collect();
                let expected = draw.count.min(disk.len() as u64);
                if drawn.len() as u64 != expected || !drawn.iter().all(|at| disk.contains(at)) {
                    return Err(format!("{rule} has drawn {drawn:?} of {disk:?}"));
                }
                Some(drawn)
            }
            None if rule.heal.is_some() => Some(said.unwrap_or_else(|| (0..SECTORS).collect())),
            None => said,
        };
        let all = sectors.iter().flatten();
        let bad = rule.heal.map(|_| all.map(|sector| (*sector, 0)).collect());
        Ok(Self {
            rule,
            matched: 0,
            fired: 0,
            sectors,
            bad,
            healed: 0,
            refused: 0,
        })
    }

    /// The sectors that it is for now; None if it is for requests anywhere.
    fn scope(&self) -> Option<Vec<u64>> {
        match &self.bad {
            Some(bad) => Some(bad.keys().copied().collect()),
            None => self.sectors.clone(),
        }
    }

    /// Counts a try to write its bad sectors. Whether the request may be done.
    fn attempt(&mut self, request: &Request) -> bool {
        let (Some(heal), Some(bad)) = (self.rule.heal, &mut self.bad) else {
            return true;
        };
        let end = request.offset + request.len;
        let mut is_ready = true;
        for (sector, tried) in bad.iter_mut() {
            if sector * SECTOR < end && request.offset < (sector + 1) * SECTOR {
                *tried += 1;
                is_ready &= *tried >= heal.tries;
            }
        }
        let whole =
            |sector: &&u64| request.offset <= **sector * SECTOR && (**sector + 1) * SECTOR <= end;
        let needed = bad.keys().filter(whole).count() as u64;
        let left = heal.spares.map_or(u64::MAX, |spares| spares - self.healed);
        is_ready && (needed == 0 || needed <= left)
    }

    /// The sector has been written as a whole.
    fn heal(&mut self, sector: u64) {
        let heal = self.rule.heal.unwrap_or_default();
        let is_spare = heal.spares.is_none_or(|spares| self.healed < spares);
        let bad = self.bad.as_mut().filter(|_| is_spare);
        if bad.is_some_and(|bad| bad.remove(&sector).is_some()) {
            self.healed += 1;
        }
    }
}

/// The sectors of the rule's `at=`, on the disk as it is when rules are armed.
fn sectors_of(rule: &Rule) -> Option<Vec<u64>> {
    let range = |at: &At| {
        let start = match at.start {
            Start::Sector(sector) => sector as i64,
            Start::BeforeEnd(sectors) => SECTORS as i64 - sectors as i64,
        };
        (start..start + at.count as i64).filter_map(|sector| sector.try_into().ok())
    };
    let sectors = rule.at.iter().flat_map(range).collect();
    (!rule.at.is_empty()).then_some(sectors)
}

/// The simple model: a disk and its rules.
struct Model {
    bytes: Vec<u8>,
    rules: Vec<ModelRule>,
    /// The disk when the rules were armed.
    old: Vec<u8>,
}

/// The range of bytes of a request, and the rules that have counted it.
struct Request {
    op: Op,
    offset: u64,
    len: u64,
    client: Client,
    counted: Vec<bool>,
}

/// A rule that acts on a request, and on which sectors; None for all.
struct Firing {
    rule: Rule,
    sectors: Option<Vec<u64>>,
}

impl Firing {
    /// Whether it acts on the byte.
    fn has(&self, byte: u64) -> bool {
        has(self.sectors.as_deref(), byte)
    }
}

fn has(sectors: Option<&[u64]>, byte: u64) -> bool {
    sectors.is_none_or(|sectors| sectors.contains(&(byte / SECTOR)))
}

fn decides(action: &Action) -> bool {
    matches!(action, Action::Error(_) | Action::Lose | Action::Tear(..))
}

fn changes(action: &Action) -> bool {
    matches!(
        action,
        Action::Corrupt(_) | Action::Misdirect(_) | Action::Stale
    )
}

impl Model {
    /// The server shows the rules as `lines`.
    fn arm(&mut self, rules: &[Rule], lines: &[RuleLine]) -> Result<(), String> {
        self.rules.clear();
        self.old = self.bytes.clone();
        for rule in rules {
            if self.rules.iter().all(|other| other.rule != *rule) {
                let line = lines.get(self.rules.len()).ok_or("a rule is missing")?;
                let rule = ModelRule::new(rule.clone(), line)?;
                self.rules.push(rule);
            }
        }
        Ok(())
    }

    /// Whether the rule is for the client, and for now.
    fn is_active(&self, rule: &Rule, client: Client) -> bool {
        let has_fired = |tag: &String| {
            let mut rules = self.rules.iter();
            rules.any(|other| other.rule.tag.as_ref() == Some(tag) && other.fired > 0)
        };
        rule.when.as_ref().is_none_or(has_fired) && rule.client.is_none_or(|own| own == client)
    }

    /// The rule, if it acts on the request. Counts the request once.
    fn fires(&mut self, at: usize, request: &mut Request) -> Option<Firing> {
        let rule = self.rules[at].rule.clone();
        let end = request.offset + request.len;
        let scope = self.rules[at].scope();
        let is_in = |byte: u64| has(scope.as_deref(), byte);
        let is_for = scope.is_none() || (request.offset..end).any(is_in);
        let fits = rule
            .size
            .is_none_or(|size| (size.min..=size.max).contains(&request.len));
        let has_sectors = !rule.per_sector || request.len > 0;
        let concerns = rule.ops.contains(request.op) && is_for && has_sectors && fits;
        if request.counted[at] || !concerns || !self.is_active(&rule, request.client) {
            return None;
        }
        request.counted[at] = true;
        let state = &mut self.rules[at];
        state.matched += 1;
        let taken =
            state.matched > rule.skip && (state.matched - rule.skip).is_multiple_of(rule.every);
        // A draw for the request, or for the distance to the next sector of those that it has as a whole.
        let mut random = Random::at(rule.seed.unwrap_or_default(), state.matched);
        let p = rule.probability.map(provium::units::Probability::get);
        let sectors = rule.per_sector.then(|| {
            let whole = |sector: &u64| {
                let (first, last) = (sector * SECTOR, sector * SECTOR + SECTOR - 1);
                first >= request.offset && last < end && is_in(first)
            };
            let sectors = (request.offset / SECTOR..=end / SECTOR).filter(whole);
            let mut left = passed_over(&mut random, p.unwrap_or(1.0));
            let drawn = sectors.filter(|_| match left {
                0 => {
                    left = passed_over(&mut random, p.unwrap_or(1.0));
                    true
                }
                _ => {
                    left -= 1;
                    false
                }
            });
            drawn.collect::<Vec<_>>()
        });
        let is_drawn = match (&sectors, p) {
            (Some(sectors), _) => !sectors.is_empty(),
            (None, Some(p)) => random.unit() < p,
            (None, None) => true,
        };
        let fires = taken && is_drawn && rule.times.is_none_or(|times| state.fired < times);
        state.fired += u64::from(fires);
        let sectors = sectors.or(scope);
        fires.then_some(Firing { rule, sectors })
    }

    /// The rules that act, among those for which `such` is true.
    fn firing(&mut self, request: &mut Request, such: impl Fn(&Action) -> bool) -> Vec<Firing> {
        let places = (0..self.rules.len()).filter(|at| such(&self.rules[*at].rule.action));
        let places: Vec<_> = places.collect();
        let fired = places.into_iter().filter_map(|at| self.fires(at, request));
        fired.collect()
    }

    fn first_firing(
        &mut self,
        request: &mut Request,
        such: impl Fn(&Action) -> bool,
    ) -> Option<Firing> {
        let places = (0..self.rules.len()).filter(|at| such(&self.rules[*at].rule.action));
        let places: Vec<_> = places.collect();
        places.into_iter().find_map(|at| self.fires(at, request))
    }

    /// Lets the request wait; an error if a hang ends with one.
    fn wait(&mut self, request: &mut Request) -> Result<(), i32> {
        loop {
            if !self
                .firing(request, |action| matches!(action, Action::Delay(..)))
                .is_empty()
            {
                continue;
            }
            let hang = self.first_firing(request, |action| matches!(action, Action::Hang(..)));
            match hang.map(|hang| hang.rule.action) {
                Some(Action::Hang(_, Then::Error(errno))) => return Err(errno.0),
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }

    fn call(&mut self, call: &Call, client: Client, offset: u64, len: u64) -> End {
        let size = self.bytes.len() as u64;
        let (mut offset, mut len) = (offset, len);
        match call {
            Call::Flush => (offset, len) = (0, 0),
            Call::Truncate if offset == size => return Ok(Vec::new()),
            Call::Truncate if offset > size => (offset, len) = (size, offset - size),
            Call::Truncate => len = size - offset,
            _ => {}
        }
        let op = call.op();
        let counted = vec![false; self.rules.len()];
        let mut request = Request {
            op,
            offset,
            len,
            client,
            counted,
        };
        self.wait(&mut request)?;
        let mut lost = vec![false; len as usize];
        let (mut keep, mut afterwards, mut is_decided) = (u64::MAX, None, false);
        let mut healers = Vec::new();
        for place in 0..self.rules.len() {
            let rule = self.rules[place].rule.clone();
            if rule.heal.is_some() && matches!(op, Op::Write | Op::Zero) {
                let is_active = self.is_active(&rule, client);
                let is_ready = is_active && self.rules[place].attempt(&request);
                match rule.action {
                    _ if is_ready => healers.push(place),
                    Action::Error(errno) if is_active && !is_decided => {
                        self.rules[place].refused += 1;
                        return Err(errno.0);
                    }
                    _ => {}
                }
                continue;
            }
            if is_decided || !decides(&rule.action) {
                continue;
            }
            let Some(firing) = self.fires(place, &mut request) else {
                continue;
            };
            match rule.action {
                Action::Error(errno) => return Err(errno.0),
                Action::Lose => {
                    for (n, lost) in (offset..).zip(&mut lost) {
                        *lost |= firing.has(n);
                    }
                    if lost.iter().all(|lost| *lost) {
                        return Ok(Vec::new());
                    }
                    continue;
                }
                Action::Tear(sectors, then) => {
                    keep = sectors * SECTOR;
                    if let Then::Error(errno) = then {
                        afterwards = Some(errno.0);
                    }
                }
                _ => {}
            }
            is_decided = true;
        }
        let acting = self.firing(&mut request, changes);
        let end = self.do_io(call, offset, len, keep, &lost, &acting, &healers)?;
        if let Some(errno) = afterwards {
            return Err(errno);
        }
        let late = match is_decided {
            true => None,
            false => self.first_firing(&mut request, |action| matches!(action, Action::Error(_))),
        };
        match late.map(|late| late.rule.action) {
            Some(Action::Error(errno)) => Err(errno.0),
            _ => Ok(end),
        }
    }

    /// Byte by byte: each goes where the rules that it is in the range of have it.
    #[allow(clippy::too_many_arguments)]
    fn do_io(
        &mut self,
        call: &Call,
        offset: u64,
        len: u64,
        keep: u64,
        lost: &[bool],
        acting: &[Firing],
        healers: &[usize],
    ) -> End {
        let size = self.bytes.len() as u64;
        let grows = matches!(call, Call::Truncate) && offset >= size;
        if let Call::Allocate { .. } | Call::Truncate = call
            && (grows || !matches!(call, Call::Truncate))
        {
            let keeps_size = matches!(call, Call::Allocate { keeps_size: true });
            let end = if keeps_size { size } else { offset + len };
            self.bytes.resize(size.max(end) as usize, 0);
            if grows {
                for sector in size.div_ceil(SECTOR)..end / SECTOR {
                    healers.iter().for_each(|at| self.rules[*at].heal(sector));
                }
            }
            return Ok(Vec::new());
        }
        // How many bytes of the latest sector have been written, one after the other.
        let mut run = 0;
        let (mut found, mut end) = (Vec::new(), Ok(()));
        for (n, at) in (offset..offset + len).enumerate() {
            if at.is_multiple_of(SECTOR) {
                run = 0;
            }
            if lost[n] || (call.op() == Op::Read && at >= size) {
                continue;
            }
            let own = acting.iter().filter(|firing| firing.has(at));
            let shifts = own.map(|firing| match firing.rule.action {
                Action::Misdirect(by) => by * SECTOR as i64,
                _ => 0,
            });
            let shift: i64 = shifts.sum();
            let place = at as i64 + shift;
            if shift != 0 && !(0..size as i64).contains(&place) {
                end = Err(EIO);
                continue;
            }
            let is_kept = (n as u64) < keep;
            let byte = match call {
                Call::Read { .. } => {
                    found.push(self.read_byte(at, shift, acting));
                    None
                }
                Call::Write { data, .. } => Some(corrupted(data[n], at, acting)),
                _ => Some(0),
            };
            let grows = matches!(call, Call::Write { .. } | Call::Zero { keeps_size: false });
            if let Some(byte) = byte.filter(|_| is_kept) {
                if grows && place as usize >= self.bytes.len() {
                    self.bytes.resize(place as usize + 1, 0);
                }
                if let Some(target) = self.bytes.get_mut(place as usize) {
                    *target = byte;
                }
                run += 1;
                if run == SECTOR && call.op() != Op::Discard {
                    let sector = place as u64 / SECTOR;
                    healers.iter().for_each(|at| self.rules[*at].heal(sector));
                }
            }
        }
        end.map(|()| found)
    }

    fn read_byte(&self, at: u64, shift: i64, acting: &[Firing]) -> u8 {
        let place = (at as i64 + shift) as usize;
        let mut byte = self.bytes[place];
        for firing in acting.iter().filter(|firing| firing.has(at)) {
            byte = match firing.rule.action {
                Action::Stale => self.old.get(place).copied().unwrap_or(0),
                _ => corrupted(byte, at, std::slice::from_ref(firing)),
            };
        }
        byte
    }
}

fn corrupted(byte: u8, at: u64, acting: &[Firing]) -> u8 {
    acting
        .iter()
        .filter(|firing| firing.has(at))
        .fold(byte, |byte, firing| match firing.rule.action {
            Action::Corrupt(How::Fill(to)) => to,
            Action::Corrupt(How::Flip(_)) => !byte,
            Action::Corrupt(_) => 0,
            _ => byte,
        })
}

/// How many sectors are passed over before one is drawn, where each is drawn with the probability `p`.
fn passed_over(random: &mut Random, p: f64) -> u64 {
    match p {
        0.0 => u64::MAX,
        1.0 => 0,
        p => (f64::ln_1p(-random.unit()) / f64::ln_1p(-p)).floor() as u64,
    }
}

fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len() as u64) as usize]
}

fn random_at(random: &mut Random) -> String {
    // More often at the end of the disk and after it than elsewhere.
    let start = match random.below(3) {
        0 => 58 + random.below(8),
        _ => random.below(64),
    };
    let more = match random.below(4) {
        0 => format!(",{}+{}", random.below(66), 1 + random.below(4)),
        _ => String::new(),
    };
    match random.below(6) {
        0 | 1 => String::new(),
        2 => format!(
            " at=end-{}+{}{more}",
            random.below(70),
            1 + random.below(12)
        ),
        _ => format!(" at={start}+{}{more}", 1 + random.below(12)),
    }
}

/// Any action but `cut`: the model knows no power, and all requests fail after a cut.
fn random_rule(random: &mut Random) -> Rule {
    let by = (random.below(24) as i64 - 12).to_string();
    let misdirect = match by.as_str() {
        "0" => "misdirect by=+50".to_owned(),
        by if by.starts_with('-') => format!("misdirect by={by}"),
        by => format!("misdirect by=+{by}"),
    };
    let actions = [
        "error",
        "error errno=ENOSPC op=write,flush",
        "error errno=111 op=discard,zero",
        "eio_read",
        "eio_write",
        "delay by=0us",
        "delay by=1us..5us op=read,flush",
        "hang max=0us then=ok",
        "hang max=1us then=ENXIO op=read",
        "hang max=0us op=write,zero",
        "lose",
        "lose op=write,zero",
        "tear keep=0",
        "tear keep=1",
        "tear keep=2 then=EIO",
        "corrupt how=zero",
        "corrupt how=fill byte=7 op=read",
        // All bits of a number, whatever its use.
        "corrupt how=flip bits=65536",
        &misdirect,
        &format!("{misdirect} op=read"),
        &format!("{misdirect} op=write,discard,zero"),
        "misdirect by=+60 op=discard,zero",
        "lose op=write,discard,zero",
        "lose op=write",
        "error heal=write",
        "error heal=write op=read,discard tries=2",
        "error errno=ENXIO heal=write spares=3",
        "error heal=write tries=2 spares=9",
        "stale",
        "stale",
        "stale",
    ];
    let action = one(random, &actions).to_owned();
    let counting = one(
        random,
        &[
            "",
            "",
            " skip=2",
            " every=3",
            " times=2",
            " skip=1 every=2 times=3",
            " p=0",
            " p=1",
            " p=0.5 seed=3",
            " p=0.2 per=sector seed=5",
            " p=0.7 per=sector seed=6 every=2",
            " p=0.4 per=sector seed=7 skip=1",
            " times=0",
        ],
    );
    let size = one(random, &["", "", "", "", " size=1K..2K", " size=..700"]);
    let when = one(random, &["", "", "", " when=a", " when=b"]);
    let tag = one(random, &["", "", " tag=a", " tag=b"]);
    let client = one(random, &["", "", "", " client=guest", " client=host"]);
    let drawn = one(
        random,
        &[
            "",
            "",
            "",
            "",
            " sectors=3 seed=4",
            " sectors=12 cluster=4 seed=5",
            " sectors=60",
        ],
    );
    // A rule has one seed.
    let drawn = if counting.contains("seed") { "" } else { drawn };
    let at = random_at(random);
    parse_rule(
        &format!("{action}{at}{size}{client}{drawn}{counting}{when}{tag}"),
        1,
    )
    .unwrap()
}

fn random_call(random: &mut Random) -> (Call, u64, u64) {
    let is_direct = random.below(2) == 0;
    let unit = if is_direct { SECTOR } else { 1 };
    let first = match random.below(3) {
        0 => SIZE - 8 * SECTOR + random.below(10 * SECTOR),
        _ => random.below(SIZE),
    };
    let offset = first / unit * unit;
    let len = (1 + random.below(6 * SECTOR)).next_multiple_of(unit);
    let call = match random.below(13) {
        0..4 => Call::Read { is_direct },
        4..8 => {
            let data = (0..len).map(|_| random.below(256) as u8).collect();
            Call::Write { is_direct, data }
        }
        8 => Call::Discard,
        9 => Call::Zero {
            keeps_size: random.below(3) > 0,
        },
        10 => Call::Truncate,
        11 => Call::Allocate {
            keeps_size: random.below(3) > 0,
        },
        _ => Call::Flush,
    };
    (call, offset, len)
}

/// A disk that is open twice by each client, with O_DIRECT and without.
struct Disk {
    mount: Mount,
    guest: Files,
    host: Files,
}

struct Files {
    buffered: File,
    direct: File,
}

impl Files {
    fn open(mount: &Mount, client: Client) -> Self {
        let files = Self {
            buffered: open_both_ways(mount),
            direct: open_direct(&mount.vda()),
        };
        if client == Client::Host {
            for file in [&files.buffered, &files.direct] {
                sys::ioctl_read_u64(file, u64::from(IOCTL_OWN_CALLS)).unwrap();
            }
        }
        files
    }
}

impl Files {
    fn call(&self, call: &Call, offset: u64, len: u64) -> End {
        const KEEP: i32 = libc::FALLOC_FL_KEEP_SIZE;
        let file = |is_direct: &bool| {
            if *is_direct {
                &self.direct
            } else {
                &self.buffered
            }
        };
        let zero = |mode| sys::fallocate(&self.buffered, mode, offset, len);
        let end = match call {
            Call::Read { is_direct } => {
                let mut data = vec![0xaa; len as usize];
                file(is_direct)
                    .read_at(&mut data, offset)
                    .map(|n| data[..n].to_vec())
            }
            Call::Write { is_direct, data } => {
                let written = file(is_direct).write_at(data, offset);
                written
                    .map(|n| assert_eq!(n, data.len()))
                    .map(|()| Vec::new())
            }
            Call::Flush => self.buffered.sync_data().map(|()| Vec::new()),
            Call::Discard => zero(libc::FALLOC_FL_PUNCH_HOLE | KEEP).map(|()| Vec::new()),
            Call::Zero { keeps_size: true } => {
                zero(libc::FALLOC_FL_ZERO_RANGE | KEEP).map(|()| Vec::new())
            }
            Call::Zero { .. } => zero(libc::FALLOC_FL_ZERO_RANGE).map(|()| Vec::new()),
            Call::Allocate { keeps_size: true } => zero(KEEP).map(|()| Vec::new()),
            Call::Allocate { .. } => zero(0).map(|()| Vec::new()),
            Call::Truncate => self.buffered.set_len(offset).map(|()| Vec::new()),
        };
        end.map_err(|error| error.raw_os_error().unwrap())
    }
}

impl Disk {
    fn files(&self, client: Client) -> &Files {
        match client {
            Client::Guest => &self.guest,
            Client::Host => &self.host,
        }
    }

    fn image(&self) -> File {
        File::options()
            .write(true)
            .open(self.mount.image())
            .unwrap()
    }
}

/// How many requests matched, and fired; how many sectors have healed, and writes failed; and the bad sectors.
type AllCounts = (u64, u64, Option<(u64, u64)>, Option<Vec<u64>>);

fn counts(line: &RuleLine) -> AllCounts {
    let bad = line.bad.iter().flatten();
    let bad = bad
        .flat_map(|(start, count)| *start..start + count)
        .collect();
    let bad = line.healed.map(|_| bad);
    (line.counts.matched, line.counts.fired, line.healed, bad)
}

fn expected_counts(rule: &ModelRule) -> AllCounts {
    let healed = rule.bad.as_ref().map(|_| (rule.healed, rule.refused));
    let bad = rule.scope().filter(|_| healed.is_some());
    (rule.matched, rule.fired, healed, bad)
}

/// Arms a set and makes some twenty calls; the result of each has to be the model's.
fn compare(
    disk: &Disk,
    (has_cache, has_log): (bool, bool),
    model: &mut Model,
    random: &mut Random,
) -> Result<(), String> {
    // Written to the image itself, before the rules are armed.
    disk.image().set_len(SIZE).unwrap();
    // So that the server learns where the disk ends now.
    eventually("the server knows its size", || {
        std::fs::metadata(disk.mount.vda()).unwrap().len() == SIZE
    });
    model.bytes.resize(SIZE as usize, 0);
    if has_cache {
        disk.mount.append("vda/cache", "volatile").unwrap();
    }
    if has_log {
        start_log(&disk.mount, "");
    }
    let rules: Vec<_> = (0..1 + random.below(6))
        .map(|_| random_rule(random))
        .collect();
    let text: String = rules.iter().map(|rule| format!("{rule}\n")).collect();
    std::fs::write(disk.mount.ctl("vda/faults"), &text).unwrap();
    let lines = || -> Vec<RuleLine> {
        let text = disk.mount.read("vda/rules");
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    model.arm(&rules, &lines())?;
    for step in 0..20 {
        let (call, offset, len) = random_call(random);
        let client = Client::ALL[random.below(2) as usize];
        let (found, expected) = (
            disk.files(client).call(&call, offset, len),
            model.call(&call, client, offset, len),
        );
        if found != expected {
            let place = |found: &End| {
                found
                    .as_ref()
                    .map(|data| data.len())
                    .map_err(|errno| *errno)
            };
            let ends = (place(&found), place(&expected));
            return Err(format!(
                "{text}step {step}: {:?} {offset}+{len}: {ends:?}",
                call.op()
            ));
        }
    }
    let found: Vec<_> = lines().iter().map(counts).collect();
    let expected: Vec<_> = model.rules.iter().map(expected_counts).collect();
    if found != expected {
        return Err(format!("{text}counts {found:?}, not {expected:?}"));
    }
    // What is pending becomes durable; no rule acts on that.
    disk.mount.append("vda/cache", "off").unwrap();
    if has_log {
        check_log(&disk.mount).map_err(|differs| format!("{text}{differs}"))?;
    }
    let image = std::fs::read(disk.mount.image()).unwrap();
    if image.len() != model.bytes.len() {
        let lens = (image.len(), model.bytes.len());
        return Err(format!("{text}the image and the model have {lens:?} bytes"));
    }
    let differs = image.iter().zip(&model.bytes).position(|(a, b)| a != b);
    match differs {
        None => Ok(()),
        Some(at) => Err(format!("{text}byte {at} of the image differs")),
    }
}

/// What the log has is what reached the image.
fn check_log(mount: &Mount) -> Result<(), String> {
    mount.clear();
    stop_log(mount);
    let log = log_of(mount);
    replay(&log, &base_of(&log));
    let read = |path: &Path| std::fs::read(path).unwrap();
    let (mut replayed, mut image) = (read(&base_of(&log)), read(&mount.image()));
    // A log has sectors: where a disk ends within one, or has grown by zeros, it does not say.
    let len = replayed.len().max(image.len());
    replayed.resize(len, 0);
    image.resize(len, 0);
    for path in [base_of(&log), log] {
        std::fs::remove_file(path).unwrap();
    }
    let differs = replayed.iter().zip(&image).position(|(a, b)| a != b);
    differs.map_or(Ok(()), |at| {
        Err(format!("byte {at} of the replayed log differs"))
    })
}

/// `PROVIUM_RULE_SETS=5000` makes a long run.
#[test]
fn random_rules_agree_with_a_simple_model() {
    let (sets, seed) = (setting("PROVIUM_RULE_SETS", 100), seed());
    let mount = Mount::of_size(SIZE);
    let disk = Disk {
        guest: Files::open(&mount, Client::Guest),
        host: Files::open(&mount, Client::Host),
        mount,
    };
    let mut model = Model {
        bytes: vec![0; SIZE as usize],
        rules: Vec::new(),
        old: Vec::new(),
    };
    for set in 0..sets {
        let mut random = Random::at(seed, set);
        let kind = (set % 2 == 1, set / 2 % 2 == 1);
        if let Err(text) = compare(&disk, kind, &mut model, &mut random) {
            let (has_cache, has_log) = kind;
            panic!("seed {seed}, set {set}, cache {has_cache}, log {has_log}:\n{text}");
        }
    }
    println!("{sets} sets, no difference");
}

fn open_both_ways(mount: &Mount) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(mount.vda())
        .unwrap()
}
