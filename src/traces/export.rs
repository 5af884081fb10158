//! How spans leave the process: OTLP by http/protobuf, as the usual environment variables say. Nothing here can delay
//! anything: a thread of its own takes the spans from a bounded queue.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SpanData, SpanExporter, SpanProcessor};
use reqwest::redirect::Policy;

use super::Traces;
use crate::cms::{Tls, TlsOptions};

const SERVICE: &str = "meeting-controller";

/// What the environment says about traces, when it wants any.
pub struct Wanted {
    /// The whole URL; it may hold a password.
    endpoint: String,
    sampler: Sampler,
    /// Of one batch, with its repetitions.
    timeout: Duration,
    /// A file with the authorities of the collector; None: those of the system.
    authorities: Option<String>,
    /// The environment names the service itself.
    is_named: bool,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("sampler", &self.sampler).finish_non_exhaustive()
    }
}

impl Wanted {
    /// Reads the variables of the OpenTelemetry specification; None: no traces. Headers, queue and batches are read by
    /// the SDK itself.
    ///
    /// # Errors
    /// If something else is asked for than what there is.
    pub fn of(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let said = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let of_traces = |name: &str| {
            said(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| said(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let is_off = said("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || said("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
        let endpoint = said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| {
            let base = said("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}/v1/traces", base.trim_end_matches('/')))
        });
        let Some(endpoint) = endpoint.filter(|_| !is_off) else { return Ok(None) };
        if of_traces("PROTOCOL").is_some_and(|text| text != "http/protobuf") {
            return Err("OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is there".to_owned());
        }
        let timeout = match of_traces("TIMEOUT") {
            Some(text) => text.parse().map_err(|_| "OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds are expected")?,
            None => 10_000,
        };
        Ok(Some(Self {
            endpoint,
            sampler: sampler(said("OTEL_TRACES_SAMPLER"), said("OTEL_TRACES_SAMPLER_ARG"))?,
            timeout: Duration::from_millis(timeout),
            authorities: of_traces("CERTIFICATE"),
            is_named: said("OTEL_SERVICE_NAME").is_some()
                || said("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name=")),
        }))
    }

    /// Starts the thread that sends; nothing is sent before there is a span. Within a runtime of tokio, which sends.
    ///
    /// # Errors
    /// If the collector cannot be asked like this.
    pub fn start(self) -> Result<Traces, String> {
        let exporter = Otlp::builder()
            .with_http()
            .with_http_client(self.collector()?)
            .with_endpoint(&self.endpoint)
            .with_timeout(self.timeout)
            .build()
            // Its text may hold the URL.
            .map_err(|_| "the endpoint or another OTEL_EXPORTER_OTLP variable cannot be used".to_owned())?;
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if !self.is_named {
            resource = resource.with_service_name(SERVICE);
        }
        if let Ok(pod) = std::env::var("HOSTNAME") {
            resource = resource.with_attribute(KeyValue::new("service.instance.id", pod));
        }
        let mut processor =
            BatchSpanProcessor::builder(Told { inner: exporter, is_away: AtomicBool::new(false) }).build();
        processor.set_resource(&resource.build());
        Ok(Traces::new(Box::new(processor), self.sampler))
    }

    /// The way to the collector: no proxy, no redirect, and the one TLS provider.
    fn collector(&self) -> Result<Collector, String> {
        let mut http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(self.timeout)
            .pool_max_idle_per_host(1);
        if self.endpoint.starts_with("https://") {
            let ca_bundle_pem = self.authorities.as_deref().map(std::fs::read).transpose();
            let ca_bundle_pem = ca_bundle_pem.map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {error}"))?;
            let tls = Tls::new(&TlsOptions { ca_bundle_pem, ..TlsOptions::default() });
            let tls = tls.map_err(|error| format!("the authorities of the collector: {error}"))?;
            http = http.tls_backend_preconfigured((*tls.config).clone());
        }
        let http = http.build().map_err(|error| format!("no client for the collector: {error}"))?;
        Ok(Collector { http, runtime: tokio::runtime::Handle::current() })
    }
}

/// Parents come from nowhere, so what a sampler says of them does not matter.
fn sampler(name: Option<String>, argument: Option<String>) -> Result<Sampler, String> {
    let name = name.unwrap_or_else(|| "always_on".to_owned());
    match name.strip_prefix("parentbased_").unwrap_or(&name) {
        "always_on" => Ok(Sampler::AlwaysOn),
        "always_off" => Ok(Sampler::AlwaysOff),
        "traceidratio" => {
            let ratio = argument.map_or(Ok(1.0), |text| text.parse::<f64>());
            let ratio = ratio.ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio.map(Sampler::TraceIdRatioBased).ok_or_else(|| "OTEL_TRACES_SAMPLER_ARG: 0.0 to 1.0".to_owned())
        }
        _ => Err("OTEL_TRACES_SAMPLER: always_on, always_off or traceidratio, also with parentbased_".to_owned()),
    }
}

/// Sends by the HTTP client that the bridges are reached with, on the runtime of the process: the thread that asks has
/// none.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let (http, (parts, body)) = (self.http.clone(), request.into_parts());
        // Made where there is a timer as well.
        let sent = self.runtime.spawn(async move {
            http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body).send().await
        });
        Box::pin(async move {
            let reply = sent.await?.map_err(reqwest::Error::without_url)?;
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = reply.status();
            *answer.headers_mut() = reply.headers().clone();
            Ok(answer)
        })
    }
}

/// Says once that the collector is away, and once that it is back.
#[derive(Debug)]
struct Told<E> {
    inner: E,
    is_away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        let sending = self.inner.export(batch);
        async move {
            match sending.await {
                Ok(()) if self.is_away.swap(false, Ordering::Relaxed) => {
                    tracing::info!("the collector takes traces again")
                }
                Err(error) if !self.is_away.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(%error, spans, "the collector takes no traces; what it misses is lost");
                }
                _ => {}
            }
            Ok(())
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
