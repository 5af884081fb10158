use super::*;

#[test]
fn waits_grow_and_are_capped() {
    for failures in 1..40 {
        assert!(after(&CmsError::Busy, failures, false) <= Duration::from_secs(15));
        assert!(after(&CmsError::Timeout, failures, true) <= Duration::from_secs(5));
        assert!(after(&CmsError::Busy, failures, false) >= Duration::from_millis(250));
    }
    assert_eq!(after(&CmsError::Unauthorized, 1, true), Duration::from_secs(900), "never hammered");
}

/// Silent, busy, at its limit, behind a page or a gateway of somebody else, or left alone by our own circuit breaker.
#[test]
fn a_bridge_that_is_itself_again_is_found_out_within_15_seconds() {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let passing = [
        CmsError::Timeout,
        CmsError::ConnectionRefused,
        CmsError::Busy,
        CmsError::DatabaseNotReady,
        CmsError::LimitReached { element: "callLegLimitReached".to_owned() },
        CmsError::NotACms,
        CmsError::MalformedReply { detail: "odd".to_owned() },
        CmsError::HttpError { status: 503 },
        CmsError::HttpError { status: 407 },
        CmsError::CircuitOpen { until, cause: Box::new(CmsError::Timeout) },
    ];
    for (error, failures) in passing.iter().flat_map(|error| (1..40).map(move |failures| (error, failures))) {
        for is_due in [false, true] {
            let wait = after(error, failures, is_due);
            assert!(wait <= Duration::from_secs(15), "{error:?}, {failures} failures, due {is_due}: {wait:?}");
        }
    }
    let forbidden = (1..40).map(|failures| after(&CmsError::Forbidden, failures, true)).max().unwrap();
    assert!(forbidden <= Duration::from_secs(60), "no account is locked by what it may not do: {forbidden:?}");
}

/// Profiles have no names: where the bridge names none and knows no usage, each try leaves one behind.
#[test]
fn what_is_made_without_a_name_is_made_ever_less_often() {
    let longest = (0..200).map(|_| after(&CmsError::AmbiguousCreate, 12, false)).max();
    assert!(longest > Some(Duration::from_secs(300)), "a few an hour: {longest:?}");
    assert!(after(&CmsError::AmbiguousCreate, 1, false) <= Duration::from_secs(2), "looked for soon");
    assert!(after(&CmsError::AmbiguousCreate, 40, true) <= Duration::from_secs(5), "the call of a meeting is found");
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
