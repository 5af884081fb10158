use super::*;

#[test]
fn waits_grow_and_are_capped() {
    for failures in 1..40 {
        assert!(after(&CmsError::Busy, failures, false) <= Duration::from_secs(60));
        assert!(
            after(&CmsError::Timeout, failures, false) <= Duration::from_secs(15),
            "a bridge that is back is not missed"
        );
        assert!(after(&CmsError::Timeout, failures, true) <= Duration::from_secs(5));
        assert!(after(&CmsError::Busy, failures, false) >= Duration::from_millis(250));
    }
    assert_eq!(after(&CmsError::Unauthorized, 1, true), Duration::from_secs(900), "never hammered");
}

#[test]
fn what_is_counted_for_a_part_of_an_object_goes_with_it() {
    let backoff = Backoff::default();
    for key in ["u", "u/sync", "u2", "u2/sync"] {
        backoff.count(key);
    }
    backoff.forget("u");
    assert_eq!(backoff.lock().keys().collect::<Vec<_>>(), ["u2", "u2/sync"]);
}

#[test]
fn the_same_failure_is_logged_ever_less_often() {
    let backoff = Backoff::default();
    let lines = (0..100).filter(|_| backoff.is_worth_a_line("u", "Busy")).count();
    assert_eq!(lines, 7, "1, 2, 4, 8, 16, 32, 64");
    assert!(backoff.is_worth_a_line("u", "Timeout") && backoff.is_worth_a_line("v", "Busy"), "anything else is new");
    backoff.clear("u");
    assert!(backoff.is_worth_a_line("u", "Timeout"), "after a success it is news again");
}
