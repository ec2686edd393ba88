//! What a test leaves for those who look at its failure: a folder with its calls, its consoles and its disks.
//!
//! The process of a test file fills the folder while the test runs. The short report on the terminal, `--artifacts`
//! and `--html` read it. docs/running-tests.md has its layout.

mod brief;
mod calls;
mod command;
mod console;
mod console_lines;
mod decision_lines;
mod disk;
mod folder;
mod io_lines;
mod kept;
mod limits;
mod lines;
mod record;
mod recording;
mod spool;
mod traceback;
mod watch;

pub use brief::{brief, held, reason};
pub use command::{command_line, quoted};
pub use disk::{DiskEvidence, ask_mounts, clear_mounts, disk_name};
pub use folder::{ConsoleEvidence, Evidence, folder_name, keep_faults, write_test};
pub use limits::Limits;
pub use record::{DiskRecord, Seeds, TestOutcome, TestRecord};
pub use recording::{Recording, RecordingError};
pub use spool::salvage;
pub use traceback::places_of_frame;
pub use watch::Watcher;

/// The name that stands for a file that failed outside of its tests.
pub const FILE_TEST: &str = "the file";
/// The file with the error of a failed test as its report shows it.
pub const ERROR_FILE: &str = "error.txt";

/// The file of a folder with its [`TestRecord`].
pub const TEST_FILE: &str = "test.json";
/// The file with the test's own calls, one a line: `SECONDS MILLISECONDS TEXT`. The seconds are those of the clock of
/// dmesg when the call began.
pub const CALLS_FILE: &str = "calls";
/// What the name of the file of a VM's console begins with, before the name of the VM. Its lines are
/// `SECONDS TEXT`, with the seconds at which the line came.
pub const CONSOLE_PREFIX: &str = "console.";
/// The folder with a folder for each disk: `VM.DISK`, or `DISK` of a disk without a VM.
pub const DISKS_FOLDER: &str = "disks";
/// The file in the folder of a disk with its [`DiskRecord`]. The others have the names and the lines of its control
/// files: `trace`, `decisions`, `rules`, `stats`, `damage`, `pending`, `inflight`.
pub const DISK_FILE: &str = "disk.json";
/// The file in the folder of a disk with the rules that make its recorded faults again, as `faults` takes them.
pub const REPLAY_FILE: &str = "replay";
/// The remark in recorded decisions behind which those of another disk of the same name begin.
const ATTACHED_AGAIN: &str = "# attached again";
