//! Pages of docs/ as manual pages: the Markdown that they use, in roff. Headings, paragraphs, lists, tables, blocks of
//! code.

use super::roff::Roff;

/// The page in roff.
pub(super) fn to_roff(markdown: &str) -> String {
    let mut roff = Roff::default();
    let mut lines = markdown.lines().peekable();
    let mut open = Block::None;
    while let Some(line) = lines.next() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            open.end(&mut roff);
            let _language = fence;
            let code = lines.by_ref();
            let code = code.take_while(|line| !line.trim_start().starts_with("```"));
            roff.literal(&code.map(|line| format!("{line}\n")).collect::<String>());
        } else if line.starts_with('#') {
            open.end(&mut roff);
            heading(&mut roff, line);
        } else if line.starts_with('|') {
            open.end(&mut roff);
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            table(&mut roff, &rows);
        } else if line.trim().is_empty() {
            open.end(&mut roff);
        } else {
            open.add(&mut roff, line);
        }
    }
    open.end(&mut roff);
    roff.text()
}

/// The paragraph or item whose lines are being read.
enum Block {
    None,
    Paragraph(String),
    /// With its mark.
    Item(String, String),
}

impl Block {
    /// One more line; one that begins an item ends what was open.
    fn add(&mut self, roff: &mut Roff, line: &str) {
        if let Some((mark, text)) = item(line) {
            self.end(roff);
            *self = Self::Item(mark, text.to_owned());
            return;
        }
        match self {
            Self::None => *self = Self::Paragraph(line.trim().to_owned()),
            Self::Paragraph(text) | Self::Item(_, text) => {
                text.push(' ');
                *text += line.trim();
            }
        }
    }

    fn end(&mut self, roff: &mut Roff) {
        match std::mem::replace(self, Self::None) {
            Self::None => {}
            Self::Paragraph(text) => roff.paragraph(&text),
            Self::Item(mark, text) => roff.item(&mark, &text),
        }
    }
}

/// The mark of an item in roff, and its text.
fn item(line: &str) -> Option<(String, &str)> {
    let line = line.trim_start();
    if let Some(text) = line.strip_prefix("- ") {
        return Some(("\\(bu".into(), text));
    }
    let (number, text) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (format!("{number}."), text))
}

fn heading(roff: &mut Roff, line: &str) {
    let text = line.trim_start_matches('#');
    match line.len() - text.len() {
        ..=2 => roff.section(&text.trim().to_uppercase()),
        _ => roff.subsection(text.trim()),
    }
}

/// The cells of a row. A bar in code, or behind a backslash, does not end one.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|');
    let (mut cells, mut cell, mut in_code) = (Vec::new(), String::new(), false);
    let mut letters = row.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&'|').is_some() => cell.push('|'),
            '|' if !in_code => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            _ => {
                in_code ^= letter == '`';
                cell.push(letter);
            }
        }
    }
    cells
}

/// Each row as a term and what the other cells say of it. Headings of more than one such cell stand before each.
fn table(roff: &mut Roff, rows: &[Vec<String>]) {
    let Some((names, rows)) = rows.split_first() else {
        return;
    };
    let is_rule = |row: &&Vec<String>| !row.iter().all(|cell| cell.starts_with("--"));
    for row in rows.iter().filter(is_rule) {
        let Some((term, others)) = row.split_first() else {
            continue;
        };
        let said = others.iter().zip(&names[1.min(names.len())..]);
        let said = said.filter(|(cell, _)| !cell.is_empty());
        let said = said.map(|(cell, name)| match (others.len(), name.as_str()) {
            (..=1, _) | (_, "") => cell.clone(),
            _ => format!("{name}: {cell}"),
        });
        let said: Vec<_> = said.collect();
        roff.term(term, &said.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_what_man_has_for_it() {
        let page = "Words of\na paragraph.\n\n## A `b`\n\n- one\n  more\n- two\n\n### C\n\n1. first\n\n```sh\n.x\n```\n";
        let roff = ".PP\nWords of a paragraph.\n.SH \"A B\"\n.IP \\(bu 4\none more\n.IP \\(bu 4\ntwo\n\
                    .SS \"C\"\n.IP 1. 4\nfirst\n.PP\n.EX\n\\&.x\n.EE\n";
        assert_eq!(to_roff(page), roff);
    }

    #[test]
    fn row_of_a_table_is_a_term_with_its_other_cells() {
        let page =
            "| key | means | default |\n|---|---|---|\n| `a\\|b` | `c|d` | 1 |\n| e | | 2 |\n";
        let roff = ".TP\n\\fBa|b\\fR\nmeans: \\fBc|d\\fR; default: 1\n.TP\ne\ndefault: 2\n";
        assert_eq!(to_roff(page), roff);
    }
}
