//! The Secret with the join details: adopted after a restore, somebody else's, refused, and removed at the end (A4, A5).

use k8s_openapi::api::core::v1::{ResourceQuota, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::json;

use crate::apiserver::*;
use crate::kit::*;
use crate::meetings::*;

/// One whose owner is dead instead of lost is a matter of luck: the garbage collector may be faster (the unit test has it).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_join_secret_is_adopted() {
    let arena = Arena::new("restore").await;
    arena.ready_bridge(json!({})).await;
    let later = json!({ "start": in_ms(3_600_000), "duration": "1h", "passcode": { "generate": {} } });
    arena.create_meeting("m", later.clone()).await;
    arena.booked("m").await;
    let before = arena.join_secret("m").await.unwrap();
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<Secret>("m-join").await;
    arena.gone::<ScheduledMeeting>("m").await;
    let restored: Secret = serde_json::from_value(json!({
        "metadata": { "name": "m-join", "labels": before.metadata.labels }, "data": before.data
    }))
    .unwrap();
    arena.api::<Secret>().create(&PostParams::default(), &restored).await.expect("restored");
    arena.create_meeting("m", later).await;
    let meeting = arena.says("m", "Ready", "True", "Scheduled").await;
    let adopted = arena.join_secret("m").await.unwrap();
    assert_eq!(adopted.data, before.data, "what the invitations say still holds");
    let owners = adopted.metadata.owner_references.unwrap_or_default();
    assert_eq!(owners.iter().map(|owner| Some(&owner.uid)).collect::<Vec<_>>(), [meeting.metadata.uid.as_ref()]);
    arena.finish().await;
}

/// What calendars do with it: the unit tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_meeting_makes_a_further_edition_of_its_invitation() {
    let arena = Arena::new("invite").await;
    arena.ready_bridge(json!({ "webBridgeURI": "https://join.test" })).await;
    let later = json!({ "start": in_ms(3_600_000), "duration": "1h", "passcode": { "generate": {} } });
    arena.create_meeting("m", later).await;
    arena.booked("m").await;
    let before = arena.join_secret("m").await.unwrap();
    let value = |secret: &Secret, key: &str| entry(secret, key).unwrap_or_else(|| panic!("no {key}"));
    let line = |secret: &Secret, key: &str| {
        let calendar = value(secret, "invite.ics");
        calendar.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    for said in [value(&before, "link"), value(&before, "uri"), value(&before, "passcode")] {
        assert!(value(&before, "invite.txt").contains(&said), "{said}");
    }
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "suspend": true } })).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "suspend": false, "title": "Another" } })).await;
    let edited =
        |secret: &Secret| entry(secret, "invite.ics").is_some_and(|calendar| calendar.contains("SUMMARY:Another"));
    let after = arena.until::<Secret>("m-join", "the new title", edited).await;
    assert_eq!(line(&after, "UID"), line(&before, "UID"));
    assert!(sequence(&after) > sequence(&before));
    assert_eq!(value(&after, "secret"), value(&before, "secret"), "links that were sent stay good");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_secret_is_told_and_left_alone() {
    let arena = Arena::new("taken").await;
    arena.ready_bridge(json!({})).await;
    arena.create_secret("m-join", json!({ "passcode": "4711" })).await;
    arena.create_secret("n-join", json!({ "number": "9" })).await;
    let stranger = arena.join_secret("m").await.unwrap();
    // Its own passcode is in a Secret of that name.
    arena.open_now("m", 600, json!({ "passcodeSecretRef": { "name": "m-join" } })).await;
    arena.create_meeting("n", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    for name in ["m", "n"] {
        let told = arena.says(name, "SpaceOpen", "False", "JoinSecretConflict").await;
        assert_eq!(
            (condition(&told, "Ready"), condition(&told, "Stalled").0),
            (("False", "JoinSecretConflict"), "True")
        );
        assert_eq!((condition(&told, "Accepted").0, condition(&told, "SlotReserved").0), ("True", "True"));
        let status = status_of(&told);
        assert!(status.window.is_some() && status.phase == Some(Phase::Scheduled) && status.join_secret_name.is_none());
        assert_eq!(number_of(&told), 1);
        arena.told(name, "JoinSecretConflict").await;
    }
    assert!(!arena.slot(1).open);
    assert_eq!(arena.join_secret("m").await.unwrap(), stranger);
    // At once, not at the next try.
    arena.delete::<Secret>("n-join").await;
    arena.says("n", "Ready", "True", "Scheduled").await;
    arena.create_secret("code", json!({ "passcode": "4711" })).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "passcodeSecretRef": { "name": "code" } } })).await;
    arena.delete::<Secret>("m-join").await;
    arena.phase("m", Phase::Active).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_secret_that_may_not_be_changed_keeps_nobody_out() {
    let arena = Arena::new("immutable").await;
    arena.ready_bridge(json!({})).await;
    arena.create_meeting("m", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.says("m", "Ready", "True", "Scheduled").await;
    arena.patch::<Secret>("m-join", json!({ "immutable": true })).await;
    let before = arena.api::<Secret>().get("m-join").await.unwrap().data;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(0) } })).await;
    let running = arena.says("m", "Ready", "False", "JoinSecretRefused").await;
    assert!(message(&running, "Ready").contains("immutable"), "{}", message(&running, "Ready"));
    arena.phase("m", Phase::Active).await;
    assert_eq!(arena.api::<Secret>().get("m-join").await.unwrap().data, before, "its invitation is old");
    // It is deleted, as the condition says, and made anew with what lets people in.
    arena.delete::<Secret>("m-join").await;
    arena.says("m", "Ready", "True", "Active").await;
    let after = arena.api::<Secret>().get("m-join").await.unwrap().data.unwrap();
    assert_eq!(before.as_ref().map(|data| &data["secret"]), Some(&after["secret"]));
    assert_ne!(before.as_ref().map(|data| &data["invite.ics"]), Some(&after["invite.ics"]));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_secret_that_is_refused_is_told() {
    let arena = Arena::new("quota").await;
    arena.ready_bridge(json!({})).await;
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": { "name": "full" }, "spec": { "hard": { "count/secrets": "1" } }
    }))
    .unwrap();
    arena.api::<ResourceQuota>().create(&PostParams::default(), &quota).await.unwrap();
    // The controller that counts is not there; admission goes by the status.
    let count = async |limit: &str| {
        let status = json!({ "status": { "hard": { "count/secrets": limit }, "used": { "count/secrets": "1" } } });
        let api = arena.api::<ResourceQuota>();
        api.patch_status("full", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    };
    count("1").await;
    arena.create_meeting("m", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    let told = arena.says("m", "SpaceOpen", "False", "JoinSecretRefused").await;
    assert!(message(&told, "SpaceOpen").contains("exceeded quota"), "{}", message(&told, "SpaceOpen"));
    assert_eq!((condition(&told, "Ready").0, phase_of(&told), number_of(&told)), ("False", Phase::Scheduled, 1));
    arena.told("m", "JoinSecretRefused").await;
    count("9").await;
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    arena.says("m", "Ready", "True", "Scheduled").await;
    arena.finish().await;
}

/// Door, call and end go on as long as the details were written once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_meeting_goes_on_while_its_join_secret_cannot_be_read() {
    let (arena, apiserver) = failing("unread", quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    let trouble = apiserver.add(READ_SECRET, Some("m-join"), Failure::Refuse(500, "InternalError", "no"));
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Another title" } })).await;
    arena.await_sim("renamed", |sim| slot_of(sim, 1).name == "Another title").await;
    arena.says("m", "Ready", "False", "JoinSecretUnavailable").await;
    trouble.lift();
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_own_join_secret_is_removed() {
    let (arena, apiserver) = failing("remove", quick()).await;
    arena.ready_bridge(json!({})).await;
    for name in ["m", "n"] {
        arena.open_now(name, 600, json!({})).await;
        arena.phase(name, Phase::Active).await;
    }
    let taken = json!({ "metadata": { "labels": null, "ownerReferences": null }, "data": { "whose": "dHdv" } });
    arena.patch::<Secret>("m-join", taken).await;
    let trouble = apiserver.add(DELETE_SECRET, Some("n-join"), Failure::Refuse(403, "Forbidden", "policy"));
    for name in ["m", "n"] {
        arena.patch::<ScheduledMeeting>(name, json!({ "spec": { "duration": null, "end": in_ms(-100) } })).await;
        arena.phase(name, Phase::Ended).await;
    }
    // The one that could not be removed is named until it is gone.
    arena.told("n", "JoinSecretStays").await;
    arena.meeting("n", "named", |m| status_of(m).join_secret_name.as_deref() == Some("n-join")).await;
    trouble.lift();
    arena.patch::<ScheduledMeeting>("n", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    arena.gone::<Secret>("n-join").await;
    arena.meeting("n", "not named", |m| status_of(m).join_secret_name.is_none()).await;
    assert!(arena.join_secret("m").await.is_some(), "a stranger's Secret stays");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A passcode that comes late or is changed, another web bridge, a Secret that somebody deleted: what is mailed is right long
/// before the door opens, also if it happened while no controller ran; and what says the same is not written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_are_told_follows_its_sources_long_before_the_door() {
    let mut arena = Arena::with("fresh", lone(), still()).await;
    arena.ready_bridge(json!({})).await;
    let soon = json!({ "start": in_ms(3_600_000), "duration": "1h", "passcodeSecretRef": { "name": "code" } });
    arena.create_meeting("m", soon).await;
    let later = json!({ "start": in_ms(7_200_000), "duration": "1h", "passcode": { "generate": {} } });
    arena.create_meeting("n", later).await;
    arena.booked("m").await;
    arena.says("n", "Ready", "True", "Scheduled").await;
    assert_eq!(entry(&arena.join_secret("m").await.unwrap(), "passcode"), None);
    arena.create_secret("code", json!({ "passcode": "4711" })).await;
    let has = |key: &'static str, value: &'static str| {
        move |secret: &Secret| entry(secret, key).is_some_and(|is| is.starts_with(value))
    };
    let first = arena.until::<Secret>("m-join", "the passcode", has("passcode", "4711")).await;
    assert!(entry(&first, "invite.txt").unwrap().contains("Passcode: 4711\n"));
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": "0815" } })).await;
    arena.until::<Secret>("m-join", "another passcode", has("passcode", "0815")).await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "webBridgeURI": "https://join.test" } })).await;
    let second = arena.until::<Secret>("m-join", "a link", has("link", "https://join.test/")).await;
    assert!(sequence(&second) > sequence(&first));
    let settled = arena.until::<Secret>("n-join", "a link", has("link", "https://join.test/")).await;

    // It is there again at once; nothing tells what was in it.
    arena.delete::<Secret>("m-join").await;
    let uid = second.metadata.uid.clone();
    let is_new = move |secret: &Secret| secret.metadata.uid != uid && entry(secret, "passcode").is_some();
    let third = arena.until::<Secret>("m-join", "there again", is_new).await;
    assert_eq!(entry(&third, "number"), entry(&second, "number"));

    // Touched, but the passcode is the same. What comes after it is seen after it.
    arena.patch::<Secret>("code", json!({ "metadata": { "labels": { "rotated": "no" } } })).await;
    arena.create_secret("mark", json!({ "passcode": "31415926535" })).await;
    let spec = json!({ "spec": { "passcode": null, "passcodeSecretRef": { "name": "mark" } } });
    arena.patch::<ScheduledMeeting>("n", spec).await;
    let settled_then = arena.until::<Secret>("n-join", "the other passcode", has("passcode", "31415926535")).await;
    assert_ne!(settled_then.metadata.resource_version, settled.metadata.resource_version);
    assert_eq!(arena.join_secret("m").await.unwrap(), third);

    arena.controller.take().unwrap().stop().await;
    arena.patch::<Secret>("mark", json!({ "stringData": { "passcode": "2222" } })).await;
    arena.delete::<Secret>("m-join").await;
    arena.start().await;
    arena.until::<Secret>("n-join", "changed meanwhile", has("passcode", "2222")).await;
    arena.until::<Secret>("m-join", "made again", has("passcode", "0815")).await;
    arena.finish().await;
}

/// It is the same event in every calendar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_invitation_of_a_meeting_that_is_made_again_is_newer() {
    let arena = Arena::new("again").await;
    arena.ready_bridge(json!({})).await;
    let later = json!({ "start": in_ms(3_600_000), "duration": "1h" });
    arena.create_meeting("m", later.clone()).await;
    arena.says("m", "Ready", "True", "Scheduled").await;
    let before = arena.join_secret("m").await.unwrap();
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.gone::<Secret>("m-join").await;
    // Editions of one second are told apart by the Secret only.
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    arena.create_meeting("m", later).await;
    arena.says("m", "Ready", "True", "Scheduled").await;
    let after = arena.join_secret("m").await.unwrap();
    assert!(sequence(&after) > sequence(&before));
    arena.finish().await;
}

/// The number is somebody else's next. What was sent holds if the meeting gets it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_invited_to_a_slot_that_is_lost() {
    let (arena, apiserver) = failing("lost", still()).await;
    arena.ready_bridge(json!({ "webBridgeURI": "https://join.test" })).await;
    let later = json!({ "start": in_ms(3_600_000), "duration": "1h", "passcode": { "generate": {} } });
    arena.create_meeting("m", later).await;
    arena.says("m", "Ready", "True", "Scheduled").await;
    let before = arena.join_secret("m").await.unwrap();
    // A refusal is no reason to try without end.
    let trouble = apiserver.add(("PUT", "secrets", None), Some("m-join"), Failure::Refuse(403, "Forbidden", "policy"));
    arena.delete::<MeetingBridge>("core").await;
    let refused = arena.says("m", "Accepted", "False", "BridgeNotFound").await;
    assert_eq!(status_of(&refused).join_secret_name.as_deref(), Some("m-join"), "it is still there");
    arena.gone::<MeetingBridge>("core").await;
    assert!((1..=10).contains(&trouble.hits()), "no more than there was news: {}", trouble.hits());
    trouble.lift();
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "labels": { "try": "again" } } })).await;
    let bare = arena.until::<Secret>("m-join", "bare", |secret| entry(secret, "number").is_none()).await;
    let keys: Vec<&String> = bare.data.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["passcode", "secret"]);
    arena.create_bridge("core", json!({ "webBridgeURI": "https://join.test" })).await;
    arena.says("m", "Ready", "True", "Scheduled").await;
    let after = arena.join_secret("m").await.unwrap();
    assert_eq!(links(&after), links(&before), "invitations that were sent hold");
    assert!(sequence(&after) > sequence(&before));
    arena.finish().await;
}
