//! Bridges that write, order and keep things in ways of their own (`Switches::drawn`): one life each, from a range to
//! provision to nothing left. `HABITS=200 cargo test -p it habits::` tries many.

use std::ops::Range;
use std::panic::AssertUnwindSafe;

use cms_simulator::{Config, Switches, UsageFilter};
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::*;

/// So many bridges at a time; more only wait for the two processors of a small machine.
const AT_ONCE: usize = 5;

fn seeds() -> Range<u64> {
    0..std::env::var("HABITS").ok().and_then(|count| count.parse().ok()).unwrap_or(10)
}

/// Somebody's room, a range of ours, a meeting that is joined, renamed and ended, another one after it in the same slot.
async fn live(seed: u64, switches: Switches) {
    let config = Config { bridges: 1 + seed as usize % 2, switches, seed, ..Config::default() };
    let mut arena = Arena::quiet(&format!("habits-{seed}"), config, quick()).await;
    arena.sim.add_space("Board  room", "900", "900").unwrap();
    let foreign = arena.sim.spaces();
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    let parties = json!([{ "remoteParty": "desk@rooms.test" }, { "remoteParty": "2001@rooms.test" }]);
    arena.open_now("m", 300, json!({ "title": "Weekly  sync", "participants": parties })).await;
    let everybody_in = |m: &ScheduledMeeting| {
        let parties = status_of(m).participants;
        parties.len() == 2 && parties.iter().all(|p| p.state == ParticipantState::Connected) && is_ready_now(m)
    };
    arena.meeting("m", "everybody is in", everybody_in).await;
    arena
        .patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Weekly sync, longer", "duration": "10m" } }))
        .await;
    arena.await_sim("renamed", |sim| slot_of(sim, 1).name == "Weekly sync, longer").await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "duration": "1s" } })).await;
    arena.phase("m", Phase::Ended).await;
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty());
    arena.open_now("next", 300, json!({})).await;
    let next = arena.meeting("next", "ready", |m| phase_of(m) == Phase::Active && is_ready_now(m)).await;
    assert_eq!(number_of(&next), 1);
    assert_eq!(arena.sim.dials().len(), 2, "one ring each: {:#?}", arena.sim.dials());
    arena.assert_rules(1..=5);
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert_eq!(arena.sim.spaces(), foreign, "only what is not ours is left");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

fn is_ready_now(meeting: &ScheduledMeeting) -> bool {
    condition(meeting, "Ready").0 == "True"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridges_with_habits_of_their_own_are_driven_like_any_other() {
    let lives = stream::iter(seeds()).map(|seed| async move {
        let switches = Switches::drawn(seed);
        let lived = AssertUnwindSafe(live(seed, switches.clone())).catch_unwind().await;
        (lived.is_err()).then_some((seed, switches))
    });
    let failed: Vec<_> = lives.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    println!("{} bridges tried, {} lived", seeds().count(), seeds().count() - failed.len());
    assert!(failed.is_empty(), "not with these: {failed:#?}");
}

/// A call bridge that comes back in another version writes its ids in capitals from then on: what the statuses name is the
/// same all the same, and nothing is written, rung or ended for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_come_in_capitals_from_some_moment_on_are_the_same_ids() {
    let mut arena = Arena::quiet("habits-case", lone(), quick()).await;
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    arena.create_secret("codes", json!({ "host": "222222" })).await;
    let spec = json!({
        "participants": [{ "remoteParty": "desk@rooms.test" }], "passcode": { "generate": {} },
        "settings": { "layout": "stacked", "recording": "Off" },
        "accessMethods": [{ "name": "host", "role": "Guest", "passcodeSecretRef": { "name": "codes", "key": "host" },
            "settings": { "joinMuted": { "audio": true } } }]
    });
    arena.open_now("m", 600, spec).await;
    arena.party("m", ParticipantState::Connected).await;
    for condition in ["SettingsApplied", "AccessMethodsApplied"] {
        arena.says("m", condition, "True", "Applied").await;
    }
    arena.says("m", "Ready", "True", "Active").await;
    let (calls, legs) = (arena.sim.calls(), arena.sim.legs());
    for is_restarted in [false, true] {
        let capitals = !is_restarted;
        if is_restarted {
            arena.controller.take().unwrap().stop().await;
        }
        arena.sim.update_switches(|switches| switches.ids_in_capitals = capitals);
        arena.sim.clear_journal();
        if is_restarted {
            arena.start().await;
        }
        ask_full_look(&arena, &format!("capitals {capitals}")).await;
        arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= 6).await;
        let writes: Vec<_> = arena.journal_lines().into_iter().filter(|line| !line.starts_with("GET ")).collect();
        assert!(writes.is_empty(), "{writes:#?}");
        assert_eq!((arena.sim.calls(), arena.sim.legs(), arena.sim.dials().len()), (calls.clone(), legs.clone(), 1));
        arena.says("m", "Ready", "True", "Active").await;
    }
    arena.sim.update_switches(|switches| switches.ids_in_capitals = true);
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty());
    arena.bridge("core", "tidy", |b| b.status.as_ref().unwrap().settings_profiles.is_empty()).await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert!(arena.sim.spaces().is_empty(), "{:#?}", arena.sim.spaces());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A server behind which there is another framework: its errors have no words and a type all the same, its replies end with
/// their connection and no goodbye, its lists know no usage, and there is no node about its place in the cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_few_words_is_driven_like_any_other() {
    let switches = Switches {
        failure_details: false,
        not_found_status: 404,
        bodiless_type: "text/html; charset=utf-8".to_owned(),
        challenge_realm: "CMS".to_owned(),
        ends_by_closing: true,
        cluster_configuration: false,
        usage_filter: UsageFilter::Ignored,
        ..Switches::default()
    };
    // And one whose errors have words of its own.
    let wordy = Switches {
        bodiless_type: "application/json".to_owned(),
        plain_errors: "{\"detail\":\"Not Found\"}".to_owned(),
        usage_filter: UsageFilter::Refused,
        ends_by_closing: false,
        ..switches.clone()
    };
    tokio::join!(live(1001, switches), live(1002, wordy));
}

/// What it is told of a space it keeps to itself: passcode, secret, mark. It is put back three times at most, in case that
/// somebody took it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_shows_neither_keys_nor_marks_is_no_tug_of_war() {
    let arena = Arena::with("habits-silent", lone(), quick()).await;
    let hidden = ["passcode", "secret", "cdrTag"].map(str::to_owned);
    arena.sim.update_switches(|switches| switches.space_hides = hidden.into_iter().collect());
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "passcode": { "generate": {} } })).await;
    arena.says("m", "Ready", "True", "Active").await;
    let writes = |arena: &Arena| doors(&arena.sim.journal(), &arena.slot(1).id).len();
    arena.await_sim("opened, and put back three times", |_| writes(&arena) == 4).await;
    let told = arena.meeting("m", "believed", |m| status_of(m).door_repairs.is_none()).await;
    assert_eq!((condition(&told, "Ready"), condition(&told, "SpaceOpen").0), (("True", "Active"), "True"));
    let before = writes(&arena);
    arena.sim.edit_space(&arena.slot(1).id, &[("name", "Party")]).expect("renamed by hand");
    arena.await_sim("its name is put back", |sim| slot_of(sim, 1).name == "Meeting m").await;
    let first = arena.slot(1).id;
    arena.await_requests("by one write", |entries| doors(entries, &first).len() == before + 1).await;
    // The next meeting finds that known.
    arena.open_now("next", 600, json!({ "passcode": { "generate": {} } })).await;
    arena.says("next", "Ready", "True", "Active").await;
    let looked = |entries: &[cms_simulator::JournalEntry], id: &str| {
        entries.iter().filter(|entry| entry.method == "GET" && entry.path.ends_with(id)).count()
    };
    let second = arena.slot(2).id;
    let since = looked(&arena.sim.journal(), &second);
    arena.await_requests("two looks more", |entries| looked(entries, &second) >= since + 2).await;
    assert_eq!(doors(&arena.sim.journal(), &second), [true]);
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    assert!(!arena.slot(1).open);
    arena.finish().await;
}
