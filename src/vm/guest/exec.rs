//! Starting commands in the guest through its agent, and their results.

use std::collections::BTreeMap;

use qapi::qga::{guest_exec, guest_exec_status};

use super::agent::{Agent, LivenessCheck};
use super::command::{Command, RunResult};
use super::file_content::read_file;
use crate::vm::VmError;
use crate::vm::qemu::raw::Raw;

/// The agent does not know the command, since it is not the one that started it.
const FORGOTTEN: &str = "the guest has rebooted while the command ran, or its agent was started anew: the agent does \
                         not know the command";

/// Starts `command` and returns its process ID in the guest.
pub(in crate::vm) fn start(
    agent: &mut Agent,
    command: &Command,
    check: LivenessCheck<'_>,
) -> Result<i64, VmError> {
    let env = environment(agent, command, check)?;
    let direct = command.as_started();
    let refused = match spawn(agent, &direct, env.clone(), check) {
        Err(VmError::Agent(text)) => text,
        started => return started,
    };
    // The program may be missing. A shell reports that in the same way for all commands.
    let error = format!("cannot run `{}`: {refused}", command.program);
    match spawn(agent, &command.through_shell(), env, check) {
        Err(VmError::Agent(_)) => Err(VmError::Agent(error)),
        started => started,
    }
}

fn spawn(
    agent: &mut Agent,
    command: &Command,
    env: Option<Vec<String>>,
    check: LivenessCheck<'_>,
) -> Result<i64, VmError> {
    let exec = guest_exec {
        path: command.program.clone(),
        arg: Some(command.args.clone()),
        env,
        input_data: command.stdin.clone(),
        capture_output: None,
    };
    let mut arguments = serde_json::to_value(&exec)
        .map_err(|error| VmError::Agent(format!("guest-exec: {error}")))?;
    // The generated type has a form that agents before QEMU 8 do not understand.
    arguments["capture-output"] = true.into();
    let started = agent.execute(&Raw::<guest_exec>::new(arguments), check)?;
    Ok(started.pid)
}

/// The environment for `command`; None for the agent's own. One that is given replaces that.
fn environment(
    agent: &mut Agent,
    command: &Command,
    check: LivenessCheck<'_>,
) -> Result<Option<Vec<String>>, VmError> {
    if command.env_clear {
        return Ok(Some(command.env.clone()));
    }
    if command.env.is_empty() {
        return Ok(None);
    }
    let own = match read_file(agent, check, "/proc/self/environ") {
        Ok(own) => own,
        Err(VmError::Agent(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let own = String::from_utf8_lossy(&own).into_owned();
    Ok(Some(with_added(&own, &command.env)))
}

/// The result of the process `pid`, once it has ended; the agent forgets it then.
pub(in crate::vm) fn result(
    agent: &mut Agent,
    pid: i64,
    check: LivenessCheck<'_>,
) -> Result<Option<RunResult>, VmError> {
    let status = agent.execute(&guest_exec_status { pid }, check);
    let status = status.map_err(|error| match error {
        VmError::Agent(text) if text.contains("'pid'") => VmError::Guest(FORGOTTEN.to_owned()),
        error => error,
    })?;
    Ok(status.exited.then(|| RunResult::of(status)))
}

/// The environment `own`, whose entries end with a zero, with `added` in place of those of the same name.
/// There is a PATH in any case.
fn with_added(own: &str, added: &[String]) -> Vec<String> {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut all: BTreeMap<&str, &str> = PATH.split_once('=').into_iter().collect();
    let own = own.split('\0').filter_map(|entry| entry.split_once('='));
    all.extend(own);
    all.extend(added.iter().filter_map(|entry| entry.split_once('=')));
    let entries = all.iter().map(|(name, value)| format!("{name}={value}"));
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_is_added_to_and_has_a_path() {
        let added = ["A=new".to_owned(), "C=".to_owned()];
        let env = with_added("A=old\0B=b=b\0PATH=/mine\0", &added);
        assert_eq!(env, ["A=new", "B=b=b", "C=", "PATH=/mine"]);
        assert_eq!(with_added("", &added).len(), 3);
    }
}
