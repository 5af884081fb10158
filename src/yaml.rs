//! YAML for others to read. Readers of YAML 1.1, kubectl and Helm among them, take a bare instant for a date and hand it on in
//! another form, so instants stand in quotes (<https://yaml.org/type/timestamp.html>).

use serde::Serialize;

/// A value as YAML in which nothing that looks like a date is bare.
///
/// # Errors
/// If the value cannot be serialised.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(value).map(|text| with_quoted_dates(&text))
}

/// Puts quotes round scalars that begin like a date. Block scalars stay as they are.
fn with_quoted_dates(text: &str) -> String {
    let mut block: Option<usize> = None;
    let mut quoted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches('\n');
        let blanks = content.len() - content.trim_start_matches(' ').len();
        if block.is_some_and(|of| content.trim().is_empty() || blanks > of) {
            quoted.push_str(line);
            continue;
        }
        let (at, scalar) = scalar_of(content, blanks);
        block = scalar.starts_with(['|', '>']).then_some(at);
        if is_like_a_date(scalar) {
            let before = content.strip_suffix(scalar).unwrap_or_default();
            quoted.push_str(before);
            quoted.push('\'');
            quoted.push_str(scalar);
            quoted.push_str("'\n");
        } else {
            quoted.push_str(line);
        }
    }
    quoted
}

/// What stands in a line after the dashes and the key, and how far in the key stands, or the last dash if there is none: the
/// lines of a block scalar stand further in.
fn scalar_of(content: &str, blanks: usize) -> (usize, &str) {
    let mut rest = content.trim_start_matches(' ');
    let (mut at, mut dash) = (blanks, blanks);
    while let Some(item) = rest.strip_prefix("- ") {
        (rest, dash, at) = (item, at, at + 2);
    }
    match after_key(rest) {
        Some(scalar) => (at, scalar),
        None => (dash, rest),
    }
}

/// What comes after the key of a mapping. None: there is no key.
fn after_key(text: &str) -> Option<&str> {
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return text.split_once(": ").map(|(_, scalar)| scalar);
    };
    let mut inside = text.char_indices().skip(1);
    while let Some((at, character)) = inside.next() {
        let rest = text.get(at + 1..).unwrap_or_default();
        match character {
            '\\' if quote == '"' => _ = inside.next(),
            _ if character != quote => {}
            '\'' if rest.starts_with('\'') => _ = inside.next(),
            _ => return rest.strip_prefix(": "),
        }
    }
    None
}

fn is_like_a_date(scalar: &str) -> bool {
    let mut bytes = scalar.bytes();
    let is_date = "dddd-dd-dd".bytes().all(|wanted| {
        bytes.next().is_some_and(|byte| if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted })
    });
    is_date && bytes.next().is_none_or(|next| matches!(next, b'T' | b't' | b' '))
}

#[cfg(test)]
mod tests;
