use serde_json::json;

use super::*;

fn meeting(name: &str, uid: &str, owner: Option<&str>) -> ScheduledMeeting {
    let owners: Vec<_> = owner
        .iter()
        .map(|owner| {
            json!({ "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries", "name": owner,
                             "uid": "s", "controller": true })
        })
        .collect();
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": name, "namespace": "ns", "uid": uid, "generation": 1, "ownerReferences": owners },
        "spec": { "title": "t", "start": "2026-12-07T09:00:00Z", "duration": "1h" }
    }))
    .unwrap()
}

fn weekly() -> ObjectKey {
    ObjectKey::new("ns", "weekly")
}

#[test]
fn a_series_is_woken_by_what_it_wants_to_hear_and_by_nothing_else() {
    let index = Occurrences::default();
    let mut one = meeting("weekly-20261207t0900", "1", Some("weekly"));
    assert_eq!(index.seen(&one), Some(weekly()));
    assert_eq!(index.seen(&one), None);
    one.status = Some(serde_json::from_value(json!({ "phase": "Active", "participantCount": 4 })).unwrap());
    assert_eq!(index.seen(&one), None, "how it runs is nothing to a series");
    one.status = Some(serde_json::from_value(json!({ "phase": "Active", "slot": { "number": 1 } })).unwrap());
    assert_eq!(index.seen(&one), Some(weekly()), "it has a slot now");
    one.status = Some(serde_json::from_value(json!({ "phase": "Ended" })).unwrap());
    assert_eq!(index.seen(&one), Some(weekly()));
    assert_eq!(index.gone(&one), Some(weekly()));
    assert!(index.of(&weekly()).is_empty());
}

#[test]
fn what_was_made_is_known_until_the_watch_shows_it() {
    let index = Occurrences::default();
    let one = meeting("weekly-20261207t0900", "1", Some("weekly"));
    index.made(&weekly(), &one);
    assert!(index.of(&weekly())["weekly-20261207t0900"].is_some());
    assert_eq!(index.seen(&one), None, "it is as it was made");
    assert!(index.of(&weekly())["weekly-20261207t0900"].is_none(), "the store has it");
    index.made(&weekly(), &one);
    assert!(index.of(&weekly())["weekly-20261207t0900"].is_none(), "the watch was faster than the reply");
}

#[test]
fn what_a_list_does_not_show_is_gone_unless_it_was_made_meanwhile() {
    let index = Occurrences::default();
    index.list_begins(&None);
    index.listed(&None, &meeting("weekly-20261207t0900", "1", Some("weekly")));
    index.listed(&None, &meeting("weekly-20261214t0900", "2", Some("weekly")));
    assert_eq!(index.list_is_there(&None), BTreeSet::from([weekly()]));
    index.list_begins(&None);
    index.listed(&None, &meeting("weekly-20261214t0900", "2", Some("weekly")));
    index.made(&weekly(), &meeting("weekly-20261221t0900", "3", Some("weekly")));
    assert_eq!(index.list_is_there(&None), BTreeSet::from([weekly()]));
    assert_eq!(index.of(&weekly()).into_keys().collect::<Vec<_>>(), ["weekly-20261214t0900", "weekly-20261221t0900"]);
    assert!(index.of(&weekly())["weekly-20261221t0900"].is_some(), "the store does not have it");
    index.list_begins(&Some("other".to_owned()));
    assert!(index.list_is_there(&Some("other".to_owned())).is_empty(), "another namespace says nothing of this one");
}

/// The store takes a list when it is complete.
#[test]
fn while_a_list_is_read_a_pass_sees_what_was_made_and_whoever_wants_to_hear_waits_for_the_end_of_it() {
    let index = Occurrences::default();
    let (one, mut two) =
        (meeting("weekly-20261207t0900", "1", Some("weekly")), meeting("weekly-20261214t0900", "2", None));
    two.metadata.owner_references.clone_from(&one.metadata.owner_references);
    index.seen(&two);
    index.made(&weekly(), &one);
    index.list_begins(&None);
    index.listed(&None, &one);
    index.listed(&None, &two);
    assert!(index.of(&weekly())["weekly-20261207t0900"].is_some(), "the store does not have it yet");
    assert!(index.list_is_there(&None).is_empty(), "nothing is new");
    assert!(index.of(&weekly())["weekly-20261207t0900"].is_none(), "now it has");
    index.list_begins(&None);
    two.metadata.generation = Some(2);
    index.listed(&None, &one);
    index.listed(&None, &two);
    // That list broke off, and the next one shows nothing more.
    index.list_begins(&None);
    index.listed(&None, &one);
    index.listed(&None, &two);
    assert_eq!(index.list_is_there(&None), BTreeSet::from([weekly()]), "it was edited meanwhile");
}

#[test]
fn what_was_looked_at_takes_the_place_of_what_was_made() {
    let index = Occurrences::default();
    let mut one = meeting("weekly-20261207t0900", "1", Some("weekly"));
    index.made(&weekly(), &one);
    one.metadata.resource_version = Some("7".to_owned());
    index.looked_at(&weekly(), &one);
    let of = |index: &Occurrences| index.of(&weekly())["weekly-20261207t0900"].clone();
    assert_eq!(of(&index).unwrap().metadata.resource_version.as_deref(), Some("7"));
    index.missed(&weekly(), "weekly-20261207t0900");
    assert!(of(&index).is_none(), "it is gone");
    index.looked_at(&weekly(), &meeting("weekly-20261214t0900", "2", Some("another")));
    assert_eq!(index.of(&weekly()).len(), 1, "it is another one's");
}

#[test]
fn a_meeting_in_the_way_of_a_series_is_heard_of_by_its_name() {
    let index = Occurrences::default();
    let stranger = meeting("weekly-20261207t0900", "1", None);
    assert_eq!(index.seen(&stranger), Some(weekly()));
    assert_eq!(index.gone(&stranger), Some(weekly()));
    assert_eq!(index.seen(&meeting("board", "2", None)), None);
}
