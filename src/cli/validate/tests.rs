//! The whole command on manifests as people write them; and every CEL rule of the CRDs, kept and broken.

use serde_json::{Value, json};

use super::*;

/// What the command prints for these texts, each a file of its own (in the text: `FILE`), and how it ends.
fn check(texts: &[&str]) -> (Outcome, String) {
    check_with(texts, Options::default())
}

fn check_with(texts: &[&str], options: Options<'_>) -> (Outcome, String) {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("meeting-controller-validate-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let mut files = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        files.push(dir.join(format!("{index}.yaml")));
        std::fs::write(&files[index], text).unwrap();
    }
    let mut out = Vec::new();
    let outcome = validate(&files, options, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap().replace(&format!("{}/", dir.display()), "");
    std::fs::remove_dir_all(&dir).unwrap();
    (outcome, text)
}

/// Puts `changes` over `base`, field by field.
pub fn merge(base: &mut Value, changes: &Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(base.entry(key).or_insert(Value::Null), change);
            }
        }
        (base, changes) => *base = changes.clone(),
    }
}

const BRIDGE: &str = "\
apiVersion: meeting-controller.dev/v1alpha1
kind: MeetingBridge
metadata: {name: berlin, namespace: conferencing}
spec:
  address: cms.example.com:445
  credentialsSecretRef: {name: cms}
";

const MEETING: &str = "\
apiVersion: meeting-controller.dev/v1alpha1
kind: ScheduledMeeting
metadata:
  name: standup
  namespace: team-a
spec:
  title: Standup
  start: 2026-11-23T10:00:00+01:00
  duration: 45m
  participants:
  - remoteParty: room@example.com
";

const SERIES: &str = "\
apiVersion: meeting-controller.dev/v1alpha1
kind: MeetingSeries
metadata: {name: weekly, namespace: team-a}
spec:
  start: \"2026-12-07T09:00:00\"
  timeZone: Europe/Berlin
  duration: 1h
  recurrence: {frequency: Weekly}
  template: {spec: {title: Weekly}}
";

#[test]
fn good_manifests_pass_and_others_are_counted() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: cms}\nstringData: {password: hunter2}\n";
    let (outcome, text) = check(&[&format!("---\n{BRIDGE}---\n{MEETING}"), list, secret]);
    assert_eq!(text, "2 objects checked, 0 problems; not looked at: 1 ConfigMap, 1 Secret\n");
    assert_eq!(outcome, Outcome::Valid);
}

#[test]
fn all_problems_of_all_files_are_reported_with_their_lines() {
    let meeting = MEETING
        .replace("Standup", "5")
        .replace("45m", "45 minutes")
        .replace("remoteParty", "remotePartie")
        .replace("team-a", "Team_A");
    let bridge = BRIDGE.replace("cms.example.com:445", "cms.example.com:99999") + "  managementPolicy: observe\n";
    let (outcome, text) = check(&[&format!("# two\n---\n{meeting}---\nkind: Pod\n"), &bridge]);
    assert_eq!(
        text,
        "\
0.yaml:7: ScheduledMeeting Team_A/standup: metadata.namespace: \"Team_A\" does not match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$; write it like team-a
0.yaml:9: ScheduledMeeting Team_A/standup: spec.title: must be a text but is a number; put it in quotes
0.yaml:11: ScheduledMeeting Team_A/standup: spec.duration: \"45 minutes\" does not match ^([0-9]{1,9}(\\.[0-9]{1,9})?(ms|s)|[0-9]{1,5}(\\.[0-9]{1,9})?(m|h))+$; write it like 45m
0.yaml:13: ScheduledMeeting Team_A/standup: spec.participants[0].remotePartie: is no field here; did you mean remoteParty?
0.yaml:13: ScheduledMeeting Team_A/standup: spec.participants[0].remoteParty: is required but missing; add it (SIP URI, number or user; unique within the meeting)
0.yaml:15: is no Kubernetes object; it needs apiVersion and kind
1.yaml:5: MeetingBridge conferencing/berlin: spec.address: address must be host or host:port (1 to 65535) without scheme and path, for example cms.example.com:445 or [2001:db8::1]:445
1.yaml:7: MeetingBridge conferencing/berlin: spec.managementPolicy: \"observe\" is not one of the choices; did you mean Observe?
2 objects checked, 8 problems
"
    );
    assert_eq!(outcome, Outcome::Invalid);
}

#[test]
fn lists_wrong_versions_and_wrong_kinds() {
    let item = MEETING.replace("45m", "0s").lines().map(|line| format!("  {line}\n")).collect::<String>();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", item.trim_start());
    let (_, text) =
        check(&[&list, &BRIDGE.replace("v1alpha1", "v1"), &BRIDGE.replace("MeetingBridge", "Meetingbridge")]);
    assert_eq!(
        text,
        "\
0.yaml:12: ScheduledMeeting team-a/standup: spec.duration: duration must be more than zero
1.yaml:1: MeetingBridge conferencing/berlin: apiVersion: is not that of a MeetingBridge; write meeting-controller.dev/v1alpha1
2.yaml:2: Meetingbridge conferencing/berlin: kind: is not a kind of meeting-controller.dev; use MeetingBridge or ScheduledMeeting or MeetingSeries
3 objects checked, 3 problems
"
    );
}

#[test]
fn an_unreadable_file_does_not_hide_the_others() {
    let mut out = Vec::new();
    let files = [PathBuf::from("/nonexistent/a.yaml"), PathBuf::from("/nonexistent/b.yaml")];
    assert_eq!(validate(&files, Options::default(), &mut out).unwrap(), Outcome::Unreadable);
    assert_eq!(String::from_utf8(out).unwrap().matches("cannot be read").count(), 2);
}

#[test]
fn what_may_be_a_secret_is_never_printed() {
    let bridge = BRIDGE.replace("{name: cms}", "{name: cms, password: hunter2}");
    let meeting = MEETING.replace("  participants:", "  passcode: hunter2\n  passcodeSecretRef: 4711\n  participants:");
    let broken = "apiVersion: v1\nkind: Secret\nstringData:\n  password: hunter2: x\n  'hunter2\n";
    let twice = "kind: Secret\napiVersion: v1\ndata: hunter2\ndata: hunter2\n";
    let (outcome, text) = check(&[&bridge, &meeting, broken, twice, "hunter2", "- hunter2"]);
    assert_eq!(outcome, Outcome::Invalid);
    assert!(!text.contains("hunter2") && !text.contains("4711"), "{text}");
    assert_eq!(text.lines().count(), 8, "{text}");
}

#[test]
fn overflowing_durations_and_dates_are_problems_and_no_panics() {
    for (from, to) in [
        ("45m", "99999999999999999999h"),
        ("45m", "99999h99999h99999h99999h99999h"),
        ("2026-11-23T10:00:00+01:00", "2026-11-23T10:00:00+99:99"),
        ("2026-11-23T10:00:00+01:00", "9999-12-31T23:59:59-23:59"),
        ("2026-11-23T10:00:00+01:00", "2026-11-23T10:00:00x5Z"),
        ("2026-11-23T10:00:00+01:00", "2026-11-23T10:00:00"),
    ] {
        let (outcome, text) = check(&[&MEETING.replace(from, to)]);
        let good = to.starts_with("99999h");
        assert_eq!(outcome == Outcome::Valid, good, "{to}: {text}");
    }
}

#[test]
fn the_examples_of_the_project_are_valid() {
    let mut pending = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples"))];
    while let Some(dir) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        pending.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
        let mut out = Vec::new();
        let outcome = validate(std::slice::from_ref(&dir), Options::default(), &mut out).unwrap();
        assert_eq!(outcome, Outcome::Valid, "{}: {}", dir.display(), String::from_utf8_lossy(&out));
    }
}

/// One rule: kind, message of the rule, a spec that breaks it and one that keeps it (both laid over a good spec; null
/// removes a field).
fn cases() -> Vec<(&'static str, &'static str, Value, Value)> {
    const B: &str = "MeetingBridge";
    const M: &str = "ScheduledMeeting";
    let address = "address must be host or host:port (1 to 65535) without scheme and path, for example cms.example.com:445 or [2001:db8::1]:445";
    let alternates = |alternates: Value| json!({"failover": {"alternates": alternates}});
    let extension = |step: &str| json!({"extension": {"auto": {"step": step, "max": "30m"}}});
    let party = |party: &str| json!({"participants": [{"remoteParty": party}]});
    let backoff = |backoff: &str| json!({"participants": [{"remoteParty": "a@x", "retry": {"backoff": backoff}}]});
    vec![
        (B, address, json!({"address": "https://cms.example.com"}), json!({"address": "[2001:db8::1]:445"})),
        (B, address, json!({"address": "2001:db8::1"}), json!({"address": "10.0.0.1"})),
        (B, address, alternates(json!([{"address": "cms/api"}])), alternates(json!([{"address": "cms-2:445"}]))),
        (
            B,
            "an alternate needs exactly one of address and callBridge",
            alternates(json!([{"address": "a", "callBridge": "b"}])),
            alternates(json!([{"callBridge": "b"}, {"address": "a", "callBridge": null}])),
        ),
        (
            B,
            "webBridgeURI must start with https://",
            json!({"webBridgeURI": "join.example.com"}),
            json!({"webBridgeURI": "https://join.example.com"}),
        ),
        (
            B,
            "slots overflow: base + quantity - 1 must not exceed 2147483647",
            json!({"slots": {"base": 2_147_483_647_u32, "quantity": 2}}),
            json!({"slots": {"base": 2_147_483_647_u32, "quantity": 1}}),
        ),
        (
            B,
            "domain must be a bare domain such as meet.example.com",
            json!({"slots": {"domain": "meet@example.com"}}),
            json!({"slots": {"domain": "meet.example.com"}}),
        ),
        (
            B,
            "allowedNamespaces.selector goes with from: Selector, and only with it",
            json!({"allowedNamespaces": {"selector": {"matchLabels": {"a": "b"}}}}),
            json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}}),
        ),
        (
            M,
            "start must be a date and time after the year 1000",
            json!({"start": "1000-01-01T00:00:00Z"}),
            json!({"start": "2026-11-23T10:00:00.25-03:00"}),
        ),
        (M, "a meeting needs exactly one of end and duration", json!({"duration": null}), json!({"duration": "1h30m"})),
        (
            M,
            "end must be after start",
            json!({"duration": null, "end": "2026-11-23T10:30:00+02:00"}),
            json!({"duration": null, "end": "2026-11-23T09:00:00.5Z"}),
        ),
        (
            M,
            "bridgeRef and bridgeSelector exclude each other",
            json!({"bridgeRef": {"name": "a"}, "bridgeSelector": {}}),
            json!({"bridgeSelector": {}}),
        ),
        (
            M,
            "passcodeSecretRef and passcode.generate exclude each other",
            json!({"passcodeSecretRef": {"name": "a"}, "passcode": {"generate": {}}}),
            json!({"passcode": {"generate": {"digits": 8}}}),
        ),
        (
            M,
            "minutesBefore must not name a number twice",
            json!({"endWarning": {"minutesBefore": [5, 1, 5]}}),
            json!({"endWarning": {"minutesBefore": [5, 1]}}),
        ),
        (
            M,
            "text must not contain control characters",
            json!({"endWarning": {"text": "Soon\n"}}),
            json!({"endWarning": {"text": "Noch {minutes} Minuten"}}),
        ),
        (M, "title must not contain control characters", json!({"title": "a\nb"}), json!({"title": "Größe 🎉"})),
        (M, "duration must be more than zero", json!({"duration": "0s"}), json!({"duration": "0.5s"})),
        (M, "earlyJoin must not exceed 24h", json!({"earlyJoin": "24h1s"}), json!({"earlyJoin": "24h"})),
        (M, "remoteParty must not contain spaces or control characters", party("a b"), party("sip:ä@b")),
        (M, "remoteParty must not contain spaces or control characters", party("a\u{7f}"), party("+4930")),
        (M, "extension.auto needs 1m <= step <= max", extension("31m"), extension("30m")),
        (M, "retry.backoff must be at least 5s", backoff("4999ms"), backoff("5s")),
        (M, "extension.auto needs 1m <= step <= max", extension("59s"), extension("60s")),
    ]
    .into_iter()
    .chain(cases_of_series())
    .collect()
}

fn cases_of_series() -> Vec<(&'static str, &'static str, Value, Value)> {
    const S: &str = "MeetingSeries";
    let rule = |rule: Value| json!({"recurrence": rule});
    let monthly = |rest: Value| {
        let mut rule = json!({"frequency": "Monthly"});
        rule.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"recurrence": rule})
    };
    let exception = |rest: Value| {
        let mut exception = json!({"occurrence": "2026-12-14T09:00:00"});
        exception.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"exceptions": [exception]})
    };
    let until = |until: &str| json!({"recurrence": {"frequency": "Daily", "until": until}});
    vec![
        (S, "recurrence.until must not be before start", until("2026-12-07T08:59:59"), until("2026-12-07T09:00:00")),
        (S, "duration must be more than zero and at most 168h", json!({"duration": "0s"}), json!({"duration": "168h"})),
        (S, "horizon must be between 1h and 8784h", json!({"horizon": "59m"}), json!({"horizon": "8784h"})),
        (
            S,
            "count and until exclude each other",
            monthly(json!({"count": 2, "until": "2027-01-01T00:00:00"})),
            monthly(json!({"count": 2})),
        ),
        (
            S,
            "a number before a weekday needs frequency Monthly or Yearly",
            rule(json!({"frequency": "Weekly", "byDay": ["MO", "1TU"]})),
            rule(json!({"frequency": "Yearly", "byDay": ["MO", "-53TU"]})),
        ),
        (
            S,
            "a month has at most five of a weekday",
            monthly(json!({"byDay": ["6MO"]})),
            monthly(json!({"byDay": ["-5MO", "+1TU"]})),
        ),
        (
            S,
            "byMonthDay does not go with frequency Weekly",
            rule(json!({"frequency": "Weekly", "byMonthDay": [1]})),
            rule(json!({"frequency": "Weekly", "byMonthDay": []})),
        ),
        (
            S,
            "bySetPos needs byDay, byMonthDay or byMonth",
            monthly(json!({"bySetPos": [1]})),
            monthly(json!({"bySetPos": [-1], "byDay": ["MO"]})),
        ),
        (S, "byMonthDay must not be 0", monthly(json!({"byMonthDay": [0]})), monthly(json!({"byMonthDay": [-31, 31]}))),
        (
            S,
            "bySetPos must not be 0",
            monthly(json!({"bySetPos": [0], "byMonth": [1]})),
            monthly(json!({"bySetPos": [1], "byMonth": [1]})),
        ),
        (
            S,
            "an occurrence that is skipped has no start, duration, title or participants",
            exception(json!({"skip": true, "title": "t"})),
            exception(json!({"skip": true})),
        ),
        (
            S,
            "an exception says skip, start, duration, title or participants",
            exception(json!({"skip": false})),
            exception(json!({"skip": false, "participants": []})),
        ),
    ]
}

/// What the pattern of a local time lets through is a day that there is, and the zone is one that the controller knows.
#[test]
fn days_and_zones_that_there_are_not_are_told_of() {
    let kinds = kinds::all().unwrap();
    let series = kinds.iter().find(|known| known.name == "MeetingSeries").unwrap();
    let problems = |spec: Value| series.check(&object("MeetingSeries", &spec)).len();
    for (day, wanted) in [
        ("2028-02-29", 0),
        ("2000-02-29", 0),
        ("2027-02-29", 1),
        ("2100-02-29", 1),
        ("2027-04-31", 1),
        ("2027-12-31", 0),
        ("1969-12-31", 1),
        ("2027-00-10", 1),
    ] {
        assert_eq!(problems(json!({"start": format!("{day}T09:00:00")})), wanted, "{day}");
        let exception = json!({"occurrence": format!("{day}T09:00:00"), "skip": true});
        assert_eq!(problems(json!({"exceptions": [exception]})), wanted, "{day}");
    }
    let (outcome, text) =
        check(&[&SERIES.replace("Europe/Berlin", "Europe/Bärlin"), &SERIES.replace("Berlin", "Atlantis")]);
    assert_eq!(outcome, Outcome::Invalid);
    assert!(text.contains("\"Europe/Atlantis\" is no IANA time zone that this version knows"), "{text}");
    assert_eq!(text.matches("spec.timeZone").count(), 2, "{text}");
}

/// A good object of the kind with other fields in its spec.
fn object(kind: &str, spec: &Value) -> Value {
    let text = match kind {
        "MeetingBridge" => BRIDGE,
        "MeetingSeries" => SERIES,
        _ => MEETING,
    };
    let mut object = source::parse(&Document { line: 1, text: text.to_owned() }).unwrap().unwrap();
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    object
}

#[test]
fn every_rule_holds_and_breaks_as_it_should() {
    let kinds = kinds::all().unwrap();
    for (kind, message, bad, good) in cases() {
        let known = kinds.iter().find(|known| known.name == kind).unwrap();
        let problems = known.check(&object(kind, &bad));
        assert_eq!(problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), [message], "{bad}");
        assert_eq!(known.check(&object(kind, &good)), [], "{good}");
    }
}

#[test]
fn no_rule_is_without_a_case() {
    fn messages(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                    found.push(rule["message"].as_str().expect("every rule has a message").to_owned());
                }
                fields.values().for_each(|value| messages(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
            _ => {}
        }
    }
    let mut rules = Vec::new();
    messages(&serde_json::to_value(api::crds()).unwrap(), &mut rules);
    assert!(rules.len() > 12);
    let cases = cases();
    // It compares with the object as it was before, which only the apiserver knows; see the test below.
    let transition = "slots.namePrefix cannot be changed: the spaces on the bridge carry it";
    rules.retain(|rule| rule != transition && !cases.iter().any(|(_, message, _, _)| rule == message));
    assert_eq!(rules, Vec::<String>::new(), "rules without a case");
}

#[test]
fn the_name_prefix_cannot_be_changed() {
    let crd = &api::crds()[0];
    let schema = crate::cli::schema::of(crd).unwrap();
    let before = object("MeetingBridge", &json!({}));
    let after = object("MeetingBridge", &json!({"slots": {"namePrefix": "Other_"}}));
    let rules = kube::core::cel::Validator::new();
    assert!(rules.validate(&schema, &before, Some(&before)).is_ok());
    let errors = rules.validate(&schema, &after, Some(&before)).unwrap_err();
    assert!(errors.to_string().contains("slots.namePrefix cannot be changed"), "{errors}");
}

#[test]
fn metadata_is_checked_as_the_apiserver_does() {
    let known = &kinds::all().unwrap()[1];
    let paths = |metadata: Value| {
        let mut object = object("ScheduledMeeting", &json!({}));
        object["metadata"] = metadata;
        known.check(&object).iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        paths(json!({"generateName": "a-", "labels": {"example.com/a": ""}, "annotations": {"a": null}})),
        [""; 0]
    );
    assert_eq!(paths(json!({"name": null})), ["metadata.name"]);
    assert_eq!(paths(json!(null)), ["metadata.name"]);
    assert_eq!(paths(json!({"name": "a", "labels": {"a b": "c d"}})), ["metadata.labels.a b", "metadata.labels.a b"]);
    assert_eq!(paths(json!({"name": "a", "annotations": {"Ex/a": true}, "spec": 1})).len(), 3);
}

#[test]
fn nulls_count_as_absent() {
    let known = kinds::all().unwrap();
    let bridge =
        json!({"tls": null, "suspend": null, "profiles": {"call": {"recordingMode": null, "participantLimit": null}}});
    assert_eq!(known[0].check(&object("MeetingBridge", &bridge)), []);
    let meeting = json!({"participants": null, "end": null, "passcode": null});
    assert_eq!(known[1].check(&object("ScheduledMeeting", &meeting)), []);
}

#[test]
fn a_broken_value_is_reported_once() {
    let kinds = kinds::all().unwrap();
    let count = |kind: &str, spec: Value| {
        kinds.iter().find(|known| known.name == kind).unwrap().check(&object(kind, &spec)).len()
    };
    assert_eq!(count("ScheduledMeeting", json!({"start": "tomorrow"})), 1);
    assert_eq!(count("ScheduledMeeting", json!({"duration": null, "end": "soon"})), 1);
    assert_eq!(
        count("ScheduledMeeting", json!({"duration": 45, "title": "a\nb"})),
        2,
        "and rules on the rest still run"
    );
    assert_eq!(count("ScheduledMeeting", json!({"participants": [7, {"remoteParty": "a b"}]})), 2);
    assert_eq!(count("MeetingBridge", json!({"slots": {"base": "x", "quantity": 1}})), 1);
    assert_eq!(count("MeetingBridge", json!({"allowedNamespaces": {"from": "Some"}})), 1);
}

/// In each format the same is said, and no text can become a command of the workflow that shows it.
#[test]
fn it_is_told_to_people_programs_and_pull_requests() {
    let wrong = MEETING.replace("  title: Standup\n", "  title: Standup\n  'x%::error::\\n': 1\n").replace("45m", "0s");
    let now = Some("2026-12-01T00:00:00Z".parse().unwrap());
    let texts = [&*wrong, MEETING, "apiVersion: v1\nkind: Secret\n"];
    let (outcome, json) = check_with(&texts, Options { format: Format::Json, now, ..Options::default() });
    assert_eq!(outcome, Outcome::Invalid);
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["checked"], 2);
    assert_eq!(told["notLookedAt"], json!({ "Secret": 1 }));
    let findings = told["findings"].as_array().unwrap();
    let problems = findings.iter().filter(|finding| finding["level"] == "error").count();
    assert_eq!(told["problems"], problems);
    let note = findings.iter().find(|finding| finding["level"] == "note").unwrap();
    assert_eq!(note["object"], "ScheduledMeeting team-a/standup");
    assert_eq!((&note["file"], &note["line"]), (&json!("1.yaml"), &json!(8)));
    assert!(note["message"].as_str().unwrap().contains("WindowPassed"), "{note}");
    let (_, github) = check_with(&texts, Options { format: Format::Github, now, ..Options::default() });
    let commands: Vec<&str> = github.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(
        commands.iter().filter(|line| line.starts_with("::error file=0.yaml,line=")).count(),
        problems,
        "{github}"
    );
    assert_eq!(commands.len(), findings.len(), "{github}");
    assert!(
        commands.contains(&&*format!(
            "::notice file=1.yaml,line=8::{}: {}",
            "ScheduledMeeting team-a/standup",
            note["message"].as_str().unwrap()
        )),
        "{github}"
    );
    let (_, text) = check_with(&texts, Options { now, ..Options::default() });
    assert_eq!(text.lines().count(), findings.len() + 1, "{text}");
}

#[test]
fn a_start_in_the_past_is_told_and_is_no_problem() {
    for (now, said) in [
        ("2026-11-23T08:59:59Z", None),
        ("2026-11-23T09:00:00Z", Some("it opens at once, late")),
        ("2026-11-23T09:45:00Z", Some("Ended at once (WindowPassed)")),
    ] {
        let options = Options { now: Some(now.parse().unwrap()), ..Options::default() };
        let (outcome, text) = check_with(&[MEETING], options);
        assert_eq!(outcome, Outcome::Valid, "{text}");
        assert_eq!(text.lines().count(), 1 + usize::from(said.is_some()), "{text}");
        assert!(said.is_none_or(|said| text.contains(said)), "{text}");
        assert!(text.contains("1 object checked, 0 problems"), "{text}");
    }
}

#[test]
fn a_directory_stands_for_all_manifests_below_it() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in
        [("a.yaml", MEETING), ("team/b/c.yml", MEETING), ("team/notes.txt", "no: ["), (".git/d.yaml", "no: [")]
    {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::os::unix::fs::symlink(dir.path(), dir.path().join("team/round")).unwrap();
    let mut out = Vec::new();
    let outcome = validate(&[dir.path().to_owned()], Options::default(), &mut out).unwrap();
    assert_eq!(outcome, Outcome::Valid);
    assert_eq!(String::from_utf8(out).unwrap(), "2 objects checked, 0 problems\n");
}
