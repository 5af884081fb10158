//! One request to a call bridge: its turn at the gate, sending, judging the reply; a line, a metric and a span of it.
//!
//! Decisions, in one place:
//! - Credentials go with the first request (R39); they never go anywhere else: a redirect is followed once, for a read, and
//!   to the same scheme, host and port only.
//! - A bridge has an address that a bridge may have, which is seen to at each connection ([`Egress`]).
//! - No proxy from the environment: a bridge is part of the same site. Only the one that is configured for bridges is used.
//! - HTTP/1.1 only: the bridge speaks nothing else (`cms-protocol.md` 1.1).
//! - A write needs an open fence right before it is sent, and is given up when the right to it is lost.
//! - A read whose connection broke is repeated once, at once: a bridge may close a kept connection at any time. Writes
//!   are never repeated here; whoever asked for them must look first. (The HTTP library moves a request to a fresh
//!   connection by itself only while not a byte of it was sent.)

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::address::Address;
use super::connect::{self, Resolver};
use super::egress::Egress;
use super::error::{CmsError, ErrorClass};
use super::failure;
use super::form::Form;
use super::gate::{Ending, Gate, Permit};
use super::observer::{Observer, Sample};
use super::paging::KeptBack;
use super::priority::Priority;
use super::room::{Body, Room, SMALL_REPLY};
use super::tls::{Tls, TlsOptions};
use super::xml::{self, Bounds, Node};
use crate::fence::Fence;

/// How often a request is sent that gets a 401 again and again while other ones do not.
const MAX_TRIES: u32 = 3;

/// So long the first byte of what may be a page with a 401 is waited for.
const PAGE_PATIENCE: Duration = Duration::from_secs(1);

/// An API user of the bridge.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: String,
    pub password: SecretString,
}

impl Credentials {
    /// Are these the same words?
    pub fn is_same(&self, other: &Self) -> bool {
        self.username == other.username && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// How long and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For name, connection and handshake together; also for a probe.
    pub connect: Duration,
    /// For a whole request, from connecting to the last byte of the reply, without the wait at the gate.
    pub request: Duration,
    /// The largest reply that is read.
    pub max_reply_bytes: usize,
    /// The `limit` that lists ask for; the bridge has a lower one of its own.
    pub page_size: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(10),
            max_reply_bytes: 8 << 20,
            page_size: 50,
        }
    }
}

/// A client of one call bridge. Cheap to clone; all clones share connections and gate.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Asked right before a write is sent.
    still: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

struct Shared {
    http: reqwest::Client,
    address: Address,
    /// `https://host:port/api/v1`
    base: String,
    credentials: Credentials,
    tls: Tls,
    limits: Limits,
    egress: Arc<Egress>,
    is_proxied: bool,
    gate: Arc<Gate>,
    observer: Arc<dyn Observer>,
    kept_back: KeptBack,
}

/// A request before it has a place in the queue.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub operation: &'static str,
    pub method: Method,
    /// Below `/api/v1`, with a leading slash; only from [`super::operations`], never with a secret.
    pub path: String,
    pub query: Form,
    pub body: Form,
}

/// A reply that is a success.
pub(super) struct Reply {
    pub location: Option<String>,
    body: Body,
}

/// A document, and what it cost.
pub(super) struct Document {
    pub root: Node,
    pub size: usize,
    /// Until it is made use of.
    _room: Room,
}

impl Client {
    /// Makes a client; nothing is sent. The gate learns which credentials are used, so that new ones end its 401 block.
    ///
    /// # Errors
    /// [`CmsError::TlsFailure`] if the TLS options cannot be used.
    pub fn new(
        address: Address,
        credentials: Credentials,
        tls: TlsOptions,
        limits: Limits,
        egress: Arc<Egress>,
        gate: Arc<Gate>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, CmsError> {
        let tls = Tls::new(&tls)?;
        let proxy = egress.proxy_for(&address);
        let host = match &tls.server_name {
            // The URL carries the name to ask for; the resolver knows where it really is. A proxy knows the URL only: there
            // the host of the address is asked for, and the name is checked all the same.
            Some(ServerName::DnsName(name)) if proxy.is_none() => {
                Address { host: name.as_ref().to_owned(), port: address.port }
            }
            _ => address.clone(),
        };
        let base = format!("https://{host}/api/v1");
        let builder = reqwest::Client::builder().no_proxy();
        let builder = match &proxy {
            Some(proxy) => builder.proxy(connect::proxied(proxy).map_err(|_| CmsError::ProxyFailure)?),
            None => builder.dns_resolver(Resolver::new(address.clone(), limits.connect, Arc::clone(&egress))),
        };
        let http = builder
            .tls_backend_preconfigured((*tls.config).clone())
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            // Shorter than the 5 s after which the bridge hangs up (cms-protocol.md 1.1), so that no request meets a
            // connection that is just being closed.
            .pool_idle_timeout(Duration::from_secs(4))
            .tcp_keepalive(Duration::from_secs(10))
            .build()
            .map_err(|_| super::tls::failure("the HTTP client rejects the TLS settings"))?;
        gate.bind_credentials(&credentials.username, credentials.password.expose_secret());
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                address,
                base,
                credentials,
                tls,
                limits,
                egress,
                is_proxied: proxy.is_some(),
                gate,
                observer,
                kept_back: KeptBack::default(),
            }),
            still: None,
        })
    }

    /// The same for writes that are sent only if that is so after the wait at the gate.
    #[must_use]
    pub fn only_while(self, still: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { still: Some(Arc::new(still)), ..self }
    }

    /// Where this client's call bridge is.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// What it identifies itself with.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.credentials
    }

    /// What its lists keep back.
    pub(super) fn kept_back(&self) -> &KeptBack {
        &self.shared.kept_back
    }

    /// The gate that all requests pass.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.shared.gate
    }

    /// When the certificate that the call bridge last showed expires, in seconds since 1970.
    pub fn certificate_expiry(&self) -> Option<i64> {
        self.shared.tls.expiry()
    }

    /// Which certificates of the CA bundle cannot be read, counted from 1.
    pub fn unreadable_certificates(&self) -> &[usize] {
        &self.shared.tls.unreadable
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether the bridge can be reached: name, connection and handshake, no request. Outside the gate; a success lets
    /// an open circuit have its trial at once.
    ///
    /// # Errors
    /// `DnsFailure`, `AddressRefused`, `ProxyFailure`, `ConnectionRefused`, `ConnectTimeout` or `TlsFailure`.
    pub async fn probe(&self) -> Result<(), CmsError> {
        let shared = &self.shared;
        let result = connect::probe(&shared.address, &shared.tls, shared.limits.connect, &shared.egress).await;
        if result.is_ok() {
            shared.gate.note_reachable();
        }
        result
    }

    /// Reads a document whose root must be `root`.
    pub(super) async fn read(&self, at: Priority, request: Request, wanted: &str) -> Result<Document, CmsError> {
        let Body { bytes, room } = self.send(at, request).await?.body;
        let root = xml::parse(&bytes, Bounds::of(self.shared.limits.max_reply_bytes)).map_err(failure::unreadable)?;
        if !root.is(wanted) {
            return Err(failure::wrong_root(&root, wanted));
        }
        Ok(Document { root, size: bytes.len(), _room: room })
    }

    pub(super) fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
    }

    /// Sends a request when its turn comes. A 401 was not carried out, whatever it was for: while the credentials are
    /// trusted all the same, the request takes its place in the queue again.
    pub(super) async fn send(&self, at: Priority, request: Request) -> Result<Reply, CmsError> {
        let mut tries = 1;
        loop {
            let result = self.send_once(at, &request).await;
            let is_refused = matches!(result, Err(CmsError::Unauthorized));
            if !is_refused || tries == MAX_TRIES || !self.shared.gate.trusts_credentials() {
                return result;
            }
            tries += 1;
        }
    }

    async fn send_once(&self, at: Priority, request: &Request) -> Result<Reply, CmsError> {
        let queued = Instant::now();
        let fence = Some(self.shared.gate.fence()).filter(|_| request.method != Method::GET);
        let permit = match self.turn(at, fence).await {
            Ok(permit) => permit,
            Err(error) => {
                self.report(request, None, queued.elapsed(), Duration::ZERO, Some(&error));
                return Err(error);
            }
        };
        let waited = queued.elapsed();
        let lost = async {
            match fence {
                Some(fence) => fence.lost().await,
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            biased;
            () = lost => None,
            () = permit.abandoned() => None,
            result = self.attempts(request, waited) => Some(result),
        };
        let Some(result) = result else {
            let error = CmsError::Abandoned;
            self.report(request, None, waited, queued.elapsed().saturating_sub(waited), Some(&error));
            return Err(error);
        };
        permit.finish(match &result {
            Err(CmsError::Unauthorized) => Ending::Unauthorized,
            Err(error) if error.is_connection_failure() => Ending::Unreachable(error.clone()),
            Err(error) if !error.is_of_bridge() => Ending::Unclear,
            _ => Ending::Answered,
        });
        result
    }

    /// Waits at the gate. A write is given up there as soon as its fence is shut, and never begins after that.
    async fn turn(&self, at: Priority, fence: Option<&Fence>) -> Result<Permit, CmsError> {
        let Some(fence) = fence else { return self.shared.gate.acquire(at).await };
        let permit = tokio::select! {
            biased;
            () = fence.refused() => return Err(CmsError::Cancelled),
            permit = self.shared.gate.acquire(at) => permit?,
        };
        let is_wanted = self.still.as_ref().is_none_or(|still| still());
        if is_wanted { Ok(permit) } else { Err(CmsError::Superseded) }
    }

    async fn attempts(&self, request: &Request, waited: Duration) -> Result<Reply, CmsError> {
        let result = self.attempt(request, waited).await;
        if request.method == Method::GET && matches!(result, Err(CmsError::ConnectionLost)) {
            return self.attempt(request, Duration::ZERO).await;
        }
        result
    }

    async fn attempt(&self, request: &Request, waited: Duration) -> Result<Reply, CmsError> {
        let started = Instant::now();
        let mut status = None;
        let result = self.exchange(request, &mut status).await;
        self.report(request, status, waited, started.elapsed(), result.as_ref().err());
        result
    }

    /// The exchange itself. `status` is set as soon as it is known, also if the rest of the reply is lost.
    async fn exchange(&self, request: &Request, status: &mut Option<u16>) -> Result<Reply, CmsError> {
        let shared = &self.shared;
        // The HTTP library does not ask the resolver about what is an address already.
        if shared.egress.refuses(&shared.address) {
            return Err(CmsError::AddressRefused);
        }
        let mut url = format!("{}{}", shared.base, request.path);
        if !request.query.is_empty() {
            url.push('?');
            url.push_str(request.query.encoded());
        }
        let mut response = self.transmit(request, &url).await?;
        if request.method == Method::GET
            && let Some(to) = connect::moved_to(&response)
        {
            response = self.transmit(request, to.as_str()).await?;
        }
        let code = response.status().as_u16();
        *status = Some(code);
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (location, content_type) = (header(LOCATION), header(CONTENT_TYPE));
        if code == 401 {
            return Err(refused(response, content_type.as_deref()).await);
        }
        let body = self.body_of(response).await?;
        failure::judge(code, content_type.as_deref(), &body.bytes)?;
        Ok(Reply { location, body })
    }

    async fn transmit(&self, request: &Request, url: &str) -> Result<Response, CmsError> {
        let shared = &self.shared;
        let mut sending = shared
            .http
            .request(request.method.clone(), url)
            .basic_auth(&shared.credentials.username, Some(shared.credentials.password.expose_secret()));
        if request.method == Method::POST || request.method == Method::PUT {
            sending = sending
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(request.body.encoded().to_owned());
        }
        sending.send().await.map_err(|error| {
            if shared.is_proxied { connect::classify_proxied(&error) } else { connect::classify(&error) }
        })
    }

    /// Reads the body up to the limit, whatever length was announced.
    async fn body_of(&self, mut response: Response) -> Result<Body, CmsError> {
        let limit = self.shared.limits.max_reply_bytes;
        let mut body = Body { bytes: Vec::new(), room: Room::small().await };
        // Then the end of the connection is that of the body, and not every server says goodbye in TLS. A document that
        // is cut short by it is no document (R41).
        let has_header = |name| response.headers().contains_key(name);
        let ends_by_closing = !has_header(CONTENT_LENGTH) && !has_header(TRANSFER_ENCODING);
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if ends_by_closing && connect::is_end_of_stream(&error) => break,
                Err(error) => return Err(connect::classify(&error)),
            };
            let size = body.bytes.len() + chunk.len();
            if size > limit {
                return Err(CmsError::MalformedReply { detail: "it is too large".to_owned() });
            }
            if size > SMALL_REPLY && !body.room.is_large() {
                // A sender that is slow holds the place no longer than the request may take.
                body.room = tokio::time::timeout(self.shared.limits.request, body.room.grow())
                    .await
                    .map_err(|_| CmsError::Timeout)?;
            }
            body.bytes.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// One trace line, one metric and one span for a request.
    fn report(
        &self,
        request: &Request,
        status: Option<u16>,
        waited: Duration,
        took: Duration,
        error: Option<&CmsError>,
    ) {
        static REQUESTS: AtomicU64 = AtomicU64::new(1);
        let sample = Sample {
            operation: request.operation,
            method: method_name(&request.method),
            path: &request.path,
            call_bridge: &self.shared.address,
            status,
            outcome: error.map_or("ok", CmsError::label),
            waited,
            took,
        };
        // What changes the bridge is on record by default; the span around it names the object.
        macro_rules! say {
            ($level:ident) => {
                tracing::$level!(
                    request = REQUESTS.fetch_add(1, Ordering::Relaxed),
                    bridge = %self.shared.address,
                    method = sample.method,
                    path = sample.path,
                    status,
                    outcome = sample.outcome,
                    waited_ms = waited.as_millis(),
                    ms = took.as_millis(),
                    "cms request"
                )
            };
        }
        // What was not sent changed nothing, and comes again each few seconds.
        let was_sent = error.is_none_or(|error| error.class() != ErrorClass::Blocked && error.retry_after().is_none());
        if request.method == Method::GET || !was_sent {
            say!(trace)
        } else {
            say!(info)
        }
        self.shared.observer.request(&sample);
    }
}

/// What a 401 says. Decided without its body, which may never come, wherever the headers are enough.
async fn refused(mut response: Response, content_type: Option<&str>) -> CmsError {
    let headers = response.headers();
    let challenges: Vec<String> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    let challenges: Vec<&str> = challenges.iter().map(String::as_str).collect();
    let has_body = failure::may_be_page(content_type, &challenges)
        && matches!(tokio::time::timeout(PAGE_PATIENCE, response.chunk()).await, Ok(Ok(Some(chunk))) if !chunk.is_empty());
    failure::of_401(content_type, &challenges, has_body)
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "GET",
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.shared.address).finish_non_exhaustive()
    }
}
