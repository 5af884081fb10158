//! What is known of one kind, and how fresh it is; and the watch that tells it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc;

use crate::kubectl::reach::{Kind, Reach, Trouble, read, trouble};
use crate::kubectl::show::board::{Note, stale};
use crate::kubectl::show::{Ink, plain};

/// A watch is ended after so many seconds and begun anew: silence that lasts longer is a broken connection.
const WATCH_SECONDS: u32 = 25;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which kind is told of.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    Bridges,
    Meetings,
}

/// What a watch tells.
#[expect(clippy::large_enum_variant, reason = "nearly all news are events")]
#[derive(Debug)]
pub enum News {
    Event(Event<DynamicObject>),
    /// It broke, and is begun anew.
    Broken(Trouble),
    /// Only this namespace may be seen.
    Narrowed(String),
}

/// What is known of one kind. An object that cannot be read costs itself and nothing else.
#[derive(Debug)]
pub struct Feed<K> {
    objects: BTreeMap<String, Result<K, Trouble>>,
    /// A new list, until it is whole: until then the old one is shown.
    coming: BTreeMap<String, Result<K, Trouble>>,
    is_read: bool,
    trouble: Option<(Timestamp, Trouble)>,
    narrowed: Option<String>,
}

impl<K> Default for Feed<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), coming: BTreeMap::new(), is_read: false, trouble: None, narrowed: None }
    }
}

impl<K: Kind + Clone> Feed<K> {
    /// Takes in what a watch tells.
    pub fn absorb(&mut self, news: News, now: Timestamp) {
        let key = |object: &DynamicObject| format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        match news {
            News::Broken(trouble) => {
                let since = self.trouble.as_ref().map_or(now, |(since, _)| *since);
                self.trouble = Some((since, trouble));
                return;
            }
            News::Narrowed(namespace) => {
                self.narrowed = Some(namespace);
                return;
            }
            // Nothing was answered yet.
            News::Event(Event::Init) => {
                self.coming.clear();
                return;
            }
            News::Event(Event::InitApply(object)) => {
                self.coming.insert(key(&object), read(object).map(|got| got.read));
                return;
            }
            News::Event(Event::InitDone) => {
                self.objects = std::mem::take(&mut self.coming);
                self.is_read = true;
            }
            News::Event(Event::Apply(object)) => {
                self.objects.insert(key(&object), read(object).map(|got| got.read));
            }
            News::Event(Event::Delete(object)) => {
                self.objects.remove(&key(&object));
            }
        }
        self.trouble = None;
    }

    /// The objects that can be read, by name.
    pub fn objects(&self) -> Vec<K> {
        self.objects.values().flatten().cloned().collect()
    }

    /// What whoever looks should know.
    pub fn notes(&self, zone: &TimeZone) -> Vec<Note> {
        let kind = format!("{}s", K::kind(&()));
        let mut notes = Vec::new();
        match &self.trouble {
            Some((since, trouble)) => {
                let since = self.is_read.then_some(*since);
                notes.push(stale(&kind, since, &trouble.reason, &trouble.remedy, zone));
            }
            None if !self.is_read => {
                notes.push(Note { ink: Ink::Dim, text: format!("{kind}: being read."), remedy: String::new() });
            }
            None => {}
        }
        if let Some(namespace) = &self.narrowed {
            let text = format!("You see the {kind} of namespace {namespace}; you may not list the others.");
            notes.push(Note { ink: Ink::Dim, text, remedy: String::new() });
        }
        let unreadable = self.objects.values().filter_map(|object| object.as_ref().err());
        notes.extend(unreadable.map(|trouble| Note {
            ink: Ink::Bad,
            text: format!("{}: {}", trouble.object, plain(&trouble.reason)),
            remedy: plain(&trouble.remedy),
        }));
        notes
    }
}

/// Watches a kind for as long as somebody listens: everywhere, or in the user's namespace. Who may not see everything sees
/// their own, if `may_narrow`.
pub async fn follow<K: Kind + Clone + Debug>(
    reach: Arc<Reach>,
    of: Of,
    (mut everywhere, may_narrow): (bool, bool),
    tell: mpsc::Sender<(Of, News)>,
) {
    let mut pause = FIRST_PAUSE;
    let own = reach.namespace.clone();
    loop {
        let api = if everywhere { reach.raw_everywhere::<K>() } else { reach.raw::<K>(&own) };
        let mut events = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS)).boxed();
        while let Some(event) = events.next().await {
            let news = match event {
                Ok(event) => {
                    if matches!(event, Event::InitDone) {
                        pause = FIRST_PAUSE;
                    }
                    News::Event(event)
                }
                Err(error) => match broken(error) {
                    None => break,
                    Some((verb, error)) => {
                        let is_refused = matches!(&error, kube::Error::Api(status) if status.code == 403);
                        if everywhere && may_narrow && is_refused && verb == "list" {
                            everywhere = false;
                            News::Narrowed(own.clone())
                        } else {
                            let place = if everywhere { "*" } else { own.as_str() };
                            News::Broken(trouble::<K>(&error, verb, place, "*"))
                        }
                    }
                },
            };
            let is_over = !matches!(news, News::Event(_));
            if tell.send((of, news)).await.is_err() {
                return;
            }
            if is_over {
                break;
            }
        }
        // Begun anew with a list, which proves that it is there again; a watch alone is silent if nothing happens.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What went wrong with which request; nothing, if the watch only is too old.
fn broken(error: watcher::Error) -> Option<(&'static str, kube::Error)> {
    match error {
        watcher::Error::InitialListFailed(error) => Some(("list", error)),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => Some(("watch", error)),
        watcher::Error::WatchError(status) if status.code == 410 => None,
        watcher::Error::WatchError(status) => Some(("watch", kube::Error::Api(status))),
        watcher::Error::NoResourceVersion => None,
    }
}

#[cfg(test)]
mod tests;
