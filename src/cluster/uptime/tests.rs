use super::*;

/// Asked and answered so many milliseconds after the beginning.
fn told(begin: Instant, asked: u64, told: u64, seconds: u64) -> Uptime {
    let at = |millis| begin + Duration::from_millis(millis);
    Uptime { asked: at(asked), told: at(told), seconds }
}

#[test]
fn replies_that_overtake_each_other_are_no_restart() {
    let begin = Instant::now();
    // The one that was asked first is answered first, and heard last.
    let (first, second) = (told(begin, 0, 9_000, 100), told(begin, 3_000, 8_000, 107));
    assert!(!first.shows_restart_since(&second));
    assert!(!second.shows_restart_since(&first));
    // Of one that waited nobody knows when it was counted.
    let (late, soon) = (told(begin, 0, 10_000, 110), told(begin, 10_000, 10_010, 109));
    assert!(!soon.shows_restart_since(&late));
}

#[test]
fn an_uptime_that_did_not_grow_with_the_time_is_a_restart() {
    let begin = Instant::now();
    let before = told(begin, 0, 20, 86_400);
    assert!(told(begin, 15_000, 15_020, 3).shows_restart_since(&before));
    assert!(!told(begin, 15_000, 15_020, 86_415).shows_restart_since(&before));
    assert!(!told(begin, 15_900, 15_920, 86_414).shows_restart_since(&before), "whole seconds");
    // Away for a night: by now it has been up for longer than before.
    let young = told(begin, 0, 20, 60);
    assert!(told(begin, 40_000_000, 40_000_020, 39_000).shows_restart_since(&young));
    assert!(!told(begin, 40_000_000, 40_000_020, 40_030).shows_restart_since(&young), "clocks drift");
    // Twice within a few seconds.
    let again = told(begin, 0, 20, 3);
    assert!(told(begin, 1_500, 1_520, 0).shows_restart_since(&again));
}
