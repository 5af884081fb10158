//! Traces of how meetings start and end, for OpenTelemetry: one trace for each, in it a span for each pass and for each
//! request to the bridge. Off unless the environment names a collector (`export.rs`).
//!
//! A start takes several passes, of several processes if one dies. So the ids of a trace and of its root are made from
//! what the meeting is (decision 0023): whoever does a part of the work adds its spans to the same trace, and nothing
//! has to be remembered or stored. The root span is sent last, when the start is over.
//!
//! What a span says is chosen here, attribute by attribute: no query, no body, no title, nothing secret.

mod export;

use std::time::{Duration, SystemTime};
use std::{fmt, sync::Arc};

use jiff::Timestamp;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use uuid::Uuid;

use crate::api::names::ObjectKey;
use crate::cms::Sample;

pub use export::Wanted;

/// How long the shutdown waits for a collector.
const PATIENCE: Duration = Duration::from_secs(2);

/// A request that was made for hundreds of meetings names so many of the others.
const MOST_LINKS: usize = 32;

/// What a trace is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// From the preparation until door, call and dialling are done.
    Start,
    /// From the end of the window until the door is proven shut.
    End,
}

impl Occasion {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "meeting start",
            Self::End => "meeting end",
        }
    }
}

/// One life of a meeting: a meeting that was moved has another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub meeting: ObjectKey,
    pub uid: String,
    pub opens_at: Timestamp,
}

impl Life {
    /// The same 64 bits for the same life and purpose, in every process; evenly spread, as samplers want them.
    fn bits(&self, occasion: Occasion, purpose: &str) -> u64 {
        let text = format!("{} {} {} {purpose}", self.uid, self.opens_at, occasion.name());
        Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).as_u64_pair().0
    }
}

/// Where spans go.
pub struct Traces {
    processor: Box<dyn SpanProcessor>,
    sampler: Sampler,
    scope: InstrumentationScope,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

impl Traces {
    fn new(processor: Box<dyn SpanProcessor>, sampler: Sampler) -> Self {
        Self { processor, sampler, scope: InstrumentationScope::builder("meeting-controller").build() }
    }

    /// The trace of an occasion; None: it is not sampled.
    pub(crate) fn of(self: &Arc<Self>, occasion: Occasion, life: Life) -> Option<Trace> {
        let id = u128::from(life.bits(occasion, "trace")) << 64 | u128::from(life.bits(occasion, "low"));
        let trace_id = TraceId::from(id);
        let result = self.sampler.should_sample(None, trace_id, occasion.name(), &SpanKind::Internal, &[], &[]);
        let is_sampled = matches!(result.decision, SamplingDecision::RecordAndSample);
        is_sampled.then(|| Trace {
            traces: Arc::clone(self),
            root: context(trace_id, SpanId::from(life.bits(occasion, "root"))),
            occasion,
            life,
        })
    }

    /// Sends what is left, for a short while.
    pub async fn stop(self: Arc<Self>) {
        // Without an answer the process ends all the same.
        let _ = tokio::task::spawn_blocking(move || self.processor.shutdown_with_timeout(PATIENCE)).await;
    }

    /// Never waits: when the queue is full, the span is lost.
    fn send(&self, span: Span) {
        let Span { context, parent, kind, name, began, ended, attributes, links, status } = span;
        let mut spans = SpanLinks::default();
        spans.links = links;
        self.processor.on_end(SpanData {
            span_context: context,
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: began.min(ended),
            end_time: ended,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: spans,
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// What is said of a span.
struct Span {
    context: SpanContext,
    parent: SpanId,
    kind: SpanKind,
    name: String,
    began: SystemTime,
    ended: SystemTime,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
    status: Status,
}

fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn below(parent: &SpanContext) -> SpanContext {
    context(parent.trace_id(), SpanId::from(rand::random::<u64>()))
}

/// How an occasion went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// So many seconds after its instant.
    Done { late: f64 },
    /// It did not come to be, and why.
    Failed(&'static str),
}

/// The trace of one start or end.
pub(crate) struct Trace {
    traces: Arc<Traces>,
    root: SpanContext,
    occasion: Occasion,
    life: Life,
}

impl Trace {
    /// Does the work of one pass: what it asks the bridge is told below it.
    pub async fn pass<T>(self, work: impl Future<Output = T>) -> T {
        let (context, began) = (below(&self.root), SystemTime::now());
        let here = Here { traces: Arc::clone(&self.traces), at: context.clone(), others: Vec::new() };
        let done = HERE.scope(here, work).await;
        self.traces.send(Span {
            context,
            parent: self.root.span_id(),
            kind: SpanKind::Internal,
            name: "pass".to_owned(),
            began,
            ended: SystemTime::now(),
            attributes: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
        });
        done
    }

    /// The occasion is over.
    pub fn over(self, began: Timestamp, ended: Timestamp, outcome: Outcome, about: Vec<KeyValue>) {
        let Life { meeting, uid, opens_at } = self.life;
        let mut attributes = about;
        attributes.extend([
            KeyValue::new("k8s.namespace.name", meeting.namespace),
            KeyValue::new("meeting.name", meeting.name),
            KeyValue::new("meeting.uid", uid),
            KeyValue::new("meeting.opens_at", opens_at.to_string()),
        ]);
        let status = match outcome {
            Outcome::Done { late } => {
                attributes.push(KeyValue::new("meeting.lateness_seconds", late));
                Status::Ok
            }
            Outcome::Failed(why) => Status::error(why),
        };
        self.traces.send(Span {
            context: self.root,
            parent: SpanId::INVALID,
            kind: SpanKind::Internal,
            name: self.occasion.name().to_owned(),
            began: began.into(),
            ended: ended.into(),
            attributes,
            links: Vec::new(),
            status,
        });
    }
}

tokio::task_local! {
    static HERE: Here;
}

/// The pass for which something is done.
#[derive(Clone)]
pub(crate) struct Here {
    traces: Arc<Traces>,
    at: SpanContext,
    /// Further passes for which it is done as well.
    others: Vec<SpanContext>,
}

impl Here {
    /// The pass that this task works for, if its trace is wanted.
    pub fn current() -> Option<Self> {
        HERE.try_with(Clone::clone).ok()
    }

    /// One request for several: it is told in the first one's trace, with links to the others'.
    pub fn of_all(mut passes: impl Iterator<Item = Self>) -> Option<Self> {
        let first = passes.next()?;
        Some(Self { others: passes.map(|pass| pass.at).take(MOST_LINKS).collect(), ..first })
    }

    /// Does something for this pass in a task of its own.
    pub async fn scope<T>(here: Option<Self>, work: impl Future<Output = T>) -> T {
        match here {
            Some(here) => HERE.scope(here, work).await,
            None => work.await,
        }
    }
}

/// A request to the bridge has ended: a span, if it was made for a pass whose trace is wanted.
pub(crate) fn request(bridge: &ObjectKey, sample: &Sample<'_>) {
    let Some(Here { traces, at, others }) = Here::current() else { return };
    let (route, ended) = (route(sample.path), SystemTime::now());
    let mut attributes = vec![
        KeyValue::new("http.request.method", sample.method),
        KeyValue::new("url.template", route.clone()),
        KeyValue::new("server.address", sample.call_bridge.host.clone()),
        KeyValue::new("server.port", i64::from(sample.call_bridge.port)),
        KeyValue::new("meeting.bridge", bridge.to_string()),
        KeyValue::new("meeting.operation", sample.operation),
        KeyValue::new("meeting.gate_wait_seconds", sample.waited.as_secs_f64()),
    ];
    attributes.extend(sample.status.map(|code| KeyValue::new("http.response.status_code", i64::from(code))));
    let status = if sample.outcome == "ok" {
        Status::Unset
    } else {
        attributes.push(KeyValue::new("error.type", sample.outcome));
        Status::error(sample.outcome)
    };
    traces.send(Span {
        context: below(&at),
        parent: at.span_id(),
        kind: SpanKind::Client,
        name: format!("{} {route}", sample.method),
        began: ended.checked_sub(sample.took).unwrap_or(ended),
        ended,
        attributes,
        links: others.into_iter().map(Link::with_context).collect(),
        status,
    });
}

/// A path with `{id}` for the ids: they stand at every second place, but for what is of the system.
fn route(path: &str) -> String {
    if path.starts_with("/system/") {
        return path.to_owned();
    }
    let parts = path.split('/').enumerate();
    let parts: Vec<_> = parts.map(|(at, part)| if at > 0 && at % 2 == 0 { "{id}" } else { part }).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests;
