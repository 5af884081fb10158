use std::sync::LazyLock;

use super::*;
use crate::cms::Address;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

fn sample(outcome: &'static str) -> Sample<'static> {
    static CALL_BRIDGE: LazyLock<Address> = LazyLock::new(|| "cms:445".parse().unwrap());
    Sample {
        operation: "calls",
        method: "GET",
        path: "/calls",
        call_bridge: &CALL_BRIDGE,
        status: Some(200),
        outcome,
        waited: Duration::ZERO,
        took: Duration::from_millis(20),
    }
}

/// A series of every family: one shows nothing before its first.
fn all_used() -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::default());
    let observer = BridgeObserver::new(Arc::clone(&metrics), key("b"));
    observer.request(&sample("ok"));
    let bridge = BridgeLabels::from(&key("b"));
    for family in metrics.of_bridges() {
        family.get_or_create(&bridge).set(1);
    }
    metrics.failovers.get_or_create(&bridge).inc();
    metrics.show_call_bridges(&key("b"), &[("cms:445".to_owned(), true)].into());
    metrics.show_expiry(&key("b"), [("cms:445".to_owned(), 1)]);
    metrics.reconciles.get_or_create(&ReconcileLabels { kind: "MeetingBridge", outcome: "ok" }).inc();
    metrics.reconcile_seconds.get_or_create(&KindLabels { kind: "MeetingBridge" }).observe(1.0);
    metrics.status_writes.get_or_create(&KindLabels { kind: "MeetingBridge" }).inc();
    metrics.pulses.heard("MeetingBridge");
    metrics.watch_errors.get_or_create(&KindLabels { kind: "MeetingBridge" }).inc();
    metrics.apiserver_errors.get_or_create(&CallLabels { call: "get Secret", outcome: "refused" }).inc();
    metrics.refused.get_or_create(&RefusalLabels { reason: "NoFreeSlot" }).inc();
    metrics.count_by(Some(Box::new(|| {
        let unreadable = [("MeetingBridge", 1)].into();
        let (series, occurrences) = ([("True", 7)].into(), [("Edited", 2)].into());
        Some(Census {
            by_phase: [("Active", 3), ("Ended", 2)].into(),
            late: 1,
            overdue: 2,
            unreadable,
            series,
            occurrences,
        })
    })));
    metrics
}

/// The names of the labels of a metric, as served.
fn labels_of(text: &str, doc: &MetricDoc) -> Vec<String> {
    let name = if doc.kind == "histogram" { format!("{}_sum", doc.name) } else { doc.name.to_owned() };
    let rest =
        text.lines().find_map(|line| line.strip_prefix(&name).filter(|rest| rest.starts_with(['{', ' ']))).unwrap();
    let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(labels, _)| labels);
    labels
        .into_iter()
        .flat_map(|labels| labels.split(','))
        .map(|label| label.split('=').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_table_names_exactly_what_is_served() {
    let metrics = all_used();
    let text = metrics.plain_text();
    let mut served: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    served.sort_unstable();
    let mut documented: Vec<String> = TABLE.iter().map(|doc| format!("{} {}", doc.name, doc.kind)).collect();
    documented.sort();
    assert_eq!(served, documented);
    for doc in TABLE {
        assert!(text.contains(&format!("# HELP {} {}", doc.name, doc.help)), "{}", doc.name);
        assert_eq!(labels_of(&text, doc), doc.labels, "{}", doc.name);
    }
    for line in [
        r#"meeting_controller_meetings{phase="Active"} 3"#,
        "meeting_controller_meetings_overdue 2",
        r#"meeting_controller_series{ready="True"} 7"#,
        r#"meeting_controller_series_occurrences{state="Edited"} 2"#,
        r#"meeting_controller_bridge_up{namespace="ns",name="b"} 1"#,
    ] {
        assert!(text.contains(line), "{line}");
    }
    // The same in both formats, but for the notation.
    let other = metrics.text();
    assert!(TABLE.iter().all(|doc| other.contains(doc.help)));
}

#[test]
fn who_leads_no_more_serves_neither_bridges_nor_meetings() {
    let metrics = all_used();
    metrics.resign();
    let text = metrics.plain_text();
    for gone in [
        "_bridge_up{",
        "_slots_free{",
        "_expiry_timestamp_seconds{",
        "_meetings{",
        "_series{",
        "_series_occurrences{",
        "credentials_refused{",
    ] {
        assert!(!text.contains(gone), "{gone}");
    }
    assert!(text.contains("meeting_controller_meetings_overdue 0\n") && text.contains("meeting_controller_leader 0\n"));
}

#[test]
fn what_is_gone_is_served_no_more() {
    let metrics = Arc::new(Metrics::default());
    let observers: Vec<_> = ["a", "b"].map(|name| BridgeObserver::new(Arc::clone(&metrics), key(name))).into();
    for (observer, name) in observers.iter().zip(["a", "b"]) {
        observer.request(&sample("ok"));
        observer.request(&sample("timeout"));
        let labels = BridgeLabels::from(&key(name));
        metrics.bridge_up.get_or_create(&labels).set(0);
        metrics.slots_free.get_or_create(&labels).set(3);
        metrics.uptime.get_or_create(&labels).set(3);
        metrics.failovers.get_or_create(&labels).inc();
        let good = [("cms1:445", true), ("cms2:445", false)].map(|(at, good)| (at.to_owned(), good));
        metrics.show_call_bridges(&key(name), &good.into());
        metrics.show_expiry(&key(name), ["cms1:445", "cms2:445", "stranger:445"].map(|at| (at.to_owned(), 9)));
    }
    metrics.show_call_bridges(&key("a"), &[("cms1:445".to_owned(), true)].into());
    let text = metrics.text();
    assert_eq!(text.matches("cms2:445").count(), 2, "an alternate that was taken out of the spec");
    metrics.forget_bridge(&key("a"));
    observers[0].request(&sample("ok"));
    let text = metrics.text();
    assert!(!text.contains("name=\"a\""), "{text}");
    assert!(text.contains("name=\"b\"") && !text.contains("stranger:445"));
}
