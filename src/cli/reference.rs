//! The field reference as markdown: every field of every kind, every condition reason, every metric.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::crds::whole;
use super::schema;
use crate::api::conditions::{self, ReasonDoc};
use crate::metrics;

/// The whole page, without the header.
pub fn text(crds: &[CustomResourceDefinition]) -> Result<String, serde_json::Error> {
    let mut page = String::from(
        "# Reference\n\nWhat `kubectl explain` shows, on one page, with defaults and rules. `[]` is an item of a list, `{}` a value \
         of a map.\nAn object is rejected at admission if it breaks a rule; `meeting-controller validate` \
         finds the same without a cluster.\n",
    );
    for crd in crds {
        let names = &crd.spec.names;
        let short = names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let root = schema::of(crd)?;
        // Writing into a String cannot fail, here and below.
        let _ = write!(page, "\n## {}\n\n{} Short name: {short}.\n", names.kind, schema::text(&root, "description"));
        for (part, node) in schema::properties(&root) {
            let _ = write!(page, "\n### {}: {part}\n\n", names.kind);
            page += &fields(part, node);
        }
    }
    for (kind, table) in [
        ("MeetingBridge", conditions::bridge::TABLE),
        ("ScheduledMeeting", conditions::meeting::TABLE),
        ("MeetingSeries", conditions::series::TABLE),
    ] {
        let _ = write!(page, "\n## Conditions of a {kind}\n\n");
        page += &reasons(table);
    }
    page += "\n## Metrics\n\n";
    page += &table(
        &["Metric", "Type", "Labels", "Meaning"],
        metrics::TABLE.iter().map(|doc| {
            vec![format!("`{}`", doc.name), doc.kind.to_owned(), doc.labels.join(", "), doc.help.to_owned()]
        }),
    );
    Ok(page)
}

/// Reasons why a condition is not as it should be, by condition, in the order in which conditions first occur.
fn reasons(docs: &[ReasonDoc]) -> String {
    let mut order: Vec<&str> = Vec::new();
    for doc in docs {
        if !order.contains(&doc.condition) {
            order.push(doc.condition);
        }
    }
    let sorted = order.iter().flat_map(|condition| docs.iter().filter(move |doc| doc.condition == *condition));
    table(
        &["Condition", "Reason", "Meaning", "What to do"],
        sorted.map(|doc| {
            vec![format!("`{}`", doc.condition), format!("`{}`", doc.reason), doc.meaning.into(), doc.remedy.into()]
        }),
    )
}

/// One row for every field under `path`.
fn fields(path: &str, node: &Value) -> String {
    let mut rows = Vec::new();
    for (name, child) in schema::properties(node) {
        collect(&format!("{path}.{name}"), child, schema::requires(node, name), &mut rows);
    }
    table(&["Field", "Type", "Default", "Constraints", "Description"], rows.into_iter())
}

fn collect(path: &str, node: &Value, required: bool, rows: &mut Vec<Vec<String>>) {
    let kind = schema::text(node, "type");
    let mut description = schema::text(node, "description").split_whitespace().collect::<Vec<_>>().join(" ");
    if description.is_empty() && path.ends_with("[]") {
        // The list above says what they are.
        "One of them.".clone_into(&mut description);
    }
    // The default of an object only repeats the defaults of its fields.
    let default = node.get("default").filter(|default| !default.is_object());
    rows.push(vec![
        format!("`{path}`"),
        match node.get("items") {
            Some(items) => format!("list of {}", schema::text(items, "type")),
            None if node.get("additionalProperties").is_some() => "map".to_owned(),
            None => kind.to_owned(),
        },
        default.map(code).unwrap_or_default(),
        constraints(node, required).join("; "),
        description,
    ]);
    for (name, child) in schema::properties(node) {
        collect(&format!("{path}.{name}"), child, schema::requires(node, name), rows);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        let Some(child) = node.get(key).filter(|child| child.is_object()) else { continue };
        // A plain value is described by its list or map already, unless something is demanded of it.
        if child.get("properties").is_none() && constraints(child, false).is_empty() {
            continue;
        }
        rules_of_items(&format!("{path}{mark}"), child, rows);
    }
}

/// The fields of the items of a list or map; a row for the item itself only if it has rules.
fn rules_of_items(path: &str, items: &Value, rows: &mut Vec<Vec<String>>) {
    let mut below = Vec::new();
    collect(path, items, false, &mut below);
    let own = constraints(items, false).is_empty();
    rows.extend(below.into_iter().skip(usize::from(own)));
}

/// Everything that is demanded of a value, as short phrases.
fn constraints(node: &Value, required: bool) -> Vec<String> {
    let mut all = Vec::new();
    if required {
        all.push("required".to_owned());
    }
    let choices: Vec<String> = schema::list(node, "enum").map(code).collect();
    if !choices.is_empty() {
        all.push(choices.join(", "));
    }
    if schema::text(node, "format") == "date-time" {
        all.push("RFC 3339 with offset".to_owned());
    } else if !schema::text(node, "pattern").is_empty() {
        all.push(format!("`{}`", schema::text(node, "pattern")));
    }
    if let Some(example) = node.get("example") {
        all.push(format!("for example {}", code(example)));
    }
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        all.extend(bounds(node.get(least), node.get(most)).map(|range| format!("{range}{unit}")));
    }
    let keys: Vec<String> = schema::list(node, "x-kubernetes-list-map-keys").map(code).collect();
    if !keys.is_empty() {
        all.push(format!("unique by {}", keys.join(", ")));
    }
    all.extend(schema::list(node, "x-kubernetes-validations").map(|rule| schema::text(rule, "message").to_owned()));
    all
}

/// A range in words. The upper end of Rust's u32 says nothing to a reader.
fn bounds(least: Option<&Value>, most: Option<&Value>) -> Option<String> {
    let most = most.filter(|most| most.as_f64() != Some(f64::from(u32::MAX)));
    match (least.map(plain), most.map(plain)) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, None) => None,
    }
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) => whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn code(value: &Value) -> String {
    format!("`{}`", plain(value))
}

/// A markdown table. `|` is escaped, as it would end a cell even inside a code span.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', r"\|").replace('\n', " ")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests;
