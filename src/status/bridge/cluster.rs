//! The call bridges of a bridge: each as the status shows it, and whether another one can do the primary's work.

use super::{Report, UnusableAlternate, problem_of};
use crate::api::bridge::{CallBridgeRole, CallBridgeStatus, MaintenanceMode};
use crate::api::conditions::{bridge as reason, types};
use crate::cms::{CmsError, ErrorClass};
use crate::plan::failover::{CallBridgeView, HealthTable, Membership};
use crate::status::Conditions;

const LONE_OF_MANY: &str = "the cluster has other call bridges, and spec.failover names none: while this one is lost, nothing \
                            can be done, and who is connected through another one is not put out at the end of a meeting; \
                            set failover.discover: true";

/// A call bridge as the status shows it.
pub fn status_of(view: &CallBridgeView, old: &[CallBridgeStatus]) -> CallBridgeStatus {
    let error = view.known.health.error();
    let (used, is_accepted) = &view.credentials;
    let before = || {
        let old = old.iter().find(|old| old.address == view.known.address.to_string())?;
        old.accepted_credentials.clone().filter(|accepted| accepted == used)
    };
    let accepted_credentials = match is_accepted {
        Some(true) => Some(used.clone()),
        Some(false) => None,
        None => before(),
    };
    let is_known = view.known.health.is_known() || error.is_some();
    CallBridgeStatus {
        address: view.known.address.to_string(),
        role: view.known.role,
        call_bridge_id: view.id.clone(),
        reachable: is_known.then(|| !error.is_some_and(CmsError::is_connection_failure)),
        maintenance: Some(view.known.maintenance).filter(|mode| *mode != MaintenanceMode::None),
        reason: error.map(|error| error.reason().to_owned()),
        accepted_credentials,
    }
}

/// Which call bridge does the primary's work, and what is wrong with the primary.
pub fn failed_over(table: &HealthTable) -> Option<(&'static str, String)> {
    if !table.has_failed_over() {
        return None;
    }
    let primary = table.iter().next()?;
    let (reason, why) = match primary.health.error() {
        Some(error) => (reason::PRIMARY_LOST, error.to_string()),
        None if primary.maintenance != MaintenanceMode::None => {
            (reason::MAINTENANCE, "it is in maintenance (spec.maintenance)".to_owned())
        }
        None => (reason::PRIMARY_LOST, "it is good again".to_owned()),
    };
    Some((reason, format!("requests go to {}; the primary {}: {why}", table.active(), primary.address)))
}

/// The active call bridge is in maintenance, and still does the work.
pub fn not_relieved(table: &HealthTable) -> Option<UnusableAlternate> {
    let active = table.get(table.active()).filter(|active| active.maintenance != MaintenanceMode::None)?;
    Some(UnusableAlternate {
        name: active.address.to_string(),
        reason: reason::MAINTENANCE_WAITS,
        message: "it is in maintenance, but no other call bridge is good: meetings still start here".to_owned(),
    })
}

/// Why an alternate cannot be used, as it said itself.
pub fn unusable(view: &CallBridgeView) -> Option<UnusableAlternate> {
    let refusal = view.known.health.error().filter(|error| error.class() == ErrorClass::Auth);
    let (reason, message) = if view.known.role != CallBridgeRole::Alternate {
        return None;
    } else if view.is_stranger {
        (reason::ALTERNATE_NOT_IN_CLUSTER, "its table of call bridges names none of this cluster".to_owned())
    } else if view.is_primary_itself {
        (reason::ALTERNATE_IS_PRIMARY, "it is the call bridge of spec.address itself".to_owned())
    } else if let Some(refusal) = refusal {
        // A wrong password and a missing role have different remedies.
        (reason::ALTERNATE_CREDENTIALS_INVALID, problem_of(refusal).message)
    } else {
        return None;
    };
    Some(UnusableAlternate { name: view.known.address.to_string(), reason, message })
}

/// An alternate of which nothing has proven yet that it is of this cluster.
pub fn unproven(view: &CallBridgeView) -> Option<String> {
    let is_it = view.known.role == CallBridgeRole::Alternate && view.known.membership == Membership::Unproven;
    is_it.then(|| view.known.address.to_string())
}

/// Whether there is another call bridge to go to, and whether it has come to that.
pub(super) fn tell(known: &Report<'_>, conditions: &mut Conditions<'_>) {
    let spec = &known.progress.spec.failover;
    let told = |alternate: &UnusableAlternate| format!("{}: {}", alternate.name, alternate.message);
    let bad = known.unusable.first().map(|first| {
        let all: Vec<String> = known.unusable.iter().map(told).collect();
        (first.reason, all.join("; "))
    });
    let good = if spec.is_used() {
        ("Configured", "status.callBridges lists the call bridges that are used")
    } else if known.progress.cluster.as_ref().is_some_and(|cluster| cluster.members.len() > 1) {
        ("NoAlternates", LONE_OF_MANY)
    } else {
        ("NoAlternates", "spec.failover names no other call bridge: while this one is lost, nothing can be done")
    };
    if bad.is_none() && !known.unproven.is_empty() {
        let names = known.unproven.join(", ");
        let message =
            format!("nothing has proven yet that these are of this cluster: {names}; they are not used so far");
        conditions.set(types::FAILOVER_CONFIGURED, None, reason::ALTERNATES_UNPROVEN, message);
    } else {
        conditions.judge(types::FAILOVER_CONFIGURED, good, bad);
    }
    if let Some((reason, message)) = &known.failed_over {
        conditions.set(types::FAILED_OVER, Some(true), reason, message.as_str());
    }
}

#[cfg(test)]
mod tests;
