//! The page in a real browser, Chromium without a window, by its DevTools protocol: `just board-picture`. Debian has it as
//! `chromium`; $CHROMIUM names another one. The pictures of docs/ are taken here.

use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use meeting_controller::api::meeting::Phase;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::*;

/// A page in a browser.
struct Page {
    _browser: Child,
    _profile: TempDir,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last_id: u64,
    session: Option<String>,
    /// What the browser told that nobody asked for.
    told: Vec<Value>,
}

impl Page {
    async fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        // The browser reads from 3 and writes to 4.
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, &chromium, "--headless=new"]);
        command.args([
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
        ]);
        command.args(["--lang=en", "about:blank"]).arg(format!("--user-data-dir={}", profile.path().display()));
        let mut browser = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (to, from) = (browser.stdin.take().unwrap(), BufReader::new(browser.stdout.take().unwrap()));
        let mut page =
            Self { _browser: browser, _profile: profile, to, from, last_id: 0, session: None, told: Vec::new() };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await["targetId"].clone();
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await;
        page.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.call("Page.navigate", json!({ "url": url })).await;
        page
    }

    /// One command, and what came of it.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).await.expect("the browser runs");
        let answer = async {
            loop {
                let mut bytes = Vec::new();
                self.from.read_until(0, &mut bytes).await.unwrap();
                assert_eq!(bytes.pop(), Some(0), "is there a chromium? (apt-get install chromium, or $CHROMIUM)");
                let mut message: Value = serde_json::from_slice(&bytes).unwrap();
                if message["id"] == json!(self.last_id) {
                    assert!(message.get("error").is_none(), "{method}: {message}");
                    return message["result"].take();
                }
                self.told.push(message);
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{method}: no answer"))
    }

    /// What an expression is.
    async fn is(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", params).await;
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    async fn until(&mut self, expression: &str) {
        let look = format!("const look = () => {{ if ({expression}) ok(true); else setTimeout(look, 20); }}; look();");
        self.is(&format!("new Promise((ok) => {{ {look} }})")).await;
    }

    async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": key })).await;
        }
    }

    /// A picture of what is seen, into docs/images if $BOARD_PICTURES is set.
    async fn picture(&mut self, name: &str, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media).await;
        let height = self.is("document.documentElement.scrollHeight").await;
        let size = json!({ "width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let ByteString(bytes) = serde_json::from_value(picture["data"].clone()).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"));
        if std::env::var_os("BOARD_PICTURES").is_some() {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

/// A zone in which people are at work now.
fn working_zone() -> &'static str {
    let zones =
        ["Europe/Berlin", "America/New_York", "America/Los_Angeles", "Pacific/Auckland", "Asia/Tokyo", "Asia/Kolkata"];
    let hour = |zone: &str| Timestamp::now().to_zoned(TimeZone::get(zone).unwrap()).hour();
    zones.into_iter().find(|zone| (9..=14).contains(&hour(zone))).unwrap_or("UTC")
}

/// From so many minutes from now on, for so many minutes, with this title.
fn named(title: &str, from: i64, length: i64) -> Value {
    let mut spec = minutes(from, length);
    spec["title"] = json!(title);
    spec
}

async fn a_busy_week(arena: &Arena) {
    let running = [
        ("standup", "Platform stand-up", -10, 40),
        ("board", "Board of directors", -25, 120),
        ("interview", "Interview: site reliability", -5, 50),
    ];
    for (name, title, from, length) in running {
        arena.create_meeting(name, named(title, from, length)).await;
        arena.booked(name).await;
    }
    let later = [
        ("review", "Design review: failover", 45, 60),
        ("customer", "Customer call, Oslo", 65, 90),
        ("retro", "Retrospective", 130, 60),
        ("training", "Training for new staff", 150, 120),
        ("budget", "Budget 2027", 220, 45),
        ("allhands", "All hands", 24 * 60, 90),
        ("lecture", "Lecture: spaces and slots", 24 * 60, 60),
        ("panel", "Panel of auditors", 24 * 60, 60),
        ("sales", "Sales, weekly", 24 * 60, 60),
    ];
    for (name, title, from, length) in later {
        let mut spec = named(title, from, length);
        spec["earlyJoin"] = json!("10m");
        arena.create_meeting(name, spec).await;
        arena.booked(name).await;
    }
    // There are four slots.
    arena.create_meeting("steering", named("Steering committee", 24 * 60 + 15, 60)).await;
    arena.says("steering", "Accepted", "False", "NoFreeSlot").await;
    for (name, ..) in running {
        arena.phase(name, Phase::Active).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: just board-picture"]
async fn the_page_in_a_browser() {
    let mut arena = Arena::quiet("board", cms_simulator::Config::default(), quick()).await;
    // What is seen in the pictures is called as a platform team calls it.
    arena.namespace = "meetings".to_owned();
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": arena.namespace } })).unwrap();
    Api::all(arena.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    arena.start().await;
    let bridge = json!({ "displayName": "Core conferencing", "slots": { "quantity": 4 } });
    arena.ready_bridge(bridge).await;
    a_busy_week(&arena).await;
    let board = Board::start(&User::admin(&arena).await, &["--tz", working_zone()]).await;
    let mut page = Page::open(&board.url).await;
    page.call(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": false }),
    )
    .await;
    page.until("document.querySelectorAll('.track .bar.Good').length === 3 && document.querySelector('.ticket')").await;
    assert_eq!(page.is("document.getElementById('link').textContent").await, "live");
    page.is("document.getElementById('to-now').click()").await;
    page.picture("board.png", "light").await;
    page.picture("board-dark.png", "dark").await;

    // Every meeting is in the table as well, and every bar has a name of its own.
    page.is("document.querySelector('summary').click()").await;
    assert_eq!(page.is("document.querySelectorAll('details tbody tr').length").await, 13);
    assert_eq!(
        page.is("[...document.querySelectorAll('.track .bar')].every((bar) => bar.ariaLabel.includes('slot'))").await,
        true
    );
    // The keyboard goes from meeting to meeting, and what happens meanwhile takes nothing away.
    page.is("document.querySelector('.bar[tabindex=\"0\"]').focus()").await;
    let first = page.is("document.activeElement.dataset.key").await;
    page.press("ArrowRight").await;
    page.press("ArrowDown").await;
    let focused = page.is("document.activeElement.dataset.key").await;
    assert!(focused.is_string() && focused != first, "{focused}");
    let scrolled = page.is("document.querySelector('.scroll').scrollLeft").await;
    let rude = "<img src=x onerror=document.title='x'><script>document.title='x'</script>";
    arena.create_meeting("rude", named(rude, 300, 30)).await;
    page.until("[...document.querySelectorAll('.track .bar')].some((bar) => bar.textContent.startsWith('<img src=x'))")
        .await;
    assert_eq!(page.is("[document.images.length, document.title]").await, json!([0, "Meetings"]));
    assert_eq!(page.is("document.activeElement.dataset.key").await, focused);
    assert_eq!(page.is("document.querySelector('.scroll').scrollLeft").await, scrolled);
    assert_eq!(page.is("document.querySelector('details').open").await, true);
    for (zoom, wider) in [("1", 1.0), ("3.5", 3.5), ("14", 14.0)] {
        page.is(&format!("document.querySelector('input[value=\"{zoom}\"]').click()")).await;
        let ratio =
            "(([s, t]) => t.offsetWidth / s.clientWidth)(['.scroll', '.track'].map((c) => document.querySelector(c)))";
        let ratio = page.is(ratio).await.as_f64().unwrap();
        assert!((ratio - wider).abs() < 0.01, "{zoom}: {ratio}");
    }
    assert_eq!(page.is("document.documentElement.scrollWidth <= innerWidth").await, true, "nothing sticks out");

    // Nothing was forbidden or went wrong, and nobody else was asked.
    for message in &page.told {
        let method = message["method"].as_str().unwrap_or_default();
        assert!(!matches!(method, "Log.entryAdded" | "Runtime.exceptionThrown"), "{message}");
        if method == "Network.requestWillBeSent" {
            let url = message["params"]["request"]["url"].as_str().unwrap();
            assert!(url.starts_with(&board.url) || url.starts_with("data:"), "{url}");
        }
    }
    board.interrupt().await;
    page.until("document.getElementById('link').textContent.startsWith('stale since')").await;
    arena.finish().await;
}
