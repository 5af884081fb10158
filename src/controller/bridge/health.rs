//! The health of a bridge's call bridges: probes, what they mean (`plan/failover.rs`), and who is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::EventType;

use super::super::context::Context;
use super::pass::{Pass, signed};
use crate::api::bridge::{EndpointRole, MemberStatus};
use crate::api::names::FAILBACK_ANNOTATION;
use crate::cms::{CmsError, ErrorClass};
use crate::metrics::{BridgeLabels, EndpointLabels};
use crate::observe::endpoint::{Endpoint, Membership};
use crate::observe::link::{Link, News, reading};
use crate::plan::failover::{Cause, Health, Sign, blames_endpoint};
use crate::plan::meeting::Seen;
use crate::status::bridge::Problem;

impl Pass<'_> {
    /// Probes every endpoint whose time has come: the active one now, the others in the background, so that a silent
    /// one delays nobody. Then moves to another endpoint if that is right.
    pub(super) async fn check_endpoints(&mut self) {
        let Some(link) = self.link.clone() else { return };
        let active = link.active();
        for endpoint in link.endpoints() {
            let due = self.check_at(&link, &endpoint).is_none_or(|at| at <= self.now());
            if !due || endpoint.address() == active.address() {
                continue;
            }
            let first = !std::mem::replace(&mut endpoint.local().checking, true);
            if first {
                let members = self.cluster.as_ref().map(|cluster| cluster.members.clone());
                tokio::spawn(check(Arc::clone(self.ctx), Arc::clone(&link), endpoint, members));
            }
        }
        self.probe_active(&link, &active).await;
        let asked = self.bridge.annotations().get(FAILBACK_ANNOTATION);
        let handled = self.bridge.status.as_ref().and_then(|status| status.last_handled_failback_at.as_ref());
        link.reconsider(asked.is_some() && asked != handled, self.now());
        self.tell_news().await;
    }

    /// The connection-level probe of the active endpoint, when it is due. It is not a request to the API.
    async fn probe_active(&mut self, link: &Arc<Link>, active: &Arc<Endpoint>) {
        let now = self.now();
        let failed_before = match &link.memory().health {
            Some(Err(error)) => Some(error.clone()),
            _ => None,
        };
        if self.check_at(link, active).is_none_or(|at| at <= now) {
            let result = active.client().probe().await;
            let now = self.now();
            active.local().probed = Some(now);
            let labels = BridgeLabels { bridge: self.label() };
            self.ctx.metrics.bridge_up.get_or_create(&labels).set(i64::from(result.is_ok()));
            if let Err(error) = result {
                self.failed(active, error).await;
                return;
            }
            self.learn(link, active, Sign::Connects);
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
        } else if link.health(active.address()).wants_answer() {
            // The API had failed, so a connection alone does not prove that it is well again.
            match self.look_system(active).await {
                Ok(()) => self.learn(link, active, Sign::Answers),
                Err(error) => self.failed(active, error).await,
            }
        }
    }

    /// While the database takes no writes it is asked again and again; the moment it does, everybody who waits is told.
    pub(super) async fn check_database(&mut self) {
        let Some(link) = self.link.clone().filter(|link| link.memory().database_lost) else { return };
        let primary = link.has_database(&link.active(), self.ctx.settings.patience(), self.now()).await;
        if primary == Some(false) {
            let pause = if self.is_busy() { Duration::from_secs(1) } else { Duration::from_secs(5) };
            self.problem = Some(Problem::of(&CmsError::DatabaseNotReady));
            self.retry = Some(pause);
            return;
        }
        link.memory().database_lost = false;
        link.memory().schedule.retry = None;
        self.problem = None;
        self.wake_meetings();
    }

    /// Takes in a sign of life of an endpoint.
    pub(super) fn learn(&self, link: &Link, endpoint: &Endpoint, sign: Sign) {
        let blames = !matches!(&sign, Sign::Fails(error) if !blames_endpoint(error));
        if blames {
            link.learn(endpoint.address(), sign, false, self.now());
        }
    }

    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.key.0, self.key.1)
    }

    /// When an endpoint is probed next; None: now.
    fn check_at(&self, link: &Link, endpoint: &Endpoint) -> Option<Timestamp> {
        let settings = &self.ctx.settings;
        let usual = if self.is_busy() { settings.probe_busy } else { settings.probe_idle };
        let health = link.health(endpoint.address());
        let pause = if health.is_doubtful() { settings.probe_doubtful.min(usual) } else { usual };
        endpoint.local().probed?.checked_add(signed(pause)).ok()
    }

    /// When something is to be done about the endpoints next.
    pub(super) fn next_check(&self, link: &Link) -> Option<Timestamp> {
        let now = self.now();
        // A check that runs wakes us when it has something to tell.
        let idle = link.endpoints().into_iter().filter(|endpoint| !endpoint.local().checking);
        let probes = idle.map(|endpoint| self.check_at(link, &endpoint).unwrap_or(now));
        probes.chain(link.failback_at()).min()
    }

    /// Events and metrics about what happened to the endpoints, and the meetings that are concerned are told.
    pub(super) async fn tell_news(&mut self) {
        let Some(link) = self.link.clone() else { return };
        let roster = link.roster();
        for known in roster.iter().filter(|known| known.health.is_known()) {
            let labels = EndpointLabels { bridge: self.label(), endpoint: known.address.to_string() };
            self.ctx.metrics.endpoint_up.get_or_create(&labels).set(i64::from(known.health.is_good()));
        }
        let alone = roster.iter().count() <= 1;
        let news = link.take_news();
        for item in news.iter().filter(|_| !alone) {
            let (kind, reason, note) = match item {
                News::Lost(address, error) => (EventType::Warning, "EndpointLost", format!("{address}: {error}")),
                News::Recovered(address) => {
                    (EventType::Normal, "EndpointRecovered", format!("{address} answers again"))
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
            tracing::info!(namespace = self.key.0, name = self.key.1, reason, note, "endpoints changed");
            self.ctx.event(&self.bridge, kind, reason, "Failover", note).await;
        }
        if !news.is_empty() && !alone {
            self.ctx.clear_failures(&self.bridge.uid().unwrap_or_default());
            self.wake_meetings();
        }
    }
}

/// Checks an endpoint that is not active: connection, whether it belongs to the cluster, and, where the API had failed,
/// whether it answers again.
async fn check(ctx: Arc<Context>, link: Arc<Link>, endpoint: Arc<Endpoint>, members: Option<Vec<MemberStatus>>) {
    let health = link.health(endpoint.address());
    let sign = sign_of(&ctx, &link, &endpoint, &health, members.as_deref()).await;
    let now = ctx.clock.now();
    {
        let mut local = endpoint.local();
        (local.probed, local.checking) = (Some(now), false);
    }
    if matches!(&sign, Sign::Fails(error) if error.is_connection_failure()) {
        endpoint.forget_calls();
    }
    let before = link.health(endpoint.address());
    let told = link.learn(endpoint.address(), sign, false, now);
    let after = link.health(endpoint.address());
    let eligible = !matches!(endpoint.local().membership, Seen::Known(Membership::Stranger | Membership::Primary))
        && !after.error().is_some_and(|error| error.class() == ErrorClass::Auth);
    let barred = link.set_eligible(endpoint.address(), eligible, now);
    let changed = before.is_good() != after.is_good() || before.is_known() != after.is_known();
    if told || barred || changed || after.is_doubtful() {
        ctx.wake_bridge(&link.key);
    }
}

async fn sign_of(
    ctx: &Context,
    link: &Link,
    endpoint: &Endpoint,
    health: &Health,
    members: Option<&[MemberStatus]>,
) -> Sign {
    if let Err(error) = endpoint.client().probe().await {
        return Sign::Fails(error);
    }
    let known = endpoint.local().membership.known().is_some();
    if known && !health.wants_answer() {
        return Sign::Connects;
    }
    let now = ctx.clock.now();
    let unasked = endpoint.local().system.is_none();
    if unasked || health.wants_answer() {
        match endpoint.client().system_status(reading(now)).await {
            Ok(system) => endpoint.local().system = Some((now, system)),
            Err(error) => return Sign::Fails(error),
        }
    }
    if let Some(members) = members.filter(|_| !known) {
        match membership(link, endpoint, members, now).await {
            Ok(found) => endpoint.local().membership = Seen::Known(found),
            Err(error) if blames_endpoint(&error) => return Sign::Fails(error),
            Err(_) => {} // Asked again by the next check.
        }
    }
    Sign::Answers
}

/// Whether an endpoint is a call bridge of the cluster: by the address that the cluster names, else by asking itself.
async fn membership(
    link: &Link,
    endpoint: &Endpoint,
    members: &[MemberStatus],
    now: Timestamp,
) -> Result<Membership, CmsError> {
    if members.is_empty() {
        return Ok(Membership::Stranger); // A lone bridge has an empty table.
    }
    let primary = link.endpoints().into_iter().next();
    let of_primary = |member: &MemberStatus| {
        let is_itself = primary.as_ref().is_some_and(|primary| primary.address() == endpoint.address());
        if member.primary && !is_itself { Membership::Primary } else { Membership::Member(Some(member.id.clone())) }
    };
    if let Some(member) = members.iter().find(|member| member.is_at(endpoint.address())) {
        return Ok(of_primary(member));
    }
    let client = endpoint.client();
    let listed = client.call_bridges(reading(now)).await?.items;
    if !listed.iter().any(|listed| members.iter().any(|member| member.id == listed.id.as_str())) {
        return Ok(Membership::Stranger);
    }
    let name = client.cluster_unique_name(reading(now)).await?;
    let itself = members.iter().find(|member| Some(&member.name) == name.as_ref());
    Ok(itself.map_or(Membership::Member(None), of_primary))
}

/// The call bridge id of an endpoint, as far as it is known.
pub(super) fn call_bridge_id(endpoint: &Endpoint, role: EndpointRole, members: &[MemberStatus]) -> Option<String> {
    if let Seen::Known(Membership::Member(Some(id))) = &endpoint.local().membership {
        return Some(id.clone());
    }
    let is_it = |member: &&MemberStatus| match role {
        EndpointRole::Primary => member.primary,
        _ => member.is_at(endpoint.address()),
    };
    members.iter().find(is_it).map(|member| member.id.clone())
}
