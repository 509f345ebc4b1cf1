//! Numbers and tables for the eye.

/// A number with commas.
pub(crate) fn count<N: ToString>(number: N) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length in the unit that suits it, with one decimal.
pub(crate) fn bytes(len: u64) -> String {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    match units.iter().rev().find(|(_, shift)| len >> shift > 0) {
        None => format!("{len} B"),
        Some((unit, shift)) => {
            let tenths = (u128::from(len) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// Rows in columns, the first of which stands to the left and all others to the right; a last one without a heading or of
/// marks stands to the left as well.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let is_text = |column: usize| rows.iter().all(|row| !row[column].starts_with(|c: char| c.is_ascii_digit()));
    let widths: Vec<(usize, bool)> = (0..N).map(|column| (width(column), column == 0 || is_text(column))).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, (width, is_left)) in row.iter().zip(&widths) {
            let cell = if *is_left { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
