//! The listeners of the bridges: they can close, open again on the same port, cut every connection at once, fall
//! silent, and show a certificate that nobody trusts.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Ending, Lost};
use crate::shared::Shared;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The port of one bridge.
pub struct Port {
    address: SocketAddr,
    /// With the certificate that clients trust.
    own: TlsAcceptor,
    /// With one of an authority that nobody knows.
    stranger: TlsAcceptor,
    open: Mutex<Open>,
}

/// What connections have in common: they can fall silent, and they end together.
#[derive(Debug, Clone)]
pub struct Life {
    end: CancellationToken,
    /// Cancelled by `end` as well.
    silence: CancellationToken,
}

impl Life {
    fn new() -> Self {
        let end = CancellationToken::new();
        Self { silence: end.child_token(), end }
    }

    /// What becomes of a request in flight; none while requests are answered. Requests get lost only under the lock of
    /// the cluster's state, so that whoever holds it knows whether they have an effect.
    pub fn lost(&self) -> Option<Lost> {
        if self.end.is_cancelled() {
            return Some(Lost::Reset);
        }
        self.silence.is_cancelled().then_some(Lost::Silence)
    }
}

/// What exists while the port is open.
struct Open {
    listener: Option<TcpListener>,
    /// Keeps the port while it is closed: bound, but nobody listens, so connections are refused. Otherwise the kernel
    /// might give it to somebody's outgoing connection, and the bridge could not come back.
    reserved: Option<TcpSocket>,
    /// Counts the openings, so that the accept loop of an earlier one knows that it is over.
    opening: u64,
    /// That of all connections there are.
    life: Life,
    /// Whether the certificate is the stranger's.
    estranged: bool,
}

impl Open {
    /// Resets all connections; those that follow are served.
    fn renew(&mut self) {
        self.life.end.cancel();
        self.life = Life::new();
    }
}

impl Port {
    /// Binds an address; port 0 picks a free one.
    pub fn bind(at: SocketAddr, own: Arc<ServerConfig>, stranger: Arc<ServerConfig>) -> io::Result<Self> {
        let listener = listen(at)?;
        let address = listener.local_addr()?;
        let open = Open { listener: Some(listener), reserved: None, opening: 0, life: Life::new(), estranged: false };
        Ok(Self { address, own: own.into(), stranger: stranger.into(), open: Mutex::new(open) })
    }

    /// Where the bridge listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the port: new connections are refused from now on, old ones are reset.
    pub fn close(&self) {
        let mut open = self.lock();
        open.listener = None;
        open.reserved = reserve(self.address).ok();
        open.life.end.cancel();
    }

    /// Resets all connections; the port stays as it is: open or closed, silent or not.
    pub fn cut_connections(&self) {
        let mut open = self.lock();
        let silent = open.life.silence.is_cancelled();
        open.renew();
        if silent {
            open.life.silence.cancel();
        }
    }

    /// Falls silent: nothing is read or said any more, neither on the connections there are nor on new ones.
    pub fn hush(&self) {
        self.lock().life.silence.cancel();
    }

    /// Resets all connections; new ones are shown a certificate that nobody trusts.
    pub fn estrange(&self) {
        let mut open = self.lock();
        open.renew();
        open.estranged = true;
    }

    /// Opens the port again, or puts an open one right; true if it was closed.
    pub fn reopen(&self) -> io::Result<bool> {
        let mut open = self.lock();
        let closed = open.listener.is_none();
        if closed {
            open.listener = Some(match open.reserved.take() {
                Some(socket) => socket.listen(BACKLOG)?,
                None => listen(self.address)?,
            });
            open.opening += 1;
        }
        if open.estranged || open.life.lost().is_some() {
            open.renew();
            open.estranged = false;
        }
        Ok(closed)
    }

    fn life(&self) -> Life {
        self.lock().life.clone()
    }

    /// What a new connection gets.
    fn welcome(&self) -> (TlsAcceptor, Life) {
        let open = self.lock();
        (if open.estranged { &self.stranger } else { &self.own }.clone(), open.life.clone())
    }

    /// Waits for the next connection; none once the port is closed. The listener is locked only while it is polled,
    /// so that [`Port::close`] closes it at once.
    async fn accept(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        std::future::poll_fn(|context| match &self.lock().listener {
            Some(listener) => listener.poll_accept(context).map(Some),
            None => Poll::Ready(None),
        })
        .await
    }
}

/// Takes a port without listening on it.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of its former life may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves a bridge until its port closes.
pub async fn serve(shared: Arc<Shared>, bridge: usize) {
    let Some(port) = shared.port(bridge) else { return };
    let closing = shared.shutdown.child_token();
    let opening = port.lock().opening;
    loop {
        // A close wakes the loop through the token of the connections, a restart merely renews it.
        let life = port.life();
        let accepted = tokio::select! {
            () = closing.cancelled() => {
                port.close();
                return;
            }
            () = life.end.cancelled() => {
                let open = port.lock();
                if open.listener.is_none() || open.opening != opening { return }
                continue;
            }
            accepted = port.accept() => accepted,
        };
        match accepted {
            None => return,
            Some(Err(error)) => {
                tracing::warn!(bridge, %error, "accept");
                tokio::task::yield_now().await;
            }
            Some(Ok((stream, client))) => {
                let _ = stream.set_nodelay(true);
                let (acceptor, life) = port.welcome();
                tokio::spawn(connection(shared.clone(), bridge, stream, client, acceptor, life));
            }
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    bridge: usize,
    stream: TcpStream,
    client: SocketAddr,
    acceptor: TlsAcceptor,
    life: Life,
) {
    let ending = Arc::new(Ending::default());
    let wire = Wire { stream, ending: ending.clone() };
    let shutdown = shared.shutdown.clone();
    let mut talk = pin!(async {
        let Ok(tls) = acceptor.accept(wire).await else { return };
        let tls = Goodbye { tls, ending: ending.clone() };
        let use_ = &Use::default();
        let service = service_fn(|request| {
            let last = use_.begin(shared.lock().switches.requests_per_connection);
            let answer = http::serve(shared.clone(), bridge, client, life.clone(), ending.clone(), last, request);
            async move {
                let _end = use_.end_when_dropped();
                answer.await
            }
        });
        let mut talk =
            pin!(http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(tls), service));
        tokio::select! {
            _ = talk.as_mut() => return,
            () = use_.unused(&shared) => {}
        }
        talk.as_mut().graceful_shutdown();
        let _ = talk.await;
    });
    tokio::select! {
        biased;
        () = life.silence.cancelled() => {}
        () = shutdown.cancelled() => {}
        () = &mut talk => return,
    }
    // A talk that nobody polls any more holds its connection open and does nothing else.
    tokio::select! {
        () = life.end.cancelled() => {}
        () = shutdown.cancelled() => {}
    }
    ending.reset.store(true, Ordering::Release);
}

/// How a connection is used: Apache closes one that is idle, and after so many requests (1.1).
#[derive(Default)]
struct Use {
    requests: AtomicU64,
    running: AtomicU64,
    changed: Notify,
}

/// The end of a request, however it comes about.
struct End<'a>(&'a Use);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

impl Use {
    /// Counts a request; true: it is the last one (0: there is none).
    fn begin(&self, most: u64) -> bool {
        self.running.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
        let number = self.requests.fetch_add(1, Ordering::AcqRel) + 1;
        most > 0 && number >= most
    }

    fn end_when_dropped(&self) -> End<'_> {
        End(self)
    }

    /// Until nothing was asked for as long as the switch says.
    async fn unused(&self, shared: &Shared) {
        loop {
            let wait = Duration::from_millis(shared.lock().switches.idle_close_ms);
            if wait.is_zero() || self.running.load(Ordering::Acquire) > 0 {
                self.changed.notified().await;
            } else if tokio::time::timeout(wait, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Names of headers as the documents write them; hyper would begin each word with a capital and go on in small letters.
const NAMES: [&str; 2] = ["WWW-Authenticate", "X-Cisco-CMS-Auth-Token"];

/// The head of a reply with these names as they should be; none if there is nothing to change.
fn with_true_names(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(bytes.len());
    let mut changed = None;
    for name in NAMES {
        let line = format!("\r\n{name}:");
        let is_it = |part: &[u8]| part.eq_ignore_ascii_case(line.as_bytes());
        let Some(at) = bytes.get(..end)?.windows(line.len()).position(is_it) else { continue };
        let bytes = changed.get_or_insert_with(|| bytes.to_vec());
        bytes.get_mut(at..at + line.len())?.copy_from_slice(line.as_bytes());
    }
    changed
}

/// TLS that ends with its goodbye, or without.
struct Goodbye {
    tls: TlsStream<Wire>,
    ending: Arc<Ending>,
}

impl AsyncRead for Goodbye {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Goodbye {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let named = with_true_names(buf);
        Pin::new(&mut self.tls).poll_write(cx, named.as_deref().unwrap_or(buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ending.rude.load(Ordering::Acquire) {
            return Pin::new(&mut self.tls).poll_shutdown(cx);
        }
        std::task::ready!(Pin::new(&mut self.tls).poll_flush(cx))?;
        Pin::new(self.tls.get_mut().0).poll_shutdown(cx)
    }
}

/// A TCP stream that can end with a reset instead of an orderly close.
struct Wire {
    stream: TcpStream,
    ending: Arc<Ending>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.ending.reset.load(Ordering::Acquire) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending.reset.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
