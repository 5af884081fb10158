//! The JSON Schemas for editors and kubeconform (crds/schemas).

use std::fs;
use std::path::Path;

use control_plane::{ControlPlane, shared, tools};
use serde_json::Value;

use crate::kit::*;

const LOCATION: &str = "crds/schemas/{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json";

async fn check(args: &[&str], input: &str) -> Result<String, String> {
    let ours = ["-strict", "-summary", "-schema-location", LOCATION, "-skip", "Namespace,Secret,ConfigMap"];
    run(&tools::kubeconform().await.unwrap(), &[&ours, args].concat(), input)
}

#[tokio::test]
async fn the_examples_fit_the_schemas() {
    let summary = check(&["deploy/examples"], "").await.unwrap();
    assert!(summary.contains("Invalid: 0, Errors: 0"), "{summary}");
    let valid = summary.split("Valid: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!(valid.parse::<u32>().unwrap() >= 4, "{summary}");
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let good = "apiVersion: meeting-controller.dev/v1alpha1\nkind: ScheduledMeeting\nmetadata: { name: a }\n\
                spec: { title: T, start: \"2030-01-01T10:00:00Z\", duration: 1h }\n";
    check(&["-"], good).await.unwrap();
    for (from, to, says) in [
        ("title: T", "titel: T", "titel"),
        ("title: T", "title: 7", "/spec/title"),
        ("title: T, ", "", "title"),
        ("duration: 1h", "duration: 1h, participants: [{ remoteParty: a@b, x: 1 }]", "/spec/participants/0"),
        ("v1alpha1", "v1", "could not find schema"),
    ] {
        let refused = check(&["-"], &good.replace(from, to)).await.expect_err(to);
        assert!(refused.contains(says), "{to}: {refused}");
    }
}

/// Lets no field pass that the schema does not name.
fn close(schema: &mut Value) {
    let is_open = schema.get("properties").is_some_and(Value::is_object)
        && schema.get("additionalProperties").is_none()
        && schema["type"] == "object"
        && schema["x-kubernetes-preserve-unknown-fields"] != true;
    match schema {
        Value::Object(fields) => {
            if is_open {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Writes the schemas of an apiserver's kinds, from what it publishes itself, where kubeconform finds them.
async fn of_the_apiserver(plane: &ControlPlane, groups: &[&str], dir: &Path) -> usize {
    let mut count = 0;
    for path in groups {
        let text = kubectl(plane, &["get", "--raw", &format!("/openapi/v3/{path}")], "").await.unwrap();
        let text = text.replace("#/components/schemas/", "#/$defs/");
        let mut schemas = serde_json::from_str::<Value>(&text).unwrap()["components"]["schemas"].take();
        close(&mut schemas);
        for (name, schema) in schemas.as_object().unwrap() {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            let Some(kind) = kinds.filter(|kinds| kinds.len() == 1).map(|kinds| &kinds[0]) else { continue };
            let text = |key: &str| kind[key].as_str().unwrap_or_default();
            // The group of what has none is called by its version there.
            let folder = dir.join(Some(text("group")).filter(|group| !group.is_empty()).unwrap_or(text("version")));
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join(format!("{}_{}.json", text("kind").to_lowercase(), text("version")));
            let whole = serde_json::json!({ "$ref": format!("#/$defs/{name}"), "$defs": schemas });
            fs::write(file, whole.to_string()).unwrap();
            count += 1;
        }
    }
    count
}

/// What a pipeline without a cluster asks, with the schemas of the apiserver of the tests and of the Prometheus operator.
#[tokio::test]
async fn everything_that_is_rendered_fits_the_schemas_of_its_kinds() {
    let plane = shared().await;
    with_prometheus_operator(plane).await;
    let dir = tempfile::tempdir().unwrap();
    let groups = [
        "api/v1",
        "apis/apps/v1",
        "apis/policy/v1",
        "apis/networking.k8s.io/v1",
        "apis/rbac.authorization.k8s.io/v1",
        "apis/admissionregistration.k8s.io/v1",
        "apis/apiextensions.k8s.io/v1",
        "apis/monitoring.coreos.com/v1",
    ];
    // What a CRD brings is published a moment after it is served.
    for _ in 0..200 {
        let known = kubectl(plane, &["get", "--raw", "/openapi/v3"], "").await.unwrap();
        if known.contains("apis/monitoring.coreos.com/v1") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(of_the_apiserver(plane, &groups, dir.path()).await > 30);
    let location =
        format!("{}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json", dir.path().display());
    let kubeconform = tools::kubeconform().await.unwrap();
    let conform = |text: &str| run(&kubeconform, &["-strict", "-summary", "-schema-location", &location], text);
    let all = [
        "--set=networkPolicy.enabled=true",
        "--set=metricsAuth.enabled=true",
        "--set=metricsTLS.secretName=own-tls",
        "--set=monitoring.rules.enabled=true",
        "--set=monitoring.dashboard.enabled=true",
    ];
    let monitor = |kind: &'static str| [&all[..], &[kind]].concat();
    let mut whole = String::new();
    for values in [
        vec![],
        vec!["--set=namespaces={team-a,team-b}"],
        monitor("--set=monitoring.monitor.kind=ServiceMonitor"),
        monitor("--set=monitoring.monitor.kind=PodMonitor"),
    ] {
        whole = template(&values).await.unwrap();
        let summary = conform(&whole).unwrap();
        assert!(summary.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{summary}");
        assert!(summary.contains(&format!("Summary: {} resources", objects(&whole).len())), "{summary}");
        // And the apiserver's own word.
        let dry = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f-"];
        for namespace in [NAME, "team-a", "team-b"] {
            // Another test may have made it.
            let _ = kubectl(plane, &["create", "namespace", namespace], "").await;
        }
        kubectl(plane, &dry, &whole).await.unwrap();
    }
    for (from, to) in [
        ("replicas: 2", "replica: 2"),
        ("podMetricsEndpoints:", "endpoints:"),
        ("maxUnavailable: 1", "maxUnavailable: []"),
    ] {
        assert!(whole.contains(from), "{from}");
        conform(&whole.replacen(from, to, 1)).expect_err(to);
    }
}
