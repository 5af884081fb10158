//! The crash sweep: a few scenarios that together make every kind of request, each run again once per request with the
//! controller killed before it or after its effect, then a fresh controller; or with its reply lost. The
//! end must be the same and the checker silent (docs/proof.md). `SWEEP=all cargo test -p it sweep::` runs the full set.
//! With a second replica that takes over, the same stands in `takeover.rs`.

use std::fmt::Debug;
use std::panic::AssertUnwindSafe;

use cms_simulator::{Config, Fault, FaultKind, Handle};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use meeting_controller::api::meeting::{CallBinding, ParticipantState, Phase};
use meeting_controller::api::series::OccurrenceState;
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::access::method;
use crate::bridge_kit::*;
use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;
use crate::series::{listed, local};
use crate::strike::{Counter, DURING, Moment};

/// So many worlds at a time.
const AT_ONCE: usize = 6;

/// Blows for each scenario and kind of blow in the ordinary test run.
const SAMPLE: usize = 2;

/// What happens, once, in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The controller dies at this request to the bridge.
    Bridge(usize, Moment),
    /// The reply to this request is lost; the controller lives.
    Reply(usize),
    /// The controller dies at this request to the apiserver.
    Kube(usize, Moment),
    /// The apiserver carries this request out, and its reply is lost; the controller lives.
    KubeReply(usize),
}

type Act = for<'a> fn(&'a Arena) -> BoxFuture<'a, ()>;

/// Something a user does, from a settled world to the end that has to come.
pub struct Scenario {
    pub name: &'static str,
    pub config: fn() -> Config,
    pub prepare: Act,
    pub act: Act,
}

static SCENARIOS: [Scenario; 10] = [
    Scenario {
        name: "setup",
        config: lone,
        prepare: |arena| arena.connect().boxed(),
        act: |arena| set_up(arena).boxed(),
    },
    Scenario { name: "life", config: lone, prepare: |arena| ready(arena).boxed(), act: |arena| life(arena).boxed() },
    Scenario {
        name: "delete",
        config: lone,
        prepare: |arena| running(arena).boxed(),
        act: |arena| delete(arena).boxed(),
    },
    Scenario {
        name: "remove",
        config: lone,
        prepare: |arena| running(arena).boxed(),
        act: |arena| remove(arena).boxed(),
    },
    Scenario {
        name: "resize",
        config: lone,
        prepare: |arena| ready(arena).boxed(),
        act: |arena| resize(arena).boxed(),
    },
    Scenario {
        name: "profile",
        config: lone,
        prepare: |arena| ready(arena).boxed(),
        act: |arena| profile(arena).boxed(),
    },
    Scenario {
        name: "wishes",
        config: lone,
        prepare: |arena| ready(arena).boxed(),
        act: |arena| wishes(arena).boxed(),
    },
    Scenario {
        name: "failover",
        config: three,
        prepare: |arena| on_three(arena).boxed(),
        act: |arena| fail_over(arena).boxed(),
    },
    Scenario {
        name: "evacuate",
        config: three,
        prepare: |arena| on_three(arena).boxed(),
        act: |arena| evacuate(arena).boxed(),
    },
    Scenario {
        name: "series",
        config: lone,
        prepare: |arena| ready(arena).boxed(),
        act: |arena| series(arena).boxed(),
    },
];

async fn ready(arena: &Arena) {
    arena.ready_bridge(json!({})).await;
}

async fn running(arena: &Arena) {
    ready(arena).await;
    open_with_desk(arena).await;
}

async fn on_three(arena: &Arena) {
    arena.ready_bridge(json!({ "failover": arena.alternates() })).await;
    arena.all_reachable().await;
    open_with_desk(arena).await;
}

async fn open_with_desk(arena: &Arena) {
    arena.open_now("m", 600, json!({ "participants": [{ "remoteParty": DESK }] })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.says("m", "Ready", "True", "Active").await;
}

async fn set_up(arena: &Arena) {
    arena.create_bridge("core", json!({})).await;
    arena.ready("core").await;
    assert_eq!(slot_numbers(arena), [1, 2, 3, 4, 5]);
    arena.sim.clear_faults();
    for collection in ["callProfiles", "callLegProfiles", "cospaceBulkParameterSets"] {
        assert_eq!(arena.total(collection).await, 1, "{collection}");
    }
}

async fn life(arena: &Arena) {
    let parties: Vec<Value> = (1..=3).map(|n| json!({ "remoteParty": format!("room{n}@rooms.test") })).collect();
    let made =
        arena.create_meeting("m", json!({ "start": in_ms(200), "duration": "10m", "participants": parties })).await;
    let everybody_in = |m: &ScheduledMeeting| {
        let parties = status_of(m).participants;
        parties.len() == 3 && parties.iter().all(|party| party.state == ParticipantState::Connected)
    };
    arena.meeting("m", "everybody in", everybody_in).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "duration": "20m" } })).await;
    let later = made.spec.start.0 + jiff::SignedDuration::from_mins(20);
    arena.meeting("m", "extended", |m| status_of(m).window.is_some_and(|window| window.closes_at.0 == later)).await;
    arena.end_now("m").await;
    let ended = arena.phase("m", Phase::Ended).await;
    assert_eq!(condition(&ended, "Ready"), ("True", "Ended"));
    assert_eq!(arena.sim.dials().len(), 3, "one ring each: {:#?}", arena.sim.dials());
    assert_eq!(arena.sim.evidence().calls.len(), 1, "one call");
    all_shut(arena).await;
}

async fn delete(arena: &Arena) {
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    all_shut(arena).await;
}

/// Nothing is open, and no call is there.
async fn all_closed(arena: &Arena) {
    arena
        .await_sim("all shut", |sim| {
            sim.calls().is_empty() && sim.spaces().iter().all(|space| !space.open && space.cdr_tag.is_none())
        })
        .await;
}

/// And the details that opened the door are gone.
async fn all_shut(arena: &Arena) {
    all_closed(arena).await;
    arena.gone::<k8s_openapi::api::core::v1::Secret>("m-join").await;
}

async fn remove(arena: &Arena) {
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert_eq!(arena.sim.spaces(), [], "nothing of ours is left");
    arena.sim.clear_faults();
    for collection in ["callProfiles", "callLegProfiles", "cospaceBulkParameterSets"] {
        assert_eq!(arena.total(collection).await, 0, "{collection}");
    }
}

async fn resize(arena: &Arena) {
    for quantity in [8, 3] {
        let patch = json!({ "spec": { "slots": { "quantity": quantity } } });
        let patched = arena.patch::<MeetingBridge>("core", patch).await.metadata.generation;
        let is_done = |b: &MeetingBridge| b.observed() == patched && is_ready(b) && slots_of(b).total == quantity;
        arena.bridge("core", &format!("{quantity} slots"), is_done).await;
        let wanted: Vec<u32> = (1..=quantity).collect();
        arena.await_sim(&format!("{quantity} spaces"), |_| slot_numbers(arena) == wanted).await;
    }
}

async fn profile(arena: &Arena) {
    let patch = json!({ "spec": { "profiles": { "call": { "participantLimit": 77 } } } });
    let patched = arena.patch::<MeetingBridge>("core", patch).await.metadata.generation;
    arena.bridge("core", "Ready with the new profile", |b| b.observed() == patched && is_ready(b)).await;
    arena.sim.clear_faults();
    assert_eq!(arena.total("callProfiles").await, 1);
    let shown = arena.ask(reqwest::Method::GET, "callProfiles", "").await;
    assert!(shown.contains("<participantLimit>77</participantLimit>"), "{shown}");
}

/// Settings of its own, a way in for hosts, and a list of participants that is edited while the meeting runs.
async fn wishes(arena: &Arena) {
    arena.codes().await;
    let own = arena.slot(1).fields;
    let party = |name: &str| json!({ "remoteParty": format!("{name}@rooms.test"), "name": name, "importance": 3 });
    let spec = json!({
        "start": in_ms(200), "duration": "10m", "participants": [party("a"), party("b")],
        "removedParticipants": "Disconnect", "accessMethods": [method("host", "Host"), method("press", "Guest")],
        "settings": { "layout": "stacked", "participantLimit": 9, "encryption": "Required" }
    });
    arena.create_meeting("m", spec).await;
    let are_in = |count: usize| {
        move |m: &ScheduledMeeting| {
            let parties = status_of(m).participants;
            parties.len() == count && parties.iter().all(|party| party.state == ParticipantState::Connected)
        }
    };
    arena.meeting("m", "both in", are_in(2)).await;
    arena.says("m", "SettingsApplied", "True", "Applied").await;
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    assert_eq!(arena.slot(1).access_methods.len(), 2);
    let patch = json!({ "spec": { "participants": [party("a")], "accessMethods": [method("host", "Host")] } });
    arena.patch::<ScheduledMeeting>("m", patch).await;
    arena.meeting("m", "one in", are_in(1)).await;
    arena.await_sim("one way in", |sim| slot_of(sim, 1).access_methods.len() == 1).await;
    arena.await_sim("one leg", |sim| sim.legs().len() == 1).await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    assert_eq!(arena.sim.dials().len(), 2, "one ring each: {:#?}", arena.sim.dials());
    all_shut(arena).await;
    assert!(arena.slot(1).access_methods.is_empty());
    let is_clean = |b: &MeetingBridge| b.status.as_ref().is_some_and(|status| status.settings_profiles.is_empty());
    arena.bridge("core", "no profiles for settings", is_clean).await;
    arena.sim.clear_faults();
    for collection in ["callProfiles", "callLegProfiles"] {
        assert_eq!(arena.total(collection).await, 1, "{collection}");
    }
    for field in ["callProfile", "callLegProfile"] {
        assert_eq!(arena.slot(1).fields.get(field), own.get(field), "{field}");
    }
}

async fn fail_over(arena: &Arena) {
    arena.sim.stop_bridge(0);
    arena.call_on("m", 1).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.await_sim("in once", |sim| legs_to(sim, DESK) == [1]).await;
    arena.sim.start_bridge(0);
    arena.all_reachable().await;
    arena.await_sim("one call", |sim| hosts_of(sim, 1) == [1]).await;
    assert_eq!(legs_to(&arena.sim, DESK), [1]);
}

/// A call bridge is worked on: its meeting moves before it is gone, and stays where it is when the work is done.
async fn evacuate(arena: &Arena) {
    let primary = arena.sim.address(0);
    arena.maintain(json!([{ "callBridge": primary, "mode": "Evacuate" }])).await;
    // To whichever of the others is known to be good first.
    let elsewhere = |call: Box<CallBinding>| call.call_bridge != primary;
    arena.meeting("m", "on another call bridge", |m| status_of(m).call.is_some_and(elsewhere)).await;
    arena.party("m", ParticipantState::Connected).await;
    let is_moved = |sim: &Handle| {
        let hosts = hosts_of(sim, 1);
        hosts.len() == 1 && hosts != [0] && legs_to(sim, DESK) == hosts
    };
    arena.await_sim("in once", is_moved).await;
    let hosts = hosts_of(&arena.sim, 1);
    arena.maintain(json!([])).await;
    let in_service =
        |b: &MeetingBridge| is_ready(b) && call_bridge(b, &primary).is_some_and(|shown| shown.maintenance.is_none());
    arena.bridge("core", "in service", in_service).await;
    assert_eq!((hosts_of(&arena.sim, 1), legs_to(&arena.sim, DESK)), (hosts.clone(), hosts));
}

/// A series of which one occurrence runs, one is edited, one is deleted, and the others follow the template.
async fn series(arena: &Arena) {
    use OccurrenceState::{Created, Deleted, Edited};
    arena.create_series("daily", json!({ "start": local(8), "horizon": "73h" })).await;
    let names = listed(&arena.series_says("daily", "Ready", "True", "Ready").await);
    arena.meeting(&names[0], "Active", |m| condition(m, "Ready") == ("True", "Active")).await;
    arena.patch::<ScheduledMeeting>(&names[1], json!({ "spec": { "earlyJoin": "5m" } })).await;
    arena.delete::<ScheduledMeeting>(&names[2]).await;
    arena.states("daily", &[Created, Edited, Deleted, Created]).await;
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "template": { "spec": { "title": "Another" } } } })).await;
    arena
        .meeting(&names[3], "renamed", |m| m.spec.title == "Another" && condition(m, "SlotReserved").0 == "True")
        .await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.states("daily", &[Created, Edited, Deleted, Created]).await;
    let there = arena.occurrences("daily").await;
    let titles: Vec<_> = there.values().map(|m| (m.spec.title.as_str(), m.spec.early_join.is_some())).collect();
    assert_eq!(titles, [("Daily", false), ("Daily", true), ("Another", false)]);
    arena.end_now(&names[0]).await;
    arena.phase(&names[0], Phase::Ended).await;
    assert_eq!(arena.sim.evidence().calls.len(), 1, "one call");
    all_closed(arena).await;
}

/// Requests of a run to the bridge and to the apiserver, and whether the blow fell.
pub type Outcome = (usize, usize, bool);

/// Has this blow fall on what happens from now on: on the bridge, or on who has this counter.
pub fn aim(arena: &Arena, counter: &Counter, blow: Option<Blow>) {
    arena.sim.clear_journal();
    let fault = match blow {
        Some(Blow::Bridge(index, Moment::Before)) => Some((index, FaultKind::HangBefore)),
        Some(Blow::Bridge(index, Moment::During)) => Some((index, FaultKind::Latency { delay: DURING })),
        Some(Blow::Bridge(index, Moment::After | Moment::Lost)) => Some((index, FaultKind::HangAfter)),
        Some(Blow::Reply(index)) => Some((index, FaultKind::ResetAfter)),
        _ => None,
    };
    if let Some((index, kind)) = fault {
        arena.sim.add_fault(Fault::new(kind).skip(u32::try_from(index).unwrap()).once());
    }
    counter.arm(match blow {
        Some(Blow::Kube(index, moment)) => Some((index, moment)),
        Some(Blow::KubeReply(index)) => Some((index, Moment::Lost)),
        _ => None,
    });
}

pub fn struck_by_sim(arena: &Arena) -> bool {
    arena.sim.faults().first().is_some_and(|fault| fault.struck > 0)
}

/// Waits until a blow falls that somebody does not survive.
pub async fn fell(arena: &Arena, counter: &Counter, blow: Option<Blow>) {
    match blow {
        Some(Blow::Kube(..)) => counter.struck().await,
        Some(Blow::Bridge(..)) => {
            let _ = arena.sim.await_journal(|_| struck_by_sim(arena), 10 * PATIENCE).await;
        }
        _ => std::future::pending().await,
    }
}

async fn run(scenario: &Scenario, blow: Option<Blow>) -> Outcome {
    let arena = Arena::quiet(&format!("sweep-{}", scenario.name), (scenario.config)(), quick()).await;
    let counter = Counter::new();
    let client = || async { arena.plane.client().await.expect("client") };
    let mut running = arena.run_as(counter.client(client().await), Some(arena.namespace.clone()), None).await;
    (scenario.prepare)(&arena).await;
    aim(&arena, &counter, blow);
    let mut act = (scenario.act)(&arena);
    let killed = tokio::select! {
        () = &mut act => false,
        () = fell(&arena, &counter, blow) => true,
    };
    let struck = killed || struck_by_sim(&arena) || counter.was_struck();
    if killed {
        running.kill().await;
        arena.sim.clear_faults();
        running = arena.run_as(client().await, Some(arena.namespace.clone()), None).await;
        act.await;
    }
    arena.assert_rules(1..=8);
    let counts = (arena.sim.journal().len(), counter.count());
    running.stop().await;
    (counts.0, counts.1, struck)
}

/// Every blow of this moment that can fall in a scenario of so many requests.
pub fn each(requests: usize, moments: &[Moment], blow: fn(usize, Moment) -> Blow) -> Vec<Blow> {
    (0..requests).flat_map(|index| moments.iter().map(move |moment| blow(index, *moment))).collect()
}

/// Runs each scenario without a blow, to count its requests, then once for each blow: for all of them, or for `sample`
/// of each kind.
pub async fn survive<Blows: Copy + Debug, Run: Future<Output = Outcome>>(
    run: impl Fn(&'static Scenario, Option<Blows>) -> Run,
    kinds: impl Fn(usize, usize) -> Vec<Vec<Blows>>,
    sample: usize,
) {
    let full = std::env::var("SWEEP").is_ok_and(|set| set == "all");
    let [only, only_blow] = ["SWEEP_ONLY", "SWEEP_BLOW"].map(|name| std::env::var(name).unwrap_or_default());
    let chosen = SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only));
    let counted = stream::iter(chosen).map(|scenario| run(scenario, None).map(move |outcome| (scenario, outcome)));
    let counted: Vec<_> = counted.buffered(AT_ONCE).collect().await;
    let mut random = StdRng::seed_from_u64(9);
    let mut plan = Vec::new();
    for (scenario, (bridge, kube, _)) in counted {
        println!("{}: {bridge} requests to the bridge, {kube} to the apiserver", scenario.name);
        for kind in kinds(bridge, kube) {
            let kind: Vec<_> = kind.into_iter().filter(|blow| format!("{blow:?}").contains(&only_blow)).collect();
            let some = if full { kind } else { kind.sample(&mut random, sample).copied().collect() };
            plan.extend(some.into_iter().map(|blow| (scenario, blow)));
        }
    }
    let runs = stream::iter(&plan).map(|(scenario, blow)| {
        AssertUnwindSafe(run(scenario, Some(*blow))).catch_unwind().map(move |result| {
            if result.is_err() {
                println!("NOT SURVIVED: {} {blow:?}", scenario.name);
            }
            result.ok().map(|(_, _, struck)| struck)
        })
    });
    let results: Vec<Option<bool>> = runs.buffer_unordered(AT_ONCE).collect().await;
    let survived = results.iter().flatten().count();
    let fell = results.iter().filter(|result| **result == Some(true)).count();
    println!("tried {}, fell {fell}, survived {survived}", plan.len());
    assert_eq!(survived, plan.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_at_whichever_request_the_end_is_the_same() {
    const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];
    let kinds = |bridge: usize, kube: usize| {
        let replies = (0..bridge).map(Blow::Reply).collect();
        let of_apiserver = (0..kube).map(Blow::KubeReply).collect();
        vec![each(bridge, &MOMENTS, Blow::Bridge), replies, each(kube, &MOMENTS, Blow::Kube), of_apiserver]
    };
    survive(run, kinds, SAMPLE).await;
}
