//! The command lines of the components, and how to know that they are ready.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::api::GetParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::process::{Program, Supervised};
use crate::{Assets, Error, certs};

/// etcd's socket, in etcd's notation: the file `etcd.sock:0` in the working directory, which etcd and the API server
/// share. Thus etcd needs no port, nobody but us can talk to it, and the length of the path does not matter.
const ETCD_URL: &str = "unix://etcd.sock:0";
const ETCD_SOCKET: &str = "etcd.sock:0";
const ETCD_PEER_URL: &str = "unix://etcd-peer.sock:0";

/// What all components have in common.
pub(crate) struct Setup {
    pub assets: Assets,
    /// The data directory, and the working directory of the components.
    pub dir: PathBuf,
    /// Whether the directory goes when the components are stopped.
    pub remove: bool,
    pub timeout: Duration,
}

impl Setup {
    pub fn log(&self, program: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{program}.log"))
    }

    pub fn audit_log(&self) -> PathBuf {
        self.dir.join("logs").join("audit.log")
    }

    fn spawn(&self, program: &'static str, args: Vec<String>) -> Result<Supervised, Error> {
        Supervised::spawn(Program {
            name: program,
            path: &self.assets.program(program),
            args,
            cwd: &self.dir,
            log: self.log(program),
            remove: self.remove.then_some(self.dir.as_path()),
            env: None,
        })
    }

    /// Starts etcd and waits until it is healthy.
    pub async fn etcd(&self) -> Result<Supervised, Error> {
        let socket = self.dir.join(ETCD_SOCKET);
        // Left over if the directory was used before.
        for file in [&socket, &self.dir.join("etcd-peer.sock:0")] {
            let _ = std::fs::remove_file(file);
        }
        let args = [
            "--name=control-plane".to_owned(),
            "--data-dir=etcd".to_owned(),
            format!("--listen-client-urls={ETCD_URL}"),
            format!("--advertise-client-urls={ETCD_URL}"),
            format!("--listen-peer-urls={ETCD_PEER_URL}"),
            format!("--initial-advertise-peer-urls={ETCD_PEER_URL}"),
            format!("--initial-cluster=control-plane={ETCD_PEER_URL}"),
            // The data need not survive a crash of the machine.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let etcd = self.spawn(Assets::ETCD, args.into())?;
        self.wait(&etcd, async || etcd_health(&socket).await).await?;
        Ok(etcd)
    }

    /// Starts kube-apiserver. It is ready when [`Self::wait_for_http`] says so.
    pub fn api_server(&self, files: &certs::Files, port: u16, audit: bool) -> Result<Supervised, Error> {
        let mut args = vec![
            format!("--etcd-servers={ETCD_URL}"),
            // It would publish our address as the endpoint of the Service `kubernetes`, which refuses loopback ones.
            "--endpoint-reconciler-type=none".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            "--permit-port-sharing=true".to_owned(),
            file_flag("tls-cert-file", &files.serving_certificate),
            file_flag("tls-private-key-file", &files.serving_key),
            file_flag("client-ca-file", &files.ca),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            file_flag("service-account-key-file", &files.service_account_public_key),
            file_flag("service-account-signing-key-file", &files.service_account_private_key),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--allow-privileged=true".to_owned(),
            // It would refuse pods in namespaces whose ServiceAccount `default` has not been made yet.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if audit {
            let policy = self.dir.join("audit-policy.yaml");
            std::fs::write(&policy, crate::audit::POLICY).map_err(Error::io("write", &policy))?;
            args.push(file_flag("audit-policy-file", &policy));
            args.push(file_flag("audit-log-path", &self.audit_log()));
            // In megabytes: never rotated, so that positions in it stay valid.
            args.push("--audit-log-maxsize=1000000".to_owned());
        }
        self.spawn(Assets::API_SERVER, args)
    }

    /// Starts kube-controller-manager. It is ready when [`Self::wait_for_http`] says so.
    pub fn controller_manager(&self, files: &certs::Files, port: u16, kubeconfig: &Path) -> Result<Supervised, Error> {
        let args = vec![
            file_flag("kubeconfig", kubeconfig),
            "--controllers=namespace-controller,garbage-collector-controller,serviceaccount-controller".to_owned(),
            "--use-service-account-credentials=false".to_owned(),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            "--permit-port-sharing=true".to_owned(),
            file_flag("tls-cert-file", &files.serving_certificate),
            file_flag("tls-private-key-file", &files.serving_key),
            // Many tests delete their namespaces at the same time; the defaults (20 and 30) would slow that down.
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=2000".to_owned(),
            "--profiling=false".to_owned(),
        ];
        self.spawn(Assets::CONTROLLER_MANAGER, args)
    }

    /// Waits until a GET of `path` (without a leading slash) succeeds.
    pub async fn wait_for_http(&self, component: &Supervised, client: &kube::Client, path: &str) -> Result<(), Error> {
        let probe = async || {
            // The only way to get an `http::Request` out of kube alone: the object `readyz` of the root.
            let request =
                kube::core::Request::new("").get(path, &GetParams::default()).map_err(|error| error.to_string())?;
            client.request_text(request).await.map(drop).map_err(|error| error.to_string())
        };
        self.wait(component, probe).await
    }

    /// Calls `probe` until it succeeds, the component ends or the time is up.
    pub async fn wait(&self, component: &Supervised, probe: impl AsyncFn() -> Result<(), String>) -> Result<(), Error> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let answer = tokio::time::timeout(Duration::from_secs(2), probe()).await;
            let last = match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer within 2 s".to_owned(),
            };
            let program = component.name().to_owned();
            if let Some(code) = component.exit_code() {
                return Err(Error::Ended { program, code, tail: component.log_tail() });
            }
            if Instant::now() >= deadline {
                let seconds = self.timeout.as_secs();
                return Err(Error::NotReady { program, seconds, last, tail: component.log_tail() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Asks etcd for its health. The socket is there some tenths of a second before etcd answers, and an API server that
/// starts in between waits longer than necessary before it tries again.
async fn etcd_health(socket: &Path) -> Result<(), String> {
    let mut stream = match UnixStream::connect(socket).await {
        // The path of a kept directory can be too long for a socket's address. Then the API server has to wait.
        Err(error) if error.kind() == ErrorKind::InvalidInput && socket.exists() => return Ok(()),
        other => other.map_err(|error| error.to_string())?,
    };
    let request = b"GET /health HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    if answer.contains(r#""health":"true""#) { Ok(()) } else { Err(answer) }
}

fn file_flag(name: &str, file: &Path) -> String {
    format!("--{name}={}", file.display())
}
