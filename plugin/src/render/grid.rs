//! Columns side by side.

use super::layout::Line;

const GAP: usize = 3;

/// A column with its title, and how readily it is given up on a narrow terminal (0: never).
pub struct Column {
    pub cells: Vec<Line>,
    pub expendable: u8,
}

/// Rows, without the columns that a terminal of `width` has no room for.
pub fn lines(mut columns: Vec<Column>, width: Option<usize>) -> Vec<Line> {
    while let Some(width) = width
        && total(&columns) > width
        && let Some(victim) = (0..columns.len())
            .filter(|at| columns[*at].expendable > 0)
            .max_by_key(|at| columns[*at].expendable)
    {
        columns.remove(victim);
    }
    let rows = columns
        .iter()
        .map(|column| column.cells.len())
        .max()
        .unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(widest).collect();
    (0..rows)
        .map(|row| {
            let padded = columns.iter().zip(&widths).map(|(column, width)| {
                let cell = column.cells.get(row).cloned().unwrap_or_default();
                cell.padded(width + GAP)
            });
            padded.fold(Line::new(), Line::joined).trimmed()
        })
        .collect()
}

fn widest(column: &Column) -> usize {
    column.cells.iter().map(Line::width).max().unwrap_or(0)
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(widest).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}
