//! Health and return (R27, R28): when the active call bridge is left, when it is gone back to, and what events, status and
//! metrics tell of it.

use cms_simulator::{Fault, FaultKind};
use futures::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::json;

use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

/// The last of `reasons` that a story has in this order, with others in between.
fn assert_story(story: &[String], reasons: &[&str]) {
    let mut rest = story.iter();
    for reason in reasons {
        assert!(rest.any(|told| told == reason), "{reason} of {reasons:?} is missing or out of order: {story:?}");
    }
}

/// Nothing runs: the loss is found by the probes alone. Returns how long that took.
async fn lost_while_idle(threshold: u32) -> SignedDuration {
    let arena = Arena::cluster_with(&format!("idle-{threshold}"), json!({ "failureThreshold": threshold })).await;
    let was_ready: MeetingBridge = arena.api().get("core").await.unwrap();
    let lost = Timestamp::now();
    arena.sim.stop_bridge(0);
    let bridge = arena.active_is(1).await;
    let took = Timestamp::now().duration_since(lost);
    assert_eq!(condition(&bridge, "FailedOver"), ("True", "PrimaryLost"));
    assert!(message(&bridge, "FailedOver").contains(&arena.sim.address(0)), "it says what is wrong with which one");
    arena.ready("core").await;
    // The last probe before may have lost its connection instead.
    let is_told = |b: &MeetingBridge| {
        let lost = call_bridge(b, &arena.sim.address(0));
        lost.is_some_and(|it| it.reachable == Some(false) && it.reason.as_deref() == Some("ConnectionRefused"))
    };
    let bridge = arena.bridge("core", "told why the primary is lost", is_told).await;
    if threshold == 1 {
        let since = |b: &MeetingBridge| {
            b.conditions().iter().find(|c| c.type_ == "Ready").map(|c| c.last_transition_time.clone())
        };
        assert_eq!(since(&bridge), since(&was_ready), "Ready did not flap");
    }
    assert_eq!(arena.failovers(), 1);
    let note = arena.event_about("core", "FailedOver").await;
    assert!(note.contains(&arena.sim.address(0)) && note.contains(&arena.sim.address(1)), "{note}");
    assert_story(&arena.story("core").await, &["CallBridgeLost", "FailedOver"]);
    // Booking goes on, for later and for now.
    arena.create_meeting("later", json!({ "start": in_ms(3_600_000), "duration": "60s" })).await;
    arena.booked("later").await;
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.call_on("m", 1).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_is_found_by_probes_when_nothing_runs() {
    let (three, one) = join(lost_while_idle(3), lost_while_idle(1)).await;
    // Two intervals of a second lie between three probes.
    assert!(three >= SignedDuration::from_millis(1800), "{three}");
    println!("left after {one} and {three}");
}

/// Neither a lost connection, nor odd replies, nor a short outage moves anything.
async fn a_blip(what: &str, fault: Option<FaultKind>) {
    let arena = Arena::running(&format!("blip-{what}"), json!({ "failureThreshold": 10 })).await;
    let (calls, legs) = (arena.sim.calls(), arena.sim.legs());
    match fault {
        Some(kind) => {
            arena.sim.add_fault(Fault::new(kind).bridge(0).times(2));
            arena.await_requests(what, |_| arena.sim.faults()[0].struck == 2).await;
        }
        None => {
            let address = arena.sim.address(0);
            arena.sim.cut_bridge(0);
            let failing = |b: &MeetingBridge| call_bridge(b, &address).is_some_and(|e| e.reachable == Some(false));
            arena.bridge("core", "failing", failing).await;
            arena.sim.start_bridge(0);
        }
    }
    arena.ready("core").await;
    arena.served(0, 6).await;
    let bridge = arena.bridge("core", "all is well", |b| {
        condition(b, "Ready").0 == "True" && b.status.as_ref().unwrap().call_bridges.iter().all(|e| e.reason.is_none())
    });
    let bridge = bridge.await;
    assert_eq!(active(&bridge), Some(arena.sim.address(0).as_str()), "{what}");
    assert_eq!((arena.failovers(), condition(&bridge, "FailedOver").0), (0, ""), "{what}");
    assert_eq!((arena.sim.calls(), arena.sim.legs(), rings(&arena.sim, DESK)), (calls, legs, 1), "{what}");
    let story = arena.story("core").await;
    assert!(!story.iter().any(|reason| reason == "CallBridgeLost"), "{what}: {story:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blip_moves_nothing() {
    let cases = [
        ("reset", Some(FaultKind::ResetBefore)),
        ("busy", Some(FaultKind::Unavailable)),
        ("html", Some(FaultKind::HtmlError)),
        ("outage", None),
    ];
    join_all(cases.map(|(what, fault)| a_blip(what, fault))).await;
}

/// Something in front of the bridges takes offence at what one meeting writes, wherever it writes it. That is that meeting's
/// trouble, not the cluster's.
async fn an_offence(what: &str, kind: FaultKind) {
    let arena = Arena::running(&format!("offence-{what}"), json!({})).await;
    arena.sim.add_fault(Fault::new(kind).method("PUT").route("coSpaces/{id}"));
    arena.open_now("odd", 300, json!({ "title": "<script>" })).await;
    arena.await_sim("tried again and again", |sim| sim.faults()[0].struck >= 6).await;
    let odd = arena.meeting("odd", "told", |m| condition(m, "SpaceOpen").0 == "False").await;
    assert!(status_of(&odd).opened_at.is_none());
    assert!(arena.failovers() <= 1, "{} failovers", arena.failovers());
    arena.sim.clear_faults();
    arena.phase("odd", Phase::Active).await;
    arena.phase("m", Phase::Active).await;
    assert_eq!(rings(&arena.sim, DESK), 1, "{what}: nobody is rung twice for it");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_on_every_call_bridge_does_not_drive_the_cluster_to_and_fro() {
    tokio::join!(an_offence("page", FaultKind::HtmlError), an_offence("busy", FaultKind::Unavailable));
}

/// No call bridge can show the space of a meeting, while they answer everything else.
async fn an_unreadable_space(what: &str, kind: FaultKind) {
    let arena = Arena::cluster(&format!("unshown-{what}")).await;
    arena.sim.add_fault(Fault::new(kind).method("GET").route("coSpaces/{id}"));
    arena.open_now("odd", 300, json!({})).await;
    // On one call bridge, on the next, and there again and again.
    arena.await_sim("looked again and again", |sim| sim.faults()[0].struck >= 8).await;
    let odd = arena.meeting("odd", "told", |m| condition(m, "SpaceOpen").0 == "False").await;
    assert!(status_of(&odd).opened_at.is_none(), "{what}");
    assert!(arena.failovers() <= 1, "{what}: {} failovers", arena.failovers());
    arena.sim.clear_faults();
    arena.phase("odd", Phase::Active).await;
    assert!(arena.failovers() <= 1, "{what}: {} failovers", arena.failovers());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_space_that_no_call_bridge_shows_does_not_drive_the_cluster_to_and_fro() {
    tokio::join!(
        an_unreadable_space("page", FaultKind::HtmlError),
        an_unreadable_space("busy", FaultKind::Unavailable)
    );
}

/// One failed request of a start is not the end of a call bridge.
async fn a_stray(what: &str, kind: FaultKind, method: &str) {
    let arena = Arena::cluster(&format!("blip-start-{what}")).await;
    arena.sim.add_fault(Fault::new(kind).bridge(0).method(method).route("coSpaces/{id}").once());
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.phase("m", Phase::Active).await;
    assert_eq!(arena.sim.faults()[0].struck, 1, "{what}");
    assert_eq!((arena.hosts(1), arena.failovers()), (vec![0], 0), "{what}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stray_failure_at_a_start_moves_nothing() {
    tokio::join!(
        a_stray("lost", FaultKind::ResetBefore, "PUT"),
        a_stray("busy", FaultKind::Unavailable, "PUT"),
        a_stray("busy-page", FaultKind::UnavailablePage, "PUT"),
        a_stray("busy-look", FaultKind::Unavailable, "GET")
    );
}

/// The whole story, with a meeting that runs through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automatic_failback_waits_until_it_is_stable_and_touches_no_meeting() {
    let failback = json!({ "failback": { "policy": "Automatic", "after": "2s" } });
    let arena = Arena::running("back-auto", failback).await;
    arena.sim.stop_bridge(0);
    arena.call_on("m", 1).await;
    arena.await_sim("dialled again", |sim| legs_to(sim, DESK) == [1]).await;
    let (calls, secret) = (arena.sim.calls(), arena.slot(1).secret);
    arena.event_about("core", "FailedOver").await;
    let back = Timestamp::now();
    arena.sim.start_bridge(0);
    let bridge = arena.active_is(0).await;
    let took = Timestamp::now().duration_since(back);
    assert!(took >= SignedDuration::from_secs(2), "back after {took}");
    assert_eq!(condition(&bridge, "FailedOver").0, "");
    let note = arena.event_about("core", "FailedBack").await;
    assert!(note.contains(&arena.sim.address(0)), "{note}");
    // The meeting goes on where it is, and is looked after there.
    arena.served(1, 6).await;
    assert_eq!((arena.sim.calls(), arena.slot(1).secret), (calls, secret));
    assert_eq!((rings(&arena.sim, DESK), arena.failovers()), (2, 1));
    let meeting: ScheduledMeeting = arena.api().get("m").await.unwrap();
    assert_eq!(condition(&meeting, "Ready"), ("True", "Active"));
    assert_eq!(status_of(&meeting).call.unwrap().call_bridge, arena.sim.address(1));
    // A new one starts on the primary.
    arena.open_now("next", 120, json!({})).await;
    arena.call_on("next", 0).await;
    arena.sim.clear_journal();
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    let deleted: Vec<usize> = arena.effects("DELETE", "calls/{id}").iter().map(|entry| entry.bridge).collect();
    assert_eq!((deleted, arena.hosts(1)), (vec![1], vec![]));

    arena.event_about("m", "Ended").await;
    let wanted = ["CallBridgeLost", "FailedOver", "CallBridgeRecovered", "FailedBack"];
    assert_story(&arena.story("core").await, &wanted);
    assert_story(&arena.story("m").await, &["Opened", "CallBridgeLost", "CallRecreated", "Ended"]);
    for reason in wanted {
        assert_eq!(arena.story("core").await.iter().filter(|told| *told == reason).count(), 1, "{reason} is told once");
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_failback_waits_for_the_annotation() {
    let arena = Arena::cluster_with(
        "back-manual",
        json!({
            "failureThreshold": 1, "failback": { "policy": "Manual", "after": "1s" }
        }),
    )
    .await;
    arena.sim.stop_bridge(0);
    arena.active_is(1).await;
    let handled = |b: &MeetingBridge| b.status.as_ref().and_then(|status| status.last_handled_failback_at.clone());
    arena.sim.start_bridge(0);
    arena.all_reachable().await;
    arena.event_about("core", "CallBridgeRecovered").await;
    // Several times the span of an automatic return.
    arena.served(1, 4).await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!(active(&bridge), Some(arena.sim.address(1).as_str()), "never by itself");
    assert_eq!(condition(&bridge, "FailedOver"), ("True", "PrimaryLost"));

    arena.ask_failback("now").await;
    let bridge = arena.active_is(0).await;
    assert_eq!((handled(&bridge).as_deref(), condition(&bridge, "FailedOver").0), (Some("now"), ""));
    arena.event_about("core", "FailedBack").await;
    // Once asked is once moved.
    arena.sim.stop_bridge(0);
    arena.active_is(1).await;
    arena.sim.start_bridge(0);
    arena.all_reachable().await;
    arena.served(1, 3).await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!(active(&bridge), Some(arena.sim.address(1).as_str()));
    assert_eq!((arena.failovers(), handled(&bridge).as_deref()), (2, Some("now")));
    // Nobody is sent to a call bridge that is lost, but the request is kept.
    arena.sim.stop_bridge(0);
    let lost = |b: &MeetingBridge| b.status.as_ref().is_some_and(|s| s.call_bridges[0].reachable == Some(false));
    arena.bridge("core", "the primary lost", lost).await;
    arena.ask_failback("early").await;
    arena.served(1, 2).await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!((active(&bridge), handled(&bridge).as_deref()), (Some(arena.sim.address(1).as_str()), Some("now")));
    arena.sim.start_bridge(0);
    let bridge = arena.active_is(0).await;
    assert_eq!(handled(&bridge).as_deref(), Some("early"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}
