//! What the watches tell: which changes are worth a pass, what goes into the index of bookings, and who is woken by a
//! Secret, a ConfigMap or the labels of a namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};

use super::context::{Context, Kind};
use super::join_secret::WebLinks;
use super::memory::version_of;
use super::merge::Within;
use crate::api::conditions::types;
use crate::api::names::{
    FAILBACK_ANNOTATION, FORCE_DELETE_ANNOTATION, ObjectKey, RECONCILE_ANNOTATION, join_secret_name,
};
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting, find, is_true, unreadable};

/// What makes a change worth a pass: the spec, the finalizers, the mark of deletion, labels, our annotations. Not our own
/// status writes.
fn relevant<K: Resource>(object: &K) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let meta = object.meta();
    (meta.generation, &meta.finalizers, meta.deletion_timestamp.is_some(), &meta.labels).hash(&mut hasher);
    unreadable(object).hash(&mut hasher);
    for annotation in [RECONCILE_ANNOTATION, FAILBACK_ANNOTATION, FORCE_DELETE_ANNOTATION] {
        object.annotations().get(annotation).hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// Fills the store of a kind, and tells of which objects something changed that is worth a pass.
pub fn triggers<K>(
    events: impl Stream<Item = Event<K>> + Send + 'static,
    writer: Writer<K>,
    ctx: Arc<Context>,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
where
    K: Kind + Send + Sync + 'static,
{
    let mut changes = Changes::default();
    kube::runtime::reflector(writer, events.map(Ok::<_, watcher::Error>)).flat_map(move |event| {
        let told = event.ok().map(|event| {
            if let Event::Apply(object) | Event::InitApply(object) = &event {
                K::memory(&ctx).store_has(K::store(&ctx), object);
            }
            changes.take(&event)
        });
        futures::stream::iter(told.unwrap_or_default())
    })
}

/// What was last seen of each object of a kind, and what a list that is being read shows of them that is new. That waits until
/// the list is there: before that the store has nothing of it, and the loop of kube drops an object that is not in the store as
/// one that is gone, and works on the former copy of one that is.
struct Changes<K: Resource<DynamicType = ()>> {
    known: BTreeMap<ObjectKey, Known>,
    list: u64,
    waiting: Vec<ObjectRef<K>>,
}

struct Known {
    /// What is relevant, and of which object.
    seen: u64,
    /// Number of the list that showed it last.
    list: u64,
}

impl<K: Resource<DynamicType = ()>> Default for Changes<K> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), list: 0, waiting: Vec::new() }
    }
}

impl<K: Resource<DynamicType = ()>> Changes<K> {
    /// Takes in an event that the store has taken. Returns those that a pass is due for.
    fn take(&mut self, event: &Event<K>) -> Vec<ObjectRef<K>> {
        match event {
            // What waits of a list that broke off is told with the next one.
            Event::Init => self.list = self.list.wrapping_add(1),
            Event::InitApply(object) => {
                let changed = self.see(object);
                self.waiting.extend(changed);
            }
            Event::InitDone => {
                self.known.retain(|_, known| known.list == self.list);
                return std::mem::take(&mut self.waiting);
            }
            Event::Apply(object) => return self.see(object).into_iter().collect(),
            Event::Delete(object) => _ = self.known.remove(&ObjectKey::of(object)),
        }
        Vec::new()
    }

    fn see(&mut self, object: &K) -> Option<ObjectRef<K>> {
        let mut hasher = DefaultHasher::new();
        (&object.meta().uid, relevant(object)).hash(&mut hasher);
        let now = Known { seen: hasher.finish(), list: self.list };
        let is_same = |before: Known| before.seen == hasher.finish();
        let before = self.known.insert(ObjectKey::of(object), now);
        (!before.is_some_and(is_same)).then(|| ObjectRef::from_obj(object))
    }
}

/// What a list shows counts from now on, although the store has it only when the list is there: whoever is woken for it goes on
/// from that. True: it is older than what was known, because the apiserver's database was put back; nothing else would tell
/// that, if only the status is older.
fn take_listed<K: Kind + 'static>(ctx: &Context, listed: &K) -> bool {
    let known = K::store(ctx).get(&ObjectRef::from_obj(listed)).filter(|known| known.uid() == listed.uid());
    let Some(before) = known.map(|known| version_of(known.as_ref())) else { return false };
    if before != version_of(listed) {
        K::memory(ctx).believe_listed(K::store(ctx), listed);
    }
    before > version_of(listed)
}

/// What each list shows while it is read, by UID.
pub type Listed = BTreeMap<Within, BTreeSet<String>>;

/// Enters an event about a meeting into the index of bookings.
pub fn index_meeting(ctx: &Context, within: &Within, listed: &mut Listed, event: &Event<ScheduledMeeting>) {
    let listed = listed.entry(within.clone()).or_default();
    let take = |meeting: &ScheduledMeeting| {
        if ctx.bookings.take_object(&ctx.meetings.known(meeting)) {
            ctx.wakes.meetings([ObjectKey::of(meeting)]);
        }
    };
    match event {
        Event::Apply(meeting) => {
            take(meeting);
            wake_series(ctx, ctx.occurrences.seen(meeting));
        }
        Event::Delete(meeting) => {
            wake_series(ctx, ctx.occurrences.gone(meeting));
            meeting.is_gone(ctx);
        }
        Event::Init => {
            listed.clear();
            ctx.bookings.list_begins(within);
            ctx.occurrences.list_begins(within);
            ctx.meetings.list_begins(within);
        }
        Event::InitApply(meeting) => {
            listed.insert(meeting.uid().unwrap_or_default());
            let is_put_back = take_listed(ctx, meeting);
            take(meeting);
            ctx.occurrences.listed(within, meeting);
            if is_put_back {
                ctx.wakes.meetings([ObjectKey::of(meeting)]);
            }
        }
        // The watch was broken: what was deleted meanwhile is told by its absence only.
        Event::InitDone => {
            ctx.meetings.list_is_there(within);
            wake_series(ctx, ctx.occurrences.list_is_there(within));
            let gone = ctx.bookings.retain(within, &std::mem::take(listed));
            gone.iter().for_each(|uid| ctx.forget_meeting(uid));
            if !gone.is_empty() {
                ctx.wake_pending();
            }
        }
    }
}

/// Wakes series that are there: most meetings are of none.
fn wake_series(ctx: &Context, keys: impl IntoIterator<Item = ObjectKey>) {
    let is_there = |key: &ObjectKey| ctx.stores.series.get(&ObjectRef::new(&key.name).within(&key.namespace)).is_some();
    ctx.wakes.series(keys.into_iter().filter(is_there));
}

/// The series that were seen, by name, and which of them a list has shown so far, while it is read.
pub type Series = (BTreeMap<ObjectKey, String>, BTreeSet<ObjectKey>);

/// Hears of series: what is kept of one that is gone is dropped, and a status that somebody wiped is written anew.
pub fn hear_series(ctx: &Context, within: &Within, series: &mut Series, event: &Event<MeetingSeries>) {
    let (known, listed) = series;
    let is_within = |key: &ObjectKey| within.as_ref().is_none_or(|within| *within == key.namespace);
    match event {
        Event::Apply(series) => {
            let before = known.insert(ObjectKey::of(series), series.uid().unwrap_or_default());
            if before.is_some() && series.status.is_none() {
                ctx.wakes.series([ObjectKey::of(series)]);
            }
        }
        Event::InitApply(series) => {
            let key = ObjectKey::of(series);
            if take_listed(ctx, series) {
                ctx.wakes.series([key.clone()]);
            }
            listed.insert(key.clone());
            known.insert(key, series.uid().unwrap_or_default());
        }
        Event::Delete(series) => {
            known.remove(&ObjectKey::of(series));
            ctx.forget::<MeetingSeries>(&series.uid().unwrap_or_default());
        }
        Event::Init => {
            listed.retain(|key| !is_within(key));
            ctx.series.list_begins(within);
        }
        Event::InitDone => {
            ctx.series.list_is_there(within);
            for (_, uid) in known.extract_if(.., |key, _| is_within(key) && !listed.contains(key)) {
                ctx.forget::<MeetingSeries>(&uid);
            }
        }
    }
}

/// What of a bridge's status decides which slots it offers. The rest changes often, and nobody is to book anew for it.
fn offered(bridge: &MeetingBridge) -> (bool, bool, u32) {
    let Some(status) = &bridge.status else { return (false, false, 0) };
    let is_refused = find(&status.conditions, types::ACCEPTED).is_some_and(|told| told.status == "False");
    let foreign = status.slots.as_ref().map_or(0, |slots| slots.foreign);
    (is_true(&status.conditions, types::READY), is_refused, foreign)
}

/// What was last seen of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    uid: String,
    relevant: Option<u64>,
    offered: (bool, bool, u32),
    has_status: bool,
    stays_for: Option<u32>,
    web: Option<WebLinks>,
}

impl Judged {
    fn of(bridge: &MeetingBridge) -> Self {
        Self {
            uid: bridge.uid().unwrap_or_default(),
            relevant: relevant(bridge),
            offered: offered(bridge),
            has_status: bridge.status.is_some(),
            stays_for: bridge.spec.scheduling.ttl_seconds_after_finished,
            web: WebLinks::of(bridge),
        }
    }
}

/// What was last seen of each bridge, and which of them a list has shown so far, while it is read.
pub type Bridges = (BTreeMap<ObjectKey, Judged>, BTreeSet<ObjectKey>);

/// Tells meetings of an event about a bridge: those that are booked on it if it is to be something else, those without a
/// slot if it may offer something else. A status that somebody wiped is written anew.
pub fn index_bridge(ctx: &Context, within: &Within, bridges: &mut Bridges, event: &Event<MeetingBridge>) {
    let (judged, listed) = bridges;
    let is_within = |key: &ObjectKey| within.as_ref().is_none_or(|within| *within == key.namespace);
    match event {
        Event::Apply(bridge) => judge(ctx, judged, bridge),
        Event::InitApply(bridge) => {
            let key = ObjectKey::of(bridge);
            if take_listed(ctx, bridge) {
                ctx.wakes.bridge(&key);
            }
            listed.insert(key);
            judge(ctx, judged, bridge);
        }
        Event::Delete(bridge) => {
            judged.remove(&ObjectKey::of(bridge));
            ctx.bridge_is_gone(&ObjectKey::of(bridge), &bridge.uid().unwrap_or_default());
        }
        Event::Init => {
            listed.retain(|key| !is_within(key));
            ctx.bridges.list_begins(within);
        }
        Event::InitDone => {
            ctx.bridges.list_is_there(within);
            for (key, gone) in judged.extract_if(.., |key, _| is_within(key) && !listed.contains(key)) {
                ctx.bridge_is_gone(&key, &gone.uid);
            }
        }
    }
}

fn judge(ctx: &Context, judged: &mut BTreeMap<ObjectKey, Judged>, bridge: &MeetingBridge) {
    let (key, now) = (ObjectKey::of(bridge), Judged::of(bridge));
    let before = judged.insert(key.clone(), now.clone());
    if before.as_ref().is_some_and(|before| before.has_status && !now.has_status) {
        ctx.wakes.bridge(&key);
    }
    let concerns =
        |before: &Judged| before.relevant != now.relevant || before.offered.2 != now.offered.2 || before.web != now.web;
    if before.as_ref().is_some_and(concerns) {
        // Its switches hold for the meetings that are booked on it as well, one of their slots may be somebody else's, and
        // their links follow its version.
        ctx.wakes.meetings(ctx.bookings.ahead(&key, ctx.clock.now()));
    }
    if before.as_ref().is_some_and(|before| before.stays_for != now.stays_for) {
        ctx.wakes.meetings(ctx.bookings.over(&key));
    }
    if before != Some(now) {
        ctx.bookings.bridges_changed();
        ctx.wake_pending();
    }
}

/// Wakes those who depend on a Secret, a ConfigMap or the labels of a namespace.
pub async fn watch_others(
    ctx: Arc<Context>,
    secrets: impl Stream<Item = BTreeSet<ObjectKey>>,
    config_maps: impl Stream<Item = BTreeSet<ObjectKey>>,
    namespaces: impl Stream<Item = BTreeSet<ObjectKey>>,
) {
    let by_secret = secrets.for_each(|changed| {
        changed.iter().for_each(|secret| secret_changed(&ctx, secret));
        std::future::ready(())
    });
    let by_config_map = config_maps.for_each(|changed| {
        for map in &changed {
            wake_bridges(&ctx, map, |bridge, name| ca_bundle_of(bridge) == Some(name));
        }
        std::future::ready(())
    });
    let by_namespace = namespaces.for_each(|changed| {
        ctx.bookings.bridges_changed();
        ctx.wake_pending();
        // What was allowed by its labels may not be any more.
        ctx.wakes.meetings(changed.iter().flat_map(|namespace| ctx.bookings.of_namespace(&namespace.name)));
        std::future::ready(())
    });
    tokio::join!(by_secret, by_config_map, by_namespace);
}

fn ca_bundle_of(bridge: &MeetingBridge) -> Option<&str> {
    bridge.spec.tls.ca_bundle_ref.as_ref().map(|reference| reference.name.as_str())
}

fn wake_bridges(ctx: &Context, of: &ObjectKey, uses: impl Fn(&MeetingBridge, &str) -> bool) {
    for bridge in ctx.stores.bridges.state() {
        let key = ObjectKey::of(bridge.as_ref());
        if key.namespace == of.namespace && uses(&bridge, &of.name) {
            ctx.wakes.bridge(&key);
        }
    }
}

fn secret_changed(ctx: &Context, secret: &ObjectKey) {
    wake_bridges(ctx, secret, |bridge, name| {
        ca_bundle_of(bridge) == Some(name) || bridge.spec.credentials().any(|secret| secret.name == name)
    });
    for (uid, key) in ctx.bookings.with_passcode_of(secret) {
        ctx.secrets.forget_passcode(&uid);
        ctx.wakes.meetings([key]);
    }
    // A stranger's Secret that is in the way of a join Secret, and perhaps no more.
    ctx.wakes.meetings(meeting_named_by(&secret.name).into_iter().filter_map(|name| {
        let meeting = ctx.stores.meetings.get(&ObjectRef::new(name).within(&secret.namespace))?;
        Some(ObjectKey::of(meeting.as_ref()))
    }));
}

/// The meeting whose join Secret would have this name. Of one with a name that is too long only its own pass finds out.
fn meeting_named_by(secret: &str) -> Option<&str> {
    secret.strip_suffix("-join").filter(|meeting| join_secret_name(meeting) == secret)
}

#[cfg(test)]
mod tests;
