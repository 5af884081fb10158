//! The monitor of a bridge: it probes, sweeps once for all meetings, and reads an idle bridge in turn. The bridge's own
//! reconcile comes round for it; meetings read what it has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::cache::Due;
use super::uptime::Uptime;
use super::{CallBridge, Cluster, Source, SweepTarget, in_time, reading};
use crate::api::bridge::{MemberStatus, ProfileIds};
use crate::cms::{Address, Class, CmsError, Priority, SpaceId, SystemStatus, if_there};
use crate::facts::Seen;
use crate::facts::bridge::is_unread;
use crate::facts::slots::SlotSpaces;
use crate::metrics::BridgeLabels;
use crate::plan::failover::HealthSignal;
use crate::plan::rounds::{IdleRead, busy_read, idle_reads};
use crate::plan::verdict::Verdict;

/// Most spaces of others that are looked at in one round of idle reads.
const MOST_FOREIGN: usize = 5;

/// What the monitor is to look after.
pub struct Duty<'a> {
    /// Live meetings that have a call, by slot.
    pub live: Vec<SweepTarget>,
    /// A meeting runs, or is due soon.
    pub is_busy: bool,
    /// The cluster's table of call bridges, if it was read.
    pub members: Option<&'a [MemberStatus]>,
    /// The profiles of the slots.
    pub profiles: ProfileIds,
    /// Somebody asked for the failback.
    pub failback_asked: bool,
}

/// How reading went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Fine,
    /// A request failed.
    Failed(Verdict),
    /// Nothing is asked yet because of an earlier failure.
    Paused {
        error: CmsError,
        left: Duration,
    },
}

/// A request that failed, and the call bridge that was asked.
type Failed = (Arc<CallBridge>, CmsError);

impl Cluster {
    /// While the database takes no writes it is asked again and again. None: nothing was wrong; else whether it still is.
    pub async fn check_database(&self) -> Option<bool> {
        if !self.is_database_lost() {
            return None;
        }
        if self.has_database(&self.active(), self.now()).await == Some(false) {
            return Some(true);
        }
        let mut cache = self.cache();
        (cache.database_lost, cache.schedule.retry_at) = (false, None);
        cache.database_back_at = Some(self.now());
        Some(false)
    }

    /// Sweep or idle read, whichever is due. Returns the spaces of which something else is shown than before.
    pub async fn read_due(self: &Arc<Self>, duty: &Duty<'_>) -> (Reading, Vec<SpaceId>) {
        let now = self.now();
        let mut changed = self.inspect_due(&duty.live, now).await;
        let due = self.cache().take_due(!duty.live.is_empty(), &self.env.settings, now);
        let wants_status = std::mem::take(&mut self.cache().schedule.wants_status);
        let result = match due {
            Due::Nothing | Due::IdleRead(_) if wants_status => {
                let active = self.active();
                self.read_system(&active).await.map(drop).map_err(|error| (active, error))
            }
            Due::Nothing => Ok(()),
            Due::IdleRead(turn) => self.idle_read(duty, turn).await,
            Due::Sweep(turn) => {
                let mut result = self.sweep_all(&duty.live, turn, now).await;
                if result.is_ok() {
                    changed.extend(self.take_changed(&duty.live));
                    result = self.busy_read(duty, turn).await;
                }
                result
            }
        };
        let reading = match result {
            Ok(()) => Reading::Fine,
            Err((at, error)) => Reading::Failed(self.judge(&at, error, Source::Monitor).await),
        };
        (reading, changed)
    }

    /// When the monitor is to come round next.
    pub fn next_round(&self, duty: &Duty<'_>, may_read: bool) -> Option<Timestamp> {
        let schedule = self.cache().schedule.clone();
        let reads = match (may_read, duty.live.is_empty()) {
            (false, _) => [None, None],
            (true, true) => [schedule.idle_read_at, None],
            (true, false) => [Some(schedule.sweep_at.unwrap_or(Timestamp::MIN)), schedule.extra_sweep_at],
        };
        self.next_probe(duty).into_iter().chain(reads.into_iter().flatten()).min()
    }

    /// One sweep of every call bridge that has calls of ours.
    async fn sweep_all(self: &Arc<Self>, live: &[SweepTarget], turn: u64, now: Timestamp) -> Result<(), Failed> {
        let mut by_call_bridge: BTreeMap<&Address, Vec<SweepTarget>> = BTreeMap::new();
        for meeting in live {
            if let Some(call) = &meeting.call {
                by_call_bridge.entry(&call.call_bridge).or_default().push(meeting.clone());
            }
        }
        let active = self.active();
        for call_bridge in self.usable() {
            let Some(meetings) = by_call_bridge.get(call_bridge.address()) else { continue };
            match in_time(self.sweep(&call_bridge, meetings, turn, now)).await {
                Ok(()) => self.praise(&call_bridge, HealthSignal::Answers),
                Err(error) if call_bridge.address() == active.address() => return Err((call_bridge, error)),
                Err(error) => {
                    self.judge(&call_bridge, error, Source::Aside).await;
                }
            }
        }
        Ok(())
    }

    /// What an idle bridge is asked in this turn.
    async fn idle_read(self: &Arc<Self>, duty: &Duty<'_>, turn: u64) -> Result<(), Failed> {
        // Taken once: while a reply is waited for, another one may become the active call bridge.
        let (active, usable) = (self.active(), self.usable());
        for read in idle_reads(turn, usable.len(), self.count_slots()) {
            self.read_one_of(duty, read, &active, &usable).await?;
        }
        Ok(())
    }

    /// One read, of which only what concerns the active call bridge ends the turn: what others cannot tell is their own
    /// trouble, and holds up nothing that the active one knows.
    async fn read_one_of(
        self: &Arc<Self>,
        duty: &Duty<'_>,
        read: IdleRead,
        active: &Arc<CallBridge>,
        usable: &[Arc<CallBridge>],
    ) -> Result<(), Failed> {
        match self.read_one(duty, read, active, usable).await {
            Err((at, error)) if at.address() != active.address() => {
                self.judge(&at, error, Source::Aside).await;
                Ok(())
            }
            result => result,
        }
    }

    /// What a bridge with live meetings is asked besides its sweeps.
    async fn busy_read(self: &Arc<Self>, duty: &Duty<'_>, turn: u64) -> Result<(), Failed> {
        let (active, usable) = (self.active(), self.usable());
        let profiles = self.cache().facts.settings_seen.len();
        let Some(read) = busy_read(turn, usable.len(), self.count_slots(), profiles) else { return Ok(()) };
        self.read_one_of(duty, read, &active, &usable).await
    }

    fn count_slots(&self) -> usize {
        self.with_slots(|slots| slots.iter().count()).unwrap_or(0)
    }

    async fn read_one(
        self: &Arc<Self>,
        duty: &Duty<'_>,
        read: IdleRead,
        active: &Arc<CallBridge>,
        usable: &[Arc<CallBridge>],
    ) -> Result<(), Failed> {
        match read {
            IdleRead::OtherSystem { index } => {
                let mut others = usable.iter().filter(|other| other.address() != active.address());
                if let Some(one) = others.nth(index) {
                    self.read_system(one).await.map_err(|error| (Arc::clone(one), error))?;
                }
            }
            IdleRead::Calls => {
                let (now, mut failed) = (self.now(), None);
                for one in usable {
                    if let Err(error) = one.sweep_calls(now).await
                        && (failed.is_none() || one.address() == active.address())
                    {
                        failed = Some((Arc::clone(one), error));
                    }
                }
                return failed.map_or(Ok(()), Err);
            }
            read => self.read_active(active, duty, read).await.map_err(|error| (Arc::clone(active), error))?,
        }
        Ok(())
    }

    /// One read of what the active call bridge tells of the whole cluster.
    async fn read_active(
        self: &Arc<Self>,
        active: &CallBridge,
        duty: &Duty<'_>,
        read: IdleRead,
    ) -> Result<(), CmsError> {
        let (now, ids) = (self.now(), &duty.profiles);
        let (at, client) = (Priority::new(Class::Provision, now), active.client());
        match read {
            IdleRead::Profile(kind) => {
                // Without profiles of ours there is nothing to look at but the status.
                let Some(id) = ids.of(kind) else { return self.read_system(active).await.map(drop) };
                let found = if_there(client.profile(at, kind, id).await)?;
                let facts = &mut self.cache().facts;
                let is_new = facts.profile(kind).known().and_then(Option::as_ref).is_some_and(is_unread);
                if found.is_none() && is_new {
                    // What was made a moment ago may show late; the bridge's own pass counts its looks.
                    return Ok(());
                }
                // One that is gone is looked at by the bridge's own pass, which makes another.
                facts.wants_profiles |= found.is_none();
                *facts.profile_mut(kind) = found.map_or(Seen::Unknown, |fields| Seen::Known(Some(fields)));
            }
            IdleRead::Members => self.check_members(duty.members.unwrap_or_default()).await?,
            IdleRead::Slots => {
                // The bridge's own pass lists them, which follows.
                self.cache().facts.wants_list = true;
                self.read_foreign(duty, now).await?;
            }
            IdleRead::Foreign => self.read_foreign(duty, now).await?,
            IdleRead::SettingsProfile { index } => {
                // The bridge's own pass looks at what it has not seen.
                let seen = &mut self.cache().facts.settings_seen;
                let id = seen.iter().nth(index).cloned();
                id.map(|id| seen.remove(&id));
            }
            IdleRead::Slot { index } => {
                let nth = |slots: &SlotSpaces| slots.iter().nth(index).map(|(_, space)| space.id.clone());
                if let Some(space) = self.with_slots(nth).flatten() {
                    self.glance_at(&space, now).await?;
                }
            }
            IdleRead::System | IdleRead::OtherSystem { .. } | IdleRead::Calls => drop(self.read_system(active).await?),
        }
        Ok(())
    }

    /// Only a look tells whether a space is still somebody else's. So many at a time; the others have their turn.
    async fn read_foreign(&self, duty: &Duty<'_>, now: Timestamp) -> Result<(), CmsError> {
        let mut foreign = self.with_slots(|slots| slots.foreign_spaces(&BTreeSet::new())).unwrap_or_default();
        foreign.retain(|space| duty.live.iter().all(|meeting| meeting.space != *space));
        let count = foreign.len().min(MOST_FOREIGN);
        let start = {
            let had = &mut self.cache().foreign_turns;
            let start = *had;
            *had = had.wrapping_add(count);
            start.checked_rem(foreign.len()).unwrap_or_default()
        };
        for space in foreign.iter().cycle().skip(start).take(count) {
            self.glance_at(space, now).await?;
        }
        Ok(())
    }

    /// When this call bridge was started, as a look shows that began after the question; None: it does not tell. All whose calls are gone ask at
    /// the same time, and one look answers them.
    pub async fn read_boot(&self, at: &CallBridge) -> Result<Option<Timestamp>, CmsError> {
        let asked = self.now();
        let _one_at_a_time = at.boot.lock().await;
        let (seen, system) = match at.system().filter(|(seen, _)| *seen > asked) {
            Some(known) => known,
            None => (self.now(), self.read_system(at).await?),
        };
        Ok(system.started(seen))
    }

    /// The status of the system of one call bridge; after its restart its calls are gone.
    pub async fn read_system(&self, at: &CallBridge) -> Result<SystemStatus, CmsError> {
        let (now, asked) = (self.now(), Instant::now());
        let system = at.client().system_status(reading(now)).await?;
        if self.active().address() == at.address() {
            self.show_system(&system, now);
            self.cache().facts.version = Seen::Known(system.software_version.clone());
        }
        if at.take_system(&system, now, asked) {
            let key = &self.key;
            tracing::warn!(
                namespace = key.namespace,
                name = key.name,
                call_bridge = %at.address(),
                "the call bridge was restarted: its calls are gone"
            );
            at.forget_calls();
            at.client().forget_kept_back();
            let is_member = self.usable().iter().any(|usable| usable.address() == at.address());
            {
                let mut cache = self.cache();
                cache.schedule.sweep_at = Some(now);
                if is_member {
                    // It may have been rolled back to a backup, and what is stored is the cluster's: all of it may be as it
                    // was some night, whichever call bridge tells.
                    cache.facts.read_anew();
                    cache.space_read_at.clear();
                }
            }
            (self.env.wake)();
        }
        Ok(system)
    }

    /// The metrics of the active call bridge.
    fn show_system(&self, system: &SystemStatus, now: Timestamp) {
        let (labels, metrics) = (BridgeLabels::from(&self.key), &self.env.metrics);
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.call_legs.get_or_create(&labels).set(number(system.call_legs_active));
        if let Some(uptime) = system.uptime_seconds {
            metrics.uptime.get_or_create(&labels).set(number(uptime));
        }
        if let Some(time) = system.cdr_time {
            metrics.clock_skew.get_or_create(&labels).set(time.duration_since(now).as_secs());
        }
    }
}

impl CallBridge {
    /// Takes in a status reply. True: it was started anew since the last one. What was asked for before that one, and comes
    /// after it, is older.
    fn take_system(&self, system: &SystemStatus, now: Timestamp, asked: Instant) -> bool {
        let uptime = system.uptime_seconds.map(|seconds| Uptime { asked, told: Instant::now(), seconds });
        let mut local = self.local();
        let known = local.uptime;
        let is_restart = known.zip(uptime).is_some_and(|(before, now)| now.shows_restart_since(&before));
        if is_restart || known.is_none_or(|known| known.asked <= asked) {
            (local.system, local.uptime) = (Some((now, system.clone())), uptime.or(known));
        }
        is_restart
    }
}

#[cfg(test)]
mod tests;
