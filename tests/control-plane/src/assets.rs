//! Where etcd, kube-apiserver and kube-controller-manager come from.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::pin::{GoModule, Target};
use crate::{Error, gobuild};

/// What the programs are built from.
pub(crate) const MODULE: GoModule = GoModule {
    name: "Kubernetes",
    path: "k8s.io/kubernetes",
    sources: &["etcd/main.go"],
    targets: &[
        Target { program: Assets::ETCD, package: "./etcd", usual: "less than 1 min" },
        Target { program: Assets::API_SERVER, package: "k8s.io/kubernetes/cmd/kube-apiserver", usual: "3 to 6 min" },
        Target {
            program: Assets::CONTROLLER_MANAGER,
            package: "k8s.io/kubernetes/cmd/kube-controller-manager",
            usual: "1 to 2 min",
        },
    ],
    flags: kubernetes_flags,
    instead: ", or set KUBEBUILDER_ASSETS to a directory that holds etcd, kube-apiserver and kube-controller-manager",
};

/// Kubernetes gets its own version from the linker; without it, it takes itself for v0.0.0 and its compatibility
/// checks fail.
pub(crate) fn kubernetes_flags(version: &str) -> Vec<String> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let at = "-X k8s.io/component-base/version";
    vec![format!("-ldflags=-s -w {at}.gitVersion={version} {at}.gitMajor={major} {at}.gitMinor={minor}")]
}

/// The programs of a control plane.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The directory that holds them.
    pub dir: PathBuf,
}

impl Assets {
    pub(crate) const ETCD: &str = "etcd";
    pub(crate) const API_SERVER: &str = "kube-apiserver";
    pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
    const ALL: [&str; 3] = [Self::ETCD, Self::API_SERVER, Self::CONTROLLER_MANAGER];

    /// Takes the programs of `KUBEBUILDER_ASSETS` if it is set, else the ones in `target/control-plane/bin`, which
    /// are built first if they are missing or older than their pin. That takes minutes; progress goes to stderr.
    ///
    /// Blocks; [`crate::ControlPlane::start`] calls it on a thread of its own.
    ///
    /// # Errors
    /// If `KUBEBUILDER_ASSETS` is incomplete, there is no (recent enough) Go toolchain, or the build fails.
    pub fn find_or_build() -> Result<Self, Error> {
        if let Some(assets) = Self::from_kubebuilder(std::env::var_os("KUBEBUILDER_ASSETS"))? {
            return Ok(assets);
        }
        Ok(Self { dir: build(&MODULE, "go", "control-plane")? })
    }

    /// `None` if the variable is not set, or is empty.
    fn from_kubebuilder(value: Option<OsString>) -> Result<Option<Self>, Error> {
        let Some(dir) = value.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let dir = crate::absolute(Path::new(&dir))?;
        let missing: Vec<&str> = Self::ALL.into_iter().filter(|name| !is_executable(&dir.join(name))).collect();
        if missing.is_empty() {
            Ok(Some(Self { dir }))
        } else {
            Err(Error::IncompleteAssets { dir, missing: missing.join(", ") })
        }
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Builds from a directory of this crate into one of cargo's target directory, if need be; returns that of the programs.
pub(crate) fn build(module: &GoModule, from: &str, to: &str) -> Result<PathBuf, Error> {
    let build = gobuild::GoBuild {
        module,
        dir: Path::new(env!("CARGO_MANIFEST_DIR")).join(from),
        output: target_dir(std::env::var_os("CARGO_TARGET_DIR")).join(to),
        search_path: std::env::var_os("PATH"),
        progress: Duration::from_secs(15),
        say: &say,
    };
    build.ensure()
}

/// Not `eprintln!`, because the test harness keeps that back until a test fails.
fn say(line: &str) {
    // Nobody to tell: no reason to fail.
    let _ = writeln!(std::io::stderr(), "control-plane: {line}");
}

pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Cargo's target directory. A relative `CARGO_TARGET_DIR` is meant from where cargo was called, which tests cannot
/// know (they run in their package's directory), so it is taken from the workspace's root, the usual place.
fn target_dir(cargo_target_dir: Option<OsString>) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.ancestors().nth(2).unwrap_or(package);
    workspace.join(cargo_target_dir.filter(|dir| !dir.is_empty()).unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_kubebuilder_assets_are_refused_with_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            let file = dir.path().join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let message = Assets::from_kubebuilder(Some(dir.path().into())).unwrap_err().to_string();
        assert!(message.contains(&dir.path().display().to_string()), "{message}");
        assert!(message.contains("no executable kube-controller-manager."), "{message}");
        assert!(message.contains("unset KUBEBUILDER_ASSETS"), "{message}");
    }

    #[test]
    fn an_unset_or_empty_variable_does_not_count() {
        assert!(Assets::from_kubebuilder(None).unwrap().is_none());
        assert!(Assets::from_kubebuilder(Some(OsString::new())).unwrap().is_none());
    }

    #[test]
    fn the_target_directory_is_the_workspaces_unless_cargo_was_told_otherwise() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert!(workspace.join("Cargo.lock").exists());
        assert_eq!(target_dir(None), workspace.join("target"));
        assert_eq!(target_dir(Some("/elsewhere".into())), Path::new("/elsewhere"));
        assert_eq!(target_dir(Some("out".into())), workspace.join("out"));
    }
}
