//! A meeting's whole life (R55-R78).

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use serde_json::json;

use crate::kit::*;
use crate::meetings::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_meeting_from_apply_to_ended() {
    let arena = Arena::new("life").await;
    let bridge = arena.ready_bridge(json!({})).await;
    let slots = bridge.status.as_ref().unwrap().slots.as_ref().unwrap();
    assert_eq!((slots.total, slots.free, slots.in_use), (5, 5, 0));
    arena.sim.clear_journal();

    arena
        .create_meeting(
            "standup",
            json!({ "start": in_ms(3_000), "duration": "6s", "participants": [{ "remoteParty": "desk@rooms.test" }] }),
        )
        .await;
    let scheduled = arena.meeting("standup", "scheduled", |m| condition(m, "SlotReserved").0 == "True").await;
    assert_eq!(scheduled.status.as_ref().unwrap().slot.as_ref().unwrap().number, 1);
    let active = arena.phase("standup", Phase::Active).await;
    let status = active.status.as_ref().unwrap();
    let latency: f64 = status.open_latency.as_deref().unwrap().trim_end_matches('s').parse().unwrap();
    println!("open latency {latency} s");
    assert!(latency < 1.0, "a door opens on time");
    let space = &arena.sim.spaces().into_iter().find(|space| space.name == "Meeting standup").expect("open space");
    assert!(space.open);
    arena
        .meeting("standup", "connected", |m| {
            m.status.as_ref().unwrap().participants.iter().all(|p| p.state == ParticipantState::Connected)
        })
        .await;
    let ended = arena.phase("standup", Phase::Ended).await;
    assert_eq!(condition(&ended, "Ready"), ("True", "Ended"));
    assert!(arena.sim.calls().is_empty());
    assert!(arena.sim.spaces().iter().all(|space| !space.open));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// What a settled bridge and one meeting cost (requirements.md section 3), counted with sweeps out of the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_costs_as_few_requests_and_writes_as_promised() {
    let arena = Arena::with("cost", lone(), still()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    let audit = arena.plane.audit_position().unwrap();
    let party = json!([{ "remoteParty": "desk@rooms.test" }]);
    let spec = json!({ "start": in_ms(1_500), "duration": "7s", "participants": party });
    let created = arena.create_meeting("standup", spec).await;
    arena.phase("standup", Phase::Active).await;
    arena.await_requests("dialled", |all| count(all, "POST", "calls/{id}/callLegs") == 1).await;
    let start = arena.sim.journal();
    let dialled = start.iter().position(|e| e.route == "calls/{id}/callLegs").unwrap();
    let start = &start[..=dialled];
    println!("start: {:#?}", start.iter().map(line).collect::<Vec<_>>());
    at_most("requests at start", 5, start);
    assert_eq!(writes(start), 3);
    let opening = start.iter().find(|e| e.method == "PUT").unwrap();
    assert_eq!(fields(opening), ["nonMemberAccess", "passcode", "name", "secret", "cdrTag"]);
    let call = start.iter().find(|e| e.method == "POST" && e.route == "calls").unwrap();
    assert_eq!((fields(call), call.body_size), (vec!["coSpace"], 44));
    assert_eq!(fields(&start[dialled]), ["remoteParty"]);

    // The look at the leg, 2 s after dialling, is done before the end moves.
    arena.party("standup", ParticipantState::Connected).await;
    arena.sim.clear_journal();
    let end = created.spec.start.0 + SignedDuration::from_secs(9);
    arena.patch::<ScheduledMeeting>("standup", json!({ "spec": { "duration": null, "end": end.to_string() } })).await;
    arena.meeting("standup", "extended", |m| status_of(m).window.is_some_and(|window| window.closes_at.0 == end)).await;
    let extension = arena.sim.journal();
    assert_eq!(extension.iter().map(line).collect::<Vec<_>>(), ["PUT coSpaces/{id} 200"]);
    assert_eq!(fields(&extension[0]), fields(opening), "the same fields again");

    arena.sim.clear_journal();
    arena.phase("standup", Phase::Ended).await;
    let ending = arena.sim.journal();
    println!("end: {:#?}", ending.iter().map(line).collect::<Vec<_>>());
    at_most("requests at end", 5, &ending);
    let first: Vec<_> = ending[..3].iter().map(line).collect();
    assert_eq!(first, ["GET coSpaces/{id} 200", "PUT coSpaces/{id} 200", "DELETE calls/{id} 200"]);
    assert_eq!(writes(&ending), 2);
    assert_eq!(fields(&ending[1]), ["nonMemberAccess", "passcode", "name", "regenerateSecret", "cdrTag"]);
    arena.assert_rules(1..=5);
    let written = kube_writes_of_a_life(&arena, audit).await;
    println!("{written:#?}");
    // The extension is a status and, since the invitation says when the meeting ends, a join Secret.
    at_most("writes to Kubernetes, with one extension", 10 + 2, &written);
    arena.finish().await;
}

/// The event of the end is the last thing written.
async fn kube_writes_of_a_life(arena: &Arena, since: u64) -> Vec<String> {
    let ended = |written: &[String]| written.iter().filter(|line| line.starts_with("create events/")).count() >= 2;
    for _ in 0..100 {
        let written: Vec<_> = arena.kube_writes(since).into_iter().filter(|w| w.contains("standup")).collect();
        if ended(&written) {
            return written;
        }
        // The audit log is a file; nobody tells when it grows.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    arena.kube_writes(since)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_join_secret_is_there_before_the_door_opens_and_gone_after() {
    let arena = Arena::new("join").await;
    arena.ready_bridge(json!({ "webBridgeURI": "https://join.meet.test" })).await;
    arena.create_secret("code", json!({ "passcode": "471147" })).await;
    let spec = json!({ "start": in_ms(3_600_000), "duration": "1h", "passcodeSecretRef": { "name": "code" } });
    arena.create_meeting("board", spec).await;
    let booked = arena.booked("board").await;
    assert_eq!(status_of(&booked).slot.unwrap().uri.as_deref(), Some("1@meet.test"));
    assert_eq!(status_of(&booked).join_secret_name.as_deref(), Some("board-join"));
    let secret = arena.join_secret("board").await.expect("there long before the start");
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("ScheduledMeeting", Some(true)));
    assert_eq!(Some(&owner.uid), booked.metadata.uid.as_ref());
    let of = |key| entry(&secret, key).unwrap_or_default();
    assert_eq!((of("number").as_str(), of("uri").as_str(), of("passcode").as_str()), ("1", "1@meet.test", "471147"));
    assert_eq!(of("link"), format!("https://join.meet.test/meeting/1?secret={}", of("secret")));
    assert!(of("secret").len() >= 32);

    let before = arena.slot(1).secret;
    let now = json!({ "spec": { "start": in_ms(0), "duration": "3s" } });
    arena.patch::<ScheduledMeeting>("board", now).await;
    arena.phase("board", Phase::Active).await;
    let open = arena.slot(1);
    assert_eq!(open.secret, entry(&secret, "secret"), "the space has the secret of the invitation");
    assert_eq!(open.passcode.as_deref(), Some("471147"));
    assert_eq!(links(&arena.join_secret("board").await.unwrap()), links(&secret), "what was sent stays good");
    assert!(arena.sim.join_with_passcode("1", "Ada", 0, "471147").is_ok());

    let ended = arena.phase("board", Phase::Ended).await;
    arena.gone::<Secret>("board-join").await;
    assert_eq!(status_of(&ended).join_secret_name, None);
    let shut = arena.slot(1);
    assert!(!shut.open && shut.passcode.is_none() && shut.cdr_tag.is_none());
    assert!(shut.secret != before && shut.secret != open.secret, "old links are dead");
    let events = arena.events_about("board").await;
    let text = format!("{}{events:?}", serde_json::to_string(&ended.status).unwrap());
    assert!(!text.contains("471147") && !text.contains(&of("secret")), "{text}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A settled world causes no write to anyone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_meeting_is_watched_without_a_write() {
    let arena = Arena::new("calm").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("calm", 60, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] })).await;
    arena.party("calm", ParticipantState::Connected).await;
    // The last news are the bridge's count of slots in use, and the call's correlator, which the list of calls brings.
    arena.meeting("calm", "told everything", |m| status_of(m).call.is_some_and(|call| call.correlator.is_some())).await;
    arena.sim.clear_journal();
    arena.await_requests("two sweeps", |all| count(all, "GET", "callLegs") >= 2).await;
    arena.sim.clear_journal();
    let audit = arena.plane.audit_position().unwrap();
    arena.await_requests("five sweeps", |all| count(all, "GET", "callLegs") >= 6).await;
    let mut sweeps = arena.sim.journal();
    assert_eq!(writes(&sweeps), 0, "{:#?}", arena.journal_lines());
    // Probes come by time, and sweeps when the machine gets round to them.
    sweeps.retain(|request| !request.path.ends_with("system/status"));
    at_most("requests of five sweeps", 12, &sweeps);
    let written = arena.kube_writes(audit);
    assert!(written.is_empty(), "{written:#?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
