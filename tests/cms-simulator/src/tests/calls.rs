//! Texts in calls, recording and streaming (cms-protocol.md 7.1).

use reqwest::Method;
use tokio::time::{Duration, Instant, advance};

use super::{Bench, Got};
use crate::Config;
use crate::state::bridge::{Call, Message};
use crate::state::record::Fields;

fn call_with(pairs: &[(&'static str, &str)]) -> Call {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.set(name, Some((*value).to_owned()));
    }
    Call {
        id: "call".into(),
        correlator: "correlator".into(),
        space: None,
        name: String::new(),
        by_api: true,
        started: Instant::now(),
        max_legs: 0,
        fields,
        message_since: Some(Instant::now()),
        legs: Vec::new(),
        log: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_is_counted_down_and_gone_after_its_duration() {
    let call = call_with(&[("messageText", "Soon"), ("messageDuration", "30")]);
    let left = |seconds| Some(Message { text: "Soon", remaining: Some(seconds) });
    assert_eq!(call.message(), left(30));
    advance(Duration::from_millis(29_500)).await;
    assert_eq!(call.message(), left(1));
    advance(Duration::from_millis(500)).await;
    assert_eq!(call.message(), None);
    let stays = call_with(&[("messageText", "Soon"), ("messageDuration", "permanent")]);
    advance(Duration::from_secs(86_400)).await;
    assert_eq!(stays.message(), Some(Message { text: "Soon", remaining: None }));
}

/// A call on slot 1, whose space has this call profile.
async fn call_on(bench: &Bench, profile: &str) -> String {
    let slot = bench.slots(1, 1).await.remove(0);
    let profile = bench.make("callProfiles", profile).await;
    assert_eq!(bench.put(&format!("coSpaces/{slot}"), &format!("callProfile={profile}")).await.status, 200);
    bench.open(&slot, "Board", "s").await;
    bench.make("calls", &format!("coSpace={slot}")).await
}

fn texts(got: &Got) -> [Option<String>; 4] {
    ["messageText", "messagePosition", "messageDuration", "messageTimeRemaining"].map(|name| got.text(name))
}

#[tokio::test]
async fn everybody_in_a_call_reads_what_it_is_told_until_it_is_taken_away() {
    let bench = Bench::quick().await;
    let call = format!("calls/{}", call_on(&bench, "participantLimit=5").await);
    assert_eq!(texts(&bench.get(&call).await), [None, None, None, None]);
    let told = bench.put(&call, "messageText=Ends+soon&messagePosition=top&messageDuration=40").await;
    assert_eq!((told.status, bench.sim.calls()[0].message.as_deref()), (200, Some("Ends soon")));
    let [text, position, duration, left] = texts(&bench.get(&call).await);
    assert_eq!(
        (text.as_deref(), position.as_deref(), duration.as_deref()),
        (Some("Ends soon"), Some("top"), Some("40"))
    );
    assert!((30..=40).contains(&left.unwrap().parse::<u64>().unwrap()));
    assert!(bench.put(&call, "messageText=").await.status == 200);
    assert_eq!((bench.sim.calls()[0].message.clone(), bench.get(&call).await.text("messageText")), (None, None));
    let bad = |name: &str| format!("parameterError parameter=\"{name}\" error=\"invalidValue\"");
    bench.refused(Method::PUT, &call, Some("messageDuration=long"), &bad("messageDuration")).await;
    bench.refused(Method::PUT, &call, Some("messagePosition=left"), &bad("messagePosition")).await;
}

#[tokio::test]
async fn before_2_1_no_call_has_a_text() {
    let bench = Bench::new(Config { software_version: "2.0".to_owned(), ..Config::default() }).await;
    let call = format!("calls/{}", call_on(&bench, "participantLimit=5").await);
    assert_eq!(bench.put(&call, "messageText=Ends+soon").await.status, 200, "unknown, and ignored");
    assert_eq!(bench.sim.calls()[0].message, None);
}

fn runs(got: &Got, what: &str) -> (Option<String>, Option<String>) {
    (got.text(what), got.text(&format!("{what}Status")))
}

fn shown(runs: bool) -> (Option<String>, Option<String>) {
    (Some(runs.to_string()), Some(runs.to_string()))
}

#[tokio::test]
async fn an_automatic_call_is_recorded_and_streamed_as_long_as_somebody_is_in() {
    let bench = Bench::quick().await;
    let call = format!("calls/{}", call_on(&bench, "recordingMode=automatic&streamingMode=automatic").await);
    assert_eq!(runs(&bench.get(&call).await, "recording"), shown(false), "nobody is in");
    let who = bench.sim.join("1", "Anna", 0).unwrap();
    for what in ["recording", "streaming"] {
        assert_eq!(runs(&bench.get(&call).await, what), shown(true));
    }
    assert!(bench.sim.calls()[0].recorded && bench.sim.calls()[0].streamed);
    bench.refused(Method::PUT, &call, Some("recording=false"), "callRecordingCannotBeModified").await;
    assert!(bench.sim.leave(&who.leg));
    assert_eq!(runs(&bench.get(&call).await, "recording"), shown(false));
}

#[tokio::test]
async fn a_manual_call_is_recorded_when_it_is_told_and_a_disabled_one_never() {
    let bench = Bench::quick().await;
    let call = format!("calls/{}", call_on(&bench, "recordingMode=manual&streamingMode=disabled").await);
    bench.sim.join("1", "Anna", 0).unwrap();
    assert_eq!(runs(&bench.get(&call).await, "recording"), shown(false));
    assert_eq!(bench.put(&call, "recording=true").await.status, 200);
    assert_eq!(runs(&bench.get(&call).await, "recording"), shown(true));
    bench.refused(Method::PUT, &call, Some("streaming=true"), "callStreamingCannotBeModified").await;
    assert_eq!(bench.put(&call, "streaming=false").await.status, 200, "as it is");
    assert_eq!(runs(&bench.get(&call).await, "streaming"), shown(false));
    assert_eq!(bench.put(&call, "recording=false").await.status, 200);
    assert!(!bench.sim.calls()[0].recorded);
}

/// The reference of 2.1 does not know them.
#[tokio::test]
async fn an_older_version_shows_no_later_fields_of_a_call() {
    for (version, shown) in [("2.0(RC)", [false; 3]), ("2.2", [false, true, false]), ("2.4", [true; 3])] {
        let bench = Bench::new(Config { software_version: version.to_owned(), ..Config::default() }).await;
        let space = bench.make("coSpaces", "name=a&ownerJid=o@x").await;
        let call = bench.make("calls", &format!("coSpace={space}")).await;
        let got = bench.get(&format!("calls/{call}")).await;
        let fields = ["callType", "ownerName", "endpointRecording"].map(|name| got.text(name).is_some());
        assert_eq!(fields, shown, "{version}");
    }
}

/// 5.1: the call profile locks the calls on its spaces, whoever starts them; 7.1: their other attributes have defaults.
#[tokio::test]
async fn a_locked_profile_locks_its_calls() {
    let bench = Bench::quick().await;
    let call = call_on(&bench, "locked=true").await;
    let locked = async |call: &str| bench.get(&format!("calls/{call}")).await.text("locked").unwrap();
    assert_eq!(locked(&call).await, "true");
    assert_eq!(bench.sim.join("1", "Anna", 0), Err(crate::JoinError::Locked));
    assert_eq!(bench.put(&format!("calls/{call}"), "locked=false").await.status, 200);
    assert!(bench.sim.join("1", "Anna", 0).is_ok());
    bench.delete(&format!("calls/{call}")).await;
    let profile = bench.get("callProfiles").await.ids().remove(0);
    bench.put(&format!("callProfiles/{profile}"), "locked=").await;
    let joined = bench.sim.join("1", "Anna", 0).unwrap();
    assert_eq!(locked(&joined.call).await, "false");
}
