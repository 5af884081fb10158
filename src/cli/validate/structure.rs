//! Types, required and unknown fields, enums, patterns, bounds and list keys: what the apiserver checks of a structural
//! schema, said so that one knows what to change.

use std::collections::HashMap;

use kube::core::cel::cel::{Context, Program, Value as CelValue};
use serde_json::{Map, Value};

use super::super::schema;
use super::path::FieldPath;

/// Something that is wrong, with its remedy. Values are quoted only where the schema says what they are (enums,
/// patterns, numbers), never where a person may have put a password by mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: FieldPath,
    pub message: String,
}

/// Every problem of `value` under `schema`.
pub fn check(schema: &Value, value: &Value) -> Vec<Problem> {
    let mut walk = Walk { problems: Vec::new(), matcher: Program::compile("self.matches(pattern)").ok() };
    walk.value(schema, value, &FieldPath::default());
    walk.problems
}

struct Walk {
    problems: Vec<Problem>,
    /// The regular expressions of CEL: the same engine serves the rules, and they are near enough to Go's.
    matcher: Option<Program>,
}

impl Walk {
    fn report(&mut self, path: FieldPath, message: impl Into<String>) {
        self.problems.push(Problem { path, message: message.into() });
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &FieldPath) {
        let expected = schema::text(schema, "type");
        match (expected, value) {
            ("object", Value::Object(fields)) => self.object(schema, fields, path),
            ("array", Value::Array(items)) => self.array(schema, items, path),
            ("string", Value::String(text)) => self.string(schema, text, path),
            ("boolean", Value::Bool(_)) | ("", _) => {}
            ("number", Value::Number(number)) => self.number(schema, number, path),
            ("integer", Value::Number(number)) if super::super::crds::whole(number).is_some() => {
                self.number(schema, number, path);
            }
            _ => self.report(path.clone(), wrong_type(expected, value)),
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, path: &FieldPath) {
        let known = schema.get("properties").and_then(Value::as_object);
        let values = schema.get("additionalProperties").filter(|values| values.is_object());
        let open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        for (name, value) in fields {
            let declared = known.and_then(|known| known.get(name)).or(values);
            match declared {
                // The apiserver drops a null that is not allowed before it looks further, and keeps one that is.
                Some(_) if value.is_null() => {}
                Some(declared) => self.value(declared, value, &path.field(name)),
                None if open => {}
                None => self.report(path.field(name), unknown(name, schema)),
            }
        }
        for name in schema::list(schema, "required").filter_map(Value::as_str) {
            let declared = known.and_then(|known| known.get(name));
            let nullable = declared.and_then(|declared| declared.get("nullable")) == Some(&Value::Bool(true));
            let given = fields.get(name).is_some_and(|value| nullable || !value.is_null());
            if !given && declared.is_none_or(|declared| declared.get("default").is_none()) {
                let about = declared.map(|declared| schema::text(declared, "description")).unwrap_or_default();
                self.report(path.field(name), format!("is required but missing; add it{}", in_short(about)));
            }
        }
        self.size(schema, "Properties", fields.len(), "entries", path);
    }

    fn array(&mut self, schema: &Value, items: &[Value], path: &FieldPath) {
        self.size(schema, "Items", items.len(), "items", path);
        for (index, item) in items.iter().enumerate() {
            if let Some(declared) = schema.get("items") {
                self.value(declared, item, &path.item(index));
            }
        }
        match schema::text(schema, "x-kubernetes-list-type") {
            "map" => self.unique(schema, items, path),
            "set" => self.distinct(items, path),
            _ => {}
        }
    }

    /// Items of a list map must differ in their keys.
    fn unique(&mut self, schema: &Value, items: &[Value], path: &FieldPath) {
        let keys: Vec<&str> = schema::list(schema, "x-kubernetes-list-map-keys").filter_map(Value::as_str).collect();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let values: Vec<Option<&Value>> = keys.iter().map(|key| item.get(key)).collect();
            // An item without the key is reported as such already.
            if values.iter().any(Option::is_none) {
                continue;
            }
            // Serialising plain values cannot fail.
            let identity = serde_json::to_string(&values).unwrap_or_default();
            if let Some(first) = seen.get(&identity) {
                let message = format!("has the same {} as item [{first}]; remove one of the two", keys.join(" and "));
                self.report(path.item(index), message);
            } else {
                seen.insert(identity, index);
            }
        }
    }

    fn distinct(&mut self, items: &[Value], path: &FieldPath) {
        for (index, item) in items.iter().enumerate() {
            if let Some(first) = items.iter().take(index).position(|other| other == item) {
                self.report(path.item(index), format!("is the same as item [{first}]; remove one of the two"));
            }
        }
    }

    fn string(&mut self, schema: &Value, text: &str, path: &FieldPath) {
        // As the apiserver counts: code points, not bytes.
        self.size(schema, "Length", text.chars().count(), "characters", path);
        let choices: Vec<&str> = schema::list(schema, "enum").filter_map(Value::as_str).collect();
        if !choices.is_empty() && !choices.contains(&text) {
            let message = match closest(text, choices.iter().copied()) {
                Some(near) => format!("{} is not one of the choices; did you mean {near}?", quoted(text)),
                None => format!("{} is not one of the choices; use one of {}", quoted(text), choices.join(", ")),
            };
            self.report(path.clone(), message);
        }
        if !self.has_form(schema, text) {
            let form = match (schema::text(schema, "format"), schema::text(schema, "pattern")) {
                ("date-time", _) => "is not a date and time with offset as RFC 3339 has it".to_owned(),
                (_, pattern) => format!("does not match {pattern}"),
            };
            let example = schema.get("example").and_then(Value::as_str);
            let example = example.map(|example| format!("; write it like {example}")).unwrap_or_default();
            self.report(path.clone(), format!("{} {form}{example}", quoted(text)));
        }
    }

    /// Does the text fit format and pattern?
    fn has_form(&self, schema: &Value, text: &str) -> bool {
        if schema::text(schema, "format") == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            return false;
        }
        let pattern = schema::text(schema, "pattern");
        if pattern.is_empty() {
            return true;
        }
        let mut context = Context::default();
        context.add_variable_from_value("self", text.to_owned());
        context.add_variable_from_value("pattern", pattern.to_owned());
        self.matcher.as_ref().is_some_and(|matcher| matches!(matcher.execute(&context), Ok(CelValue::Bool(true))))
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number, path: &FieldPath) {
        let Some(actual) = number.as_f64() else { return };
        // Integers of Kubernetes have 64 bits at most, those of format int32 fewer.
        let int32 = schema::text(schema, "format") == "int32";
        let widest = if int32 { (f64::from(i32::MIN), f64::from(i32::MAX)) } else { (-9.3e18, 9.3e18) };
        let least = schema.get("minimum").and_then(Value::as_f64).unwrap_or(widest.0);
        let most = schema.get("maximum").and_then(Value::as_f64).unwrap_or(widest.1);
        if actual < least {
            self.report(path.clone(), format!("is {number}; it must be at least {least}"));
        } else if actual > most {
            self.report(path.clone(), format!("is {number}; it must be at most {most}"));
        }
    }

    /// `minLength`, `maxItems` and the like.
    fn size(&mut self, schema: &Value, what: &str, actual: usize, unit: &str, path: &FieldPath) {
        let bound = |prefix: &str| schema.get(format!("{prefix}{what}")).and_then(Value::as_u64);
        if let Some(least) = bound("min").filter(|least| (actual as u64) < *least) {
            let message = match actual {
                0 => "is empty; give it a value".to_owned(),
                _ => format!("has {actual} {unit}; it needs at least {least}"),
            };
            self.report(path.clone(), message);
        }
        if let Some(most) = bound("max").filter(|most| actual as u64 > *most) {
            self.report(path.clone(), format!("has {actual} {unit}; at most {most} are allowed"));
        }
    }
}

fn wrong_type(expected: &str, value: &Value) -> String {
    let (is, hint) = match (expected, value) {
        ("string", Value::Number(_)) => ("a number", "; put it in quotes"),
        ("string", Value::Bool(_)) => ("true or false", "; put it in quotes"),
        ("integer" | "number", Value::String(_)) => ("a text", "; write the number without quotes"),
        ("boolean", Value::String(_)) => ("a text", "; write true or false without quotes"),
        ("array", Value::Object(_)) => ("a mapping", "; start each item with `- `"),
        ("integer", Value::Number(_)) => ("a number with fractions", ""),
        (_, Value::Null) => ("empty", ""),
        (_, Value::Bool(_)) => ("true or false", ""),
        (_, Value::Number(_)) => ("a number", ""),
        (_, Value::String(_)) => ("a text", ""),
        (_, Value::Array(_)) => ("a list", ""),
        (_, Value::Object(_)) => ("a mapping", ""),
    };
    let must = match expected {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a mapping",
    };
    format!("must be {must} but is {is}{hint}")
}

fn unknown(name: &str, schema: &Value) -> String {
    let known: Vec<&str> = schema::properties(schema).map(|(name, _)| name.as_str()).collect();
    match closest(name, known.iter().copied()) {
        Some(near) => format!("is no field here; did you mean {near}?"),
        None if known.is_empty() => "is no field here; remove it".to_owned(),
        None if known.len() > 15 => "is no field here; remove it, or see crds/reference.md".to_owned(),
        None => format!("is no field here; remove it, or use one of {}", known.join(", ")),
    }
}

/// The choice that was probably meant: the same but for upper and lower case, or for two letters.
fn closest<'a>(text: &str, choices: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let distance = |choice: &str| edits(&text, &choice.to_lowercase());
    let (near, choice) = choices.map(|choice| (distance(choice), choice)).min_by_key(|(near, _)| *near)?;
    // Two letters of four are not a slip; two of five may have changed places.
    (near <= 2 && near * 3 <= text.chars().count() + 1).then_some(choice)
}

/// How many letters must be put in, taken out or changed to get from one to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut next = vec![done + 1];
        for (other, pair) in to.iter().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(*other != letter)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The first sentence of a description in brackets, or nothing if there is none.
fn in_short(description: &str) -> String {
    let line = description.lines().next().unwrap_or_default();
    match line.split(". ").next().unwrap_or_default().trim_end_matches('.') {
        "" => String::new(),
        sentence => format!(" ({sentence})"),
    }
}

/// A short text in quotes, with nothing in it that a terminal would obey.
fn quoted(text: &str) -> String {
    const LIMIT: usize = 60;
    let short: String = text.chars().take(LIMIT).collect();
    format!("{short:?}{}", if text.chars().count() > LIMIT { "..." } else { "" })
}

#[cfg(test)]
mod tests;
