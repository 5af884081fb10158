use super::*;
use crate::controller::Watchdog;

/// A bridge that answers everything, but slowly, must not have the process restarted, which serves all the others.
#[tokio::test(start_paused = true)]
async fn a_pass_without_end_is_given_up_before_anybody_takes_the_process_for_stuck() {
    let watchdog = Arc::new(Watchdog::default());
    let guard = watchdog.begin("ScheduledMeeting");
    let begun = tokio::time::Instant::now();
    assert!(in_bounds(std::future::pending::<()>()).await.is_err());
    assert!(begun.elapsed() <= Duration::from_secs(600), "{:?}", begun.elapsed());
    assert_eq!(watchdog.stuck(), None);
    drop(guard);
    assert_eq!(in_bounds(async { 7 }).await.ok(), Some(7));
}
