use super::*;

fn bridge(ready: &str, message: &str, accepted: &str, foreign: u32) -> MeetingBridge {
    let told = |kind: &str, status: &str| {
        serde_json::json!({ "type": kind, "status": status, "reason": "R", "message": message,
                            "lastTransitionTime": "2026-01-01T00:00:00Z" })
    };
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "b", "namespace": "ns", "uid": "u", "generation": 1 },
        "spec": { "address": "cms.test", "credentialsSecretRef": { "name": "cms" } },
        "status": { "conditions": [told("Ready", ready), told("Accepted", accepted)],
                    "slots": { "total": 5, "free": 5 - foreign, "foreign": foreign } }
    }))
    .unwrap()
}

#[test]
fn only_what_changes_the_offers_wakes_those_without_a_slot() {
    let judge = |bridge: &MeetingBridge| (relevant(bridge), offered(bridge));
    let before = judge(&bridge("True", "as it was", "True", 0));
    assert_eq!(judge(&bridge("True", "told otherwise", "Unknown", 0)), before);
    assert_ne!(judge(&bridge("False", "as it was", "True", 0)), before, "not Ready any more");
    assert_ne!(judge(&bridge("True", "as it was", "False", 0)), before, "not accepted any more");
    assert_ne!(judge(&bridge("True", "as it was", "True", 1)), before, "a slot is somebody else's");
    let mut edited = bridge("True", "as it was", "True", 0);
    edited.metadata.generation = Some(2);
    assert_ne!(judge(&edited), before);
}

/// What a reader of the store would be told, event by event: the objects, and of which generation the store has each then.
fn told(events: Vec<Event<MeetingBridge>>) -> Vec<Vec<Option<i64>>> {
    let (store, mut writer) = kube::runtime::reflector::store();
    let mut changes = Changes::default();
    let take = |event: Event<MeetingBridge>| {
        writer.apply_watcher_event(&event);
        let due = changes.take(&event);
        due.iter().map(|due| store.get(due).and_then(|found| found.metadata.generation)).collect()
    };
    events.into_iter().map(take).collect()
}

fn named(name: &str, generation: i64) -> MeetingBridge {
    let mut bridge = bridge("True", "as it was", "True", 0);
    (bridge.metadata.name, bridge.metadata.generation) = (Some(name.to_owned()), Some(generation));
    bridge.metadata.uid = Some(format!("uid-{name}"));
    bridge
}

/// A list comes in pages, and the loop works on what the store has: whoever came while the watch was broken was dropped as one
/// that is gone, and an edit of that time was not seen before the next one.
#[test]
fn what_a_list_shows_anew_is_told_when_the_store_has_it() {
    use Event::{Apply, Delete, Init, InitApply, InitDone};
    let first = vec![Init, InitApply(named("a", 1)), InitApply(named("b", 1)), InitDone];
    assert_eq!(told(first.clone()), [vec![], vec![], vec![], vec![Some(1), Some(1)]]);
    let again = vec![Init, InitApply(named("a", 2)), InitApply(named("b", 1)), InitApply(named("c", 1)), InitDone];
    let all = told(first.iter().cloned().chain(again).collect());
    assert_eq!(all[4..], [vec![], vec![], vec![], vec![], vec![Some(2), Some(1)]], "b is as it was");
    // A list that broke off, and the next one.
    let broken =
        vec![Init, InitApply(named("c", 1)), Init, InitApply(named("c", 1)), InitApply(named("b", 1)), InitDone];
    assert_eq!(told(first.iter().cloned().chain(broken).collect()).last().unwrap(), &[Some(1)]);
    // One by one; one that was deleted, or that a list did not show, and comes again is a new one.
    let single = vec![Apply(named("b", 1)), Apply(named("b", 2)), Delete(named("b", 2)), Apply(named("b", 2))];
    assert_eq!(
        told(first.iter().cloned().chain(single).collect())[4..],
        [vec![], vec![Some(2)], vec![], vec![Some(2)]]
    );
    let gone = vec![Init, InitApply(named("a", 1)), InitDone, Apply(named("b", 1))];
    assert_eq!(told(first.into_iter().chain(gone).collect())[4..], [vec![], vec![], vec![], vec![Some(1)]]);
}
