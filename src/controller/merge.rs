//! The watches of several namespaces as one, for one store.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use crate::api::names::ObjectKey;

/// The namespace of a watch; none: all.
pub type Within = Option<String>;

/// One list, which is there when that of each watch is, and one stream of changes. A store begins with a list and throws
/// away what it had; so a watch that lists again later only tells it what is different. That a list is read anew, and what
/// is in it, is heard by `hear`, of each watch by itself.
pub fn merged<K>(
    watches: Vec<(Within, BoxStream<'static, Event<K>>)>,
    store: Store<K>,
    mut hear: impl FnMut(&Within, &Event<K>) + Send + 'static,
) -> BoxStream<'static, Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut merge = Merge::of(watches.len());
    let (names, watches): (Vec<_>, Vec<_>) = watches.into_iter().unzip();
    let numbered = watches.into_iter().enumerate().map(|(index, watch)| watch.map(move |event| (index, event)).boxed());
    let heard = select_all(numbered).inspect(move |(index, event)| {
        if let Some(within) = names.get(*index) {
            hear(within, event);
        }
    });
    if merge.parts.len() == 1 {
        return heard.map(|(_, event)| event).boxed();
    }
    heard
        .flat_map(move |(index, event)| futures::stream::iter(merge.take(index, event)))
        // When this is asked for, the store has taken whatever came before.
        .filter_map(move |told| {
            let event = match told {
                Told::Event(event) => Some(event),
                Told::Gone(key) => stored(&store, &key).map(Event::Delete),
            };
            std::future::ready(event)
        })
        .boxed()
}

fn stored<K>(store: &Store<K>, key: &ObjectKey) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let reference = ObjectRef::new(&key.name);
    let reference = if key.namespace.is_empty() { reference } else { reference.within(&key.namespace) };
    store.get(&reference).map(|found| K::clone(&found))
}

/// What is told downstream.
enum Told<K> {
    Event(Event<K>),
    /// A list does not show it any more.
    Gone(ObjectKey),
}

/// What one watch has shown.
#[derive(Default)]
struct Part {
    known: BTreeSet<ObjectKey>,
    /// By the list that is being read.
    listed: BTreeSet<ObjectKey>,
    is_filled: bool,
}

struct Merge {
    parts: Vec<Part>,
    has_begun: bool,
    is_filled: bool,
    /// What went before the list was there.
    gone: BTreeSet<ObjectKey>,
}

impl Merge {
    fn of(watches: usize) -> Self {
        let parts = std::iter::repeat_with(Part::default).take(watches).collect();
        Self { parts, has_begun: false, is_filled: false, gone: BTreeSet::new() }
    }

    fn take<K: Resource<DynamicType = ()>>(&mut self, index: usize, event: Event<K>) -> Vec<Told<K>> {
        let Some(part) = self.parts.get_mut(index) else { return Vec::new() };
        match event {
            Event::Init => {
                // A list that broke off has shown what is to be missed if the next one does not.
                part.known.append(&mut part.listed);
                let is_first = !std::mem::replace(&mut self.has_begun, true);
                if is_first { vec![Told::Event(Event::Init)] } else { Vec::new() }
            }
            Event::InitApply(object) => {
                part.listed.insert(ObjectKey::of(&object));
                vec![self.is_there(object)]
            }
            Event::Apply(object) => {
                part.known.insert(ObjectKey::of(&object));
                vec![self.is_there(object)]
            }
            Event::Delete(object) => {
                let key = ObjectKey::of(&object);
                part.known.remove(&key);
                if self.is_filled {
                    return vec![Told::Event(Event::Delete(object))];
                }
                self.gone.insert(key);
                Vec::new()
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut part.listed);
                self.gone.extend(part.known.difference(&listed).cloned());
                part.known = listed;
                part.is_filled = true;
                self.list_done()
            }
        }
    }

    fn is_there<K: Resource<DynamicType = ()>>(&mut self, object: K) -> Told<K> {
        self.gone.remove(&ObjectKey::of(&object));
        Told::Event(if self.is_filled { Event::Apply(object) } else { Event::InitApply(object) })
    }

    fn list_done<K>(&mut self) -> Vec<Told<K>> {
        if !self.parts.iter().all(|part| part.is_filled) {
            return Vec::new();
        }
        let first = (!std::mem::replace(&mut self.is_filled, true)).then_some(Told::Event(Event::InitDone));
        first.into_iter().chain(std::mem::take(&mut self.gone).into_iter().map(Told::Gone)).collect()
    }
}

#[cfg(test)]
mod tests;
