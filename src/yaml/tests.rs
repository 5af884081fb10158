use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cli::validate::source::{Document, parse};

#[test]
fn instants_stand_in_quotes_and_everything_else_is_as_it_was() {
    let value = json!({
        "start": "2026-11-23T10:00:00+01:00", "day": "2026-11-23", "name": "2026-11-23-standup", "phone": "2026-11",
        "list": ["2026-11-23T09:00:00Z", { "at": "2026-11-23T09:00:00Z", "text": "at: 2026-11-23\nthen 2026-11-24\n" }],
        "words": "a\n2026-11-23\nb", "nested": [["2026-11-23"]], "key: odd": "2026-11-23"
    });
    let text = to_string(&value).unwrap();
    for line in ["start: '2026-11-23T10:00:00+01:00'", "day: '2026-11-23'", "- '2026-11-23T09:00:00Z'", "at: '2026-"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("name: 2026-11-23-standup") && text.contains("    at: 2026-11-23\n"), "{text}");
    assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value);
}

/// Bare, these mean something else in YAML 1.1 (<https://yaml.org/type/>), or to the readers of it in Go or Python.
const AMBIGUOUS: &[&str] = &[
    "y",
    "Y",
    "yes",
    "Yes",
    "YES",
    "n",
    "N",
    "no",
    "No",
    "NO",
    "on",
    "On",
    "ON",
    "off",
    "Off",
    "OFF",
    "=",
    "<<",
    "1_000",
    "-1_000",
    "+0x_1F",
    "0X1F",
    "0B10",
    "0O17",
    "0b1_0",
    "0_7",
    "1_0.5",
    "._5",
    "1e400",
    "-1e400",
    "1:30",
    "190:20:30.15",
    "-1:30",
    "2026-11-23",
    "2026-1-2",
    "2026-1-2t15:4:5Z",
    "2026-11-23 10:00:00",
    // In quotes by the serialiser.
    "true",
    "Null",
    "~",
    "",
    ".inf",
    "-.INF",
    ".NaN",
    "0777",
    "08",
    "0x1f",
    "0o17",
    "0b10",
    "12",
    "1.5",
    "1e3",
    ".5",
    "+1",
];

/// These mean the same everywhere, and stay bare.
const PLAIN: &[&str] = &[
    "yesterday",
    "Offline",
    "none",
    "nan",
    "inf",
    "1.2.3",
    "10.0.0.1",
    "cms.example.com:445",
    "7001@meet.example.com",
    "1h30m",
    "2026-11",
    "2026-11-23-standup",
    "1_000 people",
    "a:1",
    "0xyz",
    "12:345",
    "1:a",
    "<=",
    "v1alpha1",
    "1x",
];

#[test]
fn what_yaml_1_1_reads_otherwise_is_in_quotes_as_key_and_as_value() {
    for word in AMBIGUOUS {
        let text = to_string(&json!({ "a": word, "b": [word, [word]], *word: { *word: word, "c": 1 } })).unwrap();
        assert_eq!(text.matches(&format!("'{word}'")).count(), 6, "{word}\n{text}");
    }
    for word in PLAIN {
        let text = to_string(&json!({ "a": word, *word: [word] })).unwrap();
        assert!(!text.contains(['\'', '"']), "{text}");
    }
    let numbers = json!({ "a": 1, "b": -2.5, "c": 1e21, "d": [true, null, 0] });
    assert_eq!(to_string(&numbers).unwrap(), "a: 1\nb: -2.5\nc: 1e21\nd:\n- true\n- null\n- 0\n");
}

/// A key that is long or has lines stands after a question mark.
#[test]
fn what_follows_a_long_key_is_seen() {
    let long = "k".repeat(200);
    let value = json!({ long: "Off", "a\noff\n2026-11-23": { "b": "on" }, "list": [{ "x\nno": "no" }] });
    let text = to_string(&value).unwrap();
    assert!(text.contains(": 'Off'") && text.contains("b: 'on'") && text.contains(": 'no'"), "{text}");
    assert!(text.contains("  off\n") && !text.contains("  'off'"), "{text}");
    assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value, "{text}");
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("2026-11-23T10:00:00Z".to_owned()),
        Just("2026-11-23".to_owned()),
        Just("a\n2026-11-23\n\n  x: 2026-11-24".to_owned()),
        Just("|".to_owned()),
        prop::sample::select(AMBIGUOUS).prop_map(str::to_owned),
        "[-+0-9_.:xXobBTe]{0,8}",
        "[ -~]{0,12}",
        "[a: \n-]{0,10}",
    ];
    let leaf = prop_oneof![text.prop_map(Value::String), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(prop_oneof!["[a-z:| -]{0,6}", "[-+0-9_.:xbe]{0,6}", "y|off|No"], inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever is written is read back as it was, by YAML 1.2 and as kubectl reads.
    #[test]
    fn quotes_change_nothing(value in any_value()) {
        let text = to_string(&value).unwrap();
        prop_assert_eq!(&serde_yaml::from_str::<Value>(&text).unwrap(), &value, "{}", text);
        let read = parse(&Document { line: 1, text: text.clone() }).unwrap().unwrap_or_default();
        prop_assert_eq!(read, value, "{}", text);
    }
}
