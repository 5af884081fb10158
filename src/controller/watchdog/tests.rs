use super::*;

#[tokio::test(start_paused = true)]
async fn only_a_pass_that_never_ends_is_stuck() {
    let pulse = Arc::new(Pulse::default());
    let first = pulse.begin("MeetingBridge");
    tokio::time::advance(LONGEST_PASS).await;
    let _second = pulse.begin("ScheduledMeeting");
    assert_eq!(pulse.stuck(), None);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(pulse.stuck().unwrap(), "a pass over a MeetingBridge has not ended for 901 s");
    drop(first);
    assert_eq!(pulse.stuck(), None);
}
