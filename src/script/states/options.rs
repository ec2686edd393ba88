//! The options that say which states are meant, and how they are checked.

use std::time::Duration;

use mlua::Value;

use crate::crash::{At, BaseImage, History, Pick, Walk};
use crate::script::bind::Options;
use crate::script::context::Context;
use crate::script::host_path::host_path;

/// The options that say which states are meant.
pub(super) const WHICH: [&str; 9] = [
    "from", "to", "at", "pick", "tear", "seed", "base", "by_mark", "prune",
];

/// The most sectors of a piece.
const LARGEST_PIECE: u64 = 2048;

/// How long a check may take unless told otherwise.
const CHECK: Duration = Duration::from_secs(60);

/// What the disk held when its log began.
pub(super) fn base(context: &Context, options: &Options) -> Result<BaseImage, String> {
    let base: Option<String> = options.get("base", "the path of an image, or \"none\"")?;
    Ok(
        match base.as_ref().map(|base| BaseImage::given(base.as_ref())) {
            None => BaseImage::Beside,
            Some(BaseImage::At(path)) => BaseImage::At(host_path(context, path)),
            Some(given) => given,
        },
    )
}

/// Whether a state that agrees with a checked one in all that was read has its verdict.
pub(super) fn prune(options: &Options) -> Result<bool, String> {
    let prune = options.read("prune", "true or false", Value::as_boolean)?;
    Ok(prune.unwrap_or(true))
}

/// How long a check may take.
pub(super) fn timeout(options: &Options) -> Result<Duration, String> {
    let timeout = options.duration("timeout")?;
    Ok(timeout.unwrap_or(CHECK))
}

/// The states of `history` that are meant.
pub(super) fn walk(options: &Options, history: &History) -> Result<Walk, String> {
    const MARK: &str = "the text of a mark";
    let from: Option<String> = options.get("from", MARK)?;
    let to: Option<String> = options.get("to", MARK)?;
    let points = history.points(from.as_deref(), to.as_deref());
    let points = points.map_err(|error| error.to_string())?;
    let at = options.read("at", "\"entry\" or \"flush\"", |value| {
        match &*value.as_string()?.to_str().ok()? {
            "entry" => Some(At::Entry),
            "flush" => Some(At::Flush),
            _ => None,
        }
    })?;
    Ok(Walk {
        from: *points.start(),
        to: *points.end(),
        at: at.unwrap_or_default(),
        picks: picks(options)?,
        tear: tear(options)?,
        seed: seed(options)?,
        by_mark: options.flag("by_mark")?,
    })
}

/// The sectors of the pieces in which requests survive.
pub(in crate::script) fn tear(options: &Options) -> Result<Option<u64>, String> {
    options.read("tear", "a number of sectors from 1 to 2048", |value| {
        let tear = u64::try_from(value.as_integer()?).ok()?;
        (1..=LARGEST_PIECE).contains(&tear).then_some(tear)
    })
}

/// What decides at random.
pub(in crate::script) fn seed(options: &Options) -> Result<u64, String> {
    let seed = options.read("seed", "a whole number, 0 or more", |value| {
        u64::try_from(value.as_integer()?).ok()
    })?;
    Ok(seed.unwrap_or(1))
}

/// Which states of a point are meant.
pub(in crate::script) fn picks(options: &Options) -> Result<Vec<Pick>, String> {
    const EXPECTED: &str = "a text such as \"none,all,drop=1\", or a list of such texts";
    let text = options.texts("pick", EXPECTED)?;
    let text = text.unwrap_or_else(|| Pick::DEFAULT.to_owned());
    Pick::list(&text).map_err(|error| format!("`pick`: {error}"))
}
