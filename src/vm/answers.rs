//! All that we do with the answers of a guest's agent and of QEMU, on a socket whose other end may be hostile.
//! No VM needs this. A fuzzer does, to show that such an end cannot harm us.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qapi::qga::guest_get_time;
use qapi::qmp;

use super::guest::agent::Agent;
use super::guest::exec;
use super::guest::file_content::{read_file, write_file};
use super::qemu::qmp::{Qmp, QmpError};
use super::{Command, VmError};

/// The outcome of each question.
pub type Answers = Vec<Result<(), VmError>>;

/// How long to wait for a greeting, and for an agent that was out of step.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the agent at the other end of `socket` all that a VM would.
pub fn of_agent(socket: UnixStream) -> Answers {
    let mut agent = Agent::new(socket);
    let check = &mut || Ok(());
    let started = exec::start(&mut agent, &Command::shell("true"), check);
    let result = exec::result(&mut agent, started.as_ref().copied().unwrap_or(1), check);
    vec![
        started.map(drop),
        result.map(drop),
        read_file(&mut agent, check, "/etc/passwd").map(drop),
        write_file(&mut agent, check, "/tmp/file", b"content"),
        agent.execute(&guest_get_time {}, check).map(drop),
        agent.sync(Instant::now() + PATIENCE),
        agent.shut_down(),
    ]
}

/// Lets the QEMU at the other end of `socket` greet, and asks it all that a VM would.
pub fn of_qemu(socket: UnixStream) -> Answers {
    let mut qmp = match Qmp::connect(socket, Instant::now() + PATIENCE) {
        Ok(qmp) => qmp,
        Err(error) => return vec![Err(said(error))],
    };
    let policy = qmp::qom_get {
        path: "/machine/peripheral/vda".to_owned(),
        property: "werror".to_owned(),
    };
    let nodes = qmp::query_named_block_nodes { flat: Some(true) };
    let answers = [
        qmp.execute(&policy).map(drop),
        qmp.events(Duration::ZERO).map(drop),
        qmp.execute(&nodes).map(drop),
        qmp.execute(&qmp::query_migrate {}).map(drop),
        qmp.execute(&qmp::system_reset {}).map(drop),
        qmp.events(Duration::ZERO).map(drop),
    ];
    answers.map(|answer| answer.map_err(said)).into()
}

fn said(error: QmpError) -> VmError {
    match error {
        QmpError::Gone => VmError::Refused {
            command: "QMP".to_owned(),
            text: "QEMU is gone".to_owned(),
        },
        QmpError::Failed(error) => error,
    }
}
