use super::*;

fn named(name: &str) -> Marks {
    Marks::of_installation(name).unwrap()
}

#[test]
fn mark_names_the_meeting_and_never_outgrows_the_field() {
    assert_eq!(Marks::default().of("team-a", "standup"), "meeting-controller:team-a/standup");
    assert_eq!(named("").of("team-a", "standup"), "meeting-controller:team-a/standup");
    assert_eq!(named("prod-eu").of("team-a", "standup"), "meeting-controller[prod-eu]:team-a/standup");
    for marks in [Marks::default(), named(&"i".repeat(LONGEST_INSTALLATION))] {
        let long = marks.of(&"n".repeat(63), &"m".repeat(253));
        assert!(long.chars().count() <= LIMIT);
        assert!(marks.is_ours(&long) && is_mark(&long));
        assert_ne!(long, marks.of(&"n".repeat(63), &"m".repeat(252)), "different meetings, different marks");
    }
}

#[test]
fn a_mark_of_another_installation_is_not_ours() {
    let all = [Marks::default(), named("a"), named("ab"), named("A")];
    for marks in &all {
        for others in &all {
            let theirs = others.of("ns", "m");
            assert!(is_mark(&theirs));
            assert_eq!(marks.is_ours(&theirs), marks == others, "{marks:?} {theirs}");
        }
    }
    assert!(!is_mark("meeting-controllers: minutes") && !is_mark("booked by hand"));
}

#[test]
fn a_name_that_would_be_read_back_as_another_one_is_refused() {
    for bad in ["a]:b", "two words", "\u{e9}", &"i".repeat(33)] {
        assert!(Marks::of_installation(bad).is_err(), "{bad}");
    }
}
