use ical::parser::ical::component::IcalEvent;
use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn invite(title: &str, minutes: i64) -> Invite<'_> {
    Invite {
        mark: "meeting-controller:ns/m",
        title,
        window: Window { opens_at: at(0), starts_at: at(0), closes_at: at(minutes * 60) },
        number: 7001,
        uri: Some("7001@meet.test"),
        link: Some("https://join.test/meeting/7001?secret=s"),
        passcode: Some("4711"),
    }
}

/// The one event, as somebody else's parser reads it.
fn read(calendar: &str) -> IcalEvent {
    let mut parsed = ical::IcalParser::new(calendar.as_bytes());
    let read = parsed.next().expect("a calendar").expect("that can be read");
    assert!(parsed.next().is_none());
    // 75 octets are what they should have (RFC 5545 section 3.1).
    assert!(calendar.split("\r\n").all(|line| line.len() <= 80 && !line.contains('\n')), "{calendar:?}");
    let method = read.properties.iter().find(|property| property.name == "METHOD");
    assert_eq!(method.and_then(|property| property.value.as_deref()), Some("PUBLISH"));
    assert_eq!(read.events.len(), 1);
    read.events.into_iter().next().unwrap()
}

fn value(event: &IcalEvent, key: &str) -> String {
    let mut found = event.properties.iter().filter(|property| property.name == key);
    let value = found.next().unwrap_or_else(|| panic!("no {key}")).value.clone().unwrap_or_default();
    assert!(found.next().is_none(), "{key} once");
    value
}

/// What the escapes of RFC 5545 section 3.3.11 stand for.
fn plain(text: &str) -> String {
    text.replace("\\\\", "\u{0}").replace("\\n", "\n").replace("\\,", ",").replace("\\;", ";").replace('\u{0}', "\\")
}

#[test]
fn an_invitation_says_when_and_how_to_join() {
    let mut invite = invite("Review, part 2; final", 45);
    invite.window.opens_at = at(-600);
    let event = read(&invite.calendar(None, at(-100)));
    assert_eq!(value(&event, "DTSTART"), "20270115T080000Z");
    assert_eq!(value(&event, "DTEND"), "20270115T084500Z");
    assert_eq!(value(&event, "DTSTAMP"), "20270115T075820Z");
    assert_eq!(value(&event, "SEQUENCE"), "222163100", "seconds from 2020 on");
    assert_eq!(plain(&value(&event, "SUMMARY")), "Review, part 2; final");
    assert_eq!(value(&event, "LOCATION"), "7001@meet.test");
    assert_eq!(value(&event, "URL"), "https://join.test/meeting/7001?secret=s");
    assert!(plain(&value(&event, "DESCRIPTION")).contains("Passcode: 4711\n"));
    assert_eq!(
        invite.text(),
        "Review, part 2; final\n\nWhen: 2027-01-15 08:00 to 08:45 UTC\nOpen from: 2027-01-15 07:50 UTC\n\
         Link: https://join.test/meeting/7001?secret=s\nDial: 7001@meet.test\nMeeting number: 7001\nPasscode: 4711\n"
    );
    let bare = Invite { uri: None, link: None, passcode: Some(""), ..invite };
    assert_eq!(value(&read(&bare.calendar(None, at(0))), "LOCATION"), "7001");
    assert!(bare.text().ends_with("UTC\nMeeting number: 7001\n"), "{}", bare.text());
}

/// Who has the invitation in his calendar gets an update, not a second event; and none if nothing changed.
#[test]
fn an_edit_makes_a_further_edition_of_the_same_event() {
    let before = invite("Review", 45).calendar(None, at(-100));
    assert_eq!(invite("Review", 45).calendar(Some(&before), at(-50)), before, "an edit of something else");
    let after = invite("Review", 60).calendar(Some(&before), at(-50));
    let (old, new) = (read(&before), read(&after));
    assert_eq!(value(&old, "UID"), value(&new, "UID"));
    assert_eq!(value(&new, "DTSTAMP"), "20270115T075910Z");
    let other = Invite { mark: "meeting-controller:ns/other", ..invite("Review", 45) };
    assert_ne!(value(&read(&other.calendar(None, at(0))), "UID"), value(&old, "UID"));
}

/// Calendars drop an edition that is not newer than the one that they have.
#[test]
fn every_edition_is_newer_than_those_before() {
    let sequence = |calendar: &str| value(&read(calendar), "SEQUENCE").parse::<u32>().unwrap();
    let first = invite("Review", 45).calendar(None, at(-100));
    let hasty = invite("Review", 50).calendar(Some(&first), at(-100));
    assert_eq!(sequence(&hasty), sequence(&first) + 1, "within a second");
    let back = invite("Review", 55).calendar(Some(&hasty), at(-4_000));
    assert!(sequence(&back) > sequence(&hasty), "the clock was put back");
    // The meeting was deleted and is there again, or its Secret is gone, or is no invitation of ours.
    for before in [None, Some("nonsense")] {
        assert!(sequence(&invite("Review", 45).calendar(before, at(0))) > sequence(&back));
    }
    // By an earlier version, which counted edits.
    let counted = first.replace(&format!("SEQUENCE:{}", sequence(&first)), "SEQUENCE:3");
    assert_eq!(invite("Review", 45).calendar(Some(&counted), at(0)), counted, "it says the same");
    assert!(sequence(&invite("Review", 50).calendar(Some(&counted), at(0))) > sequence(&first));
    let last = first.replace(&format!("SEQUENCE:{}", sequence(&first)), "SEQUENCE:2147483600");
    assert_eq!(sequence(&invite("Review", 50).calendar(Some(&last), at(0))), 2_147_483_601);
}

proptest! {
    /// Whatever the title: a calendar reads it as it was written, and nothing else changes.
    #[test]
    fn any_title_comes_through(title in "[^\\x00-\\x1f\\x7f]{1,200}", passcode in "[0-9]{0,20}") {
        // That parser loses a value that begins with a colon, and white space that follows a fold; both may be (RFC
        // 5545 section 3.1).
        prop_assume!(!title.starts_with(':'));
        let invite = Invite { passcode: Some(&passcode), ..invite(&title, 45) };
        let written = invite.calendar(None, at(0));
        let event = read(&written);
        let spaceless = |text: &str| text.split_whitespace().collect::<String>();
        prop_assert_eq!(spaceless(&plain(&value(&event, "SUMMARY"))), spaceless(&title));
        prop_assert_eq!(invite.calendar(Some(&written), at(50)), written);
    }
}
