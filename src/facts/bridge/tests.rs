use super::*;

/// A bridge may write its ids in capitals from some restart on.
#[test]
fn what_was_shown_of_a_profile_is_known_by_its_id_in_any_case() {
    let mut facts = BridgeFacts::default();
    let want = [("defaultLayout".to_owned(), "stacked".to_owned())];
    facts.note_shown("profile-a", &want.iter().cloned().collect());
    assert!(facts.lacks_shown("PROFILE-A", &want, &Fields::new()));
    facts.forget_shown("Profile-A");
    assert!(!facts.lacks_shown("profile-a", &want, &Fields::new()));
}
