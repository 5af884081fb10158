//! Where the passcode comes from, and what happens when it does not (R60).

use cms_simulator::PasscodeRule;
use k8s_openapi::api::core::v1::Secret;
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::Phase;
use serde_json::json;

use crate::kit::*;
use crate::meetings::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_comes_from_a_secret_or_is_made() {
    let arena = Arena::new("source").await;
    arena.ready_bridge(json!({})).await;
    arena.create_secret("codes", json!({ "passcode": "1234", "board": "\u{feff} 777777\n" })).await;
    arena.open_now("plain", 600, json!({ "passcodeSecretRef": { "name": "codes" } })).await;
    arena.open_now("keyed", 600, json!({ "passcodeSecretRef": { "name": "codes", "key": "board" } })).await;
    arena.open_now("made", 600, json!({ "passcode": { "generate": { "digits": 9 } } })).await;
    arena.open_now("default", 600, json!({ "passcode": { "generate": {} } })).await;
    arena.open_now("none", 600, json!({})).await;
    let mut seen = Vec::new();
    for name in ["plain", "keyed", "made", "default", "none"] {
        let slot = arena.slot(number_of(&arena.phase(name, Phase::Active).await));
        let join = arena.join_secret(name).await.unwrap();
        assert_eq!(entry(&join, "passcode").unwrap_or_default(), slot.passcode.clone().unwrap_or_default(), "{name}");
        seen.push(slot.passcode.unwrap_or_default());
    }
    assert_eq!((seen[0].as_str(), seen[1].as_str(), seen[4].as_str()), ("1234", "777777", ""));
    assert_eq!((seen[2].len(), seen[3].len()), (9, 6));
    assert!(seen[2].bytes().chain(seen[3].bytes()).all(|byte| byte.is_ascii_digit()));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_stays_shut_until_the_passcode_is_there() {
    let arena = Arena::new("missing").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "passcodeSecretRef": { "name": "code" } })).await;
    let waiting = arena.says("m", "SpaceOpen", "False", "PasscodeUnavailable").await;
    assert_eq!(condition(&waiting, "Ready").0, "False");
    arena.create_secret("code", json!({ "other": "1" })).await;
    arena.says("m", "SpaceOpen", "False", "PasscodeUnavailable").await;
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": " \n" } })).await;
    arena.says("m", "SpaceOpen", "False", "PasscodeUnavailable").await;
    arena.sim.clear_journal();
    arena.await_requests("reads after the empty one", |all| all.len() >= 3).await;
    arena.says("m", "SpaceOpen", "False", "PasscodeUnavailable").await;
    assert!(!arena.slot(1).open && writes(&arena.sim.journal()) == 0, "an empty passcode is none");
    assert!(doors(&arena.sim.journal(), &arena.slot(1).id).is_empty());
    let asked = jiff::Timestamp::now();
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": "4711" } })).await;
    arena.await_sim("open", |sim| slot_of(sim, 1).open).await;
    let took = jiff::Timestamp::now().duration_since(asked);
    println!("open {took:?} after the key came");
    assert!(took < jiff::SignedDuration::from_secs(2), "at once, not at the next try");
    assert_eq!(arena.slot(1).passcode.as_deref(), Some("4711"));
    arena.says("m", "Ready", "True", "Active").await;

    // An open door stays open when the Secret goes.
    arena.delete::<Secret>("code").await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Still open" } })).await;
    arena.meeting("m", "judged", |m| status_of(m).observed_generation == m.metadata.generation).await;
    let slot = arena.slot(1);
    assert!(slot.open && slot.passcode.as_deref() == Some("4711"), "{slot:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_that_the_bridge_rejects_is_the_users_business() {
    let arena = Arena::new("short").await;
    arena.ready_bridge(json!({})).await;
    arena.sim.update_switches(|switches| switches.passcode_rule = PasscodeRule::DigitsOnly);
    arena.create_secret("code", json!({ "passcode": "abcd" })).await;
    arena.open_now("m", 600, json!({ "passcodeSecretRef": { "name": "code" } })).await;
    let rejected = arena.says("m", "SpaceOpen", "False", "PasscodeRejected").await;
    assert_eq!(condition(&rejected, "Stalled").0, "True");
    assert!(!message(&rejected, "SpaceOpen").contains("abcd"));
    assert!(!arena.slot(1).open);
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": "4711" } })).await;
    arena.await_sim("open", |sim| slot_of(sim, 1).open).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The bridge wants longer ones (3.0 and later say so by an error of its own).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_that_is_too_short_says_so() {
    use cms_simulator::{Fault, FaultKind};
    let arena = Arena::new("too-short").await;
    arena.ready_bridge(json!({})).await;
    let kind = FaultKind::Failure { status: 400, element: "passcodeTooShort".to_owned() };
    let fault = arena.sim.add_fault(Fault::new(kind).method("PUT").route("coSpaces/{id}"));
    arena.create_secret("code", json!({ "passcode": "1" })).await;
    arena.open_now("m", 600, json!({ "passcodeSecretRef": { "name": "code" } })).await;
    arena.says("m", "SpaceOpen", "False", "PasscodeRejected").await;
    arena.sim.remove_fault(fault);
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": "471147" } })).await;
    arena.await_sim("open", |sim| slot_of(sim, 1).passcode.as_deref() == Some("471147")).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Who names a Secret may be somebody else than its owner: with --require-secret-label the owner has the last word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_labelled_secrets_are_sent_where_that_is_required() {
    let settings = meeting_controller::config::settings::Settings { require_secret_label: true, ..quick() };
    let arena = Arena::with("label", lone(), settings).await;
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    arena.bridge("core", "refused", |b| condition(b, "CredentialsValid") == ("False", "SecretNotLabelled")).await;
    assert!(arena.sim.journal().is_empty(), "{:#?}", arena.journal_lines());
    let label = |purpose: &str| json!({ "metadata": { "labels": { "meeting-controller.dev/use": purpose } } });
    arena.patch::<Secret>("cms", label("credentials")).await;
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    arena.create_secret("db", json!({ "password": "hunter2" })).await;
    let wanted = json!({ "passcodeSecretRef": { "name": "db", "key": "password" } });
    arena.open_now("m", 600, wanted).await;
    arena.says("m", "SpaceOpen", "False", "PasscodeUnavailable").await;
    arena.patch::<Secret>("db", label("credentials")).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Again" } })).await;
    arena.meeting("m", "judged", |m| status_of(m).observed_generation == m.metadata.generation).await;
    assert!(!arena.slot(1).open, "the label of another use is none");
    arena.patch::<Secret>("db", label("passcode")).await;
    arena.phase("m", Phase::Active).await;
    arena.finish().await;
}

/// Emptied, not deleted: an empty passcode is none, so the door stays shut; a meeting that runs keeps the one that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_that_is_emptied_opens_no_door_and_takes_none_away() {
    let arena = Arena::new("emptied").await;
    arena.ready_bridge(json!({})).await;
    for name in ["soon-code", "runs-code"] {
        arena.create_secret(name, json!({ "passcode": "4711" })).await;
    }
    arena.open_now("runs", 600, json!({ "passcodeSecretRef": { "name": "runs-code" } })).await;
    arena.says("runs", "Ready", "True", "Active").await;
    let soon = json!({ "start": in_ms(4_000), "duration": "10m", "passcodeSecretRef": { "name": "soon-code" } });
    arena.create_meeting("soon", soon).await;
    arena.booked("soon").await;
    for name in ["soon-code", "runs-code"] {
        arena.patch::<Secret>(name, json!({ "stringData": { "passcode": "" } })).await;
    }
    let waiting = arena.says("soon", "SpaceOpen", "False", "PasscodeUnavailable").await;
    let started = waiting.spec.start.0;
    arena.patch::<ScheduledMeeting>("runs", json!({ "spec": { "title": "Renamed" } })).await;
    arena.await_sim("renamed", |sim| slot_of(sim, 1).name == "Renamed").await;
    let runs = arena.slot(1);
    assert!(runs.open && runs.passcode.as_deref() == Some("4711"), "it keeps the one that it has: {runs:?}");
    let join = arena.join_secret("runs").await.expect("the join Secret");
    assert_eq!(entry(&join, "passcode").as_deref(), Some("4711"));
    // Across its instant, and some reads after that.
    arena.sim.clear_journal();
    arena.await_requests("time", |all| all.len() >= 3 && jiff::Timestamp::now() > started).await;
    arena.says("soon", "SpaceOpen", "False", "PasscodeUnavailable").await;
    assert!(!arena.slot(2).open && doors(&arena.sim.journal(), &arena.slot(2).id).is_empty());
    arena.patch::<Secret>("soon-code", json!({ "stringData": { "passcode": "0815" } })).await;
    arena.says("soon", "Ready", "True", "Active").await;
    assert_eq!(arena.slot(2).passcode.as_deref(), Some("0815"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}
