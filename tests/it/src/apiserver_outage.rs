//! An apiserver that refuses or holds what we write, or whose watch is silent: nobody is rung again, nothing is late,
//! nobody waits for it.

use cms_simulator::EndpointScript;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::config::settings::Settings;
use serde_json::json;

use crate::apiserver::*;
use crate::booking::a_second_later;
use crate::bridge_kit::patient;
use crate::kit::*;
use crate::leader::SHORT;
use crate::meetings::*;

const DOWN: Failure = Failure::Refuse(500, "InternalError", "down");

fn desk(limit: u32) -> serde_json::Value {
    json!({ "participants": [{ "remoteParty": "desk@rooms.test", "retry": { "limit": limit, "backoff": "5s" } }] })
}

impl Arena {
    async fn sweeps(&self, count_of: usize) {
        self.sim.clear_journal();
        self.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= count_of).await;
    }
}

fn rings(sim: &cms_simulator::Handle, party: &str) -> usize {
    sim.dials().iter().filter(|dial| dial.remote_party == party).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_rung_more_often_because_the_status_cannot_be_written() {
    let (arena, apiserver) = failing("unsaved", quick()).await;
    arena.ready_bridge(json!({})).await;
    let ms = std::time::Duration::from_millis;
    arena.sim.script_endpoint("desk@rooms.test", EndpointScript::NoAnswer { after: ms(900) });
    arena.sim.script_endpoint("guest@rooms.test", EndpointScript::HangsUp { answer_after: ms(100), after: ms(6000) });
    arena.open_now("m", 600, desk(1)).await;
    let guest =
        json!({ "participants": [{ "remoteParty": "guest@rooms.test", "retry": { "limit": 5, "backoff": "5s" } }] });
    arena.open_now("n", 600, guest).await;
    arena.await_sim("first rings", |sim| sim.dials().len() == 2).await;
    let trouble = apiserver.add(MEETING_STATUS, None, DOWN);
    arena.await_sim("second ring", |sim| rings(sim, "desk@rooms.test") == 2).await;
    arena.await_sim("nobody is in", |sim| sim.legs().is_empty() && rings(sim, "guest@rooms.test") == 1).await;
    arena.sweeps(6).await;
    assert!(trouble.hits() > 1, "nothing could be stored");
    let rung = |party| arena.sim.dials().iter().filter(|dial| dial.remote_party == party).count();
    assert_eq!((rung("desk@rooms.test"), rung("guest@rooms.test")), (2, 1), "limit + 1, and who left is left alone");
    trouble.lift();
    for name in ["m", "n"] {
        arena.patch::<ScheduledMeeting>(name, json!({ "metadata": { "labels": { "try": "again" } } })).await;
    }
    let desk = arena.party("m", ParticipantState::Failed).await;
    assert_eq!(status_of(&desk).participants[0].attempts, 2);
    arena.party("n", ParticipantState::Left).await;
    assert_eq!((rung("desk@rooms.test"), rung("guest@rooms.test")), (2, 1));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The pass after the conflict knows that it dialled, and believes no list of legs from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_after_a_dial_rings_nobody_twice() {
    let (arena, apiserver) = failing("conflict", quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, desk(3)).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.sweeps(2).await;
    let long = std::time::Duration::from_secs(5);
    arena.sim.script_endpoint("late@rooms.test", EndpointScript::NoAnswer { after: long });
    let conflict = Failure::Refuse(409, "Conflict", "the object has been modified");
    let trouble = apiserver.add_times(1, MEETING_STATUS, Some("m"), conflict);
    let both = json!([{ "remoteParty": "desk@rooms.test" }, { "remoteParty": "late@rooms.test" }]);
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "participants": both } })).await;
    trouble.until(1).await;
    let ringing = arena
        .meeting("m", "ringing", |m| {
            status_of(m).participants.get(1).is_some_and(|party| party.state == ParticipantState::Ringing)
        })
        .await;
    assert_eq!(status_of(&ringing).participants[1].attempts, 1);
    arena.sweeps(2).await;
    assert_eq!(arena.sim.dials().iter().filter(|dial| dial.remote_party == "late@rooms.test").count(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The slot is proven shut, and that is known although nothing about it can be written, removed or published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_meeting_of_the_slot_does_not_wait_for_the_apiserver() {
    let (arena, apiserver) = failing("handover", quick()).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let start = Timestamp::now().checked_add(SignedDuration::from_millis(500)).unwrap();
    let change = start.checked_add(SignedDuration::from_secs(4)).unwrap();
    arena.create_meeting("a", json!({ "start": start.to_string(), "end": change.to_string() })).await;
    arena.booked("a").await;
    arena.create_meeting("b", json!({ "start": change.to_string(), "duration": "10m" })).await;
    arena.booked("b").await;
    arena.says("a", "Ready", "True", "Active").await;
    let refused = apiserver.add(MEETING_STATUS, Some("a"), Failure::Refuse(422, "Invalid", "no"));
    let kept = apiserver.add(DELETE_SECRET, None, Failure::Refuse(403, "Forbidden", "policy"));
    let held = apiserver.add(CREATE_EVENT, None, Failure::Hold);
    let open = arena.phase("b", Phase::Active).await;
    let late = status_of(&open).opened_at.unwrap().0.duration_since(change);
    assert!(late < SignedDuration::from_millis(2500), "{late:?}");
    assert_eq!(phase_of(&arena.api::<ScheduledMeeting>().get("a").await.unwrap()), Phase::Active, "as stored");
    let counted = |metrics: &str| metrics.contains("{call=\"replace status\",outcome=\"refused\"}");
    assert!(counted(&arena.controller.as_ref().unwrap().metrics.text()));
    [&refused, &kept, &held].iter().for_each(|trouble| trouble.lift());
    arena.patch::<ScheduledMeeting>("a", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    arena.phase("a", Phase::Ended).await;
    arena.gone::<Secret>("a-join").await;
    assert!(arena.slot(1).open, "the end of the one before touches nothing");
    arena.assert_rules([1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_hangs_holds_up_no_end() {
    let (arena, apiserver) = failing("hanging", quick()).await;
    arena.ready_bridge(json!({})).await;
    let end = Timestamp::now().checked_add(SignedDuration::from_secs(6)).unwrap();
    arena.create_meeting("m", json!({ "start": in_ms(-500), "end": end.to_string() })).await;
    arena.says("m", "Ready", "True", "Active").await;
    let held = apiserver.add(MEETING_STATUS, None, Failure::Hold);
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Renamed" } })).await;
    held.until(1).await;
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open).await;
    let late = Timestamp::now().duration_since(end);
    assert!(late < SignedDuration::from_millis(2500), "{late:?}");
    held.lift();
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    arena.phase("m", Phase::Ended).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_watch_is_noticed() {
    let settings = Settings { watch_limit: std::time::Duration::from_secs(1), ..quick() };
    let (mut arena, apiserver) = (Arena::quiet("silent", lone(), settings).await, Failing::default());
    let mute = apiserver.add_times(1, WATCH_MEETINGS, None, Failure::Mute);
    apiserver.start(&mut arena).await;
    arena.ready_bridge(json!({})).await;
    mute.until(1).await;
    arena.create_meeting("m", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.booked("m").await;
    arena.finish().await;
}

/// The watch does not tell of the edit; the refused write does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_conflict_the_object_is_read_anew() {
    let (mut arena, apiserver) = (Arena::quiet("anew", lone(), quick()).await, Failing::default());
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    arena.open_now("m", 600, json!({})).await;
    apiserver.add(WATCH_MEETINGS, None, Failure::Mute);
    let conflict = apiserver.add(MEETING_STATUS, Some("m"), Failure::Hold);
    apiserver.start(&mut arena).await;
    conflict.until(1).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Newer" } })).await;
    conflict.lift();
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!(arena.slot(1).name, "Newer");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Nothing is begun for an object without our finalizer; what was begun goes on; one that may not go says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_finalizer_is_told() {
    let (arena, apiserver) = failing("untied", quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("before", 600, desk(1)).await;
    arena.says("before", "Ready", "True", "Active").await;
    let refused = apiserver.add(PATCH_MEETING, None, Failure::Refuse(403, "Forbidden", "a policy says no"));
    let failed = apiserver.add(PATCH_BRIDGE, None, Failure::Refuse(500, "InternalError", "a webhook is away"));
    let later = json!({ "start": in_ms(3_600_000), "duration": "1h" });
    arena.create_meeting("m", later).await;
    let told = arena.says("m", "Ready", "False", "FinalizerRefused").await;
    assert!(message(&told, "Ready").contains("a policy says no"), "{}", message(&told, "Ready"));
    assert_eq!(condition(&told, "Accepted"), ("False", "FinalizerRefused"));
    assert!(status_of(&told).slot.is_none());
    arena.create_bridge("second", json!({})).await;
    arena.bridge("second", "told", |bridge| condition(bridge, "Ready") == ("False", "FinalizerRefused")).await;
    arena.patch::<ScheduledMeeting>("before", json!({ "metadata": { "finalizers": [] } })).await;
    arena.says("before", "Ready", "False", "FinalizerRefused").await;
    arena.patch::<ScheduledMeeting>("before", json!({ "spec": { "title": "Renamed" } })).await;
    arena.await_sim("renamed", |sim| slot_of(sim, 1).name == "Renamed").await;
    [&refused, &failed].iter().for_each(|trouble| trouble.lift());
    let touched = json!({ "metadata": { "labels": { "try": "again" } } });
    for name in ["m", "before"] {
        arena.patch::<ScheduledMeeting>(name, touched.clone()).await;
    }
    arena.says("before", "Ready", "True", "Active").await;
    arena.booked("m").await;
    let refused = apiserver.add(PATCH_MEETING, Some("m"), Failure::Refuse(403, "Forbidden", "a policy says no"));
    arena.delete::<ScheduledMeeting>("m").await;
    arena.says("m", "Ready", "False", "FinalizerRefused").await;
    refused.lift();
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "labels": { "try": "more" } } })).await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// It cannot be booked, so it keeps nobody from a slot, however old it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_finalizer_is_refused_holds_no_slot() {
    let (arena, apiserver) = failing("no-slot", quick()).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let refusal = Failure::Refuse(403, "Forbidden", "a policy says no");
    let refused = apiserver.add(PATCH_MEETING, Some("older"), refusal);
    let later = || json!({ "start": in_ms(3_600_000), "duration": "1h" });
    arena.create_meeting("older", later()).await;
    arena.says("older", "Accepted", "False", "FinalizerRefused").await;
    a_second_later().await;
    arena.create_meeting("next", later()).await;
    assert_eq!(number_of(&arena.booked("next").await), 1);
    refused.lift();
    arena.patch::<ScheduledMeeting>("older", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    arena.says("older", "Accepted", "False", "NoFreeSlot").await;
    arena.delete::<ScheduledMeeting>("next").await;
    assert_eq!(number_of(&arena.booked("older").await), 1);
    arena.assert_rules([1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rights_on_secrets_who_needs_one_says_so_and_the_others_go_on() {
    let (arena, apiserver) = failing("rights", quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("running", 600, desk(1)).await;
    arena.says("running", "Ready", "True", "Active").await;
    let forbidden = || Failure::Refuse(403, "Forbidden", "may not get resource secrets");
    let troubles = [READ_SECRET, WATCH_SECRETS].map(|what| apiserver.add(what, None, forbidden()));
    arena.create_bridge("second", json!({})).await;
    let told = ("False", "SecretUnreadable");
    let second = arena.bridge("second", "told", |bridge| condition(bridge, "CredentialsValid") == told).await;
    assert!(message(&second, "Ready").contains("may not get resource secrets"));
    assert_eq!((condition(&second, "Stalled").0, condition(&second, "Reachable").0), ("True", "Unknown"));
    arena.open_now("m", 600, json!({})).await;
    arena.says("m", "Ready", "False", "JoinSecretRefused").await;
    arena.patch::<ScheduledMeeting>("running", json!({ "spec": { "title": "Renamed" } })).await;
    arena.await_sim("renamed", |sim| slot_of(sim, 1).name == "Renamed").await;
    arena.bridge("core", "still ready", |bridge| condition(bridge, "Ready") == ("True", "Ready")).await;
    troubles.iter().for_each(|trouble| trouble.lift());
    arena.bridge("second", "credentials", |bridge| condition(bridge, "CredentialsValid").0 == "True").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_no_list_that_is_never_answered() {
    let (arena, apiserver) = (Arena::quiet("stop-early", lone(), quick()).await, Failing::default());
    let list = apiserver.add(LIST_MEETINGS, None, Failure::Hold);
    let candidacy = arena.candidacy(arena.plane.client().await.unwrap(), "a", SHORT);
    for (stopped, candidacy) in [None, Some(candidacy)].into_iter().enumerate() {
        let client = apiserver.client(&arena).await;
        let (prepared, controller) = arena.controller_as(client, Some(arena.namespace.clone()), candidacy);
        let running = prepared.run_by(tokio::spawn(controller.run()));
        list.until(stopped + 1).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_meeting_is_booked_anew_although_its_join_secret_stays() {
    let (arena, apiserver) = failing("moved", quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 3_600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    let refused = apiserver.add(("DELETE", "secrets", None), None, Failure::Refuse(403, "Forbidden", "a policy"));
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(7_200_000) } })).await;
    let moved = arena.phase("m", Phase::Scheduled).await;
    assert_eq!(condition(&moved, "Ready"), ("True", "Scheduled"));
    assert!(refused.hits() > 0 && !arena.slot(1).open && arena.sim.calls().is_empty());
    arena.event_about("m", "JoinSecretStays").await;
    arena.create_meeting("next", json!({ "start": in_ms(500), "duration": "1m" })).await;
    arena.phase("next", Phase::Active).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// What is refused is tried again after up to two minutes, but never past an instant of the meeting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_lets_nobody_sleep_past_an_opening_or_an_end() {
    let (arena, apiserver) = failing("refused", quick()).await;
    arena.ready_bridge(json!({})).await;
    let at = |seconds| Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
    let (end, start) = (at(14), at(17));
    arena.create_meeting("ends", json!({ "start": in_ms(-500), "end": end.to_string() })).await;
    arena.says("ends", "Ready", "True", "Active").await;
    arena.create_meeting("starts", json!({ "start": start.to_string(), "duration": "10m" })).await;
    arena.booked("starts").await;
    let refusal = || Failure::Refuse(422, "Invalid", "a policy says no");
    let of = |name| apiserver.add(MEETING_STATUS, Some(name), refusal());
    let (ends, starts) = (of("ends"), of("starts"));
    for name in ["ends", "starts"] {
        arena.patch::<ScheduledMeeting>(name, json!({ "spec": { "title": "Renamed" } })).await;
    }
    tokio::join!(ends.until(1), starts.until(1));
    // Once more when it is prepared: without its intent being stored nothing is opened.
    starts.until(2).await;
    starts.lift();
    arena.await_sim("shut", |sim| sim.spaces().iter().all(|space| !space.open)).await;
    let late = Timestamp::now().duration_since(end);
    assert!(late < SignedDuration::from_millis(2500), "shut {late:?}");
    let open = status_of(&arena.phase("starts", Phase::Active).await);
    let late = open.opened_at.unwrap().0.duration_since(start);
    assert!(late < SignedDuration::from_millis(2500), "opened {late:?}");
    ends.lift();
    arena.patch::<ScheduledMeeting>("ends", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    arena.phase("ends", Phase::Ended).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A webhook hangs for others: their passes have every place, and their calls every turn at the apiserver.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_needs_no_place_that_others_could_have() {
    let (arena, apiserver) = failing("places", quick()).await;
    arena.ready_bridge(json!({})).await;
    let start = Timestamp::now().checked_add(SignedDuration::from_secs(12)).unwrap();
    arena.create_meeting("due", json!({ "start": start.to_string(), "duration": "10m" })).await;
    arena.booked("due").await;
    let names: Vec<String> = (0..80).map(|n| format!("held-{n}")).collect();
    let held: Vec<_> = names.iter().map(|name| apiserver.add(PATCH_MEETING, Some(name), Failure::Hold)).collect();
    for name in &names {
        arena.create_meeting(name, json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    }
    let hits = || held.iter().map(|trouble| trouble.hits()).sum::<usize>();
    while hits() < 32 {
        // Nobody tells of a sum; each of the held ones tells only of itself.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(Timestamp::now() < start, "they hang before it is due");
    let open = status_of(&arena.phase("due", Phase::Active).await);
    let late = open.opened_at.unwrap().0.duration_since(start);
    println!("opened {late:?} after its instant");
    assert!(late < SignedDuration::from_secs(2), "{late:?}");
    held.iter().for_each(|trouble| trouble.lift());
    arena.finish().await;
}

/// Whichever write of what was made fails: the next pass knows it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_on_a_bridge_is_not_looked_for_because_it_could_not_be_stored() {
    let refusals = [Failure::Refuse(409, "Conflict", "the object has been modified"), DOWN];
    // Profiles meant, both made, a set meant, made, its sync begun.
    let each = (0..6).map(|nth| {
        let refusal = refusals[nth % 2].clone();
        async move {
            let (mut arena, apiserver) = (Arena::quiet("unstored", lone(), patient()).await, Failing::default());
            let refused = apiserver.add_some(nth, 1, BRIDGE_STATUS, None, refusal);
            apiserver.start(&mut arena).await;
            arena.ready_bridge(json!({})).await;
            assert_eq!(refused.hits(), 1, "{nth}");
            let made = ["callProfiles", "callLegProfiles", "cospaceBulkParameterSets", "cospaceBulkSyncs"];
            let journal = arena.sim.journal();
            let asked: Vec<_> =
                made.iter().map(|route| (count(&journal, "POST", route), count(&journal, "GET", route))).collect();
            // Of two profiles that were meant one is made; whether the other one is as well is looked up.
            let looks = [0, usize::from(nth == 1), 0, 0];
            assert_eq!(asked, looks.map(|looks| (1, looks)), "{nth}: {:#?}", arena.journal_lines());
            arena.assert_rules(1..=5);
            arena.finish().await;
        }
    });
    futures::future::join_all(each).await;
}
