use super::*;

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_neither_heard_nor_tried_is_stuck() {
    let (pulses, second) = (Pulses::default(), Duration::from_secs(1));
    pulses.tried("Secret");
    assert!(pulses.ages().is_empty(), "there is none");
    pulses.heard("Secret");
    tokio::time::advance(LONGEST_SILENCE).await;
    pulses.heard("MeetingBridge");
    assert_eq!(pulses.stuck(), None);
    tokio::time::advance(second).await;
    assert_eq!(pulses.stuck().unwrap(), "the watch of kind Secret has shown no sign of life for 301 s");
    pulses.tried("Secret");
    assert_eq!(pulses.stuck(), None, "it goes on trying");
    assert_eq!(pulses.ages(), BTreeMap::from([("MeetingBridge", second), ("Secret", LONGEST_SILENCE + second)]));
    assert_eq!(pulses.silence("Secret"), Duration::ZERO);
    pulses.forget();
    tokio::time::advance(LONGEST_SILENCE * 2).await;
    assert_eq!(pulses.stuck(), None);
}
