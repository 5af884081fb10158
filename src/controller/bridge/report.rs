//! The status that a pass over a bridge comes to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;

use super::super::kube_calls::KubeError;
use super::health::call_bridge_id;
use super::pass::Pass;
use crate::api::MeetingBridge;
use crate::api::bridge::{
    BookingsStatus, CallBridgeRole, CallBridgeStatus, MeetingBridgeStatus, SlotEntry, SlotState, SlotsStatus,
};
use crate::api::conditions::bridge as reason;
use crate::api::names::{FAILBACK_ANNOTATION, RECONCILE_ANNOTATION};
use crate::cluster::Cluster;
use crate::cluster::call_bridge::Membership;
use crate::cms::{CmsError, ErrorClass, SpaceId};
use crate::metrics::BridgeLabels;
use crate::plan::bridge::{World, numbers};
use crate::plan::failover;
use crate::plan::meeting::Seen;
use crate::status::bridge::{Outcome, Unfit, build, system_info};

/// Most entries of slots that are not free in a status.
const ENTRY_LIMIT: usize = 100;

impl Pass<'_> {
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
        if let (Some(cluster), Some(slots)) = (&self.cluster, facts.slots.as_mut().filter(|_| self.in_doubt)) {
            // What was true is not known to be wrong; the next pass judges it.
            slots.parameter_sets.clone_from(&self.record.sets);
            facts.active_call_bridge = Some(cluster.active().address().to_string());
            facts.call_bridges = self.call_bridges(cluster);
            return facts;
        }
        facts.plan = self.plan.clone();
        facts.last_handled_reconcile_at = self.bridge.annotations().get(RECONCILE_ANNOTATION).cloned();
        facts.last_handled_failback_at = self.handled_failback(&old);
        facts.cluster.clone_from(&self.known_cluster);
        facts.bookings = self.bookings(now);
        let (mut answered, mut skew, mut offender) = (false, None, None);
        if let Some(cluster) = &self.cluster {
            let memory = cluster.memory();
            let active = cluster.active();
            facts.active_call_bridge = Some(active.address().to_string());
            facts.call_bridges = self.call_bridges(cluster);
            answered = cluster.call_bridges().iter().any(|call_bridge| call_bridge.local().system.is_some());
            if let Some((at, system)) = &active.local().system {
                facts.system = Some(system_info(*at, system, old.system.as_ref()));
                skew = system.cdr_time.map(|time| time.duration_since(*at));
            }
            offender = memory.world.sync_failure.as_ref().and_then(|(_, offender)| offender.clone());
            facts.slots = Some(self.slots(&memory.world, old.slots.as_ref()));
        } else if let Some(slots) = &mut facts.slots {
            slots.parameter_sets = self.record.sets.clone();
        }
        let outcome = Outcome {
            spec: &self.bridge.spec,
            facts,
            problem: self.problem.clone(),
            answered,
            obstacle: self.obstacle.clone(),
            offender,
            provisioned: self.settled || ((self.problem.is_some() || self.in_doubt) && self.was_provisioned()),
            deleting: self.is_deleting(),
            skew,
            failed_over: self.failed_over(),
            unfit: self.misfits(),
        };
        build(&outcome, &old, self.bridge.metadata.generation, now)
    }

    /// A request for the failback is kept until the primary could take over.
    fn handled_failback(&self, old: &MeetingBridgeStatus) -> Option<String> {
        let waits = self.cluster.as_ref().is_some_and(|cluster| cluster.roster().has_failed_over());
        let asked = self.bridge.annotations().get(FAILBACK_ANNOTATION).cloned();
        if waits { old.last_handled_failback_at.clone() } else { asked }
    }

    /// Every call bridge with what is known of it, the primary first.
    fn call_bridges(&self, cluster: &Cluster) -> Vec<CallBridgeStatus> {
        let members = self.known_cluster.as_ref().map(|cluster| cluster.members.as_slice()).unwrap_or_default();
        let roster = cluster.roster();
        let status = |known: &failover::Candidate| {
            let call_bridge = cluster.call_bridge(&known.address)?;
            let error = known.health.error();
            let reachable = known.health.is_known() || error.is_some();
            Some(CallBridgeStatus {
                address: known.address.to_string(),
                role: known.role,
                call_bridge_id: call_bridge_id(&call_bridge, known.role, members),
                reachable: reachable.then(|| !error.is_some_and(CmsError::is_connection_failure)),
                reason: error.map(|error| error.reason().to_owned()),
            })
        };
        roster.iter().filter_map(status).collect()
    }

    /// Which call bridge does the primary's work, and what is wrong with the primary.
    fn failed_over(&self) -> Option<String> {
        let roster = self.cluster.as_ref()?.roster();
        if !roster.has_failed_over() {
            return None;
        }
        let primary = roster.iter().next()?;
        let why = primary.health.error().map_or("it is good again".to_owned(), ToString::to_string);
        Some(format!("requests go to {}; the primary {}: {why}", roster.active(), primary.address))
    }

    /// The alternates that cannot be used: what the spec tells, and what they said themselves.
    fn misfits(&self) -> Vec<Unfit> {
        let mut unfit = self.unfit.clone();
        let Some(cluster) = &self.cluster else { return unfit };
        for known in cluster.roster().iter().filter(|known| known.role == CallBridgeRole::Alternate) {
            let Some(call_bridge) = cluster.call_bridge(&known.address) else { continue };
            let name = known.address.to_string();
            let membership = call_bridge.local().membership.known().cloned();
            let (reason, message) = match (membership, known.health.error()) {
                (Some(Membership::Stranger), _) => {
                    let message = "its table of call bridges names none of this cluster";
                    (reason::ALTERNATE_NOT_IN_CLUSTER, message.to_owned())
                }
                (Some(Membership::Primary), _) => {
                    (reason::ALTERNATE_IS_PRIMARY, "it is the call bridge of spec.address itself".to_owned())
                }
                (_, Some(error)) if error.class() == ErrorClass::Auth => {
                    (reason::ALTERNATE_CREDENTIALS_INVALID, CmsError::Unauthorized.to_string())
                }
                _ => continue,
            };
            unfit.push(Unfit { name, reason, message });
        }
        unfit
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
        let labels = BridgeLabels { bridge: self.label() };
        self.ctx.metrics.slots_free.get_or_create(&labels).set(i64::from(slots.free));
        self.ctx.metrics.slots_foreign.get_or_create(&labels).set(i64::from(slots.foreign));
        slots.entries = entries.into_values().take(ENTRY_LIMIT).collect();
        slots
    }
}
