use super::*;

const RELEASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/release-0.1/crds");

/// A CRD with this schema below `spec.field`.
fn crd(field: &Value) -> Value {
    let spec = json!({ "type": "object", "properties": { "field": field } });
    json!({
        "metadata": { "name": "things.test" },
        "spec": {
            "group": "test", "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things", "shortNames": ["th"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } }
            }]
        }
    })
}

/// What is found when the schema of a field goes from the one to the other.
fn found(before: Value, now: Value) -> String {
    compare(&crd(&before), &crd(&now)).join("; ")
}

fn object(rest: Value) -> Value {
    let mut schema = json!({ "type": "object" });
    schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    schema
}

#[test]
fn what_refuses_or_loses_something_is_found() {
    let string = || json!({ "type": "string" });
    let a = || object(json!({ "properties": { "a": string() } }));
    let rule = |rule: &str| json!({ "type": "string", "x-kubernetes-validations": [{ "rule": rule }] });
    for (before, now, says) in [
        (a(), object(json!({ "properties": {} })), "v1.spec.field.a: the field is gone"),
        (a(), object(json!({ "properties": { "a": string() }, "required": ["a"] })), "v1.spec.field: required is new"),
        (json!({ "type": "integer" }), string(), "v1.spec.field: type was \"integer\" and is \"string\""),
        (json!({ "enum": ["A", "B"] }), json!({ "enum": ["A"] }), "enum changed"),
        (string(), json!({ "type": "string", "enum": ["A"] }), "enum is new"),
        (json!({ "maximum": 10 }), json!({ "maximum": 9.0 }), "maximum was 10 and is 9.0"),
        (json!({}), json!({ "maxLength": 9 }), "maxLength is new"),
        (json!({ "minimum": 0 }), json!({ "minimum": 1 }), "minimum was 0 and is 1"),
        (json!({}), json!({ "minItems": 1 }), "minItems is new"),
        (json!({ "pattern": "a" }), json!({ "pattern": "b" }), "pattern was \"a\" and is \"b\""),
        (json!({}), json!({ "format": "date-time" }), "format is new"),
        (json!({ "nullable": true }), json!({}), "nullable is gone"),
        (json!({ "default": 1 }), json!({ "default": 2 }), "default was 1 and is 2"),
        (json!({ "default": 1 }), json!({}), "default is gone"),
        (string(), rule("self != ''"), "x-kubernetes-validations is new"),
        (rule("self != ''"), rule("self != 'a'"), "x-kubernetes-validations changed"),
        (json!({ "x-kubernetes-list-type": "set" }), json!({}), "x-kubernetes-list-type is gone"),
        (json!({ "x-kubernetes-preserve-unknown-fields": true }), json!({}), "preserve-unknown-fields is gone"),
        (object(json!({ "additionalProperties": string() })), a(), "additionalProperties is gone"),
        (json!({}), json!({ "oneOf": [{}] }), "oneOf is new"),
        (
            json!({ "type": "array", "items": { "maxLength": 9 } }),
            json!({ "type": "array", "items": { "maxLength": 8 } }),
            "v1.spec.field[]: maxLength was 9 and is 8",
        ),
        (
            object(json!({ "additionalProperties": { "maxLength": 9 } })),
            object(json!({ "additionalProperties": { "maxLength": 8 } })),
            "v1.spec.field{}: maxLength was 9 and is 8",
        ),
    ] {
        let told = found(before.clone(), now.clone());
        assert!(told.contains(says) && !told.contains(';'), "{before} -> {now}: {told:?}, not {says:?}");
    }
}

#[test]
fn what_takes_more_than_before_is_good() {
    let string = || json!({ "type": "string" });
    let rules = |all: &[&str]| {
        let all: Vec<_> = all.iter().map(|rule| json!({ "rule": rule, "message": rule.len() })).collect();
        json!({ "x-kubernetes-validations": all })
    };
    for (before, now) in [
        (json!({ "description": "a" }), json!({ "description": "b" })),
        (object(json!({})), object(json!({ "properties": { "a": { "enum": ["A"], "minLength": 3 } } }))),
        (object(json!({})), object(json!({ "properties": { "a": { "default": 1 } }, "required": ["a"] }))),
        (object(json!({ "required": ["a"] })), object(json!({}))),
        (json!({ "enum": ["A"] }), json!({ "enum": ["B", "A"] })),
        (json!({ "enum": ["A"] }), json!({})),
        (json!({ "maximum": 10, "minimum": 1 }), json!({ "maximum": 10.0, "minimum": 0 })),
        (json!({ "maxItems": 10, "minLength": 1 }), json!({})),
        (json!({ "pattern": "a", "format": "int64" }), json!({})),
        (json!({}), json!({ "nullable": true })),
        (json!({ "nullable": true }), json!({ "default": { "a": 1 } })),
        (rules(&["a", "b"]), rules(&["b"])),
        (json!({ "default": 100 }), json!({ "default": 100.0 })),
        (string(), string()),
    ] {
        assert_eq!(found(before.clone(), now.clone()), "", "{before} -> {now}");
    }
}

#[test]
fn kinds_and_versions_stay() {
    let before = crd(&json!({}));
    for (path, value, says) in [
        ("/spec/scope", json!("Cluster"), "/spec/scope: changed"),
        ("/spec/names/plural", json!("thingies"), "/spec/names/plural: changed"),
        ("/spec/names/shortNames", json!(["thing"]), "/spec/names/shortNames: one is gone"),
        ("/spec/versions/0/name", json!("v2"), "v1: not served any more"),
        ("/spec/versions/0/served", json!(false), "v1: not served any more"),
        ("/spec/versions/0/subresources", json!({ "scale": {} }), "v1: a subresource is gone"),
    ] {
        let mut now = before.clone();
        *now.pointer_mut(path).unwrap() = value;
        assert_eq!(compare(&before, &now), [says]);
    }
}

#[test]
fn todays_crds_follow_those_of_the_release() {
    if let Err(error) = check(Path::new(RELEASE)) {
        panic!("{error}");
    }
}

#[test]
fn what_is_accepted_is_said_and_has_to_be_found() {
    let dir = std::env::temp_dir().join(format!("meeting-controller-compat-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let told = || check(&dir).map_err(|error| error.to_string());
    assert!(told().is_err_and(|error| error.contains("no CustomResourceDefinition")));
    let mut crds = api::crds();
    let schema = crds[1].spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
    let fields = schema.properties.as_mut().unwrap().get_mut("spec").unwrap().properties.as_mut().unwrap();
    fields.insert("colour".to_owned(), Default::default());
    std::fs::write(dir.join("b.yaml"), serde_yaml::to_string(&crds[1]).unwrap()).unwrap();
    let finding = "scheduledmeetings.meeting-controller.dev v1alpha1.spec.colour: the field is gone";
    assert!(told().is_err_and(|error| error.contains(finding)));
    std::fs::write(dir.join("accepted"), format!("# never used\n{finding}\n")).unwrap();
    told().unwrap();
    std::fs::write(dir.join("accepted"), format!("{finding}\nanother: line\n")).unwrap();
    assert!(told().is_err_and(|error| error.contains("not found any more") && error.contains("another: line")));
    std::fs::remove_dir_all(&dir).unwrap();
}
