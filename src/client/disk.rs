//! One disk and its control files.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::mount::{WriteMode, parsed};
use super::{ClientError, DataError, DataFile, MountClient, Stats};
use crate::fault::{ActionKind, Edit, Rule, parse_rule};
use crate::protocol::names::LONGEST_CONTROL_WRITE;
use crate::protocol::{
    ControlPath, DiskFile, InFlightLine, Release, RuleLine, RulesLine, Switch, UNLOCK,
};
use crate::units::nearest;

/// How long it may take until the kernel tells the server that a file was closed.
const CLOSING: Duration = Duration::from_secs(2);
/// The time between two tries meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// A request that waits for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its kind, its first sector, and its number of sectors.
    pub request: String,
    /// The time since it arrived.
    pub age: Duration,
    /// The rules that it waits for.
    pub rules: String,
}

impl Waiting {
    /// None for a request that waits for no rule.
    fn of(line: &InFlightLine<'_>) -> Option<Self> {
        let InFlightLine {
            op, sector, count, ..
        } = line;
        Some(Self {
            request: format!("{op} {sector} {count}"),
            age: line.age,
            rules: line.waits_for()?.to_owned(),
        })
    }

    /// Whether it waits until it is released, or until the rule's `max=`.
    pub fn is_hang(&self) -> bool {
        self.rules.split(' ').next() == Some(ActionKind::Hang.name())
    }
}

impl MountClient {
    /// The control files of the disk `id`.
    pub fn disk(&self, id: &str) -> Result<DiskControl, ClientError> {
        let names = self.ids()?;
        if names.iter().any(|name| name == id) {
            return Ok(DiskControl::new(self.clone(), id));
        }
        let attached = match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        let several = names.iter().filter(|_| names.len() > 1);
        Err(ClientError::NoDisk {
            id: id.to_owned(),
            mount: self.point().to_owned(),
            nearest: nearest(id, several.map(String::as_str)),
            attached,
        })
    }

    /// All its disks, in the order in which they were attached.
    pub fn all(&self) -> Result<Vec<DiskControl>, ClientError> {
        let named = |id: String| DiskControl::new(self.clone(), &id);
        Ok(self.ids()?.into_iter().map(named).collect())
    }
}

/// The control files of a disk.
#[derive(Clone, Debug)]
pub struct DiskControl {
    mount: MountClient,
    id: String,
}

impl DiskControl {
    fn new(mount: MountClient, id: &str) -> Self {
        Self {
            mount,
            id: id.to_owned(),
        }
    }

    /// The disk's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The mount that it is in.
    pub fn mount(&self) -> &MountClient {
        &self.mount
    }

    /// The data file, which QEMU opens as a drive.
    pub fn path(&self) -> PathBuf {
        self.mount.point().join(&self.id)
    }

    /// The path of a control file.
    pub fn file_path(&self, file: DiskFile) -> PathBuf {
        self.mount.path_of(&self.file(file))
    }

    /// Opens the data file.
    pub fn open(&self) -> Result<DataFile, DataError> {
        DataFile::open(&self.path())
    }

    /// The armed rules, oldest first.
    pub fn faults(&self) -> Result<Vec<String>, ClientError> {
        let text = self.read(DiskFile::Faults)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Arms `rules` beside those that are armed: all of them, or none.
    pub fn add_faults(&self, rules: &[impl AsRef<str>]) -> Result<(), ClientError> {
        self.write_faults(&joined("", rules), WriteMode::Append)
    }

    /// Carries out all `edits`, or none.
    pub fn edit_faults(&self, edits: &[Edit]) -> Result<(), ClientError> {
        let lines = edits.iter().map(|edit| format!("{edit}\n"));
        self.write_faults(&lines.collect::<String>(), WriteMode::Append)
    }

    /// Arms `rules` in place of those that are armed.
    pub fn set_faults(&self, rules: &[impl AsRef<str>]) -> Result<(), ClientError> {
        self.write_faults(&joined("", rules), WriteMode::Replace)
    }

    /// Arms the rules of `text`, one a line, in place of those that are armed or beside them: all of them, or none. The
    /// text may have comments, and `!` lines where nothing is replaced.
    pub fn arm_text(&self, text: &str, replace: bool) -> Result<(), ClientError> {
        let mode = match replace {
            true => WriteMode::Replace,
            false => WriteMode::Append,
        };
        self.write_faults(&format!("{text}\n"), mode)
    }

    /// Disarms `rules`.
    pub fn remove_faults(&self, rules: &[impl AsRef<str>]) -> Result<(), ClientError> {
        self.write_faults(&joined("!", rules), WriteMode::Append)
    }

    /// Disarms all rules.
    pub fn clear_faults(&self) -> Result<(), ClientError> {
        self.write_faults("\n", WriteMode::Replace)
    }

    /// The armed rules with their counters.
    pub fn rules(&self) -> Result<Vec<RuleLine>, ClientError> {
        let text = self.read(DiskFile::Rules)?;
        let rule = |line| match line {
            RulesLine::Rule(rule) => Some(rule),
            RulesLine::Off => None,
        };
        Ok(parsed(&text).filter_map(rule).collect())
    }

    /// Whether all rules are switched off.
    pub fn are_rules_off(&self) -> Result<bool, ClientError> {
        let text = self.read(DiskFile::Rules)?;
        Ok(parsed(&text).next() == Some(RulesLine::Off))
    }

    /// A sentence for each of `rules`, which are armed, that can never act or may surprise.
    pub fn warnings(&self, rules: &[impl AsRef<str>]) -> Result<Vec<String>, ClientError> {
        let parsed = rules
            .iter()
            .filter_map(|rule| parse_rule(rule.as_ref(), 1).ok());
        self.warnings_of(&parsed.collect::<Vec<_>>())
    }

    /// The same for rules that are parsed.
    pub fn warnings_of(&self, rules: &[Rule]) -> Result<Vec<String>, ClientError> {
        let armed = self.rules()?.into_iter();
        let remarked: Vec<_> = armed.filter(|state| state.remark.is_some()).collect();
        if remarked.is_empty() {
            return Ok(Vec::new());
        }
        let texts: HashSet<_> = rules.iter().map(Rule::to_string).collect();
        let of_rules = remarked.iter().filter(|state| texts.contains(&state.rule));
        Ok(of_rules.filter_map(RuleLine::warning).collect())
    }

    /// The lines of `damage`: what rules did to the image.
    pub fn damage(&self) -> Result<Vec<String>, ClientError> {
        Ok(self
            .read(DiskFile::Damage)?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// Releases the requests that a `hang` holds, of all rules for `all` or of those with the tag. They fail with
    /// `errno`, if one is given.
    pub fn release(&self, tag: &str, errno: Option<&str>) -> Result<(), ClientError> {
        let release = Release::new(tag, errno);
        let release = release.map_err(|error| ClientError::Wrong(error.to_string()))?;
        self.command(DiskFile::Release, &format!("{release}\n"))
    }

    /// Drops the requests that rules hold or delay: they fail with EIO and are not done.
    pub fn drop_waiting(&self) -> Result<(), ClientError> {
        self.release("all", Some("drop"))
    }

    /// The requests that wait for a rule.
    pub fn waiting(&self) -> Result<Vec<Waiting>, ClientError> {
        let lines = self.in_flight()?.into_iter();
        Ok(lines.filter_map(|line| Waiting::of(&line)).collect())
    }

    /// Switches all rules on or off. While they are off they neither act nor count.
    pub fn switch_rules(&self, on: bool) -> Result<(), ClientError> {
        let switch = if on { Switch::On } else { Switch::Off };
        self.command(DiskFile::Rules, &format!("{switch}\n"))
    }

    /// Unlocks the image until somebody opens the disk again. The kernel tells the server of a close only later, so
    /// this tries for a moment.
    pub fn unlock_image(&self) -> Result<(), ClientError> {
        let deadline = Instant::now() + CLOSING;
        loop {
            match self.command(DiskFile::Image, UNLOCK) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(TRY_AGAIN),
                result => return result,
            }
        }
    }

    /// The size now, in bytes.
    pub fn size(&self) -> Result<u64, ClientError> {
        self.value(DiskFile::Size)
    }

    /// The counters.
    pub fn stats(&self) -> Result<Stats, ClientError> {
        Ok(Stats::parse(&self.read(DiskFile::Stats)?))
    }

    /// The requests that are not answered, longest waiting first.
    pub fn in_flight(&self) -> Result<Vec<InFlightLine<'static>>, ClientError> {
        Ok(parsed(&self.read(DiskFile::Inflight)?).collect())
    }

    fn write_faults(&self, text: &str, mode: WriteMode) -> Result<(), ClientError> {
        let file = self.file(DiskFile::Faults);
        match text.len() > LONGEST_CONTROL_WRITE {
            true => self
                .mount
                .write(&file, &format!("begin\n{text}commit\n"), mode),
            false => self.mount.write(&file, text, mode),
        }
    }

    pub(super) fn command(&self, file: DiskFile, text: &str) -> Result<(), ClientError> {
        self.mount.write(&self.file(file), text, WriteMode::Append)
    }

    /// The text of a control file.
    pub fn read(&self, file: DiskFile) -> Result<String, ClientError> {
        self.mount.read(&self.file(file))
    }

    /// What the one line of `file` says.
    pub(super) fn value<T>(&self, file: DiskFile) -> Result<T, ClientError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.read(file)?;
        let value = text.trim_end().parse();
        value.map_err(|error: T::Err| {
            ClientError::Rejected(format!("ctl/{}: {error}", self.file(file)))
        })
    }

    fn file(&self, file: DiskFile) -> ControlPath {
        ControlPath::Disk(self.id.clone(), file)
    }
}

fn joined(prefix: &str, rules: &[impl AsRef<str>]) -> String {
    let lines = rules
        .iter()
        .map(|rule| format!("{prefix}{}\n", rule.as_ref()));
    lines.collect()
}
