//! TLS for the admin server. The files are read anew at each connection, since whoever renews the certificate
//! (cert-manager) only writes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes at one time, and how long one may take: who connects and says nothing keeps nobody else out for long.
const HANDSHAKES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);

/// A certificate with its key, in files that may change.
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    /// What the files said when they were last looked at, good or not.
    read: (Vec<u8>, Vec<u8>),
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// If they cannot be read, or do not belong together.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, String> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let read = (read(chain)?, read(key)?);
        let config = config(&read.0, &read.1)?;
        let current = Mutex::new(Current { read, config });
        Ok(Self { chain: chain.to_owned(), key: key.to_owned(), current })
    }

    /// What the files say now. What cannot be used is told once, and the one before goes on.
    async fn config(&self) -> Arc<ServerConfig> {
        let read = tokio::try_join!(tokio::fs::read(&self.chain), tokio::fs::read(&self.key));
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(read) = read
            && read != current.read
        {
            match config(&read.0, &read.1) {
                Ok(config) => {
                    tracing::info!("the certificate of the admin server was renewed");
                    current.config = config;
                }
                Err(error) => tracing::warn!(error, "the new certificate of the admin server cannot be used"),
            }
            current.read = read;
        }
        Arc::clone(&current.config)
    }
}

fn config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| format!("the certificate of the admin server: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key of the admin server: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| format!("the certificate of the admin server: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

type Shaken = Option<(TlsStream<TcpStream>, SocketAddr)>;

/// Takes connections, and hands them on after the handshake.
pub(super) struct TlsListener {
    listener: TcpListener,
    certificate: Arc<Certificate>,
    handshakes: JoinSet<Shaken>,
}

impl TlsListener {
    pub(super) fn new(listener: TcpListener, certificate: Certificate) -> Self {
        Self { listener, certificate: Arc::new(certificate), handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                (stream, from) = Listener::accept(&mut self.listener), if self.handshakes.len() < HANDSHAKES => {
                    let certificate = Arc::clone(&self.certificate);
                    self.handshakes.spawn(async move {
                        let acceptor = TlsAcceptor::from(certificate.config().await);
                        let shaken = timeout(PATIENCE, acceptor.accept(stream)).await;
                        shaken.ok().and_then(Result::ok).map(|stream| (stream, from))
                    });
                }
                Some(shaken) = self.handshakes.join_next() => {
                    if let Ok(Some(shaken)) = shaken {
                        return shaken;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests;
