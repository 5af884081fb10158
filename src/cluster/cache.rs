//! What the last looks at the cluster's database showed, and when what is due next. All of it can be looked up again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::judge::Asked;
use super::{CallBridge, Cluster};
use crate::api::bridge::{ClusterStatus, ProfileIds};
use crate::cms::{Address, CallId, CmsError, SpaceId};
use crate::config::settings::Settings;
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::calls::{OnLostBridge, OrphanCall, PlacedCall, SeenLegs};
use crate::facts::meeting::MeetingFacts;
use crate::facts::slots::{SlotSpaces, StuckBy};

/// For how long after trouble openings step aside for ends that are overdue.
const OVERDUE_FIRST: SignedDuration = SignedDuration::from_secs(5);

/// What the last looks showed.
#[derive(Default)]
pub(super) struct Cache {
    /// The bridge as its plan sees it; its calls are kept with the call bridges.
    pub(super) facts: BridgeFacts,
    /// The cluster as last read by this process. The status may not have it yet: its write may have met a conflict.
    pub(super) members: Option<ClusterStatus>,
    /// The table of call bridges is not what it was.
    pub(super) members_changed: bool,
    /// When a space was last looked at by itself.
    pub(super) space_read_at: BTreeMap<SpaceId, Timestamp>,
    /// How many foreign spaces had their turn.
    pub(super) foreign_turns: usize,
    /// When we last wrote to a space or to its call: older facts do not count.
    pub(super) last_write_at: BTreeMap<SpaceId, Timestamp>,
    /// When we last sent a dial to it: legs that were listed before do not count any more.
    pub(super) legs_since: BTreeMap<SpaceId, Timestamp>,
    /// People of a meeting on call bridges that were lost, as the others still list them: when the look began, and they.
    pub(super) on_lost_bridge: BTreeMap<SpaceId, (Timestamp, OnLostBridge)>,
    /// Whether the active call bridge did what it was asked last time, and if not, why.
    pub(super) last_result: Option<Result<(), CmsError>>,
    /// The database takes no writes; asked again until it does.
    pub(super) database_lost: bool,
    /// When it was last found back.
    pub(super) database_back_at: Option<Timestamp>,
    /// When writes were last possible again. What is overdue is shut before anything is opened.
    pub(super) writable_since: Option<Timestamp>,
    pub(super) schedule: Schedule,
    /// What the last sweep showed of each live meeting, so that only changes wake it.
    pub(super) digests: BTreeMap<SpaceId, u64>,
    /// When somebody was last dialled there. The first sweep begun after that wakes the meeting even if it shows nothing
    /// new: the leg may have come and gone between two sweeps.
    pub(super) last_dial_at: BTreeMap<SpaceId, Timestamp>,
    /// Call bridges on which a look or a write of a meeting met something else than the bridge's own word, and when.
    pub(super) odd_answers: BTreeMap<Asked, BTreeMap<Address, Timestamp>>,
}

/// When what is due next on a bridge.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    pub(super) sweep_at: Option<Timestamp>,
    /// A sweep out of turn that a meeting asked for: somebody was dialled.
    pub(super) extra_sweep_at: Option<Timestamp>,
    pub(super) idle_read_at: Option<Timestamp>,
    pub(super) retry_at: Option<Timestamp>,
    /// The active call bridge was away: its status tells whether it was restarted.
    pub(super) wants_status: bool,
    /// Until when the bridge is not asked again for configuration that it refused, and why it did.
    pub(super) refused: Option<(Timestamp, CmsError)>,
    /// When the running sync is asked about, or the failed one tried again.
    pub(super) sync_at: Option<Timestamp>,
    /// Sweeps and idle reads so far; single looks go round by it.
    pub(super) round: u64,
    /// The annotation that asked for a full look and was served.
    pub(super) handled_request: Option<String>,
}

/// What is to be read now; the number counts sweeps and idle reads.
pub(super) enum Due {
    Nothing,
    Sweep(u64),
    IdleRead(u64),
}

impl Cache {
    /// What is to be read now. Its next time is noted as well.
    pub(super) fn take_due(&mut self, has_live: bool, settings: &Settings, now: Timestamp) -> Due {
        let is_new = matches!(self.facts.version, Seen::Unknown);
        let schedule = &mut self.schedule;
        let (turn, is_due) = (schedule.round, |at: Option<Timestamp>| at.is_some_and(|at| at <= now));
        if has_live {
            let is_asked = is_due(schedule.extra_sweep_at);
            if !is_asked && schedule.sweep_at.is_some_and(|at| at > now) {
                return Due::Nothing;
            }
            if is_asked {
                schedule.extra_sweep_at = None;
            }
            schedule.sweep_at = now.checked_add(signed(settings.sweep)).ok();
            schedule.round = turn.wrapping_add(1);
            return Due::Sweep(turn);
        }
        schedule.sweep_at = None;
        let is_first = schedule.idle_read_at.is_none();
        if !is_first && (is_new || !is_due(schedule.idle_read_at)) {
            return Due::Nothing;
        }
        schedule.idle_read_at = now.checked_add(signed(settings.idle_read)).ok();
        if is_first {
            return Due::Nothing;
        }
        schedule.round = turn.wrapping_add(1);
        Due::IdleRead(turn)
    }
}

impl Cache {
    fn forget_instants(&mut self, now: Timestamp) {
        let Schedule { idle_read_at, sync_at, round, handled_request, .. } = std::mem::take(&mut self.schedule);
        // A pause before the next word about a sync is over; that there was one matters.
        let (idle_read_at, sync_at) = (idle_read_at.map(|_| now), sync_at.map(|_| now));
        self.schedule = Schedule { idle_read_at, sync_at, round, handled_request, ..Schedule::default() };
        self.space_read_at.clear();
        self.on_lost_bridge.clear();
        self.last_dial_at.clear();
        // What was seen before a write of ours still does not count.
        self.last_write_at.values_mut().chain(self.legs_since.values_mut()).for_each(|at| *at = now);
        self.writable_since = self.writable_since.map(|_| now);
        self.database_back_at = self.database_back_at.map(|_| now);
    }
}

impl Cluster {
    /// A meeting could not do with this slot, and why: nobody is given it until it is looked at again.
    pub fn note_useless(&self, space: &SpaceId, why: &str, now: Timestamp) {
        if let Seen::Known(slots) = &mut self.cache().facts.slots {
            slots.stuck.set(space, StuckBy::Method, why.to_owned(), now);
        }
    }

    /// Lends the bridge's facts to its plan, with the calls of every call bridge of which they are known. Nothing may be
    /// awaited meanwhile.
    pub fn with_facts<T>(&self, use_facts: impl FnOnce(&mut BridgeFacts) -> T) -> T {
        let mut calls: Option<Vec<PlacedCall>> = None;
        for call_bridge in self.usable() {
            if let Some(known) = call_bridge.known_calls() {
                calls.get_or_insert_default().extend(known);
            }
        }
        let mut cache = self.cache();
        cache.facts.calls = calls.map_or(Seen::Unknown, Seen::Known);
        use_facts(&mut cache.facts)
    }

    /// Lends the slots, if they are known.
    pub fn with_slots<T>(&self, use_slots: impl FnOnce(&SlotSpaces) -> T) -> Option<T> {
        self.cache().facts.slots.known().map(use_slots)
    }

    /// The space of a slot, if it is known; `recorded` is the one that a meeting has there.
    pub fn space_of_slot(&self, number: u32, recorded: Option<&SpaceId>) -> Option<SpaceId> {
        self.with_slots(|slots| slots.space_for(number, recorded)).flatten()
    }

    /// The slot was proven shut.
    pub fn note_shut(&self, space: &SpaceId) {
        if let Seen::Known(slots) = &mut self.cache().facts.slots
            && let Some(number) = slots.number(space)
        {
            slots.set_shut(number);
        }
    }

    /// A slot was opened: it carries this name now.
    pub fn note_opened(&self, space: &SpaceId, name: &str) {
        if let Seen::Known(slots) = &mut self.cache().facts.slots {
            slots.set_opened(space, name);
        }
    }

    /// The bridge shows no passcodes.
    pub fn note_passcode_hidden(&self) {
        if let Seen::Known(slots) = &mut self.cache().facts.slots {
            slots.shown_fields.hides_passcode = true;
        }
    }

    /// The bridge says that there is no such space.
    pub fn note_space_gone(&self, space: &SpaceId) {
        if let Seen::Known(slots) = &mut self.cache().facts.slots {
            slots.take_space(space, None);
        }
    }

    /// Notes a write to a space or its call: older facts do not count any more.
    pub fn note_write(&self, space: &SpaceId, now: Timestamp) {
        self.cache().last_write_at.insert(space.clone(), now);
    }

    /// Notes a dial, whatever became of it: a list of legs from before does not show it.
    pub fn note_dial(&self, space: &SpaceId, now: Timestamp) {
        self.cache().legs_since.insert(space.clone(), now);
    }

    /// Somebody was dialled: a sweep is wanted no later than `at`.
    pub fn want_sweep(&self, space: &SpaceId, now: Timestamp, at: Timestamp) {
        let mut cache = self.cache();
        cache.last_dial_at.insert(space.clone(), now);
        let due = &mut cache.schedule.extra_sweep_at;
        *due = Some(due.map_or(at, |due| due.min(at)));
    }

    /// The cluster as last read by this process.
    pub fn members(&self) -> Option<ClusterStatus> {
        self.cache().members.clone()
    }

    /// Takes no writes, as far as is known.
    pub fn is_database_lost(&self) -> bool {
        self.cache().database_lost
    }

    /// The wall clock was set: what is kept with an instant is neither newer nor due any more. It is looked at again.
    pub fn clock_stepped(&self) {
        let now = self.now();
        {
            let mut cache = self.cache();
            cache.forget_instants(now);
        }
        self.call_bridges().table.clock_stepped(now);
        self.all().iter().for_each(|call_bridge| call_bridge.clock_stepped());
    }

    /// Must openings step aside for ends that are overdue? After trouble and while it lasts: an opening that tries again
    /// by itself might come first.
    pub fn has_trouble(&self, now: Timestamp) -> bool {
        let since = self.cache().writable_since;
        since.is_some_and(|since| now.duration_since(since) < OVERDUE_FIRST) || self.active_error().is_some()
    }

    /// After trouble: writes are possible again since now.
    pub fn note_writable(&self, now: Timestamp) {
        self.cache().writable_since = Some(now);
    }

    /// Everything was done that was wanted. True if the time before it had failed.
    pub fn note_success(&self) -> bool {
        matches!(self.cache().last_result.replace(Ok(())), Some(Err(_)))
    }

    /// Nothing is asked for so long because of this failure.
    pub fn pause(&self, error: CmsError, wait: Duration) {
        let until = self.now().checked_add(signed(wait)).ok();
        let mut cache = self.cache();
        cache.schedule.retry_at = until;
        cache.last_result = Some(Err(error));
    }

    /// The configuration that the bridge refused is not sent again for so long; everything else goes on.
    pub fn hold_configuration(&self, error: CmsError, wait: Duration) {
        let until = self.now().checked_add(signed(wait)).unwrap_or(Timestamp::MAX);
        self.cache().schedule.refused = Some((until, error));
    }

    /// Why configuration is held back, and for how long yet.
    pub fn held_configuration(&self) -> Option<(CmsError, Duration)> {
        let (until, error) = self.cache().schedule.refused.clone()?;
        let left = Duration::try_from(until.duration_since(self.now())).ok().filter(|left| !left.is_zero())?;
        Some((error, left))
    }

    /// Is the pause before the next word about a sync over? None: it is not; else whether there was one.
    pub fn take_sync_pause(&self) -> Option<bool> {
        let now = self.now();
        let mut cache = self.cache();
        if cache.schedule.sync_at.is_some_and(|at| at > now) {
            return None;
        }
        Some(cache.schedule.sync_at.take().is_some())
    }

    /// A sync was started: whatever was waited for before, it is asked about soon.
    pub fn sync_begins(&self) {
        self.cache().schedule.sync_at = None;
    }

    /// Nothing more is asked about a sync for so long; a pause that runs already goes on. Returns what is left of it.
    pub fn pause_sync(&self, pause: impl FnOnce() -> Duration) -> Option<Duration> {
        let now = self.now();
        let running = self.cache().schedule.sync_at.filter(|at| *at > now);
        let until = running.or_else(|| now.checked_add(signed(pause())).ok());
        self.cache().schedule.sync_at = until;
        until.and_then(|at| Duration::try_from(at.duration_since(now)).ok())
    }

    /// A space would not take these profiles: they are looked at.
    pub fn doubt_profiles(&self, ids: impl IntoIterator<Item = ProfileIds>) {
        let ids = ids.into_iter().flat_map(|ids| [ids.call, ids.call_leg]).flatten();
        let mut cache = self.cache();
        for id in ids {
            cache.facts.settings_seen.remove(&id);
        }
    }

    /// A space would not take the bridge's own profiles: one may be gone.
    pub fn doubt_own_profiles(&self) {
        let facts = &mut self.cache().facts;
        (facts.call_profile, facts.call_leg_profile, facts.wants_profiles) = (Seen::Unknown, Seen::Unknown, true);
    }

    /// Somebody asks for a full look: everything known is looked up again (R31). Served once for each request.
    pub fn request_full_recheck(&self, request: &str) {
        {
            let mut cache = self.cache();
            if cache.schedule.handled_request.as_deref() == Some(request) {
                return;
            }
            cache.schedule.handled_request = Some(request.to_owned());
            (cache.schedule.idle_read_at, cache.schedule.refused) = (None, None);
            cache.facts = BridgeFacts::to_recheck();
        }
        for call_bridge in self.all() {
            call_bridge.client().gate().lift_block();
            call_bridge.forget_membership();
        }
    }

    /// Forgets what was seen: the address leads to another bridge, of which nothing is believed without a look.
    pub fn forget(&self) {
        *self.cache() = Cache { facts: BridgeFacts::to_recheck(), ..Cache::default() };
        for call_bridge in self.all() {
            call_bridge.forget_everything();
        }
    }

    /// What the sweeps show of one meeting, without asking a bridge; only facts newer than our last write to it. `at` is
    /// the call bridge of its call.
    ///
    /// A look at the space counts from `believed` on.
    pub fn view(&self, at: &Address, (space, believed): (&SpaceId, Timestamp), call: Option<&CallId>) -> MeetingFacts {
        let mut facts = MeetingFacts::default();
        let (since, legs_since) = {
            let cache = self.cache();
            let since = cache.last_write_at.get(space).copied().unwrap_or(Timestamp::MIN);
            facts.is_listed_as_free = cache.facts.slots.known().is_some_and(|slots| slots.is_listed_as_free(space));
            facts.shown_fields = cache.facts.slots.known().map(|slots| slots.shown_fields).unwrap_or_default();
            if cache.space_read_at.get(space).is_some_and(|at| *at > since && *at >= believed)
                && let Seen::Known(slots) = &cache.facts.slots
            {
                facts.space = match slots.looked(space) {
                    Some(looked) => Seen::Known(Some(looked.clone())),
                    None if slots.is_gone(space) => Seen::Known(None),
                    None => Seen::Unknown,
                };
            }
            if let Some((at, people)) = cache.on_lost_bridge.get(space)
                && *at > since
            {
                facts.on_lost_bridge = Seen::Known(people.clone());
            }
            (since, cache.legs_since.get(space).copied().unwrap_or(Timestamp::MIN))
        };
        let Some(call_bridge) = self.call_bridge(at) else { return facts };
        if let Some(calls) = call_bridge.calls_on_since(space, since) {
            facts.calls = Seen::Known(calls);
        }
        if let Some(call) = call {
            if let Some((at, legs)) = call_bridge.legs_of(call).filter(|(at, _)| *at > legs_since) {
                facts.legs = Seen::Known(SeenLegs { at, legs });
            }
            facts.remote_count = call_bridge.remote_count(call).unwrap_or(0);
        }
        facts.orphan_calls = self.orphan_calls(&call_bridge, space);
        facts
    }

    /// Calls on this space on other call bridges than this one: left there when that bridge was lost.
    pub fn orphan_calls(&self, except: &CallBridge, space: &SpaceId) -> Vec<OrphanCall> {
        let others = self.usable();
        let others = others.iter().filter(|other| other.address() != except.address());
        others.flat_map(|other| other.orphan_calls(space, self.is_evacuated(other.address()))).collect()
    }
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
