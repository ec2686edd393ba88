//! Reading option tables: every key known, every value of its type.

use std::time::Duration;

use mlua::{FromLua, Lua, Table, Value};

use super::duration::{DURATION, LuaDuration};
use super::signature::found;

/// The table of options `{key = value, ...}`; nil counts as empty.
pub(super) struct Options(Option<Table>);

fn wrong_option(key: &str, wanted: &str, value: &Value) -> String {
    format!("`{key}` wants {wanted}, not {}", found(value))
}

impl From<Table> for Options {
    fn from(table: Table) -> Self {
        Self(Some(table))
    }
}

impl FromLua for Options {
    fn from_lua(value: Value, _lua: &Lua) -> mlua::Result<Self> {
        match value {
            Value::Nil => Ok(Self(None)),
            Value::Table(table) => Ok(Self(Some(table))),
            other => Err(mlua::Error::FromLuaConversionError {
                from: other.type_name(),
                to: "table of options".into(),
                message: None,
            }),
        }
    }
}

impl Options {
    /// Fails on a key that is not among `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), String> {
        let Some(table) = &self.0 else { return Ok(()) };
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|error| error.to_string())?;
            let name = key.to_string().unwrap_or_default();
            if !matches!(key, Value::String(_)) || !known.contains(&name.as_str()) {
                return Err(format!(
                    "unknown option `{name}` (known: {})",
                    known.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The value of `key`, if there is one; `wanted` describes it in the error.
    pub(super) fn get<T: FromLua>(&self, key: &str, wanted: &str) -> Result<Option<T>, String> {
        let Some(table) = &self.0 else {
            return Ok(None);
        };
        let value = table.get(key).map_err(|error| error.to_string())?;
        let wrong = |_| wrong_option(key, wanted, &value);
        table.get(key).map_err(wrong)
    }

    /// What `read` makes of the value of `key`, if there is one.
    pub(super) fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let value = self.get(key, wanted)?.unwrap_or(Value::Nil);
        match value {
            Value::Nil => Ok(None),
            value => match read(&value) {
                None => Err(wrong_option(key, wanted, &value)),
                read => Ok(read),
            },
        }
    }

    /// Whether `key` is true; false without one.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        let flag = self.read(key, "true or false", Value::as_boolean)?;
        Ok(flag.unwrap_or(false))
    }

    /// The duration at `key`, if there is one.
    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, String> {
        let duration: Option<LuaDuration> = self.get(key, &format!("a {DURATION}"))?;
        Ok(duration.map(|duration| duration.0))
    }

    /// The list of tables at `key`, each read by `item`; errors say which item is meant.
    pub(super) fn list<T>(
        &self,
        key: &str,
        item: impl Fn(&Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let list: Option<Table> = self.get(key, "a list of tables")?;
        let Some(list) = list else {
            return Ok(Vec::new());
        };
        if list.raw_len() == 0 && !list.is_empty() {
            return Err(format!(
                "`{key}` wants a list of tables: {{{{...}}, {{...}}}}"
            ));
        }
        let tables = list.sequence_values::<Table>().enumerate();
        let read = |(at, table): (usize, mlua::Result<Table>)| {
            let table = table.map_err(|_| format!("`{key}` wants a list of tables"))?;
            item(&Self(Some(table))).map_err(|error| format!("{key}[{}]: {error}", at + 1))
        };
        tables.map(read).collect()
    }
}
