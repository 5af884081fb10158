//! The health of a bridge's call bridges: probes, what they mean (`plan/failover.rs`), and who is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::EventType;

use super::super::context::Context;
use super::pass::{Pass, signed};
use crate::api::bridge::{CallBridgeRole, MemberStatus};
use crate::api::names::FAILBACK_ANNOTATION;
use crate::cluster::call_bridge::{CallBridge, Membership};
use crate::cluster::{Cluster, News, reading};
use crate::cms::{CmsError, ErrorClass};
use crate::metrics::{BridgeLabels, CallBridgeLabels};
use crate::plan::failover::{Cause, Health, Sign, blames_call_bridge};
use crate::plan::meeting::Seen;
use crate::status::bridge::Problem;

impl Pass<'_> {
    /// Probes every call bridge whose time has come: the active one now, the others in the background, so that a silent
    /// one delays nobody. Then moves to another call bridge if that is right.
    pub(super) async fn check_call_bridges(&mut self) {
        let Some(cluster) = self.cluster.clone() else { return };
        let active = cluster.active();
        for call_bridge in cluster.call_bridges() {
            let due = self.check_at(&cluster, &call_bridge).is_none_or(|at| at <= self.now());
            if !due || call_bridge.address() == active.address() {
                continue;
            }
            let first = !std::mem::replace(&mut call_bridge.local().checking, true);
            if first {
                let members = self.known_cluster.as_ref().map(|cluster| cluster.members.clone());
                tokio::spawn(check(Arc::clone(self.ctx), Arc::clone(&cluster), call_bridge, members));
            }
        }
        self.probe_active(&cluster, &active).await;
        let asked = self.bridge.annotations().get(FAILBACK_ANNOTATION);
        let handled = self.bridge.status.as_ref().and_then(|status| status.last_handled_failback_at.as_ref());
        cluster.reconsider(asked.is_some() && asked != handled, self.now());
        self.tell_news().await;
    }

    /// The connection-level probe of the active call bridge, when it is due. It is not a request to the API.
    async fn probe_active(&mut self, cluster: &Arc<Cluster>, active: &Arc<CallBridge>) {
        let now = self.now();
        let failed_before = match &cluster.memory().health {
            Some(Err(error)) => Some(error.clone()),
            _ => None,
        };
        if self.check_at(cluster, active).is_none_or(|at| at <= now) {
            let result = active.client().probe().await;
            let now = self.now();
            active.local().probed = Some(now);
            let labels = BridgeLabels { bridge: self.label() };
            self.ctx.metrics.bridge_up.get_or_create(&labels).set(i64::from(result.is_ok()));
            if let Err(error) = result {
                self.failed(active, error).await;
                return;
            }
            self.learn(cluster, active, Sign::Connects);
            if failed_before.as_ref().is_some_and(CmsError::is_connection_failure) {
                // The network is back: ask the bridge itself at once.
                cluster.memory().schedule.retry = None;
            }
        }
        let wait = cluster.memory().schedule.retry.filter(|at| *at > now);
        if let (Some(error), Some(at)) = (failed_before, wait) {
            // Still within the pause after a failure: say so again, ask nothing.
            self.problem = Some(Problem::of(&error));
            self.retry = Duration::try_from(at.duration_since(now)).ok();
        } else if cluster.health(active.address()).wants_answer() {
            // The API had failed, so a connection alone does not prove that it is well again.
            match self.look_system(active).await {
                Ok(()) => self.learn(cluster, active, Sign::Answers),
                Err(error) => self.failed(active, error).await,
            }
        }
    }

    /// While the database takes no writes it is asked again and again; the moment it does, everybody who waits is told.
    pub(super) async fn check_database(&mut self) {
        let Some(cluster) = self.cluster.clone().filter(|cluster| cluster.memory().database_lost) else { return };
        let primary = cluster.has_database(&cluster.active(), self.ctx.settings.patience(), self.now()).await;
        if primary == Some(false) {
            let pause = if self.is_busy() { Duration::from_secs(1) } else { Duration::from_secs(5) };
            self.problem = Some(Problem::of(&CmsError::DatabaseNotReady));
            self.retry = Some(pause);
            return;
        }
        cluster.memory().database_lost = false;
        cluster.memory().schedule.retry = None;
        self.problem = None;
        self.wake_meetings();
    }

    /// Takes in a sign of life of a call bridge.
    pub(super) fn learn(&self, cluster: &Cluster, call_bridge: &CallBridge, sign: Sign) {
        let blames = !matches!(&sign, Sign::Fails(error) if !blames_call_bridge(error));
        if blames {
            cluster.learn(call_bridge.address(), sign, false, self.now());
        }
    }

    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.key.0, self.key.1)
    }

    /// When a call bridge is probed next; None: now.
    fn check_at(&self, cluster: &Cluster, call_bridge: &CallBridge) -> Option<Timestamp> {
        let settings = &self.ctx.settings;
        let usual = if self.is_busy() { settings.probe_busy } else { settings.probe_idle };
        let health = cluster.health(call_bridge.address());
        let pause = if health.is_doubtful() { settings.probe_doubtful.min(usual) } else { usual };
        call_bridge.local().probed?.checked_add(signed(pause)).ok()
    }

    /// When something is to be done about the call bridges next.
    pub(super) fn next_check(&self, cluster: &Cluster) -> Option<Timestamp> {
        let now = self.now();
        // A check that runs wakes us when it has something to tell.
        let idle = cluster.call_bridges().into_iter().filter(|call_bridge| !call_bridge.local().checking);
        let probes = idle.map(|call_bridge| self.check_at(cluster, &call_bridge).unwrap_or(now));
        probes.chain(cluster.failback_at()).min()
    }

    /// Events and metrics about what happened to the call bridges, and the meetings that are concerned are told.
    pub(super) async fn tell_news(&mut self) {
        let Some(cluster) = self.cluster.clone() else { return };
        let roster = cluster.roster();
        for known in roster.iter().filter(|known| known.health.is_known()) {
            let labels = CallBridgeLabels { bridge: self.label(), call_bridge: known.address.to_string() };
            self.ctx.metrics.call_bridge_up.get_or_create(&labels).set(i64::from(known.health.is_good()));
        }
        let alone = roster.iter().count() <= 1;
        let news = cluster.take_news();
        for item in news.iter().filter(|_| !alone) {
            let (kind, reason, note) = match item {
                News::Lost(address, error) => (EventType::Warning, "CallBridgeLost", format!("{address}: {error}")),
                News::Recovered(address) => {
                    (EventType::Normal, "CallBridgeRecovered", format!("{address} answers again"))
                }
                News::Moved(moved) if moved.cause == Cause::Lost => {
                    let labels = BridgeLabels { bridge: self.label() };
                    self.ctx.metrics.failovers.get_or_create(&labels).inc();
                    let note = format!("requests go to {} now; {} was lost", moved.to, moved.from);
                    (EventType::Warning, "FailedOver", note)
                }
                News::Moved(moved) => {
                    let note = format!("requests go to {} again instead of {}", moved.to, moved.from);
                    (EventType::Normal, "FailedBack", note)
                }
            };
            tracing::info!(namespace = self.key.0, name = self.key.1, reason, note, "call bridges changed");
            self.ctx.event(&self.bridge, kind, reason, "Failover", note).await;
        }
        if !news.is_empty() && !alone {
            self.ctx.clear_failures(&self.bridge.uid().unwrap_or_default());
            self.wake_meetings();
        }
    }
}

/// Checks a call bridge that is not active: connection, whether it belongs to the cluster, and, where the API had failed,
/// whether it answers again.
async fn check(
    ctx: Arc<Context>,
    cluster: Arc<Cluster>,
    call_bridge: Arc<CallBridge>,
    members: Option<Vec<MemberStatus>>,
) {
    let health = cluster.health(call_bridge.address());
    let sign = sign_of(&ctx, &cluster, &call_bridge, &health, members.as_deref()).await;
    let now = ctx.clock.now();
    {
        let mut local = call_bridge.local();
        (local.probed, local.checking) = (Some(now), false);
    }
    if matches!(&sign, Sign::Fails(error) if error.is_connection_failure()) {
        call_bridge.forget_calls();
    }
    let before = cluster.health(call_bridge.address());
    let told = cluster.learn(call_bridge.address(), sign, false, now);
    let after = cluster.health(call_bridge.address());
    let eligible = !matches!(call_bridge.local().membership, Seen::Known(Membership::Stranger | Membership::Primary))
        && !after.error().is_some_and(|error| error.class() == ErrorClass::Auth);
    let barred = cluster.set_eligible(call_bridge.address(), eligible, now);
    let changed = before.is_good() != after.is_good() || before.is_known() != after.is_known();
    if told || barred || changed || after.is_doubtful() {
        ctx.wake_bridge(&cluster.key);
    }
}

async fn sign_of(
    ctx: &Context,
    cluster: &Cluster,
    call_bridge: &CallBridge,
    health: &Health,
    members: Option<&[MemberStatus]>,
) -> Sign {
    if let Err(error) = call_bridge.client().probe().await {
        return Sign::Fails(error);
    }
    let known = call_bridge.local().membership.known().is_some();
    if known && !health.wants_answer() {
        return Sign::Connects;
    }
    let now = ctx.clock.now();
    let unasked = call_bridge.local().system.is_none();
    if unasked || health.wants_answer() {
        match call_bridge.client().system_status(reading(now)).await {
            Ok(system) => call_bridge.local().system = Some((now, system)),
            Err(error) => return Sign::Fails(error),
        }
    }
    if let Some(members) = members.filter(|_| !known) {
        match membership(cluster, call_bridge, members, now).await {
            Ok(found) => call_bridge.local().membership = Seen::Known(found),
            Err(error) if blames_call_bridge(&error) => return Sign::Fails(error),
            Err(_) => {} // Asked again by the next check.
        }
    }
    Sign::Answers
}

/// Whether a call bridge is a call bridge of the cluster: by the address that the cluster names, else by asking itself.
async fn membership(
    cluster: &Cluster,
    call_bridge: &CallBridge,
    members: &[MemberStatus],
    now: Timestamp,
) -> Result<Membership, CmsError> {
    if members.is_empty() {
        return Ok(Membership::Stranger); // A lone bridge has an empty table.
    }
    let primary = cluster.call_bridges().into_iter().next();
    let of_primary = |member: &MemberStatus| {
        let is_itself = primary.as_ref().is_some_and(|primary| primary.address() == call_bridge.address());
        if member.primary && !is_itself { Membership::Primary } else { Membership::Member(Some(member.id.clone())) }
    };
    if let Some(member) = members.iter().find(|member| member.is_at(call_bridge.address())) {
        return Ok(of_primary(member));
    }
    let client = call_bridge.client();
    let listed = client.call_bridges(reading(now)).await?.items;
    if !listed.iter().any(|listed| members.iter().any(|member| member.id == listed.id.as_str())) {
        return Ok(Membership::Stranger);
    }
    let name = client.cluster_unique_name(reading(now)).await?;
    let itself = members.iter().find(|member| Some(&member.name) == name.as_ref());
    Ok(itself.map_or(Membership::Member(None), of_primary))
}

/// The call bridge id of a call bridge, as far as it is known.
pub(super) fn call_bridge_id(
    call_bridge: &CallBridge,
    role: CallBridgeRole,
    members: &[MemberStatus],
) -> Option<String> {
    if let Seen::Known(Membership::Member(Some(id))) = &call_bridge.local().membership {
        return Some(id.clone());
    }
    let is_it = |member: &&MemberStatus| match role {
        CallBridgeRole::Primary => member.primary,
        _ => member.is_at(call_bridge.address()),
    };
    members.iter().find(is_it).map(|member| member.id.clone())
}
