use super::*;

#[test]
fn waits_grow_and_are_capped() {
    for failures in 1..40 {
        assert!(after(&CmsError::Busy, failures, false) <= Duration::from_secs(60));
        assert!(after(&CmsError::Timeout, failures, true) <= Duration::from_secs(5));
        assert!(after(&CmsError::Busy, failures, false) >= Duration::from_millis(250));
    }
    assert_eq!(after(&CmsError::Unauthorized, 1, true), Duration::from_secs(900), "never hammered");
}
