//! A client of the apiserver that counts what a controller asks, and goes silent at one chosen request: before it leaves,
//! or after its effect; or tells that it is on its way. Watches and lists, which run beside the work, do not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    /// It is on its way, for [`DURING`].
    During,
    /// It has its effect, and nobody learns of it.
    After,
    /// The same, and the connection breaks: who asked lives on.
    Lost,
}

/// How long a request takes during which somebody is struck.
pub const DURING: Duration = Duration::from_millis(50);

/// Counts the requests of a controller to the apiserver since it was armed.
#[derive(Clone)]
pub struct Counter(Arc<State>);

struct State {
    count: AtomicUsize,
    /// Those that are to change something, without events: they tell what was done before.
    writes: AtomicUsize,
    aim: watch::Sender<Option<(usize, Moment)>>,
    struck: watch::Sender<bool>,
}

impl Counter {
    pub fn new() -> Self {
        let (count, writes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (aim, struck) = (watch::Sender::new(None), watch::Sender::new(false));
        Self(Arc::new(State { count, writes, aim, struck }))
    }

    /// Counts from zero; the request with this index is struck.
    pub fn arm(&self, aim: Option<(usize, Moment)>) {
        self.0.count.store(0, Ordering::SeqCst);
        self.0.aim.send_replace(aim);
    }

    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Requests that were to change something but to tell an event, since ever.
    pub fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Did the chosen request come?
    pub fn was_struck(&self) -> bool {
        *self.0.struck.borrow()
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
                if request.method() != http::Method::GET && !request.uri().path().contains("/events") {
                    state.writes.fetch_add(1, Ordering::SeqCst);
                }
                let hit = counts(&request).then(|| state.count.fetch_add(1, Ordering::SeqCst)).and_then(|index| {
                    let aim = *state.aim.borrow();
                    aim.filter(|(at, _)| *at == index).map(|(_, moment)| moment)
                });
                let Some(moment) = hit else { return client.send(request).await };
                let tell = || state.struck.send_replace(true);
                match moment {
                    Moment::Before => {
                        tell();
                    }
                    Moment::During => {
                        tell();
                        tokio::time::sleep(DURING).await;
                        return client.send(request).await;
                    }
                    Moment::After => {
                        let _ = client.send(request).await;
                        tell();
                    }
                    Moment::Lost => {
                        let _ = client.send(request).await;
                        tell();
                        let broken = std::io::Error::other("the reply was lost");
                        return Err(kube::Error::Service(Box::new(broken)));
                    }
                }
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
