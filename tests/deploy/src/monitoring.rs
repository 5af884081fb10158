//! Rules, dashboard and runbooks (deploy/monitoring), on the metrics that the controller serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use control_plane::tools;
use meeting_controller::api::names::ObjectKey;
use meeting_controller::metrics::{BridgeLabels, Census, Metrics, TABLE};
use serde_yaml::Value;

use crate::kit::{root, run};

const RULES: &str = "deploy/monitoring/prometheusrule.yaml";
const DAY: i64 = 86_400;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The same as files that Prometheus and promtool take as they are. `UPDATE=1` writes them.
const PLAIN: [&str; 2] = ["deploy/monitoring/rules.yaml", "deploy/monitoring/rules_test.yaml"];

/// The rules as Prometheus itself takes them, and the alerts in them.
fn rules() -> (String, Vec<Value>) {
    let object: Value = serde_yaml::from_str(&read(RULES)).unwrap();
    let groups = object["spec"]["groups"].as_sequence().unwrap();
    let alerts = groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone()).collect();
    (serde_yaml::to_string(&object["spec"]).unwrap(), alerts)
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

/// Metrics of a controller with one bridge, on which all is well or nothing is. Rules are tested in 1970.
fn metrics(is_well: bool) -> Metrics {
    let metrics = Metrics::default();
    let key = ObjectKey::new("meetings", "core");
    let bridge = BridgeLabels::from(&key);
    let pick = |good: i64, bad: i64| if is_well { good } else { bad };
    metrics.leader.set(pick(1, 0));
    metrics.pulses.heard("ScheduledMeeting");
    let (late, overdue, odd) = (pick(0, 2), pick(0, 3), pick(0, 1));
    metrics.count_by(Some(Box::new(move || {
        let (by_phase, unreadable) = ([("Active", 4), ("Missed", 1)].into(), [("ScheduledMeeting", odd)].into());
        Some(Census { by_phase, late, overdue, unreadable, ..Census::default() })
    })));
    if !is_well {
        metrics.missed.inc();
    }
    metrics.bridge_up.get_or_create(&bridge).set(pick(1, 0));
    metrics.failed_over.get_or_create(&bridge).set(pick(0, 1));
    metrics.credentials_refused.get_or_create(&bridge).set(pick(0, 1));
    metrics.new_credentials_refused.get_or_create(&bridge).set(pick(0, 1));
    metrics.credentials_changed.get_or_create(&bridge).set(pick(-149 * DAY, -151 * DAY));
    metrics.slots.get_or_create(&bridge).set(20);
    metrics.slots_free.get_or_create(&bridge).set(pick(3, 2));
    metrics.show_call_bridges(&key, &[("cms1:445".to_owned(), is_well), ("cms2:445".to_owned(), true)].into());
    metrics.show_expiry(&key, [("cms1:445".to_owned(), pick(16, 14) * DAY), ("cms2:445".to_owned(), 90 * DAY)]);
    metrics
}

/// The samples of a text, by series.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| line.starts_with("meeting_controller_") && !line.contains("_bucket{"));
    // With each version another series.
    let lines = lines.filter(|line| !line.contains("build_info"));
    lines.map(|line| line.rsplit_once(' ').unwrap()).collect()
}

/// The input of `promtool test rules`: ten minutes of all being well, then hours of `after`, and what fires in the end.
fn case(after: &Metrics, watch_age: u64, firing: &BTreeSet<&str>) -> String {
    let (before, after) = (metrics(true).plain_text(), after.plain_text());
    let mut series = String::new();
    for ((name, good), (also, then)) in samples(&before).into_iter().zip(samples(&after)) {
        assert_eq!(name, also, "the same series in both");
        let then = if name.contains("watch_age") { watch_age.to_string() } else { then.to_owned() };
        let _ = writeln!(series, "      - series: '{name}'\n        values: '{good}+0x9 {then}+0x170'");
    }
    // One that happened long ago is no alert any more, so what was counted is asked soon after.
    let mut tests = String::new();
    for (at, which) in [("12m", true), ("3h", false)] {
        let wanted = firing.iter().filter(|alert| (**alert == "MeetingMissed") == which);
        let matcher = if which { "=" } else { "!=" };
        let expr =
            format!("count by (alertname) (ALERTS{{alertstate=\"firing\",alertname{matcher}\"MeetingMissed\"}})");
        let _ = writeln!(tests, "      - expr: '{expr}'\n        eval_time: {at}\n        exp_samples:");
        for alert in wanted {
            let _ = writeln!(tests, "          - labels: '{{alertname=\"{alert}\"}}'\n            value: 1");
        }
    }
    format!("  - interval: 1m\n    input_series:\n{series}    promql_expr_test:\n{tests}")
}

#[tokio::test]
async fn every_alert_fires_on_what_the_controller_serves_and_none_when_all_is_well() {
    let promtool = tools::promtool().await.unwrap();
    let (text, alerts) = rules();
    let names: BTreeSet<&str> = alerts.iter().map(name).collect();
    let well = case(&metrics(true), 20, &BTreeSet::new());
    let ill = case(&metrics(false), 200, &names);
    let header = "# Written by the tests (tests/deploy/src/monitoring.rs) from prometheusrule.yaml and the metrics of the \
                  controller; do not edit.\n";
    let tests = format!("{header}rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n{well}{ill}");
    for (file, text) in PLAIN.into_iter().zip([format!("{header}{text}"), tests]) {
        if std::env::var_os("UPDATE").is_some() {
            fs::write(root().join(file), &text).unwrap();
        }
        assert!(read(file) == text, "{file} is out of date: UPDATE=1 cargo test -p deploy monitoring::");
    }
    let [rules, tests] = PLAIN;
    run(&promtool, &["check", "rules", "--lint=all", "--lint-fatal", rules], "").unwrap();
    run(&promtool, &["test", "rules", tests], "").unwrap();
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let promtool = tools::promtool().await.unwrap();
    run(&promtool, &["check", "metrics"], &metrics(true).plain_text()).unwrap();
}

/// Every name of a metric in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("meeting_controller_") || word.starts_with("process_")).collect()
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_there_are() {
    let of_histogram =
        |word: &str| ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end).map(str::to_owned));
    for file in [RULES, "deploy/monitoring/dashboard.json", "docs/runbooks.md"] {
        let text = read(file);
        for word in named(&text) {
            let is_known = TABLE.iter().any(|doc| doc.name == word)
                || of_histogram(word)
                    .is_some_and(|name| TABLE.iter().any(|doc| doc.name == name && doc.kind == "histogram"));
            assert!(is_known, "{file}: {word}");
        }
    }
    let board: serde_yaml::Value = serde_yaml::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    assert!(board["panels"].as_sequence().unwrap().len() > 10);
}

#[test]
fn each_alert_has_its_runbook_and_each_runbook_its_alert() {
    let (_, alerts) = rules();
    let text = read("docs/runbooks.md");
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts.iter().map(name).collect::<Vec<_>>());
    for alert in &alerts {
        let wanted = format!("docs/runbooks.md#{}", name(alert).to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"].as_str().unwrap(), wanted);
        for key in ["summary", "description"] {
            assert!(alert["annotations"][key].is_string(), "{}: {key}", name(alert));
        }
    }
}
