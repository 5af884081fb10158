use super::*;

#[test]
fn mark_names_the_meeting_and_never_outgrows_the_field() {
    assert_eq!(mark("team-a", "standup"), "meeting-controller:team-a/standup");
    let long = mark(&"n".repeat(63), &"m".repeat(253));
    assert!(long.chars().count() <= MARK_LIMIT);
    assert!(is_mark(&long));
    assert_ne!(long, mark(&"n".repeat(63), &"m".repeat(252)), "different meetings, different marks");
}

#[test]
fn join_secret_name_is_a_valid_unique_object_name() {
    assert_eq!(join_secret_name("standup"), "standup-join");
    let long = join_secret_name(&"m".repeat(253));
    assert_eq!(long.len(), 253);
    assert_ne!(long, join_secret_name(&format!("{}x", "m".repeat(252))));
}
