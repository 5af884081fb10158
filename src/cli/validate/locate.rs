//! The line of a field in a block-style YAML text.
//!
//! The parser keeps no positions. Indentation is enough for manifests as people write them; where it is not (flow
//! style, several keys in one line), the line of the innermost parent that was found is given.

use super::path::Step;

/// A line that has content.
#[derive(Clone, Copy)]
struct Row<'a> {
    line: usize,
    indent: usize,
    text: &'a str,
}

/// The line of what `steps` lead to, in a text whose first line has the number `first_line`.
pub fn line_of(text: &str, first_line: usize, steps: &[Step]) -> usize {
    let mut rows: Vec<Row<'_>> = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let text = line.trim_start();
            Row { line: first_line + index, indent: line.len() - text.len(), text: text.trim_end() }
        })
        .filter(|row| !row.text.is_empty() && !row.text.starts_with('#'))
        .collect();
    let mut found = rows.first().map_or(first_line, |row| row.line);
    for step in steps {
        let inside = match step {
            Step::Field(name) => field(&rows, name),
            Step::Item(index) => item(&rows, *index),
        };
        let Some((line, inner)) = inside else { break };
        found = line;
        rows = inner;
    }
    found
}

/// The line of a key of the mapping that starts with the first row, and the rows of its value.
fn field<'a>(rows: &[Row<'a>], name: &str) -> Option<(usize, Vec<Row<'a>>)> {
    let indent = rows.first()?.indent;
    let at = rows.iter().position(|row| row.indent == indent && is_key(row.text, name))?;
    let (key, rest) = rows.get(at..)?.split_first()?;
    // A list may stand at the same indentation as the key it belongs to.
    let inner = rest.iter().take_while(|row| row.indent > indent || (row.indent == indent && is_item(row.text)));
    Some((key.line, inner.copied().collect()))
}

/// The line of an item of the list that starts with the first row, and the rows of the item.
fn item<'a>(rows: &[Row<'a>], index: usize) -> Option<(usize, Vec<Row<'a>>)> {
    let indent = rows.first()?.indent;
    let mut starts = rows.iter().enumerate().filter(|(_, row)| row.indent == indent && is_item(row.text));
    let (at, start) = starts.nth(index)?;
    let end = starts.next().map_or(rows.len(), |(next, _)| next);
    let mut inner = rows.get(at..end)?.to_vec();
    // What follows the dash in its line stands at its own column.
    let after = start.text.strip_prefix('-').unwrap_or_default().trim_start();
    if after.is_empty() {
        inner.remove(0);
    } else if let Some(first) = inner.first_mut() {
        first.indent += first.text.len() - after.len();
        first.text = after;
    }
    Some((start.line, inner))
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

fn is_key(text: &str, name: &str) -> bool {
    [name.to_owned(), format!("\"{name}\""), format!("'{name}'")]
        .iter()
        .filter_map(|key| text.strip_prefix(key.as_str()))
        .any(|rest| rest == ":" || rest.starts_with(": "))
}

#[cfg(test)]
mod tests;
