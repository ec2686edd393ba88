//! Reading option tables: each key is known, each value has its type.

use std::collections::BTreeMap;
use std::time::Duration;

use mlua::{FromLua, Lua, Table, Value};

use super::duration::{DURATION, LuaDuration};
use super::signature::found;
use crate::units::size::parse_size;
use crate::units::text;

/// A text for the guest: a path, an argument. The guest's agent takes only UTF-8, and it changes zero
/// bytes, which no argument of a program may have.
pub(in crate::script) struct GuestText(pub(in crate::script) String);

/// The description of such a text, for errors.
pub(in crate::script) const GUEST_TEXT: &str = "string in UTF-8 without zeros";

impl GuestText {
    /// The text of a string or a number; None for anything else.
    pub(in crate::script) fn of(value: &Value) -> Option<Self> {
        let text = match value {
            Value::String(text) => text.to_str().ok()?.to_owned(),
            Value::Integer(_) | Value::Number(_) => value.to_string().ok()?,
            _ => return None,
        };
        (!text.contains('\0')).then_some(Self(text))
    }
}

impl FromLua for GuestText {
    fn from_lua(value: Value, _lua: &Lua) -> mlua::Result<Self> {
        Self::of(&value).ok_or_else(|| mlua::Error::FromLuaConversionError {
            from: value.type_name(),
            to: match value {
                Value::String(_) => GUEST_TEXT.into(),
                _ => "string".into(),
            },
            message: None,
        })
    }
}

/// The items of the list in `table`, and whether it has other keys too.
pub(in crate::script) fn items(table: &Table) -> Result<(Vec<Value>, bool), String> {
    let mut items = BTreeMap::new();
    let mut has_others = false;
    for pair in table.pairs::<Value, Value>() {
        match pair.map_err(|error| error.to_string())? {
            (Value::Integer(place), item) => drop(items.insert(place, item)),
            _ => has_others = true,
        }
    }
    match (1..).zip(items.keys()).find(|(place, key)| place != *key) {
        Some((place, _)) => Err(format!("item {place} of the list is missing")),
        None => Ok((items.into_values().collect(), has_others)),
    }
}

/// The texts of `items`; None if one of them has no text.
pub(in crate::script) fn guest_texts(items: &[Value]) -> Option<Vec<String>> {
    let texts = items.iter().map(|item| Some(GuestText::of(item)?.0));
    texts.collect()
}

/// The table of options `{key = value, ...}`; nil counts as empty.
pub(in crate::script) struct Options {
    table: Option<Table>,
    /// Whether the table holds a list too.
    has_items: bool,
}

fn wrong_option(key: &str, expected: &str, value: &Value) -> String {
    format!("`{key}` expects {expected}, not {}", found(value))
}

impl From<Table> for Options {
    fn from(table: Table) -> Self {
        Self {
            table: Some(table),
            has_items: false,
        }
    }
}

impl FromLua for Options {
    fn from_lua(value: Value, _lua: &Lua) -> mlua::Result<Self> {
        match value {
            Value::Nil => Ok(Self {
                table: None,
                has_items: false,
            }),
            Value::Table(table) => Ok(table.into()),
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
    pub(in crate::script) fn only(&self, known: &[&str]) -> Result<(), String> {
        let Some(table) = &self.table else {
            return Ok(());
        };
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|error| error.to_string())?;
            if self.has_items && key.is_integer() {
                continue;
            }
            let name = match &key {
                Value::String(key) => text::escaped(&key.as_bytes()),
                key => found(key),
            };
            if !matches!(key, Value::String(_)) || !known.contains(&name.as_str()) {
                return Err(format!(
                    "unknown option `{name}` (known: {})",
                    known.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The value of `key`, if there is one; `expected` describes it in the error.
    pub(in crate::script) fn get<T: FromLua>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, String> {
        let Some(table) = &self.table else {
            return Ok(None);
        };
        let value = table.get(key).map_err(|error| error.to_string())?;
        let wrong = |_| wrong_option(key, expected, &value);
        table.get(key).map_err(wrong)
    }

    /// The value of `key` as `read` converts it, if there is one.
    pub(in crate::script) fn read<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let value = self.get(key, expected)?.unwrap_or(Value::Nil);
        match value {
            Value::Nil => Ok(None),
            value => match read(&value) {
                None => Err(wrong_option(key, expected, &value)),
                read => Ok(read),
            },
        }
    }

    /// Whether `key` is true; false without one.
    pub(in crate::script) fn flag(&self, key: &str) -> Result<bool, String> {
        let flag = self.read(key, "true or false", Value::as_boolean)?;
        Ok(flag.unwrap_or(false))
    }

    /// The duration at `key`, if there is one.
    pub(in crate::script) fn duration(&self, key: &str) -> Result<Option<Duration>, String> {
        let duration: Option<LuaDuration> = self.get(key, &format!("a {DURATION}"))?;
        Ok(duration.map(|duration| duration.0))
    }

    /// The items of the list that the table holds beside options.
    pub(in crate::script) fn take_items(&mut self) -> Result<Vec<Value>, String> {
        self.has_items = true;
        let table = self.table.as_ref();
        table.map_or(Ok(Vec::new()), |table| Ok(items(table)?.0))
    }

    /// The text at `key`, or the texts of the list there with commas between them, if there is one.
    pub(in crate::script) fn texts(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<String>, String> {
        self.read(key, expected, |value| match value {
            Value::String(text) => Some(text.to_string_lossy()),
            Value::Table(list) => {
                let (items, has_others) = items(list).ok()?;
                let texts = items
                    .iter()
                    .map(|item| Some(item.as_string()?.to_string_lossy()));
                let texts: Option<Vec<_>> = texts.collect();
                texts.filter(|_| !has_others).map(|texts| texts.join(","))
            }
            _ => None,
        })
    }

    /// The list of strings at `key`, if there is one.
    pub(in crate::script) fn guest_texts(&self, key: &str) -> Result<Option<Vec<String>>, String> {
        let expected = format!("a list, each a {GUEST_TEXT}");
        self.read(key, &expected, |list| {
            let (items, has_others) = items(list.as_table()?).ok()?;
            let texts = guest_texts(&items)?;
            (!has_others).then_some(texts)
        })
    }

    /// The list of tables at `key`, each read by `item`; errors say which item is meant.
    pub(in crate::script) fn list<T>(
        &self,
        key: &str,
        item: impl Fn(&Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        const EXPECTED: &str = "a list of tables: {{...}, {...}}";
        let tables = self.read(key, EXPECTED, |list| {
            let (items, has_others) = items(list.as_table()?).ok()?;
            let tables = items.into_iter().map(|item| item.as_table().cloned());
            let tables: Option<Vec<_>> = tables.collect();
            tables.filter(|_| !has_others)
        })?;
        let tables = tables.into_iter().flatten().zip(1..);
        let read = |(table, place): (Table, usize)| {
            item(&table.into()).map_err(|error| format!("{key}[{place}]: {error}"))
        };
        tables.map(read).collect()
    }
}
/// A size: a number of bytes, or a text with a unit.
pub(in crate::script) fn bytes(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        value => parse_size(&value.as_string()?.to_string_lossy()),
    }
}
