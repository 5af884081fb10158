//! Objects of meetings that are over go by themselves, if somebody asked for it.

use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;

/// Opens a meeting and has it end at once.
async fn held(arena: &Arena, name: &str, changes: Value) {
    arena.open_now(name, 600, changes).await;
    arena.phase(name, Phase::Active).await;
    arena.patch::<ScheduledMeeting>(name, json!({ "spec": { "start": in_ms(-5_000), "duration": "1s" } })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_goes_after_its_time_and_comes_back_from_git_once() {
    let arena = Arena::with("tidy", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    held(&arena, "kept", json!({})).await;
    held(&arena, "brief", json!({ "ttlSecondsAfterFinished": 3600 })).await;
    let brief = arena.phase("brief", Phase::Ended).await;
    arena.phase("kept", Phase::Ended).await;
    held(&arena, "gone", json!({ "ttlSecondsAfterFinished": 0 })).await;
    arena.gone::<ScheduledMeeting>("gone").await;

    // What is still in git is applied again. Its window has passed, so nothing is done for it, and it stays.
    let mut spec = serde_json::to_value(&brief.spec).unwrap();
    spec["ttlSecondsAfterFinished"] = json!(0);
    arena.create_meeting("gone", spec).await;
    let back = arena.says("gone", "Ready", "True", "WindowPassed").await;
    assert_eq!(phase_of(&back), Phase::Ended);

    // The time runs on, and the bridge gets a default: for the meeting that says nothing itself.
    let ttl = |seconds: u32| json!({ "spec": { "scheduling": { "ttlSecondsAfterFinished": seconds } } });
    arena.patch::<MeetingBridge>("core", ttl(0)).await;
    arena.gone::<ScheduledMeeting>("kept").await;
    let still = arena.api::<ScheduledMeeting>().get("brief").await.expect("it says an hour");
    assert_eq!(still.metadata.resource_version, brief.metadata.resource_version, "and nobody writes to it");
    arena.clock.step(3600);
    arena.patch::<ScheduledMeeting>("brief", json!({ "metadata": { "labels": { "looked": "at" } } })).await;
    arena.gone::<ScheduledMeeting>("brief").await;
    let back = arena.api::<ScheduledMeeting>().get("gone").await.expect("it was not held since it was applied");
    assert!(back.metadata.deletion_timestamp.is_none());
    arena.assert_rules(1..=5);
    arena.finish().await;
}
