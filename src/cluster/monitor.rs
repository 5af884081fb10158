//! The monitor of a bridge: it probes, sweeps once for all meetings, and reads an idle bridge in turn. The bridge's own
//! reconcile comes round for it; meetings read what it has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cache::Due;
use super::{CallBridge, Cluster, Source, SweepTarget, reading};
use crate::api::bridge::{MemberStatus, ProfileIds};
use crate::cms::{
    Address, CallLegProfileId, CallProfileId, Class, CmsError, Priority, SpaceId, SystemStatus, if_there,
};
use crate::facts::Seen;
use crate::facts::slots::SlotSpaces;
use crate::metrics::BridgeLabels;
use crate::plan::failover::HealthSignal;
use crate::plan::rounds::{IdleRead, idle_read};
use crate::plan::verdict::Verdict;

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
        Some(false)
    }

    /// Sweep or idle read, whichever is due. Returns the spaces of which something else is shown than before.
    pub async fn read_due(self: &Arc<Self>, duty: &Duty<'_>) -> (Reading, Vec<SpaceId>) {
        let now = self.now();
        let mut changed = self.inspect_due(&duty.live, now).await;
        let due = self.cache().take_due(!duty.live.is_empty(), &self.env.settings, now);
        let result = match due {
            Due::Nothing => Ok(()),
            Due::IdleRead(turn) => self.idle_read(duty, turn).await,
            Due::Sweep(turn) => {
                let result = self.sweep_all(&duty.live, turn, now).await;
                if result.is_ok() {
                    changed.extend(self.take_changed(&duty.live));
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
            match self.sweep(&call_bridge, meetings, turn, now).await {
                Ok(()) => self.praise(&call_bridge, HealthSignal::Answers),
                Err(error) if call_bridge.address() == active.address() => return Err((call_bridge, error)),
                Err(error) => {
                    self.judge(&call_bridge, error, Source::Aside).await;
                }
            }
        }
        Ok(())
    }

    /// One read of an idle bridge.
    async fn idle_read(self: &Arc<Self>, duty: &Duty<'_>, turn: u64) -> Result<(), Failed> {
        let now = self.now();
        let usable = self.usable();
        let slots = self.with_slots(|slots| slots.iter().count());
        let ids = &duty.profiles;
        // Taken once: while a reply is waited for, another one may become the active call bridge.
        let active = self.active();
        let nth = |index: usize| usable.get(index).unwrap_or(&active).clone();
        let of_active = |error| (Arc::clone(&active), error);
        let (at, client) = (Priority::new(Class::Provision, now), active.client());
        match (idle_read(turn, usable.len(), slots.unwrap_or(0)), &ids.call, &ids.call_leg) {
            (IdleRead::CallProfile, Some(id), _) => {
                let found = client.call_profile(at, &CallProfileId::from(id.as_str())).await;
                self.cache().facts.call_profile = Seen::Known(if_there(found).map_err(of_active)?);
            }
            (IdleRead::CallLegProfile, _, Some(id)) => {
                let found = client.call_leg_profile(at, &CallLegProfileId::from(id.as_str())).await;
                self.cache().facts.call_leg_profile = Seen::Known(if_there(found).map_err(of_active)?);
            }
            (IdleRead::Members, ..) => self.check_members(duty.members.unwrap_or_default()).await.map_err(of_active)?,
            (IdleRead::System { call_bridge }, ..) => {
                let one = nth(call_bridge);
                self.read_system(&one).await.map_err(|error| (one, error))?;
            }
            // Without profiles of ours there is nothing to look at but the status.
            (IdleRead::CallProfile | IdleRead::CallLegProfile, ..) => {
                self.read_system(&active).await.map_err(of_active)?;
            }
            (IdleRead::Calls { call_bridge }, ..) => {
                let one = nth(call_bridge);
                one.sweep_calls(now).await.map_err(|error| (one, error))?;
            }
            (IdleRead::Slot { index }, ..) => {
                if let Some(space) = self.with_slots(|slots| space_to_look_at(slots, turn, index)).flatten() {
                    self.read_space(&space, reading(now), now).await.map_err(of_active)?;
                }
            }
        }
        Ok(())
    }

    /// The status of the system of one call bridge; after its restart its calls are gone.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn read_system(&self, at: &CallBridge) -> Result<SystemStatus, CmsError> {
        let now = self.now();
        let system = at.client().system_status(reading(now)).await?;
        let (labels, metrics) = (BridgeLabels { bridge: self.label() }, &self.env.metrics);
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.call_legs.get_or_create(&labels).set(number(system.call_legs_active));
        metrics.uptime.get_or_create(&labels).set(number(system.uptime_seconds));
        if let Some(time) = system.cdr_time {
            metrics.clock_skew.get_or_create(&labels).set(time.duration_since(now).as_secs());
        }
        if self.active().address() == at.address() {
            self.cache().facts.version = Seen::Known(system.software_version.clone());
        }
        let before = at.local().system.replace((now, system.clone()));
        if before.is_some_and(|(_, old)| old.uptime_seconds > system.uptime_seconds) {
            let key = &self.key;
            tracing::warn!(
                namespace = key.namespace,
                name = key.name,
                call_bridge = %at.address(),
                "the call bridge was restarted: its calls are gone"
            );
            at.forget_calls();
            self.cache().schedule.sweep_at = Some(now);
        }
        Ok(system)
    }
}

/// The next space to look at: by turns one that is somebody else's, because only a look tells whether it still is, and
/// any slot.
fn space_to_look_at(slots: &SlotSpaces, turn: u64, index: usize) -> Option<SpaceId> {
    let foreign = slots.foreign_spaces(&BTreeSet::new());
    if turn.is_multiple_of(2) && !foreign.is_empty() {
        return foreign.get(index.checked_rem(foreign.len())?).cloned();
    }
    slots.iter().nth(index).map(|(_, space)| space.id.clone())
}
