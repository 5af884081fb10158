use std::sync::{Arc, Mutex};

use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector;

use super::*;

fn map(key: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    let (namespace, name) = key.split_once('/').unwrap();
    (map.metadata.namespace, map.metadata.name) = (Some(namespace.to_owned()), Some(name.to_owned()));
    map
}

fn named_event(event: &Event<ConfigMap>) -> String {
    match event {
        Event::Init => "begin".to_owned(),
        Event::InitApply(map) => format!("list {}", ObjectKey::of(map)),
        Event::InitDone => "done".to_owned(),
        Event::Apply(map) => format!("set {}", ObjectKey::of(map)),
        Event::Delete(map) => format!("gone {}", ObjectKey::of(map)),
    }
}

/// Two watches, of the namespaces a and b: what is heard of each, and what the store shows after each event.
struct Bench {
    heard: Arc<Mutex<Vec<String>>>,
    senders: Vec<UnboundedSender<Event<ConfigMap>>>,
    merged: BoxStream<'static, Event<ConfigMap>>,
    store: Store<ConfigMap>,
}

impl Bench {
    fn new() -> Self {
        let (store, writer) = reflector::store();
        let (senders, watches): (Vec<_>, Vec<_>) = (0..2).map(|_| unbounded()).unzip();
        let named = ["a", "b"].map(|namespace| Some(namespace.to_owned())).into_iter();
        let watches = named.zip(watches.into_iter().map(StreamExt::boxed)).collect();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = Arc::clone(&heard);
        let hear = move |within: &Within, event: &Event<ConfigMap>| {
            all.lock().unwrap().push(format!("{}: {}", within.as_deref().unwrap(), named_event(event)));
        };
        let events = merged(watches, store.clone(), hear).map(Ok);
        let touched = reflector(writer, events).filter_map(|event| async { event.ok() });
        Self { heard, senders, merged: touched.boxed(), store }
    }

    /// Sends these events on a watch: what is told, and what is stored then.
    fn send(&mut self, watch: usize, events: Vec<Event<ConfigMap>>) -> (Vec<String>, Vec<String>) {
        for event in events {
            self.senders[watch].unbounded_send(event).unwrap();
        }
        let mut told = Vec::new();
        while let Some(Some(event)) = futures::FutureExt::now_or_never(self.merged.next()) {
            told.push(named_event(&event));
        }
        let mut stored: Vec<_> = self.store.state().iter().map(|map| map.metadata.name.clone().unwrap()).collect();
        stored.sort();
        (told, stored)
    }
}

fn list(keys: &[&str]) -> Vec<Event<ConfigMap>> {
    let listed = keys.iter().map(|key| Event::InitApply(map(key)));
    std::iter::once(Event::Init).chain(listed).chain([Event::InitDone]).collect()
}

#[test]
fn the_list_is_there_when_every_watch_has_its_own() {
    let mut bench = Bench::new();
    let (told, stored) = bench.send(0, list(&["a/x", "a/y"]));
    assert_eq!((told, stored), (vec!["begin".to_owned(), "list a/x".to_owned(), "list a/y".to_owned()], vec![]));
    // What changes before belongs to the list.
    let (told, _) = bench.send(0, vec![Event::Apply(map("a/z")), Event::Delete(map("a/y")), Event::Delete(map("a/x"))]);
    assert_eq!(told, ["list a/z"]);
    let (told, _) = bench.send(0, vec![Event::Apply(map("a/x"))]);
    assert_eq!(told, ["list a/x"], "it was made again");
    let (told, stored) = bench.send(1, list(&["b/q"]));
    assert_eq!(told, ["list b/q", "done", "gone a/y"]);
    assert_eq!(stored, ["q", "x", "z"]);
}

#[test]
fn a_watch_that_lists_again_tells_what_is_different_and_leaves_the_others_alone() {
    let mut bench = Bench::new();
    bench.send(0, list(&["a/x", "a/y"]));
    bench.send(1, list(&["b/x", "b/q"]));
    let (told, stored) = bench.send(0, list(&["a/y", "a/z"]));
    assert_eq!(told, ["set a/y", "set a/z", "gone a/x"]);
    assert_eq!(stored, ["q", "x", "y", "z"], "b/x is there");
    // Whoever must know that a list is read anew hears it as from a single watch.
    let mut heard = std::mem::take(&mut *bench.heard.lock().unwrap());
    assert_eq!(heard.split_off(8), ["a: begin", "a: list a/y", "a: list a/z", "a: done"]);
    let (told, stored) = bench.send(1, vec![Event::Delete(map("b/x"))]);
    assert_eq!((told, stored), (vec!["gone b/x".to_owned()], vec!["q".to_owned(), "y".to_owned(), "z".to_owned()]));
}

#[test]
fn a_list_that_breaks_off_hides_nothing_that_went() {
    let mut bench = Bench::new();
    bench.send(1, list(&[]));
    bench.send(0, vec![Event::Init, Event::InitApply(map("a/x"))]);
    let (told, stored) = bench.send(0, list(&["a/y"]));
    assert_eq!(told, ["list a/y", "done", "gone a/x"]);
    assert_eq!(stored, ["y"]);
    // The same once all is there.
    bench.send(0, vec![Event::Init, Event::InitApply(map("a/z"))]);
    let (told, stored) = bench.send(0, list(&["a/y"]));
    assert_eq!(told, ["set a/y", "gone a/z"]);
    assert_eq!(stored, ["y"]);
}
