//! The options of `t:sweep`.

use std::time::Duration;

use mlua::{Function, Value};

use crate::crash::{At, Walk};
use crate::script::bind::{CallResult, Options};
use crate::script::disk::rule_text;
use crate::script::states::{picks, seed, tear};
use crate::sweep::{Order, SweptFault, Thinning};

/// All of them.
const KNOWN: [&str; 16] = [
    "op",
    "fault",
    "at",
    "from",
    "persistent",
    "every",
    "max",
    "sample",
    "seed",
    "only",
    "check",
    "states",
    "pick",
    "tear",
    "timeout",
    "fail",
];

/// How long a run may take unless told otherwise.
const RUN: Duration = Duration::from_secs(60);

/// What a test wants.
pub(super) struct Wanted {
    pub(super) order: Order,
    /// Looks at what a run has left.
    pub(super) check: Option<Function>,
    /// Which crash states are checked; None for the one that the cut has left.
    pub(super) states: Option<Walk>,
    /// How long a run may take.
    pub(super) timeout: Duration,
    /// A run that fails fails the test.
    pub(super) fails: bool,
}

impl Wanted {
    pub(super) fn of(options: &Options) -> CallResult<Self> {
        options.only(&KNOWN)?;
        let fault = fault(options)?;
        let check: Option<Function> = options.get("check", "a function")?;
        if fault.cuts_power() && check.is_none() {
            return Err(
                "a power cut ends each run: `check` is missing, a function that looks at what the cut has left"
                    .into(),
            );
        }
        let states = states(options)?;
        if states.is_some() && !fault.cuts_power() {
            return Err(
                "`states` is for `fault = \"cut\"`: nothing else leaves crash states".into(),
            );
        }
        let fails = options.read("fail", "true or false", Value::as_boolean)?;
        Ok(Self {
            order: Order {
                fault,
                from: options.get("from", "the text of a mark")?,
                thinning: thinning(options)?,
                lasts: None,
                who: "the function",
            },
            check,
            states,
            timeout: options.duration("timeout")?.unwrap_or(RUN),
            fails: fails.unwrap_or(true),
        })
    }
}

fn fault(options: &Options) -> CallResult<SweptFault> {
    let fault: Option<Value> = options.get("fault", "a rule")?;
    let fault = fault.filter(|fault| !fault.is_nil());
    let fault = fault.ok_or("`fault` is missing: a rule, as in \"error errno=EIO\"")?;
    let fault = match &fault {
        Value::String(text) => text.to_string_lossy(),
        Value::Table(_) => rule_text(&fault, None)?,
        _ => return Err("`fault` expects a rule: a text, or a table with an `action`".into()),
    };
    let op = options.texts("op", "an operation, or a list of them")?;
    let at = options.texts("at", "sectors such as \"0+8\", or a list of such texts")?;
    let is_persistent = options.flag("persistent")?;
    let fault = SweptFault::new(&fault, op.as_deref(), at.as_deref(), is_persistent);
    Ok(fault?)
}

fn thinning(options: &Options) -> Result<Thinning, String> {
    let number = |key| {
        options.read(key, "a whole number, 1 or more", |value| {
            u64::try_from(value.as_integer()?).ok()
        })
    };
    let thinning = Thinning {
        every: number("every")?,
        max: number("max")?,
        sample: number("sample")?,
        seed: seed(options)?,
        only: number("only")?,
    };
    thinning.check(|key| format!("`{key}`"))?;
    Ok(thinning)
}

/// The states of the end of a log, if each is to be checked.
fn states(options: &Options) -> Result<Option<Walk>, String> {
    let each = options.read("states", "\"each\"", |value| {
        (*value.as_string()? == "each").then_some(())
    })?;
    if each.is_none() {
        let others = ["pick", "tear"];
        let given = others.into_iter().find(|key| {
            let value: Result<Option<Value>, _> = options.get(key, "");
            value.is_ok_and(|value| value.is_some_and(|value| !value.is_nil()))
        });
        return given.map_or(Ok(None), |key| {
            Err(format!("`{key}` needs `states = \"each\"`"))
        });
    }
    Ok(Some(Walk {
        from: 0,
        to: usize::MAX,
        at: At::Entry,
        picks: picks(options)?,
        tear: tear(options)?,
        seed: seed(options)?,
        by_mark: false,
    }))
}
