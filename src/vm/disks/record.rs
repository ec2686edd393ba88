//! A disk of a VM, as its owner sees it: one record, however many handles.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::guest_errno::note;
use super::policy::Policy;
use super::replay::{Recorded, Replay};
use crate::client::{ClientError, DataError, DataFile, DiskControl};
use crate::fault::{Arming, Client, Edit, FaultSet, Rule, parse_rule};
use crate::protocol::names::SECTOR;
use crate::vm::VmError;
use crate::vm::qemu::drive::Drive;

/// The size of a disk without an image, unless another one is given: 4 GiB.
pub const DEFAULT_DISK_SIZE: u64 = 4 << 30;

/// The state of a disk. It outlives the disk: handles find out here that it was detached.
#[derive(Debug)]
pub struct DiskRecord {
    id: String,
    /// In bytes; that of the image when the disk was detached.
    size: u64,
    detached: bool,
    /// Where its latest write log is.
    pub(super) latest_log: Option<PathBuf>,
    backing: Backing,
    /// The faults that it meets in the place of those of its rules.
    replay: Option<Replay>,
}

/// The place of a disk's bytes.
#[derive(Debug)]
pub(in crate::vm) enum Backing {
    /// There is none: the disk and its faults exist only in this record.
    None(Box<FaultSet>),
    /// In a mount.
    Mount(Box<Mounted>),
}

/// A disk in a mount.
#[derive(Debug)]
pub(in crate::vm) struct Mounted {
    pub(in crate::vm) control: DiskControl,
    /// As a machine has it, or gets it.
    pub(in crate::vm) drive: Drive,
    pub(in crate::vm) image: PathBuf,
    /// The image goes with the disk.
    pub(in crate::vm) is_private: bool,
    /// The image stays as it is.
    pub(in crate::vm) is_scratch: bool,
    /// Open from the first sector call to the end.
    pub(in crate::vm) data: Option<DataFile>,
    /// The machine has it.
    pub(in crate::vm) plugged: bool,
}

impl Mounted {
    pub(in crate::vm) fn new(
        control: DiskControl,
        drive: Drive,
        image: PathBuf,
        is_private: bool,
    ) -> Self {
        Self {
            control,
            drive,
            image,
            is_private,
            is_scratch: false,
            data: None,
            plugged: false,
        }
    }
}

impl DiskRecord {
    /// A disk of `size` bytes, unless it has an image.
    pub(in crate::vm) fn new(id: String, size: u64, backing: Backing) -> Self {
        Self {
            id,
            size,
            detached: false,
            latest_log: None,
            backing,
            replay: None,
        }
    }

    /// The same disk, whose rules make the `recorded` faults alone, if there are such.
    #[must_use]
    pub(in crate::vm) fn replaying(self, recorded: Option<Recorded>) -> Self {
        let replay = recorded.map(Replay::new);
        Self { replay, ..self }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it was detached.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Whether it has a backing image.
    pub fn has_image(&self) -> bool {
        matches!(self.backing, Backing::Mount(_))
    }

    /// The file in the mount; None without an image.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.backing {
            Backing::Mount(mounted) => Some(mounted.control.path()),
            Backing::None(_) => None,
        }
    }

    /// Where a guest has it: the name that udev gives; None without an image.
    pub fn device(&self) -> Option<String> {
        self.mounted().map(|mounted| mounted.drive.link())
    }

    /// What a guest that has the disk makes of the errors of `rules`, where it is not what they say.
    pub fn notes_for_guest(&self, rules: &[Rule]) -> Vec<String> {
        let Some(drive) = self.plugged_drive() else {
            return Vec::new();
        };
        let is_for_guest = |rule: &&Rule| rule.client != Some(Client::Host);
        let rules = rules.iter().filter(is_for_guest);
        let notes: BTreeSet<_> = rules
            .filter_map(|rule| note(drive.hardware.bus, rule))
            .collect();
        notes.into_iter().collect()
    }

    /// The live size of the image, or the modelled one; in bytes.
    pub fn size(&self) -> Result<u64, ClientError> {
        match &self.backing {
            Backing::Mount(mounted) if !self.detached => mounted.control.size(),
            _ => Ok(self.size),
        }
    }

    /// The open data file; None without an image.
    pub fn data(&mut self) -> Result<Option<&DataFile>, DataError> {
        let Backing::Mount(mounted) = &mut self.backing else {
            return Ok(None);
        };
        if mounted.data.is_none() {
            let data = mounted.control.open()?;
            data.be_host()?;
            mounted.data = Some(data);
        }
        Ok(mounted.data.as_ref())
    }

    /// Arms `rule`.
    pub fn arm(&mut self, rule: &Rule) -> Result<(), VmError> {
        self.arm_all(std::slice::from_ref(rule))
    }

    /// Arms `rules` at one moment, all of them or none.
    pub fn arm_all(&mut self, rules: &[Rule]) -> Result<(), VmError> {
        let edits: Vec<_> = rules.iter().cloned().map(Edit::Add).collect();
        self.edit(&edits)
    }

    fn edit(&mut self, edits: &[Edit]) -> Result<(), VmError> {
        match &mut self.backing {
            Backing::Mount(_) if self.detached => {}
            Backing::Mount(mounted) => match &mut self.replay {
                Some(replay) => replay.edit(&mounted.control, edits)?,
                None => mounted.control.edit_faults(edits)?,
            },
            Backing::None(faults) => {
                if let Ok(edited) = faults.edited(edits, Arming::default()) {
                    **faults = edited;
                }
            }
        }
        Ok(())
    }

    /// Removes all rules, the policy too.
    pub(in crate::vm) fn clear(&mut self) -> Result<(), VmError> {
        match &mut self.backing {
            Backing::Mount(_) if self.detached => {}
            Backing::Mount(mounted) => {
                mounted.control.clear_faults()?;
                self.replay.iter_mut().for_each(Replay::clear);
            }
            Backing::None(faults) => **faults = FaultSet::default(),
        }
        Ok(())
    }

    /// Removes all faults, but leaves the rules with `client=guest` armed.
    pub fn clear_faults(&mut self) -> Result<(), VmError> {
        if self.rules()?.iter().any(|rule| rule.is_for_guests()) {
            return self.remove(|rule| !rule.is_for_guests());
        }
        self.clear()
    }

    /// Removes the rules with `client=guest`: the policy, and others.
    pub fn clear_policy(&mut self) -> Result<(), VmError> {
        self.remove(|rule| rule.is_for_guests())
    }

    fn remove(&mut self, is_meant: impl Fn(&Rule) -> bool) -> Result<(), VmError> {
        let meant = self.rules()?.into_iter().filter(is_meant);
        // One by one: all of them could be longer than one write may be.
        for rule in meant {
            self.edit(&[Edit::Remove(rule)])?;
        }
        Ok(())
    }

    /// The armed faults, oldest first, without the rules with `client=guest`.
    pub fn faults(&self) -> Result<Vec<String>, VmError> {
        let rules = self
            .rules()?
            .into_iter()
            .filter(|rule| !rule.is_for_guests());
        Ok(rules.map(|rule| rule.to_string()).collect())
    }

    /// The policy that the armed rules make.
    pub fn policy(&self) -> Result<Policy, VmError> {
        Ok(Policy::of(&self.rules()?))
    }

    /// Changes the policy; its count begins anew.
    pub fn set_policy(&mut self, change: impl FnOnce(&mut Policy)) -> Result<(), VmError> {
        let old = self.policy()?;
        let mut new = old.clone();
        change(&mut new);
        self.edit(&new.edits_from(&old))
    }

    fn rules(&self) -> Result<Vec<Rule>, VmError> {
        match (&self.backing, &self.replay) {
            (Backing::Mount(_), _) if self.detached => Ok(Vec::new()),
            (Backing::Mount(_), Some(replay)) => Ok(replay.rules()),
            (Backing::Mount(mounted), None) => {
                let texts = mounted.control.faults()?;
                let rules = texts.iter().filter_map(|text| parse_rule(text, 1).ok());
                Ok(rules.collect())
            }
            (Backing::None(faults), _) => Ok(faults.rules().cloned().collect()),
        }
    }

    /// Its control files; None without an image, or once it was detached.
    pub fn control(&self) -> Option<&DiskControl> {
        self.mounted()
            .filter(|_| !self.detached)
            .map(|mounted| &mounted.control)
    }

    /// As a machine would get it now; None without an image.
    pub(in crate::vm) fn drive(&self) -> Result<Option<Drive>, ClientError> {
        let Some(mounted) = self.mounted() else {
            return Ok(None);
        };
        Ok(Some(Drive {
            sectors: self.size()? / SECTOR,
            ..mounted.drive.clone()
        }))
    }

    /// As the machine has it; None when no machine does.
    pub(in crate::vm) fn plugged_drive(&self) -> Option<&Drive> {
        let plugged = self.mounted().filter(|mounted| mounted.plugged);
        plugged.map(|mounted| &mounted.drive)
    }

    /// Sets the size of a disk without an image.
    pub(in crate::vm) fn set_modelled_size(&mut self, size: u64) {
        self.size = size;
    }

    /// Closes our own file on the disk and tells every handle that it is over.
    pub(in crate::vm) fn close(&mut self) {
        if let Ok(size) = self.size() {
            self.size = size;
        }
        self.detached = true;
        if let Some(mounted) = self.mounted_mut() {
            mounted.data = None;
            mounted.plugged = false;
        }
    }

    pub(in crate::vm) fn mounted(&self) -> Option<&Mounted> {
        match &self.backing {
            Backing::Mount(mounted) => Some(mounted),
            Backing::None(_) => None,
        }
    }

    pub(in crate::vm) fn mounted_mut(&mut self) -> Option<&mut Mounted> {
        match &mut self.backing {
            Backing::Mount(mounted) => Some(mounted),
            Backing::None(_) => None,
        }
    }
}
