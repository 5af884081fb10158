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
    own.store_has(&object(45));
    writer.apply_watcher_event(&Event::Apply(object(45)));
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
