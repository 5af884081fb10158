//! What the generated reference and the offline check both need to know of a schema.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// The schema of the version that is served, as JSON.
pub fn of(crd: &CustomResourceDefinition) -> Result<Value, serde_json::Error> {
    let schema = crd.spec.versions.first().and_then(|version| version.schema.as_ref());
    serde_json::to_value(schema.and_then(|schema| schema.open_api_v3_schema.as_ref()))
}

/// The text under a key of a schema node, or "".
pub fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of the list under a key of a schema node.
pub fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The fields that a schema node declares.
pub fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Must this field be given?
pub fn requires(schema: &Value, name: &str) -> bool {
    list(schema, "required").any(|required| required == name)
}
