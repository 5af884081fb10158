//! The programs that a platform team uses, as pinned in `tools/`: built into `target/tools` at the first call.
//!
//! Each has a go.mod of its own, so that it is built from the versions that its makers tested it with.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// `verdicts`: what Flux's kstatus and Argo CD's Lua machine say about objects (tools/verdicts/main.go).
///
/// # Errors
/// See [`helm`].
pub async fn verdicts() -> Result<PathBuf, Error> {
    tool("verdicts", &VERDICTS).await
}

/// Flux's source-controller, which fetches. This takes minutes where it was not built before, so the ordinary tests do
/// without.
///
/// # Errors
/// See [`helm`].
pub async fn source_controller() -> Result<PathBuf, Error> {
    tool("source-controller", &SOURCE_CONTROLLER).await
}

/// Flux's kustomize-controller, which applies and waits. See [`source_controller`].
///
/// # Errors
/// See [`helm`].
pub async fn kustomize_controller() -> Result<PathBuf, Error> {
    tool("kustomize-controller", &KUSTOMIZE_CONTROLLER).await
}

/// Flux's helm-controller, which installs charts. See [`source_controller`].
///
/// # Errors
/// See [`helm`].
pub async fn helm_controller() -> Result<PathBuf, Error> {
    tool("helm-controller", &HELM_CONTROLLER).await
}

/// Directories with the CRDs of Flux (source-, kustomize- and helm-controller), from their sources; nothing is built.
///
/// # Errors
/// If there is no Go toolchain, or the modules cannot be had.
pub fn flux_crds() -> Result<Vec<PathBuf>, Error> {
    let modules = [
        ("source-controller", &SOURCE_CONTROLLER),
        ("kustomize-controller", &KUSTOMIZE_CONTROLLER),
        ("helm-controller", &HELM_CONTROLLER),
    ];
    modules.map(|(folder, module)| Ok(source(folder, module)?.join("config/crd/bases"))).into_iter().collect()
}

/// The file with the CRD Application of Argo CD. See [`flux_crds`].
///
/// # Errors
/// See [`flux_crds`].
pub fn argo_cd_crd() -> Result<PathBuf, Error> {
    Ok(source("verdicts", &VERDICTS)?.join("manifests/crds/application-crd.yaml"))
}

/// Files with the CRDs of the Prometheus operator that are used here. See [`flux_crds`].
///
/// # Errors
/// See [`flux_crds`].
pub fn prometheus_crds() -> Result<Vec<PathBuf>, Error> {
    let dir = source("prometheus-operator", &PROMETHEUS_OPERATOR)?.join("example/prometheus-operator-crd");
    let file = |kinds| dir.join(format!("monitoring.coreos.com_{kinds}.yaml"));
    Ok(["podmonitors", "servicemonitors", "prometheusrules"].map(file).into())
}

/// The directory with the source of a module, downloaded if need be.
fn source(folder: &str, module: &GoModule) -> Result<PathBuf, Error> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(folder);
    let told = Command::new("go").current_dir(&dir).args(["mod", "download", "-json", module.path]).output();
    let told = told.map_err(Error::io("run `go mod download` in", &dir))?;
    let found: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
    found.get("Dir").and_then(serde_json::Value::as_str).map(PathBuf::from).ok_or_else(|| Error::Pin {
        file: dir.join("go.mod"),
        reason: format!("{} cannot be downloaded: {}", module.path, String::from_utf8_lossy(&told.stderr).trim()),
    })
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

const SOURCE_CONTROLLER: GoModule = GoModule {
    name: "Flux's source-controller",
    path: "github.com/fluxcd/source-controller",
    sources: &[],
    targets: &[Target {
        program: "source-controller",
        package: "github.com/fluxcd/source-controller",
        usual: "3 to 6 min",
    }],
    flags: stripped,
    instead: "",
};

const KUSTOMIZE_CONTROLLER: GoModule = GoModule {
    name: "Flux's kustomize-controller",
    path: "github.com/fluxcd/kustomize-controller",
    sources: &[],
    targets: &[Target {
        program: "kustomize-controller",
        package: "github.com/fluxcd/kustomize-controller",
        usual: "2 to 4 min",
    }],
    flags: stripped,
    instead: "",
};

const HELM_CONTROLLER: GoModule = GoModule {
    name: "Flux's helm-controller",
    path: "github.com/fluxcd/helm-controller",
    sources: &[],
    targets: &[Target {
        program: "helm-controller",
        package: "github.com/fluxcd/helm-controller",
        usual: "2 to 4 min",
    }],
    flags: stripped,
    instead: "",
};

const PROMETHEUS_OPERATOR: GoModule = GoModule {
    name: "the Prometheus operator",
    path: "github.com/prometheus-operator/prometheus-operator",
    sources: &[],
    targets: &[],
    flags: stripped,
    instead: "",
};

const VERDICTS: GoModule = GoModule {
    name: "Argo CD",
    path: "github.com/argoproj/argo-cd/v3",
    sources: &["main.go"],
    targets: &[Target { program: "verdicts", package: ".", usual: "2 to 4 min" }],
    flags: stripped,
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
