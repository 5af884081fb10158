use std::time::Duration;

use futures::FutureExt;

use super::*;

fn in_secs(secs: u64) -> Instant {
    Instant::now() + Duration::from_secs(secs)
}

fn is_open(fence: &Fence) -> bool {
    fence.refused().now_or_never().is_none()
}

fn is_lost(fence: &Fence) -> bool {
    fence.lost().now_or_never().is_some()
}

fn until(moment: Instant) -> Fence {
    let fence = Fence::not_yet();
    assert!(!is_open(&fence) && is_lost(&fence));
    assert!(fence.hold_until(moment));
    fence
}

#[tokio::test(start_paused = true)]
async fn a_right_without_end_is_only_shut() {
    let fence = Fence::default();
    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    assert!(is_open(&fence) && !is_lost(&fence));
    fence.shut();
    assert!(!is_open(&fence) && !is_lost(&fence));
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_not_held_on_to_is_lost_and_stays_so() {
    let fence = until(in_secs(10));
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(fence.hold_until(in_secs(10)));
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(is_open(&fence));
    fence.lost().await;
    assert!(!is_open(&fence));
    assert!(!fence.hold_until(in_secs(10)), "too late");
    assert!(is_lost(&fence));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_reply_that_comes_late_takes_nothing_away() {
    let fence = until(in_secs(10));
    assert!(fence.hold_until(in_secs(5)));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(is_open(&fence));
}
