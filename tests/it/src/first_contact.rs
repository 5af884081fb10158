//! Adding a bridge (R9-R25, R43-R50), and how little a settled one costs.

use std::collections::BTreeMap;
use std::time::Duration;

use cms_simulator::{Config, Fault, FaultKind, UsageFilter};
use jiff::SignedDuration;
use kube::Resource;
use kube::api::GetParams;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::{lone, status_of};

fn short(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| line.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_come_in_the_order_of_the_guide() {
    let config = Config { bridges: 2, software_version: "2.0(RC)".to_owned(), ..Config::default() };
    let arena = Arena::with("first-order", config, patient()).await;
    arena.ready_bridge(json!({})).await;
    let requests = arena.requests();
    let lines = short(requests.iter().map(line).collect());
    let wanted = [
        "GET system/status",
        "GET callBridges",
        "GET callBridges/{id}",
        "GET callBridges/{id}",
        "POST callProfiles",
        "POST callLegProfiles",
        // Provisioning: look, set, sync, poll.
        "GET coSpaces",
        "POST cospaceBulkParameterSets",
        "POST cospaceBulkSyncs",
        "GET cospaceBulkSyncs/{id}",
        // And what came of it.
        "GET coSpaces",
    ];
    assert_eq!(lines, wanted);
    // The guide's bodies, byte for byte in length and field by field (requirements.md 1.3).
    let body = |index: usize| -> Vec<(&str, &str)> {
        requests[index].body.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    };
    assert_eq!(body(4), [("participantLimit", "1000"), ("messageBoardEnabled", "false")]);
    assert_eq!(requests[4].body_size, 47);
    let leg = ["changeLayoutAllowed", "presentationContributionAllowed", "presentationViewingAllowed"];
    let leg = leg.iter().chain(&["muteSelfAllowed", "videoMuteSelfAllowed"]).map(|name| (*name, "true"));
    assert_eq!(body(5), std::iter::once(("defaultLayout", "telepresence")).chain(leg).collect::<Vec<_>>());
    assert_eq!(requests[5].body_size, 167);
    let (call, leg) = (requests[4].object_id.as_deref().unwrap(), requests[5].object_id.as_deref().unwrap());
    let set = [
        ("startIndex", "1"),
        ("endIndex", "5"),
        ("coSpaceUriMapping", "$index$"),
        ("coSpaceNameMapping", "TMS_Scheduled_Meeting_$index$"),
        ("coSpaceCallIdMapping", "$index$"),
        ("callProfile", call),
        ("callLegProfile", leg),
        ("nonMemberAccess", "false"),
    ];
    assert_eq!(body(7), set);
    assert_eq!(requests[7].body_size, 250);
    assert_eq!(body(8), [("cospaceBulkParameterSet", requests[7].object_id.as_deref().unwrap())]);
    assert_eq!(requests[8].body_size, 60);
    for space in arena.sim.spaces() {
        assert_eq!(space.name, format!("TMS_Scheduled_Meeting_{}", space.uri.as_deref().unwrap()));
        assert!(!space.open && space.secondary_uri.is_none() && space.uri == space.call_id, "{space:?}");
        assert_eq!(space.fields.get("callProfile").map(String::as_str), Some(call));
    }
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Its table names it otherwise than the spec, and nothing tells which of the call bridges it is: that is no reason not to
/// set it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_bridge_that_does_not_tell_which_one_it_is_gets_ready() {
    let config = Config { bridges: 2, ..Config::default() };
    let mut arena = Arena::quiet("first-nameless", config, patient()).await;
    for bridge in 0..2 {
        let member = format!("callBridges/{}", arena.sim.call_bridge_id(bridge));
        arena.ask(Method::PUT, &member, "address=https%3A%2F%2Fcms.elsewhere.test").await;
    }
    arena.sim.update_switches(|switches| switches.cluster_configuration = false);
    arena.sim.clear_journal();
    arena.start().await;
    let bridge = arena.ready_bridge(json!({})).await;
    let members = bridge.status.unwrap().cluster.unwrap().members;
    assert!(members.len() == 2 && members.iter().all(|member| !member.primary), "{members:?}");
    assert!(arena.requests().iter().any(|e| e.path.ends_with("system/configuration/cluster")), "it was asked");
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Nor does it tell which profiles are in use, in whatever words; and the first attempt to make some failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_does_not_tell_which_profiles_are_used_gets_ready() {
    for failure_details in [true, false] {
        let mut arena = Arena::quiet("first-usage", lone(), patient()).await;
        arena.sim.update_switches(|switches| {
            switches.usage_filter = UsageFilter::Refused;
            switches.failure_details = failure_details;
            switches.plain_errors = "{}".to_owned();
        });
        for route in ["callProfiles", "callLegProfiles"] {
            arena.sim.add_fault(Fault::new(FaultKind::Unavailable).method("POST").route(route).once());
        }
        arena.start().await;
        arena.ready_bridge(json!({})).await;
        assert!(arena.requests().iter().any(|e| e.query.contains("usageFilter")), "it was asked");
        assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
        arena.finish().await;
    }
}

/// Whatever the framework behind the API says of a node that this bridge does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_framework_answers_for_its_place_in_it_gets_ready() {
    let config = Config { bridges: 2, ..Config::default() };
    let mut arena = Arena::quiet("first-framework", config, patient()).await;
    for bridge in 0..2 {
        let member = format!("callBridges/{}", arena.sim.call_bridge_id(bridge));
        arena.ask(Method::PUT, &member, "address=https%3A%2F%2Fcms.elsewhere.test").await;
    }
    arena.sim.update_switches(|switches| {
        (switches.cluster_configuration, switches.failure_details) = (false, false);
        (switches.not_found_status, switches.bodiless_type) = (404, "application/json".to_owned());
        switches.plain_errors = "{\"detail\":\"Not Found\"}".to_owned();
    });
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_version_3_dropped_is_not_sent() {
    let arena = Arena::with("first-version", lone(), patient()).await;
    let bridge = arena.ready_bridge(json!({})).await;
    assert_eq!(bridge.status.unwrap().system.unwrap().software_version, "3.0");
    let made = arena.effects("POST", "callProfiles");
    assert_eq!(made[0].body, [("participantLimit".to_owned(), "1000".to_owned())]);
    assert_eq!(short(arena.journal_lines())[1], "GET callBridges", "a lone bridge has an empty table, no GET a member");
    assert_eq!(short(arena.journal_lines())[2], "POST callProfiles");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_the_cluster_the_system_and_every_condition() {
    let config = Config { bridges: 3, ..Config::default() };
    let mut arena = Arena::quiet("first-status", config, patient()).await;
    let without_address = format!("callBridges/{}", arena.sim.call_bridge_id(2));
    arena.ask(Method::PUT, &without_address, "address=").await;
    arena.sim.clear_journal();
    arena.start().await;
    let bridge = arena.ready_bridge(json!({})).await;
    let status = bridge.status.clone().unwrap();

    let members = status.cluster.unwrap().members;
    let shown: Vec<_> = members.iter().map(|m| (m.id.clone(), m.address.clone(), m.primary)).collect();
    let url = |bridge: usize| Some(format!("https://{}", arena.sim.address(bridge)));
    let mut wanted = vec![
        (arena.sim.call_bridge_id(0), url(0), true),
        (arena.sim.call_bridge_id(1), url(1), false),
        (arena.sim.call_bridge_id(2), None, false),
    ];
    wanted.sort_by_key(|(id, ..)| members.iter().position(|member| member.id == *id));
    assert_eq!(shown, wanted);
    assert!(members.is_sorted_by_key(|member| member.name.clone()), "{members:?}");

    let system = status.system.unwrap();
    assert_eq!((system.software_version.as_str(), system.cluster_enabled), ("3.0", Some(true)));
    let up = jiff::Timestamp::now().duration_since(system.boot_time.unwrap().0);
    assert!((up - SignedDuration::from_hours(24)).abs() < SignedDuration::from_mins(3), "up for {up}");

    assert_eq!(status.phase.as_deref(), Some("Idle"));
    assert_eq!(status.active_call_bridge, Some(arena.sim.address(0)));
    assert_eq!(status.call_bridges.len(), 1);
    assert_eq!(status.call_bridges[0].call_bridge_id, Some(arena.sim.call_bridge_id(0)));
    assert_eq!(status.call_bridges[0].reachable, Some(true));
    let slots = status.slots.unwrap();
    assert_eq!((slots.total, slots.free, slots.in_use, slots.foreign), (5, 5, 0, 0));
    assert!(slots.entries.is_empty());
    let profiles = status.profiles.unwrap();
    assert!(profiles.call.is_some() && profiles.call_leg.is_some());
    for kind in [
        "Ready",
        "Reachable",
        "CredentialsValid",
        "Recognized",
        "DialNumbersConfigured",
        "SystemNamed",
        "SlotsProvisioned",
        "Accepted",
        "DatabaseWritable",
        "ClockInSync",
        "ExclusiveControl",
    ] {
        assert_eq!(condition(&bridge, kind).0, "True", "{kind}: {:#?}", bridge.conditions());
    }
    for kind in ["Reconciling", "Stalled", "InsecureTLS"] {
        assert_eq!(condition(&bridge, kind).0, "", "{kind} is present only while true");
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// What `kubectl get` shows of an object, by column.
async fn row_of<K: Resource<DynamicType = ()>>(arena: &Arena, name: &str) -> BTreeMap<String, String> {
    let url = K::url_path(&(), Some(&arena.namespace));
    let mut request = kube::core::Request::new(url).get(name, &GetParams::default()).unwrap();
    request.headers_mut().insert("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1".parse().unwrap());
    let table: serde_json::Value = arena.client.request(request).await.expect("a table");
    let names = table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap());
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    names.zip(cells).map(|(name, cell)| (name.to_owned(), cell.to_string().trim_matches('"').to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printer_columns_have_their_data() {
    let arena = Arena::with("first-table", lone(), patient()).await;
    arena.ready_bridge(json!({})).await;
    let row = row_of::<MeetingBridge>(&arena, "core").await;
    let cell = |name: &str| row.get(name).cloned();
    assert_eq!(cell("Name").as_deref(), Some("core"));
    assert_eq!(cell("Address"), Some(arena.sim.address(0)));
    assert_eq!(cell("Phase").as_deref(), Some("Idle"));
    assert_eq!(cell("Ready").as_deref(), Some("True"));
    assert_eq!((cell("Free").as_deref(), cell("Slots").as_deref()), (Some("5"), Some("5")));
    assert_eq!(cell("Version").as_deref(), Some("3.0"));
    assert_eq!(cell("Reason").as_deref(), Some("Ready"));
    arena.create_meeting("m", crate::booking::minutes(60, 30)).await;
    let booked = arena.booked("m").await;
    let window = status_of(&booked).window.expect("booked");
    let row = row_of::<ScheduledMeeting>(&arena, "m").await;
    let cell = |name: &str| row.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!((cell("Name"), cell("Phase"), cell("Ready"), cell("Slot")), ("m", "Scheduled", "True", "1"));
    assert_eq!((cell("Start"), cell("End")), (&*window.starts_at.to_string(), &*window.closes_at.to_string()));
    assert_eq!((cell("Bridge"), cell("URI"), cell("Reason")), ("core", "1@meet.test", "Scheduled"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_bridge_costs_one_read_an_interval_and_no_write() {
    let interval = Duration::from_millis(800);
    let settings = Settings { idle_read: interval, probe_idle: Duration::from_millis(300), ..quick() };
    let arena = Arena::with("first-idle", lone(), settings).await;
    let before = arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    // A whole round of what is read in turn, with the list of slots on top, and two more.
    arena.answered(10).await;
    let all = arena.requests();
    assert!(all.iter().all(|entry| entry.method == "GET"), "{:?}", arena.writes());
    let requests: Vec<_> = all.iter().filter(|entry| entry.route != "coSpaces").take(8).collect();
    let took = requests[7].at.duration_since(requests[0].at);
    let least = SignedDuration::try_from(interval).unwrap() * 7;
    assert!(took >= least - SignedDuration::from_millis(150), "7 intervals of {interval:?} took {took}");
    let after: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "no status was written");
    let routes: std::collections::BTreeSet<_> = all.iter().map(|entry| entry.route.as_str()).collect();
    assert_eq!(
        routes,
        ["callLegProfiles/{id}", "callProfiles/{id}", "calls", "coSpaces", "system/status"].into_iter().collect()
    );
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_a_settled_bridge_needs_two_reads_and_no_write() {
    let settings = Settings { idle_read: Duration::from_secs(2), ..quick() };
    let mut arena = Arena::with("first-restart", lone(), settings).await;
    let before = arena.ready_bridge(json!({})).await;
    arena.controller.take().unwrap().stop().await;
    arena.sim.clear_journal();
    arena.start().await;
    // The third is the first read of the idle rhythm.
    arena.answered(3).await;
    let requests = arena.requests();
    assert_eq!(short(requests.iter().take(2).map(line).collect()), ["GET system/status", "GET coSpaces"]);
    let pause = requests[2].at.duration_since(requests[0].at);
    assert!(pause >= SignedDuration::from_millis(1900), "the third request came after {pause}");
    assert!(arena.writes().is_empty(), "{:?}", arena.writes());
    let after: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "no status was written");
    assert_status(&after);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_name_for_people_costs_no_request() {
    let arena = Arena::with("first-name", lone(), patient()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": "Head office" } })).await;
    let renamed = arena.bridge("core", "observed", |b| b.observed() == Some(2)).await;
    assert!(is_ready(&renamed));
    assert_eq!(arena.journal_lines(), Vec::<String>::new(), "R19");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_is_booked_while_its_bridge_is_set_up_is_only_waiting() {
    let arena = Arena::new("first-both").await;
    let said = arena.history::<ScheduledMeeting>("m", "Ready");
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    arena.open_now("m", 120, json!({})).await;
    arena.phase("m", Phase::Active).await;
    let said = said.until("True").await;
    // The bridge may not be seen yet, its slots may not be there: nothing is wrong, and nobody says so.
    let is_wrong = |(status, reason): &&(String, String)| {
        status == "False" && !matches!(reason.as_str(), "Progressing" | "BridgeNotFound" | "BridgeLost")
    };
    assert_eq!(said.iter().find(is_wrong), None, "{said:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
