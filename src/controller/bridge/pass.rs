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
use crate::api::bridge::{ClusterStatus, DeletionPolicy, ManagementPolicy};
use crate::api::names::RECONCILE_ANNOTATION;
use crate::cluster::call_bridge::CallBridge;
use crate::cluster::sweep;
use crate::cluster::{BridgeKey, Cluster};
use crate::cms::{Address, CmsError, SpaceId};
use crate::controller::meeting::key_of;
use crate::plan::bridge::{Obstacle, Record, World};
use crate::plan::failover::{Sign, blames_call_bridge};
use crate::plan::meeting::Seen;
use crate::status::bridge::{Problem, Unfit};

/// A meeting that opens within this time makes the probes frequent.
const IMMINENT: SignedDuration = SignedDuration::from_secs(120);

/// One pass.
pub struct Pass<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) bridge: MeetingBridge,
    pub(super) key: BridgeKey,
    pub(super) record: Record,
    pub(super) cluster: Option<Arc<Cluster>>,
    /// The cluster as last read.
    pub(super) known_cluster: Option<ClusterStatus>,
    /// Alternates that cannot be used, as far as the spec tells.
    pub(super) unfit: Vec<Unfit>,
    pub(super) problem: Option<Problem>,
    /// The active call bridge failed, but there are others: it is not for people to know before it is clear whether it is
    /// lost. The next pass goes on.
    pub(super) in_doubt: bool,
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
            cluster: None,
            known_cluster: status.cluster,
            unfit: Vec::new(),
            problem: None,
            in_doubt: false,
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
            Ok((cluster, unfit)) => {
                let read = cluster.memory().cluster.clone();
                self.known_cluster = read.or(self.known_cluster.take());
                (self.cluster, self.unfit) = (Some(cluster), unfit);
            }
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
        self.check_call_bridges().await;
        self.check_database().await;
        if self.problem.is_some() || self.in_doubt || (self.bridge.spec.suspend && !self.is_deleting()) {
            return Ok(());
        }
        if let Err((call_bridge, error)) = self.read_due().await {
            self.failed(&call_bridge, error).await;
            return Ok(());
        }
        self.converge(api).await?;
        if self.problem.is_none()
            && !self.in_doubt
            && let Some(cluster) = &self.cluster
        {
            let recovered = matches!(cluster.memory().health.replace(Ok(())), Some(Err(_)));
            self.ctx.clear_failures(&self.bridge.uid().unwrap_or_default());
            if recovered {
                self.wake_meetings();
            }
        }
        Ok(())
    }

    /// The annotation reconcile-requested-at asks for a full look: everything known is looked up again (R31).
    fn serve_annotation(&mut self) {
        let asked = self.bridge.annotations().get(RECONCILE_ANNOTATION).cloned();
        let handled = self.bridge.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
        let Some(cluster) = &self.cluster else { return };
        let mut memory = cluster.memory();
        if asked.is_some() && asked != handled && memory.schedule.served != asked {
            memory.schedule.served = asked;
            memory.world = World { thorough: true, ..World::default() };
            memory.schedule.read = None;
            drop(memory);
            for call_bridge in cluster.call_bridges() {
                call_bridge.client().gate().reset_auth();
                call_bridge.local().membership = Seen::Unknown;
            }
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        let now = self.now();
        let (_, _, next) = self.ctx.ledger.summary(&self.key, now);
        let imminent = next.is_some_and(|at| at.duration_since(now) <= IMMINENT);
        imminent || !self.ctx.ledger.live(&self.key).is_empty()
    }

    /// Sweep or idle read, whichever is due.
    async fn read_due(&mut self) -> Result<(), (Arc<CallBridge>, CmsError)> {
        let Some(cluster) = self.cluster.clone() else { return Ok(()) };
        let now = self.now();
        self.inspect_due(&cluster, now).await;
        let live = self.ctx.ledger.live(&self.key);
        let schedule = cluster.memory().schedule.clone();
        if !live.is_empty() {
            let asked = schedule.asked.is_some_and(|at| at <= now);
            if asked {
                cluster.memory().schedule.asked = None;
            }
            if asked || schedule.sweep.is_none_or(|at| at <= now) {
                cluster.memory().schedule.sweep = now.checked_add(signed(self.ctx.settings.sweep)).ok();
                cluster.memory().schedule.turn = schedule.turn.wrapping_add(1);
                self.sweep(&cluster, &live, schedule.turn, now).await?;
                self.wake_changed(&cluster, &live);
            }
            return Ok(());
        }
        cluster.memory().schedule.sweep = None;
        let first = matches!(cluster.memory().world.version, Seen::Unknown);
        if !first && schedule.read.is_some_and(|at| at <= now) {
            cluster.memory().schedule.turn = schedule.turn.wrapping_add(1);
            cluster.memory().schedule.read = now.checked_add(signed(self.ctx.settings.idle_read)).ok();
            self.idle_read(&cluster, schedule.turn).await?;
        }
        if schedule.read.is_none() {
            cluster.memory().schedule.read = now.checked_add(signed(self.ctx.settings.idle_read)).ok();
        }
        Ok(())
    }

    /// One sweep of every call bridge that has calls of ours.
    async fn sweep(
        &self,
        cluster: &Arc<Cluster>,
        live: &[sweep::Live],
        turn: u64,
        now: Timestamp,
    ) -> Result<(), (Arc<CallBridge>, CmsError)> {
        let mut by_home: BTreeMap<Address, Vec<sweep::Live>> = BTreeMap::new();
        for meeting in live {
            if let Some(call) = &meeting.call {
                by_home.entry(call.call_bridge.clone()).or_default().push(meeting.clone());
            }
        }
        let active = cluster.active();
        for call_bridge in cluster.usable() {
            let Some(meetings) = by_home.get(call_bridge.address()) else { continue };
            match sweep::sweep(cluster, &call_bridge, meetings, turn, now).await {
                Ok(()) => self.learn(cluster, &call_bridge, Sign::Answers),
                Err(error) if call_bridge.address() == active.address() => return Err((call_bridge, error)),
                Err(error) => self.learn(cluster, &call_bridge, Sign::Fails(error)),
            }
        }
        Ok(())
    }

    /// Looks at call bridges that were away, and at those with calls that were left there, as often as is swept.
    async fn inspect_due(&self, cluster: &Arc<Cluster>, now: Timestamp) {
        if cluster.memory().world.pool.known().is_none() {
            return; // Nobody knows yet which spaces are ours.
        }
        let live = self.ctx.ledger.live(&self.key);
        let swept = cluster.memory().schedule.sweep.is_none_or(|at| at <= now);
        let mut inspected = false;
        for call_bridge in cluster.usable() {
            let others = live
                .iter()
                .filter(|live| live.call.as_ref().is_some_and(|call| call.call_bridge != *call_bridge.address()));
            let wanted = {
                let local = call_bridge.local();
                let calls = local.calls.as_ref().map(|(_, calls)| calls);
                let left_there = || others.into_iter().any(|live| calls.is_some_and(|on| on.contains_key(&live.space)));
                local.inspect || (swept && left_there())
            };
            if !wanted {
                continue;
            }
            let ours =
                |space: &SpaceId| cluster.memory().world.pool.known().is_some_and(|pool| pool.number(space).is_some());
            inspected = true;
            if let Err(error) = sweep::inspect(&call_bridge, &live, ours, now).await {
                self.learn(cluster, &call_bridge, Sign::Fails(error));
            }
        }
        if inspected {
            self.wake_changed(cluster, &live);
        }
    }

    fn wake_changed(&self, cluster: &Cluster, live: &[sweep::Live]) {
        let changed: Vec<SpaceId> = sweep::changed(cluster, live);
        if changed.is_empty() {
            return;
        }
        for (namespace, name) in self.ctx.ledger.names_of_spaces(&self.key, &changed) {
            self.ctx.wake_meeting(&namespace, &name);
        }
    }

    /// After trouble, those who wait for this bridge are told; those whose time is over first.
    pub(super) fn wake_meetings(&self) {
        let now = self.now();
        if let Some(cluster) = &self.cluster {
            cluster.memory().writable_since = Some(now);
        }
        let overdue = self.ctx.ledger.overdue(&self.key, now);
        let due = self.ctx.ledger.due(&self.key, now);
        for (namespace, name) in overdue.into_iter().chain(due) {
            self.ctx.wake_meeting(&namespace, &name);
        }
    }

    /// Notes a failure of a call bridge: condition, pause, health. If that makes the bridge move to another call bridge, all
    /// is well again.
    pub(super) async fn failed(&mut self, call_bridge: &Arc<CallBridge>, error: CmsError) {
        let Some(cluster) = self.cluster.clone() else { return };
        let now = self.now();
        let error = cluster.diagnose(call_bridge, error, self.ctx.settings.patience(), now).await;
        let blamed = blames_call_bridge(&error);
        if blamed {
            self.learn(&cluster, call_bridge, Sign::Fails(error.clone()));
        }
        if error.is_connection_failure() {
            call_bridge.forget_calls();
        }
        if error == CmsError::Abandoned || cluster.active().address() != call_bridge.address() {
            (self.in_doubt, self.retry) = (true, Some(Duration::ZERO));
            return;
        }
        if blamed && cluster.roster().has_other_than(call_bridge.address()) {
            // The next probe tells more; it is due soon.
            self.in_doubt = true;
            cluster.memory().health = Some(Err(error));
            return;
        }
        let failures = self.ctx.count_failure(&self.bridge.uid().unwrap_or_default());
        let wait = super::backoff::after(&error, failures, self.is_busy());
        self.problem = Some(Problem::of(&error));
        self.retry = Some(wait);
        tracing::warn!(namespace = self.key.0, name = self.key.1, %error, "the bridge failed");
        let mut memory = cluster.memory();
        memory.database_lost |= error == CmsError::DatabaseNotReady;
        memory.schedule.retry = now.checked_add(signed(wait)).ok();
        memory.health = Some(Err(error));
    }

    /// When to come round again.
    pub fn wake(&self) -> Duration {
        let now = self.now();
        let left = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
        let mut soonest = self.retry.into_iter().collect::<Vec<_>>();
        if let Some(cluster) = &self.cluster {
            soonest.extend(self.next_check(cluster).map(left));
            let schedule = cluster.memory().schedule.clone();
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
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
