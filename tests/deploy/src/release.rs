//! The one file of a release that installs everything (.ci/release).

use std::path::Path;

use control_plane::{ControlPlane, Options, tools};

use crate::kit::*;

#[tokio::test]
async fn one_file_installs_everything() {
    // It renders with the kubectl that the tools have.
    tools::kubectl().await.unwrap();
    run(Path::new("bash"), &[".ci/release", "manifest"], "").unwrap();
    let file = root().join("target/dist/install.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let image = concat!("image: meeting-controller:", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(image), "{image}");
    let base = objects(&kustomize("deploy").await);
    assert_eq!(objects(&text).keys().collect::<Vec<_>>(), base.keys().collect::<Vec<_>>());
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    // Neither the namespace nor the CRDs are there before; kubectl sorts what others need to the front.
    let applied = kubectl(&plane, &["apply", "--server-side", "-f", file.to_str().unwrap()], "").await.unwrap();
    assert_eq!(applied.lines().count(), base.len(), "{applied}");
    kubectl(&plane, &["wait", "--for=condition=Established", "crd", "--all"], "").await.unwrap();
    // kustomize has written the CRDs anew, and a word that YAML 1.1 reads otherwise is still a word.
    let meeting = "apiVersion: meeting-controller.dev/v1alpha1\nkind: ScheduledMeeting\nmetadata: { name: m }\n\
                   spec: { title: M, start: \"2030-01-01T10:00:00Z\", duration: 1h, settings: { recording: \"Off\" } }\n";
    kubectl(&plane, &["apply", "-f-"], meeting).await.unwrap();
}
