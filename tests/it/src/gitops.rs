//! Objects in the eyes of GitOps tools, through whole lives (docs/gitops.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cms_simulator::{Config, ReadWithoutPrimary};
use kube::ResourceExt;
use kube::api::PostParams;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use serde_json::{Value, json};

use crate::bridge_kit::brisk;
use crate::kit::*;
use crate::meetings::lone;
use crate::verdicts::*;

/// A condition as it is in an object that was read as it is.
fn said<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A daily series of twenty minutes, from the day after tomorrow on.
fn series_spec() -> Value {
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
    json!({
        "start": start.strftime("%Y-%m-%dT%H:%M:%S").to_string(), "timeZone": "UTC", "duration": "20m", "maxAhead": 2,
        "recurrence": { "frequency": "Daily" },
        "template": { "spec": { "title": "Daily", "bridgeRef": { "name": "core" }, "endWarning": {} } }
    })
}

/// A series that is booked, is suspended, goes on, and is misunderstood.
async fn life_of_a_series(arena: &Arena) {
    let series = serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
        "metadata": { "name": "daily" }, "spec": series_spec()
    }));
    arena.api::<MeetingSeries>().create(&PostParams::default(), &series.unwrap()).await.expect("series is accepted");
    let says = async |reason: &str| {
        let is_so = |s: &MeetingSeries| condition(s, "Ready").1 == reason && s.observed() == s.metadata.generation;
        arena.until::<MeetingSeries>("daily", reason, is_so).await;
    };
    says("Ready").await;
    for (suspend, reason) in [(true, "Suspended"), (false, "Ready")] {
        arena.patch::<MeetingSeries>("daily", json!({ "spec": { "suspend": suspend } })).await;
        says(reason).await;
    }
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "timeZone": "Europe/Atlantis" } })).await;
    says("UnknownTimeZone").await;
}

/// Lives of the kinds through every phase. The controller's clock is set ahead from one instant to the next, so that
/// nothing passes before it was looked at.
async fn lives(arena: &Arena) {
    let minutes = |ahead: i64| arena.clock.step(ahead * 60);
    arena.create_bridge("core", json!({ "slots": { "quantity": 3 } })).await;
    arena.bridge("core", "without its Secret", |b| condition(b, "CredentialsValid").1 == "SecretNotFound").await;
    arena.connect().await;
    arena.ready("core").await;

    let at = |minute: i64| json!({ "start": in_ms(minute * 60_000), "duration": "20m" });
    arena.create_meeting("standup", at(60)).await;
    let mut locked = at(60);
    locked["passcodeSecretRef"] = json!({ "name": "nowhere", "key": "passcode" });
    arena.create_meeting("no-passcode", locked).await;
    arena.create_meeting("next", at(75)).await;
    for name in ["standup", "no-passcode", "next"] {
        arena.meeting(name, "booked", |m| condition(m, "SlotReserved").0 == "True").await;
    }
    arena.create_meeting("one-too-many", at(60)).await;
    arena.says("one-too-many", "Accepted", "False", "NoFreeSlot").await;
    arena.create_meeting("later", at(600)).await;
    arena.phase("later", Phase::Scheduled).await;
    arena.patch::<ScheduledMeeting>("later", json!({ "spec": { "suspend": true } })).await;
    arena.meeting("later", "suspended", |m| condition(m, "Ready").1 == "Suspended").await;

    life_of_a_series(arena).await;

    minutes(61);
    arena.phase("standup", Phase::Active).await;
    arena.bridge("core", "in use", |b| phase_of_bridge(b) == "InUse").await;
    // Nothing can be written while one meeting ends and the next one begins.
    arena.sim.update_switches(|switches| switches.read_without_primary = ReadWithoutPrimary::Replica);
    arena.sim.set_database_primary(false);
    minutes(20);
    arena.phase("standup", Phase::Closing).await;
    arena.phase("no-passcode", Phase::Missed).await;
    arena.phase("next", Phase::Opening).await;
    arena.bridge("core", "without a primary", |b| phase_of_bridge(b) == "Degraded").await;
    arena.sim.set_database_primary(true);
    arena.phase("standup", Phase::Ended).await;
    arena.phase("next", Phase::Active).await;
    arena.ready("core").await;
    arena.sim.stop_bridge(0);
    arena.bridge("core", "down", |b| phase_of_bridge(b) == "Unreachable").await;
    assert!(arena.sim.start_bridge(0));
    arena.ready("core").await;
    minutes(15);
    arena.phase("next", Phase::Ended).await;

    arena.patch::<MeetingBridge>("core", json!({ "spec": { "suspend": true } })).await;
    arena.bridge("core", "suspended", |b| condition(b, "Ready").1 == "Suspended").await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "suspend": false } })).await;
    arena.ready("core").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
}

fn phase_of_bridge(bridge: &MeetingBridge) -> &str {
    bridge.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Neither tool is ever green or red while the other is not, at no version of any object; and each phase is judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flux_and_argo_cd_agree_about_every_version_of_whole_lives() {
    let mut arena = Arena::quiet("gitops-lives", Config::default(), brisk()).await;
    let versions = Versions::of(&arena);
    arena.start().await;
    lives(&arena).await;
    let seen = versions.all();
    let judged = verdicts(&seen, None).await;
    for (object, verdict) in seen.iter().zip(&judged) {
        let health = match text(verdict, "/kstatus") {
            "Current" if said(object, "Ready").is_some_and(|ready| ready["reason"] == "Suspended") => "Suspended",
            "Current" => "Healthy",
            "InProgress" => "Progressing",
            "Failed" => "Degraded",
            // Argo CD asks no script about what is being deleted.
            "Terminating" => continue,
            other => panic!("{other}: {verdict:#}\n{object:#}"),
        };
        assert_eq!(text(verdict, "/health"), health, "{verdict:#}\n{object:#}");
    }
    let of = |kind: &str| -> Vec<Value> { seen.iter().filter(|object| object["kind"] == kind).cloned().collect() };
    let phases = |kind: &str| texts(&of(kind), "/status/phase");
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected = all(&["Active", "Closing", "Ended", "Missed", "Opening", "Pending", "Scheduled"]);
    assert_eq!(phases("ScheduledMeeting"), expected);
    let expected = all(&["Degraded", "Deleting", "Idle", "InUse", "Pending", "Suspended", "Unreachable"]);
    assert_eq!(phases("MeetingBridge"), expected);
    assert_eq!(texts(&judged, "/health"), all(&["Degraded", "Healthy", "Progressing", "Suspended"]));
    let last = |name: &str| {
        let at = seen.iter().rposition(|object| object["metadata"]["name"] == name).unwrap();
        (text(&judged[at], "/kstatus").to_owned(), text(&judged[at], "/health").to_owned())
    };
    let are = |kstatus: &str, health: &str| (kstatus.to_owned(), health.to_owned());
    assert_eq!(last("standup"), are("Current", "Healthy"));
    assert_eq!(last("no-passcode"), are("Failed", "Degraded"));
    assert_eq!(last("next"), are("Current", "Healthy"));
    assert_eq!(last("later"), are("Current", "Suspended"));
    assert_eq!(last("daily"), are("Failed", "Degraded"), "nobody knows its time zone");
    let of_series = |at: &usize| seen[*at]["kind"] == "MeetingSeries";
    let healths: Vec<Value> = (0..seen.len()).filter(of_series).map(|at| judged[at].clone()).collect();
    assert_eq!(texts(&healths, "/health"), all(&["Degraded", "Healthy", "Progressing", "Suspended"]));
    if std::env::var_os("UPDATE_TESTDATA").is_some() {
        keep(&seen, &judged);
    }
    arena.finish().await;
}

/// Writes one version for each kind, phase and reason as test data of Argo CD, without what nobody judges.
fn keep(seen: &[Value], judged: &[Value]) {
    let folder = root().join("deploy/gitops/argocd/meeting-controller.dev");
    let mut tests: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for (object, verdict) in seen.iter().zip(judged).filter(|(_, verdict)| verdict["kstatus"] != "Terminating") {
        let reason = said(object, "Ready").map_or("new", |ready| text(ready, "/reason"));
        let lag = object["status"]["observedGeneration"] != object["metadata"]["generation"];
        let name = format!("{}-{reason}{}", text(object, "/status/phase"), if lag { "-outdated" } else { "" });
        let file = format!("testdata/{}.yaml", name.trim_start_matches('-').to_lowercase());
        let (kind, status) = (text(object, "/kind"), &object["status"]);
        let entry = tests.entry(kind).or_default();
        if entry.contains_key(&file) {
            continue;
        }
        let meta = &object["metadata"];
        let kept = json!({
            "apiVersion": object["apiVersion"], "kind": kind,
            "metadata": { "name": meta["name"], "namespace": "meetings", "generation": meta["generation"] },
            "spec": { "suspend": object["spec"]["suspend"] },
            "status": {
                "observedGeneration": status["observedGeneration"], "phase": status["phase"],
                "conditions": status["conditions"],
            },
        });
        std::fs::create_dir_all(folder.join(kind).join("testdata")).unwrap();
        std::fs::write(folder.join(kind).join(&file), serde_yaml::to_string(&kept).unwrap()).unwrap();
        let health = json!({ "status": verdict["health"], "message": verdict["healthMessage"] });
        entry.insert(file.clone(), json!({ "healthStatus": health, "inputPath": file }));
    }
    for (kind, tests) in tests {
        let all = json!({ "tests": tests.into_values().collect::<Vec<_>>() });
        std::fs::write(folder.join(kind).join("health_test.yaml"), serde_yaml::to_string(&all).unwrap()).unwrap();
    }
}

/// kubectl against the arena's apiserver: whether it was content, and what it said.
fn kubectl(arena: &Arena, program: &Path, args: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(program)
        .arg("--kubeconfig")
        .arg(arena.plane.kubeconfig_path())
        .args(["--namespace", &arena.namespace])
        .args(args)
        .output()
        .expect("kubectl runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// Nobody but who applies owns anything outside the status and the list of finalizers.
fn assert_owners(object: &impl ResourceExt, appliers: &[&str]) {
    for entry in object.managed_fields() {
        let manager = entry.manager.as_deref().unwrap_or_default();
        let fields = entry.fields_v1.as_ref().map(|fields| fields.0.clone()).unwrap_or_default();
        let owned: Vec<_> = fields.as_object().into_iter().flatten().map(|(field, _)| field.as_str()).collect();
        match (appliers.contains(&manager), entry.subresource.as_deref()) {
            (true, None) => assert!(fields.get("f:status").is_none(), "{manager}: {fields:#}"),
            (true, Some(_)) => panic!("{manager} wrote a status"),
            (false, Some("status")) => assert_eq!(owned, ["f:status"], "{manager}"),
            (false, _) => {
                assert_eq!(owned, ["f:metadata"], "{manager}");
                let metadata: Vec<_> = fields["f:metadata"].as_object().unwrap().keys().cloned().collect();
                assert_eq!(metadata, ["f:finalizers"], "{manager}");
            }
        }
    }
}

/// Whoever applies again finds nothing to do, at any phase: no conflict, no drift, no new generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_and_diff_stay_clean_through_a_whole_life() {
    let program = control_plane::tools::kubectl().await.expect("kubectl is built");
    let arena = Arena::with("gitops-apply", lone(), brisk()).await;
    arena.connect().await;
    let dir = tempfile::tempdir().unwrap();
    let object = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "meeting-controller.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    let write = |name: &str, objects: &[Value]| {
        let file = dir.path().join(name);
        std::fs::write(&file, json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let spec = |title: &str| json!({ "title": title, "bridgeRef": { "name": "core" }, "start": in_ms(7_200_000), "duration": "1h" });
    let bridge = object("MeetingBridge", "core", arena.bridge_spec(json!({})));
    // As kustomize-controller does it; and as people do it.
    let standup = object("ScheduledMeeting", "standup", spec("Stand-up"));
    let flux = write("flux.json", &[bridge, standup, object("MeetingSeries", "daily", series_spec())]);
    let by_hand =
        [object("ScheduledMeeting", "by-hand", spec("By hand")), object("MeetingSeries", "hand", series_spec())];
    let people = write("people.json", &by_hand);
    let waits = [
        "wait",
        "--for=condition=Ready",
        "--timeout=40s",
        "mb/core",
        "mtg/standup",
        "mtg/by-hand",
        "mts/daily",
        "mts/hand",
    ];
    let as_flux = ["--server-side", "--field-manager=kustomize-controller", "-f", &flux];
    let run = |when: &str, args: &[&str]| {
        let (content, said) = kubectl(&arena, &program, args);
        assert!(content, "{when}: kubectl {args:?}: {said}");
    };
    run("new", &[&["apply"][..], &as_flux].concat());
    run("new", &["apply", "-f", &people]);
    run("new", &waits);
    for (phase, ahead) in [(Phase::Scheduled, 0), (Phase::Active, 7_260), (Phase::Ended, 3_600)] {
        arena.clock.step(ahead);
        for name in ["standup", "by-hand"] {
            let meeting = arena.phase(name, phase).await;
            assert_owners(&meeting, &["kustomize-controller", "kubectl-client-side-apply"]);
        }
        let when = format!("{phase:?}");
        // kubectl reads twice, and a status may be written in between; what is drift stays.
        let is_clean = |args: &[&str]| (0..5).any(|_| kubectl(&arena, &program, args).0);
        for diff in [&[&["diff"][..], &as_flux].concat()[..], &["diff", "-f", &people]] {
            if !is_clean(diff) {
                run(&when, diff);
            }
        }
        run(&when, &[&["apply"][..], &as_flux].concat());
        run(&when, &["apply", "-f", &people]);
        run(&when, &waits);
        let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
        assert_owners(&bridge, &["kustomize-controller"]);
        assert_eq!(bridge.metadata.generation, Some(1), "{when}: the bridge was changed");
        for name in ["standup", "by-hand"] {
            let meeting: ScheduledMeeting = arena.api().get(name).await.unwrap();
            assert_eq!(meeting.metadata.generation, Some(1), "{when}: {name} was changed");
        }
        for name in ["daily", "hand"] {
            let series: MeetingSeries = arena.api().get(name).await.unwrap();
            assert_owners(&series, &["kustomize-controller", "kubectl-client-side-apply"]);
            assert_eq!(series.metadata.generation, Some(1), "{when}: the series {name} was changed");
        }
    }
    arena.finish().await;
}
