//! OpenTelemetry: what a small collector gets to know of starts and ends of meetings (docs/operations.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use cms_simulator::{Fault, FaultKind};
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::config::settings::Settings;
use meeting_controller::traces::{Traces, Wanted};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::kit::*;
use crate::meetings::*;

/// Takes traces as a collector does, and keeps them.
pub struct Collector {
    url: String,
    taken: watch::Receiver<Vec<ExportTraceServiceRequest>>,
}

impl Collector {
    pub async fn start() -> Self {
        let (keep, taken) = watch::channel(Vec::new());
        let take = move |body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
            keep.send_modify(|all: &mut Vec<_>| all.push(request));
            std::future::ready(StatusCode::OK)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, taken }
    }

    /// Where a controller sends its traces if the environment names this collector.
    pub fn traces(&self) -> Arc<Traces> {
        traces_to(&self.url)
    }

    /// Everything that came so far, as text.
    pub fn text(&self) -> String {
        format!("{:#?}", self.taken.borrow())
    }

    /// Waits until the spans are as wanted.
    async fn spans(&self, what: &str, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let all = |requests: &Vec<ExportTraceServiceRequest>| {
            let resources = requests.iter().flat_map(|request| &request.resource_spans);
            resources.flat_map(|of| &of.scope_spans).flat_map(|of| of.spans.clone()).collect::<Vec<_>>()
        };
        let mut taken = self.taken.clone();
        let waiting = tokio::time::timeout(PATIENCE, taken.wait_for(|requests| wanted(&all(requests))));
        match waiting.await {
            Ok(requests) => all(&requests.unwrap()),
            Err(_) => panic!("never: {what}\n{}", self.text()),
        }
    }
}

fn traces_to(url: &str) -> Arc<Traces> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wanted = Wanted::of(|name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.to_owned()));
    Arc::new(wanted.unwrap().unwrap().start().unwrap())
}

fn said(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|pair| pair.key == key);
    match found.and_then(|pair| pair.value.as_ref()?.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    }
}

fn has_root(spans: &[Span], name: &str) -> bool {
    spans.iter().any(|span| span.name == name)
}

/// The one trace that has this root; every span of it hangs below the root.
fn trace_of(spans: &[Span], root: &str) -> (Span, Vec<Span>) {
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == root).collect();
    assert_eq!(roots.len(), 1, "{root}: {spans:#?}");
    let of_trace: Vec<Span> = spans.iter().filter(|span| span.trace_id == roots[0].trace_id).cloned().collect();
    let parents: BTreeMap<_, _> = of_trace.iter().map(|span| (&span.span_id, &span.parent_span_id)).collect();
    assert_eq!(parents.len(), of_trace.len(), "each has an id of its own");
    let above = of_trace.iter().filter(|span| span.name != root).map(|span| &span.parent_span_id);
    assert!(above.clone().all(|parent| parents.contains_key(parent)), "{of_trace:#?}");
    (roots[0].clone(), of_trace)
}

fn requests(spans: &[Span]) -> BTreeSet<&str> {
    spans.iter().filter(|span| span.kind() == SpanKind::Client).map(|span| span.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_of_a_meeting_is_one_trace_with_its_requests_and_the_end_another() {
    let collector = Collector::start().await;
    let traces = collector.traces();
    let settings = Settings { traces: Some(Arc::clone(&traces)), ..quick() };
    let arena = Arena::with("traces", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    let spec =
        json!({ "start": in_ms(800), "duration": "600s", "participants": [{ "remoteParty": "desk@rooms.test" }] });
    arena.create_meeting("m", spec).await;
    arena.party("m", ParticipantState::Connected).await;
    let active = arena.phase("m", Phase::Active).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "duration": null, "end": in_ms(-100) } })).await;
    arena.phase("m", Phase::Ended).await;
    arena.finish().await;
    traces.stop().await;
    let spans = collector.spans("both", |all| has_root(all, "meeting start") && has_root(all, "meeting end")).await;
    let (root, start) = trace_of(&spans, "meeting start");
    let (_, end) = trace_of(&spans, "meeting end");
    assert_eq!(start.len() + end.len(), spans.len(), "nothing else is traced");
    let all = requests(&start);
    for wanted in ["GET /coSpaces/{id}", "PUT /coSpaces/{id}", "POST /calls", "POST /calls/{id}/callLegs"] {
        assert!(all.contains(wanted), "{wanted}: {all:?}");
    }
    let all = requests(&end);
    for wanted in ["PUT /coSpaces/{id}", "DELETE /calls/{id}", "GET /coSpaces/{id}"] {
        assert!(all.contains(wanted), "{wanted}: {all:?}");
    }
    let put = start.iter().find(|span| span.name.starts_with("PUT")).unwrap();
    assert_eq!(said(&put.attributes, "http.response.status_code"), "200");
    let at = format!("{}:{}", said(&put.attributes, "server.address"), said(&put.attributes, "server.port"));
    assert_eq!(at, arena_address(&active));
    assert!(put.end_time_unix_nano > put.start_time_unix_nano);
    let late: f64 = said(&root.attributes, "meeting.lateness_seconds").parse().unwrap();
    assert_eq!(Some(format!("{late:.3}s")), status_of(&active).open_latency);
    assert_eq!(said(&root.attributes, "meeting.name"), "m");
    assert_eq!(said(&root.attributes, "meeting.uid"), active.metadata.uid.clone().unwrap());
    assert_eq!(said(&root.attributes, "meeting.slot"), number_of(&active).to_string());
    assert!(collector.text().contains("meeting-controller"), "the service is named");
}

fn arena_address(meeting: &ScheduledMeeting) -> String {
    status_of(meeting).call.as_ref().unwrap().call_bridge.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_two_processes_shared_is_one_trace() {
    let collector = Collector::start().await;
    let (first, second) = (collector.traces(), collector.traces());
    let settings = Settings { traces: Some(Arc::clone(&first)), ..quick() };
    let mut arena = Arena::with("shared-trace", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.add_fault(Fault::new(FaultKind::HangBefore).method("POST").route("calls").once());
    arena.open_now("m", 600, json!({})).await;
    arena.await_requests("the call is asked for", |all| count(all, "POST", "calls") == 1).await;
    arena.controller.take().unwrap().kill().await;
    arena.settings.traces = Some(Arc::clone(&second));
    arena.start().await;
    arena.phase("m", Phase::Active).await;
    arena.finish().await;
    tokio::join!(first.stop(), second.stop());
    let spans = collector.spans("the root", |all| has_root(all, "meeting start")).await;
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(ids.len(), 1, "{spans:#?}");
    let puts = spans.iter().filter(|span| span.name == "PUT /coSpaces/{id}").count();
    let calls = spans.iter().filter(|span| span.name == "POST /calls").count();
    assert!(puts >= 1 && calls == 1, "what was on the wire when the process died is not told: {spans:#?}");
}

/// A collector that is not there, and one that takes the connection and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_delays_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for url in ["http://127.0.0.1:9", &silent_url] {
        let traces = traces_to(url);
        let settings = Settings { traces: Some(Arc::clone(&traces)), ..quick() };
        let arena = Arena::with("no-collector", lone(), settings).await;
        arena.ready_bridge(json!({})).await;
        arena.open_now("m", 600, json!({})).await;
        arena.says("m", "Ready", "True", "Active").await;
        arena.delete::<ScheduledMeeting>("m").await;
        arena.gone::<ScheduledMeeting>("m").await;
        arena.finish().await;
        let begun = Instant::now();
        traces.stop().await;
        assert!(begun.elapsed().as_secs() < 5, "the shutdown does not wait for it");
    }
}
