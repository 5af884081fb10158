//! Probes: whether a call bridge answers, and whether it is one of this cluster. Connections are made and nothing is
//! sent, unless the API had failed or nothing is known yet.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cache::signed;
use super::call_bridge::Belongs;
use super::{CallBridge, Cluster, Duty, Reading, Source, reading};
use crate::api::bridge::MemberStatus;
use crate::cms::{CmsError, ErrorClass};
use crate::facts::Seen;
use crate::metrics::BridgeLabels;
use crate::plan::failover::{Health, HealthSignal, Membership, blames_call_bridge};

/// A check under way; whatever ends it, a panic included, the call bridge is checked again.
pub(super) struct Checking(Arc<CallBridge>);

impl Checking {
    /// None: one is under way already.
    pub(super) fn begin(call_bridge: &Arc<CallBridge>) -> Option<Self> {
        let was_checked = std::mem::replace(&mut call_bridge.local().is_checked, true);
        (!was_checked).then(|| Self(Arc::clone(call_bridge)))
    }
}

impl Drop for Checking {
    fn drop(&mut self) {
        self.0.local().is_checked = false;
    }
}

impl Cluster {
    /// Probes every call bridge whose time has come: the active one now, the others in the background, so that a silent
    /// one delays nobody. Then moves to another one if that is right.
    pub async fn probe(self: &Arc<Self>, duty: &Duty<'_>) -> Reading {
        let (active, now) = (self.active(), self.now());
        for call_bridge in self.all() {
            let is_due = self.probe_at(&call_bridge, duty).is_none_or(|at| at <= now);
            if !is_due || call_bridge.address() == active.address() {
                continue;
            }
            if let Some(checking) = Checking::begin(&call_bridge) {
                let members = duty.members.map(<[MemberStatus]>::to_vec);
                self.env.tasks.spawn(check(Arc::clone(self), checking, members));
            }
        }
        let outcome = self.probe_active(&active, duty).await;
        self.reconsider(duty.failback_asked, self.now());
        outcome
    }

    /// The connection-level probe of the active call bridge, when it is due.
    async fn probe_active(self: &Arc<Self>, active: &Arc<CallBridge>, duty: &Duty<'_>) -> Reading {
        let now = self.now();
        let failed_before = self.cache().last_result.clone().and_then(Result::err);
        let was_lost = failed_before.as_ref().is_some_and(CmsError::is_connection_failure);
        if self.probe_at(active, duty).is_none_or(|at| at <= now) {
            let result = active.client().probe().await;
            active.local().probed_at = Some(self.now());
            let labels = BridgeLabels::from(&self.key);
            self.env.metrics.bridge_up.get_or_create(&labels).set(i64::from(result.is_ok()));
            if let Err(error) = result {
                return Reading::Failed(self.judge(active, error, Source::Monitor).await);
            }
            self.praise(active, HealthSignal::Connects);
            if was_lost {
                // The network is back: ask the bridge itself at once, and whether it was restarted meanwhile.
                let mut cache = self.cache();
                (cache.schedule.retry_at, cache.schedule.wants_status) = (None, true);
            }
        }
        let wait = self.cache().schedule.retry_at.filter(|at| *at > now);
        if let (Some(error), Some(at)) = (failed_before, wait) {
            // Still within the pause after a failure: say so again, ask nothing.
            let left = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
            return Reading::Paused { error, left };
        }
        if self.health(active.address()).wants_answer() {
            // The API had failed, so a connection alone does not prove that it is well again.
            match self.read_system(active).await {
                Ok(_) => self.praise(active, HealthSignal::Answers),
                Err(error) => return Reading::Failed(self.judge(active, error, Source::Monitor).await),
            }
        }
        Reading::Fine
    }

    /// When a call bridge is probed next; None: now.
    fn probe_at(&self, call_bridge: &CallBridge, duty: &Duty<'_>) -> Option<Timestamp> {
        let settings = &self.env.settings;
        let usual = if duty.is_busy { settings.probe_busy } else { settings.probe_idle };
        let health = self.health(call_bridge.address());
        let pause = if health.is_doubtful() { settings.probe_doubtful.min(usual) } else { usual };
        call_bridge.local().probed_at?.checked_add(signed(pause)).ok()
    }

    /// When something is to be done about the call bridges next.
    pub(super) fn next_probe(&self, duty: &Duty<'_>) -> Option<Timestamp> {
        let now = self.now();
        // A check that runs wakes us when it has something to tell.
        let unchecked = self.all().into_iter().filter(|call_bridge| !call_bridge.local().is_checked);
        let probes = unchecked.map(|call_bridge| self.probe_at(&call_bridge, duty).unwrap_or(now));
        probes.chain(self.failback_at()).min()
    }
}

/// Checks a call bridge that is not active: connection, whether it belongs to the cluster, and, where the API had failed,
/// whether it answers again.
async fn check(cluster: Arc<Cluster>, checking: Checking, members: Option<Vec<MemberStatus>>) {
    let call_bridge = Arc::clone(&checking.0);
    let address = call_bridge.address();
    let health = cluster.health(address);
    let signal = signal_of(&cluster, &call_bridge, &health, members.as_deref()).await;
    let now = cluster.now();
    call_bridge.local().probed_at = Some(now);
    drop(checking);
    if matches!(&signal, HealthSignal::Fails(error) if error.is_connection_failure()) {
        call_bridge.forget_calls();
    }
    let before = cluster.health(address);
    let is_lost_or_back = cluster.learn(address, signal, false, now);
    let after = cluster.health(address);
    let is_refused = after.error().is_some_and(|error| error.class() == ErrorClass::Auth);
    let membership = match call_bridge.local().belongs.known() {
        Some(Belongs::Stranger | Belongs::Primary) => Some(Membership::Barred),
        _ if is_refused => Some(Membership::Barred),
        Some(Belongs::Member(_)) => Some(Membership::Member),
        None => None,
    };
    let is_news = membership.is_some_and(|membership| {
        let known = cluster.health_table().get(address).map(|known| known.membership);
        cluster.change(now, false, |table, _| table.set_membership(address, membership)) || known != Some(membership)
    });
    let is_changed = before.is_good() != after.is_good() || before.is_known() != after.is_known();
    if is_lost_or_back || is_news || is_changed || after.is_doubtful() {
        (cluster.env.wake)();
    }
}

async fn signal_of(
    cluster: &Cluster,
    call_bridge: &CallBridge,
    health: &Health,
    members: Option<&[MemberStatus]>,
) -> HealthSignal {
    if let Err(error) = call_bridge.client().probe().await {
        return HealthSignal::Fails(error);
    }
    let is_known = call_bridge.local().belongs.known().is_some();
    if is_known && !health.wants_answer() {
        return HealthSignal::Connects;
    }
    let now = cluster.now();
    if call_bridge.system().is_none() || health.wants_answer() {
        // It may have been started anew meanwhile.
        if let Err(error) = cluster.read_system(call_bridge).await {
            return HealthSignal::Fails(error);
        }
    }
    if let Some(members) = members.filter(|_| !is_known) {
        match belonging(cluster, call_bridge, members, now).await {
            Ok(found) => call_bridge.local().belongs = Seen::Known(found),
            Err(error) if blames_call_bridge(&error) => return HealthSignal::Fails(error),
            Err(_) => {} // Asked again by the next check.
        }
    }
    HealthSignal::Answers
}

/// Whether this is a call bridge of the cluster: by the address that the cluster names, else by asking itself.
async fn belonging(
    cluster: &Cluster,
    call_bridge: &CallBridge,
    members: &[MemberStatus],
    now: Timestamp,
) -> Result<Belongs, CmsError> {
    if members.is_empty() {
        return Ok(Belongs::Stranger); // A lone bridge has an empty table.
    }
    let primary = cluster.primary();
    let of_primary = |member: &MemberStatus| {
        let is_itself = primary.as_ref().is_some_and(|primary| primary.address() == call_bridge.address());
        if member.primary && !is_itself { Belongs::Primary } else { Belongs::Member(Some(member.id.clone())) }
    };
    if let Some(member) = members.iter().find(|member| member.is_at(call_bridge.address())) {
        return Ok(of_primary(member));
    }
    let client = call_bridge.client();
    let listed = client.call_bridges(reading(now)).await?.items;
    if !listed.iter().any(|listed| members.iter().any(|member| listed.id == member.id.as_str().into())) {
        return Ok(Belongs::Stranger);
    }
    let name = client.cluster_unique_name(reading(now)).await?;
    let itself = members.iter().find(|member| Some(&member.name) == name.as_ref());
    Ok(itself.map_or(Belongs::Member(None), of_primary))
}

#[cfg(test)]
pub(super) mod tests;
