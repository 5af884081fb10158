use super::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_stuck_pass_makes_it_unhealthy() {
    let watchdog = Arc::new(Watchdog::default());
    let shared = Shared { ready: watch::channel(true).1, watchdog: Arc::clone(&watchdog), metrics: Arc::default() };
    let beat = watchdog.begin("MeetingBridge");
    let status = async || healthz(State(shared.clone())).await.into_response().status();
    assert_eq!(status().await, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(status().await, StatusCode::INTERNAL_SERVER_ERROR);
    drop(beat);
    assert_eq!(status().await, StatusCode::OK);
}
