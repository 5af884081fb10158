use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use opentelemetry_sdk::error::OTelSdkError;

use super::*;

fn wanted(said: &[(&str, &str)]) -> Result<Option<Wanted>, String> {
    Wanted::of(|name| said.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn traces_are_off_unless_a_collector_is_named() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    for off in [
        vec![],
        vec![("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_SAMPLER", "always_on")],
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        vec![endpoint, ("OTEL_SDK_DISABLED", "True")],
        vec![endpoint, ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        assert!(wanted(&off).unwrap().is_none(), "{off:?}");
    }
    let on = |said: &[_]| wanted(said).unwrap().unwrap();
    assert_eq!(on(&[endpoint]).endpoint, "http://collector:4318/v1/traces");
    assert!(!on(&[endpoint]).is_named && on(&[endpoint, ("OTEL_SERVICE_NAME", "x")]).is_named);
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://user:pass@other/path");
    let both = on(&[endpoint, of_traces]);
    assert_eq!(both.endpoint, "https://user:pass@other/path", "as it is");
    assert!(!format!("{both:?}").contains("pass"));
}

#[test]
fn what_is_not_there_is_said() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ] {
        let error = wanted(&[endpoint, (name, value)]).unwrap_err();
        assert!(error.starts_with(&name.replace("TRACES_PROTOCOL", "PROTOCOL")), "{error}");
    }
    let ratio = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    assert!(wanted(&[endpoint, ratio, ("OTEL_TRACES_SAMPLER_ARG", "2")]).is_err());
    let of_some = wanted(&[endpoint, ratio, ("OTEL_TRACES_SAMPLER_ARG", "0.5")]).unwrap().unwrap();
    assert!(matches!(of_some.sampler, Sampler::TraceIdRatioBased(ratio) if ratio == 0.5));
}

#[derive(Debug, Default)]
struct Moody(Arc<AtomicUsize>);

impl SpanExporter for Moody {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            1..=3 => Err(OTelSdkError::InternalFailure("HTTP export failed: network error".to_owned())),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_outage_of_the_collector_is_told_once() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let exporter = Told { inner: Moody::default(), is_away: AtomicBool::new(false) };
    for _ in 0..6 {
        exporter.export(Vec::new()).await.unwrap();
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("takes no traces") && text.contains("takes traces again"), "{text}");
}
