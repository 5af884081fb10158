//! The tools themselves (tests/control-plane/tools).

use control_plane::tools;

use crate::kit::run;

#[tokio::test]
async fn each_tool_is_built_and_runs() {
    let version = run(&tools::kubectl().await.unwrap(), &["version", "--client"], "").unwrap();
    assert!(version.contains("Client Version: v1.36.3") && version.contains("Kustomize Version"), "{version}");
    run(&tools::kubeconform().await.unwrap(), &["-v"], "").unwrap();
    assert!(run(&tools::helm().await.unwrap(), &["version"], "").unwrap().contains("v4."));
    assert!(run(&tools::promtool().await.unwrap(), &["check", "--help"], "").unwrap().contains("rules"));
    assert!(run(&tools::verdicts().await.unwrap(), &[], "").unwrap_err().contains("usage: verdicts"));
}
