use super::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn what_is_stuck_makes_it_unhealthy() {
    let watchdog = Arc::new(Watchdog::default());
    let shared = Shared { ready: watch::channel(true).1, watchdog: Arc::clone(&watchdog), metrics: Arc::default() };
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
