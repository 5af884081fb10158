//! An apiserver that fails: a layer between the controller's client and the real one, which refuses, holds or mutes chosen
//! requests. The test's own client goes past it.

use std::collections::BTreeSet;
use std::io::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use meeting_controller::config::settings::Settings;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;
use tower::{BoxError, service_fn};

use crate::kit::{Arena, PATIENCE};
use crate::meetings::lone;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It is answered with this code, reason and message, and never arrives.
    Refuse(u16, &'static str, &'static str),
    /// It waits until the trouble is lifted, and arrives then.
    Hold,
    /// It is answered, but no byte of the reply's body ever comes.
    Mute,
    /// Each line of its reply comes so much later, and twice.
    LateAndTwice(Duration),
    /// In its reply one text stands for another.
    Rewrite(&'static str, &'static str),
}

/// Trouble with some requests.
pub struct Trouble {
    call: Call,
    name: Option<String>,
    failure: Failure,
    spared: AtomicUsize,
    left: AtomicUsize,
    hits: AtomicUsize,
    is_lifted: AtomicBool,
    changed: Notify,
}

/// What a request is: verb, resource, subresource.
pub type Call = (&'static str, &'static str, Option<&'static str>);

/// The same as it was seen.
pub type Seen = (String, String, Option<String>);

/// What a request is, and the name of its object. Besides the methods there are WATCH, LIST (of all or of one), and what a
/// series writes to its occurrences: APPLY, and ADOPT for one that another series left.
fn kind_of(request: &Request<Body>) -> Option<(Seen, Option<String>)> {
    let parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let at = parts.iter().position(|part| *part == "namespaces")?;
    let (resource, at) = parts.get(at + 2).map_or(("namespaces", at), |resource| (*resource, at + 2));
    let (name, subresource) = (parts.get(at + 1), parts.get(at + 2));
    let says = |what: &str| request.uri().query().is_some_and(|query| query.contains(what));
    let verb = match request.method().as_str() {
        "GET" if says("watch=true") => "WATCH",
        "GET" if name.is_none() => "LIST",
        "PATCH" if says("fieldManager=meeting-controller-series") && says("force=true") => "APPLY",
        "PATCH" if says("fieldManager=meeting-controller-series") => "ADOPT",
        method => method,
    };
    let kind = (verb.to_owned(), resource.to_owned(), subresource.map(|part| (*part).to_owned()));
    Some((kind, name.map(|name| (*name).to_owned())))
}

impl Trouble {
    fn concerns(&self, request: &Request<Body>) -> bool {
        let Some((kind, name)) = kind_of(request) else { return false };
        kind == seen(self.call)
            && self.name.as_ref().is_none_or(|wanted| name.as_ref() == Some(wanted))
            && !self.is_lifted.load(Ordering::SeqCst)
    }

    /// True if this request is hit: there may be a limit.
    fn take(&self) -> bool {
        if self.spared.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |spared| spared.checked_sub(1)).is_ok() {
            return false;
        }
        let taken = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if taken {
            self.hits.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_waiters();
        }
        taken
    }

    /// How many requests were hit.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// Waits until so many requests were hit.
    pub async fn until(&self, hits: usize) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if self.hits() >= hits {
                    return;
                }
                changed.await;
            }
        };
        let what = self.call;
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what:?}: {} hits", self.hits()));
    }

    /// Everything works again, and what was held goes on.
    pub fn lift(&self) {
        self.is_lifted.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    async fn lifted(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_lifted.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

/// A call as a request shows it.
pub fn seen((verb, resource, subresource): Call) -> Seen {
    (verb.to_owned(), resource.to_owned(), subresource.map(str::to_owned))
}

/// The layer.
#[derive(Clone, Default)]
pub struct Failing {
    troubles: Arc<Mutex<Vec<Arc<Trouble>>>>,
    /// What was ever asked for.
    seen: Arc<Mutex<BTreeSet<Seen>>>,
}

impl Failing {
    /// A client whose requests come through here.
    pub async fn client(&self, arena: &Arena) -> Client {
        let (real, failing) = (arena.plane.client().await.expect("client"), self.clone());
        let namespace = real.default_namespace().to_owned();
        Client::new(service_fn(move |request| failing.clone().serve(real.clone(), request)), namespace)
    }

    /// Starts the controller behind the layer.
    pub async fn start(&self, arena: &mut Arena) {
        let client = self.client(arena).await;
        arena.start_as(client, Some(arena.namespace.clone())).await;
    }

    /// The kinds of calls that came through here.
    pub fn seen(&self) -> BTreeSet<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Every such request fails from now on.
    pub fn add(&self, call: Call, name: Option<&str>, failure: Failure) -> Arc<Trouble> {
        self.add_some(0, usize::MAX, call, name, failure)
    }

    /// So many such requests fail.
    pub fn add_times(&self, times: usize, call: Call, name: Option<&str>, failure: Failure) -> Arc<Trouble> {
        self.add_some(0, times, call, name, failure)
    }

    /// So many such requests fail after so many that do not.
    pub fn add_some(
        &self,
        spared: usize,
        times: usize,
        call: Call,
        name: Option<&str>,
        failure: Failure,
    ) -> Arc<Trouble> {
        let trouble = Arc::new(Trouble {
            call,
            name: name.map(str::to_owned),
            failure,
            spared: AtomicUsize::new(spared),
            left: AtomicUsize::new(times),
            hits: AtomicUsize::new(0),
            is_lifted: AtomicBool::new(false),
            changed: Notify::new(),
        });
        self.troubles.lock().unwrap().push(Arc::clone(&trouble));
        trouble
    }

    /// Sends the request on, or not.
    pub async fn serve(self, real: Client, request: Request<Body>) -> Result<Response<AnyBody>, BoxError> {
        self.seen.lock().unwrap().extend(kind_of(&request).map(|(kind, _)| kind));
        let is_hit = |trouble: &&Arc<Trouble>| trouble.concerns(&request) && trouble.take();
        let hit = self.troubles.lock().unwrap().iter().find(is_hit).cloned();
        let Some(trouble) = hit else {
            return Ok(any(real.send(request).await?));
        };
        match &trouble.failure {
            Failure::Refuse(code, reason, message) => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": message, "reason": reason, "code": code
                });
                Ok(any(Response::builder().status(*code).body(Body::from(serde_json::to_vec(&status)?))?))
            }
            Failure::Hold => {
                trouble.lifted().await;
                Ok(any(real.send(request).await?))
            }
            Failure::Mute => {
                let parts = real.send(request).await?.into_parts().0;
                let silent = futures::stream::pending::<Result<Frame<Bytes>, BoxError>>();
                Ok(Response::from_parts(parts, StreamBody::new(silent).boxed_unsync()))
            }
            Failure::LateAndTwice(late) => {
                let late = *late;
                Ok(by_line(real.send(request).await?, late, |line| format!("{line}\n{line}\n")))
            }
            Failure::Rewrite(text, other) => {
                let (text, other) = (*text, *other);
                let rewrite = move |line: String| format!("{}\n", line.replace(text, other));
                Ok(by_line(real.send(request).await?, Duration::ZERO, rewrite))
            }
        }
    }
}

pub type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// The reply with each line changed, and so much later.
fn by_line(
    reply: Response<Body>,
    late: Duration,
    change: impl Fn(String) -> String + Send + 'static,
) -> Response<AnyBody> {
    let (mut parts, body) = reply.into_parts();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    let bytes = StreamReader::new(body.into_data_stream().map_err(Error::other));
    let lines = FramedRead::new(bytes, LinesCodec::new()).map(move |line| line.map(&change));
    let odd = lines.then(move |line| async move {
        tokio::time::sleep(late).await;
        Ok::<_, BoxError>(Frame::data(Bytes::from(line?)))
    });
    Response::from_parts(parts, StreamBody::new(odd).boxed_unsync())
}

fn any(response: Response<Body>) -> Response<AnyBody> {
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// The kinds of requests that tests are about.
pub const MEETING_STATUS: Call = ("PUT", "scheduledmeetings", Some("status"));
pub const READ_SECRET: Call = ("GET", "secrets", None);
pub const DELETE_SECRET: Call = ("DELETE", "secrets", None);
pub const LIST_MEETINGS: Call = ("LIST", "scheduledmeetings", None);
pub const LIST_BRIDGES: Call = ("LIST", "meetingbridges", None);
pub const BRIDGE_STATUS: Call = ("PUT", "meetingbridges", Some("status"));
pub const WATCH_SECRETS: Call = ("WATCH", "secrets", None);
pub const PATCH_MEETING: Call = ("PATCH", "scheduledmeetings", None);
pub const PATCH_BRIDGE: Call = ("PATCH", "meetingbridges", None);
pub const WATCH_BRIDGES: Call = ("WATCH", "meetingbridges", None);
pub const WATCH_MEETINGS: Call = ("WATCH", "scheduledmeetings", None);
pub const CREATE_EVENT: Call = ("POST", "events", None);

/// A world with one call bridge and a controller whose apiserver can be made to fail.
pub async fn failing(prefix: &str, settings: Settings) -> (Arena, Failing) {
    let (mut arena, failing) = (Arena::quiet(prefix, lone(), settings).await, Failing::default());
    failing.start(&mut arena).await;
    (arena, failing)
}
