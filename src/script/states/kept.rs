//! A state's file that a guest keeps as a disk, to get the next state in it: plugging a disk in and out takes longer
//! than most functions look at it.
//!
//! The next state takes the place of the last one if the guest has nothing of that one any more, and if plugging it
//! in would show the guest the same: if both agree in all sectors that were read by plugging in. Those count as read
//! of the next state too. So what is read of a state does not depend on how the guest got it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::crash::{Content, Deltas, Sectors, Shelf, Source, agree};
use crate::server::StateMount;

/// Where the states are that guests look at.
pub(super) struct Kept {
    mount: Arc<StateMount>,
    source: Arc<Source>,
    deltas: Arc<Deltas>,
    file: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    /// The latest one that was served.
    served: (PathBuf, Content),
    /// The one that a guest has.
    kept: Option<File>,
}

/// A file that a guest has as a disk.
#[derive(Clone)]
struct File {
    path: PathBuf,
    content: Content,
    /// What was read when it was plugged in.
    by_plugging: Sectors,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    /// The guest looks at the state.
    InUse,
    /// The guest has let go of it, after it had read these sectors.
    LetGo(Sectors),
    /// Nobody asks about the state any more.
    Free,
}

impl Kept {
    pub(super) fn new(mount: &Arc<StateMount>, source: &Arc<Source>, deltas: &Arc<Deltas>) -> Self {
        Self {
            mount: Arc::clone(mount),
            source: Arc::clone(source),
            deltas: Arc::clone(deltas),
            file: Mutex::default(),
        }
    }

    /// The guest has the state that was served last, as a new disk.
    pub(super) fn plugged(&self) -> io::Result<()> {
        let (path, content) = self.file.lock().served.clone();
        let by_plugging = self.mount.read(&path)?;
        self.file.lock().kept = Some(File {
            path,
            content,
            by_plugging,
            stage: Stage::InUse,
        });
        Ok(())
    }

    /// What was read of the state that the guest has.
    pub(super) fn read(&self) -> io::Result<Sectors> {
        let path = self.file.lock().kept.as_ref().map(|file| file.path.clone());
        self.mount.read(&path.unwrap_or_default())
    }

    /// The guest has nothing of it any more, after it had read these sectors.
    pub(super) fn let_go(&self, read: Sectors) {
        if let Some(file) = &mut self.file.lock().kept {
            file.stage = Stage::LetGo(read);
        }
    }

    /// The guest has no disk any more.
    pub(super) fn unplugged(&self) -> io::Result<()> {
        let file = self.file.lock().kept.take();
        match file.filter(|file| matches!(file.stage, Stage::Free)) {
            Some(file) => self.mount.withdraw(&file.path).map(drop),
            // Whoever asked for the state withdraws it.
            None => Ok(()),
        }
    }

    /// The file that may become a state with `content`.
    fn free_for(&self, content: &Content) -> Option<PathBuf> {
        let files = self.file.lock();
        let file = files.kept.as_ref()?;
        let is_free = matches!(file.stage, Stage::Free);
        let contents = [&file.content, content];
        let (history, deltas) = (&self.source.history, &self.deltas);
        (is_free && agree(&file.by_plugging, contents, history, deltas)).then(|| file.path.clone())
    }
}

impl Shelf for Kept {
    fn serve(&self, name: &str, content: &Content) -> io::Result<PathBuf> {
        if let Some(path) = self.free_for(content) {
            self.mount.replace(&path, content)?;
            if let Some(file) = &mut self.file.lock().kept {
                file.content = content.clone();
                file.stage = Stage::InUse;
            }
            return Ok(path);
        }
        let path = self.mount.serve(name, content)?;
        self.file.lock().served = (path.clone(), content.clone());
        Ok(path)
    }

    fn withdraw(&self, path: &Path) -> io::Result<Sectors> {
        if let Some(file) = &mut self.file.lock().kept
            && file.path == path
            && let Stage::LetGo(read) = &file.stage
        {
            let mut read = read.clone();
            file.by_plugging
                .ranges()
                .for_each(|range| read.insert(range));
            file.stage = Stage::Free;
            return Ok(read);
        }
        self.mount.withdraw(path)
    }
}
