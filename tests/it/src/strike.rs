//! A client of the apiserver that counts what a controller asks, and goes silent at one chosen request: before it leaves,
//! or after its effect. Watches and lists, which run beside the work, do not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::pending;
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tower::service_fn;

/// When a controller is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The request never leaves.
    Before,
    /// It has its effect, and nobody learns of it.
    After,
}

/// Counts the requests of a controller to the apiserver since it was armed.
#[derive(Clone)]
pub struct Counter(Arc<State>);

struct State {
    count: AtomicUsize,
    aim: watch::Sender<Option<(usize, Moment)>>,
    struck: watch::Sender<bool>,
}

impl Counter {
    pub fn new() -> Self {
        let state =
            State { count: AtomicUsize::new(0), aim: watch::Sender::new(None), struck: watch::Sender::new(false) };
        Self(Arc::new(state))
    }

    /// Counts from zero; the request with this index is struck.
    pub fn arm(&self, aim: Option<(usize, Moment)>) {
        self.0.count.store(0, Ordering::SeqCst);
        self.0.aim.send_replace(aim);
    }

    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Waits until the chosen request came.
    pub async fn struck(&self) {
        let mut struck = self.0.struck.subscribe();
        let _ = struck.wait_for(|struck| *struck).await;
    }

    /// The same client with this counter before it.
    pub fn client(&self, client: Client) -> Client {
        let (state, namespace) = (Arc::clone(&self.0), client.default_namespace().to_owned());
        let service = service_fn(move |request: http::Request<Body>| {
            let (state, client) = (Arc::clone(&state), client.clone());
            async move {
                let hit = counts(&request).then(|| state.count.fetch_add(1, Ordering::SeqCst)).and_then(|index| {
                    let aim = *state.aim.borrow();
                    aim.filter(|(at, _)| *at == index).map(|(_, moment)| moment)
                });
                let Some(moment) = hit else { return client.send(request).await };
                if moment == Moment::After {
                    let _ = client.send(request).await;
                }
                state.struck.send_replace(true);
                pending().await
            }
        });
        Client::new(service, namespace)
    }
}

fn counts(request: &http::Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() != http::Method::GET
        || !["watch=", "limit=", "resourceVersion"].iter().any(|of| query.contains(of))
}
