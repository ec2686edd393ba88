//! `json.encode` and `json.decode`. What JSON cannot say is an error that names the place.

use mlua::{Lua, LuaSerdeExt, Table, Value};
use serde_json::{Map, Number, Value as Json};

use super::signature::found;

/// Deeper than anything but a table that contains itself.
const DEEPEST: usize = 120;

/// What the JSON `text` means. An empty array remembers that it is one.
pub(super) fn decode(lua: &Lua, text: String) -> Result<Value, String> {
    let value: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    lua.to_value(&value).map_err(|error| error.to_string())
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

    /// A sequence is an array, any other table an object.
    fn table(&self, table: &Table, path: &mut Vec<String>) -> Result<Json, String> {
        if path.len() > DEEPEST {
            let top = path.iter().take(5).map(String::as_str).collect::<String>();
            return Err(format!(
                "the table at {top}... contains itself, or is too deep"
            ));
        }
        let len = table.raw_len();
        let is_decoded_array = table.metatable() == Some(self.0.array_metatable());
        let count = table.pairs::<Value, Value>().count();
        let is_sequence = count == len && (len > 0 || is_decoded_array);
        let mut object = Map::new();
        let mut array = Vec::new();
        if is_sequence {
            for (item, place) in table.sequence_values().zip(1..) {
                path.push(format!("[{place}]"));
                array.push(self.value(&said(item)?, path)?);
                path.pop();
            }
            return Ok(Json::Array(array));
        }
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
    fn a_number_is_the_nearest_that_there_is() {
        let lua = Lua::new();
        for text in [
            "18446744071727425000.0",
            "18446741844674407315.0",
            "1e23",
            "5e-324",
        ] {
            let value = decode(&lua, text.into()).unwrap();
            assert_eq!(value, Value::Number(text.parse().unwrap()), "{text}");
            let again = encode(&lua, value.clone()).unwrap();
            assert_eq!(decode(&lua, again).unwrap(), value, "{text}");
        }
    }
}
