//! Manual pages in roff, as man(7) has it.

/// The text of a page, or a part of it.
#[derive(Default)]
pub(super) struct Roff(String);

impl Roff {
    pub(super) fn text(self) -> String {
        self.0
    }

    /// The beginning of a page.
    pub(super) fn title(&mut self, name: &str, section: u8) {
        let version = env!("CARGO_PKG_VERSION");
        self.line(&format!(
            ".TH {} {section} \"\" \"provium {version}\" Provium",
            escaped(name)
        ));
    }

    pub(super) fn section(&mut self, name: &str) {
        self.line(&format!(".SH \"{}\"", heading(name)));
    }

    pub(super) fn subsection(&mut self, name: &str) {
        self.line(&format!(".SS \"{}\"", heading(name)));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.line(".PP");
        self.line(&inline(text));
    }

    /// A term, and what it means.
    pub(super) fn entry(&mut self, term: &str, text: &str) {
        self.line(".TP");
        self.line(&format!("\\fB{}\\fR", guarded(&escaped(term))));
        self.line(&inline(text));
    }

    /// The same, for a term that may have code and bold words in it.
    pub(super) fn term(&mut self, term: &str, text: &str) {
        let term = match term {
            "" => "\\ ".to_owned(),
            _ => inline(term),
        };
        self.line(&format!(".TP\n{term}\n{}", inline(text)));
    }

    /// An item of a list, behind a bullet or a number.
    pub(super) fn item(&mut self, mark: &str, text: &str) {
        self.line(&format!(".IP {mark} 4"));
        self.line(&inline(text));
    }

    /// Lines that stay as they are.
    pub(super) fn literal(&mut self, lines: &str) {
        self.line(".PP\n.EX");
        for line in lines.lines() {
            self.line(&guarded(&escaped(line)));
        }
        self.line(".EE");
    }

    /// Other pages, each as `name(section)`, in order; `own` is left out.
    pub(super) fn see_also(&mut self, pages: &[&str], own: &str) {
        let mut pages: Vec<_> = pages
            .iter()
            .filter_map(|page| page.split_once('('))
            .collect();
        pages.retain(|(name, _)| *name != own);
        pages.sort_by_key(|(name, section)| (*section, *name));
        pages.dedup();
        let pages = pages
            .iter()
            .map(|(name, section)| format!("\\fB{}\\fR({section}", escaped(name)));
        self.line(&pages.collect::<Vec<_>>().join(",\n"));
    }

    fn line(&mut self, line: &str) {
        self.0 += line;
        self.0.push('\n');
    }
}

/// Text with `code` and **bold** words, and links, of which the name stays.
pub(super) fn inline(text: &str) -> String {
    let mut roff = String::new();
    // Every second piece is code.
    for (at, piece) in text.split('`').enumerate() {
        match at % 2 {
            0 => roff += &prose(piece),
            _ => roff += &format!("\\fB{}\\fR", escaped(piece)),
        }
    }
    guarded(&roff)
}

fn prose(text: &str) -> String {
    let unlinked = without_links(text);
    let pieces = unlinked.split("**").enumerate();
    let pieces = pieces.map(|(at, piece)| match at % 2 {
        0 => escaped(piece),
        _ => format!("\\fB{}\\fR", escaped(piece)),
    });
    pieces.collect()
}

/// `[name](place)` as `name`. A link's name that is code ends up in another piece, and so do its brackets.
fn without_links(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, after)) = after.split_once(')') else {
            break;
        };
        match before.rsplit_once('[') {
            Some((start, name)) => plain += &format!("{start}{name}"),
            None => plain += before,
        }
        rest = after;
    }
    // Before the code that is the name of a link.
    let rest = rest.strip_suffix('[').unwrap_or(rest);
    plain + rest
}

/// Text for which roff has no special meaning.
pub(super) fn escaped(text: &str) -> String {
    let mut roff = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => roff += "\\e",
            '-' => roff += "\\-",
            '^' => roff += "\\(ha",
            '~' => roff += "\\(ti",
            '`' => roff += "\\(ga",
            '\'' => roff += "\\(aq",
            '\t' => roff += "    ",
            c if c.is_ascii() => roff.push(c),
            c => roff += &format!("\\[u{:04X}]", u32::from(c)),
        }
    }
    roff
}

/// A line that does not begin as a request does.
fn guarded(line: &str) -> String {
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    }
}

fn heading(text: &str) -> String {
    escaped(&without_links(text).replace(['`', '*'], "")).replace('"', "\\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_text_keeps_its_words_and_no_word_of_roff() {
        for (text, roff) in [
            ("a `-o x` and **b**", "a \\fB\\-o x\\fR and \\fBb\\fR"),
            (".so it begins", "\\&.so it begins"),
            ("see [the page](a.md#b) too", "see the page too"),
            ("[`code`](a.md): x", "\\fBcode\\fR: x"),
            ("50 µs \\n", "50 \\[u00B5]s \\en"),
        ] {
            assert_eq!(inline(text), roff, "{text}");
        }
    }
}
