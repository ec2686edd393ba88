//! Lines for `attach` and `detach`: a disk comes or goes, or a sentence says why not, and nothing
//! changes.

use std::cell::RefCell;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use provium::control::Control;
use provium::disk::Disks;
use provium::protocol::ControlFile;
use provium::protocol::disk_options::DiskOptions;
use provium::protocol::names::valid_id;
use tempfile::TempDir;

/// A folder with what a path can lead to.
struct Bench {
    folder: TempDir,
    disks: Arc<Disks>,
    control: Control,
    runs: u32,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

impl Bench {
    fn new() -> Self {
        let folder = folder();
        let disks = Arc::new(Disks::start().unwrap());
        let control = Control::new(Arc::clone(&disks));
        let bench = Self {
            folder,
            disks,
            control,
            runs: 0,
        };
        bench.attach_vda();
        bench
    }

    fn attach_vda(&self) {
        let image = self.folder.path().join("d/a");
        let options = DiskOptions::default();
        self.disks.attach("vda", &image, options).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let disks = self.disks.all().into_iter();
        disks.map(|(_, disk)| disk.id().to_owned()).collect()
    }

    /// Writes to `attach`; what was attached is as it should be, and goes again.
    fn attach(&self, line: &[u8]) {
        let before = self.names();
        if self.control.write(ControlFile::Attach, line).is_err() {
            assert_eq!(self.names(), before, "a refused line changed the disks");
            return;
        }
        let (_, disk) = self.disks.all().pop().unwrap();
        assert_eq!(
            self.names(),
            [&before[..], &[disk.id().to_owned()]].concat()
        );
        assert!(valid_id(disk.id()) && !before.contains(&disk.id().to_owned()));
        let real = disk.path().canonicalize().unwrap();
        assert_eq!(disk.path(), real, "a link was not followed");
        let listed = self.control.read(ControlFile::Disks).unwrap().whole();
        let words = shlex::split(listed.lines().last().unwrap()).unwrap();
        let said = usize::from(disk.options().fixed);
        assert_eq!(words.len(), 4 + said, "{listed}");
        assert_eq!(Some(words[3].as_str()), real.to_str());
        self.disks.detach(disk.id()).unwrap();
    }

    /// Writes to `detach`: the one disk goes, or stays.
    fn detach(&self, line: &[u8]) {
        let is_gone = self.control.write(ControlFile::Detach, line).is_ok();
        assert_eq!(self.names().is_empty(), is_gone);
        if is_gone {
            self.attach_vda();
        }
    }
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for sub in ["d", "mnt"] {
        std::fs::create_dir(at(sub)).unwrap();
    }
    for image in ["a", "b c", "mnt-not", "d/a", "mnt/a"] {
        std::fs::write(at(image), [0; 1024]).unwrap();
    }
    for (target, link) in [
        ("a", "l"),
        ("mnt/a", "m"),
        ("loop", "loop"),
        ("../mnt", "d/m"),
    ] {
        symlink(target, at(link)).unwrap();
    }
    folder
}

/// `%` stands for the folder. The rest of the machine is left alone.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tops = ["dev", "proc", "sys", "etc", "run"];
    if tops.iter().any(|top| text.contains(top)) {
        return;
    }
    BENCH.with_borrow_mut(|bench| {
        let folder = bench.folder.path().to_str().unwrap();
        let pieces: Vec<_> = data.split(|byte| *byte == b'%').collect();
        let line = pieces.join(folder.as_bytes());
        bench.attach(&line);
        bench.detach(&line);
        let error = bench.control.read(ControlFile::Error).unwrap().whole();
        assert!(error.lines().count() <= 1, "{error}");
        // Places in the list of disks are not used again: a new list now and then.
        bench.runs += 1;
        if bench.runs == 1000 {
            *bench = Bench::new();
        }
    });
}
