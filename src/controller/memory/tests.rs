use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;

use super::*;
use crate::api::MeetingBridge;

fn object(version: u64) -> MeetingBridge {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "m", "namespace": "ns", "uid": "u", "resourceVersion": version.to_string() },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "cms" } }
    }))
    .unwrap()
}

fn newest(own: &Memory<MeetingBridge>, store: &Store<MeetingBridge>) -> u64 {
    version_of(own.newest(store.get(&ObjectRef::from_obj(&object(0))).unwrap()).as_ref())
}

#[test]
fn what_was_read_anew_holds_until_the_watch_moves_even_if_versions_went_back() {
    let (store, mut writer) = store();
    let own = Memory::default();
    writer.apply_watcher_event(&Event::Apply(object(90)));
    own.believe(&store, &object(40));
    assert_eq!(newest(&own, &store), 40, "the database was restored");
    own.note(&store, &object(41));
    assert_eq!(newest(&own, &store), 41, "and we wrote since");
    own.list_begins(&None);
    own.note(&store, &object(42));
    own.list_is_there(&None);
    assert_eq!(newest(&own, &store), 42, "the list may have begun before this write");
    writer.apply_watcher_event(&Event::Apply(object(45)));
    own.store_has(&store, &object(45));
    assert_eq!(newest(&own, &store), 45);
}

#[test]
fn what_was_written_before_a_list_is_in_it() {
    let (store, mut writer) = store();
    let own = Memory::default();
    writer.apply_watcher_event(&Event::Apply(object(80)));
    own.note(&store, &object(90));
    assert_eq!(newest(&own, &store), 90);
    own.list_begins(&None);
    writer.apply_watcher_event(&Event::Apply(object(40)));
    own.list_is_there(&None);
    assert_eq!(newest(&own, &store), 40, "the list is believed");
}

#[test]
fn a_list_of_another_namespace_says_nothing_of_what_was_written() {
    let (store, mut writer) = store();
    let own = Memory::default();
    writer.apply_watcher_event(&Event::Apply(object(80)));
    own.note(&store, &object(90));
    let [other, same] = ["other", "ns"].map(|namespace| Some(namespace.to_owned()));
    own.list_begins(&other);
    own.list_is_there(&other);
    assert_eq!(newest(&own, &store), 90);
    own.list_begins(&same);
    own.list_is_there(&other);
    assert_eq!(newest(&own, &store), 90, "it is not there yet");
    own.list_is_there(&same);
    assert_eq!(newest(&own, &store), 80);
}

/// The database was put back, and the watch, which was taken up at a version that is still to come, says nothing.
#[test]
fn what_was_read_anew_holds_against_what_the_store_shows_and_against_an_older_copy() {
    let (store, mut writer) = store();
    let own = Memory::default();
    writer.apply_watcher_event(&Event::Apply(object(90)));
    own.believe(&store, &object(40));
    let newest_of = |given: u64| version_of(own.newest_of(&store, Arc::new(object(given))).as_ref());
    assert_eq!((newest_of(90), newest_of(80)), (40, 40));
    // A pass that waited while the watch went on.
    writer.apply_watcher_event(&Event::Apply(object(91)));
    assert_eq!(newest_of(80), 91);
}

/// A list comes in pages, and who is woken for one reads the store, which has none of them before the last.
#[test]
fn what_a_list_shows_of_an_older_database_holds_until_the_list_is_there() {
    let (store, mut writer) = store();
    let own = Memory::default();
    writer.apply_watcher_event(&Event::Apply(object(90)));
    writer.apply_watcher_event(&Event::Init);
    own.list_begins(&None);
    own.believe(&store, &object(40));
    writer.apply_watcher_event(&Event::InitApply(object(40)));
    own.store_has(&store, &object(40));
    assert_eq!(newest(&own, &store), 40);
    writer.apply_watcher_event(&Event::InitDone);
    own.list_is_there(&None);
    assert_eq!(newest(&own, &store), 40);
    writer.apply_watcher_event(&Event::Apply(object(41)));
    own.store_has(&store, &object(41));
    assert_eq!(newest(&own, &store), 41);
}

/// The list began before our write, which another page of it does not show.
#[test]
fn what_we_wrote_while_a_list_is_read_is_newer_than_the_list() {
    let (store, mut writer) = store();
    let own = Memory::default();
    writer.apply_watcher_event(&Event::Apply(object(40)));
    own.note(&store, &object(42));
    own.list_begins(&None);
    own.believe_listed(&store, &object(45));
    assert_eq!(newest(&own, &store), 45, "what was written before is in the list");
    own.note(&store, &object(50));
    own.believe_listed(&store, &object(45));
    assert_eq!(newest(&own, &store), 50);
    writer.apply_watcher_event(&Event::Apply(object(45)));
    own.list_is_there(&None);
    assert_eq!(newest(&own, &store), 50);
    // The database was put back, and we wrote since.
    writer.apply_watcher_event(&Event::Apply(object(90)));
    own.list_begins(&None);
    own.believe_listed(&store, &object(60));
    own.note(&store, &object(61));
    own.believe_listed(&store, &object(60));
    assert_eq!(newest(&own, &store), 61);
}
