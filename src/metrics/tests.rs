use super::*;

#[test]
fn the_table_names_exactly_what_is_served() {
    let metrics = Arc::new(Metrics::default());
    let observer = BridgeObserver::new(Arc::clone(&metrics), "ns/b".into());
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
    metrics.pulses.heard("MeetingBridge");
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

#[test]
fn what_is_gone_is_served_no_more() {
    let metrics = Arc::new(Metrics::default());
    let sample = |outcome| Sample {
        operation: "calls",
        method: "GET",
        outcome,
        waited: Duration::ZERO,
        took: Duration::from_millis(20),
    };
    let observers: Vec<_> = ["ns/a", "ns/b"].map(|name| BridgeObserver::new(Arc::clone(&metrics), name.into())).into();
    for (observer, name) in observers.iter().zip(["ns/a", "ns/b"]) {
        observer.request(&sample("ok"));
        observer.request(&sample("timeout"));
        let labels = BridgeLabels { bridge: name.into() };
        metrics.bridge_up.get_or_create(&labels).set(0);
        metrics.slots_free.get_or_create(&labels).set(3);
        metrics.uptime.get_or_create(&labels).set(3);
        metrics.failovers.get_or_create(&labels).inc();
        let good = [("cms1:445", true), ("cms2:445", false)].map(|(at, good)| (at.to_owned(), good));
        metrics.show_call_bridges(name, &good.into());
    }
    metrics.show_call_bridges("ns/a", &[("cms1:445".to_owned(), true)].into());
    let text = metrics.text();
    assert_eq!(text.matches("cms2:445").count(), 1, "an alternate that was taken out of the spec");
    metrics.forget_bridge("ns/a");
    observers[0].request(&sample("ok"));
    let text = metrics.text();
    assert!(!text.contains("ns/a"), "{text}");
    assert!(text.contains("ns/b"));
}
