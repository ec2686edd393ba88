//! The table of modules in docs/architecture.md, lowest first.

use std::fmt::{Display, Formatter, Result};

use super::root;

/// A row: a folder of src/.
pub struct Row {
    pub module: String,
    /// The rows that it may use.
    pub may_use: Vec<String>,
    /// Names that it must not use: crates, and paths of the standard library.
    pub must_not_know: Vec<String>,
}

pub struct Table {
    pub rows: Vec<Row>,
    /// The large dependencies, each with the modules that may use it.
    pub homes: Vec<(String, Vec<String>)>,
}

impl Table {
    pub fn of_the_page() -> Self {
        let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
        let section = page.split("\n## Modules\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let homes = section.split("one home:").nth(1).unwrap();
        let homes = homes.split('.').next().unwrap();
        Self {
            rows: rows.map(row).collect(),
            homes: homes.split(',').map(home).collect(),
        }
    }

    pub fn row(&self, module: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.module == module)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter) -> Result {
        writeln!(f, "the table of docs/architecture.md, lowest first:")?;
        for row in &self.rows {
            write!(f, "  {:10} may use {}", row.module, row.may_use.join(" "))?;
            match row.must_not_know.is_empty() {
                true => writeln!(f)?,
                false => writeln!(f, "; must not know {}", row.must_not_know.join(" "))?,
            }
        }
        for (name, homes) in &self.homes {
            writeln!(f, "  {name:10} is used by {}", homes.join(" "))?;
        }
        Ok(())
    }
}

/// `| module | knows | may use | must not know |`
fn row(line: &str) -> Row {
    let cells: Vec<_> = line.trim_matches('|').split('|').collect();
    assert_eq!(cells.len(), 4, "{line}");
    Row {
        module: quoted(cells[0]).remove(0),
        may_use: quoted(cells[2]),
        must_not_know: quoted(cells[3]),
    }
}

/// `` `fuser` in `fuse` ``
fn home(text: &str) -> (String, Vec<String>) {
    let mut names = quoted(text).into_iter();
    (names.next().unwrap(), names.collect())
}

fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}
