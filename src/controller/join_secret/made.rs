//! What of others a join Secret is made from: the web bridge of its meeting's bridge, and the Secrets of its passcodes. Each
//! says so itself, in an annotation; where it would be something else by now, or where the Secret is gone, it is made anew.
//! So nothing is lost by a restart, and one list at the start is all that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use uuid::Uuid;

use super::Versions;
use crate::api::meeting::Phase;
use crate::api::names::{MADE_FROM_ANNOTATION, ObjectKey};
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::controller::context::Context;
use crate::controller::merge::Within;
use crate::plan::booking::key_of;
use crate::plan::version;

/// What one is made from that invites to nothing: its meeting has no slot.
pub const WITHDRAWN: Uuid = Uuid::max();

/// Where the web links of a bridge lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLinks {
    base: String,
    /// In the form of versions before 3.0.
    is_old: bool,
}

impl WebLinks {
    /// Those of this bridge, if it has a web bridge.
    pub fn of(bridge: &MeetingBridge) -> Option<Self> {
        let base = bridge.spec.web_bridge_uri.as_ref()?.trim_end_matches('/').to_owned();
        let system = bridge.status.as_ref().and_then(|status| status.system.as_ref());
        let major = system.and_then(|system| version::major(&system.software_version));
        Some(Self { base, is_old: major.is_some_and(|major| major < 3) })
    }

    /// The web join link in the form of the bridge's version (cms-protocol.md section 8).
    pub fn link(&self, number: u32, secret: &str) -> String {
        let base = &self.base;
        if self.is_old {
            format!("{base}/invited.sf?id={number}&secret={secret}")
        } else {
            format!("{base}/meeting/{number}?secret={secret}")
        }
    }
}

/// What stands for all that a join Secret is made from. Nothing can be told from it.
pub fn basis(web: Option<&WebLinks>, versions: &Versions) -> Uuid {
    let mut text = web.map(|web| format!("{} {}\n", web.base, web.is_old)).unwrap_or_default();
    for (name, version) in versions {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}={version}");
    }
    Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes())
}

/// What it would be made from now; None: that is not known.
fn current(ctx: &Context, meeting: &ScheduledMeeting, bridge: &MeetingBridge) -> Option<Uuid> {
    let namespace = meeting.namespace().unwrap_or_default();
    let names = meeting.spec.passcode_secrets();
    let secrets = &ctx.stores.secrets;
    if !names.is_empty() && !matches!(secrets.wait_until_ready().now_or_never(), Some(Ok(()))) {
        return None;
    }
    let version = |name: &str| {
        let known = secrets.get(&ObjectRef::new(name).within(&namespace));
        known.and_then(|known| known.resource_version()).unwrap_or_default()
    };
    let versions = names.into_iter().map(|name| (name.to_owned(), version(name))).collect();
    Some(basis(WebLinks::of(bridge).as_ref(), &versions))
}

#[derive(Default)]
struct Known {
    /// By UID of the meeting.
    made: BTreeMap<Uuid, Uuid>,
    /// Where all of them were listed.
    listed: BTreeSet<Within>,
}

/// What the join Secrets were made from, as far as it is known.
#[derive(Default)]
pub struct MadeFrom(Mutex<Known>);

/// What is known of one.
enum Made {
    /// Nothing yet.
    Unread,
    /// It is not there.
    Missing,
    From(Uuid),
}

/// There are thousands: as a number, which it is almost everywhere, it takes a fifth of the room.
fn id_of(uid: &str) -> Uuid {
    Uuid::parse_str(uid).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, uid.as_bytes()))
}

impl MadeFrom {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was made from this, or would be and says the same.
    pub fn note(&self, uid: &str, from: Uuid) {
        self.lock().made.insert(id_of(uid), from);
    }

    /// The meeting is gone, or its Secret.
    pub fn forget(&self, uid: &str) {
        self.lock().made.remove(&id_of(uid));
    }

    fn of(&self, meeting: &ScheduledMeeting) -> Made {
        let known = self.lock();
        let is_listed = known.listed.contains(&None) || known.listed.contains(&meeting.namespace());
        match known.made.get(&id_of(meeting.metadata.uid.as_deref().unwrap_or_default())) {
            Some(from) => Made::From(*from),
            None if is_listed => Made::Missing,
            None => Made::Unread,
        }
    }
}

/// Is the join Secret gone, or would it be made from something else now? `bridge` is what the meeting is booked on.
pub fn is_stale(ctx: &Context, meeting: &ScheduledMeeting, bridge: Option<&MeetingBridge>) -> bool {
    match ctx.made_from.of(meeting) {
        Made::Unread => false,
        Made::Missing => true,
        Made::From(made) => bridge.and_then(|bridge| current(ctx, meeting, bridge)).is_some_and(|now| now != made),
    }
}

/// Is it known that the join Secret invites to nothing?
pub fn is_withdrawn(ctx: &Context, meeting: &ScheduledMeeting) -> bool {
    matches!(ctx.made_from.of(meeting), Made::From(WITHDRAWN))
}

/// Is it known to be there, and to invite to something?
pub fn is_inviting(ctx: &Context, meeting: &ScheduledMeeting) -> bool {
    matches!(ctx.made_from.of(meeting), Made::From(from) if from != WITHDRAWN)
}

/// Hears of a join Secret, also of those that we write. A meeting is woken if its own is gone, or is not what it would be now.
/// `listed` are the meetings, by UID, whose join Secret was shown by the list that is being read.
pub fn hear(ctx: &Context, within: &Within, listed: &mut BTreeSet<String>, event: &Event<PartialObjectMeta<Secret>>) {
    match event {
        Event::Init => listed.clear(),
        Event::Apply(secret) => {
            if let Some(meeting) = meeting_of(ctx, secret) {
                take(ctx, &meeting, secret);
                wake_if_wrong(ctx, &meeting);
            }
        }
        Event::InitApply(secret) => {
            if let Some(meeting) = meeting_of(ctx, secret) {
                take(ctx, &meeting, secret);
                listed.extend(meeting.uid());
            }
        }
        Event::Delete(secret) => {
            let Some(meeting) = meeting_of(ctx, secret) else { return };
            ctx.made_from.forget(&meeting.uid().unwrap_or_default());
            wake_if_wrong(ctx, &meeting);
        }
        Event::InitDone => {
            let listed = std::mem::take(listed);
            let mut meetings = ctx.stores.meetings.state();
            meetings.retain(|meeting| within.is_none() || *within == meeting.namespace());
            let is_listed = |meeting: &ScheduledMeeting| meeting.uid().is_some_and(|uid| listed.contains(&uid));
            for missing in meetings.iter().filter(|meeting| !is_listed(meeting)) {
                ctx.made_from.forget(&missing.uid().unwrap_or_default());
            }
            ctx.made_from.lock().listed.insert(within.clone());
            meetings.iter().for_each(|meeting| wake_if_wrong(ctx, meeting));
        }
    }
}

/// The meeting that owns it, as we know it.
fn meeting_of(ctx: &Context, secret: &PartialObjectMeta<Secret>) -> Option<ScheduledMeeting> {
    let kind = ScheduledMeeting::kind(&());
    let owner = secret.owner_references().iter().find(|owner| owner.kind == kind)?;
    let key = ObjectRef::new(&owner.name).within(&secret.namespace()?);
    let stored = ctx.stores.meetings.get(&key).filter(|stored| stored.metadata.uid.as_ref() == Some(&owner.uid))?;
    let newest = ctx.meetings.newest(stored);
    Some(ctx.meetings.known(&newest).into_owned())
}

fn bridge_of(ctx: &Context, meeting: &ScheduledMeeting) -> Option<std::sync::Arc<MeetingBridge>> {
    ctx.bridge(&key_of(meeting.status.as_ref()?.bridge.as_ref()?))
}

fn take(ctx: &Context, meeting: &ScheduledMeeting, secret: &PartialObjectMeta<Secret>) {
    let said = secret.annotations().get(MADE_FROM_ANNOTATION).and_then(|from| from.parse().ok());
    // One by an earlier version says nothing: it is believed to be as it should be when it is first seen.
    let seen = || bridge_of(ctx, meeting).and_then(|bridge| current(ctx, meeting, &bridge));
    ctx.made_from.note(&meeting.uid().unwrap_or_default(), said.or_else(seen).unwrap_or_default());
}

fn wake_if_wrong(ctx: &Context, meeting: &ScheduledMeeting) {
    let Some(status) = &meeting.status else { return };
    let is_over = status.phase.is_some_and(Phase::is_over) || meeting.metadata.deletion_timestamp.is_some();
    let is_named = status.join_secret_name.is_some();
    let is_wrong = match status.slot {
        Some(_) => is_named && is_stale(ctx, meeting, bridge_of(ctx, meeting).as_deref()),
        None => is_inviting(ctx, meeting) || (is_named && !is_withdrawn(ctx, meeting)),
    };
    if is_wrong && !is_over {
        ctx.wakes.meetings([ObjectKey::of(meeting)]);
    }
}

#[cfg(test)]
mod tests;
