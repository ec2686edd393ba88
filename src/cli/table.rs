//! A plain table for people: columns as wide as their widest cell.

/// The lines of a table: `head`, then `rows`. A column without any text below its head is left out;
/// in any other, a cell without text is `-`.
pub(super) fn lines<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let head = head.map(str::to_owned);
    let has_text = |column: usize| rows.iter().any(|row| !row[column].is_empty());
    let shown: [bool; N] = std::array::from_fn(|column| rows.is_empty() || has_text(column));
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        all()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).zip(shown);
        let cells: Vec<_> = cells
            .filter(|(_, shown)| *shown)
            .map(|((cell, width), _)| match cell.as_str() {
                "" => padded("-", width),
                cell => padded(cell, width),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

/// `cell` with spaces up to `width` characters. The format of the standard library has a largest width.
fn padded(cell: &str, width: usize) -> String {
    let missing = width.saturating_sub(cell.chars().count());
    format!("{cell}{}", " ".repeat(missing))
}

/// Prints `rows` under `head`.
pub(super) fn print<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    for line in lines(head, rows) {
        println!("{line}");
    }
}

/// Prints `rows` without a head. The last column is not padded.
pub(super) fn print_rows<const N: usize>(rows: &[[String; N]]) {
    for line in lines(std::array::from_fn(|_| ""), rows).iter().skip(1) {
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_takes_a_cell_of_any_length() {
        let long = "x".repeat(100_000);
        let rows = [[long.clone(), "y".into()], ["a".into(), "b".into()]];
        let found = lines(["A", "B"], &rows);
        assert_eq!(found[1], format!("{long}  y"));
        assert_eq!(found[2].len(), 100_003);
    }

    #[test]
    fn table_leaves_out_a_column_without_text_and_marks_a_cell_without() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let head = ["DISK", "PENDING", "F"];
        let rows = [row(["vda", "", "x"]), row(["v", "", ""])];
        assert_eq!(lines(head, &rows), ["DISK  F", "vda   x", "v     -"]);
        let rows = [row(["vda", "", "x"]), row(["v", "off", "y"])];
        let expected = ["DISK  PENDING  F", "vda   -        x", "v     off      y"];
        assert_eq!(lines(head, &rows), expected);
        assert_eq!(lines(head, &[]), ["DISK  PENDING  F"]);
    }
}
