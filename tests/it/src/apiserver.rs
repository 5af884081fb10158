//! An apiserver that fails: a layer between the controller's client and the real one, which refuses, holds or mutes chosen
//! requests. The test's own client goes past it.

use std::io::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, Response};
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
    method: Method,
    resource: &'static str,
    subresource: Option<&'static str>,
    name: Option<String>,
    failure: Failure,
    left: AtomicUsize,
    hits: AtomicUsize,
    is_lifted: AtomicBool,
    changed: Notify,
}

/// Where a request goes: resource, name, subresource; of a watch or list no name.
fn target(path: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let at = parts.iter().position(|part| *part == "namespaces")?;
    Some((parts.get(at + 2)?, parts.get(at + 3).copied(), parts.get(at + 4).copied()))
}

impl Trouble {
    fn concerns(&self, request: &Request<Body>) -> bool {
        let Some((resource, name, subresource)) = target(request.uri().path()) else { return false };
        // A watch is a GET that never ends.
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let method = if is_watch { "WATCH" } else { request.method().as_str() };
        method == self.method.as_str()
            && resource == self.resource
            && subresource == self.subresource
            && self.name.as_deref().is_none_or(|wanted| name == Some(wanted))
            && !self.is_lifted.load(Ordering::SeqCst)
    }

    /// True if this request is hit: there may be a limit.
    fn take(&self) -> bool {
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
        let what = format!("{} {} {:?}", self.method, self.resource, self.subresource);
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: {} hits", self.hits()));
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

/// The layer.
#[derive(Clone, Default)]
pub struct Failing(Arc<Mutex<Vec<Arc<Trouble>>>>);

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

    /// Every such request fails from now on.
    pub fn add(
        &self,
        (method, resource, subresource): (&str, &'static str, Option<&'static str>),
        name: Option<&str>,
        failure: Failure,
    ) -> Arc<Trouble> {
        self.add_times(usize::MAX, (method, resource, subresource), name, failure)
    }

    /// So many such requests fail.
    pub fn add_times(
        &self,
        times: usize,
        (method, resource, subresource): (&str, &'static str, Option<&'static str>),
        name: Option<&str>,
        failure: Failure,
    ) -> Arc<Trouble> {
        let trouble = Arc::new(Trouble {
            method: method.parse().unwrap(),
            resource,
            subresource,
            name: name.map(str::to_owned),
            failure,
            left: AtomicUsize::new(times),
            hits: AtomicUsize::new(0),
            is_lifted: AtomicBool::new(false),
            changed: Notify::new(),
        });
        self.0.lock().unwrap().push(Arc::clone(&trouble));
        trouble
    }

    /// Sends the request on, or not.
    pub async fn serve(self, real: Client, request: Request<Body>) -> Result<Response<AnyBody>, BoxError> {
        let hit = self.0.lock().unwrap().iter().find(|trouble| trouble.concerns(&request) && trouble.take()).cloned();
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
pub const MEETING_STATUS: (&str, &str, Option<&str>) = ("PUT", "scheduledmeetings", Some("status"));
pub const READ_SECRET: (&str, &str, Option<&str>) = ("GET", "secrets", None);
pub const DELETE_SECRET: (&str, &str, Option<&str>) = ("DELETE", "secrets", None);
/// Of a list the name is None, which means any: what reads one by name is hit as well.
pub const LIST_MEETINGS: (&str, &str, Option<&str>) = ("GET", "scheduledmeetings", None);
pub const LIST_BRIDGES: (&str, &str, Option<&str>) = ("GET", "meetingbridges", None);
pub const BRIDGE_STATUS: (&str, &str, Option<&str>) = ("PUT", "meetingbridges", Some("status"));
pub const WATCH_SECRETS: (&str, &str, Option<&str>) = ("WATCH", "secrets", None);
pub const PATCH_MEETING: (&str, &str, Option<&str>) = ("PATCH", "scheduledmeetings", None);
pub const PATCH_BRIDGE: (&str, &str, Option<&str>) = ("PATCH", "meetingbridges", None);
pub const WATCH_BRIDGES: (&str, &str, Option<&str>) = ("WATCH", "meetingbridges", None);
pub const WATCH_MEETINGS: (&str, &str, Option<&str>) = ("WATCH", "scheduledmeetings", None);
pub const CREATE_EVENT: (&str, &str, Option<&str>) = ("POST", "events", None);

/// A world with one call bridge and a controller whose apiserver can be made to fail.
pub async fn failing(prefix: &str, settings: Settings) -> (Arena, Failing) {
    let (mut arena, failing) = (Arena::quiet(prefix, lone(), settings).await, Failing::default());
    failing.start(&mut arena).await;
    (arena, failing)
}
