//! YAML for others to read. Readers of YAML 1.1, kubectl, Helm and Flux among them, take a bare `Off` for false, `1_000` for a
//! number and an instant for a date, where the serialiser, who speaks 1.2, sees a text. So such texts stand in quotes
//! (<https://yaml.org/type/>, and `resolve.go` of go-yaml v2).

use serde::Serialize;

/// A value as YAML that a reader of 1.1 takes for the same as one of 1.2.
///
/// # Errors
/// If the value cannot be serialised.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(value).map(|text| with_quotes(&text))
}

/// Puts quotes round bare keys and scalars that are read in two ways. Block scalars stay as they are.
fn with_quotes(text: &str) -> String {
    let mut block: Option<usize> = None;
    let mut quoted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches('\n');
        let blanks = content.len() - content.trim_start_matches(' ').len();
        if block.is_some_and(|of| content.trim().is_empty() || blanks > of) {
            quoted.push_str(line);
            continue;
        }
        let parts = Line::of(content, blanks);
        block = parts.scalar.starts_with(['|', '>']).then_some(parts.at);
        quoted.push_str(parts.before);
        push(&mut quoted, parts.key);
        quoted.push_str(parts.colon);
        push(&mut quoted, parts.scalar);
        quoted.push_str(line.get(content.len()..).unwrap_or_default());
    }
    quoted
}

fn push(text: &mut String, scalar: &str) {
    let quote = if is_read_in_two_ways(scalar) { "'" } else { "" };
    for part in [quote, scalar, quote] {
        text.push_str(part);
    }
}

/// A line in block style, in parts that make up the line in this order.
struct Line<'a> {
    /// Blanks and dashes.
    before: &'a str,
    /// Empty if there is none.
    key: &'a str,
    colon: &'a str,
    scalar: &'a str,
    /// How far in the key stands, or the last dash if there is none: the lines of a block scalar stand further in.
    at: usize,
}

impl<'a> Line<'a> {
    fn of(content: &'a str, blanks: usize) -> Self {
        let mut rest = content.trim_start_matches(' ');
        let (mut at, mut dash) = (blanks, blanks);
        // A long key stands after a question mark, and its value after a colon of its own.
        while let Some(item) = ["- ", "? ", ": "].iter().find_map(|mark| rest.strip_prefix(mark)) {
            (rest, dash, at) = (item, at, at + 2);
        }
        let before = content.strip_suffix(rest).unwrap_or_default();
        let (key, value) = rest.split_at_checked(end_of_key(rest)).unwrap_or(("", rest));
        if key.is_empty() {
            return Self { before, key, colon: "", scalar: rest, at: dash };
        }
        let (colon, scalar) = value.split_at_checked(2).unwrap_or((value, ""));
        Self { before, key, colon, scalar, at }
    }
}

/// How long the key is that a text begins with. 0: there is none.
fn end_of_key(text: &str) -> usize {
    let is_colon = |rest: &str| rest == ":" || rest.starts_with(": ");
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return text.find(": ").or_else(|| text.strip_suffix(':').map(str::len)).unwrap_or(0);
    };
    let mut inside = text.char_indices().skip(1);
    while let Some((at, character)) = inside.next() {
        let rest = text.get(at + 1..).unwrap_or_default();
        match character {
            '\\' if quote == '"' => _ = inside.next(),
            _ if character != quote => {}
            '\'' if rest.starts_with('\'') => _ = inside.next(),
            _ => return if is_colon(rest) { at + 1 } else { 0 },
        }
    }
    0
}

/// Does YAML 1.1 see something else in this bare scalar than 1.2? What both take for a number, a truth or nothing is in quotes
/// already if it is a text.
fn is_read_in_two_ways(scalar: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "yes", "on", "n", "no", "off", "=", "<<"];
    WORDS.iter().any(|word| scalar.eq_ignore_ascii_case(word)) || is_date(scalar) || is_number(scalar)
}

/// `2026-11-23`, also with one digit for month or day, alone or before a time of day.
fn is_date(scalar: &str) -> bool {
    let day = scalar.split(['T', 't', ' ', '\t']).next().unwrap_or_default();
    let mut parts = day.split('-');
    let mut is_next =
        |least, most| parts.next().is_some_and(|part| is_digits(part) && (least..=most).contains(&part.len()));
    is_next(4, 4) && is_next(1, 2) && is_next(1, 2) && parts.next().is_none()
}

/// The numbers that only 1.1 knows, or only its readers in Go: `1_000`, `0B1`, `1:30`, and those too great for a number.
fn is_number(scalar: &str) -> bool {
    let plain = scalar.replace('_', "");
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return false;
    }
    let of_radix = |letter: char, radix| {
        let rest = digits.strip_prefix('0').and_then(|rest| rest.strip_prefix([letter, letter.to_ascii_uppercase()]));
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|digit| digit.is_digit(radix)))
    };
    let mut sixties = digits.split('.').next().unwrap_or_default().split(':');
    sixties.next().is_some_and(is_digits) && digits.contains(':') && sixties.all(|part| is_digits(part) && part.len() <= 2)
        || [('x', 16), ('o', 8), ('b', 2)].into_iter().any(|(letter, radix)| of_radix(letter, radix))
        // A number without any of that is one for both, and bare because it is none in quotes.
        || digits.parse::<f64>().is_ok_and(|number| plain != scalar || number.is_infinite())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
