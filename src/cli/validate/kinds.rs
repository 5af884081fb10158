//! The kinds with everything that is checked of them: schema, CEL rules, and whether the controller can read them.

use kube::core::cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::{crds::Error, schema};
use super::path::{FieldPath, Step};
use super::structure::{self, Problem};
use crate::api::{self, MeetingBridge, MeetingSeries, ScheduledMeeting};
use crate::cms::Address;
use crate::plan::series::is_zone;

/// One kind that is checked fully.
pub struct Kind {
    pub name: String,
    /// `group/version`.
    pub api_version: String,
    /// The CRD's schema, completed by what every object has.
    schema: Value,
    rules: CompiledSchema,
    /// What serde says if the controller could not read the object.
    read: fn(Value) -> Result<(), String>,
}

/// Every kind.
pub fn all() -> Result<Vec<Kind>, Error> {
    let mut kinds = Vec::new();
    for crd in api::crds() {
        let schema = schema::of(&crd)?;
        let version = crd.spec.versions.first().map(|version| version.name.as_str()).unwrap_or_default();
        kinds.push(Kind {
            api_version: format!("{}/{version}", crd.spec.group),
            rules: compile_schema(&schema),
            schema: complete(schema),
            read: match crd.spec.names.kind.as_str() {
                "MeetingBridge" => read::<MeetingBridge>,
                "MeetingSeries" => read::<MeetingSeries>,
                _ => read::<ScheduledMeeting>,
            },
            name: crd.spec.names.kind,
        });
    }
    Ok(kinds)
}

fn read<K: DeserializeOwned>(object: Value) -> Result<(), String> {
    serde_json::from_value::<K>(object).map(drop).map_err(|error| error.to_string())
}

impl Kind {
    /// Every problem of an object of this kind.
    pub fn check(&self, object: &Value) -> Vec<Problem> {
        let mut problems = structure::check(&self.schema, object);
        problems.extend(nameless(object));
        problems.extend(odd_keys(object));
        let broken: Vec<FieldPath> = problems.iter().map(|problem| problem.path.clone()).collect();
        problems.extend(self.broken_rules(object, &broken));
        problems.extend(addresses(object, &problems));
        problems.extend(zones(object, &problems));
        let mut stored = object.clone();
        drop_nulls(&mut stored);
        if problems.is_empty()
            && let Err(error) = (self.read)(stored)
        {
            let message = format!("the controller could not read this object: {error}");
            problems.push(Problem { path: FieldPath::default(), message });
        }
        problems
    }

    /// The CEL rules that the object breaks. What is `broken` already is left out of their sight.
    fn broken_rules(&self, object: &Value, broken: &[FieldPath]) -> Vec<Problem> {
        let mut sound = object.clone();
        for path in broken {
            remove(&mut sound, path.steps());
        }
        // `has()` is false for null on the apiserver.
        drop_nulls(&mut sound);
        let errors = Validator::new().validate_compiled(&self.rules, &sound, None).err();
        let errors = errors.into_iter().flatten().map(|error| (FieldPath::parse(&error.field_path), error));
        errors
            .filter(|(scope, error)| !broken.iter().any(|path| concerns(scope, &error.rule, path)))
            .map(|(path, error)| Problem { path, message: wording(&error) })
            .collect()
    }
}

/// Can a rule at `scope` have seen the value at `path`?
fn concerns(scope: &FieldPath, rule: &str, path: &FieldPath) -> bool {
    match path.beyond(scope) {
        Some([Step::Field(name), ..]) => rule.contains(&format!("self.{name}")),
        Some(_) => true,
        None => scope.beyond(path).is_some(),
    }
}

fn wording(error: &ValidationError) -> String {
    match error.kind {
        ErrorKind::ValidationFailure => error.message.clone(),
        // The detail of the error may quote the value.
        _ => format!("the rule `{}` cannot be evaluated for this value", error.rule),
    }
}

/// Takes a value out of an object. An item of a list becomes null, so that the others keep their indexes.
fn remove(value: &mut Value, steps: &[Step]) {
    match (steps, value) {
        ([Step::Field(name)], Value::Object(fields)) => drop(fields.remove(name)),
        ([Step::Item(index)], Value::Array(items)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = Value::Null;
            }
        }
        ([Step::Field(name), rest @ ..], Value::Object(fields)) => {
            if let Some(inner) = fields.get_mut(name) {
                remove(inner, rest);
            }
        }
        ([Step::Item(index), rest @ ..], Value::Array(items)) => {
            if let Some(inner) = items.get_mut(*index) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn nameless(object: &Value) -> Option<Problem> {
    let metadata = object.get("metadata").filter(|metadata| metadata.is_object());
    let given = |key: &str| metadata.and_then(|metadata| metadata.get(key)).is_some_and(|name| !name.is_null());
    let named = given("name") || given("generateName");
    (!named).then(|| Problem {
        path: FieldPath::default().field("metadata").field("name"),
        message: "is required but missing; give the object a name".to_owned(),
    })
}

/// Keys of labels and annotations that are no qualified names: `[prefix/]name`.
fn odd_keys(object: &Value) -> Vec<Problem> {
    let metadata = FieldPath::default().field("metadata");
    let mut found = Vec::new();
    for kind in ["labels", "annotations"] {
        let keys = object.get("metadata").and_then(|metadata| metadata.get(kind)).and_then(Value::as_object);
        for key in keys.into_iter().flat_map(|fields| fields.keys()).filter(|key| !is_qualified(key)) {
            let message =
                "is no valid key; use letters, digits, -, _ and ., up to 63, as in example.com/team".to_owned();
            found.push(Problem { path: metadata.field(kind).field(key), message });
        }
    }
    found
}

fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let edges =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let inside = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let domain = prefix.is_none_or(|prefix| {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        prefix.len() <= 253 && prefix.split('.').all(label)
    });
    edges && inside && domain && name.len() <= 63
}

/// What a rule cannot say of an address: octets, port range. The controller would refuse it later.
fn addresses(object: &Value, known: &[Problem]) -> Vec<Problem> {
    let spec = FieldPath::default().field("spec");
    let mut found = Vec::new();
    let mut look = |path: FieldPath, text: Option<&Value>| {
        let Some(Err(error)) = text.and_then(Value::as_str).map(str::parse::<Address>) else { return };
        if known.iter().all(|problem| problem.path != path) {
            found.push(Problem { path, message: format!("{error}; write it like cms.example.com:445") });
        }
    };
    look(spec.field("address"), object.pointer("/spec/address"));
    let alternates = object.pointer("/spec/failover/alternates").and_then(Value::as_array);
    for (index, alternate) in alternates.into_iter().flatten().enumerate() {
        look(spec.field("failover").field("alternates").item(index).field("address"), alternate.get("address"));
    }
    found
}

/// What a rule cannot say of a time zone: whether there is one of that name.
fn zones(object: &Value, known: &[Problem]) -> Option<Problem> {
    let path = FieldPath::default().field("spec").field("timeZone");
    let name = object.pointer("/spec/timeZone").and_then(Value::as_str)?;
    let is_told = known.iter().any(|problem| problem.path == path);
    (!is_told && !is_zone(name)).then(|| {
        let message = format!("{name:?} is no IANA time zone that this version knows; write it like Europe/Berlin");
        Problem { path, message }
    })
}

/// Adds `apiVersion`, `kind` and `metadata`, which a CRD's schema leaves to the apiserver.
fn complete(mut schema: Value) -> Value {
    let text = json!({"type": "string"});
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let texts = json!({"type": "array", "items": text});
    let map = json!({"type": "object", "additionalProperties": text});
    let number = json!({"type": "integer"});
    let label = json!({"type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"});
    let name = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    let namespace = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    let metadata = json!({"type": "object", "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": name, "example": "weekly-review"},
        "generateName": {"type": "string", "maxLength": 253},
        "namespace": {"type": "string", "maxLength": 63, "pattern": namespace, "example": "team-a"},
        "labels": {"type": "object", "additionalProperties": label},
        "annotations": map,
        "finalizers": texts,
        "ownerReferences": {"type": "array", "items": open},
        "managedFields": {"type": "array", "items": open},
        "creationTimestamp": text, "deletionTimestamp": text, "resourceVersion": text, "uid": text, "selfLink": text,
        "generation": number, "deletionGracePeriodSeconds": number,
    }});
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("apiVersion".to_owned(), text.clone());
        properties.insert("kind".to_owned(), text);
        properties.insert("metadata".to_owned(), metadata);
    }
    schema
}
