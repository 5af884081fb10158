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
fn the_name_of_an_access_method_is_its_meetings_and_never_longer_than_a_mark() {
    let method = "m".repeat(32);
    for marks in [Marks::default(), named(&"i".repeat(LONGEST_INSTALLATION))] {
        let short = marks.of("team-a", "standup");
        assert_eq!(marks.of_access_method(&short, "host"), format!("{short}/host"));
        let long = marks.of(&"n".repeat(40), &"m".repeat(20));
        let names = [marks.of_access_method(&long, &method), marks.of_access_method(&long, &method[1..])];
        assert_ne!(names[0], names[1]);
        for name in names {
            assert!(name.chars().count() <= LIMIT && marks.is_ours(&name), "{name}");
        }
    }
    assert!(!named("a").is_ours(&named("b").of_access_method(&named("b").of("ns", "m"), "host")));
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
