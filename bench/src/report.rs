//! What was measured: rows for machines, a table with ratios for people.

use serde_json::json;
use std::path::Path;

/// One figure.
#[derive(Clone, Debug)]
struct Row {
    case: String,
    subject: String,
    unit: String,
    value: f64,
}

/// Every figure of a run, in the order in which it was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// The columns of the table that come first, in their order.
    first: Vec<&'static str>,
}

impl Report {
    /// A report whose table has these subjects first, as far as they have rows.
    pub(crate) fn beginning_with(first: &[&'static str]) -> Report {
        Report { rows: Vec::new(), first: first.to_vec() }
    }

    pub(crate) fn add(&mut self, case: impl Into<String>, subject: &str, unit: impl Into<String>, value: f64) {
        let (case, subject, unit) = (case.into(), subject.to_string(), unit.into());
        eprintln!("{case:<32} {subject:<12} {value:>14.3} {unit}");
        self.rows.push(Row { case, subject, unit, value });
    }

    /// Prints the table and writes the rows, as the end of a run. `smoke` says on what a run was that measured nothing.
    pub(crate) fn finish(&self, json: Option<&Path>, smoke: Option<&str>) -> anyhow::Result<()> {
        println!("\n{}", self.table());
        if let Some(what) = smoke {
            println!("\nA smoke run on {what}: these are no figures to quote.");
        }
        println!("\nIn brackets: the figure as a multiple of the first column's.");
        if let Some(path) = json {
            self.write(path)?;
            println!("Rows written to {}", path.display());
        }
        Ok(())
    }

    /// The rows as JSON: `case`, `subject`, `unit`, `value`.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let row = |row: &Row| {
            let value = (row.value * 1e6).round() / 1e6;
            json!({ "case": row.case, "subject": row.subject, "unit": row.unit, "value": value }).to_string()
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        Ok(std::fs::write(path, format!("[\n{}\n]\n", rows.join(",\n")))?)
    }

    /// A table in Markdown: a line per case, a column per subject, each with its ratio to the first column.
    fn table(&self) -> String {
        let mut subjects: Vec<&str> = Vec::new();
        let mut cases: Vec<(&str, &str)> = Vec::new();
        let has_rows = |subject: &&&str| self.rows.iter().any(|row| row.subject == **subject);
        subjects.extend(self.first.iter().filter(has_rows));
        for row in &self.rows {
            if !subjects.contains(&row.subject.as_str()) {
                subjects.push(&row.subject);
            }
            if !cases.contains(&(row.case.as_str(), row.unit.as_str())) {
                cases.push((&row.case, &row.unit));
            }
        }
        let mut lines = vec![format!("| case | unit | {} |", subjects.join(" | "))];
        lines.push(format!("|---|---|{}", "---:|".repeat(subjects.len())));
        for (case, unit) in cases {
            let base = subjects.first().and_then(|first| self.value(case, first));
            let cells: Vec<String> = subjects.iter().map(|subject| self.cell(case, subject, base)).collect();
            lines.push(format!("| {case} | {unit} | {} |", cells.join(" | ")));
        }
        lines.join("\n")
    }

    fn value(&self, case: &str, subject: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.case == case && row.subject == subject).map(|row| row.value)
    }

    fn cell(&self, case: &str, subject: &str, base: Option<f64>) -> String {
        let Some(value) = self.value(case, subject) else { return String::new() };
        let shown = match value.abs() {
            10_000.0.. => format!("{value:.0}"),
            100.0.. => format!("{value:.1}"),
            _ => format!("{value:.3}"),
        };
        match base {
            Some(base) if base > 0.0 && base.to_bits() != value.to_bits() => format!("{shown} ({:.2}x)", value / base),
            _ => shown,
        }
    }
}

/// The middle of `values`; the mean of the two in the middle when there is no single one. Zero of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (len, middle) if len % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests;
