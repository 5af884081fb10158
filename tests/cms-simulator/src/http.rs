//! One request from its head to its last byte: body, faults, account, handler, journal.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use jiff::Timestamp;

use crate::faults::FaultKind;
use crate::habits;
use crate::journal::{EntryKind, JournalEntry, Outcome};
use crate::refusal::Refusal;
use crate::routes::path::{self, Node, Target};
use crate::routes::reply::{Ctx, Reply, Verb, declares};
use crate::routes::{self};
use crate::server::Life;
use crate::shared::Shared;
use crate::state::Cluster;
use crate::wire::form::Pairs;

/// Longest request body that is read. No limit is documented (1.2); this one only guards the simulator.
const MAX_BODY: usize = 4 << 20;

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on purpose")]
pub struct Cut;

/// The body of a reply: whole, or breaking off in the middle.
pub enum ReplyBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// All of it, without a length: the end of the connection ends it.
    Unmeasured(Option<Bytes>),
    /// Declared length, then fewer bytes, then the end of the connection.
    Broken { declared: u64, sent: Option<Bytes> },
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(bytes) | Self::Unmeasured(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Broken { sent, .. } => Poll::Ready(Some(sent.take().map(Frame::data).ok_or(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Unmeasured(_) => SizeHint::default(),
            Self::Broken { declared, .. } => SizeHint::with_exact(*declared),
        }
    }
}

/// A reply before it becomes bytes.
#[derive(Debug, Default)]
struct Draft {
    status: u16,
    body: String,
    html: bool,
    /// The body is the framework's.
    is_plain: bool,
    challenge: bool,
    location: Option<String>,
    token: Option<String>,
    application_xml: bool,
    outcome: Outcome,
    /// The reply is not sent: reset, or silence.
    lost: Option<Lost>,
    keep_alive: bool,
}

/// How a reply gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The connection is reset.
    Reset,
    /// The connection stays, without a reply.
    Silence,
}

/// Keeps the number of requests in flight right and completes the journal even if the client goes away.
struct InFlight {
    shared: Arc<Shared>,
    bridge: usize,
    seq: u64,
    outcome: Outcome,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.leave(self.bridge);
        self.shared.journal.finish(self.seq, std::mem::take(&mut self.outcome));
    }
}

/// How a connection ends: in order, unless one of its requests wants it otherwise.
#[derive(Debug, Default)]
pub struct Ending {
    /// With a reset.
    pub reset: AtomicBool,
    /// Without a goodbye of TLS.
    pub rude: AtomicBool,
}

/// What was read of a request.
struct Read {
    method: String,
    verb: Option<Verb>,
    target: Result<Target, Refusal>,
    query: Pairs,
    body: Pairs,
    authorization: Option<String>,
    host: String,
}

/// Serves one request. An error makes hyper drop the connection without an answer.
pub async fn serve(
    shared: Arc<Shared>,
    bridge: usize,
    client: SocketAddr,
    life: Life,
    ending: Arc<Ending>,
    last: bool,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Cut> {
    let (head, body) = request.into_parts();
    let (raw, unread) = body_of(body).await?;
    let method = head.method.as_str().to_owned();
    let read = Read {
        verb: Verb::parse(&method),
        target: path::parse(head.uri.path()),
        query: Pairs::parse(head.uri.query().unwrap_or_default().as_bytes()),
        body: Pairs::parse(&raw),
        host: head.headers.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
        authorization: head.headers.get(AUTHORIZATION).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()),
        method,
    };
    let (path, route) = match &read.target {
        Ok(target) => (target.canonical.clone(), target.route.clone()),
        Err(_) => (head.uri.path().to_owned(), "unknown".to_owned()),
    };
    let seq = shared.journal.add(JournalEntry {
        seq: 0,
        kind: EntryKind::Request,
        bridge,
        at: Timestamp::now(),
        finished: None,
        method: read.method.clone(),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        route: route.clone(),
        body: read.body.masked(),
        body_size: raw.len(),
        status: None,
        reply_size: 0,
        failure: None,
        effect: false,
        in_flight: shared.enter(bridge),
        object_id: None,
        space: None,
        space_number: None,
        fault: None,
        remark: None,
    });
    tracing::debug!(bridge, seq, client = %client.ip(), "{} for \"{}\"", read.method, head.uri.path());
    let mut guard = InFlight { shared: shared.clone(), bridge, seq, outcome: Outcome::default() };
    let faults = shared.faults.strike(bridge, &read.method, &route, head.uri.path());
    guard.outcome.fault = faults.iter().map(FaultKind::name).reduce(|_, last| last).map(str::to_owned);
    let mut draft = match unread {
        Some(status) => Draft { status, ..Draft::default() },
        None => answer(&shared, bridge, &life, &read, &faults).await,
    };
    draft.keep_alive &= !last;
    finish(guard, draft, &faults, &ending).await
}

/// The body of a request, and with what status it is refused if it cannot be read. One that is too large is read to its end,
/// so that the reply is heard, and kept no further than is needed to know it.
async fn body_of(mut body: Incoming) -> Result<(Vec<u8>, Option<u16>), Cut> {
    let mut raw = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if is_garbled(&error) => return Ok((raw, Some(400))),
            Err(_) => return Err(Cut),
        };
        let Ok(data) = frame.into_data() else { continue };
        let room = (MAX_BODY + 1).saturating_sub(raw.len());
        raw.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
    }
    let is_too_large = raw.len() > MAX_BODY;
    Ok((raw, is_too_large.then_some(413)))
}

/// Whether it is the client's words that are wrong, and not the connection.
fn is_garbled(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData))
}

/// Latency, faults before the effect, the effect, faults after it.
async fn answer(shared: &Arc<Shared>, bridge: usize, life: &Life, read: &Read, faults: &[FaultKind]) -> Draft {
    let mut wait = shared.latency();
    for fault in faults {
        if let FaultKind::Latency { delay } = fault {
            wait += *delay;
        }
    }
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    for fault in faults {
        match fault {
            FaultKind::Before { action } => shared.act(Some(bridge), action),
            FaultKind::HangBefore => return lost(Lost::Silence),
            FaultKind::ResetBefore => return lost(Lost::Reset),
            FaultKind::Unauthorized => return Draft { status: 401, challenge: true, ..kept() },
            FaultKind::Unavailable => return Draft { status: 503, ..kept() },
            FaultKind::UnavailablePage => return page(503),
            FaultKind::HtmlError => return page(500),
            FaultKind::Failure { status, element } => {
                let body = format!("{}<failureDetails><{element} /></failureDetails>", crate::wire::xml::DECLARATION);
                let outcome = Outcome { failure: Some(element.clone()), ..Outcome::default() };
                return Draft { status: *status, body, outcome, ..kept() };
            }
            _ => {}
        }
    }
    let mut draft = {
        let mut cluster = shared.lock();
        // The bridge may have gone while the request waited; then nothing happens any more.
        if let Some(how) = life.lost() {
            return lost(how);
        }
        let mut draft = dispatch(&mut cluster, bridge, read, faults);
        habits::dress(&cluster.switches, &read.host, &mut draft.body, &mut draft.location);
        draft.application_xml = cluster.switches.application_xml;
        shared.after_change(&mut cluster);
        draft
    };
    for fault in faults {
        match fault {
            FaultKind::After { action } => shared.act(Some(bridge), action),
            FaultKind::HangAfter => draft.lost = Some(Lost::Silence),
            FaultKind::ResetAfter => draft.lost = Some(Lost::Reset),
            FaultKind::CloseConnection => draft.keep_alive = false,
            _ => {}
        }
    }
    // A bridge that stopped or fell silent after the effect does not answer any more.
    draft.lost = life.lost().or(draft.lost);
    draft
}

/// A page for people.
fn page(status: u16) -> Draft {
    let body = format!("<html><head><title>Error</title></head><body><h1>{status}</h1></body></html>");
    Draft { status, body, html: true, ..kept() }
}

fn kept() -> Draft {
    Draft { keep_alive: true, ..Draft::default() }
}

fn lost(how: Lost) -> Draft {
    Draft { lost: Some(how), ..Draft::default() }
}

/// The part under the lock: account, handler, and the reply that follows from it.
fn dispatch(cluster: &mut Cluster, bridge: usize, read: &Read, faults: &[FaultKind]) -> Draft {
    let keep_alive = cluster.switches.keep_alive;
    if let Ok(Target { node: Node::Events, .. }) = &read.target {
        let token = read.query.get("authToken").unwrap_or_default();
        let status = routes::queries::events(cluster, bridge, token);
        return Draft { status, challenge: status == 401, keep_alive, ..Draft::default() };
    }
    let account = cluster.own_accounts.get_mut(&bridge).unwrap_or(&mut cluster.account);
    if !account.admits(read.authorization.as_deref(), &cluster.switches) {
        return Draft { status: 401, challenge: true, keep_alive, ..Draft::default() };
    }
    let mut ctx =
        Ctx { bridge, verb: Verb::Get, query: &read.query, body: &read.body, page_cap: None, sync_state: None };
    for fault in faults {
        match fault {
            FaultKind::ShortPages { items } => ctx.page_cap = Some(*items),
            FaultKind::SyncState { state } => ctx.sync_state = Some(state),
            _ => {}
        }
    }
    let mut outcome = Outcome::default();
    let answer = match (&read.target, read.verb) {
        (Ok(target), Some(_)) if target.is_guides_spelling && !cluster.switches.guides_spelling => {
            Err(Refusal::Unrecognised)
        }
        (Ok(target), Some(verb)) => {
            ctx.verb = verb;
            outcome.remark =
                target.is_guides_spelling.then(|| "callegs is the guide's spelling of callLegs".to_owned());
            if let Some(space) = routes::space_of(&ctx, cluster, &target.node) {
                let number = |field| cluster.db.value(crate::schema::Kind::CoSpace, Some(&space), field);
                outcome.space_number = number("callId").or_else(|| number("uri")).map(str::to_owned);
                outcome.space = Some(space.to_string());
            }
            routes::handle(&ctx, cluster, &target.node)
        }
        (Ok(_), None) => Err(Refusal::Rule("invalidOperation")),
        (Err(refusal), _) => Err(refusal.clone()),
    };
    match answer {
        Ok(reply) => accepted(cluster, ctx.verb, reply, outcome),
        Err(Refusal::Hang) => Draft { lost: Some(Lost::Silence), outcome, ..Draft::default() },
        Err(refusal) => {
            let switches = &cluster.switches;
            outcome.failure = refusal.element(switches).map(str::to_owned);
            let is_told = switches.failure_details;
            let is_plain = !is_told && refusal.element(switches).is_some();
            let body = match is_told {
                true => refusal.body(switches, declares(switches)),
                false if is_plain => switches.plain_errors.clone(),
                false => String::new(),
            };
            Draft { status: refusal.status(switches), body, is_plain, outcome, keep_alive, ..Draft::default() }
        }
    }
}

fn accepted(cluster: &mut Cluster, verb: Verb, reply: Reply, mut outcome: Outcome) -> Draft {
    outcome.effect = reply.effect;
    outcome.object_id = reply.object.map(|id| id.to_string());
    outcome.remark = reply.remark.or(outcome.remark);
    let mut draft = Draft {
        status: 200,
        body: reply.body,
        location: reply.location,
        token: reply.token,
        outcome,
        keep_alive: cluster.switches.keep_alive,
        ..Draft::default()
    };
    if verb != Verb::Get {
        cluster.writes = cluster.writes.wrapping_add(1);
        let every = cluster.switches.lose_reply_every;
        if every > 0 && cluster.writes.is_multiple_of(every) {
            draft.lost = Some(Lost::Reset);
        }
    }
    draft
}

/// Turns a draft into bytes, or into the lack of them.
async fn finish(
    mut guard: InFlight,
    mut draft: Draft,
    faults: &[FaultKind],
    ending: &Ending,
) -> Result<Response<ReplyBody>, Cut> {
    let fault = guard.outcome.fault.take();
    guard.outcome = std::mem::take(&mut draft.outcome);
    guard.outcome.fault = fault;
    match draft.lost {
        Some(Lost::Silence) => {
            // Whoever waits for the effect of a silent request must be able to see it in the journal.
            guard.shared.journal.mark_effect(guard.seq, guard.outcome.effect);
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Some(Lost::Reset) => {
            ending.reset.store(true, Ordering::Release);
            return Err(Cut);
        }
        None => {}
    }
    let mut broken = false;
    if draft.status == 200 && !draft.body.is_empty() {
        for fault in faults {
            match fault {
                FaultKind::TruncatedXml => truncate(&mut draft.body),
                FaultKind::UnknownElements => draft.body = with_unknown(&draft.body),
                FaultKind::CutBody => broken = true,
                _ => {}
            }
        }
    }
    tracing::debug!(guard.bridge, guard.seq, "sending {} response, size {}", draft.status, draft.body.len());
    guard.outcome.status = Some(draft.status);
    guard.outcome.reply_size = draft.body.len();
    let (realm, bodiless_type, ends_by_closing) = {
        let switches = &guard.shared.lock().switches;
        (switches.challenge_realm.clone(), switches.bodiless_type.clone(), switches.ends_by_closing)
    };
    let is_unmeasured = ends_by_closing && !broken && !draft.body.is_empty();
    let mut response = Response::new(reply_body(std::mem::take(&mut draft.body), broken, is_unmeasured));
    if is_unmeasured {
        // The elder version of HTTP knows no other way to end it.
        *response.version_mut() = hyper::Version::HTTP_10;
        ending.rude.store(true, Ordering::Release);
    }
    *response.status_mut() = hyper::StatusCode::from_u16(draft.status).unwrap_or(hyper::StatusCode::OK);
    let headers = response.headers_mut();
    if guard.outcome.reply_size > 0 && !draft.is_plain {
        let kind = match (draft.html, draft.application_xml) {
            (true, _) => "text/html",
            (_, true) => "application/xml; charset=utf-8",
            _ => "text/xml",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let is_framework = guard.outcome.reply_size == 0 || draft.is_plain;
    let bodiless_type = (is_framework && !bodiless_type.is_empty()).then_some(bodiless_type);
    let challenge = draft.challenge.then(|| format!("Basic realm=\"{realm}\""));
    for (name, value) in [
        (CONTENT_TYPE, bodiless_type),
        (WWW_AUTHENTICATE, challenge),
        (LOCATION, draft.location),
        (hyper::header::HeaderName::from_static("x-cisco-cms-auth-token"), draft.token),
    ] {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(&v).ok()) {
            headers.insert(name, value);
        }
    }
    if !draft.keep_alive {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn reply_body(body: String, broken: bool, unmeasured: bool) -> ReplyBody {
    if unmeasured {
        return ReplyBody::Unmeasured(Some(Bytes::from(body)));
    }
    if !broken {
        return ReplyBody::Whole((!body.is_empty()).then(|| Bytes::from(body)));
    }
    let declared = body.len() as u64;
    let half = Bytes::from(body).slice(..usize::try_from(declared / 2).unwrap_or(0));
    ReplyBody::Broken { declared, sent: Some(half) }
}

/// Cuts a body in its last third, at a character boundary.
fn truncate(body: &mut String) {
    let mut cut = body.len() * 2 / 3;
    while !body.is_char_boundary(cut) {
        cut -= 1;
    }
    body.truncate(cut);
}

/// Puts an unknown attribute on and an unknown element into every element that has an id or is the root.
fn with_unknown(body: &str) -> String {
    let mut out = String::with_capacity(body.len() * 2);
    let mut rest = body;
    let mut root = true;
    while let Some(start) = rest.find('<') {
        let (text, tail) = rest.split_at(start);
        out.push_str(text);
        let end = tail.find('>').unwrap_or(tail.len());
        let (tag, after) = tail.split_at(end);
        let opens = !tag.starts_with("<?") && !tag.starts_with("</") && !tag.ends_with('/');
        out.push_str(tag);
        if opens && (root || tag.contains(" id=\"")) {
            out.push_str(" futureAttribute=\"1\"><futureElement kind=\"x\"><inner>1</inner></futureElement>");
        } else {
            out.push('>');
        }
        if opens {
            root = false;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_elements_keep_the_document_whole() {
        let plain = r#"<?xml version="1.0"?><calls total="1"><call id="a"><name>x</name></call></calls>"#;
        let noisy = with_unknown(plain);
        assert_eq!(noisy.matches("<futureElement").count(), 2);
        assert!(noisy.contains("<name>x</name></call></calls>"));
    }

    #[test]
    fn truncation_respects_characters() {
        let mut body = "ä".repeat(10);
        truncate(&mut body);
        assert_eq!(body.chars().count(), 6);
    }
}
