//! From bytes to documents: the way kubectl reads manifests.

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
    let read = |text: &str| {
        let mut value: serde_yaml::Value = serde_yaml::from_str(text)?;
        value.apply_merge()?;
        Ok::<_, serde_yaml::Error>(value)
    };
    let value = match read(&document.text) {
        Ok(value) => value,
        Err(error) => {
            // Not all JSON is YAML for this parser: it does not know the escapes of letters beyond 16 bits.
            if let Ok(value) = serde_json::from_str(&document.text) {
                return Ok(Some(value));
            }
            // Parsed again below as many empty lines as stand before it in the file, all line numbers of the message
            // are those of the file.
            let padded = "\n".repeat(document.line.saturating_sub(1)) + &document.text;
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

/// The JSON that kubectl would send for this YAML.
fn json(value: serde_yaml::Value) -> Result<Value, &'static str> {
    Ok(match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(truth) => Value::Bool(truth),
        serde_yaml::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (None, Some(number), _) => number.into(),
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
