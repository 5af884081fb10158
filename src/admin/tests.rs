use super::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn what_is_stuck_makes_it_unhealthy() {
    let watchdog = Arc::new(Watchdog::default());
    let shared = Shared {
        ready: watch::channel(true).1,
        watchdog: Arc::clone(&watchdog),
        metrics: Arc::default(),
        access: None,
    };
    let beat = watchdog.begin("MeetingBridge");
    let status = async || healthz(State(shared.clone())).await.into_response().status();
    assert_eq!(status().await, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(status().await, StatusCode::INTERNAL_SERVER_ERROR);
    drop(beat);
    assert_eq!(status().await, StatusCode::OK);
    shared.metrics.pulses.heard("Secret");
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(status().await, StatusCode::INTERNAL_SERVER_ERROR, "nor is a watch heard");
    shared.metrics.pulses.tried("Secret");
    assert_eq!(status().await, StatusCode::OK, "an apiserver that is away is no reason for a restart");
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let shared =
        Shared { ready: watch::channel(true).1, watchdog: Arc::default(), metrics: Arc::default(), access: None };
    let served = async |accept: &'static str| {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        let response = metrics(State(shared.clone()), headers).await.into_response();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let text = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (kind, String::from_utf8(text.to_vec()).unwrap())
    };
    for accept in ["text/plain", "text/plain;version=0.0.4", "*/*"] {
        let (kind, text) = served(accept).await;
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8", "{accept}");
        assert!(text.contains("# TYPE meeting_controller_dials_total counter\n"), "{text}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }
    // What Prometheus sends.
    let (kind, text) = served("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4").await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}
