//! What the generated files and the offline check need to know of a schema.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

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

/// Where the schema for editors and kubeconform is, as the CRDs-catalog lays them out: `<group>/<kind>_<version>.json`.
pub fn file(crd: &CustomResourceDefinition) -> String {
    format!("schemas/{}/{}_{}.json", crd.spec.group, crd.spec.names.kind.to_lowercase(), version(crd))
}

fn version(crd: &CustomResourceDefinition) -> &str {
    crd.spec.versions.first().map(|version| version.name.as_str()).unwrap_or_default()
}

/// The schema as a JSON Schema of whole manifests, in which a field that does not exist is an error.
pub fn for_editors(crd: &CustomResourceDefinition) -> Result<Value, serde_json::Error> {
    let mut schema = of(crd)?;
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        root.insert("required".to_owned(), json!(["apiVersion", "kind", "metadata", "spec"]));
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let api_version = format!("{}/{}", crd.spec.group, version(crd));
        properties.insert("apiVersion".to_owned(), json!({ "type": "string", "const": api_version }));
        properties.insert("kind".to_owned(), json!({ "type": "string", "const": crd.spec.names.kind }));
        properties.insert("metadata".to_owned(), json!({ "type": "object" }));
    }
    close(&mut schema);
    Ok(schema)
}

/// Takes out what only the apiserver understands, and shuts objects that say what they have.
fn close(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else { return };
    let is_open = node.contains_key("x-kubernetes-preserve-unknown-fields");
    node.retain(|key, _| !key.starts_with("x-kubernetes-"));
    if node.remove("nullable") == Some(Value::Bool(true))
        && let Some(kind) = node.get_mut("type")
    {
        *kind = json!([kind, "null"]);
    }
    if node.contains_key("properties") && !is_open && !node.contains_key("additionalProperties") {
        node.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    let fields = node.get_mut("properties").and_then(Value::as_object_mut);
    fields.into_iter().flat_map(|fields| fields.values_mut()).for_each(close);
    ["items", "additionalProperties"].iter().for_each(|key| node.get_mut(*key).into_iter().for_each(close));
}
