use super::*;

#[tokio::test(start_paused = true)]
async fn only_a_pass_that_never_ends_is_stuck() {
    let watchdog = Arc::new(Watchdog::default());
    let first = watchdog.begin("MeetingBridge");
    tokio::time::advance(LONGEST_PASS).await;
    let _second = watchdog.begin("ScheduledMeeting");
    assert_eq!(watchdog.stuck(), None);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(watchdog.stuck().unwrap(), "a pass over a MeetingBridge has not ended for 901 s");
    drop(first);
    assert_eq!(watchdog.stuck(), None);
}
