//! The spec walk: random legal and illegal edits of both kinds, ending with a known spec. The end must be the same as if
//! only that spec had been applied (Acto, SOSP 2023). `WALKS=100 cargo test -p it walk::` takes many; a seed is a walk.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;

use cms_simulator::Handle;
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::*;

/// So many walks at a time.
const AT_ONCE: usize = 5;

/// Edits of one walk.
const STEPS: usize = 14;

fn seeds() -> Range<u64> {
    0..std::env::var("WALKS").ok().and_then(|count| count.parse().ok()).unwrap_or(5)
}

/// An edit: the object, a merge patch, and whether the apiserver has to take it.
type Edit = (&'static str, Value, bool);

/// The spec in which every walk ends, field by field, so that it undoes whatever an edit of `bridge_edit` did.
fn last_of_bridge() -> Value {
    json!({
        "displayName": "Core", "suspend": false, "managementPolicy": "Enforce",
        "slots": { "base": 1, "quantity": 5 },
        "profiles": { "call": { "participantLimit": 50 }, "callLeg": { "muteSelfAllowed": true } },
        "scheduling": { "allowBooking": true, "allowIncomingSIP": true, "allowOutgoingSIP": true, "preference": 0 },
        "webBridgeURI": "https://join.meet.test"
    })
}

fn bridge_edit(random: &mut StdRng) -> Edit {
    let limit = random.random_range(1..100);
    let (legal, patch) = match random.random_range(0..13) {
        0 => (true, json!({ "slots": { "quantity": random.random_range(2..9) } })),
        1 => (true, json!({ "slots": { "base": *[1, 3].choose(random).unwrap() } })),
        2 => (true, json!({ "displayName": format!("Core {limit}") })),
        3 => (true, json!({ "profiles": { "call": { "participantLimit": limit } } })),
        4 => (true, json!({ "profiles": { "callLeg": { "muteSelfAllowed": random.random_bool(0.5) } } })),
        5 => (true, json!({ "managementPolicy": *["Enforce", "Observe"].choose(random).unwrap() })),
        6 => (true, json!({ "suspend": random.random_bool(0.5) })),
        7 => (true, json!({ "scheduling": { "allowBooking": random.random_bool(0.5) } })),
        8 => (true, json!({ "scheduling": { "allowOutgoingSIP": random.random_bool(0.5) } })),
        9 => (true, json!({ "webBridgeURI": null })),
        10 => (false, json!({ "slots": { "quantity": 0 } })),
        11 => (false, json!({ "address": "https://cms.example.com/api" })),
        _ => (false, json!({ "managementPolicy": "Sometimes" })),
    };
    ("core", json!({ "spec": patch }), legal)
}

/// Of the meeting that runs: everything but its start.
fn running_edit(random: &mut StdRng) -> Edit {
    let (legal, patch) = match random.random_range(0..6) {
        0 => (true, json!({ "title": format!("Title {}", random.random_range(0..9)) })),
        1 => (true, json!({ "duration": format!("{}m", random.random_range(30..90)) })),
        2 => (true, json!({ "participants": [{ "remoteParty": "a@rooms.test" }, { "remoteParty": "b@rooms.test" }] })),
        3 => (true, json!({ "passcode": { "generate": { "digits": random.random_range(4..9) } } })),
        4 => (false, json!({ "end": in_ms(-7_200_000), "duration": null })),
        _ => (false, json!({ "title": "x".repeat(5_000) })),
    };
    ("now", json!({ "spec": patch }), legal)
}

/// Of the meeting that has not begun: anything.
fn waiting_edit(random: &mut StdRng) -> Edit {
    let start = in_ms(random.random_range(3_600_000..9_000_000));
    let patch = match random.random_range(0..4) {
        0 | 1 => json!({ "start": start, "duration": format!("{}m", random.random_range(1..300)) }),
        2 => json!({ "suspend": random.random_bool(0.5) }),
        _ => json!({ "earlyJoin": format!("{}m", random.random_range(0..30)) }),
    };
    ("later", json!({ "spec": patch }), true)
}

async fn edit(arena: &Arena, (name, patch, legal): &Edit) {
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let taken = match *name {
        "core" => arena.api::<MeetingBridge>().patch(name, &params, &patch).await.map(|_| ()),
        _ => arena.api::<ScheduledMeeting>().patch(name, &params, &patch).await.map(|_| ()),
    };
    assert_eq!(taken.is_ok(), *legal, "{name}: {patch:?}: {taken:?}");
}

async fn begin(arena: &Arena) {
    arena.ready_bridge(last_of_bridge()).await;
    arena.open_now("now", 3600, json!({ "participants": [{ "remoteParty": "a@rooms.test" }] })).await;
    arena.phase("now", Phase::Active).await;
    arena.create_meeting("later", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
}

/// What everybody sees at the end, without what differs from run to run.
#[derive(Debug, PartialEq)]
struct World {
    /// Name, open, passcode of each slot.
    slots: BTreeMap<String, (String, bool, bool)>,
    profiles: Vec<String>,
    calls: usize,
    legs: Vec<String>,
    conditions: BTreeMap<String, (String, String)>,
}

async fn world(arena: &Arena) -> World {
    let slot = |space: cms_simulator::SpaceView| {
        (space.call_id.unwrap_or_default(), (space.name, space.open, space.passcode.is_some()))
    };
    let mut profiles = Vec::new();
    for collection in ["callProfiles", "callLegProfiles"] {
        let list = arena.ask(reqwest::Method::GET, collection, "").await;
        let id = list.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let one = arena.ask(reqwest::Method::GET, &format!("{collection}/{id}"), "").await;
        profiles.push(one.replace(id, ""));
    }
    let mut conditions = BTreeMap::new();
    let mut note = |object: &dyn Fn() -> (String, Vec<meeting_controller::api::Condition>)| {
        let (name, all) = object();
        for condition in all {
            // How the call came to be there is history: a status that an edit refused makes a Created one Adopted.
            let is_history = condition.type_ == "CallPresent" && condition.status == "True";
            let reason = if is_history { String::new() } else { condition.reason.to_string() };
            let said = (condition.status.to_string(), reason);
            conditions.insert(format!("{name} {}", condition.type_), said);
        }
    };
    let core: MeetingBridge = arena.api().get("core").await.unwrap();
    note(&|| (core.name_any(), core.conditions().to_vec()));
    for name in ["now", "later"] {
        let meeting: ScheduledMeeting = arena.api().get(name).await.unwrap();
        note(&|| (meeting.name_any(), meeting.conditions().to_vec()));
    }
    World {
        slots: arena.sim.spaces().into_iter().map(slot).collect(),
        profiles,
        calls: arena.sim.calls().len(),
        legs: legs(&arena.sim),
        conditions,
    }
}

/// Who is in, of those that the last spec names; whoever an earlier one named is not thrown out (docs/api.md).
fn legs(sim: &Handle) -> Vec<String> {
    let named = |party: &String| party != "b@rooms.test";
    let mut legs: Vec<_> = sim.legs().into_iter().map(|leg| leg.remote_party).filter(named).collect();
    legs.sort();
    legs
}

/// The known end: applied, and waited for.
async fn end(arena: &Arena) -> World {
    edit(arena, &("core", json!({ "spec": last_of_bridge() }), true)).await;
    let last = json!({ "spec": { "title": "The end", "duration": "2h", "passcode": { "generate": { "digits": 6 } },
        "participants": [{ "remoteParty": "a@rooms.test" }, { "remoteParty": "c@rooms.test" }] } });
    edit(arena, &("now", last, true)).await;
    let last = json!({ "spec": { "start": in_ms(7_200_000), "duration": "1h", "suspend": false, "earlyJoin": null } });
    edit(arena, &("later", last, true)).await;
    let judged = |object: &dyn Fn() -> (Option<i64>, Option<i64>)| {
        let (generation, observed) = object();
        generation == observed
    };
    arena.bridge("core", "at its end", |b| is_ready(b) && judged(&|| (b.metadata.generation, b.observed()))).await;
    let both_in = |m: &ScheduledMeeting| {
        let parties = status_of(m).participants;
        parties.len() == 2 && parties.iter().all(|party| party.state == ParticipantState::Connected)
    };
    let is_good =
        |m: &ScheduledMeeting| condition(m, "Ready").0 == "True" && judged(&|| (m.metadata.generation, m.observed()));
    arena.meeting("now", "at its end", |m| both_in(m) && is_good(m) && condition(m, "Ready").1 == "Active").await;
    arena.meeting("later", "at its end", is_good).await;
    let named = |sim: &Handle| sim.spaces().iter().any(|space| space.name == "The end" && space.open);
    arena.await_sim("named", named).await;
    let numbers = |sim: &Handle| {
        let mut numbers: Vec<_> = sim.spaces().into_iter().filter_map(|space| space.call_id).collect();
        numbers.sort();
        numbers
    };
    arena.await_sim("five slots", |sim| numbers(sim) == ["1", "2", "3", "4", "5"]).await;
    world(arena).await
}

async fn walk(seed: Option<u64>) -> World {
    let arena = Arena::with("walk", lone(), quick()).await;
    begin(&arena).await;
    if let Some(seed) = seed {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..STEPS {
            let step = match random.random_range(0..3) {
                0 => bridge_edit(&mut random),
                1 => running_edit(&mut random),
                _ => waiting_edit(&mut random),
            };
            println!("walk {seed}: {} {}", step.0, step.1);
            edit(&arena, &step).await;
            // No event is waited for: edits that meet a pass half way are the point.
            tokio::time::sleep(std::time::Duration::from_millis(random.random_range(0..200))).await;
        }
    }
    let world = end(&arena).await;
    arena.assert_rules(1..=12);
    arena.finish().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_edited_before_the_last_spec_decides() {
    let expected = walk(None).await;
    let expected = &expected;
    let walks = stream::iter(seeds()).map(|seed| async move {
        match AssertUnwindSafe(walk(Some(seed))).catch_unwind().await {
            Ok(world) if world == *expected => None,
            Ok(world) => Some((seed, format!("{world:#?}"))),
            Err(_) => Some((seed, "never came to its end".to_owned())),
        }
    });
    let lost: Vec<_> = walks.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    println!("{} walks, {} came to the same end", seeds().count(), seeds().count() - lost.len());
    for (seed, world) in &lost {
        println!("walk {seed} ended with {world}\ninstead of {expected:#?}");
    }
    assert!(lost.is_empty(), "walks {:?}", lost.iter().map(|(seed, _)| seed).collect::<Vec<_>>());
}
