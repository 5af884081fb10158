use serde_json::json;

use super::*;
use crate::api::ScheduledMeeting;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn object(name: &str, spec: serde_json::Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": name, "namespace": "team" }, "spec": spec
    }))
    .unwrap()
}

fn good(name: &str) -> DynamicObject {
    object(name, json!({ "title": name, "start": "2026-11-24T09:00:00Z", "duration": "1h" }))
}

fn told(feed: &mut Feed<ScheduledMeeting>, news: impl IntoIterator<Item = News>) -> (Vec<String>, Vec<String>) {
    for news in news {
        feed.absorb(news, at("2026-11-24T10:00:00Z"));
    }
    let names = feed.objects().iter().map(ResourceExt::name_any).collect();
    (names, feed.notes(&TimeZone::UTC).into_iter().map(|note| format!("{} Do: {}", note.text, note.remedy)).collect())
}

fn broken_by(reason: &str) -> News {
    News::Broken(Trouble::new("ScheduledMeetings", reason, "log in again"))
}

#[test]
fn an_object_that_cannot_be_read_is_told_of_and_costs_itself_only() {
    let mut feed = Feed::default();
    let odd = object("odd", json!({ "title": ["a", "list"], "start": "tomorrow" }));
    let all = [Event::Init, Event::InitApply(odd), Event::InitApply(good("review")), Event::InitDone];
    let (names, notes) = told(&mut feed, all.map(News::Event));
    assert_eq!(names, ["review"]);
    assert!(notes.len() == 1 && notes[0].starts_with("ScheduledMeeting team/odd: "), "{notes:?}");
    assert!(notes[0].contains("Do: use the plugin of the controller's version"), "{notes:?}");
    let (names, notes) = told(&mut feed, [News::Event(Event::Apply(good("odd")))]);
    assert_eq!((names.len(), notes.len()), (2, 0), "it was mended");
}

#[test]
fn a_broken_watch_shows_what_was_known_and_since_when_it_is_old() {
    let mut feed = Feed::default();
    assert_eq!(told(&mut feed, []), (vec![], vec!["ScheduledMeetings: being read. Do: ".to_owned()]));
    let (_, notes) = told(&mut feed, [broken_by("no way in")]);
    assert_eq!(notes, ["ScheduledMeetings: cannot be read. no way in Do: log in again"]);
    let (names, notes) =
        told(&mut feed, [Event::Init, Event::InitApply(good("review")), Event::InitDone].map(News::Event));
    assert_eq!((names.len(), notes.len()), (1, 0));
    told(&mut feed, [broken_by("it fell")]);
    feed.absorb(broken_by("it\u{1b} lies there"), at("2026-11-24T11:00:00Z"));
    // A list that was begun, and of which only a part came, shows nothing less.
    let (names, notes) = told(&mut feed, [Event::Init, Event::InitApply(good("other"))].map(News::Event));
    assert_eq!(names, ["review"]);
    let expected =
        "ScheduledMeetings: stale since Tue 2026-11-24 10:00. it\u{fffd} lies there Do: log in again".to_owned();
    assert_eq!(notes, [expected]);
    let (names, notes) = told(&mut feed, [News::Event(Event::InitDone)]);
    assert_eq!((names, notes.len()), (vec!["other".to_owned()], 0));
    let (names, notes) = told(&mut feed, [Event::Apply(good("more")), Event::Delete(good("other"))].map(News::Event));
    assert_eq!((names, notes.len()), (vec!["more".to_owned()], 0));
    let (_, notes) = told(&mut feed, [News::Narrowed("team".to_owned())]);
    assert!(notes[0].starts_with("You see the ScheduledMeetings of namespace team"), "{notes:?}");
}

#[test]
fn a_watch_that_is_only_too_old_is_no_trouble() {
    let status = |code| Box::new(kube::core::Status::failure("x", "y").with_code(code));
    assert!(broken(watcher::Error::WatchError(status(410))).is_none());
    assert!(broken(watcher::Error::NoResourceVersion).is_none());
    assert!(matches!(broken(watcher::Error::WatchError(status(500))), Some(("watch", _))));
}
