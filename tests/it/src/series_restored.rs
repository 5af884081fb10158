//! A series and its occurrences that are gone without anything having been done about it, and are applied again while an
//! occurrence runs: adopted, one call, one ring, the same slot.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::series::OccurrenceState;
use meeting_controller::api::{MeetingSeries, ScheduledMeeting};
use serde_json::{Value, json};

use crate::crash::put_status;
use crate::kit::*;
use crate::meetings::*;
use crate::series::{listed, local};

/// How they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restored {
    /// Only the series, from git: its occurrences are made anew.
    FromGit,
    /// From a backup, without the statuses.
    WithoutStatus,
    /// From a backup with statuses: new UIDs, what the statuses say is true.
    WithStatus,
}

/// The same object, to be created once more. Owners of a backup are dead, so whoever restores leaves them out.
fn again<K: kube::Resource + Clone>(kept: &K) -> K {
    let mut again = kept.clone();
    let metadata = again.meta_mut();
    (metadata.uid, metadata.resource_version, metadata.managed_fields) = (None, None, None);
    metadata.owner_references = None;
    again
}

/// Everything is deleted, and nobody has a finalizer that would hold it.
async fn wipe(arena: &Arena, occurrences: &[ScheduledMeeting]) {
    for name in occurrences.iter().map(ResourceExt::name_any) {
        arena.patch::<ScheduledMeeting>(&name, json!({ "metadata": { "finalizers": null } })).await;
    }
    arena.delete::<MeetingSeries>("daily").await;
    arena.gone::<MeetingSeries>("daily").await;
    for name in occurrences.iter().map(ResourceExt::name_any) {
        // The garbage collector may have been faster.
        let _ = arena.api::<ScheduledMeeting>().delete(&name, &DeleteParams::default()).await;
        arena.gone::<ScheduledMeeting>(&name).await;
        arena.gone::<Secret>(&format!("{name}-join")).await;
    }
}

async fn put_back(arena: &Arena, how: Restored, series: &MeetingSeries, occurrences: &[ScheduledMeeting]) {
    let status = |object: Value| object["status"].clone();
    let made = arena.api().create(&PostParams::default(), &again(series)).await.expect("the series");
    if how == Restored::WithStatus {
        put_status(arena, &made, status(serde_json::to_value(series).unwrap())).await;
    }
    for kept in occurrences.iter().filter(|_| how != Restored::FromGit) {
        let made = arena.api().create(&PostParams::default(), &again(kept)).await.expect("an occurrence");
        if how == Restored::WithStatus {
            put_status(arena, &made, status(serde_json::to_value(kept).unwrap())).await;
        }
    }
}

async fn comes_back(how: Restored) {
    let mut arena = Arena::new("series-back").await;
    arena.ready_bridge(json!({})).await;
    // Somebody has slot 1 first, so that the number cannot be right by chance.
    arena.open_now("other", 600, json!({})).await;
    arena.phase("other", Phase::Active).await;
    let desk = json!([{ "remoteParty": "desk@rooms.test" }]);
    let template = json!({ "spec": { "participants": desk, "passcode": { "generate": {} } } });
    arena.create_series("daily", json!({ "start": local(-60), "duration": "30m", "template": template })).await;
    let names = listed(&arena.states("daily", &[OccurrenceState::Created; 3]).await);
    arena.party(&names[0], ParticipantState::Connected).await;
    arena.says(&names[0], "Ready", "True", "Active").await;
    for name in &names[1..] {
        arena.booked(name).await;
    }
    arena.delete::<ScheduledMeeting>("other").await;
    arena.gone::<ScheduledMeeting>("other").await;
    let series = arena.series_says("daily", "Ready", "True", "Ready").await;
    let occurrences: Vec<_> = arena.occurrences("daily").await.into_values().collect();
    let (space, calls, legs) = (arena.slot(2), arena.sim.calls(), arena.sim.legs());
    arena.controller.take().unwrap().kill().await;
    wipe(&arena, &occurrences).await;
    put_back(&arena, how, &series, &occurrences).await;
    arena.sim.clear_journal();
    arena.start().await;

    let is_settled = |m: &ScheduledMeeting| {
        let party = status_of(m).participants.first().map(|party| party.state);
        party == Some(ParticipantState::Connected) && condition(m, "Ready") == ("True", "Active")
    };
    let adopted = arena.meeting(&names[0], &format!("adopted ({how:?})"), is_settled).await;
    assert_eq!((number_of(&adopted), status_of(&adopted).participants[0].attempts), (2, 1), "{how:?}");
    let ready = arena.series_says("daily", "Ready", "True", "Ready").await;
    assert_eq!(listed(&ready), names, "{how:?}");
    let owner = |meeting: &ScheduledMeeting| meeting.owner_references().first().map(|owner| owner.uid.clone());
    for name in &names {
        arena.meeting(name, "of the new series", |meeting| owner(meeting) == ready.uid()).await;
    }
    arena.states("daily", &[OccurrenceState::Created; 3]).await;
    arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= 2).await;
    assert_eq!((arena.sim.calls(), arena.sim.legs(), arena.sim.dials().len()), (calls, legs, 1), "{how:?}");
    let now = arena.slot(2);
    assert_eq!((&now.secret, &now.passcode, now.open), (&space.secret, &space.passcode, true), "{how:?}");
    let join = arena.join_secret(&names[0]).await.expect("the join Secret");
    assert_eq!((entry(&join, "secret"), entry(&join, "passcode")), (now.secret, now.passcode), "{how:?}");
    if how == Restored::WithStatus {
        let after = arena.occurrences("daily").await;
        for kept in &occurrences {
            let name = kept.name_any();
            assert_eq!(number_of(&after[&name]), number_of(kept), "{name} keeps what it was booked");
        }
    }
    arena.delete::<MeetingSeries>("daily").await;
    for name in &names {
        arena.gone::<ScheduledMeeting>(name).await;
    }
    assert!(!arena.slot(2).open && arena.sim.calls().is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_series_comes_back_its_occurrence_that_runs_is_adopted() {
    join_all([Restored::FromGit, Restored::WithoutStatus, Restored::WithStatus].map(comes_back)).await;
}
