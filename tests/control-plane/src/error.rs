//! Everything that can go wrong here, each with what failed, why, and what to do about it.

use std::path::PathBuf;

/// Why the control plane could not be built, started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `KUBEBUILDER_ASSETS` is set, but programs are missing there.
    #[error(
        "KUBEBUILDER_ASSETS is set to {}, but that directory has no executable {missing}.\n\
         Remedy: put the missing programs there (setup-envtest downloads no kube-controller-manager), or unset \
         KUBEBUILDER_ASSETS; then they are built from tests/control-plane/go with `go build`.",
        dir.display()
    )]
    IncompleteAssets {
        /// The directory that `KUBEBUILDER_ASSETS` names.
        dir: PathBuf,
        /// The names of the missing programs, separated by commas.
        missing: String,
    },

    /// The programs have to be built and there is no Go toolchain.
    #[error(
        "cannot build {what}: there is no `go` on PATH ({path}).\n\
         Remedy: install Go {wanted} or newer (https://go.dev/dl/) and put its bin directory on PATH{instead}."
    )]
    NoGo {
        /// What was to be built.
        what: &'static str,
        /// The Go version that go.mod asks for.
        wanted: String,
        /// The search path that was looked through.
        path: String,
        /// What else can be done.
        instead: &'static str,
    },

    /// There is a Go toolchain, but it is too old for the pinned version.
    #[error(
        "cannot build {what}: {} is Go {found}, and its go.mod in tests/control-plane needs Go {wanted} or newer.\n\
         Remedy: install Go {wanted} or newer (https://go.dev/dl/) and put it first on PATH{instead}.",
        go.display()
    )]
    OldGo {
        /// What was to be built.
        what: &'static str,
        /// The `go` that was found.
        go: PathBuf,
        /// Its version.
        found: String,
        /// The version that go.mod asks for.
        wanted: String,
        /// What else can be done.
        instead: &'static str,
    },

    /// `go build` failed.
    #[error(
        "`go build` of {program} failed ({reason}). Its whole output is in {}; the last lines are:\n{tail}\n\
         Remedy: if modules could not be downloaded, check the network and `go env GOPROXY`; if the disk is full, \
         about 4 GB are needed{instead}.",
        log.display()
    )]
    GoBuild {
        /// Which program was being built.
        program: &'static str,
        /// The exit code, or why it could not run.
        reason: String,
        /// Where the output of `go build` is.
        log: PathBuf,
        /// The end of that output.
        tail: String,
        /// What else can be done.
        instead: &'static str,
    },

    /// The Go module in this crate cannot be read.
    #[error("{}: {reason}. Remedy: restore the file from version control.", file.display())]
    Pin {
        /// The file of the Go module.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A file or directory operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, for example `write`.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// Another control plane is running with the same data directory.
    #[error(
        "the data directory {} is in use by another control plane. Remedy: stop that one, or choose another directory.",
        .0.display()
    )]
    DataDirInUse(PathBuf),

    /// No port could be had on the loopback interface.
    #[error("cannot reserve {what} on 127.0.0.1: {source}. Remedy: choose a port that is free, or none at all.")]
    Port {
        /// `a free port` or `port 6443`.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// A process could not be started at all.
    #[error("cannot start {program} (by way of /bin/sh): {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// A component ended instead of getting ready.
    #[error("{program} ended with exit code {code} before it was ready. The last lines of its log:\n{tail}")]
    Ended {
        /// The component.
        program: String,
        /// Its exit code (128 + the signal, if a signal ended it).
        code: i32,
        /// The end of its log.
        tail: String,
    },

    /// A component did not get ready in time.
    #[error(
        "{program} was not ready within {seconds} s (last answer: {last}). Remedy: is the machine overloaded? \
         Options::start_timeout can be raised. The last lines of its log:\n{tail}"
    )]
    NotReady {
        /// The component.
        program: String,
        /// How long we waited.
        seconds: u64,
        /// What it said when it was asked last.
        last: String,
        /// The end of its log.
        tail: String,
    },

    /// Certificates or keys could not be made.
    #[error("cannot make {what}: {source}")]
    Certificate {
        /// Which one.
        what: &'static str,
        /// The reason.
        source: rcgen::Error,
    },

    /// A kubeconfig could not be made.
    #[error("cannot make the kubeconfig for {user}: {reason}")]
    Kubeconfig {
        /// Who it is for.
        user: String,
        /// The reason.
        reason: String,
    },

    /// The API server refused a request.
    #[error("cannot {action}: {source}")]
    Api {
        /// What was asked.
        action: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },

    /// A manifest cannot be applied.
    #[error("cannot apply {}: {reason}", file.display())]
    Manifest {
        /// The YAML file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },

    /// The audit log was asked for, but `Options::audit` is off.
    #[error("there is no audit log. Remedy: start the control plane with `Options {{ audit: true, .. }}`.")]
    AuditOff,

    /// A line of the audit log is not what kube-apiserver writes.
    #[error("{}, byte {position}: not an audit event: {source}", file.display())]
    AuditLine {
        /// The audit log.
        file: PathBuf,
        /// Where the line starts.
        position: u64,
        /// The reason.
        source: serde_json::Error,
    },

    /// A background thread of the start was lost.
    #[error("a task of the control plane was cancelled: {0}. Is the runtime shutting down?")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Api { action, source: Box::new(source) }
    }
}
