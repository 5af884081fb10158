//! Making, adopting, growing and shrinking the pool of slots (R13, R14, R20-R24, R48-R53).

use std::collections::BTreeMap;

use std::time::Duration;

use cms_simulator::{Fault, FaultKind, JournalEntry, SpaceView, SyncConflict};
use kube::api::{Patch, PatchParams};
use meeting_controller::api::bridge::SlotState;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::lone;

fn add_slot(arena: &Arena, number: u32) -> String {
    let (name, number) = (format!("TMS_Scheduled_Meeting_{number}"), number.to_string());
    let number = number.as_str();
    let pairs = [("name", name.as_str()), ("uri", number), ("callId", number), ("nonMemberAccess", "false")];
    arena.sim.add_space_with(&pairs).expect("a space by hand")
}

/// First and last number of every set made, in order.
fn sets(arena: &Arena) -> Vec<(String, String)> {
    let made = arena.effects("POST", "cospaceBulkParameterSets");
    let bound = |entry, name| field(entry, name).unwrap_or_default().to_owned();
    made.iter().map(|entry| (bound(entry, "startIndex"), bound(entry, "endIndex"))).collect()
}

fn ids(arena: &Arena) -> BTreeMap<String, String> {
    arena.sim.spaces().into_iter().map(|space| (space.uri.unwrap_or_default(), space.id)).collect()
}

fn range(first: u32, last: u32) -> (String, String) {
    (first.to_string(), last.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spaces_that_match_are_adopted_and_left_as_they_are() {
    let mut arena = Arena::quiet("prov-adopt", lone(), patient()).await;
    for number in 1..=5 {
        add_slot(&arena, number);
    }
    let before = arena.sim.spaces();
    arena.start().await;
    let bridge = arena.ready_bridge(json!({})).await;
    assert_eq!(arena.sim.spaces(), before, "nothing of them was written");
    assert_eq!(arena.writes(), ["POST callProfiles 200", "POST callLegProfiles 200"]);
    let slots = bridge.status.unwrap().slots.unwrap();
    assert_eq!((slots.total, slots.free, slots.parameter_sets.len()), (5, 5, 0));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_missing_is_made() {
    let mut arena = Arena::quiet("prov-partial", lone(), patient()).await;
    let kept = [1, 3, 4].map(|number| add_slot(&arena, number));
    arena.sim.add_space("Boardroom", "497540", "497540").unwrap();
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    assert_eq!(sets(&arena), [range(2, 2), range(5, 5)]);
    assert_eq!(arena.effects("POST", "cospaceBulkSyncs").len(), 2);
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    assert_eq!([1, 3, 4].map(|number| space_id(&arena, number)), kept);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growing_adds_a_set_and_keeps_every_space() {
    let arena = Arena::with("prov-grow", lone(), patient()).await;
    arena.ready_bridge(json!({})).await;
    let before = ids(&arena);
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { "quantity": 8 } } })).await;
    let bridge = arena.ready("core").await;
    assert_eq!(slot_numbers(&arena), (1..=8).collect::<Vec<_>>());
    let after = ids(&arena);
    assert!(before.iter().all(|(number, id)| after.get(number) == Some(id)), "{before:?} {after:?}");
    assert_eq!(sets(&arena), [range(1, 5), range(6, 8)]);
    assert_eq!(bridge.status.unwrap().slots.unwrap().total, 8);
    arena.assert_rules(1..=8);
    arena.finish().await;
}

/// No description names `callLegProfile` among the parameters of a set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_the_set_does_not_take_is_told_to_the_slots() {
    let mut arena = Arena::quiet("prov-untaken", lone(), patient()).await;
    arena.sim.update_switches(|switches| switches.bulk_refused = vec!["callLegProfile".to_owned()]);
    arena.start().await;
    let is_set = |e: &&JournalEntry| e.method == "POST" && e.route == "cospaceBulkParameterSets";
    for (quantity, tries) in [(5, 2), (8, 3)] {
        if quantity == 5 {
            arena.ready_bridge(json!({})).await;
        } else {
            arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { "quantity": quantity } } })).await;
            arena.ready("core").await;
        }
        let profile = arena.effects("POST", "callLegProfiles")[0].object_id.clone().unwrap();
        let has_it = |space: &SpaceView| space.fields.get("callLegProfile") == Some(&profile);
        arena.await_sim("told", |sim| sim.spaces().len() == quantity && sim.spaces().iter().all(has_it)).await;
        assert_eq!(arena.requests().iter().filter(is_set).count(), tries, "refused once");
        assert_eq!(arena.effects("PUT", "coSpaces/{id}").len(), quantity, "each once");
    }
    arena.assert_rules(1..=8);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shrinking_drains_what_a_meeting_holds() {
    let arena = Arena::with("prov-shrink", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("standup", 60, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] })).await;
    arena.phase("standup", meeting_controller::api::meeting::Phase::Active).await;
    let kept = [3, 4, 5].map(|number| space_id(&arena, number));
    let held = space_id(&arena, 1);

    arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { "base": 3, "quantity": 3 } } })).await;
    let draining = arena.reason("core", "SlotsProvisioned", "ResizeDeferred").await;
    assert_eq!(condition(&draining, "Ready"), ("False", "ResizeDeferred"));
    let entries = draining.status.unwrap().slots.unwrap().entries;
    assert!(entries.iter().any(|entry| entry.number == 1 && entry.space_id == Some(held.clone())), "{entries:?}");
    assert_eq!(ids(&arena).get("1"), Some(&held), "the meeting's space stays");
    assert!(!ids(&arena).contains_key("2"), "a free surplus slot goes at once");
    assert_eq!(arena.sim.calls().len(), 1, "and its call");

    arena.delete::<meeting_controller::api::ScheduledMeeting>("standup").await;
    arena.gone::<meeting_controller::api::ScheduledMeeting>("standup").await;
    arena.ready("core").await;
    assert_eq!(slot_numbers(&arena), [3, 4, 5]);
    assert_eq!([3, 4, 5].map(|number| space_id(&arena, number)), kept);
    assert_eq!(arena.effects("POST", "cospaceBulkSyncs").len(), 1, "nothing was synced again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

async fn failed_sync(state: &str, reason: &str) {
    let mut arena = Arena::quiet(&format!("prov-{}", reason.to_lowercase()), lone(), brisk()).await;
    let fault = FaultKind::SyncState { state: state.to_owned() };
    arena.sim.add_fault(Fault::new(fault).method("POST").route("cospaceBulkSyncs").once());
    arena.start().await;
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    let failed = arena.reason("core", "SlotsProvisioned", reason).await;
    assert_eq!(condition(&failed, "Ready"), ("False", reason), "{state}");
    assert_eq!(condition(&failed, "Reconciling").0, "True", "it is tried again");
    arena.ready("core").await;
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    assert_eq!(arena.effects("POST", "cospaceBulkSyncs").len(), 2);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_a_sync_fails_has_its_reason_and_is_tried_again() {
    tokio::join!(
        failed_sync("failedCoSpaceUriConflict", "UriConflict"),
        failed_sync("failedCallIdConflict", "CallIdConflict"),
        failed_sync("failedIndexRangeInvalid", "RangeInvalid"),
        failed_sync("failedIndexRangeTooGreat", "RangeTooGreat"),
        failed_sync("failedNoSuchParameterSet", "SyncFailed"),
        failed_sync("failed", "SyncFailed"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_somebody_else_costs_that_number_until_it_is_free() {
    for (prefix, half) in [("prov-conflict", false), ("prov-half", true)] {
        let mut arena = Arena::quiet(prefix, lone(), brisk()).await;
        if half {
            arena.sim.update_switches(|switches| switches.sync_conflict = SyncConflict::HalfDone);
        }
        arena.sim.add_space("Boardroom", "4", "900").unwrap();
        let room = arena.sim.spaces();
        arena.start().await;
        let bridge = arena.ready_bridge(json!({})).await;
        assert_eq!(slot_numbers(&arena), [1, 2, 3, 5]);
        let slots = slots_of(&bridge);
        assert_eq!((slots.total, slots.free, slots.foreign), (4, 4, 1));
        assert_eq!((slots.entries[0].number, slots.entries[0].state), (4, SlotState::Foreign));
        assert_eq!(condition(&bridge, "SlotsProvisioned"), ("True", "Provisioned"));
        assert_eq!(condition(&bridge, "ExclusiveControl"), ("False", "ForeignChanges"));
        let said = message(&bridge, "ExclusiveControl");
        assert!(said.contains("Boardroom") && said.contains('4'), "{said}");
        assert!(arena.sim.spaces().contains(&room[0]), "it was not touched");
        assert!(arena.sim.delete_space("4"));
        arena.bridge("core", "complete", |b| slots_of(b).free == 5 && is_ready(b)).await;
        assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
        let bridge = arena.bridge("core", "alone", |b| condition(b, "ExclusiveControl").0 == "True").await;
        assert_eq!(slots_of(&bridge).foreign, 0);
        arena.assert_rules(1..=5);
        arena.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_that_no_space_shows_costs_its_number_and_does_not_flap() {
    let settings = Settings { sync_retry: Duration::from_millis(300), ..brisk() };
    let mut arena = Arena::quiet("prov-hidden", lone(), settings).await;
    let room = arena.sim.add_space("Boardroom", "900", "900").unwrap();
    let body = "uri=2&callId=902&name=guests";
    arena.ask(Method::POST, &format!("coSpaces/{room}/accessMethods"), body).await;
    arena.start().await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "slots": { "quantity": 2 } })).await;
    let failed = arena.reason("core", "SlotsProvisioned", "UriConflict").await;
    assert!(message(&failed, "SlotsProvisioned").contains("access methods"));
    let bridge = arena.ready("core").await;
    assert_eq!(slot_numbers(&arena), [1]);
    assert_eq!((slots_of(&bridge).free, slots_of(&bridge).foreign), (1, 1));
    assert!(message(&bridge, "ExclusiveControl").contains("number 2"));
    // It is tried again now and then, and nobody is told.
    let history = arena.history::<MeetingBridge>("core", "Ready");
    let tries = arena.effects("POST", "cospaceBulkSyncs").len();
    let is_try = |e: &&JournalEntry| e.method == "POST" && e.route == "cospaceBulkSyncs";
    arena.await_requests("one more try", |all| all.iter().filter(is_try).count() > tries).await;
    assert!(arena.sim.delete_space("900"));
    let bridge = arena.bridge("core", "complete", |b| slots_of(b).free == 2).await;
    assert_eq!(condition(&bridge, "SlotsProvisioned").0, "True");
    let seen = history.until("True").await;
    assert!(seen.iter().all(|(status, _)| status == "True"), "{seen:?}");
    arena.finish().await;
}

/// Within our range: a space of a tenant under our placeholder name, one whose call id is a number of ours, one that has such
/// a number as an access method, and one of which only the secondary address is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_others_have_in_whichever_way_are_made_around_and_nothing_of_theirs_is_touched() {
    let settings = Settings { sync_retry: Duration::from_millis(300), ..brisk() };
    let mut arena = Arena::quiet("prov-theirs", lone(), settings).await;
    arena.ask(Method::POST, "tenants", "name=Acme").await;
    let tenants = arena.ask(Method::GET, "tenants", "").await;
    let tenant = tenants.split("<tenant id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let name = "TMS_Scheduled_Meeting_2";
    let of_tenant = [("name", name), ("uri", "2"), ("callId", "2"), ("tenant", tenant.as_str())];
    let of_tenant = arena.sim.add_space_with(&of_tenant).unwrap();
    arena.sim.add_space("Twin", "903", "3").unwrap();
    let room = arena.sim.add_space("Guests", "904", "904").unwrap();
    let methods = format!("coSpaces/{room}/accessMethods");
    arena.ask(Method::POST, &methods, "uri=5&callId=5&name=guests").await;
    let second = [("name", "Second"), ("uri", "907"), ("secondaryUri", "7"), ("callId", "907")];
    arena.sim.add_space_with(&second).unwrap();
    let (theirs, their_methods) = (arena.sim.spaces(), arena.ask(Method::GET, &methods, "").await);
    arena.sim.clear_journal();
    arena.start().await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "slots": { "quantity": 8 } })).await;
    let bridge = arena.bridge("core", "around them", |b| is_ready(b) && slots_of(b).free == 4).await;
    let of_ours = || arena.sim.spaces().into_iter().filter(|space| !theirs.iter().any(|known| known.id == space.id));
    let mut ours: Vec<String> = of_ours().filter_map(|space| space.uri).collect();
    ours.sort();
    assert_eq!(ours, ["1", "4", "6", "8"]);
    assert_eq!(slots_of(&bridge).foreign, 4, "{:?}", slots_of(&bridge));
    let said = message(&bridge, "ExclusiveControl").to_owned();
    assert_eq!(condition(&bridge, "ExclusiveControl"), ("False", "ForeignChanges"));
    for number in [2, 3, 5, 7] {
        assert!(said.contains(&number.to_string()), "{said}");
    }
    // Four meetings have their slots, and the fifth has none, least of all one of theirs.
    for n in 0..4 {
        let name = format!("m{n}");
        arena.open_now(&name, 600, json!({})).await;
        arena.phase(&name, Phase::Active).await;
    }
    arena.open_now("none", 600, json!({})).await;
    arena.says("none", "Accepted", "False", "NoFreeSlot").await;
    for n in 0..4 {
        arena.delete::<ScheduledMeeting>(&format!("m{n}")).await;
        arena.gone::<ScheduledMeeting>(&format!("m{n}")).await;
    }
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    let mut left = arena.sim.spaces();
    let mut before = theirs.clone();
    for spaces in [&mut left, &mut before] {
        spaces.sort_by(|one, other| one.id.cmp(&other.id));
    }
    assert_eq!(left, before, "what is theirs is as it was, and nothing else is left");
    let is_theirs = |entry: &&JournalEntry| theirs.iter().any(|space| entry.path.contains(&space.id));
    let writes: Vec<_> = arena.requests().into_iter().filter(|entry| entry.method != "GET").collect();
    assert!(!writes.iter().any(|entry| is_theirs(&entry)), "{:?}", arena.writes());
    assert_eq!(arena.ask(Method::GET, &methods, "").await, their_methods);
    assert!(left.iter().any(|space| space.id == of_tenant));
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_hides_whether_a_door_is_open_gets_ready_and_leaves_rooms_alone() {
    for (prefix, never) in [("prov-where", false), ("prov-never", true)] {
        let mut arena = Arena::quiet(prefix, lone(), patient()).await;
        arena.sim.update_switches(|switches| {
            switches.hide_defaults = true;
            switches.space_hides = never.then(|| "nonMemberAccess".to_owned()).into_iter().collect();
        });
        arena.sim.add_space("Board room", "3", "3").unwrap();
        let room = arena.sim.spaces();
        arena.start().await;
        let bridge = arena.ready_bridge(json!({})).await;
        assert_eq!((slots_of(&bridge).free, slots_of(&bridge).foreign), (4, 1));
        for name in ["a", "b", "c", "d"] {
            arena.open_now(name, 60, json!({})).await;
            arena.phase(name, Phase::Active).await;
        }
        assert!(arena.sim.spaces().contains(&room[0]), "it was not touched");
        let looks = |path: &str| arena.requests().iter().filter(|e| e.path.contains(path)).count();
        assert!(looks(&room[0].id) <= 2, "{}", looks(&room[0].id));
        for name in ["a", "b", "c", "d"] {
            arena.delete::<ScheduledMeeting>(name).await;
            arena.gone::<ScheduledMeeting>(name).await;
        }
        assert!(arena.sim.spaces().iter().filter(|space| space.id != room[0].id).all(|space| !space.open));
        arena.assert_rules([1, 2, 4, 5]);
        arena.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_slots_beside_many_foreign_spaces_cost_few_requests() {
    let mut arena = Arena::quiet("prov-many", lone(), patient()).await;
    for number in 0..500 {
        let number = (900_000 + number).to_string();
        arena.sim.add_space(&format!("Team room {number}"), &number, &number).unwrap();
    }
    arena.start().await;
    let bridge = arena.ready_bridge(json!({ "slots": { "base": 1000, "quantity": 500 } })).await;
    assert_eq!(bridge.status.unwrap().slots.unwrap().free, 500);
    assert_eq!(slot_numbers(&arena), (1000..1500).collect::<Vec<_>>());
    let requests = arena.requests();
    let sync = requests.iter().rposition(|entry| entry.route == "cospaceBulkSyncs/{id}").unwrap();
    let after = requests.len() - sync;
    println!("500 slots: {after} requests from the look that found the sync complete, {} in all", requests.len());
    assert!(after <= 40, "{after} requests after the sync");
    arena.assert_rules(1000..1500);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_slot_is_made_again_without_a_second_sync_of_its_set() {
    let arena = Arena::with("prov-busy", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("standup", 60, json!({})).await;
    arena.phase("standup", meeting_controller::api::meeting::Phase::Active).await;
    let before = ids(&arena);
    assert!(arena.sim.delete_space("2"));
    ask_full_look(&arena, "1").await;
    arena.bridge("core", "looked", |b| is_ready(b) && handled(b) == Some("1") && slots_of(b).total == 5).await;
    let after = ids(&arena);
    assert_eq!(sets(&arena), [range(1, 5), range(2, 2)]);
    for number in ["1", "3", "4", "5"] {
        assert_eq!(after.get(number), before.get(number), "slot {number} kept its space");
    }
    assert_ne!(after.get("2"), before.get("2"));
    assert_eq!(arena.sim.calls().len(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prefix_cannot_be_changed() {
    let arena = Arena::quiet("prov-prefix", lone(), patient()).await;
    arena.create_bridge("core", json!({})).await;
    let patch = Patch::Merge(json!({ "spec": { "slots": { "namePrefix": "Room_" } } }));
    let refused = arena.api::<MeetingBridge>().patch("core", &PatchParams::default(), &patch).await.unwrap_err();
    assert!(refused.to_string().contains("slots.namePrefix cannot be changed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_dial_numbers_are_listed_and_block_everything() {
    let arena = Arena::with("prov-dial", lone(), patient()).await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "slots": null })).await;
    let error = "DialNumberConfigurationError";
    let bridge = arena.reason("core", "DialNumbersConfigured", error).await;
    assert_eq!(message(&bridge, "DialNumbersConfigured"), "not set: slots.domain, slots.base, slots.quantity");
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { "base": 1 } } })).await;
    let stalled = |b: &MeetingBridge| b.observed() == Some(2) && condition(b, "Stalled").0 == "True";
    let bridge = arena.bridge("core", "judged", stalled).await;
    assert_eq!(condition(&bridge, "DialNumbersConfigured"), ("False", error));
    assert_eq!(message(&bridge, "DialNumbersConfigured"), "not set: slots.domain, slots.quantity");
    assert_eq!(condition(&bridge, "Stalled"), ("True", error));
    assert_eq!(condition(&bridge, "Ready"), ("False", error));
    arena.create_meeting("early", crate::booking::minutes(60, 60)).await;
    arena.says("early", "Accepted", "False", "NoFreeSlot").await;
    assert_eq!(arena.writes(), Vec::<String>::new(), "nothing is written to the bridge");
    arena
        .patch::<MeetingBridge>("core", json!({ "spec": { "slots": { "domain": "meet.test", "quantity": 2 } } }))
        .await;
    let ready = arena.ready("core").await;
    assert_eq!(condition(&ready, "DialNumbersConfigured").0, "True");
    assert_eq!(slot_numbers(&arena), [1, 2]);
    arena.says("early", "Accepted", "True", "Accepted").await;
    arena.assert_rules(1..=2);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_name_is_only_a_warning() {
    let arena = Arena::with("prov-name", lone(), patient()).await;
    let bridge = arena.ready_bridge(json!({ "displayName": null })).await;
    assert_eq!(condition(&bridge, "SystemNamed"), ("False", "BlankSystemName"));
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}
