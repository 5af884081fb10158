use super::*;

#[test]
fn join_secret_name_is_a_valid_unique_object_name() {
    assert_eq!(join_secret_name("standup"), "standup-join");
    let long = join_secret_name(&"m".repeat(253));
    assert_eq!(long.len(), 253);
    assert_ne!(long, join_secret_name(&format!("{}x", "m".repeat(252))));
}

#[test]
fn an_occurrence_is_named_by_series_and_local_time() {
    let at = jiff::civil::date(2026, 12, 7).at(9, 0, 0, 0);
    assert_eq!(occurrence_name("weekly", at), "weekly-20261207t0900");
    assert_eq!(of_occurrence_name("weekly-20261207t0900"), Some(("weekly", at)));
    assert_eq!(of_occurrence_name("weekly"), None);
    assert_eq!(of_occurrence_name("weekly-20261307t0900"), None);
}

#[test]
fn names_and_labels_of_a_long_series_are_short_enough_and_its_own() {
    let at = jiff::civil::date(2026, 12, 7).at(9, 0, 0, 0);
    for length in [52, 53, 63, 64, 239, 240, 253] {
        let (one, other) = ("s".repeat(length), format!("{}x", "s".repeat(length - 1)));
        let name = occurrence_name(&one, at);
        assert!(name.len() <= 253 && join_secret_name(&name).len() <= 253, "{name}");
        assert_ne!(name, occurrence_name(&other, at));
        assert!(series_label(&one).len() <= 63);
        assert_ne!(series_label(&one), series_label(&other));
    }
    let dotted = occurrence_name(&format!("{}.{}", "a".repeat(205), "b".repeat(47)), at);
    assert!(!dotted.contains(".-") && dotted.ends_with("-20261207t0900"), "{dotted}");
}
