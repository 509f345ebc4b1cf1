//! The cells as tables: every subject, its mean, and how far ours is from the best peer, the worst cell last.

use super::Cell;
use super::replay::{Kind, Subject};
use super::trace::Trace;

pub(super) fn of(traces: &[Trace], subjects: &[&Subject], cells: &[Cell]) -> String {
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
    let mut lines = vec![format!("| trace | capacity | {} |", names.join(" | "))];
    lines.push(format!("|---|---:|{}", "---:|".repeat(subjects.len())));
    for cell in cells {
        lines.push(format!("| {} | {} | {} |", traces[cell.trace].name, cell.capacity, percents(&cell.ratios)));
    }
    lines.push(format!("| mean | | {} |", percents(&means(subjects.len(), cells))));
    let mut differences = differences(subjects, cells);
    if !differences.is_empty() {
        differences.sort_by(|left, right| right.points.total_cmp(&left.points));
        lines.push("\nOurs less the best peer, in points, the worst last:\n".to_string());
        for Difference { cell, best, points } in differences {
            let place = format!("{} {}", traces[cell.trace].name, cell.capacity);
            lines.push(format!("{points:>+7.1}  {place:<24} best: {best}"));
        }
    }
    lines.join("\n")
}

/// How far ours is from the best peer in a cell.
struct Difference<'a> {
    cell: &'a Cell,
    best: &'a str,
    points: f64,
}

/// By the first of our subjects; none when either side was not asked for.
fn differences<'a>(subjects: &[&'a Subject], cells: &'a [Cell]) -> Vec<Difference<'a>> {
    let Some(ours) = subjects.iter().position(|subject| subject.kind == Kind::Ours) else { return Vec::new() };
    let difference = |cell: &'a Cell| {
        let peers = subjects.iter().zip(&cell.ratios).filter(|(subject, _)| subject.kind == Kind::Peer);
        let (best, ratio) = peers.max_by(|(_, left), (_, right)| left.total_cmp(right))?;
        Some(Difference { cell, best: best.name, points: cell.ratios[ours] - ratio })
    };
    cells.iter().filter_map(difference).collect()
}

fn means(subjects: usize, cells: &[Cell]) -> Vec<f64> {
    let mean = |subject: usize| cells.iter().map(|cell| cell.ratios[subject]).sum::<f64>() / cells.len() as f64;
    (0..subjects).map(mean).collect()
}

fn percents(ratios: &[f64]) -> String {
    ratios.iter().map(|ratio| format!("{ratio:.1}")).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests;
