//! What is in deploy/gitops/argocd, run by Argo CD's own code: no cluster needed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::verdicts::*;

const KINDS: [&str; 3] = ["MeetingBridge", "ScheduledMeeting", "MeetingSeries"];
const GROUP: &str = "meeting-controller.dev";

fn folder(kind: &str) -> PathBuf {
    root().join("deploy/gitops/argocd").join(GROUP).join(kind)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of argocd-cm as it follows from the Lua files.
fn config_map() -> String {
    let indented = |text: &str, by: usize| -> String {
        text.lines().map(|line| format!("{}{line}", " ".repeat(if line.is_empty() { 0 } else { by })) + "\n").collect()
    };
    let mut text = "# Made of the Lua files below meeting-controller.dev/ by the tests:\n\
                    #   UPDATE=1 cargo test -p it argo_cd\n\
                    # Merge it into the argocd-cm that is there: kubectl -n argocd patch cm argocd-cm --patch-file argocd-cm.yaml\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n"
        .to_owned();
    for kind in KINDS {
        let actions = folder(kind).join("actions");
        text += &format!("  resource.customizations.health.{GROUP}_{kind}: |\n");
        text += &indented(&read(&folder(kind).join("health.lua")), 4);
        text += &format!("  resource.customizations.actions.{GROUP}_{kind}: |\n    discovery.lua: |\n");
        text += &indented(&read(&actions.join("discovery.lua")), 6);
        text += "    definitions:\n";
        let entries = fs::read_dir(&actions).unwrap().map(|entry| entry.unwrap().path());
        let mut scripts: Vec<_> =
            entries.map(|entry| entry.join("action.lua")).filter(|script| script.is_file()).collect();
        scripts.sort();
        for script in scripts {
            let name = script.parent().unwrap().file_name().unwrap().to_string_lossy();
            text += &format!("      - name: {name}\n        action.lua: |\n");
            text += &indented(&read(&script), 10);
        }
    }
    text
}

#[test]
fn the_config_map_is_made_of_the_files_that_argo_cd_would_take() {
    let path = root().join(ARGOCD_CM);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, config_map()).unwrap();
    }
    assert_eq!(read(&path), config_map(), "UPDATE=1 cargo test -p it argo_cd");
    let scripts = KINDS.map(|kind| read(&folder(kind).join("health.lua")));
    assert!(scripts.iter().all(|script| *script == scripts[0]), "they say the same");
}

/// The test data are statuses of real lives: `UPDATE_TESTDATA=1 cargo test -p it gitops::` writes them anew.
#[tokio::test]
async fn health_is_as_health_test_yaml_says() {
    for kind in KINDS {
        let table = yaml(&folder(kind).join("health_test.yaml"));
        let rows = table["tests"].as_array().unwrap();
        assert!(rows.len() >= 6, "{kind} has {} rows", rows.len());
        let inputs: Vec<_> =
            rows.iter().map(|row| yaml(&folder(kind).join(row["inputPath"].as_str().unwrap()))).collect();
        for (row, verdict) in rows.iter().zip(verdicts(&inputs, None).await) {
            let health = json!({ "status": verdict["health"], "message": verdict["healthMessage"] });
            assert_eq!(health, row["healthStatus"], "{kind}: {}", row["inputPath"]);
        }
    }
}

/// Every mix of what a status can say: Argo CD says what kstatus says.
#[tokio::test]
async fn health_follows_kstatus_for_every_mix_of_conditions() {
    const SAID: [Option<&str>; 4] = [None, Some("True"), Some("False"), Some("Unknown")];
    let (mut objects, mut expected) = (Vec::new(), Vec::new());
    for (kind, generation) in KINDS.iter().flat_map(|kind| [-1, 1, 2].map(|generation| (kind, generation))) {
        for (ready, reconciling, stalled) in SAID
            .into_iter()
            .flat_map(|ready| SAID.map(|reconciling| (ready, reconciling)))
            .flat_map(|(ready, reconciling)| SAID.map(|stalled| (ready, reconciling, stalled)))
        {
            // What src/status/check.rs forbids.
            let both = reconciling == Some("True") && stalled == Some("True");
            let contradiction = ready == Some("True") && [reconciling, stalled].contains(&Some("True"));
            let nobody = generation == 2 && ready == Some("False") && ![reconciling, stalled].contains(&Some("True"));
            if both || contradiction || nobody || (generation == 2 && ready.is_none()) {
                continue;
            }
            let said = [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)];
            let conditions: Vec<_> = said
                .into_iter()
                .filter_map(|(kind, status)| Some(json!({ "type": kind, "status": status?, "reason": "Why" })))
                .collect();
            objects.push(json!({
                "apiVersion": "meeting-controller.dev/v1alpha1", "kind": kind,
                "metadata": { "name": "it", "generation": 2 }, "spec": {},
                "status": { "observedGeneration": generation, "conditions": conditions },
            }));
            expected.push((ready, reconciling, stalled));
        }
    }
    for ((object, said), verdict) in objects.iter().zip(expected).zip(verdicts(&objects, None).await) {
        let health = match verdict["kstatus"].as_str().unwrap() {
            "Current" => "Healthy",
            "InProgress" => "Progressing",
            "Failed" => "Degraded",
            other => panic!("{other}"),
        };
        assert_eq!(verdict["health"], health, "{said:?}: {verdict:#}\n{object:#}");
    }
}

fn object(kind: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": kind,
        "metadata": { "name": "it", "generation": 1 }, "spec": spec, "status": status,
    })
}

#[tokio::test]
async fn actions_are_offered_when_they_do_something() {
    let failed_over = json!({ "conditions": [{ "type": "FailedOver", "status": "True", "reason": "PrimaryLost" }] });
    let table = [
        ("MeetingBridge", json!({}), json!({}), vec!["reconcile", "suspend"]),
        ("MeetingBridge", json!({}), failed_over.clone(), vec!["failback", "reconcile", "suspend"]),
        ("MeetingBridge", json!({ "suspend": true }), failed_over, vec!["resume"]),
        ("ScheduledMeeting", json!({}), json!({ "phase": "Active" }), vec!["reconcile", "suspend"]),
        ("ScheduledMeeting", json!({}), json!({ "phase": "Ended" }), vec!["reconcile"]),
        ("ScheduledMeeting", json!({ "suspend": true }), json!({}), vec!["resume"]),
        ("MeetingSeries", json!({}), json!({}), vec!["reconcile", "suspend"]),
        ("MeetingSeries", json!({ "suspend": true }), json!({}), vec!["resume"]),
    ];
    let objects: Vec<_> =
        table.iter().map(|(kind, spec, status, _)| object(kind, spec.clone(), status.clone())).collect();
    for ((kind, spec, _, wanted), verdict) in table.into_iter().zip(verdicts(&objects, None).await) {
        assert_eq!(verdict["actions"], json!(wanted), "{kind} {spec}");
    }
}

#[tokio::test]
async fn actions_do_what_their_names_say_and_nothing_else() {
    for (kind, action) in [
        ("MeetingBridge", "failback"),
        ("MeetingBridge", "reconcile"),
        ("MeetingBridge", "suspend"),
        ("MeetingBridge", "resume"),
        ("ScheduledMeeting", "reconcile"),
        ("ScheduledMeeting", "suspend"),
        ("ScheduledMeeting", "resume"),
        ("MeetingSeries", "reconcile"),
        ("MeetingSeries", "suspend"),
        ("MeetingSeries", "resume"),
    ] {
        let before = object(kind, json!({ "suspend": action == "resume" }), json!({ "phase": "Active" }));
        let judged = verdicts(std::slice::from_ref(&before), Some(action)).await;
        let mut after = judged[0]["object"].clone();
        let mut expected = before.clone();
        if let "suspend" | "resume" = action {
            expected["spec"]["suspend"] = json!(action == "suspend");
        } else {
            let annotations = after["metadata"].as_object_mut().unwrap().remove("annotations").unwrap();
            let asked = annotations[format!("{GROUP}/{action}-requested-at")].as_str().unwrap();
            assert!(asked.starts_with("Argo CD, 20"), "{asked}");
        }
        assert_eq!(after, expected, "{action} of {kind}");
    }
}
