//! `kubectl meetings board` as a user has it: the page's stream of events while meetings change, and who is kept out.

use std::process::Stdio;

use meeting_controller::api::ScheduledMeeting;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::apiserver::*;
use crate::booking::minutes;
use crate::kit::*;
use crate::meetings::*;
use crate::plugin::*;

mod browser;

/// A board that runs.
struct Board {
    process: Child,
    url: String,
}

impl Board {
    /// Starts it, and waits until it says where it is.
    async fn start(user: &User, words: &[&str]) -> Self {
        let words = [&["board"], words].concat();
        let mut process = user.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").unwrap();
        Self { process, url: line.expect("its address") }
    }

    async fn asked(&self, method: Method, url: &str, host: Option<&str>) -> reqwest::Response {
        let mut request = reqwest::Client::builder().no_proxy().build().unwrap().request(method, url);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        tokio::time::timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer")
    }

    async fn events(&self) -> Events {
        let stream = self.asked(Method::GET, &format!("{}events", self.url), None).await;
        assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
        Events { stream, bytes: Vec::new(), read: 0 }
    }

    /// Ctrl-C, which ends it well.
    async fn interrupt(mut self) {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("in time").unwrap();
        assert!(ended.success(), "{ended}");
    }
}

/// What the page is sent.
struct Events {
    stream: reqwest::Response,
    bytes: Vec<u8>,
    read: usize,
}

impl Events {
    /// Waits for an event that is as wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                while let Some(length) = self.bytes[self.read..].windows(2).position(|two| two == b"\n\n") {
                    let event = &self.bytes[self.read..self.read + length];
                    self.read += length + 2;
                    last = serde_json::from_slice(event.strip_prefix(b"data: ").expect("data")).expect("JSON");
                    if wanted(&last) {
                        return;
                    }
                }
                let chunk = self.stream.chunk().await.unwrap().expect("the stream goes on");
                self.bytes.extend_from_slice(&chunk);
            }
        };
        let is_in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(is_in_time, "never: {what}\n{last:#}");
        last
    }
}

/// The bar of a meeting on the first bridge.
fn bar<'a>(event: &'a Value, meeting: &str) -> &'a Value {
    let bars = event["panels"][0]["week"]["bars"].as_array();
    let is_it = |bar: &&Value| bar["meeting"].as_str().is_some_and(|name| name.ends_with(&format!("/{meeting}")));
    bars.and_then(|bars| bars.iter().find(is_it)).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_follows_what_happens_and_answers_its_user_only() {
    let arena = Arena::new("board").await;
    let looker = User::allowed(&arena, "looker", &[LOOK]).await;
    let board = Board::start(&looker, &["--tz", "Europe/Berlin"]).await;
    let mut events = board.events().await;
    events.until("nothing there", |event| event["notes"] != json!([]) && event["panels"] == json!([])).await;
    arena.ready_bridge(json!({})).await;
    let is_ready = |event: &Value| event["panels"][0]["state"][1].as_str().is_some_and(|is| is.contains("Ready=True"));
    let seen = events.until("Ready", is_ready).await;
    assert_eq!((&seen["panels"][0]["tickets"], &seen["timeZone"]), (&json!([]), &json!("Europe/Berlin")));
    has(&seen["notes"].to_string(), &["You see the ScheduledMeetings of namespace"]);

    arena.open_now("review", 600, json!({ "passcode": { "generate": { "digits": 12 } } })).await;
    let seen = events.until("Active", |event| bar(event, "review")["phase"] == "Active").await;
    let (now, review) = (seen["panels"][0]["week"]["now"].as_f64().unwrap(), bar(&seen, "review"));
    assert!(review["from"].as_f64().unwrap() <= now && now < review["to"].as_f64().unwrap(), "{review}");
    arena.patch::<ScheduledMeeting>("review", json!({ "spec": { "title": "</script><b>" } })).await;
    events.until("renamed", |event| bar(event, "review")["title"] == "</script><b>").await;
    let nowhere = json!({ "bridgeRef": { "name": "none" }, "start": in_ms(60_000), "duration": "1h" });
    arena.create_meeting("unbooked", nowhere).await;
    let is_told = |event: &Value| event["elsewhere"]["tickets"].to_string().contains("BridgeNotFound");
    has(&events.until("a ticket", is_told).await["elsewhere"].to_string(), &["correct bridgeSelector"]);
    let join = arena.join_secret("review").await.unwrap();
    arena.delete::<ScheduledMeeting>("review").await;
    events.until("gone", |event| bar(event, "review").is_null()).await;
    let told = String::from_utf8(events.bytes).unwrap();
    for key in ["passcode", "secret", "uri"] {
        assert!(!told.contains(&entry(&join, key).unwrap()), "{key}");
    }

    let other = board.url.replace(|c: char| c.is_ascii_lowercase(), "0");
    let other = other.replacen("0000://", "http://", 1);
    for (method, url, host, code) in [
        (Method::GET, &board.url, None, StatusCode::OK),
        (Method::GET, &other, None, StatusCode::NOT_FOUND),
        (Method::GET, &board.url, Some("rebound.example"), StatusCode::MISDIRECTED_REQUEST),
        (Method::POST, &board.url, None, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = board.asked(method, url, host).await;
        assert_eq!(answer.status(), code, "{url} {host:?}");
        assert!(answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
    }
    board.interrupt().await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_seen_and_what_broke_is_told_on_the_page() {
    let arena = Arena::quiet("board", lone(), quick()).await;
    arena.create_bridge("core", json!({})).await;
    arena.create_meeting("review", minutes(60, 30)).await;
    let meetings_only = ("meeting-controller.dev", "scheduledmeetings", LOOK.2);
    let half = User::allowed(&arena, "half", &[meetings_only]).await;
    let board = Board::start(&half, &[]).await;
    let is_there = |event: &Value| event["elsewhere"]["bars"][0]["title"] == "Meeting review";
    let seen = board.events().await.until("the meetings", is_there).await;
    has(&seen["notes"].to_string(), &["MeetingBridges: cannot be read", "the right to list meetingbridges"]);
    board.interrupt().await;

    // The list is answered, the watch is not.
    let failing = Failing::default();
    let user = in_between(&arena, &failing).await;
    let refused = Failure::Refuse(500, "InternalError", "the watch broke");
    let broken = failing.add(("WATCH", "meetingbridges", None), None, refused);
    let board = Board::start(&user, &[]).await;
    let mut events = board.events().await;
    let is_stale = |event: &Value| {
        let notes = event["notes"].to_string();
        notes.contains("MeetingBridges: stale since") && !bar(event, "review").is_null()
    };
    let seen = events.until("stale, and what was known is shown", is_stale).await;
    has(&seen["notes"].to_string(), &["the watch broke"]);
    broken.lift();
    events.until("live", |event| event["notes"] == json!([]) && !bar(event, "review").is_null()).await;
    board.interrupt().await;
    arena.finish().await;
}
