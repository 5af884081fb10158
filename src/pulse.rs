//! When the apiserver was last heard on each watch, in time that passes steadily. A watch that is well is heard at least
//! once in its own length, because it is taken up again then: an event, a bookmark, a reply.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Request;
use futures::StreamExt;
use http_body_util::{BodyStream, StreamBody};
use kube::Client;
use tokio::time::Instant;
use tower::BoxError;

/// A watch that was neither heard nor tried for so long is stuck: its length, its time-outs and its pauses are all far
/// shorter, and after half of this it is begun anew.
const LONGEST_SILENCE: Duration = Duration::from_secs(5 * 60);

/// By so much the clocks of the apiserver and of this machine may differ over the length of a watch.
const SLACK: Duration = Duration::from_millis(100);

/// The signs of life of one watch.
#[derive(Clone, Copy)]
struct Signs {
    /// The apiserver said something.
    heard: Instant,
    /// That, or an error: the watch goes on trying.
    alive: Instant,
}

/// The watches that there are, by kind.
#[derive(Default)]
pub struct Pulses(Mutex<BTreeMap<&'static str, Signs>>);

impl Pulses {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Signs>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The apiserver said something on the watch of this kind, or the watch is there from now on.
    pub fn heard(&self, kind: &'static str) {
        let now = Instant::now();
        self.lock().insert(kind, Signs { heard: now, alive: now });
    }

    /// It failed, and is tried again.
    pub fn tried(&self, kind: &'static str) {
        if let Some(signs) = self.lock().get_mut(kind) {
            signs.alive = Instant::now();
        }
    }

    /// For how long nothing was heard, by kind.
    pub fn ages(&self) -> BTreeMap<&'static str, Duration> {
        self.lock().iter().map(|(kind, signs)| (*kind, signs.heard.elapsed())).collect()
    }

    /// For how long it was neither heard nor tried.
    pub fn silence(&self, kind: &str) -> Duration {
        self.lock().get(kind).map(|signs| signs.alive.elapsed()).unwrap_or_default()
    }

    /// The watch that is stuck, if one is. An apiserver that does not answer makes none stuck.
    pub fn stuck(&self) -> Option<String> {
        let longest = self.lock().iter().map(|(kind, signs)| (signs.alive.elapsed(), *kind)).max()?;
        let (silence, kind) = longest;
        let seconds = silence.as_secs();
        (silence > LONGEST_SILENCE)
            .then(|| format!("the watch of kind {kind} has shown no sign of life for {seconds} s"))
    }

    /// The watches are gone.
    pub fn forget(&self) {
        self.lock().clear();
    }
}

/// How long this request is to last, if it is a watch.
fn length(query: Option<&str>) -> Option<Duration> {
    let query = query.filter(|query| query.contains("watch=true"))?;
    let seconds = query.split('&').find_map(|pair| pair.strip_prefix("timeoutSeconds="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// A client whose good replies, and every piece of them, are signs of life of one watch. That is done here because
/// kube-runtime keeps bookmarks and reconnects to itself.
///
/// A watch that ends before its time, in order or not, failed: its apiserver was stopped, and the next one may have an
/// older state. kube would take it up again where it was, also if its connection was cut.
pub fn listen(client: Client, kind: &'static str, pulses: Arc<Pulses>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (client, pulses) = (client.clone(), Arc::clone(&pulses));
        async move {
            let until = length(request.uri().query()).map(|length| Instant::now() + length.saturating_sub(SLACK));
            let reply = client.send(request).await?;
            let is_good = reply.status().is_success();
            let heard = move || {
                if is_good {
                    pulses.heard(kind);
                }
            };
            heard();
            Ok::<_, kube::Error>(reply.map(|body| {
                let ended = futures::stream::iter([None]);
                let frames = BodyStream::new(body).map(Some).chain(ended).filter_map(move |frame| {
                    let is_early = is_good && until.is_some_and(|until| Instant::now() < until);
                    let frame = match frame {
                        Some(Ok(frame)) => {
                            heard();
                            Some(Ok(frame))
                        }
                        _ if is_early => Some(Err("the watch ended before its time".into())),
                        Some(Err(error)) => Some(Err(BoxError::from(error))),
                        None => None,
                    };
                    std::future::ready(frame)
                });
                StreamBody::new(frames)
            }))
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests;
