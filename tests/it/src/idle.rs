//! What is seen of a bridge while nothing of ours runs on it, and how soon (R43, R44, R51).

use std::time::Duration;

use cms_simulator::JournalEntry;
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::json;

use crate::bridge_kit::*;
use crate::cluster::three;
use crate::kit::*;
use crate::meetings::lone;

/// The bridge restarts with all that is stored as it was some night, when a meeting was on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_was_rolled_back_is_read_anew_at_once() {
    let settings = Settings { idle_read: Duration::from_millis(1500), ..quick() };
    let arena = Arena::with("pol-rollback", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    let is_list = |entry: &&JournalEntry| entry.method == "GET" && entry.route == "coSpaces";
    arena.await_requests("the list of a round", |all| all.iter().any(|entry| is_list(&entry))).await;
    let mark = ("cdrTag", "meeting-controller:x/gone");
    arena.sim.edit_space("4", &[("nonMemberAccess", "true"), ("name", "Last night"), mark]).unwrap();
    arena.sim.restart_bridge(0);
    arena.sim.clear_journal();
    arena.await_sim("shut", |sim| sim.spaces().iter().all(|space| !space.open)).await;
    arena.await_requests("profiles, too", |all| all.iter().any(|entry| entry.route == "callLegProfiles/{id}")).await;
    let all = arena.requests();
    assert!(!all.iter().any(|entry| entry.route == "calls"), "before its turn: {:?}", arena.journal_lines());
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_did_to_an_idle_bridge_is_seen_in_one_round() {
    let settings = Settings { idle_read: Duration::from_millis(300), ..quick() };
    let arena = Arena::with("pol-round", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    let id = space_id(&arena, 1);
    assert!(arena.sim.delete_space("2"));
    arena.sim.edit_space("3", &[("name", "Party")]).unwrap();
    let mark = ("cdrTag", "meeting-controller:x/gone");
    arena.sim.edit_space("4", &[("nonMemberAccess", "true"), ("name", "Last night"), mark]).unwrap();
    arena.ask(Method::POST, "calls", &format!("coSpace={id}")).await;
    // No list shows that this one is open; who is in it does (decision 0027). It is theirs.
    let theirs = space_id(&arena, 5);
    arena.sim.edit_space("5", &[("nonMemberAccess", "true")]).unwrap();
    arena.ask(Method::POST, "calls", &format!("coSpace={theirs}")).await;
    arena.sim.clear_journal();
    arena
        .await_sim("mended", |sim| {
            let (spaces, calls) = (sim.spaces(), sim.calls());
            let is_left = spaces.iter().all(|space| space.open == (space.id == theirs));
            spaces.len() == 5
                && is_left
                && calls.iter().all(|call| call.space.as_deref() == Some(&theirs))
                && calls.len() == 1
        })
        .await;
    arena.bridge("core", "told", |b| slots_of(b).foreign == 2 && is_ready(b) && slots_of(b).free == 3).await;
    let statuses = arena.requests().iter().filter(|entry| entry.route == "calls").count();
    assert!(statuses <= 3, "{statuses} rounds");
    arena.finish().await;
}

/// The database is the cluster's: whichever call bridge was started anew, what is stored may be as it was some night. A list
/// does not show a slot that is open under its placeholder name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_noticed_through_any_call_bridge_and_each_free_slot_is_looked_at() {
    let settings = Settings { idle_read: Duration::from_millis(300), ..quick() };
    let arena = Arena::with("pol-other", three(), settings).await;
    arena.ready_bridge(json!({ "failover": arena.alternates() })).await;
    arena.all_reachable().await;
    for bridge in [1, 2] {
        arena
            .await_requests("its status", |all| all.iter().any(|e| e.bridge == bridge && e.route == "system/status"))
            .await;
    }
    let name = "TMS_Scheduled_Meeting_4";
    let mark = ("cdrTag", "meeting-controller:x/gone");
    arena.sim.edit_space("4", &[("nonMemberAccess", "true"), ("name", name), mark]).unwrap();
    arena.sim.restart_bridge(2);
    arena.await_sim("shut", |sim| sim.spaces().iter().all(|space| !space.open)).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}
