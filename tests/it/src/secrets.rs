//! No secret ever reaches a log, an event, a metric, a span, a status or a URL (R38, promise 6).

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use cms_simulator::{Fault, FaultKind, Simulator};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::kit::*;
use crate::meetings::*;
use crate::traces::Collector;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything that must never be shown, and why.
struct Hunted(BTreeSet<(&'static str, String)>);

impl Hunted {
    fn spaces(&mut self, sim: &Simulator) {
        for space in sim.spaces() {
            self.0.extend(space.secret.map(|secret| ("space secret", secret)));
        }
    }

    fn assert_not_in(&self, place: &str, text: &str) {
        assert!(!text.is_empty(), "{place} is empty, so nothing is proven");
        for (what, secret) in &self.0 {
            if let Some(at) = text.find(secret.as_str()) {
                let from = text[..at].rfind('\n').map_or(0, |i| i + 1);
                panic!("the {what} is in {place}: {}", text[from..].lines().next().unwrap_or_default());
            }
        }
    }
}

/// A current-thread runtime, so that everything the controller logs is logged on this thread.
#[tokio::test]
async fn nothing_secret_is_ever_shown() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(captured.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let collector = Collector::start().await;
    let traces = collector.traces();
    let arena = Arena::with("hush", lone(), Settings { traces: Some(Arc::clone(&traces)), ..quick() }).await;
    arena.sim.set_password("hunter2-Pa55word");
    arena.ready_bridge(json!({ "webBridgeURI": "https://join.meet.test" })).await;
    arena.create_secret("code", json!({ "passcode": "90817263", "host": "66778899" })).await;
    // A ByteString is written in base64, as Basic authentication is.
    let basic = serde_json::to_string(&ByteString(b"admin:hunter2-Pa55word".to_vec())).unwrap();
    let basic = basic.trim_matches('"').to_owned();
    let mut hunted = Hunted(BTreeSet::from([
        ("password", "hunter2-Pa55word".to_owned()),
        ("password in base64", basic),
        ("passcode", "90817263".to_owned()),
        ("second passcode", "55443322".to_owned()),
        ("passcode of hosts", "66778899".to_owned()),
        ("second passcode of hosts", "99887766".to_owned()),
    ]));
    hunted.spaces(&arena.sim);
    // Failures are where secrets slip out: refused writes, lost replies, wrong credentials.
    let refusal = FaultKind::Failure { status: 400, element: "parameterError".to_owned() };
    arena.sim.add_fault(Fault::new(refusal).method("PUT").once());
    arena.sim.add_fault(Fault::new(FaultKind::HtmlError).method("POST").route("calls").once());
    arena.sim.add_fault(Fault::new(FaultKind::TruncatedXml).method("GET").route("coSpaces/{id}").once());
    let spec = json!({ "passcodeSecretRef": { "name": "code" }, "participants": [{ "remoteParty": "desk@rooms.test" }],
                "accessMethods": [{ "name": "host", "role": "Host", "passcodeSecretRef": { "name": "code", "key": "host" } }] });
    let refused = FaultKind::Failure { status: 400, element: "duplicateCoSpaceIdPasscode".to_owned() };
    arena.sim.add_fault(Fault::new(refused).method("POST").route("coSpaces/{id}/accessMethods").once());
    arena.open_now("m", 600, spec).await;
    arena.open_now("made", 600, json!({ "passcode": { "generate": { "digits": 12 } } })).await;
    let number = number_of(&arena.party("m", ParticipantState::Connected).await);
    let mut shown = Vec::new();
    for name in ["m", "made"] {
        let meeting = arena.phase(name, Phase::Active).await;
        shown.push(serde_json::to_string(&meeting.status).unwrap());
        let join = arena.join_secret(name).await.unwrap();
        for key in ["secret", "passcode", "link"] {
            hunted.0.insert(("join detail", entry(&join, key).unwrap()));
        }
        let of_host = ["access.host.secret", "access.host.link"].into_iter().filter_map(|key| entry(&join, key));
        hunted.0.extend(of_host.map(|detail| ("join detail of hosts", detail)));
    }
    hunted.spaces(&arena.sim);
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": "55443322", "host": "99887766" } })).await;
    arena.await_sim("a new passcode", |sim| slot_of(sim, number).passcode.as_deref() == Some("55443322")).await;
    arena.sim.set_password("hunter3-Pa55word");
    arena.delete::<ScheduledMeeting>("made").await;
    let locked =
        arena.bridge("core", "locked out", |b| condition(b, "CredentialsValid") == ("False", "Unauthorized")).await;
    shown.push(serde_json::to_string(&locked.status).unwrap());
    let right = json!({ "stringData": { "password": "hunter3-Pa55word" } });
    hunted.0.insert(("new password", "hunter3-Pa55word".to_owned()));
    arena.patch::<Secret>("cms", right).await;
    arena.gone::<ScheduledMeeting>("made").await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "duration": null, "end": in_ms(-100) } })).await;
    shown.push(serde_json::to_string(&arena.phase("m", Phase::Ended).await.status).unwrap());
    hunted.spaces(&arena.sim);

    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    shown.push(serde_json::to_string(&bridge).unwrap());
    hunted.assert_not_in("a status", &shown.join("\n"));
    let events: Api<Event> = arena.api();
    let events = events.list(&ListParams::default()).await.unwrap();
    hunted.assert_not_in("an event", &serde_json::to_string(&events.items).unwrap());
    hunted.assert_not_in("the metrics", &arena.controller.as_ref().unwrap().metrics.text());
    let urls: Vec<_> = arena.sim.journal().iter().map(|entry| format!("{}?{}", entry.path, entry.query)).collect();
    hunted.assert_not_in("a URL", &urls.join("\n"));
    arena.assert_rules(1..=5);
    arena.finish().await;
    traces.stop().await;
    let spans = collector.text();
    assert!(spans.contains("meeting start") && spans.contains("PUT /coSpaces/{id}"), "{spans}");
    hunted.assert_not_in("a span", &spans);
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> = log.lines().filter(|line| !line.contains("cms_simulator")).collect();
    assert!(ours.iter().filter(|line| line.contains("meeting_controller")).count() > 20, "the log was captured");
    println!("{} lines of log, {} of ours", log.lines().count(), ours.len());
    hunted.assert_not_in("the log", &ours.join("\n"));
}
