use super::*;

fn documents(text: &str) -> Vec<(usize, Result<Option<Value>, Unreadable>)> {
    split(text).into_iter().map(|document| document.map(|d| (d.line, parse(&d))).unwrap()).collect()
}

#[test]
fn documents_know_their_lines() {
    let all = documents("# head\n---\na: 1\n--- # second\nb: 2\n---\n\n");
    assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 5, 7]);
    assert_eq!(all[1].1, Ok(Some(serde_json::json!({"a": 1}))));
    assert_eq!(all[3].1, Ok(None));
}

#[test]
fn errors_name_the_line_of_the_file_and_never_the_text() {
    let all = documents("a: 1\n---\npassword: hunter2\nb: [unclosed\nc: 3\n---\nd: 1\n");
    let Err(error) = &all[1].1 else { panic!("{all:?}") };
    assert!(error.line >= 4, "{error:?}");
    assert!(!error.why.contains("hunter2"));
    assert!(all[2].1.is_ok(), "the next document is read all the same");
    let all = documents("---\na: 1\nb: 2\na: 3\n");
    let Err(error) = &all[1].1 else { panic!("a duplicate key is an error, as with kubectl") };
    assert!(error.why.contains("duplicate"), "{error:?}");
}

#[test]
fn merge_keys_work_and_odd_values_are_refused() {
    let all = documents("base: &base {a: 1}\nmore:\n  <<: *base\n  b: 2\n");
    assert_eq!(all[0].1, Ok(Some(serde_json::json!({"base": {"a": 1}, "more": {"a": 1, "b": 2}}))));
    assert_eq!(documents("1: x\ntrue: z\n")[0].1, Ok(Some(serde_json::json!({"1": "x", "true": "z"}))));
    assert_eq!(documents(r#"{"a": "\ud83c\udf89"}"#)[0].1, Ok(Some(serde_json::json!({"a": "🎉"}))));
    assert!(documents("a: .nan\n")[0].1.is_err());
    assert!(documents("a: !secret b\n")[0].1.is_err());
    assert!(split("--- {a: 1}\n").iter().any(Result::is_err));
}

#[test]
fn words_and_numbers_mean_what_they_mean_to_kubectl() {
    let table = [
        ("Yes", "true"),
        ("off", "false"),
        ("y", "true"),
        ("N", "false"),
        ("\"Yes\"", "\"Yes\""),
        ("'off'", "\"off\""),
        ("yEs", "\"yEs\""),
        ("0700", "448"),
        ("-017", "-15"),
        ("08", "8"),
        ("'0700'", "\"0700\""),
        ("1_000", "1000"),
        ("0x1F", "31"),
        ("0b11", "3"),
        ("0o17", "15"),
        ("1e3", "1000"),
        ("007.5", "7.5"),
        ("12:30", "\"12:30\""),
        ("2026-01-01", "\"2026-01-01\""),
        ("~", "null"),
        ("1.2.3", "\"1.2.3\""),
        ("+1", "1"),
        ("[yes, \"no\", on]", "[true,\"no\",true]"),
        ("|\n  yes", "\"yes\\n\""),
    ];
    for (text, wanted) in table {
        let read = documents(&format!("a: {text}\n"));
        let shown = read[0].1.as_ref().unwrap().as_ref().unwrap()["a"].to_string();
        assert_eq!(shown, wanted, "{text}");
    }
    let two = documents("yes: no # on\nb: {c: on, d: \"on\"}\n");
    assert_eq!(two[0].1, Ok(Some(serde_json::json!({"true": false, "b": {"c": true, "d": "on"}}))));
}
