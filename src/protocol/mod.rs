//! What both sides of a mount agree on: the names and limits in it, error numbers, the lines of its
//! control files, and the ioctls.

mod cache_mode;
mod checkpoint;
mod command;
mod control_files;
mod damage_line;
mod disk_line;
pub mod disk_options;
mod disk_spec;
mod effect;
mod errno;
mod event_line;
mod in_flight_line;
mod line;
mod log_line;
pub mod names;
mod op;
mod pending_line;
mod power;
mod rejection;
mod rule_line;
mod stats;
mod switch;
mod trace_line;

pub use cache_mode::CacheMode;
pub use checkpoint::{BadCheckpoint, CheckpointCommand};
pub use command::{Attach, Release, ReleaseError, Released, UNLOCK};
pub use control_files::{ControlFile, ControlPath, DiskFile, Reads, Writes};
pub use damage_line::DamageLine;
pub use disk_line::DiskLine;
pub use disk_spec::{BadDiskSpec, DiskSpec};
pub use effect::Effect;
pub use errno::{BadErrno, Errno};
pub use event_line::{DiskEvent, EventLine};
pub use in_flight_line::InFlightLine;
pub use line::{BadLine, NO_RULES};
pub use log_line::{LogBase, LogCommand, LogLine};
pub use op::Op;
pub use pending_line::PendingLine;
pub use power::{BadPower, CutReport, Keep, PowerCommand, PowerCut, PowerState};
pub use rejection::Rejection;
pub use rule_line::{Counts, Remark, RuleLine, RulesLine};
pub use stats::{DiskGauge, LatencyFigure, OpCounter, StatKey, StatLine};
pub use switch::Switch;
pub use trace_line::{Answered, Completion, Note, Noted, TraceLine, Verdict};
