//! `disk:wait_fired`: waiting until a rule has fired.

use std::time::{Duration, Instant};

use super::handle::Disk;
use crate::client::DiskControl;
use crate::fault::RuleName;
use crate::script::bind::{CallResult, LuaDuration, Methods};
use crate::script::context::Context;
use crate::units::duration::show_duration;

/// How long the call waits unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two looks at the counters.
const TICK: Duration = Duration::from_millis(5);

/// Adds the call.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("wait_fired", wait_fired)
}

fn wait_fired(
    context: &Context,
    disk: &Disk,
    (rule, times, timeout): (String, Option<u64>, Option<LuaDuration>),
) -> CallResult<()> {
    let times = times.unwrap_or(1);
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
    let deadline = Instant::now() + timeout;
    loop {
        match fired(disk, &rule)? {
            None => return Err(format!("no rule and no tag `{rule}` is armed").into()),
            Some(fired) if fired >= times => return Ok(()),
            Some(fired) if Instant::now() >= deadline => {
                let limit = show_duration(timeout);
                let text = format!("`{rule}` fired {fired} of {times} times within {limit}");
                return Err(text.into());
            }
            Some(_) => context.sleep(TICK)?,
        }
    }
}

/// How often the rule that `name` means has fired; None if no rule of that name is armed.
fn fired(disk: &Disk, name: &str) -> CallResult<Option<u64>> {
    let name = RuleName::new(name);
    let rules = disk.ask(DiskControl::rules)?;
    let meant = rules.iter().filter(|rule| name.means(rule));
    Ok(meant.map(|rule| rule.counts.fired).max())
}
