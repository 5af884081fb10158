//! The JSON Schemas for editors and kubeconform (crds/schemas).

use control_plane::tools;

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
