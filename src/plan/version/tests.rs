use super::*;

#[test]
fn reads_what_bridges_print() {
    assert_eq!(major("2.0(RC)"), Some(2));
    assert_eq!(major(" 3.10.1 "), Some(3));
    assert_eq!(major("unknown"), None);
    assert!(is_too_old("1.9"));
    assert!(!is_too_old("2.0(RC)"));
    assert!(!is_too_old("R2D2"));
}

#[test]
fn versions_are_compared_by_number() {
    assert!(is_before("2.3.1", (2, 4)));
    assert!(!is_before("2.10", (2, 4)));
    assert!(!is_before("3", (2, 9)));
    assert!(is_before("2.0(RC)", (2, 1)));
    assert!(!is_before("R2D2", (3, 0)));
}
