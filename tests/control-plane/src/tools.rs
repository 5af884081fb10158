//! The programs that a platform team uses, as pinned in `tools/`: built into `target/tools` at the first call.
//!
//! Each has a go.mod of its own, so that it is built from the versions that its makers tested it with.

use std::path::PathBuf;

use crate::Error;
use crate::assets::{build, kubernetes_flags};
use crate::pin::{GoModule, Target};

/// `helm`.
///
/// # Errors
/// If there is no (recent enough) Go toolchain, or the build fails.
pub async fn helm() -> Result<PathBuf, Error> {
    tool("helm", &HELM).await
}

/// `kubeconform`, which checks manifests against JSON Schemas.
///
/// # Errors
/// See [`helm`].
pub async fn kubeconform() -> Result<PathBuf, Error> {
    tool("kubeconform", &KUBECONFORM).await
}

/// `kubectl`, with `kubectl kustomize`.
///
/// # Errors
/// See [`helm`].
pub async fn kubectl() -> Result<PathBuf, Error> {
    tool("kubectl", &KUBECTL).await
}

/// `promtool`, which checks and tests rules, and checks metrics.
///
/// # Errors
/// See [`helm`].
pub async fn promtool() -> Result<PathBuf, Error> {
    tool("promtool", &PROMTOOL).await
}

const HELM: GoModule = GoModule {
    name: "Helm",
    path: "helm.sh/helm/v4",
    sources: &[],
    targets: &[Target { program: "helm", package: "helm.sh/helm/v4/cmd/helm", usual: "2 to 3 min" }],
    flags: stripped,
    instead: "",
};

const KUBECONFORM: GoModule = GoModule {
    name: "Kubeconform",
    path: "github.com/yannh/kubeconform",
    sources: &[],
    targets: &[Target {
        program: "kubeconform",
        package: "github.com/yannh/kubeconform/cmd/kubeconform",
        usual: "less than 1 min",
    }],
    flags: stripped,
    instead: "",
};

const KUBECTL: GoModule = GoModule {
    name: "Kubernetes",
    path: "k8s.io/kubectl",
    sources: &["main.go"],
    targets: &[Target { program: "kubectl", package: ".", usual: "1 to 2 min" }],
    flags: kubectl_flags,
    instead: "",
};

const PROMTOOL: GoModule = GoModule {
    name: "Prometheus",
    path: "github.com/prometheus/prometheus",
    sources: &[],
    targets: &[Target {
        program: "promtool",
        package: "github.com/prometheus/prometheus/cmd/promtool",
        usual: "1 to 2 min",
    }],
    flags: promtool_flags,
    instead: "",
};

fn stripped(_: &str) -> Vec<String> {
    vec!["-ldflags=-s -w".to_owned()]
}

/// The libraries of Kubernetes 1.36.3 are called 0.36.3.
fn kubectl_flags(version: &str) -> Vec<String> {
    kubernetes_flags(&version.replacen("v0.", "v1.", 1))
}

/// Without the service discoveries of some thirty clouds, which are most of its code and which rules do not need.
fn promtool_flags(version: &str) -> Vec<String> {
    let mut flags = stripped(version);
    flags.push("-tags=remove_all_sd".to_owned());
    flags
}

async fn tool(program: &'static str, module: &'static GoModule) -> Result<PathBuf, Error> {
    let from = format!("tools/{program}");
    let bin = tokio::task::spawn_blocking(move || build(module, &from, "tools")).await??;
    Ok(bin.join(program))
}
