//! Participants: how each is dialled, how many ring at one time, and who is put into the list or taken out of it while the
//! meeting runs (R64, R66).

use std::time::Duration;

use cms_simulator::{Dial, EndpointScript, JournalEntry, UnknownParameter};
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::ParticipantState;
use serde_json::{Value, json};

use crate::cluster::three;
use crate::kit::*;
use crate::meetings::*;

const HOUR: Duration = Duration::from_secs(3600);

fn value<'a>(entry: &'a JournalEntry, field: &str) -> Option<&'a str> {
    entry.body.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
}

fn states(meeting: &ScheduledMeeting) -> Vec<ParticipantState> {
    status_of(meeting).participants.iter().map(|party| party.state).collect()
}

fn rooms(numbers: impl IntoIterator<Item = u32>) -> Value {
    numbers.into_iter().map(|n| json!({ "remoteParty": format!("room{n}@rooms.test") })).collect()
}

/// How many rang at one time, at most.
fn most_ringing(dials: &[Dial]) -> usize {
    let at = |(position, dial): (usize, &Dial)| {
        1 + dials[..position].iter().filter(|other| other.answered.is_none_or(|at| at > dial.at)).count()
    };
    dials.iter().enumerate().map(at).max().unwrap_or_default()
}

async fn edit(arena: &Arena, name: &str, spec: Value) {
    arena.patch::<ScheduledMeeting>(name, json!({ "spec": spec })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_dialled_as_the_spec_says() {
    let arena = Arena::with("party-how", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let long = "Zürich ".repeat(20);
    let parties = json!([
        { "remoteParty": "pin@rooms.test", "name": long, "dtmf": "1,23#", "layout": "speakerOnly" },
        { "remoteParty": "chair@rooms.test", "importance": 7 },
        { "remoteParty": "plain@rooms.test" }
    ]);
    arena.open_now("m", 600, json!({ "participants": parties })).await;
    arena.meeting("m", "all in", |m| states(m) == [ParticipantState::Connected; 3]).await;
    let journal = arena.sim.journal();
    let dials: Vec<_> = journal.iter().filter(|e| e.method == "POST" && e.route.starts_with("calls/{id}/")).collect();
    assert_eq!(dials.len(), 3, "{:#?}", arena.journal_lines());
    assert_eq!(fields(dials[0]), ["remoteParty", "dtmfSequence", "nameLabelOverride", "defaultLayout"]);
    assert_eq!(value(dials[0], "defaultLayout"), Some("speakerOnly"));
    let label = value(dials[0], "nameLabelOverride").expect("a label");
    assert!(label.len() <= 50 && label.starts_with("Zürich"), "{label}");
    assert_eq!((&*dials[1].route, fields(dials[1])), ("calls/{id}/participants", vec!["remoteParty", "importance"]));
    assert_eq!(fields(dials[2]), ["remoteParty"], "who has no wishes is dialled as the guide does");
    let sent: Vec<_> = arena.sim.dials().into_iter().map(|dial| dial.dtmf).collect();
    assert_eq!(sent, [vec!["1,23#".to_owned()], vec![], vec![]]);
    let chair = arena.sim.legs().into_iter().find(|leg| leg.remote_party.starts_with("chair")).expect("chair");
    assert_eq!(chair.fields.get("importance").map(String::as_str), Some("7"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_whoever_has_a_rank_is_dialled_by_the_call_bridge_of_the_call() {
    let arena = Arena::with("party-rank", three(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let parties = json!([{ "remoteParty": "chair@rooms.test", "importance": 7 }]);
    arena.open_now("m", 600, json!({ "participants": parties })).await;
    arena.party("m", ParticipantState::Connected).await;
    let dials = arena.sim.dials();
    assert_eq!((dials.len(), dials[0].bridge), (1, 0));
    let id = arena.sim.call_bridge_id(0);
    let journal = arena.sim.journal();
    let dial = journal.iter().find(|e| e.route == "calls/{id}/participants" && e.method == "POST").expect("a dial");
    assert_eq!(value(dial, "callBridge"), Some(&*id));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_bridge_is_sent_nothing_that_it_does_not_know() {
    let config = cms_simulator::Config { software_version: "2.1".to_owned(), ..lone() };
    let arena = Arena::with("party-old", config, quick()).await;
    arena.sim.update_switches(|s| s.unknown_parameter = UnknownParameter::Refused);
    arena.ready_bridge(json!({})).await;
    let parties = json!([{ "remoteParty": "desk@rooms.test", "name": "Desk", "importance": 7, "dtmf": "1" }]);
    arena.open_now("m", 600, json!({ "participants": parties })).await;
    arena.party("m", ParticipantState::Connected).await;
    let journal = arena.sim.journal();
    let dial = journal.iter().find(|e| e.method == "POST" && e.route == "calls/{id}/callLegs").expect("a dial");
    assert_eq!(fields(dial), ["remoteParty", "dtmfSequence"]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_ring_than_may_and_the_next_follow_in_order() {
    let arena = Arena::with("party-pace", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    for n in 1..=2 {
        arena.sim.script_endpoint(&format!("room{n}@rooms.test"), EndpointScript::Answers { after: HOUR });
    }
    arena.open_now("m", 600, json!({ "participants": rooms(1..=6), "ringsAtOnce": 3 })).await;
    use ParticipantState::{Connected, Ringing};
    // Two ring on for ever; the others go through the third place one after the other.
    let wanted = [Ringing, Ringing, Connected, Connected, Connected, Connected];
    arena.meeting("m", "four in", |m| states(m) == wanted).await;
    let dials = arena.sim.dials();
    let order: Vec<_> = dials.iter().map(|dial| dial.remote_party.clone()).collect();
    assert_eq!(order, (1..=6).map(|n| format!("room{n}@rooms.test")).collect::<Vec<_>>());
    assert_eq!(most_ringing(&dials), 3);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A town hall: each is called once, and all get in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_are_called_in_order_and_no_more_at_one_time_than_may() {
    let arena = Arena::with("party-hall", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("hall", 600, json!({ "participants": rooms(1..=200), "ringsAtOnce": 10 })).await;
    let all_in = |m: &ScheduledMeeting| {
        states(m).len() == 200 && states(m).iter().all(|state| *state == ParticipantState::Connected)
    };
    arena.meeting("hall", "two hundred in", all_in).await;
    let dials = arena.sim.dials();
    let order: Vec<_> = dials.iter().map(|dial| dial.remote_party.clone()).collect();
    assert_eq!(order, (1..=200).map(|n| format!("room{n}@rooms.test")).collect::<Vec<_>>());
    let ringing = most_ringing(&dials);
    assert!((2..=10).contains(&ringing), "{ringing} rang at one time");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_put_in_is_dialled_and_who_is_taken_out_is_disconnected_if_the_spec_says_so() {
    let arena = Arena::with("party-edit", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "participants": rooms(1..=3) })).await;
    arena.meeting("m", "three in", |m| states(m) == [ParticipantState::Connected; 3]).await;
    let parties = |arena: &Arena| {
        let mut parties: Vec<_> = arena.sim.legs().into_iter().map(|leg| leg.remote_party).collect();
        parties.sort();
        parties
    };
    let named = |numbers: &[u32]| numbers.iter().map(|n| format!("room{n}@rooms.test")).collect::<Vec<_>>();
    // By default who is taken out stays in.
    edit(&arena, "m", json!({ "participants": rooms([1, 2, 4]) })).await;
    let fourth = |m: &ScheduledMeeting| status_of(m).participants.iter().any(|p| p.remote_party.starts_with("room4"));
    let is_in = |m: &ScheduledMeeting| fourth(m) && states(m) == [ParticipantState::Connected; 3];
    arena.meeting("m", "the fourth in", is_in).await;
    arena.await_sim("four legs", |sim| sim.legs().len() == 4).await;
    assert_eq!(parties(&arena), named(&[1, 2, 3, 4]));
    edit(&arena, "m", json!({ "participants": rooms([4]), "removedParticipants": "Disconnect" })).await;
    arena.await_sim("two legs", |sim| sim.legs().len() == 2).await;
    assert_eq!(parties(&arena), named(&[3, 4]), "who was taken out before the switch was set stays");
    let left = arena.meeting("m", "forgotten", |m| states(m) == [ParticipantState::Connected]).await;
    assert_eq!(condition(&left, "ParticipantsDialed"), ("True", "AllConnected"));
    let ended: Vec<_> = arena.sim.dials().into_iter().filter_map(|dial| dial.reason).collect();
    assert_eq!(ended, ["apiInitiatedTeardown"; 2]);
    assert_eq!(arena.sim.dials().len(), 4, "one ring each");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
