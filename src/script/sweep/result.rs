//! What a sweep has found, as a table.

use mlua::{Lua, Table};

use crate::sweep::{Point, Swept};

/// The table that `t:sweep` returns.
pub(super) fn table(lua: &Lua, swept: &Swept) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("fault", swept.fault.as_str())?;
    table.set("requests", swept.requests)?;
    table.set("planned", swept.planned)?;
    let points = lua.create_table()?;
    for point in &swept.points {
        points.set(point.k, point_table(lua, point)?)?;
    }
    table.set("points", points)?;
    table.set("failed", swept.failed())?;
    table.set("notes", swept.notes.as_slice())?;
    table.set("seconds", swept.seconds)?;
    Ok(table)
}

fn point_table(lua: &Lua, point: &Point) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("k", point.k)?;
    if let Some(request) = &point.request {
        table.set("op", request.op.as_str())?;
        table.set("sector", request.sector)?;
        table.set("count", request.count)?;
    }
    table.set("passed", point.passed)?;
    table.set("error", point.error.as_deref())?;
    table.set("requests", point.requests)?;
    table.set("seconds", point.seconds)?;
    table.set("note", point.note.as_deref())?;
    if let Some(states) = point.states {
        let found = lua.create_table()?;
        found.set("distinct", states.distinct)?;
        found.set("bad", states.bad)?;
        table.set("states", found)?;
    }
    Ok(table)
}
