//! `meeting-controller crds --compat-with DIR`: whether everything that the CRDs of a release take is taken today.
//!
//! A keyword of a schema may change only in a way that is known to refuse nothing and to lose nothing; what is not
//! known is refused. What was judged by hand stands in the file `accepted` beside the CRDs, as it is told, a line each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::crds::ordered;
use crate::api;

/// Why the CRDs are not fit to follow those of the release.
#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot read {path}: {reason}", path = .path.display())]
    Read { path: PathBuf, reason: String },
    #[error("no CustomResourceDefinition in {path}", path = .0.display())]
    Nothing(PathBuf),
    #[error("objects of {dir} would not be taken or would lose something:\n  {findings}", dir = .dir.display())]
    Broken { dir: PathBuf, findings: String },
    #[error("{dir}/accepted has what is not found any more:\n  {findings}", dir = .dir.display())]
    Stale { dir: PathBuf, findings: String },
    #[error("a schema cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Compares the CRDs that the types give with those in the YAML files of a directory.
///
/// # Errors
/// If a file cannot be read, if an object that was good there might not be good now, or if `accepted` is out of date.
pub fn check(dir: &Path) -> Result<(), Error> {
    let today = api::crds().iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let mut found = BTreeSet::new();
    for crd in read(dir)? {
        let name = crd.name_any();
        let before = serde_json::to_value(crd)?;
        match today.iter().find(|now| at(at(now, "metadata"), "name") == at(at(&before, "metadata"), "name")) {
            Some(now) => found.extend(compare(&before, now).into_iter().map(|text| format!("{name} {text}"))),
            None => drop(found.insert(format!("{name}: the kind is gone"))),
        }
    }
    let text = std::fs::read_to_string(dir.join("accepted")).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let accepted: BTreeSet<String> = lines.map(str::to_owned).collect();
    let told = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect::<Vec<_>>().join("\n  ");
    let (broken, stale) = (told(&found, &accepted), told(&accepted, &found));
    match (broken.is_empty(), stale.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(Error::Broken { dir: dir.to_owned(), findings: broken }),
        (true, false) => Err(Error::Stale { dir: dir.to_owned(), findings: stale }),
    }
}

fn read(dir: &Path) -> Result<Vec<CustomResourceDefinition>, Error> {
    let unreadable = |path: &Path, reason: &dyn ToString| Error::Read { path: path.into(), reason: reason.to_string() };
    let mut crds = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
        let path = entry.map_err(|error| unreadable(dir, &error))?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = serde_yaml::Value::deserialize(document).map_err(|error| unreadable(&path, &error))?;
            if value.get("kind").and_then(|kind| kind.as_str()) == Some("CustomResourceDefinition") {
                crds.push(serde_yaml::from_value(value).map_err(|error| unreadable(&path, &error))?);
            }
        }
    }
    if crds.is_empty() { Err(Error::Nothing(dir.to_owned())) } else { Ok(crds) }
}

/// What of a CRD is no longer there, or no longer taken.
fn compare(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for path in ["/spec/group", "/spec/scope", "/spec/names/kind", "/spec/names/plural"] {
        if before.pointer(path) != now.pointer(path) {
            found.push(format!("{path}: changed"));
        }
    }
    for path in ["/spec/names/shortNames", "/spec/names/categories"] {
        if !is_subset(before.pointer(path), now.pointer(path)) {
            found.push(format!("{path}: one is gone"));
        }
    }
    let versions = |crd: &Value| crd.pointer("/spec/versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let today = versions(now);
    for before in versions(before).iter().filter(|version| at(version, "served") == true) {
        let name = at(before, "name").as_str().unwrap_or_default();
        let Some(now) = today.iter().find(|now| at(now, "name") == at(before, "name") && at(now, "served") == true)
        else {
            found.push(format!("{name}: not served any more"));
            continue;
        };
        if !is_subset_of_keys(at(before, "subresources"), at(now, "subresources")) {
            found.push(format!("{name}: a subresource is gone"));
        }
        let schema = |version: &Value| at(at(version, "schema"), "openAPIV3Schema").clone();
        walk(name, &schema(before), &schema(now), &mut found);
    }
    found
}

/// Compares two schemas and what is below them.
fn walk(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    let none = Map::new();
    let (old, new) = (before.as_object().unwrap_or(&none), now.as_object().unwrap_or(&none));
    let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for keyword in keywords {
        match keyword.as_str() {
            "properties" => {
                for (name, before) in at(before, "properties").as_object().unwrap_or(&none) {
                    match at(now, "properties").get(name) {
                        Some(now) => walk(&format!("{path}.{name}"), before, now, found),
                        None if at(now, "x-kubernetes-preserve-unknown-fields") == true => {}
                        None => found.push(format!("{path}.{name}: the field is gone")),
                    }
                }
            }
            "items" if old.contains_key("items") && new.contains_key("items") => {
                walk(&format!("{path}[]"), at(before, "items"), at(now, "items"), found);
            }
            "additionalProperties" if at(before, keyword).is_object() && at(now, keyword).is_object() => {
                walk(&format!("{path}{{}}"), at(before, keyword), at(now, keyword), found);
            }
            _ if may_change(keyword, old.get(keyword), new.get(keyword), now) => {}
            _ => found.push(format!("{path}: {keyword} {}", how(old.get(keyword), new.get(keyword)))),
        }
    }
}

fn how(before: Option<&Value>, now: Option<&Value>) -> String {
    match (before, now) {
        (Some(before), Some(now)) if before.is_number() || before.is_string() || before.is_boolean() => {
            format!("was {before} and is {now}")
        }
        (Some(_), Some(_)) => "changed".to_owned(),
        (None, _) => "is new".to_owned(),
        (_, None) => "is gone".to_owned(),
    }
}

/// Whether a keyword may change like this: whatever the old schema took the new one takes, and keeps. `schema` is the
/// new one around it.
fn may_change(keyword: &str, before: Option<&Value>, now: Option<&Value>, schema: &Value) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    match keyword {
        "description" | "title" | "example" | "externalDocs" => true,
        // What has a default is never missing.
        "required" => list(now).iter().all(|name| {
            let has_default =
                name.as_str().is_some_and(|name| at(at(schema, "properties"), name).get("default").is_some());
            has_default || list(before).contains(name)
        }),
        "enum" => now.is_none() || before.is_some() && is_subset(before, now),
        "maximum" | "maxLength" | "maxItems" | "maxProperties" => match (number(before), number(now)) {
            (Some(before), Some(now)) => now >= before,
            (_, now) => now.is_none(),
        },
        "minimum" | "minLength" | "minItems" | "minProperties" => match (number(before), number(now)) {
            (Some(before), Some(now)) => now <= before,
            (_, now) => now.is_none(),
        },
        "pattern" | "format" => now.is_none() || before == now,
        // Null counts as absent where there is a default and null is not taken.
        "nullable" => now == Some(&json!(true)) || before != Some(&json!(true)) || schema.get("default").is_some(),
        "default" => before.is_none() || same(before, now),
        "x-kubernetes-validations" => {
            let rules = |value| list(value).iter().map(|rule| at(rule, "rule").clone()).collect::<Vec<_>>();
            let known = rules(before);
            rules(now).iter().all(|rule| known.contains(rule))
        }
        _ => same(before, now),
    }
}

/// A field of an object; null where there is none.
fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is_subset(before: Option<&Value>, now: Option<&Value>) -> bool {
    let now = list(now);
    list(before).iter().all(|value| now.contains(value))
}

fn is_subset_of_keys(before: &Value, now: &Value) -> bool {
    before.as_object().is_none_or(|before| before.keys().all(|key| now.get(key).is_some()))
}

fn same(before: Option<&Value>, now: Option<&Value>) -> bool {
    before.map(ordered) == now.map(ordered)
}

#[cfg(test)]
mod tests;
