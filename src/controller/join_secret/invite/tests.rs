use ical::parser::ical::component::IcalEvent;
use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn spec(title: &str, changes: serde_json::Value) -> ScheduledMeetingSpec {
    let mut spec = serde_json::json!({ "title": title, "start": at(0).to_string(), "duration": "45m" });
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn invite(spec: &ScheduledMeetingSpec) -> Invite<'_> {
    Invite {
        mark: "meeting-controller:ns/m",
        spec,
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
    let spec = spec("Review, part 2; final", serde_json::json!({ "earlyJoin": "10m" }));
    let invite = invite(&spec);
    let event = read(&invite.calendar(None, Some(1), at(-100)));
    assert_eq!(value(&event, "DTSTART"), "20270115T080000Z");
    assert_eq!(value(&event, "DTEND"), "20270115T084500Z");
    assert_eq!(value(&event, "DTSTAMP"), "20270115T075820Z");
    assert_eq!(value(&event, "SEQUENCE"), "0");
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
    assert_eq!(value(&read(&bare.calendar(None, None, at(0))), "LOCATION"), "7001");
    assert!(bare.text().ends_with("UTC\nMeeting number: 7001\n"), "{}", bare.text());
}

/// Who has the invitation in his calendar gets an update, not a second event; and none if nothing changed.
#[test]
fn an_edit_makes_a_further_edition_of_the_same_event() {
    let first = spec("Review", serde_json::json!({}));
    let before = invite(&first).calendar(None, Some(1), at(-100));
    assert_eq!(invite(&first).calendar(Some(&before), Some(2), at(-50)), before, "an edit of something else");
    let edited = spec("Review", serde_json::json!({ "duration": "1h" }));
    let after = invite(&edited).calendar(Some(&before), Some(3), at(-50));
    let (old, new) = (read(&before), read(&after));
    assert_eq!(value(&old, "UID"), value(&new, "UID"));
    assert_eq!((value(&new, "SEQUENCE"), value(&new, "DTSTAMP")), ("2".to_owned(), "20270115T075910Z".to_owned()));
    // Restored from git: the object counts from 1 again, the invitation does not.
    let moved = spec("Review", serde_json::json!({ "duration": "30m" }));
    let restored = invite(&moved).calendar(Some(&after), Some(1), at(-40));
    assert_eq!(value(&read(&restored), "SEQUENCE"), "3");
    let other = Invite { mark: "meeting-controller:ns/other", ..invite(&first) };
    assert_ne!(value(&read(&other.calendar(None, None, at(0))), "UID"), value(&old, "UID"));
    // What is no invitation of ours is written anew.
    assert_eq!(value(&read(&invite(&first).calendar(Some("nonsense"), Some(1), at(0))), "SEQUENCE"), "0");
}

proptest! {
    /// Whatever the title: a calendar reads it as it was written, and nothing else changes.
    #[test]
    fn any_title_comes_through(title in "[^\\x00-\\x1f\\x7f]{1,200}", passcode in "[0-9]{0,20}") {
        // That parser loses a value that begins with a colon, and white space that follows a fold; both may be (RFC
        // 5545 section 3.1).
        prop_assume!(!title.starts_with(':'));
        let spec = spec(&title, serde_json::json!({}));
        let invite = Invite { passcode: Some(&passcode), ..invite(&spec) };
        let written = invite.calendar(None, Some(1), at(0));
        let event = read(&written);
        let spaceless = |text: &str| text.split_whitespace().collect::<String>();
        prop_assert_eq!(spaceless(&plain(&value(&event, "SUMMARY"))), spaceless(&title));
        prop_assert_eq!(value(&event, "SEQUENCE"), "0");
        prop_assert_eq!(invite.calendar(Some(&written), Some(9), at(50)), written);
    }
}
