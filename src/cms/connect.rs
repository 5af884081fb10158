//! From an address to a connection, and what a failed connection means.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use reqwest::{Proxy, Response, Url};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower::ServiceExt;

use super::address::Address;
use super::egress::{self, Egress};
use super::error::CmsError;
use super::tls::{self, Tls};

/// There is no address to connect to. Looked for in the error chain of the HTTP client, which says only "connect".
#[derive(Clone, Copy, Debug, Error)]
enum NoAddress {
    #[error("the host name could not be resolved")]
    Unresolved,
    #[error("the host has no address that a bridge may have")]
    Refused,
}

impl From<NoAddress> for CmsError {
    fn from(fault: NoAddress) -> Self {
        match fault {
            NoAddress::Unresolved => Self::DnsFailure,
            NoAddress::Refused => Self::AddressRefused,
        }
    }
}

/// Resolves every name to the addresses of one host: the name in the URL may be the one on the certificate, which
/// need not exist in the DNS. It is asked for each connection, and what it gives is what is connected to: a name cannot
/// lead elsewhere between the check and the connection.
pub struct Resolver {
    address: Address,
    limit: Duration,
    egress: Arc<Egress>,
}

impl Resolver {
    /// `connect_limit`: the time for the whole connection. The name gets three quarters of it, so that a silent DNS
    /// server is not mistaken for a silent bridge.
    pub fn new(address: Address, connect_limit: Duration, egress: Arc<Egress>) -> Self {
        Self { address, limit: connect_limit.mul_f64(0.75), egress }
    }

    async fn lookup(address: Address, limit: Duration, egress: Arc<Egress>) -> Result<Vec<SocketAddr>, NoAddress> {
        let found = timeout(limit, tokio::net::lookup_host((address.host.as_str(), address.port))).await;
        permitted(found.map_err(|_| NoAddress::Unresolved)?.map_err(|_| NoAddress::Unresolved)?.collect(), &egress)
    }
}

/// Those that a bridge may have.
fn permitted(mut addresses: Vec<SocketAddr>, egress: &Egress) -> Result<Vec<SocketAddr>, NoAddress> {
    if addresses.is_empty() {
        return Err(NoAddress::Unresolved);
    }
    addresses.retain(|address| egress.permits(address.ip()));
    if addresses.is_empty() { Err(NoAddress::Refused) } else { Ok(addresses) }
}

impl Resolve for Resolver {
    fn resolve(&self, _name: Name) -> Resolving {
        let looking = Self::lookup(self.address.clone(), self.limit, Arc::clone(&self.egress));
        Box::pin(async move {
            let addresses: Addrs = Box::new(looking.await?.into_iter());
            Ok(addresses)
        })
    }
}

/// Connects and shakes hands, sends nothing, and hangs up: what a liveness probe needs, at no cost to the bridge's API.
///
/// # Errors
/// Only those of connecting.
pub async fn probe(address: &Address, tls: &Tls, limit: Duration, egress: &Arc<Egress>) -> Result<(), CmsError> {
    timeout(limit, connect(address, tls, limit, egress)).await.unwrap_or(Err(CmsError::ConnectTimeout))
}

async fn connect(address: &Address, tls: &Tls, limit: Duration, egress: &Arc<Egress>) -> Result<(), CmsError> {
    let stream = match egress.proxy_for(address) {
        Some(proxy) => tunnel(&proxy, address, egress).await?,
        None => {
            let Resolver { address, limit, egress } = Resolver::new(address.clone(), limit, Arc::clone(egress));
            let addresses = Resolver::lookup(address, limit, egress).await?;
            TcpStream::connect(addresses.as_slice()).await.map_err(|error| of_connecting(&error))?
        }
    };
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(address.host.clone())
            .map_err(|_| tls::failure("the host of the address cannot be a certificate's name"))?,
    };
    match TlsConnector::from(Arc::clone(&tls.config)).connect(name, stream).await {
        Ok(_stream) => Ok(()),
        Err(error) => Err(of_handshake(&error)),
    }
}

/// The connection that a proxy makes.
async fn tunnel(proxy: &Intercept, address: &Address, egress: &Egress) -> Result<TcpStream, CmsError> {
    if egress.refuses(address) {
        return Err(CmsError::AddressRefused);
    }
    let url = egress::url_of(address).ok_or(CmsError::DnsFailure)?;
    let mut tunnel = Tunnel::new(proxy.uri().clone(), HttpConnector::new());
    if let Some(password) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(password.clone());
    }
    let stream = tunnel.oneshot(url).await.map_err(|_| CmsError::ProxyFailure)?;
    Ok(stream.into_inner())
}

/// The same for the HTTP client.
pub fn proxied(proxy: &Intercept) -> reqwest::Result<Proxy> {
    let made = Proxy::all(proxy.uri().to_string())?;
    Ok(match proxy.basic_auth() {
        Some(password) => made.custom_http_auth(password.clone()),
        None => made,
    })
}

/// What an error of the HTTP client means. Its own text is never shown: it holds the URL.
pub fn classify(error: &reqwest::Error) -> CmsError {
    let connecting = error.is_connect();
    if let Some(fault) = chain(error).find_map(|cause| cause.downcast_ref::<NoAddress>()) {
        return (*fault).into();
    }
    if error.is_dns() {
        return CmsError::DnsFailure;
    }
    if let Some(fault) = chain(error).find_map(tls_fault) {
        // After the handshake a TLS fault is a broken connection like any other: the request may have been read.
        return if connecting {
            CmsError::TlsFailure { detail: tls::describe(fault) }
        } else {
            CmsError::ConnectionLost
        };
    }
    if error.is_timeout() {
        return if connecting { CmsError::ConnectTimeout } else { CmsError::Timeout };
    }
    if connecting {
        // The innermost one: those around it are made by the HTTP client and have no kind of their own.
        let fault = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
        return fault.map_or(CmsError::ConnectionRefused, of_handshake);
    }
    if chain(error).any(|cause| cause.to_string().starts_with("invalid HTTP")) {
        return CmsError::NotACms;
    }
    CmsError::ConnectionLost
}

/// Did the connection end without a goodbye of TLS?
pub fn is_end_of_stream(error: &reqwest::Error) -> bool {
    let faults = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    faults.last().is_some_and(|fault| fault.kind() == io::ErrorKind::UnexpectedEof)
}

/// The same where a proxy is asked: what is resolved and connected to before the handshake is the proxy.
pub fn classify_proxied(error: &reqwest::Error) -> CmsError {
    match classify(error) {
        CmsError::DnsFailure | CmsError::ConnectionRefused => CmsError::ProxyFailure,
        other => other,
    }
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &Cause> {
    std::iter::successors(error.source(), |cause| below(*cause))
}

type Cause = dyn StdError + 'static;

/// The next error down. An `io::Error` hides the one it was made from, as its `source` is the one *below* that.
fn below(cause: &Cause) -> Option<&Cause> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => cause.source(),
    }
}

fn tls_fault(cause: &Cause) -> Option<&rustls::Error> {
    cause.downcast_ref()
}

fn of_connecting(error: &io::Error) -> CmsError {
    match error.kind() {
        io::ErrorKind::TimedOut => CmsError::ConnectTimeout,
        _ => CmsError::ConnectionRefused,
    }
}

fn of_handshake(error: &io::Error) -> CmsError {
    if let Some(fault) = below(error).and_then(tls_fault) {
        return CmsError::TlsFailure { detail: tls::describe(fault) };
    }
    match error.kind() {
        // The bridge accepted the connection and hung up: most often a port that speaks something else.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            tls::failure("the connection was closed during the handshake")
        }
        _ => of_connecting(error),
    }
}

/// Where a reply sends the request, if that is another path of the same server: some add a slash, or take one away.
/// Credentials go nowhere else.
pub fn moved_to(response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let (from, to) = (response.url(), response.url().join(location).ok()?);
    let is_same = to.origin() == from.origin() && to.username().is_empty() && to.password().is_none();
    (is_same && to != *from).then_some(to)
}

#[cfg(test)]
mod tests;
