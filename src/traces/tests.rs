use std::sync::Mutex;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::Span as SdkSpan;

use super::*;
use crate::cms::Address;

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _span: &mut SdkSpan, _cx: &opentelemetry::Context) {}
    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn kept(sampler: Sampler) -> (Arc<Traces>, Kept) {
    let kept = Kept::default();
    (Arc::new(Traces::new(Box::new(kept.clone()), sampler)), kept)
}

fn life(uid: usize) -> Life {
    Life { meeting: ObjectKey::new("ns", "m"), uid: format!("uid-{uid}"), opens_at: Timestamp::UNIX_EPOCH }
}

fn asks(path: &str) {
    let call_bridge: Address = "cms.test:445".parse().unwrap();
    let (waited, took) = (Duration::from_millis(250), Duration::from_secs(1));
    let (method, status) = ("PUT", Some(503));
    let sample =
        Sample { operation: "open", method, path, call_bridge: &call_bridge, status, outcome: "busy", waited, took };
    request(&ObjectKey::new("ns", "core"), &sample);
}

#[tokio::test]
async fn passes_of_different_processes_add_to_one_trace() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (traces, kept) = kept(Sampler::AlwaysOn);
        traces.of(Occasion::Start, life(1)).unwrap().pass(async { asks("/coSpaces/1a-2b") }).await;
        traces.of(Occasion::End, life(1)).unwrap().pass(async { asks("/calls") }).await;
        seen.extend(std::mem::take(&mut *kept.0.lock().unwrap()));
    }
    let (traces, kept) = kept(Sampler::AlwaysOn);
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let done = Outcome::Done { late: 0.125 };
    traces.of(Occasion::Start, life(1)).unwrap().over(at(-10), at(1), done, vec![KeyValue::new("meeting.slot", 3)]);
    let root = kept.0.lock().unwrap().remove(0);
    let of_start: Vec<_> =
        seen.iter().filter(|span| span.span_context.trace_id() == root.span_context.trace_id()).collect();
    assert_eq!((of_start.len(), seen.len()), (4, 8), "the end is a trace of its own");
    let passes: Vec<_> = of_start.iter().filter(|span| span.name == "pass").collect();
    assert!(passes.iter().all(|pass| pass.parent_span_id == root.span_context.span_id()));
    assert_ne!(passes[0].span_context.span_id(), passes[1].span_context.span_id());
    let asked = of_start[0];
    assert_eq!((asked.name.as_ref(), asked.parent_span_id), ("PUT /coSpaces/{id}", passes[0].span_context.span_id()));
    assert_eq!(asked.end_time.duration_since(asked.start_time).unwrap(), Duration::from_secs(1));
    assert_eq!(asked.status, Status::error("busy"));
    let said = |span: &SpanData, key: &str| {
        span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    };
    assert_eq!(said(asked, "http.response.status_code").as_deref(), Some("503"));
    assert_eq!(said(asked, "server.address").as_deref(), Some("cms.test"));
    assert_eq!(said(asked, "meeting.gate_wait_seconds").as_deref(), Some("0.25"));
    assert_eq!((root.parent_span_id, root.status.clone()), (SpanId::INVALID, Status::Ok));
    assert_eq!(said(&root, "meeting.lateness_seconds").as_deref(), Some("0.125"));
    assert_eq!(root.end_time.duration_since(root.start_time).unwrap(), Duration::from_secs(11));
}

#[tokio::test]
async fn what_no_pass_asks_for_is_in_no_trace() {
    let (traces, kept) = kept(Sampler::AlwaysOn);
    asks("/calls");
    traces
        .of(Occasion::Start, life(1))
        .unwrap()
        .pass(async { tokio::spawn(async { asks("/calls") }).await })
        .await
        .unwrap();
    assert_eq!(kept.0.lock().unwrap().len(), 1, "the pass alone");
}

#[tokio::test]
async fn a_request_for_many_is_one_span_with_links_to_the_others() {
    let (traces, kept) = kept(Sampler::AlwaysOn);
    let mut passes = Vec::new();
    for number in 0..50 {
        let pass = traces.of(Occasion::Start, life(number)).unwrap().pass(async { Here::current() });
        passes.extend(pass.await);
    }
    let others = passes[1..].iter().map(|pass| pass.at.clone()).take(MOST_LINKS).collect::<Vec<_>>();
    Here::scope(Here::of_all(passes.into_iter()), async { asks("/calls") }).await;
    let spans = kept.0.lock().unwrap();
    let asked: Vec<_> = spans.iter().filter(|span| span.name != "pass").collect();
    assert_eq!(asked.len(), 1);
    let links: Vec<_> = asked[0].links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(links, others);
}

#[test]
fn a_sampler_takes_its_share_of_the_meetings_and_always_the_same_ones() {
    let (traces, _) = kept(Sampler::TraceIdRatioBased(0.25));
    let taken = |traces: &Arc<Traces>| {
        (0..2000).filter(|uid| traces.of(Occasion::Start, life(*uid)).is_some()).collect::<Vec<_>>()
    };
    let first = taken(&traces);
    assert!((400..600).contains(&first.len()), "{}", first.len());
    assert_eq!(first, taken(&kept(Sampler::TraceIdRatioBased(0.25)).0));
    assert!(taken(&kept(Sampler::AlwaysOff).0).is_empty());
}

#[test]
fn a_route_has_no_ids() {
    for (path, expected) in [
        ("/calls", "/calls"),
        ("/calls/9f-1/callLegs", "/calls/{id}/callLegs"),
        ("/coSpaces/abc", "/coSpaces/{id}"),
        ("/system/configuration/cluster", "/system/configuration/cluster"),
        ("/system/status", "/system/status"),
    ] {
        assert_eq!(route(path), expected);
    }
}
