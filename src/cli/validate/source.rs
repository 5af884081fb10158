//! From bytes to documents: the way kubectl reads manifests.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// One YAML document of a file.
#[derive(Debug)]
pub struct Document {
    /// Number of its first line in the file, from 1.
    pub line: usize,
    pub text: String,
}

/// Something that makes a document unreadable. Never quotes the document: it may be a Secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub line: usize,
    pub why: String,
}

/// Splits a file at its `---` lines. Each document is parsed by itself, so that one that is broken does not hide the
/// problems of those that follow.
pub fn split(text: &str) -> Vec<Result<Document, Unreadable>> {
    let mut documents = Vec::new();
    let mut current = Document { line: 1, text: String::new() };
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let Some(rest) = separator(line) else {
            current.text.push_str(line);
            current.text.push('\n');
            continue;
        };
        documents.push(Ok(std::mem::replace(&mut current, Document { line: index + 2, text: String::new() })));
        if !rest.is_empty() && !rest.starts_with('#') {
            let why = "nothing but a comment may follow `---`; put the document on the next line".to_owned();
            documents.push(Err(Unreadable { line: index + 1, why }));
        }
    }
    documents.push(Ok(current));
    documents
}

/// What follows the dashes, if the line is a document separator.
fn separator(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---")?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim())
}

/// The value of a document; None if it is empty.
pub fn parse(document: &Document) -> Result<Option<Value>, Unreadable> {
    let as_meant = as_kubectl_reads(&document.text);
    let read = |text: &str| {
        let mut value: serde_yaml::Value = serde_yaml::from_str(text)?;
        value.apply_merge()?;
        Ok::<_, serde_yaml::Error>(value)
    };
    let value = match read(&as_meant) {
        Ok(value) => value,
        Err(error) => {
            // Not all JSON is YAML for this parser: it does not know the escapes of letters beyond 16 bits.
            if let Ok(value) = serde_json::from_str(&document.text) {
                return Ok(Some(value));
            }
            // Parsed again below as many empty lines as stand before it in the file, all line numbers of the message
            // are those of the file.
            let padded = "\n".repeat(document.line.saturating_sub(1)) + &as_meant;
            let error = read(&padded).err().unwrap_or(error);
            let line = error.location().map_or(document.line, |at| at.line());
            return Err(Unreadable { line, why: format!("not valid YAML: {error}") });
        }
    };
    match json(value) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(why) => Err(Unreadable { line: document.line, why: why.to_owned() }),
    }
}

/// The same document with the words and numbers that mean something else to kubectl and the apiserver, which read YAML
/// 1.1, written so that everybody reads them alike. Lines stay what they are, and so does what is in quotes.
fn as_kubectl_reads(text: &str) -> String {
    let (mut read, mut done) = (String::with_capacity(text.len()), 0);
    // What cannot be parsed is told by whoever parses it next.
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        let Event::Scalar(value, ScalarStyle::Plain, _, None) = event else { continue };
        let Some((start, meant)) = span.start.byte_offset().zip(meant_by(&value)) else { continue };
        let end = start + value.len();
        if start >= done && text.get(start..end) == Some(&*value) {
            read.push_str(text.get(done..start).unwrap_or_default());
            read.push_str(&meant);
            done = end;
        }
    }
    read.push_str(text.get(done..).unwrap_or_default());
    read
}

/// What a plain scalar means by YAML 1.1 as go-yaml v2 reads it, if that is not what YAML 1.2 makes of it.
fn meant_by(word: &str) -> Option<String> {
    match word {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some("true".to_owned()),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some("false".to_owned()),
        _ => {}
    }
    if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
        return None;
    }
    let plain = word.replace('_', "");
    let digits = plain.trim_start_matches(['+', '-']);
    if plain.len() - digits.len() > 1 || digits.is_empty() {
        return None;
    }
    let sign = if plain.starts_with('-') { "-" } else { "" };
    let (radix, rest) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0o" | "0O") => (8, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        Some(two) if two.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let number = u64::from_str_radix(rest, radix).ok().filter(|_| !rest.starts_with('+'));
    let meant = match number {
        Some(number) => format!("{sign}{number}"),
        // `08` is no octal number, but a fraction without a fraction.
        None if digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-')) => {
            let value = digits.parse::<f64>().ok().filter(|value| value.is_finite())?;
            if plain == word && !(radix == 8 && rest.chars().all(|c| c.is_ascii_digit())) {
                return None;
            }
            format!("{sign}{value}")
        }
        None => return None,
    };
    (meant != word).then_some(meant)
}

/// The JSON that kubectl would send for this YAML.
fn json(value: serde_yaml::Value) -> Result<Value, &'static str> {
    Ok(match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(truth) => Value::Bool(truth),
        serde_yaml::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (None, Some(number), _) => number.into(),
            // Go writes a whole number without a fraction, however it was written.
            (None, None, Some(number)) if number.fract() == 0.0 && number.abs() < 1e15 => (number as i64).into(),
            (None, None, Some(number)) if number.is_finite() => number.into(),
            _ => return Err("infinity and not-a-number cannot be written as JSON"),
        },
        serde_yaml::Value::String(text) => Value::String(text),
        serde_yaml::Value::Sequence(items) => Value::Array(items.into_iter().map(json).collect::<Result<_, _>>()?),
        serde_yaml::Value::Mapping(pairs) => {
            let mut fields = Map::new();
            for (key, value) in pairs {
                let key = match key {
                    serde_yaml::Value::String(key) => key,
                    serde_yaml::Value::Number(key) => key.to_string(),
                    serde_yaml::Value::Bool(key) => key.to_string(),
                    _ => return Err("the key of a mapping must be a plain text"),
                };
                fields.insert(key, json(value)?);
            }
            Value::Object(fields)
        }
        serde_yaml::Value::Tagged(_) => return Err("YAML tags (!something) cannot be sent to Kubernetes"),
    })
}

#[cfg(test)]
mod tests;
