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
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<(usize, Result<Option<Value>, Unreadable>)> {
        split(text).into_iter().map(|document| document.map(|d| (d.line, parse(&d))).unwrap()).collect()
    }

    #[test]
    fn documents_know_their_lines() {
        let all = documents("# head\n---\na: 1\n--- # second\nb: 2\n---\n\n");
        assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 5, 7]);
        assert_eq!(all[1].1, Ok(Some(serde_json::json!({"a": 1}))));
        assert_eq!(all[3].1, Ok(None));
    }

    #[test]
    fn errors_name_the_line_of_the_file_and_never_the_text() {
        let all = documents("a: 1\n---\npassword: hunter2\nb: [unclosed\nc: 3\n---\nd: 1\n");
        let Err(error) = &all[1].1 else { panic!("{all:?}") };
        assert!(error.line >= 4, "{error:?}");
        assert!(!error.why.contains("hunter2"));
        assert!(all[2].1.is_ok(), "the next document is read all the same");
        let all = documents("---\na: 1\nb: 2\na: 3\n");
        let Err(error) = &all[1].1 else { panic!("a duplicate key is an error, as with kubectl") };
        assert!(error.why.contains("duplicate"), "{error:?}");
    }

    #[test]
    fn merge_keys_work_and_odd_values_are_refused() {
        let all = documents("base: &base {a: 1}\nmore:\n  <<: *base\n  b: 2\n");
        assert_eq!(all[0].1, Ok(Some(serde_json::json!({"base": {"a": 1}, "more": {"a": 1, "b": 2}}))));
        assert_eq!(documents("1: x\ntrue: y\n")[0].1, Ok(Some(serde_json::json!({"1": "x", "true": "y"}))));
        assert_eq!(documents(r#"{"a": "\ud83c\udf89"}"#)[0].1, Ok(Some(serde_json::json!({"a": "🎉"}))));
        assert!(documents("a: .nan\n")[0].1.is_err());
        assert!(documents("a: !secret b\n")[0].1.is_err());
        assert!(split("--- {a: 1}\n").iter().any(Result::is_err));
    }
}
