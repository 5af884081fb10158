use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("2026-11-23T10:00:00Z".to_owned()),
        Just("2026-11-23".to_owned()),
        Just("a\n2026-11-23\n\n  x: 2026-11-24".to_owned()),
        Just("|".to_owned()),
        "[ -~]{0,12}",
        "[a: \n-]{0,10}",
    ];
    let leaf = prop_oneof![text.prop_map(Value::String), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z:| -]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever is written is read back as it was.
    #[test]
    fn quotes_change_nothing(value in any_value()) {
        let text = to_string(&value).unwrap();
        prop_assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value, "{}", text);
    }
}
