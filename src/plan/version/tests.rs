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
