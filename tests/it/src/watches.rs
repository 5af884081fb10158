//! Watches that are stale or odd (proof 5.2): late, doubled, expired, and an etcd that went back to an older revision.

use std::time::Duration;

use control_plane::{ControlPlane, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use serde_json::json;

use crate::apiserver::*;
use crate::kit::*;
use crate::meetings::*;

impl Arena {
    fn metric_text(&self) -> String {
        self.controller.as_ref().unwrap().metrics.text()
    }
}

/// What the apiserver says is behind what was known, and it accepts a watch from a version that is still to come without
/// ever showing anything on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_put_back_is_believed() {
    put_back("back", None).await;
}

/// Each namespace has its own watch, and its list is read anew by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_put_back_is_believed_in_each_of_several_namespaces() {
    put_back("backs", Some("default")).await;
}

/// Within the arena's namespace and this one.
async fn put_back(prefix: &str, other: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(dir.path().into()), ..Options::with_workspace_crds() };
    let plane = ControlPlane::start(options).await.expect("control plane");
    let mut arena = Arena::on(Plane::Own(Box::new(plane)), prefix, lone(), quick()).await;
    let client = arena.plane.client().await.expect("client");
    let scope = [Some(arena.namespace.clone()), other.map(str::to_owned)].into_iter().flatten();
    arena.start_as(client, scope).await;
    arena.ready_bridge(json!({})).await;
    arena.create_meeting("early", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.booked("early").await;
    let desk = json!([{ "remoteParty": "desk@rooms.test" }]);
    arena.create_meeting("running", json!({ "start": in_ms(4000), "duration": "10m", "participants": desk })).await;
    arena.booked("running").await;
    arena.plane.keep_data().await.expect("a copy");
    arena.party("running", ParticipantState::Connected).await;
    arena.create_meeting("lost", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    let slot = number_of(&arena.booked("lost").await);
    for round in 0..200 {
        arena.patch::<ConfigMap>("cms-ca", json!({ "metadata": { "labels": { "round": round.to_string() } } })).await;
    }
    let Plane::Own(plane) = &mut arena.plane else { panic!("its own") };
    plane.put_back().await.expect("the older state");
    arena.patch::<ScheduledMeeting>("early", json!({ "spec": { "duration": "2h" } })).await;
    let longer = |m: &ScheduledMeeting| {
        let window = status_of(m).window.unwrap();
        window.closes_at.0.duration_since(window.starts_at.0).as_secs() == 7200
    };
    arena.meeting("early", "two hours long", longer).await;
    arena.create_meeting("new", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    assert_eq!(number_of(&arena.booked("new").await), slot, "who had it is forgotten");
    arena.says("running", "Ready", "True", "Active").await;
    arena.party("running", ParticipantState::Connected).await;
    assert_eq!(arena.sim.dials().len(), 1, "nobody is rung again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Each event comes late and twice, and the first watches are said to be expired, or to be ahead of the apiserver.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_doubled_and_expired_watches_change_nothing() {
    let mut arena = Arena::quiet("odd", lone(), quick()).await;
    let apiserver = Failing::default();
    let expired = apiserver.add_times(1, WATCH_MEETINGS, None, Failure::Refuse(410, "Expired", "too old"));
    let ahead = Failure::Refuse(504, "Timeout", "Too large resource version: 999999999, current: 7");
    let ahead = apiserver.add_times(1, WATCH_MEETINGS, None, ahead);
    for watch in [WATCH_MEETINGS, WATCH_BRIDGES] {
        apiserver.add(watch, None, Failure::LateAndTwice(Duration::from_millis(300)));
    }
    apiserver.start(&mut arena).await;
    arena.ready_bridge(json!({})).await;
    let desk = json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] });
    arena.open_now("m", 8, desk).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.create_meeting("gone", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    let slot = number_of(&arena.booked("gone").await);
    arena.delete::<ScheduledMeeting>("gone").await;
    arena.gone::<ScheduledMeeting>("gone").await;
    arena.create_meeting("next", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    assert_eq!(number_of(&arena.booked("next").await), slot);
    arena.phase("m", Phase::Ended).await;
    assert_eq!((expired.hits(), ahead.hits(), arena.sim.dials().len()), (1, 1, 1));
    let metrics = arena.metric_text();
    for kind in ["MeetingBridge", "ScheduledMeeting", "Secret", "ConfigMap"] {
        let age = format!("meeting_controller_watch_age_seconds{{kind=\"{kind}\"}} ");
        assert!(metrics.contains(&age), "{kind}: {metrics}");
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Meetings were stored in a way that the version that starts now cannot read: they keep their slots, are told, and are shut
/// at the end that was agreed, or when they are deleted; the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_cannot_be_read_keeps_its_slot_to_its_end_and_stops_nobody() {
    let mut arena = Arena::with("unread", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let desk =
        |name: &str| json!({ "participants": [{ "remoteParty": format!("{name}@rooms.test"), "name": "Desk" }] });
    for (name, seconds) in [("odd", 600), ("short", 5)] {
        arena.open_now(name, seconds, desk(name)).await;
        arena.party(name, ParticipantState::Connected).await;
    }
    arena.controller.take().unwrap().kill().await;
    let apiserver = Failing::default();
    let unread = Failure::Rewrite("\"name\":\"Desk\"", "\"name\":7");
    for what in [WATCH_MEETINGS, LIST_MEETINGS, MEETING_STATUS, PATCH_MEETING] {
        apiserver.add(what, None, unread.clone());
    }
    apiserver.start(&mut arena).await;
    let told = arena.says("odd", "Ready", "False", "Unreadable").await;
    assert_eq!(condition(&told, "Stalled"), ("True", "Unreadable"));
    arena.told("odd", "Unreadable").await;
    assert!(arena.metric_text().contains("meeting_controller_unreadable_objects{kind=\"ScheduledMeeting\"} 2"));
    arena.open_now("other", 600, json!({})).await;
    let other = arena.says("other", "Ready", "True", "Active").await;
    assert_ne!(number_of(&other), 1, "the slot is not given away");
    let ended = arena.phase("short", Phase::Ended).await;
    assert_eq!(condition(&ended, "SlotReleased"), ("True", "Released"));
    assert_eq!(status_of(&ended).participants.len(), 1, "what is known of them stays");
    assert!(arena.slot(1).open && arena.sim.legs().len() == 1, "this one is still on");
    arena.delete::<ScheduledMeeting>("odd").await;
    arena.gone::<ScheduledMeeting>("odd").await;
    assert!(!arena.slot(1).open && arena.sim.legs().is_empty());
    assert_eq!(arena.sim.dials().len(), 2, "nobody is rung again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// After a restart nothing is known of the bridge: its meetings wait. None is booked anew, and none is said to be left
/// behind, because the bridge is not gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meetings_wait_for_a_bridge_that_cannot_be_read() {
    let settings = Settings { watch_limit: Duration::from_secs(1), ..quick() };
    let mut arena = Arena::with("unreadb", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 4, json!({})).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.controller.take().unwrap().kill().await;
    let apiserver = Failing::default();
    let unread = Failure::Rewrite("\"displayName\":\"Core\"", "\"displayName\":7");
    let unread = [WATCH_BRIDGES, LIST_BRIDGES, BRIDGE_STATUS].map(|what| apiserver.add(what, None, unread.clone()));
    apiserver.start(&mut arena).await;
    arena.until::<MeetingBridge>("core", "told", |core| condition(core, "Ready") == ("False", "Unreadable")).await;
    arena.phase("m", Phase::Closing).await;
    assert!(arena.slot(1).open, "nobody can be asked");
    unread.iter().for_each(|trouble| trouble.lift());
    // A watch that began meanwhile reads it.
    let again = apiserver.add_times(1, WATCH_BRIDGES, None, Failure::LateAndTwice(Duration::ZERO));
    again.until(1).await;
    arena.patch::<MeetingBridge>("core", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    let ended = arena.phase("m", Phase::Ended).await;
    assert_eq!(condition(&ended, "SlotReleased"), ("True", "Released"));
    arena.bridge("core", "Ready", |bridge| condition(bridge, "Ready") == ("True", "Ready")).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Nothing is heard while `vanish` happens; then the watch is said to be expired, and a list is read.
async fn unheard(apiserver: &Failing, what: Call, vanish: impl Future<Output = ()>) {
    let mute = apiserver.add(what, None, Failure::Mute);
    mute.until(1).await;
    vanish.await;
    mute.lift();
    apiserver.add_times(1, what, None, Failure::Refuse(410, "Expired", "too old")).until(1).await;
}

impl Arena {
    async fn vanishes<K>(&self, name: &str)
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        self.patch::<K>(name, json!({ "metadata": { "finalizers": null } })).await;
        self.delete::<K>(name).await;
        self.gone::<K>(name).await;
    }
}

/// No event tells of it, and its finalizer was taken off: it is forgotten, its slot is shut, and the next one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_meeting_that_is_missing_in_a_list_is_forgotten_and_its_slot_is_shut() {
    let settings = Settings { watch_limit: Duration::from_secs(1), ..quick() };
    let (mut arena, apiserver) = (Arena::quiet("vanished", lone(), settings).await, Failing::default());
    apiserver.start(&mut arena).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] })).await;
    arena.party("m", ParticipantState::Connected).await;
    unheard(&apiserver, WATCH_MEETINGS, arena.vanishes::<ScheduledMeeting>("m")).await;
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    arena.open_now("next", 600, json!({})).await;
    let next = arena.says("next", "Ready", "True", "Active").await;
    assert_eq!(number_of(&next), 1, "nobody has it any more");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_missing_in_a_list_is_forgotten_and_its_meetings_are_told() {
    let settings = Settings { watch_limit: Duration::from_secs(1), ..quick() };
    let (mut arena, apiserver) = (Arena::quiet("vanishedb", lone(), settings).await, Failing::default());
    apiserver.start(&mut arena).await;
    arena.ready_bridge(json!({})).await;
    arena.create_meeting("later", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.booked("later").await;
    let series = format!("meeting_controller_bridge_up{{namespace=\"{}\",name=\"core\"}}", arena.namespace);
    assert!(arena.metric_text().contains(&series), "{}", arena.metric_text());
    unheard(&apiserver, WATCH_BRIDGES, arena.vanishes::<MeetingBridge>("core")).await;
    let lost = arena.says("later", "Accepted", "False", "BridgeNotFound").await;
    assert_eq!(phase_of(&lost), Phase::Pending);
    assert!(!arena.metric_text().contains(&series), "{}", arena.metric_text());
    arena.create_bridge("core", json!({})).await;
    arena.booked("later").await;
    arena.finish().await;
}

/// A list comes in pages, and the store has it with the last one. Who came while the watch was broken was dropped as one that
/// is gone when the loop took them up before that, and an edit of that time was worked on as the object was before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_a_watch_was_broken_is_seen_however_many_pages_the_list_has() {
    let settings = Settings { watch_limit: Duration::from_secs(1), ..quick() };
    let (mut arena, apiserver) = (Arena::quiet("pages", lone(), settings).await, Failing::default());
    apiserver.start(&mut arena).await;
    arena.ready_bridge(json!({})).await;
    arena.create_meeting("a-edited", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.booked("a-edited").await;
    for number in 0..=100 {
        let nowhere = json!({ "bridgeRef": { "name": "nobody" }, "start": in_ms(3_600_000), "duration": "1h" });
        arena.create_meeting(&format!("b-{number:03}"), nowhere).await;
    }
    arena.says("b-100", "Accepted", "False", "BridgeNotFound").await;
    let second_page = apiserver.add_some(1, 1, LIST_MEETINGS, None, Failure::Hold);
    unheard(&apiserver, WATCH_MEETINGS, async {
        arena.create_meeting("a-new", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
        arena.patch::<ScheduledMeeting>("a-edited", json!({ "spec": { "duration": "2h" } })).await;
    })
    .await;
    second_page.until(1).await;
    second_page.lift();
    arena.booked("a-new").await;
    let is_longer = |meeting: &ScheduledMeeting| {
        let window = status_of(meeting).window.unwrap();
        window.closes_at.0.duration_since(window.starts_at.0).as_secs() == 7200
    };
    arena.meeting("a-edited", "two hours long", is_longer).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}
