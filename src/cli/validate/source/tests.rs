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
    assert_eq!(documents("1: x\ntrue: y\n")[0].1, Ok(Some(serde_json::json!({"1": "x", "true": "y"}))));
    assert_eq!(documents(r#"{"a": "\ud83c\udf89"}"#)[0].1, Ok(Some(serde_json::json!({"a": "🎉"}))));
    assert!(documents("a: .nan\n")[0].1.is_err());
    assert!(documents("a: !secret b\n")[0].1.is_err());
    assert!(split("--- {a: 1}\n").iter().any(Result::is_err));
}
