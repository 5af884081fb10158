//! A TLS server that records what it is sent and answers what the test says, also impolitely.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::cms::*;

#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub method: String,
    /// With the query.
    pub path: String,
    pub head: String,
    pub body: String,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What the server does with one request.
pub enum Action {
    /// These bytes, then the next request.
    Reply(String),
    /// These bytes, then hang up.
    Last(String),
    /// These bytes, then hang up without a goodbye of TLS.
    Rude(String),
    /// Nothing, for ever.
    Hang,
}

pub fn reply(status: &str, headers: &str, body: &str) -> Action {
    Action::Reply(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

pub fn xml(body: &str) -> Action {
    reply("200 OK", "Content-Type: text/xml\r\n", body)
}

pub const STATUS: &str = r#"<?xml version="1.0"?><status><softwareVersion>2.0(RC)</softwareVersion></status>"#;

type Script = dyn Fn(usize, &Recorded) -> Action + Send + Sync;

#[derive(Clone)]
pub struct Server {
    pub at: SocketAddr,
    /// The server's own certificate in PEM.
    pub certificate: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    connections: Arc<AtomicUsize>,
    script: Arc<Script>,
}

/// A bridge hangs up when nothing was asked for so long (cms-protocol.md 1.1).
const IDLE: Duration = Duration::from_secs(5);

impl Server {
    /// A server for `localhost` whose certificate calls itself an authority or not.
    pub async fn start(script: impl Fn(usize, &Recorded) -> Action + Send + Sync + 'static) -> Self {
        Self::with_names(&["localhost"], false, script).await
    }

    pub async fn with_names(
        names: &[&str],
        is_authority: bool,
        script: impl Fn(usize, &Recorded) -> Action + Send + Sync + 'static,
    ) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Self::with_certificate(&params, None, script).await
    }

    /// A server with any certificate, signed by this authority or by itself.
    pub async fn with_certificate(
        params: &CertificateParams,
        authority: Option<&Issuer<'static, KeyPair>>,
        script: impl Fn(usize, &Recorded) -> Action + Send + Sync + 'static,
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match authority {
            Some(authority) => params.signed_by(&key, authority),
            None => params.self_signed(&key),
        };
        let certificate = certificate.unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            at: listener.local_addr().unwrap(),
            certificate: certificate.pem(),
            requests: Arc::default(),
            connections: Arc::default(),
            script: Arc::new(script),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        server.converse(stream).await;
                    }
                });
            }
        });
        server
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    pub fn address(&self) -> Address {
        format!("localhost:{}", self.at.port()).parse().unwrap()
    }

    pub fn tls(&self) -> TlsOptions {
        TlsOptions { ca_bundle_pem: Some(self.certificate.clone().into_bytes()), ..TlsOptions::default() }
    }

    pub fn client(&self) -> Client {
        client(self.address(), self.tls(), limits())
    }

    /// Connections on which anything was asked.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn converse(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (mut pending, mut is_first) = (Vec::new(), true);
        while let Ok(Some(request)) = timeout(IDLE, read_request(&mut stream, &mut pending)).await {
            self.connections.fetch_add(usize::from(std::mem::take(&mut is_first)), Ordering::SeqCst);
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                requests.len()
            };
            match (self.script)(number, &request) {
                Action::Reply(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                Action::Last(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    let _ = stream.shutdown().await;
                    return;
                }
                Action::Rude(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    let _ = stream.flush().await;
                    return;
                }
                Action::Hang => std::future::pending().await,
            }
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), pending: &mut Vec<u8>) -> Option<Recorded> {
    loop {
        let text = String::from_utf8_lossy(pending).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let mut request = Recorded { head: head.to_owned(), ..Recorded::default() };
            let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            if rest.len() >= length {
                let mut line = head.split(' ');
                request.method = line.next().unwrap().to_owned();
                request.path = line.next().unwrap().to_owned();
                request.body = rest[..length].to_owned();
                pending.drain(..head.len() + 4 + length);
                return Some(request);
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => pending.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

pub fn limits() -> Limits {
    Limits { connect: Duration::from_millis(800), request: Duration::from_millis(1200), ..Limits::default() }
}

pub fn client(address: Address, tls: TlsOptions, limits: Limits) -> Client {
    let credentials = Credentials { username: "tms".to_owned(), password: "hunter2".into() };
    let gate = Arc::new(Gate::new(8, 1).opens_after(100));
    Client::new(address, credentials, tls, limits, loopback(), gate, Arc::new(NoObserver)).unwrap()
}

/// The servers of these tests are on loopback.
pub fn loopback() -> Arc<Egress> {
    Arc::new(Egress::default().allow(["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap())))
}

pub fn any() -> Priority {
    Priority::new(Class::Read, jiff::Timestamp::UNIX_EPOCH)
}

/// A proxy that lets everybody through who has the password (`u:p`), and what it was asked for.
pub async fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let request = read_request(&mut stream, &mut Vec::new()).await?;
                seen.lock().unwrap().push(format!("{} {}", request.method, request.path));
                if request.header("proxy-authorization") != Some("Basic dTpw") {
                    stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.ok()?;
                    return None;
                }
                let mut onward = tokio::net::TcpStream::connect(request.path).await.ok()?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok()
            });
        }
    });
    (at, asked)
}
