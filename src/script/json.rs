//! `json.encode` and `json.decode`. A value without a form in JSON is an error that names its place.

use mlua::serde::ser::Options as SerializeOptions;
use mlua::{Lua, LuaSerdeExt, LuaString, Table, Value};
use serde_json::{Map, Number, Value as Json};

use super::bind::found;

/// Deeper than anything but a table that contains itself.
const DEEPEST: usize = 120;
/// How many nulls an array may have beyond its number of items, when it was changed after decoding.
const MOST_HOLES: usize = 1 << 20;

/// The value of the JSON `text`. Null is nil: a key is absent, an array has a hole. An array remembers
/// that it is one.
pub(super) fn decode(lua: &Lua, text: LuaString) -> Result<Value, String> {
    let value: Json =
        serde_json::from_slice(&text.as_bytes()).map_err(|error| error.to_string())?;
    let null_is_nil = SerializeOptions::new()
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false);
    let value = lua.to_value_with(&value, null_is_nil);
    value.map_err(|error| error.to_string())
}

/// `value` as JSON, in one line; the keys of an object are sorted.
pub(super) fn encode(lua: &Lua, value: Value) -> Result<String, String> {
    let encoder = Encoder(lua);
    let json = encoder.value(&value, &mut Vec::new())?;
    Ok(json.to_string())
}

struct Encoder<'a>(&'a Lua);

impl Encoder<'_> {
    /// `path` leads to the value: keys, as an error shows them.
    fn value(&self, value: &Value, path: &mut Vec<String>) -> Result<Json, String> {
        let json = match value {
            Value::Nil => Some(Json::Null),
            value if *value == self.0.null() => Some(Json::Null),
            Value::Boolean(value) => Some(Json::Bool(*value)),
            Value::Integer(number) => Some((*number).into()),
            Value::Number(number) => Number::from_f64(*number).map(Json::Number),
            Value::String(text) => Some(Json::String(text_of(text, path)?)),
            Value::Table(table) => Some(self.table(table, path)?),
            _ => None,
        };
        let what = || format!("JSON has no {}", found(value).trim_start_matches("a "));
        json.ok_or_else(|| at(path, &what()))
    }

    /// How many items an array has; None of an object.
    fn length(&self, table: &Table) -> Option<usize> {
        if table.metatable() == Some(self.0.array_metatable()) {
            return largest_index(table);
        }
        let len = table.raw_len();
        let is_sequence = len > 0 && table.pairs::<Value, Value>().count() == len;
        is_sequence.then_some(len)
    }

    /// A sequence is an array, and so is what was decoded as one, its holes filled with null; any other
    /// table is an object.
    fn table(&self, table: &Table, path: &mut Vec<String>) -> Result<Json, String> {
        if path.len() > DEEPEST {
            let top = path.iter().take(5).map(String::as_str).collect::<String>();
            return Err(format!(
                "the table at {top}... contains itself, or is too deep"
            ));
        }
        if let Some(len) = self.length(table) {
            let mut array = Vec::new();
            for place in 1..=len {
                path.push(format!("[{place}]"));
                array.push(self.value(&said(table.raw_get(place))?, path)?);
                path.pop();
            }
            return Ok(Json::Array(array));
        }
        let mut object = Map::new();
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = said(pair)?;
            let key = match &key {
                Value::String(text) => text_of(text, path)?,
                Value::Integer(number) => number.to_string(),
                key => {
                    let what = format!("a key is a string or an integer, not {}", found(key));
                    return Err(at(path, &what));
                }
            };
            path.push(format!(".{key}"));
            object.insert(key, self.value(&value, path)?);
            path.pop();
        }
        Ok(Json::Object(object))
    }
}

/// The largest key of a table whose keys are integers from 1 on; 0 of an empty one. None for a table
/// that is mostly holes: it was not decoded like that.
fn largest_index(table: &Table) -> Option<usize> {
    let mut largest = 0;
    let mut count = 0;
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.ok()?;
        largest = largest.max(
            usize::try_from(key.as_integer()?)
                .ok()
                .filter(|key| *key > 0)?,
        );
        count += 1;
    }
    (largest <= MOST_HOLES + 2 * count).then_some(largest)
}

fn said<T>(result: mlua::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn text_of(text: &mlua::LuaString, path: &[String]) -> Result<String, String> {
    let text = std::str::from_utf8(&text.as_bytes()).map(str::to_owned);
    text.map_err(|error| {
        let byte = error.valid_up_to() + 1;
        at(
            path,
            &format!("a text in JSON is UTF-8, and byte {byte} of this string is not"),
        )
    })
}

fn at(path: &[String], what: &str) -> String {
    match path {
        [] => what.to_owned(),
        path => format!("at {}: {what}", path.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_gives_the_nearest_number() {
        let lua = Lua::new();
        for text in [
            "18446744071727425000.0",
            "18446741844674407315.0",
            "1e23",
            "5e-324",
        ] {
            let decoded = |text: &str| decode(&lua, lua.create_string(text).unwrap()).unwrap();
            let value = decoded(text);
            assert_eq!(value, Value::Number(text.parse().unwrap()), "{text}");
            let again = encode(&lua, value.clone()).unwrap();
            assert_eq!(decoded(&again), value, "{text}");
        }
    }
}
