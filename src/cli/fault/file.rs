//! `--file`: rules from a file or from standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::cli::exit::UsageError;
use crate::client::ClientError;
use crate::fault::{Edit, Rule, parse_edits};
use crate::units::text::shown;

/// The rules of a file.
pub(super) struct Rules {
    /// What is named in errors.
    name: String,
    /// The text, comments included.
    pub(super) text: String,
    /// The rules that it arms.
    pub(super) added: Vec<Rule>,
}

impl Rules {
    /// Reads the file at `path`; `-` is standard input.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let (name, bytes) = match path == Path::new("-") {
            true => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                let name = "standard input".to_owned();
                (name, read.map(|_| bytes))
            }
            false => (shown(path), std::fs::read(path)),
        };
        let bytes = bytes.with_context(|| name.clone())?;
        let edits = parse_edits(&bytes).map_err(|error| UsageError(format!("{name}: {error}")))?;
        let added = edits.into_iter().filter_map(|edit| match edit {
            Edit::Add(rule) => Some(rule),
            Edit::Remove(_) | Edit::RemoveTag(_) => None,
        });
        Ok(Self {
            added: added.collect(),
            text: String::from_utf8(bytes)?,
            name,
        })
    }

    /// The error with the name of the file, if the server says that its text is wrong.
    pub(super) fn name_in(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref() {
            Some(ClientError::Wrong(what)) => {
                ClientError::Wrong(format!("{}: {what}", self.name)).into()
            }
            _ => error,
        }
    }
}
