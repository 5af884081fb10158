//! The database of the cluster has no primary, or one call bridge does not reach it (R29): another call bridge does no
//! better in the first case and does in the second.

use cms_simulator::{JournalEntry, ReadWithoutPrimary, WriteWithoutPrimary};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::MeetingBridge;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use serde_json::json;

use crate::bridge_kit::slots_of;
use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

/// Every way in which writes and reads fail.
const WAYS: [(WriteWithoutPrimary, ReadWithoutPrimary); 5] = [
    (WriteWithoutPrimary::Unavailable, ReadWithoutPrimary::Unavailable),
    (WriteWithoutPrimary::Unavailable, ReadWithoutPrimary::Replica),
    (WriteWithoutPrimary::DatabaseNotReady, ReadWithoutPrimary::Replica),
    (WriteWithoutPrimary::Hang, ReadWithoutPrimary::Replica),
    (WriteWithoutPrimary::Hang, ReadWithoutPrimary::Hang),
];

async fn with_switches(prefix: &str, writes: WriteWithoutPrimary, reads: ReadWithoutPrimary) -> Arena {
    let arena = Arena::cluster(&format!("{prefix}-{writes:?}-{reads:?}").to_lowercase()).await;
    arena.sim.update_switches(|switches| {
        (switches.write_without_primary, switches.read_without_primary) = (writes, reads);
    });
    arena
}

/// Doors that were opened or shut, in order: the slot's number and which of both.
fn doors_in_order(entries: &[JournalEntry]) -> Vec<(String, bool)> {
    let told = |entry: &JournalEntry| {
        let open = entry.body.iter().find(|(name, _)| name == "nonMemberAccess")?.1 == "true";
        Some((entry.space_number.clone()?, open))
    };
    let done = |entry: &&JournalEntry| entry.method == "PUT" && entry.route == "coSpaces/{id}" && entry.effect;
    entries.iter().filter(done).filter_map(told).collect()
}

/// No primary across the end of one meeting and the start of two others, one of them in the same slot.
async fn no_primary(writes: WriteWithoutPrimary, reads: ReadWithoutPrimary) {
    let what = format!("{writes:?}, {reads:?}");
    let arena = with_switches("db", writes, reads).await;
    arena.open_now("over", 9, json!({ "participants": desk() })).await;
    let open = arena.party("over", ParticipantState::Connected).await;
    let ends = status_of(&open).window.unwrap().closes_at.0;
    let begins = ends.checked_add(SignedDuration::from_millis(500)).unwrap().to_string();
    for (name, slot) in [("same-slot", 1), ("other-slot", 2)] {
        arena.create_meeting(name, json!({ "start": begins, "duration": "120s" })).await;
        assert_eq!(number_of(&arena.booked(name).await), slot, "{what}");
    }
    arena.sim.set_database_primary(false);
    arena.phase("over", Phase::Closing).await;
    let lost = arena.reason("core", "DatabaseWritable", "NoDatabasePrimary").await;
    assert_eq!(condition(&lost, "Ready"), ("False", "NoDatabasePrimary"), "{what}");
    arena.meeting("other-slot", "waits", |m| phase_of(m) == Phase::Opening && condition(m, "Ready").0 == "False").await;
    // For a while, so that whoever would move has moved: the database is asked about every second.
    arena.sim.clear_journal();
    let asked = |entry: &&JournalEntry| entry.route.starts_with("system/database") && entry.finished.is_some();
    arena.await_requests("asked about the database", |all| all.iter().filter(asked).count() >= 4).await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!(active(&bridge), Some(arena.sim.address(0).as_str()), "{what}: another one does no better");
    assert_eq!(condition(&bridge, "DatabaseWritable"), ("False", "NoDatabasePrimary"), "{what}: it does not flap");
    assert!(arena.slot(1).open && !arena.slot(2).open, "{what}");

    arena.sim.clear_journal();
    let back = Timestamp::now();
    arena.sim.set_database_primary(true);
    arena.await_requests("shut and open", |all| doors_in_order(all).len() >= 3).await;
    let late = Timestamp::now().duration_since(back);
    let doors = arena.sim.with_journal(doors_in_order);
    println!("{what}: {late} {doors:?}");
    assert_eq!(doors[0], ("1".to_owned(), false), "{what}: what is overdue is shut first: {doors:?}");
    assert!(late < SignedDuration::from_secs(5), "{what}: {late} after the database was back");
    arena.call_on("same-slot", 0).await;
    arena.call_on("other-slot", 0).await;
    arena.phase("over", Phase::Ended).await;
    arena
        .bridge("core", "all is well", |b| {
            condition(b, "DatabaseWritable").0 == "True" && condition(b, "Ready").0 == "True" && slots_of(b).free == 3
        })
        .await;
    assert_eq!((arena.failovers(), rings(&arena.sim, DESK)), (0, 1), "{what}");
    let story = arena.story("core").await;
    assert!(!story.iter().any(|told| told == "CallBridgeLost" || told == "FailedOver"), "{what}: {story:?}");
    assert_eq!((arena.hosts(1), arena.hosts(2)), (vec![0], vec![0]), "{what}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_primary_nothing_moves_and_what_is_overdue_is_shut_first_after_it() {
    join_all(WAYS.map(|(writes, reads)| no_primary(writes, reads))).await;
}

/// Only one call bridge lost its way to the database.
async fn one_without_way(writes: WriteWithoutPrimary, reads: ReadWithoutPrimary) {
    let what = format!("{writes:?}, {reads:?}");
    let arena = with_switches("way", writes, reads).await;
    arena.sim.set_database_reachable(0, false);
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    let open = arena.call_on("m", 1).await;
    arena.party("m", ParticipantState::Connected).await;
    let latency = status_of(&open).open_latency.unwrap();
    println!("{what}: open after {latency}");
    arena.active_is(1).await;
    assert_eq!((arena.hosts(1), rings(&arena.sim, DESK), arena.failovers()), (vec![1], 1, 1), "{what}");
    arena.sim.set_database_reachable(0, true);
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.await_sim("no call is left", |sim| sim.calls().is_empty()).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_bridge_without_way_to_the_database_is_left_for_one_that_has_it() {
    join_all(WAYS.map(|(writes, reads)| one_without_way(writes, reads))).await;
}
