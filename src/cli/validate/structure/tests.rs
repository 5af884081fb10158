use super::*;
use serde_json::json;

fn messages(schema: Value, value: Value) -> Vec<String> {
    check(&schema, &value).into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn every_kind_of_fault_is_found_and_says_what_to_do() {
    let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
        "a": {"type": "string", "minLength": 1, "maxLength": 3, "description": "First. Second."},
        "b": {"type": "integer", "minimum": 1, "maximum": 5},
        "c": {"type": "string", "enum": ["Alpha", "Beta"]},
        "d": {"type": "string", "pattern": "^[0-9]+m$", "example": "45m"},
        "e": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"k": {"type": "string"}}},
              "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
        "f": {"type": "boolean"},
        "g": {"type": "string", "format": "date-time"},
        "h": {"type": "object", "additionalProperties": {"type": "string"}},
        "i": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    }});
    let found = messages(
        schema,
        json!({"a": "äöüß", "c": "alpha", "d": "45", "e": [{"k": "x"}, {"k": "x"}, 7], "f": "yes",
               "g": "2026-02-30T10:00:00Z", "h": {"n": 1}, "i": ["x", "x"], "participents": 1, "B": 2}),
    );
    assert_eq!(
        found,
        [
            "B: is no field here; did you mean b?",
            "a: has 4 characters; at most 3 are allowed",
            "c: \"alpha\" is not one of the choices; did you mean Alpha?",
            "d: \"45\" does not match ^[0-9]+m$; write it like 45m",
            "e: has 3 items; at most 2 are allowed",
            "e[2]: must be a mapping but is a number",
            "e[1]: has the same k as item [0]; remove one of the two",
            "f: must be true or false but is a text; write true or false without quotes",
            "g: \"2026-02-30T10:00:00Z\" is not a date and time with offset as RFC 3339 has it",
            "h.n: must be a text but is a number; put it in quotes",
            "i[1]: is the same as item [0]; remove one of the two",
            "participents: is no field here; remove it, or use one of a, b, c, d, e, f, g, h, i",
            "b: is required but missing; add it",
        ]
    );
}

#[test]
fn nulls_are_as_the_apiserver_takes_them() {
    let schema = json!({"type": "object", "required": ["a", "n"], "properties": {
        "a": {"type": "string", "description": "First. Second."}, "n": {"type": "string", "nullable": true},
        "d": {"type": "boolean", "default": false}}});
    assert_eq!(
        messages(schema, json!({"a": null, "n": null, "d": null})),
        ["a: is required but missing; add it (First)"]
    );
}

#[test]
fn guesses_only_slips() {
    assert_eq!(edits("kitten", "sitting"), 3);
    assert_eq!(closest("participents", ["title", "participants"].into_iter()), Some("participants"));
    assert_eq!(closest("titel", ["start", "title"].into_iter()), Some("title"));
    assert_eq!(closest("Out", ["In", "Of"].into_iter()), None);
}

#[test]
fn numbers_keep_to_their_width() {
    let schema = json!({"type": "integer", "format": "int32"});
    assert_eq!(messages(schema.clone(), json!(5_000_000_000_i64)), [": is 5000000000; it must be at most 2147483647"]);
    assert_eq!(messages(schema, json!(1.5)), [": must be a whole number but is a number with fractions"]);
}
