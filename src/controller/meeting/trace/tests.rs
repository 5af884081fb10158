use super::*;

#[test]
fn a_start_is_over_when_the_meeting_is_active_or_never_will_be() {
    let late = |text: &str| ScheduledMeetingStatus { open_latency: Some(text.to_owned()), ..Default::default() };
    let of = |before, after| started(before, after, &late("0.125s"));
    assert_eq!(of(Phase::Opening, Phase::Active), Some(Outcome::Done { late: 0.125 }));
    assert_eq!(of(Phase::Pending, Phase::Active), Some(Outcome::Done { late: 0.125 }));
    assert!(matches!(of(Phase::Scheduled, Phase::Missed), Some(Outcome::Failed(_))));
    assert!(matches!(of(Phase::Opening, Phase::Closing), Some(Outcome::Failed(_))));
    for (before, after) in [
        (Phase::Pending, Phase::Scheduled),
        (Phase::Scheduled, Phase::Opening),
        (Phase::Active, Phase::Active),
        (Phase::Active, Phase::Closing),
        (Phase::Closing, Phase::Missed),
        (Phase::Pending, Phase::Ended),
    ] {
        assert_eq!(of(before, after), None, "{before:?} {after:?}");
    }
}
