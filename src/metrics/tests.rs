use super::*;
use std::sync::Arc;

#[test]
fn the_table_names_exactly_what_is_served() {
    let metrics = Arc::new(Metrics::default());
    let observer = BridgeObserver { metrics: Arc::clone(&metrics), bridge: "ns/b".into() };
    observer.request(&Sample {
        operation: "calls",
        method: "GET",
        outcome: "ok",
        waited: Duration::ZERO,
        took: Duration::from_millis(20),
    });
    // A family shows nothing before its first sample.
    let bridge = BridgeLabels { bridge: "ns/b".into() };
    for family in [&metrics.bridge_up, &metrics.slots_free, &metrics.slots_foreign, &metrics.call_legs] {
        family.get_or_create(&bridge).set(1);
    }
    metrics.uptime.get_or_create(&bridge).set(1);
    metrics.failovers.get_or_create(&bridge).inc();
    let call_bridge = CallBridgeLabels { bridge: "ns/b".into(), call_bridge: "cms:445".into() };
    metrics.call_bridge_up.get_or_create(&call_bridge).set(1);
    metrics.clock_skew.get_or_create(&bridge).set(1);
    metrics.reconciles.get_or_create(&ReconcileLabels { kind: "MeetingBridge", outcome: "ok" }).inc();
    metrics.status_writes.get_or_create(&KindLabels { kind: "MeetingBridge" }).inc();
    metrics.watch_errors.get_or_create(&KindLabels { kind: "MeetingBridge" }).inc();
    metrics.apiserver_errors.get_or_create(&CallLabels { call: "get Secret", outcome: "refused" }).inc();
    let text = metrics.text();
    let mut served: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    served.sort();
    let mut documented: Vec<String> = TABLE.iter().map(|doc| doc.name.to_owned()).collect();
    documented.sort();
    assert_eq!(served, documented);
    assert!(TABLE.iter().all(|doc| text.contains(doc.help)), "every help text is served");
}
