//! A plain table for people: columns as wide as their widest cell.

/// The lines of a table: `head`, then `rows`.
pub(super) fn lines<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        all()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

/// Prints `rows` under `head`.
pub(super) fn print<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    for line in lines(head, rows) {
        println!("{line}");
    }
}
