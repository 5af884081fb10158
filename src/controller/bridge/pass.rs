//! The state of one pass over a bridge: what is due, what was found, what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use kube::{Resource, ResourceExt};

use super::super::context::Context;
use super::super::kube_calls::KubeError;
use super::connect::{NotConnected, connect};
use crate::api::MeetingBridge;
use crate::api::bridge::{
    BookingsStatus, DeletionPolicy, EndpointRole, EndpointStatus, ManagementPolicy, MeetingBridgeStatus, SlotEntry,
    SlotState, SlotsStatus,
};
use crate::api::names::RECONCILE_ANNOTATION;
use crate::cms::{CmsError, SpaceId};
use crate::controller::meeting::key_of;
use crate::metrics::BridgeLabels;
use crate::observe::link::{BridgeKey, Link, reading};
use crate::observe::sweep;
use crate::plan::bridge::{Obstacle, Record, World, numbers};
use crate::plan::meeting::Seen;
use crate::status::bridge::{Outcome, Problem, build, system_info};

/// Most entries of slots that are not free in a status.
const ENTRY_LIMIT: usize = 100;

/// A meeting that opens within this time makes the probes frequent.
const IMMINENT: SignedDuration = SignedDuration::from_secs(120);

/// One pass.
pub struct Pass<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) bridge: MeetingBridge,
    pub(super) key: BridgeKey,
    pub(super) record: Record,
    pub(super) link: Option<Arc<Link>>,
    pub(super) problem: Option<Problem>,
    pub(super) obstacle: Option<Obstacle>,
    pub(super) plan: Vec<String>,
    pub(super) settled: bool,
    /// In this pass the intent was recorded, so nothing of it can be lost on the bridge.
    pub(super) profiles_untried: bool,
    pub(super) sets_untried: bool,
    pub(super) retry: Option<Duration>,
    /// On the way out: nothing of ours is left on the bridge.
    pub removed: bool,
}

impl<'a> Pass<'a> {
    /// Starts from the last status.
    pub fn new(ctx: &'a Arc<Context>, bridge: &MeetingBridge) -> Self {
        let status = bridge.status.clone().unwrap_or_default();
        let sets = status.slots.map(|slots| slots.parameter_sets).unwrap_or_default();
        Self {
            key: key_of(bridge),
            record: Record { profiles: status.profiles, sets },
            bridge: bridge.clone(),
            ctx,
            link: None,
            problem: None,
            obstacle: None,
            plan: Vec::new(),
            settled: false,
            profiles_untried: false,
            sets_untried: false,
            retry: None,
            removed: false,
        }
    }

    /// The object as this pass last wrote it.
    pub fn bridge(&self) -> &MeetingBridge {
        &self.bridge
    }

    pub(super) fn now(&self) -> Timestamp {
        self.ctx.clock.now()
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.bridge.meta().deletion_timestamp.is_some()
    }

    pub(super) fn is_observing(&self) -> bool {
        self.bridge.spec.management_policy == ManagementPolicy::Observe
    }

    /// Connect, probe, read what is due, make it so.
    ///
    /// # Errors
    /// The apiserver's.
    pub async fn run(&mut self, api: &Api<MeetingBridge>) -> Result<(), KubeError> {
        let orphan = self.bridge.spec.deletion_policy == DeletionPolicy::Orphan || self.is_observing();
        if self.is_deleting() && orphan {
            self.removed = true;
            return Ok(());
        }
        match connect(self.ctx, &self.bridge).await {
            Ok(link) => self.link = Some(link),
            Err(NotConnected::Kube(error)) => return Err(error),
            Err(NotConnected::Problem(problem)) => {
                self.problem = Some(problem);
                self.retry = Some(self.ctx.settings.idle_read);
                // Without credentials nothing can be removed; but if nothing was ever made, nothing is left behind.
                self.removed = self.is_deleting() && self.record == Record::default();
                return Ok(());
            }
        }
        self.serve_annotation();
        self.probe().await;
        if self.problem.is_some() || (self.bridge.spec.suspend && !self.is_deleting()) {
            return Ok(());
        }
        if let Err(error) = self.read_due().await {
            self.failed(&self.diagnose(error).await);
            return Ok(());
        }
        self.converge(api).await?;
        if self.problem.is_none()
            && let Some(link) = &self.link
        {
            let recovered = matches!(link.memory().health.replace(Ok(())), Some(Err(_)));
            self.ctx.clear_failures(&self.bridge.uid().unwrap_or_default());
            self.wake_meetings(recovered);
        }
        Ok(())
    }

    /// The annotation reconcile-requested-at asks for a full look: everything known is looked up again (R31).
    fn serve_annotation(&mut self) {
        let asked = self.bridge.annotations().get(RECONCILE_ANNOTATION).cloned();
        let handled = self.bridge.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
        let Some(link) = &self.link else { return };
        let mut memory = link.memory();
        if asked.is_some() && asked != handled && memory.schedule.served != asked {
            memory.schedule.served = asked;
            memory.world = World { thorough: true, ..World::default() };
            memory.schedule.read = None;
            drop(memory);
            link.client().gate().reset_auth();
        }
    }

    /// The connection-level probe, when it is due. It is not a request to the API.
    async fn probe(&mut self) {
        let Some(link) = self.link.clone() else { return };
        let now = self.now();
        let (due, failed_before) = {
            let memory = link.memory();
            let failed = match &memory.health {
                Some(Err(error)) => Some(error.clone()),
                _ => None,
            };
            (memory.schedule.probe.is_none_or(|at| at <= now), failed)
        };
        if due {
            let result = link.client().probe().await;
            let up = i64::from(result.is_ok());
            let next = now.checked_add(signed(self.probe_interval()));
            link.memory().schedule.probe = next.ok();
            let labels = BridgeLabels { bridge: format!("{}/{}", self.key.0, self.key.1) };
            self.ctx.metrics.bridge_up.get_or_create(&labels).set(up);
            if let Err(error) = result {
                self.failed(&error);
                return;
            }
            if failed_before.as_ref().is_some_and(CmsError::is_connection_failure) {
                // The network is back: ask the bridge itself at once.
                link.memory().schedule.retry = None;
            }
        }
        let wait = link.memory().schedule.retry.filter(|at| *at > now);
        if let (Some(error), Some(at)) = (failed_before, wait) {
            // Still within the pause after a failure: say so again, ask nothing.
            self.problem = Some(Problem::of(&error));
            self.retry = Duration::try_from(at.duration_since(now)).ok();
        }
    }

    fn probe_interval(&self) -> Duration {
        if self.is_busy() { self.ctx.settings.probe_busy } else { self.ctx.settings.probe_idle }
    }

    fn is_busy(&self) -> bool {
        let now = self.now();
        let (_, _, next) = self.ctx.ledger.summary(&self.key, now);
        let imminent = next.is_some_and(|at| at.duration_since(now) <= IMMINENT);
        imminent || !self.ctx.ledger.live(&self.key).is_empty()
    }

    /// Sweep or idle read, whichever is due.
    async fn read_due(&mut self) -> Result<(), CmsError> {
        let Some(link) = self.link.clone() else { return Ok(()) };
        let now = self.now();
        let live = self.ctx.ledger.live(&self.key);
        let schedule = link.memory().schedule.clone();
        if !live.is_empty() {
            let asked = schedule.asked.is_some_and(|at| at <= now);
            if asked {
                link.memory().schedule.asked = None;
            }
            if asked || schedule.sweep.is_none_or(|at| at <= now) {
                link.memory().schedule.sweep = now.checked_add(signed(self.ctx.settings.sweep)).ok();
                link.memory().schedule.turn = schedule.turn.wrapping_add(1);
                sweep::sweep(&link, &live, schedule.turn, now).await?;
                self.wake_changed(&link, &live);
            }
            return Ok(());
        }
        link.memory().schedule.sweep = None;
        let first = matches!(link.memory().world.version, Seen::Unknown);
        if !first && schedule.read.is_some_and(|at| at <= now) {
            link.memory().schedule.turn = schedule.turn.wrapping_add(1);
            link.memory().schedule.read = now.checked_add(signed(self.ctx.settings.idle_read)).ok();
            self.idle_read(&link, schedule.turn).await?;
        }
        if schedule.read.is_none() {
            link.memory().schedule.read = now.checked_add(signed(self.ctx.settings.idle_read)).ok();
        }
        Ok(())
    }

    fn wake_changed(&self, link: &Link, live: &[sweep::Live]) {
        let changed: Vec<SpaceId> = sweep::changed(link, live);
        if changed.is_empty() {
            return;
        }
        for (namespace, name) in self.ctx.ledger.names_of_spaces(&self.key, &changed) {
            self.ctx.wake_meeting(&namespace, &name);
        }
    }

    /// After trouble, and when the pool changed, those who wait for this bridge are told.
    fn wake_meetings(&self, recovered: bool) {
        if recovered {
            for (namespace, name) in self.ctx.ledger.live_names(&self.key) {
                self.ctx.wake_meeting(&namespace, &name);
            }
        }
    }

    /// A bridge that answers but is busy may have lost its database; then another call bridge would not do better.
    pub(super) async fn diagnose(&self, error: CmsError) -> CmsError {
        let (CmsError::Busy | CmsError::Timeout, Some(link)) = (&error, &self.link) else { return error };
        // That is answered at once if anything is: a bridge that hangs altogether is not waited for twice.
        let patience = Duration::from_secs(2).min(self.ctx.settings.limits.request);
        let database = tokio::time::timeout(patience, link.client().database(reading(self.now()))).await;
        let lost = matches!(database, Ok(Ok(database)) if database.has_primary() == Some(false));
        if lost { CmsError::DatabaseNotReady } else { error }
    }

    /// Notes a failure: condition, pause, health.
    pub(super) fn failed(&mut self, error: &CmsError) {
        let failures = self.ctx.count_failure(&self.bridge.uid().unwrap_or_default());
        let wait = super::retry::after(error, failures, self.is_busy());
        self.problem = Some(Problem::of(error));
        self.retry = Some(wait);
        tracing::warn!(namespace = self.key.0, name = self.key.1, %error, "the bridge failed");
        let now = self.now();
        if let Some(link) = &self.link {
            let mut memory = link.memory();
            memory.schedule.retry = now.checked_add(signed(wait)).ok();
            if error.is_connection_failure() {
                // It may come back as another one: its calls may be gone.
                memory.world.calls = Seen::Unknown;
            }
            memory.health = Some(Err(error.clone()));
        }
    }

    /// When to come round again.
    pub fn wake(&self) -> Duration {
        let now = self.now();
        let left = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
        let mut soonest = self.retry.into_iter().collect::<Vec<_>>();
        if let Some(link) = &self.link {
            let schedule = link.memory().schedule.clone();
            soonest.extend(schedule.probe.map(left));
            if self.problem.is_none() && !self.bridge.spec.suspend {
                let live = !self.ctx.ledger.live(&self.key).is_empty();
                let next = if live { [schedule.sweep, schedule.asked] } else { [schedule.read, None] };
                soonest.extend(next.into_iter().flatten().map(left));
                if live && schedule.sweep.is_none() {
                    soonest.push(Duration::ZERO);
                }
            }
        }
        soonest.into_iter().min().unwrap_or(self.ctx.settings.idle_read).max(Duration::from_millis(50))
    }

    /// Builds the status and writes it if it differs.
    ///
    /// # Errors
    /// The apiserver's.
    pub async fn write_status(&mut self, api: &Api<MeetingBridge>) -> Result<MeetingBridge, KubeError> {
        let status = self.status();
        if self.bridge.status.as_ref() != Some(&status) {
            let mut object = self.bridge.clone();
            object.status = Some(status);
            self.bridge = super::write_status(self.ctx, api, object).await?;
        }
        Ok(self.bridge.clone())
    }

    fn status(&self) -> MeetingBridgeStatus {
        let now = self.now();
        let old = self.bridge.status.clone().unwrap_or_default();
        let mut facts = old.clone();
        facts.profiles = self.record.profiles.clone();
        facts.plan = self.plan.clone();
        facts.last_handled_reconcile_at = self.bridge.annotations().get(RECONCILE_ANNOTATION).cloned();
        facts.bookings = self.bookings(now);
        let (mut answered, mut skew, mut offender) = (false, None, None);
        let mut reachable = None;
        if let Some(link) = &self.link {
            let memory = link.memory();
            let client = link.client();
            facts.active_endpoint = Some(client.address().to_string());
            reachable = memory
                .health
                .as_ref()
                .map(|health| !health.as_ref().err().is_some_and(CmsError::is_connection_failure));
            if let Some((at, system)) = &memory.system {
                answered = true;
                facts.system = Some(system_info(*at, system, old.system.as_ref()));
                skew = system.cdr_time.map(|time| time.duration_since(*at));
            }
            offender = memory.world.sync_failure.as_ref().and_then(|(_, offender)| offender.clone());
            facts.slots = Some(self.slots(&memory.world, old.slots.as_ref()));
        } else if let Some(slots) = &mut facts.slots {
            slots.parameter_sets = self.record.sets.clone();
        }
        let address = facts.active_endpoint.clone().unwrap_or_else(|| self.bridge.spec.address.clone());
        facts.endpoints = vec![EndpointStatus {
            call_bridge_id: facts.cluster.as_ref().and_then(|cluster| {
                cluster.members.iter().find(|member| member.primary).map(|member| member.id.clone())
            }),
            role: EndpointRole::Primary,
            reachable,
            address,
        }];
        let outcome = Outcome {
            spec: &self.bridge.spec,
            facts,
            problem: self.problem.clone(),
            answered,
            obstacle: self.obstacle.clone(),
            offender,
            provisioned: self.settled || (self.problem.is_some() && self.was_provisioned()),
            deleting: self.is_deleting(),
            skew,
        };
        build(&outcome, &old, self.bridge.metadata.generation, now)
    }

    fn was_provisioned(&self) -> bool {
        let conditions = self.bridge.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        crate::status::is_true(&conditions, crate::api::conditions::kind::SLOTS_PROVISIONED)
    }

    fn bookings(&self, now: Timestamp) -> Option<BookingsStatus> {
        let (next_seven_days, peak_concurrent, next_start) = self.ctx.ledger.summary(&self.key, now);
        Some(BookingsStatus { next_seven_days, peak_concurrent, next_start: next_start.map(Into::into) })
    }

    fn slots(&self, world: &World, old: Option<&SlotsStatus>) -> SlotsStatus {
        let mut slots = SlotsStatus { parameter_sets: self.record.sets.clone(), ..SlotsStatus::default() };
        let Seen::Known(pool) = &world.pool else {
            // Not read yet in this process: what was known stands.
            return SlotsStatus { parameter_sets: self.record.sets.clone(), ..old.cloned().unwrap_or_default() };
        };
        let holders = self.ctx.ledger.holders(&self.key);
        let held = holders.keys().copied().collect();
        let foreign = pool.foreign(&held);
        let range = numbers(&self.bridge.spec).ok();
        let wanted = |number: u32| range.as_ref().is_some_and(|range| range.contains(&number));
        let mut entries: BTreeMap<u32, SlotEntry> = BTreeMap::new();
        let mut note = |number: u32, space: Option<&SpaceId>, state: SlotState| {
            let meeting = holders.get(&number).cloned();
            let space_id = space.map(ToString::to_string);
            entries.insert(number, SlotEntry { number, space_id, state, meeting });
        };
        for (number, space) in pool.iter() {
            slots.total += u32::from(wanted(number));
            if !wanted(number) {
                note(number, Some(&space.id), SlotState::Draining);
            } else if holders.contains_key(&number) {
                slots.in_use += 1;
                note(number, Some(&space.id), SlotState::InUse);
            } else if foreign.contains(&number) {
                slots.foreign += 1;
                note(number, Some(&space.id), SlotState::Foreign);
            } else {
                slots.free += 1;
            }
        }
        if self.settled
            && let Some(range) = &range
        {
            for number in pool.missing(range) {
                note(number, None, SlotState::Missing);
            }
        }
        let labels = BridgeLabels { bridge: format!("{}/{}", self.key.0, self.key.1) };
        self.ctx.metrics.slots_free.get_or_create(&labels).set(i64::from(slots.free));
        self.ctx.metrics.slots_foreign.get_or_create(&labels).set(i64::from(slots.foreign));
        slots.entries = entries.into_values().take(ENTRY_LIMIT).collect();
        slots
    }
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
