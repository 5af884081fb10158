//! What the tests about the bridge share: waits for conditions, and questions to simulator and apiserver.

use std::time::Duration;

use cms_simulator::{EntryKind, JournalEntry};
use meeting_controller::api::MeetingBridge;
use meeting_controller::api::bridge::SlotsStatus;
use meeting_controller::api::names::RECONCILE_ANNOTATION;
use meeting_controller::config::settings::Settings;
use serde_json::json;

use crate::kit::*;

/// Short intervals, but nothing comes by itself within the time of a test: what happens is asked for.
pub fn patient() -> Settings {
    Settings { probe_idle: Duration::from_secs(300), idle_read: Duration::from_secs(300), ..quick() }
}

/// Intervals for tests that wait until something is noticed or tried again.
pub fn brisk() -> Settings {
    Settings {
        probe_idle: Duration::from_millis(500),
        idle_read: Duration::from_millis(400),
        sync_retry: Duration::from_secs(1),
        ..quick()
    }
}

/// Ready, and about the newest spec.
pub fn is_ready(bridge: &MeetingBridge) -> bool {
    condition(bridge, "Ready") == ("True", "Ready") && bridge.observed() == bridge.metadata.generation
}

/// The slots in the status.
pub fn slots_of(bridge: &MeetingBridge) -> SlotsStatus {
    bridge.status.as_ref().and_then(|status| status.slots.clone()).unwrap_or_default()
}

/// The annotation that was last acted upon.
pub fn handled(bridge: &MeetingBridge) -> Option<&str> {
    bridge.status.as_ref()?.last_handled_reconcile_at.as_deref()
}

/// Asks for a full look at the bridge `core`.
pub async fn ask_full_look(arena: &Arena, token: &str) {
    let annotation = json!({ "metadata": { "annotations": { RECONCILE_ANNOTATION: token } } });
    arena.patch::<MeetingBridge>("core", annotation).await;
}

/// Numbers of the spaces that look like slots, in order.
pub fn slot_numbers(arena: &Arena) -> Vec<u32> {
    let mut numbers: Vec<u32> = arena
        .sim
        .spaces()
        .iter()
        .filter(|space| space.name.starts_with("TMS_") && space.uri == space.call_id)
        .filter_map(|space| space.uri.as_ref()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Id of the space with this number.
pub fn space_id(arena: &Arena, number: u32) -> String {
    let wanted = Some(number.to_string());
    arena.sim.spaces().into_iter().find(|space| space.uri == wanted).map(|space| space.id).expect("the space exists")
}

/// A field of a request's body.
pub fn field<'a>(entry: &'a JournalEntry, name: &str) -> Option<&'a str> {
    entry.body.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Arena {
    /// Waits until a bridge is Ready for its newest spec.
    pub async fn ready(&self, name: &str) -> MeetingBridge {
        self.bridge(name, "Ready", is_ready).await
    }

    /// Waits until a condition of a bridge is False with this reason.
    pub async fn reason(&self, name: &str, kind: &str, reason: &str) -> MeetingBridge {
        let what = format!("{kind}=False({reason})");
        self.bridge(name, &what, |bridge| condition(bridge, kind) == ("False", reason)).await
    }

    /// The requests on the wire since the journal was cleared.
    pub fn requests(&self) -> Vec<JournalEntry> {
        self.sim.journal().into_iter().filter(|entry| entry.kind == EntryKind::Request).collect()
    }

    /// The requests of one kind that changed something.
    pub fn effects(&self, method: &str, route: &str) -> Vec<JournalEntry> {
        let mut found = self.requests();
        found.retain(|entry| entry.method == method && entry.route == route && entry.effect);
        found
    }

    /// Writes since the journal was cleared.
    pub fn writes(&self) -> Vec<String> {
        self.requests().iter().filter(|entry| entry.method != "GET").map(line).collect()
    }

    /// Waits until so many requests were answered since the journal was cleared.
    pub async fn answered(&self, count: usize) {
        let waiting = self.sim.await_journal(
            |journal| journal.iter().filter(|e| e.kind == EntryKind::Request && e.finished.is_some()).count() >= count,
            PATIENCE,
        );
        assert!(waiting.await.is_ok(), "fewer than {count} requests:\n{}", self.journal_lines().join("\n"));
    }

    /// A request to the simulator as its administrator would send it. Stands in the journal, too.
    pub async fn ask(&self, method: reqwest::Method, path: &str, body: &str) -> String {
        let (status, text) = self.send(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status}");
        text
    }

    /// The same, whatever it answers: the status, and the body.
    pub async fn send(&self, method: reqwest::Method, path: &str, body: &str) -> (u16, String) {
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().expect("client");
        let url = format!("https://{}/api/v1/{path}", self.sim.address(0));
        let reply = client
            .request(method, url)
            .basic_auth(self.sim.username(), Some(self.sim.password()))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.to_owned())
            .send()
            .await
            .expect("the simulator answers");
        (reply.status().as_u16(), reply.text().await.expect("a body"))
    }

    /// How many objects a collection has.
    pub async fn total(&self, collection: &str) -> usize {
        let text = self.ask(reqwest::Method::GET, collection, "").await;
        let number = text.split("total=\"").nth(1).and_then(|rest| rest.split('"').next());
        number.and_then(|number| number.parse().ok()).expect("a list has a total")
    }
}
