//! The admin server: /healthz, /readyz, /metrics.

mod access;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::controller::Watchdog;
use crate::metrics::Metrics;
use tls::TlsListener;

pub use access::Access;
pub use tls::Certificate;

const OPENMETRICS: &str = "application/openmetrics-text";

#[derive(Clone)]
struct Shared {
    ready: watch::Receiver<bool>,
    watchdog: Arc<Watchdog>,
    metrics: Arc<Metrics>,
    /// None: everybody may read /metrics.
    access: Option<Arc<Access>>,
}

/// An admin server that listens already.
pub struct Admin {
    listener: TcpListener,
    /// None: plain HTTP.
    certificate: Option<Certificate>,
    shared: Shared,
}

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        ready: watch::Receiver<bool>,
        watchdog: Arc<Watchdog>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let shared = Shared { ready, watchdog, metrics, access: None };
        Ok(Self { listener: TcpListener::bind(address).await?, certificate: None, shared })
    }

    /// Lets only those read /metrics whom the apiserver lets. The kubelet's questions stay open to all.
    #[must_use]
    pub fn guarded(mut self, access: Option<Access>) -> Self {
        self.shared.access = access.map(Arc::new);
        self
    }

    /// Speaks TLS with this certificate, and nothing else.
    #[must_use]
    pub fn secured(self, certificate: Option<Certificate>) -> Self {
        Self { certificate, ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the shutdown.
    ///
    /// # Errors
    /// If accepting connections fails for good.
    pub async fn run(self, shutdown: CancellationToken) -> std::io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self.shared);
        let stop = shutdown.cancelled_owned();
        match self.certificate {
            None => axum::serve(self.listener, router).with_graceful_shutdown(stop).await,
            Some(certificate) => {
                let listener = TlsListener::new(self.listener, certificate);
                axum::serve(listener, router).with_graceful_shutdown(stop).await
            }
        }
    }
}

/// A restart is no help against a bridge or an apiserver that does not answer, so neither counts here.
async fn healthz(State(shared): State<Shared>) -> impl IntoResponse {
    match shared.watchdog.stuck().or_else(|| shared.metrics.pulses.stuck()) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(what) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{what}\n")),
    }
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    if *shared.ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the lists of objects are not read yet\n")
    }
}

/// OpenMetrics for those that ask for it, as Prometheus does; everybody else gets what everything can read.
async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(access) = &shared.access {
        let status = access.judge(&headers).await;
        if status != StatusCode::OK {
            return (status, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
        }
    }
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let knows_openmetrics = accept.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(OPENMETRICS));
    let (kind, text) = if knows_openmetrics {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", shared.metrics.text())
    } else {
        (prometheus_text::CONTENT_TYPE, shared.metrics.plain_text())
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[cfg(test)]
mod tests;
