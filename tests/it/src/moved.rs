//! A bridge that is another one than yesterday: a new address, or rebuilt from nothing under the old one.

use cms_simulator::{Config, Simulator};
use k8s_openapi::api::core::v1::ConfigMap;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use reqwest::Method;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::lone;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_address_is_looked_at_afresh() {
    let arena = Arena::with("moved-address", lone(), brisk()).await;
    let before = arena.ready_bridge(json!({})).await;
    let other = Simulator::start(Config { seed: 9, ..Config::default() }).await.unwrap();
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": other.ca_pem() } })).await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "address": other.address(0) } })).await;
    let members = |b: &MeetingBridge| b.status.as_ref().and_then(|s| s.cluster.as_ref()).map_or(0, |c| c.members.len());
    let after = arena.bridge("core", "ready there", |b| is_ready(b) && members(b) == 2).await;
    assert_eq!(other.spaces().len(), 5);
    let (old, new) = (before.status.unwrap(), after.status.unwrap());
    assert_ne!(old.profiles, new.profiles);
    let profile = new.profiles.unwrap().call;
    assert!(other.spaces().iter().all(|space| space.fields.get("callProfile").cloned() == profile));
    assert_eq!(new.active_call_bridge, Some(other.address(0)));
    assert_eq!(arena.sim.spaces().len(), 5, "what was left behind is as it was");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_rebuilt_from_nothing_is_set_up_again() {
    let arena = Arena::with("moved-rebuilt", lone(), brisk()).await;
    let before = arena.ready_bridge(json!({})).await;
    let status = before.status.unwrap();
    let profiles = status.profiles.unwrap();
    for space in arena.sim.spaces() {
        assert!(arena.sim.delete_space(&space.id));
    }
    let set = status.slots.unwrap().parameter_sets[0].id.clone().unwrap();
    for object in [
        format!("cospaceBulkParameterSets/{set}"),
        format!("callProfiles/{}", profiles.call.clone().unwrap()),
        format!("callLegProfiles/{}", profiles.call_leg.clone().unwrap()),
    ] {
        arena.ask(Method::DELETE, &object, "").await;
    }
    let renewed = |b: &MeetingBridge| b.status.as_ref().is_some_and(|s| s.profiles.as_ref() != Some(&profiles));
    let after = arena.bridge("core", "set up again", |b| is_ready(b) && renewed(b) && slots_of(b).free == 5).await;
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    assert_eq!((arena.total("callProfiles").await, arena.total("callLegProfiles").await), (1, 1));
    let profile = after.status.unwrap().profiles.unwrap().call;
    assert!(arena.sim.spaces().iter().all(|space| space.fields.get("callProfile").cloned() == profile));
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert!(arena.sim.spaces().is_empty());
    assert_eq!(arena.total("cospaceBulkParameterSets").await, 0);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Trusts both simulators, and has a Secret for the second one.
async fn with_second(arena: &Arena) -> Simulator {
    let config = Config { seed: 9, password: "another".to_owned(), ..Config::default() };
    let other = Simulator::start(config).await.unwrap();
    let both = format!("{}\n{}", arena.sim.ca_pem(), other.ca_pem());
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": both } })).await;
    let login = json!({ "username": other.username(), "password": other.password() });
    arena.create_secret("second", login).await;
    other
}

fn to_second(other: &Simulator) -> serde_json::Value {
    json!({ "spec": { "address": other.address(0), "credentialsSecretRef": { "name": "second" } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_credentials_are_never_sent_to_the_members_of_the_old_cluster() {
    let arena = Arena::with("moved-login", Config::default(), brisk()).await;
    arena.ready_bridge(json!({ "failover": { "discover": true } })).await;
    let two = |b: &MeetingBridge| is_ready(b) && b.status.as_ref().is_some_and(|s| s.call_bridges.len() == 2);
    arena.bridge("core", "both members are used", two).await;
    let other = with_second(&arena).await;
    arena.bridge("core", "well with both authorities", two).await;
    arena.patch::<MeetingBridge>("core", to_second(&other)).await;
    let moved = |b: &MeetingBridge| two(b) && b.status.as_ref().unwrap().active_call_bridge == Some(other.address(0));
    arena.bridge("core", "ready there", moved).await;
    assert!(arena.requests().iter().all(|entry| entry.status != Some(401)), "{:#?}", arena.journal_lines());
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_edited_while_a_meeting_runs_waits_for_its_end() {
    let arena = Arena::with("moved-later", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    let other = with_second(&arena).await;
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    arena.patch::<MeetingBridge>("core", to_second(&other)).await;
    let waits = |b: &MeetingBridge| condition(b, "Ready") == ("False", "AddressChangeDeferred");
    let bridge = arena.bridge("core", "waiting", waits).await;
    assert_eq!(condition(&bridge, "SlotsProvisioned").0, "True");
    assert!(arena.slot(1).open && other.journal().is_empty());
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(-5_000), "duration": "1s" } })).await;
    let ended = arena.phase("m", Phase::Ended).await;
    assert_eq!(condition(&ended, "SlotReleased"), ("True", "Released"));
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty(), "shut where it was opened");
    arena.ready("core").await;
    assert_eq!(other.spaces().len(), 5);
    assert!(arena.requests().iter().all(|entry| entry.status != Some(401)), "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}
