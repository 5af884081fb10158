//! A real Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager (only its namespace,
//! garbage-collector and serviceaccount controllers), with RBAC, an audit log and fresh certificates.
//!
//! ```no_run
//! # async fn example() -> Result<(), control_plane::Error> {
//! let control_plane = control_plane::shared().await;
//! let namespace = control_plane.namespace("my-test").await?;
//! let client = control_plane.client().await?;
//! # Ok(())
//! # }
//! ```
//!
//! There are no nodes, no scheduler and no deployment controller: pods stay `Pending`, Deployments make no pods.
//!
//! The children end with this process, also when it is killed; see the `process` module.

mod assets;
mod audit;
mod certs;
mod components;
mod error;
mod filelock;
mod gobuild;
mod kubeconfig;
mod manifests;
mod pin;
mod ports;
mod process;
mod shared;
pub mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use tempfile::TempDir;

pub use assets::Assets;
pub use audit::AuditEvent;
pub use error::Error;
pub use kubeconfig::{client_for, to_yaml};
pub use manifests::apply;
pub use shared::{shared, try_shared};

use components::Setup;
use filelock::FileLock;
use kubeconfig::Credential;
use ports::ReservedPort;
use process::Supervised;

/// How long the tokens of ServiceAccounts are valid: longer than any test.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// Where etcd has its data, and where a copy of it is kept.
const ETCD_DATA: &str = "etcd";
const KEPT_DATA: &str = "etcd-kept";

/// How a control plane is started. The default is right for tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether there is an audit log. Default: yes.
    pub audit: bool,
    /// Where to keep the data. It is not removed at the end, and can be used again. Default: a temporary directory
    /// that is removed at the end.
    pub data_dir: Option<PathBuf>,
    /// The port of the API server on 127.0.0.1. Default: any free one.
    pub port: Option<u16>,
    /// YAML files, or directories of them, that are applied before the controller manager starts.
    ///
    /// CRDs belong here if tests rely on owner references between their objects: the garbage collector looks for new
    /// kinds only at its start and then every 30 s.
    pub manifests: Vec<PathBuf>,
    /// How long each component may take until it is ready. Default: 60 s.
    pub start_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { audit: true, data_dir: None, port: None, manifests: Vec::new(), start_timeout: Duration::from_secs(60) }
    }
}

impl Options {
    /// The default with the CRDs of this workspace (`crds/*.yaml`).
    #[must_use]
    pub fn with_workspace_crds() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let crds = package.ancestors().nth(2).unwrap_or(package).join("crds");
        Self { manifests: if crds.is_dir() { vec![crds] } else { Vec::new() }, ..Self::default() }
    }
}

/// A running control plane. Dropping it stops everything.
pub struct ControlPlane {
    /// In the order in which they are stopped. The fields below must outlive them.
    components: Vec<Supervised>,
    setup: Setup,
    files: certs::Files,
    /// The data directory is removed, or the lock on it released, when the components are gone.
    _dir: DataDir,
    ports: [ReservedPort; 2],
    server: String,
    ca_pem: String,
    admin: Kubeconfig,
    admin_yaml: String,
    audit: bool,
}

impl ControlPlane {
    /// Builds the programs if need be (this takes minutes, once; progress goes to stderr), starts them and waits
    /// until they are ready, which takes some seconds.
    ///
    /// # Errors
    /// If the programs cannot be found or built, or one of them does not get ready; the error then has the end of
    /// its log.
    pub async fn start(options: Options) -> Result<Self, Error> {
        install_crypto_provider();
        let assets = tokio::task::spawn_blocking(Assets::find_or_build).await??;
        let dir = DataDir::new(options.data_dir)?;
        let setup = Setup {
            assets,
            dir: dir.path().to_owned(),
            remove: matches!(dir, DataDir::Temporary(_)),
            timeout: options.start_timeout,
        };
        let logs = setup.dir.join("logs");
        fs::create_dir_all(&logs).map_err(Error::io("create", logs))?;
        let etcd = setup.etcd().await?;

        let authority = certs::Authority::new()?;
        let files = authority.write_files(&setup.dir.join("certificates"))?;
        let ports = [ReservedPort::reserve(options.port)?, ReservedPort::reserve(None)?];
        let [server, manager_server] = ports.each_ref().map(|port| format!("https://127.0.0.1:{}", port.number()));
        let [api_port, manager_port] = ports.each_ref().map(ReservedPort::number);
        let ca_pem = authority.certificate_pem().to_owned();
        let certificate = |server: &str, user: &str| {
            let identity = authority.client(user, "system:masters")?;
            kubeconfig::kubeconfig(server, &ca_pem, user, &Credential::Certificate(&identity), "default")
        };

        let api_server = setup.api_server(&files, api_port, options.audit)?;
        let admin = certificate(&server, "admin")?;
        let client = client_for(&admin).await?;
        setup.wait_for_http(&api_server, &client, "readyz").await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let default = async || namespaces.get("default").await.map(drop).map_err(|error| error.to_string());
        setup.wait(&api_server, default).await?;
        for path in &options.manifests {
            manifests::apply(&client, path, "default").await?;
        }

        // Its own user, so that the audit log tells it from the admin.
        let manager_kubeconfig = setup.dir.join("controller-manager.kubeconfig");
        let manager_admin = certificate(&server, "system:kube-controller-manager")?;
        certs::write_private(&manager_kubeconfig, &to_yaml(&manager_admin)?)?;
        let manager = setup.controller_manager(&files, manager_port, &manager_kubeconfig)?;
        let manager_client = client_for(&certificate(&manager_server, "admin")?).await?;
        setup.wait_for_http(&manager, &manager_client, "healthz").await?;

        let admin_yaml = to_yaml(&admin)?;
        certs::write_private(&setup.dir.join("admin.kubeconfig"), &admin_yaml)?;
        Ok(Self {
            components: vec![manager, api_server, etcd],
            setup,
            files,
            _dir: dir,
            ports,
            server,
            ca_pem,
            admin,
            admin_yaml,
            audit: options.audit,
        })
    }

    /// The URL of the API server.
    pub fn url(&self) -> &str {
        &self.server
    }

    /// The certificate authority of the API server, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A kubeconfig that may do everything (group `system:masters`).
    pub fn admin_kubeconfig(&self) -> Kubeconfig {
        self.admin.clone()
    }

    /// The text of [`Self::admin_kubeconfig`].
    pub fn kubeconfig_yaml(&self) -> &str {
        &self.admin_yaml
    }

    /// A file with [`Self::admin_kubeconfig`], in the data directory.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.setup.dir.join("admin.kubeconfig")
    }

    /// Writes [`Self::admin_kubeconfig`] to a file that only its owner can read.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_kubeconfig(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        certs::write_private(path.as_ref(), &self.admin_yaml)
    }

    /// A new admin client, without a rate limit, for the runtime that this is called on; see [`client_for`].
    ///
    /// # Errors
    /// If the client cannot be made; this should not happen.
    pub async fn client(&self) -> Result<kube::Client, Error> {
        client_for(&self.admin).await
    }

    /// Makes a namespace with a unique name that starts with `prefix` (made fit for a DNS label).
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn namespace(&self, prefix: &str) -> Result<String, Error> {
        let name = format!("{}-{}", dns_label(prefix), random_suffix());
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::all(self.client().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(Error::api(format!("create namespace {name}")))?;
        Ok(name)
    }

    /// Makes a ServiceAccount.
    ///
    /// # Errors
    /// If the API server refuses it, for example because it exists.
    pub async fn create_service_account(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        Api::namespaced(self.client().await?, namespace)
            .create(&PostParams::default(), &account)
            .await
            .map_err(Error::api(format!("create ServiceAccount {namespace}/{name}")))?;
        Ok(())
    }

    /// A kubeconfig with a token (of the TokenRequest API, valid for a day) of a ServiceAccount that exists, with the
    /// account's namespace as the default.
    ///
    /// # Errors
    /// If the API server refuses it, for example because there is no such ServiceAccount.
    pub async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<Kubeconfig, Error> {
        let token = self.token(namespace, name).await?;
        let user = format!("system:serviceaccount:{namespace}:{name}");
        kubeconfig::kubeconfig(&self.server, &self.ca_pem, &user, &Credential::Token(&token), namespace)
    }

    /// A token of a ServiceAccount that exists, valid for a day.
    ///
    /// # Errors
    /// See [`Self::kubeconfig_for_service_account`].
    pub async fn token(&self, namespace: &str, name: &str) -> Result<String, Error> {
        let action = format!("get a token of ServiceAccount {namespace}/{name}");
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        answer.map_err(Error::api(action.clone()))?.status.and_then(|status| status.token).ok_or_else(|| {
            Error::Kubeconfig { user: name.into(), reason: format!("cannot {action}: the answer has no token") }
        })
    }

    /// Applies YAML files; see [`apply`].
    ///
    /// # Errors
    /// See [`apply`].
    pub async fn apply(&self, path: impl AsRef<Path>, namespace: &str) -> Result<usize, Error> {
        manifests::apply(&self.client().await?, path.as_ref(), namespace).await
    }

    /// The file that the audit log goes to.
    ///
    /// # Errors
    /// If there is no audit log.
    pub fn audit_log_path(&self) -> Result<PathBuf, Error> {
        if self.audit { Ok(self.setup.audit_log()) } else { Err(Error::AuditOff) }
    }

    /// All requests that have been answered so far. An answer can be at the client a moment before it is here.
    ///
    /// # Errors
    /// If there is no audit log, or it cannot be read.
    pub fn audit_events(&self) -> Result<Vec<AuditEvent>, Error> {
        self.audit_events_since(0)
    }

    /// Where the audit log ends now, for [`Self::audit_events_since`].
    ///
    /// # Errors
    /// If there is no audit log, or it cannot be read.
    pub fn audit_position(&self) -> Result<u64, Error> {
        audit::end(&self.audit_log_path()?)
    }

    /// The requests that have been answered since [`Self::audit_position`] was called.
    ///
    /// # Errors
    /// If there is no audit log, or it cannot be read.
    pub fn audit_events_since(&self, position: u64) -> Result<Vec<AuditEvent>, Error> {
        audit::read(&self.audit_log_path()?, position)
    }

    /// Keeps a copy of what etcd has now, for [`Self::put_back`].
    ///
    /// # Errors
    /// If etcd cannot be halted, or its files cannot be copied.
    pub async fn keep_data(&self) -> Result<(), Error> {
        let Some((_, pid)) = self.processes().into_iter().find(|(name, _)| name == Assets::ETCD) else {
            return Ok(());
        };
        // What is on disk while it stands still is what it would find after a crash.
        let pid = pid.to_string();
        run("kill", &["-STOP", &pid], &self.setup.dir).await?;
        let copied = run("cp", &["-a", ETCD_DATA, KEPT_DATA], &self.setup.dir).await;
        run("kill", &["-CONT", &pid], &self.setup.dir).await?;
        copied
    }

    /// Stops the API server and etcd, puts etcd's data back to what was kept, and starts both again: revisions go back.
    /// Only with [`Options::data_dir`]; without, the first component that is stopped removes the data.
    ///
    /// # Errors
    /// If one of them does not get ready.
    pub async fn put_back(&mut self) -> Result<(), Error> {
        let stopped: Vec<_> = self.components.drain(1..).collect();
        tokio::task::spawn_blocking(move || drop(stopped)).await?;
        run("rm", &["-rf", ETCD_DATA], &self.setup.dir).await?;
        run("mv", &[KEPT_DATA, ETCD_DATA], &self.setup.dir).await?;
        let etcd = self.setup.etcd().await?;
        let api_server = self.setup.api_server(&self.files, self.ports[0].number(), self.audit)?;
        self.setup.wait_for_http(&api_server, &self.client().await?, "readyz").await?;
        self.components.extend([api_server, etcd]);
        Ok(())
    }

    /// Where data, certificates and logs are.
    pub fn data_dir(&self) -> &Path {
        &self.setup.dir
    }

    /// The names and process IDs of the components.
    pub fn processes(&self) -> Vec<(String, u32)> {
        self.components.iter().filter_map(|part| Some((part.name().to_owned(), part.pid()?))).collect()
    }

    /// Looks whether all components are still running.
    ///
    /// # Errors
    /// If one has ended; the error has the end of its log.
    pub fn check(&self) -> Result<(), Error> {
        let ended = self.components.iter().find_map(|part| Some((part, part.exit_code()?)));
        ended.map_or(Ok(()), |(part, code)| {
            Err(Error::Ended { program: part.name().into(), code, tail: part.log_tail() })
        })
    }

    /// Stops everything and removes the data (unless [`Options::data_dir`] was set). Dropping does the same, but
    /// blocks the thread for as long as it takes, some hundredths of a second.
    ///
    /// # Errors
    /// If the runtime is shutting down; then everything is stopped nevertheless.
    pub async fn shutdown(self) -> Result<(), Error> {
        Ok(tokio::task::spawn_blocking(move || drop(self)).await?)
    }
}

/// The directory of a control plane.
enum DataDir {
    Temporary(TempDir),
    /// Locked, because two etcds in one directory wait for each other for ever.
    Kept(PathBuf, #[expect(dead_code, reason = "held until it is dropped")] FileLock),
}

impl DataDir {
    fn new(kept: Option<PathBuf>) -> Result<Self, Error> {
        let Some(dir) = kept else {
            let temporary = absolute(&std::env::temp_dir())?;
            let made = tempfile::Builder::new().prefix("control-plane-").tempdir_in(&temporary);
            return made.map(Self::Temporary).map_err(Error::io("create a directory in", temporary));
        };
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let dir = dir.canonicalize().map_err(Error::io("resolve", &dir))?;
        match FileLock::try_new(&dir.join("lock"))? {
            Some(lock) => Ok(Self::Kept(dir, lock)),
            None => Err(Error::DataDirInUse(dir)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir, _) => dir,
        }
    }
}

/// Runs a small program to its end.
async fn run(program: &str, args: &[&str], dir: &Path) -> Result<(), Error> {
    let status = tokio::process::Command::new(program).args(args).current_dir(dir).status().await;
    match status.map_err(Error::io("run", program))?.success() {
        true => Ok(()),
        false => Err(Error::io("run", program)(std::io::Error::other(args.join(" ")))),
    }
}

/// The components run in another directory than this process, so relative paths would mislead them.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::io("resolve", path))
}

/// rustls needs to be told which cryptography to use; all of this project uses ring.
pub(crate) fn install_crypto_provider() {
    // An error says that there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Turns for example a test's path into something that a namespace's name can start with.
fn dns_label(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(fit).take(50).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "test".to_owned() } else { label.to_owned() }
}

fn random_suffix() -> String {
    uuid::Uuid::new_v4().simple().to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_dns_label() {
        assert_eq!(dns_label("module::My_test"), "module--my-test");
        assert_eq!(dns_label("--"), "test");
        assert_eq!(dns_label(&"x".repeat(100)).len(), 50);
    }

    #[test]
    fn a_kept_directory_cannot_be_used_twice_at_the_same_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::new(Some(dir.path().into())).unwrap();
        assert!(matches!(DataDir::new(Some(dir.path().into())), Err(Error::DataDirInUse(_))));
        drop(first);
        DataDir::new(Some(dir.path().into())).unwrap();
    }
}
