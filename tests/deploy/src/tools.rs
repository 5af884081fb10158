//! The tools themselves (tests/control-plane/tools).

use std::path::Path;
use std::process::Command;

use control_plane::tools;

/// What a program prints, on both streams.
pub fn output(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("the program runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn each_tool_is_built_and_runs() {
    let version = output(&tools::kubectl().await.unwrap(), &["version", "--client"]);
    assert!(version.contains("Client Version: v1.36.3") && version.contains("Kustomize Version"), "{version}");
    assert!(output(&tools::kubeconform().await.unwrap(), &["-h"]).contains("-schema-location"));
    assert!(output(&tools::helm().await.unwrap(), &["version"]).contains("v4."));
    assert!(output(&tools::promtool().await.unwrap(), &["check", "--help"]).contains("rules"));
}
