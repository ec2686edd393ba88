//! Reading and writing the control files of a mount.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Text;
use crate::disk::{AttachError, DetachError, Disk, Disks, Listener, MOST_HELD, Switch};
use crate::fault::{Edit, GrammarError, NoSuchTag, Then, parse_edits};
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::names::{LONGEST_CONTROL_WRITE, VERSION};
use crate::protocol::{BadErrno, ControlFile, ControlPath, DiskFile, Errno, Rejection};

/// The control files of one mount. Every method may be called from any thread.
pub struct Control {
    disks: Arc<Disks>,
    /// The latest rejected write.
    rejected: Mutex<Option<Rejection>>,
}

/// Why a control write was rejected. Nothing has changed.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Usage(&'static str),
    #[error("a control write has at most {LONGEST_CONTROL_WRITE} bytes, this one has {0}")]
    TooLong(usize),
    #[error("`!` removes from the set, but `>` replaces the set: append with `>>`")]
    RemoveWhileReplacing,
    #[error("image `{0}` is not an absolute path: the server does not know your working directory")]
    RelativeImage(String),
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    #[error("`{0}` {1}")]
    Errno(String, BadErrno),
    #[error(transparent)]
    NoSuchTag(#[from] NoSuchTag),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Detach(#[from] DetachError),
    #[error("the image stays locked: {0} file(s) of the disk are open")]
    InUse(usize),
    #[error("the image cannot be unlocked: {0}")]
    Unlock(Errno),
}

impl WriteError {
    fn errno(&self) -> Errno {
        Errno(match self {
            Self::Attach(error) => error.errno(),
            Self::Detach(error) => error.errno(),
            Self::InUse(_) => libc::EBUSY,
            Self::Unlock(errno) => errno.0,
            _ => libc::EINVAL,
        })
    }
}

const ATTACH_USAGE: &str = "attach wants one line `ID IMAGE [ro] [fixed]`, quoted as in a shell, as in `vda /srv/a.img ro`";
const RELEASE_USAGE: &str = "release wants `all` or a tag, and an error if what is held is to fail, as in `all EIO`, or `drop`";
const RULES_USAGE: &str = "rules wants `off`, and `on` to have them act again";
const IMAGE_USAGE: &str =
    "image wants `unlock`, which leaves it to others until somebody opens the disk";
const SEED_USAGE: &str = "seed wants a whole number, 0 or more";
const DETACH_USAGE: &str = "detach wants one disk ID";

impl Control {
    /// The control files of a mount that serves `disks`.
    pub fn new(disks: Arc<Disks>) -> Self {
        Self {
            disks,
            rejected: Mutex::default(),
        }
    }

    /// What `file` reads as, now.
    pub fn read(&self, file: ControlFile) -> Result<Text, Errno> {
        match file {
            ControlFile::Version => Ok(Text::line(VERSION)),
            ControlFile::Disks => Ok(Text::of(self.disk_lines())),
            ControlFile::Error => Ok(Text::of(self.rejected.lock().iter().cloned().collect())),
            ControlFile::Attach | ControlFile::Detach | ControlFile::Clear => {
                Err(Errno(libc::EACCES))
            }
        }
    }

    /// What `file` of `disk` reads as, now.
    pub fn read_disk(&self, disk: &Arc<Disk>, file: DiskFile) -> Result<Text, Errno> {
        Ok(match file {
            DiskFile::Faults => faults(disk),
            DiskFile::Rules => rules(disk),
            DiskFile::Damage => damage(disk),
            DiskFile::Seed => Text::line(disk.seed()),
            // A stream has no text that could be read as a whole.
            DiskFile::Release | DiskFile::Trace => return Err(Errno(libc::EACCES)),
            DiskFile::Inflight => Text::of(disk.in_flight()),
            DiskFile::Stats => stats(disk),
            DiskFile::Size => Text::line(disk.stat_soon()?.size),
            DiskFile::Image => Text::line(disk.path().display()),
            DiskFile::Mode => Text::line(mode(disk)),
        })
    }

    /// Begins to read `file` of `disk` as a stream. None when it is not one, EMFILE when it has too many readers.
    pub fn listen(&self, disk: &Disk, file: DiskFile) -> Option<Result<Arc<Listener>, Errno>> {
        match file {
            DiskFile::Trace => Some(disk.trace().listen().ok_or(Errno(libc::EMFILE))),
            DiskFile::Faults
            | DiskFile::Rules
            | DiskFile::Stats
            | DiskFile::Inflight
            | DiskFile::Release
            | DiskFile::Damage
            | DiskFile::Size
            | DiskFile::Image
            | DiskFile::Mode
            | DiskFile::Seed => None,
        }
    }

    /// Carries out a write to `file`. It may wait for storage and for clients that are just
    /// closing.
    pub fn write(&self, file: ControlFile, data: &[u8]) -> Result<(), Errno> {
        let done = match file {
            ControlFile::Attach => self.attach(data),
            ControlFile::Detach => self.detach(data),
            ControlFile::Clear => {
                self.disks.clear();
                Ok(())
            }
            ControlFile::Version | ControlFile::Disks | ControlFile::Error => {
                return Err(Errno(libc::EACCES));
            }
        };
        done.map_err(|error| self.reject(ControlPath::Mount(file), &error))
    }

    /// Carries out a write to `file` of `disk`: every line of it, or none. With `replace` it
    /// starts from an empty set.
    pub fn write_disk(
        &self,
        disk: &Disk,
        file: DiskFile,
        data: &[u8],
        replace: bool,
    ) -> Result<(), Errno> {
        let done = match file {
            DiskFile::Faults => edit_faults(disk, data, replace),
            DiskFile::Release => release(disk, data),
            DiskFile::Seed => set_seed(disk, data),
            DiskFile::Rules => switch_rules(disk, data),
            DiskFile::Image => unlock_image(disk, data),
            DiskFile::Stats
            | DiskFile::Inflight
            | DiskFile::Damage
            | DiskFile::Trace
            | DiskFile::Size
            | DiskFile::Mode => return Err(Errno(libc::EACCES)),
        };
        let path = || ControlPath::Disk(disk.id().to_owned(), file);
        done.map_err(|error| self.reject(path(), &error))
    }

    fn attach(&self, data: &[u8]) -> Result<(), WriteError> {
        let words = words(data, ATTACH_USAGE)?;
        let [id, image, said @ ..] = words.as_slice() else {
            return Err(WriteError::Usage(ATTACH_USAGE));
        };
        let mut options = DiskOptions::default();
        if !said.iter().all(|word| options.set(word)) {
            return Err(WriteError::Usage(ATTACH_USAGE));
        }
        let path = Path::new(image);
        if !path.is_absolute() {
            return Err(WriteError::RelativeImage(image.clone()));
        }
        Ok(self.disks.attach(id, path, options)?)
    }

    fn detach(&self, data: &[u8]) -> Result<(), WriteError> {
        match words(data, DETACH_USAGE)?.as_slice() {
            [id] => Ok(self.disks.detach(id)?),
            _ => Err(WriteError::Usage(DETACH_USAGE)),
        }
    }

    fn reject(&self, file: ControlPath, error: &WriteError) -> Errno {
        let mut rejected = self.rejected.lock();
        let number = rejected.as_ref().map_or(1, |last| last.number + 1);
        *rejected = Some(Rejection::new(number, file, &error.to_string()));
        error.errno()
    }

    fn disk_lines(&self) -> Vec<String> {
        let line = |(disk, size): (Arc<Disk>, Option<u64>)| {
            let size = size.map_or_else(|| "-".into(), |size| size.to_string());
            let image = disk.path().to_string_lossy();
            let image = shlex::try_quote(&image).unwrap_or_else(|_| image.clone());
            let fixed = if disk.is_fixed() { " fixed" } else { "" };
            format!("{} {size} {} {image}{fixed}", disk.id(), mode(&disk))
        };
        self.disks.sizes().into_iter().map(line).collect()
    }
}

fn edit_faults(disk: &Disk, data: &[u8], replace: bool) -> Result<(), WriteError> {
    must_be_short(data)?;
    let edits = parse_edits(data)?;
    let removes = |edit: &_| matches!(edit, Edit::Remove(_) | Edit::RemoveTag(_));
    if replace && edits.iter().any(removes) {
        return Err(WriteError::RemoveWhileReplacing);
    }
    Ok(disk.arm(&edits, replace)?)
}

/// `all` or a tag, and how what is held goes on: well, with an error, or, with all that is delayed,
/// not at all.
fn release(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    let words = words(data, RELEASE_USAGE)?;
    let (tag, how) = match words.as_slice() {
        [tag] => (tag, None),
        [tag, how] => (tag, Some(how.as_str())),
        _ => return Err(WriteError::Usage(RELEASE_USAGE)),
    };
    let tag = Some(tag.as_str()).filter(|tag| *tag != "all");
    let released = match how {
        None => disk.release(tag, Then::Ok),
        Some("drop") => disk.drop_waiting(tag),
        Some(errno) => {
            let parsed = Errno::parse(errno);
            let errno = parsed.map_err(|why| WriteError::Errno(errno.to_owned(), why))?;
            disk.release(tag, Then::Error(errno))
        }
    };
    match released {
        Some(_) => Ok(()),
        None => Err(NoSuchTag(tag.unwrap_or_default().to_owned()).into()),
    }
}

fn switch_rules(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    disk.switch_rules(match data.trim_ascii() {
        b"off" => Switch::Off,
        b"on" => Switch::On,
        _ => return Err(WriteError::Usage(RULES_USAGE)),
    });
    Ok(())
}

fn unlock_image(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    if data.trim_ascii() != b"unlock" {
        return Err(WriteError::Usage(IMAGE_USAGE));
    }
    disk.unlock_image().map_err(|errno| match errno.0 {
        libc::EBUSY => WriteError::InUse(disk.open_count()),
        _ => WriteError::Unlock(errno),
    })
}

fn set_seed(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    let text = String::from_utf8_lossy(data);
    let seed = text.trim().parse();
    disk.set_seed(seed.map_err(|_| WriteError::Usage(SEED_USAGE))?);
    Ok(())
}

/// The words of the one line of `data`, split as a shell does.
fn words(data: &[u8], usage: &'static str) -> Result<Vec<String>, WriteError> {
    must_be_short(data)?;
    let text = std::str::from_utf8(data).map_err(|_| WriteError::Usage(usage))?;
    let line = text.trim();
    if line.contains('\0') {
        return Err(WriteError::Usage(usage));
    }
    shlex::split(line).ok_or(WriteError::Usage(usage))
}

fn must_be_short(data: &[u8]) -> Result<(), WriteError> {
    if data.len() > LONGEST_CONTROL_WRITE {
        return Err(WriteError::TooLong(data.len()));
    }
    Ok(())
}

fn faults(disk: &Disk) -> Text {
    let set = disk.faults();
    Text::new(move |at| Some(set.armed().get(at)?.rule.to_string()))
}

/// The rules, after a line `off` while they are.
fn rules(disk: &Disk) -> Text {
    let (switch, rules) = (disk.rules_switch(), disk.rules());
    Text::new(move |at| match (switch, at) {
        (Switch::On, at) => Some(rules.get(at)?.to_string()),
        (Switch::Off, 0) => Some("off".into()),
        (Switch::Off, at) => Some(rules.get(at - 1)?.to_string()),
    })
}

/// What there is of damage now, and no more: the list may grow faster than it is read.
fn damage(disk: &Disk) -> Text {
    let (list, len) = (Arc::clone(disk.damage()), disk.damage().len());
    Text::new(move |at| (at < len).then(|| list.line(at))?)
}

fn stats(disk: &Disk) -> Text {
    let now = [
        ("in_flight", disk.in_flight_count() as u64),
        ("open_files", disk.open_count() as u64),
        ("held_bytes_of_all_disks", disk.held_bytes()),
        ("held_bytes_limit", MOST_HELD),
    ];
    let now = now.map(|(key, value)| format!("{key} {value}"));
    let counters = disk.counters().to_string();
    let lines = counters.lines().map(str::to_owned).chain(now);
    Text::of(lines.collect())
}

fn mode(disk: &Disk) -> &'static str {
    if disk.image().read_only() { "ro" } else { "rw" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::NamedTempFile;

    fn control() -> (NamedTempFile, Control) {
        let image = NamedTempFile::new().unwrap();
        image.as_file().set_len(1 << 20).unwrap();
        let disks = Arc::new(Disks::start().unwrap());
        disks
            .attach("vda", image.path(), DiskOptions::default())
            .unwrap();
        (image, Control::new(disks))
    }

    fn vda(control: &Control) -> Arc<Disk> {
        control.disks.find("vda").unwrap().1
    }

    fn faults(control: &Control) -> String {
        control
            .read_disk(&vda(control), DiskFile::Faults)
            .unwrap()
            .whole()
    }

    fn disks(control: &Control) -> String {
        control.read(ControlFile::Disks).unwrap().whole()
    }

    fn write_faults(control: &Control, text: &str, replace: bool) -> Result<(), Errno> {
        control.write_disk(&vda(control), DiskFile::Faults, text.as_bytes(), replace)
    }

    #[test]
    fn faults_read_as_they_were_armed() {
        let (_image, control) = control();
        assert_eq!(faults(&control), "");
        write_faults(&control, "slow\neio_read\n", false).unwrap();
        write_faults(&control, "eio_write", false).unwrap();
        assert_eq!(faults(&control), "slow\neio_read\neio_write\n");
        write_faults(&control, "!slow", false).unwrap();
        assert_eq!(faults(&control), "eio_read\neio_write\n");
        write_faults(&control, "slow", true).unwrap();
        assert_eq!(faults(&control), "slow\n");
        write_faults(&control, "\n", true).unwrap();
        assert_eq!(faults(&control), "");
    }

    #[test]
    fn a_rejected_write_leaves_the_set_unchanged_and_says_why() {
        let (_image, control) = control();
        write_faults(&control, "slow", false).unwrap();
        for replace in [false, true] {
            let result = write_faults(&control, "eio_read\nbogus\n", replace);
            assert_eq!(result, Err(Errno(libc::EINVAL)));
            assert_eq!(faults(&control), "slow\n");
        }
        assert_eq!(
            control.read(ControlFile::Error).unwrap().whole(),
            "2 vda/faults: line 2, column 1: unknown mode `bogus` (valid: eio_read, eio_write, slow, \
             error, delay, hang, corrupt, lose, tear, misdirect, stale)\n"
        );
    }

    #[test]
    fn a_removal_that_would_replace_the_set_is_refused() {
        let (_image, control) = control();
        write_faults(&control, "slow\neio_read", false).unwrap();
        write_faults(&control, "!slow", true).unwrap_err();
        assert_eq!(faults(&control), "slow\neio_read\n");
    }

    #[test]
    fn a_rejection_is_one_line_whatever_was_written() {
        let (_image, control) = control();
        control
            .write(ControlFile::Detach, b"'two\nlines\x1b'")
            .unwrap_err();
        assert_eq!(
            control.read(ControlFile::Error).unwrap().whole(),
            "1 detach: no disk `two\\nlines\\u{1b}` (attached: vda)\n"
        );
    }

    fn write_vda(control: &Control, file: DiskFile, text: &str) -> Result<(), Errno> {
        control.write_disk(&vda(control), file, text.as_bytes(), false)
    }

    #[test]
    fn rules_that_are_off_stay_armed_and_say_so() {
        let (_image, control) = control();
        write_faults(&control, "eio_read", false).unwrap();
        let rules = || {
            let text = control.read_disk(&vda(&control), DiskFile::Rules);
            text.unwrap().whole()
        };
        write_vda(&control, DiskFile::Rules, "off\n").unwrap();
        assert!(rules().starts_with("off\neio_read "), "{}", rules());
        assert_eq!(faults(&control), "eio_read\n");
        write_vda(&control, DiskFile::Rules, "on").unwrap();
        assert!(rules().starts_with("eio_read "), "{}", rules());
        let wrong = write_vda(&control, DiskFile::Rules, "of");
        assert_eq!(wrong, Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn an_image_is_unlocked_while_nobody_has_the_disk_open_and_locked_by_who_opens_it() {
        let (image, control) = control();
        let disk = vda(&control);
        let open = || crate::storage::FileImage::open(image.path(), false);
        let client = disk.open().unwrap();
        let unlock = || write_vda(&control, DiskFile::Image, "unlock");
        assert_eq!(unlock(), Err(Errno(libc::EBUSY)));
        disk.close(client);
        assert!(open().is_err());
        unlock().unwrap();
        let other = open().unwrap();
        assert_eq!(disk.open(), Err(Errno(libc::EBUSY)));
        assert!(disk.claim_image().is_err());
        drop(other);
        disk.open().unwrap();
        assert!(open().is_err());
    }

    #[test]
    fn binary_and_huge_writes_are_refused() {
        let (_image, control) = control();
        for data in [&b"\xff\xfe\0"[..], &[b'\n'; LONGEST_CONTROL_WRITE + 1]] {
            let vda = vda(&control);
            let result = control.write_disk(&vda, DiskFile::Faults, data, true);
            assert_eq!(result, Err(Errno(libc::EINVAL)));
            for file in [ControlFile::Attach, ControlFile::Detach] {
                assert_eq!(control.write(file, data), Err(Errno(libc::EINVAL)));
            }
        }
    }

    #[test]
    fn attach_takes_shell_quoting_and_the_disk_is_listed() {
        let (_image, control) = control();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two words.img");
        std::fs::write(&path, [0; 1024]).unwrap();
        let line = format!("vdb '{}' ro\n", path.display());
        control.write(ControlFile::Attach, line.as_bytes()).unwrap();
        let disks_now = disks(&control);
        let last = disks_now.lines().last().unwrap();
        assert_eq!(last, format!("vdb 1024 ro '{}'", path.display()));
        control.write(ControlFile::Detach, b"vdb\n").unwrap();
        assert_eq!(disks(&control).lines().count(), 1);
    }

    #[test]
    fn bad_attach_and_detach_lines_have_their_errnos() {
        let (image, control) = control();
        let image = image.path().display();
        let attach = |line: String| control.write(ControlFile::Attach, line.as_bytes());
        assert_eq!(attach(String::new()), Err(Errno(libc::EINVAL)));
        assert_eq!(attach("vdb".into()), Err(Errno(libc::EINVAL)));
        assert_eq!(attach("vdb relative.img".into()), Err(Errno(libc::EINVAL)));
        assert_eq!(attach("vdb '/unclosed".into()), Err(Errno(libc::EINVAL)));
        assert_eq!(attach("vdb /proc/version".into()), Err(Errno(libc::EINVAL)));
        assert_eq!(attach("vdb /a /b /c".into()), Err(Errno(libc::EINVAL)));
        assert_eq!(attach(format!("1b {image}")), Err(Errno(libc::EINVAL)));
        assert_eq!(attach(format!("vda {image}")), Err(Errno(libc::EEXIST)));
        assert_eq!(attach(format!("vdb {image}")), Err(Errno(libc::EBUSY)));
        assert_eq!(attach("vdb /no/such.img".into()), Err(Errno(libc::ENOENT)));
        assert_eq!(attach("vdb /tmp".into()), Err(Errno(libc::EISDIR)));
        let detach = |line: &str| control.write(ControlFile::Detach, line.as_bytes());
        assert_eq!(detach("vdz"), Err(Errno(libc::ENOENT)));
        assert_eq!(detach(""), Err(Errno(libc::EINVAL)));
        assert_eq!(disks(&control).lines().count(), 1);
    }
}
