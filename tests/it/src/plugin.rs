//! `kubectl meetings` as a user has it: the real binary, called by kubectl, with the user's rights.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use cms_simulator::{Fault, FaultKind};
use control_plane::{AuditEvent, client_for};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::PostParams;
use kube::client::Body;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::apiserver::*;
use crate::booking::minutes;
use crate::kit::*;
use crate::meetings::*;

/// The product's binary. Built by the same command as CI's drift check, so there it is built already.
pub static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let build = ["build", "--quiet", "--locked", "--package", "meeting-controller", "--message-format=json"];
    let built = std::process::Command::new(cargo).args(build).current_dir(root).output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8_lossy(&built.stdout);
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = |artifact: Value| Some(PathBuf::from(artifact["executable"].as_str()?));
    artifacts.filter_map(executable).next_back().expect("a binary")
});

/// Somebody at a terminal, with the kubectl that this project builds.
pub struct User {
    home: TempDir,
    namespace: String,
    kubectl: PathBuf,
}

/// What a command said.
pub struct Said {
    pub good: bool,
    pub out: String,
    pub err: String,
}

impl User {
    /// With this kubeconfig, and the plugin on the PATH.
    async fn with(kubeconfig: &str, namespace: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config"), kubeconfig).unwrap();
        for name in ["kubectl-meetings", "kubectl_complete-meetings"] {
            std::os::unix::fs::symlink(&*BINARY, home.path().join(name)).unwrap();
        }
        let kubectl = control_plane::tools::kubectl().await.expect("kubectl");
        Self { home, namespace: namespace.to_owned(), kubectl }
    }

    /// A ServiceAccount with these rights: apiGroup, resource, verbs.
    pub async fn allowed(arena: &Arena, name: &str, rights: &[(&str, &str, &[&str])]) -> Self {
        arena.plane.create_service_account(&arena.namespace, name).await.expect("account");
        let rules: Vec<Value> = rights
            .iter()
            .map(|(group, resource, verbs)| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs }))
            .collect();
        let role: Role = serde_json::from_value(json!({ "metadata": { "name": name }, "rules": rules })).unwrap();
        arena.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": arena.namespace }]
        }))
        .unwrap();
        arena.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
        let config = arena.plane.kubeconfig_for_service_account(&arena.namespace, name).await.expect("kubeconfig");
        Self::with(&control_plane::to_yaml(&config).unwrap(), &arena.namespace).await
    }

    /// A user who may do everything.
    pub async fn admin(arena: &Arena) -> Self {
        Self::with(arena.plane.kubeconfig_yaml(), &arena.namespace).await
    }

    /// `kubectl meetings WORDS -n NAMESPACE`.
    pub fn command(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.kubectl);
        command.arg("meetings").args(words).args(["-n", &self.namespace]);
        command.env("PATH", format!("{}:{path}", self.home.path().display()));
        command.env("KUBECONFIG", self.home.path().join("config")).env("HOME", self.home.path());
        command.env_remove("COLUMNS").env("TZ", "UTC").kill_on_drop(true);
        command
    }

    /// `meeting-controller WORDS FILE`, with this text in the file: the exit code, and what it printed.
    pub async fn runs(&self, words: &[&str], text: &str) -> (i32, String) {
        let file = self.home.path().join("manifests.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(&*BINARY);
        command.args(words).arg(&file).env("KUBECONFIG", self.home.path().join("config")).env("HOME", self.home.path());
        let output =
            tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await.expect("in time").unwrap();
        let code = output.status.code().expect("a code");
        (code, said(output).out.replace(&format!("{}/", self.home.path().display()), ""))
    }

    async fn says(&self, words: &[&str]) -> Said {
        let output = tokio::time::timeout(PATIENCE, self.command(words).output()).await.expect("in time").unwrap();
        said(output)
    }

    /// What it prints, when all is well.
    async fn gets(&self, words: &[&str]) -> String {
        let said = self.says(words).await;
        assert!(said.good, "{words:?}: {}", said.err);
        said.out
    }

    /// What it complains about.
    pub async fn fails(&self, words: &[&str]) -> String {
        let said = self.says(words).await;
        assert!(!said.good && said.out.is_empty(), "{words:?}: {}", said.out);
        assert!(said.err.contains("\n  Do: "), "{words:?} names a remedy: {}", said.err);
        said.err
    }
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { good: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

#[track_caller]
pub fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

pub const LOOK: (&str, &str, &[&str]) = ("meeting-controller.dev", "*", &["get", "list", "watch"]);
const EDIT: (&str, &str, &[&str]) = ("meeting-controller.dev", "scheduledmeetings", &["patch"]);
const SECRETS: (&str, &str, &[&str]) = ("", "secrets", &["get"]);

fn patches(events: &[AuditEvent], namespace: &str) -> Vec<String> {
    let of_users =
        |e: &&AuditEvent| e.verb == "patch" && e.namespace == namespace && e.uri.contains("kubectl-meetings");
    events.iter().filter(of_users).map(|e| format!("{} {} {}", e.resource, e.name, e.code)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_calendar_and_join_show_what_the_user_may_see() {
    let arena = Arena::new("plugin").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("review", 600, json!({ "passcode": { "generate": { "digits": 6 } } })).await;
    arena.phase("review", Phase::Active).await;
    let looker = User::allowed(&arena, "looker", &[LOOK]).await;
    let before = arena.plane.audit_position().unwrap();

    let seen = looker.says(&["status", "core"]).await;
    has(&seen.out, &["(Ready=True)", "TICKETS\n  none", "Software", "Meeting review", "Active"]);
    has(&seen.err, &["you may not list the others"]);
    assert!(seen.good && !seen.out.contains('\u{1b}'), "no colours in a pipe");
    has(&looker.gets(&["status", "--color", "always"]).await, &["\u{1b}[32m"]);
    let json: Value = serde_json::from_str(&looker.gets(&["status", "core", "-o", "json"]).await).unwrap();
    assert_eq!(json[0]["meetings"][0]["phase"], "Active");
    let drawn = looker.gets(&["calendar", "--tz", "Asia/Kolkata", "--width", "100"]).await;
    has(&drawn, &["(Asia/Kolkata)", "A", "slot 1", "nothing booked", "Meeting review"]);
    has(&looker.fails(&["calendar", "--tz", "Mars/Olympus"]).await, &["--tz Mars/Olympus", "Europe/Berlin"]);
    has(&looker.gets(&["completion", "bash"]).await, &["kubectl-meetings"]);
    // As kubectl's completion calls it.
    for (words, expected) in
        [(&["st"] as &[&str], "status\n:4\n"), (&["-n", &arena.namespace, "join", ""], "review\n:4\n")]
    {
        let mut completer = Command::new(looker.home.path().join("kubectl_complete-meetings"));
        completer.args(words).env("KUBECONFIG", looker.home.path().join("config"));
        assert_eq!(said(completer.output().await.unwrap()).out, expected, "{words:?}");
    }
    has(&looker.fails(&["status", "gone"]).await, &["MeetingBridge", "/gone: it does not exist"]);
    has(&looker.fails(&["status", "-A"]).await, &["cannot list resource", "list meetingbridges"]);
    has(&looker.fails(&["join", "review"]).await, &["review-join", "get secrets"]);

    let reader = User::allowed(&arena, "reader", &[LOOK, SECRETS]).await;
    let join = arena.join_secret("review").await.unwrap();
    let (passcode, secret) = (entry(&join, "passcode").unwrap(), entry(&join, "secret").unwrap());
    for words in [&["join", "review"] as &[&str], &["join", "review", "-o", "yaml"]] {
        let hidden = reader.gets(words).await;
        has(&hidden, &["1@meet.test"]);
        assert!(!hidden.contains(&passcode) && !hidden.contains(&secret), "{hidden}");
    }
    has(&reader.gets(&["join", "review", "--show"]).await, &[&passcode]);
    arena
        .create_meeting(
            "unbooked",
            json!({ "bridgeRef": { "name": "none" }, "start": in_ms(60_000), "duration": "1h" }),
        )
        .await;
    arena.says("unbooked", "Accepted", "False", "BridgeNotFound").await;
    has(&reader.fails(&["join", "unbooked"]).await, &["BridgeNotFound", "correct bridgeSelector"]);
    // A Secret of the name that is not the meeting's says nothing about it.
    let theirs: Secret = serde_json::from_value(json!({
        "metadata": { "name": "unbooked-join" }, "stringData": { "number": "666" }
    }))
    .unwrap();
    arena.api::<Secret>().create(&PostParams::default(), &theirs).await.unwrap();
    has(&reader.fails(&["join", "unbooked", "--show"]).await, &["it has no join Secret"]);
    assert!(patches(&arena.plane.audit_events_since(before).unwrap(), &arena.namespace).is_empty());
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extend_end_and_the_requests_are_one_patch_each() {
    let arena = Arena::new("plugin").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("review", 600, json!({})).await;
    let opened = arena.phase("review", Phase::Active).await;
    arena.create_meeting("next", minutes(20, 30)).await;
    assert_eq!(number_of(&arena.booked("next").await), number_of(&opened), "the slot is reserved after it");
    let (looker, editor) =
        (User::allowed(&arena, "looker", &[LOOK]).await, User::allowed(&arena, "editor", &[LOOK, EDIT]).await);
    let before = arena.plane.audit_position().unwrap();
    let patched = || patches(&arena.plane.audit_events_since(before).unwrap(), &arena.namespace);

    has(&looker.fails(&["extend", "review", "5m"]).await, &["cannot patch", "patch scheduledmeetings"]);
    let extended = editor.says(&["extend", "review", "5m", "--wait"]).await;
    assert!(extended.good, "{}", extended.err);
    has(&extended.out, &["scheduledmeeting/review ends", "instead of", "scheduledmeeting/review done"]);
    has(&extended.err, &["warning: the end is also set by"]);
    let meeting = arena.phase("review", Phase::Active).await;
    assert_eq!(meeting.spec.duration.unwrap().get().as_secs(), 900);
    let ends = |m: &ScheduledMeeting| status_of(m).window.unwrap().closes_at.0;
    assert_eq!(ends(&meeting).duration_since(ends(&opened)).as_secs(), 300);
    assert!(meeting.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some("kubectl-meetings")));
    assert_eq!(patched(), ["scheduledmeetings review 403", "scheduledmeetings review 200"]);

    has(&editor.fails_after(&["extend", "review", "15m", "--wait"]).await, &["ExtensionConflict", "Move the other"]);
    has(&editor.fails(&["end", "next"]).await, &["it does not begin before", "kubectl delete mtg next"]);
    has(&editor.fails(&["extend", "nothing", "5m"]).await, &["ScheduledMeeting", "/nothing: it does not exist"]);
    let ended = editor.says(&["end", "review", "--wait", "--timeout", "30s"]).await;
    assert!(ended.good, "{}", ended.err);
    arena.phase("review", Phase::Ended).await;
    assert!(!arena.slot(number_of(&opened)).open);
    has(&editor.fails(&["end", "review"]).await, &["it is over since"]);
    assert_eq!(patched().len(), 4, "{:?}", patched());

    has(&editor.fails(&["refresh", "mb/core"]).await, &["cannot patch", "patch meetingbridges"]);
    let admin = User::admin(&arena).await;
    has(&admin.gets(&["refresh", "core", "--wait"]).await, &["meetingbridge/core asked", "meetingbridge/core done"]);
    has(&admin.gets(&["refresh", "mtg/next", "--wait"]).await, &["scheduledmeeting/next done"]);
    daily_series(&arena).await;
    has(
        &admin.gets(&["refresh", "mts/daily", "--wait"]).await,
        &["meetingseries/daily asked", "meetingseries/daily done"],
    );
    has(&admin.gets(&["refresh", "daily", "--wait"]).await, &["meetingseries/daily done"]);
    arena.create_meeting("daily", minutes(120, 30)).await;
    has(&admin.fails(&["refresh", "daily"]).await, &["several kinds have this name", "mtg/daily or mts/daily"]);
    has(&admin.fails(&["refresh", "mtx/daily"]).await, &["this kind is not known", "mts/daily"]);
    let shown: Value = serde_json::from_str(&admin.gets(&["failback", "core", "-o", "json"]).await).unwrap();
    let asked = "meeting-controller.dev/failback-requested-at";
    let bridge = arena.bridge("core", "asked", |bridge: &MeetingBridge| bridge.annotations().contains_key(asked)).await;
    assert_eq!(shown["metadata"]["annotations"][asked].as_str(), bridge.annotations().get(asked).map(String::as_str));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// With the bridge away a deletion waits; this lets it go, and nothing but a deletion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn force_delete_lets_go_what_is_being_deleted_and_nothing_else() {
    let mut settings = quick();
    settings.limits.request = std::time::Duration::from_secs(2);
    let arena = Arena::with("plugin-force", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    let admin = User::admin(&arena).await;
    has(&admin.fails(&["force-delete", "core"]).await, &["it is not being deleted", "delete meetingbridges core"]);
    has(&admin.fails(&["force-delete", "mts/core"]).await, &["a series waits for no bridge"]);
    arena.sim.add_fault(Fault::new(FaultKind::HangBefore));
    arena.delete::<MeetingBridge>("core").await;
    arena.bridge("core", "leaving", |b| condition(b, "Ready") == ("False", "Deleting")).await;
    has(&admin.gets(&["force-delete", "mb/core"]).await, &["meetingbridge/core is let go"]);
    arena.gone::<MeetingBridge>("core").await;
    arena.told("core", "LeftBehind").await;
    arena.finish().await;
}

/// A series that begins in two days.
async fn daily_series(arena: &Arena) {
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
    let series: MeetingSeries = serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries", "metadata": { "name": "daily" },
        "spec": { "start": start.strftime("%Y-%m-%dT%H:%M:%S").to_string(), "timeZone": "UTC", "duration": "20m",
                  "recurrence": { "frequency": "Daily" }, "maxAhead": 1,
                  "template": { "spec": { "title": "Daily", "bridgeRef": { "name": "core" } } } }
    }))
    .unwrap();
    arena.api::<MeetingSeries>().create(&PostParams::default(), &series).await.expect("series is accepted");
}

impl User {
    /// What it complains about after it has said what it did.
    async fn fails_after(&self, words: &[&str]) -> String {
        let said = self.says(words).await;
        assert!(!said.good, "{words:?}: {}", said.out);
        said.err
    }
}

/// An apiserver between the plugin and the real one.
pub async fn in_between(arena: &Arena, failing: &Failing) -> User {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", listener.local_addr().unwrap()) } }],
        "users": [{ "name": "c", "user": {} }], "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }]
    });
    let (real, failing) = (client_for(&arena.plane.admin_kubeconfig()).await.unwrap(), failing.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (real, failing) = (real.clone(), failing.clone());
            let serve = service_fn(move |request: Request<Incoming>| {
                let (real, failing) = (real.clone(), failing.clone());
                async move {
                    let (mut parts, body) = request.into_parts();
                    parts.headers.remove(http::header::HOST);
                    let body = body.collect().await?.to_bytes().to_vec();
                    failing.serve(real, Request::from_parts(parts, Body::from(body))).await
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
        }
    });
    User::with(&config.to_string(), &arena.namespace).await
}

/// Between our look and our write somebody moves the meeting: nothing is written over theirs. What the controller writes
/// into the status meanwhile is no conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_somebody_else_overtook_is_refused() {
    let arena = Arena::quiet("overtaken", lone(), quick()).await;
    arena.create_meeting("review", minutes(60, 30)).await;
    let failing = Failing::default();
    let user = in_between(&arena, &failing).await;
    let edit = ("PATCH", "scheduledmeetings", None);
    for (theirs, is_overtaken) in
        [(json!({ "metadata": { "labels": { "a": "b" } } }), false), (json!({ "spec": { "duration": "20m" } }), true)]
    {
        let held = failing.add_times(1, edit, Some("review"), Failure::Hold);
        let running = tokio::spawn(user.command(&["extend", "review", "5m"]).output());
        held.until(1).await;
        arena.patch::<ScheduledMeeting>("review", theirs).await;
        held.lift();
        let said = said(tokio::time::timeout(PATIENCE, running).await.expect("in time").unwrap().unwrap());
        assert_eq!(said.good, !is_overtaken, "{}{}", said.out, said.err);
        let length = arena.api::<ScheduledMeeting>().get("review").await.unwrap().spec.duration.unwrap().get();
        assert_eq!(length.as_secs() / 60, if is_overtaken { 20 } else { 35 });
        assert!(!is_overtaken || said.err.contains("somebody else changed its times meanwhile"), "{}", said.err);
    }
    arena.finish().await;
}
