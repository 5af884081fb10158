//! The status of a MeetingBridge.

pub mod cluster;
mod control;
pub mod profiles;
pub mod slots;

use jiff::{SignedDuration, Timestamp};

use super::{Conditions, Readiness};
use crate::api::bridge::SystemInfo;
use crate::api::conditions::{bridge as reason, types};
use crate::api::{MeetingBridgeStatus, find};
use crate::cms::{CmsError, SystemStatus};
use crate::plan::bridge::{BridgeProgress, Obstacle, Problem, numbers};
use slots::{SLOTS_CONTESTED, SYNC_HANGS, draining, failed_before, scattered, sync_trouble};

/// A clock that is off by more than this is worth a warning; seconds are normal (requirements.md 1.2).
const SKEW_LIMIT: SignedDuration = SignedDuration::from_secs(30);

/// The conditions that are always there, and say nothing of a spec that cannot be read.
const JUDGED_BY_SPEC: [&str; 8] = [
    types::REACHABLE,
    types::CREDENTIALS_VALID,
    types::RECOGNIZED,
    types::DIAL_NUMBERS_CONFIGURED,
    types::SYSTEM_NAMED,
    types::ACCEPTED,
    types::FAILOVER_CONFIGURED,
    types::SLOTS_PROVISIONED,
];

/// Which condition an error of the bridge belongs to, and with which reason.
pub fn problem_of(error: &CmsError) -> Problem {
    let (condition, reason) = match error {
        // The pause is ours; the condition tells of the trouble behind it.
        CmsError::CircuitOpen { cause, .. } => return problem_of(cause),
        CmsError::AuthBlocked { .. } => return problem_of(&CmsError::Unauthorized),
        CmsError::DnsFailure => (types::REACHABLE, reason::DNS_FAILURE),
        CmsError::AddressRefused => (types::REACHABLE, reason::ADDRESS_REFUSED),
        CmsError::ProxyFailure => (types::REACHABLE, reason::PROXY_FAILURE),
        CmsError::ConnectTimeout => (types::REACHABLE, reason::CONNECT_TIMEOUT),
        CmsError::ConnectionRefused => (types::REACHABLE, reason::CONNECTION_REFUSED),
        CmsError::TlsFailure { .. } => (types::REACHABLE, reason::TLS_FAILURE),
        CmsError::Timeout
        | CmsError::ConnectionLost
        | CmsError::Busy
        | CmsError::HttpError { .. }
        | CmsError::Abandoned
        | CmsError::Cancelled
        | CmsError::Superseded => (types::REACHABLE, reason::HTTP_ERROR),
        CmsError::Unauthorized => (types::CREDENTIALS_VALID, reason::UNAUTHORIZED),
        CmsError::Forbidden => (types::CREDENTIALS_VALID, reason::FORBIDDEN),
        CmsError::NotACms => (types::RECOGNIZED, reason::NOT_A_CMS),
        CmsError::MalformedReply { .. } | CmsError::AmbiguousCreate => (types::RECOGNIZED, reason::MALFORMED_REPLY),
        CmsError::DatabaseNotReady => (types::DATABASE_WRITABLE, reason::NO_DATABASE_PRIMARY),
        // The bridge's own words about one request: connection and credentials are good.
        CmsError::NotFound { .. }
        | CmsError::Conflict { .. }
        | CmsError::ParameterError { .. }
        | CmsError::LimitReached { .. }
        | CmsError::PasscodeTooShort
        | CmsError::Rejected { .. } => (types::READY, reason::REJECTED),
    };
    Problem { condition, reason, message: error.to_string() }
}

/// An alternate that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableAlternate {
    /// As the spec names it.
    pub name: String,
    pub reason: &'static str,
    pub message: String,
}

/// What is known of a bridge besides its progress, as its conditions need it.
pub struct Report<'a> {
    pub progress: &'a BridgeProgress,
    /// The new status so far; conditions and phase are filled in here.
    pub draft: MeetingBridgeStatus,
    /// The bridge answered at least once with its present settings.
    pub has_answered: bool,
    /// What has numbers of slots, as sentences.
    pub taken: Vec<String>,
    /// Slots with which the bridge would not do something, and what, and what helps.
    pub stuck: Vec<(u32, String)>,
    /// Everything is made and verified.
    pub is_provisioned: bool,
    /// Not all is made, but there are slots.
    pub has_pool: bool,
    /// Bridge clock minus ours.
    pub skew: Option<SignedDuration>,
    /// Which certificates of the CA bundle cannot be read.
    pub unreadable: Vec<usize>,
    /// Which call bridge does the primary's work, and why.
    pub failed_over: Option<(&'static str, String)>,
    /// Alternates that cannot be used.
    pub unusable: Vec<UnusableAlternate>,
    /// Alternates of which nothing has proven yet that they are of this cluster.
    pub unproven: Vec<String>,
}

/// The new status: the draft, phase, conditions.
pub fn build(
    known: &Report<'_>,
    old: &MeetingBridgeStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> MeetingBridgeStatus {
    let mut conditions = Conditions::new(&old.conditions, generation, now);
    let tried = failed_before(known, old, generation);
    let own = profiles::judge(known, old, generation);
    if known.progress.spec.address.is_empty() {
        for kind in JUDGED_BY_SPEC {
            conditions.set(kind, None, reason::UNREADABLE, "not known while the object cannot be read");
        }
    } else {
        connection(known, &mut conditions);
        configuration(known, old, &mut conditions);
        cluster::tell(known, &mut conditions);
        slots::tell(known, tried.as_ref(), &mut conditions);
        profiles::tell(own.as_ref(), &mut conditions);
        control::tell(known, now, &mut conditions);
    }
    let unprotected = own.filter(|told| told.value == Some(false)).map(|told| told.message);
    let readiness = readiness(known, tried, unprotected);
    let mut status = known.draft.clone();
    status.observed_generation = generation;
    status.phase = Some(phase(known, &readiness).to_owned());
    status.conditions = conditions.finish(&readiness);
    status
}

/// What is said of the CA bundle beside the connection itself.
fn of_bundle(unreadable: &[usize]) -> String {
    if unreadable.is_empty() {
        return String::new();
    }
    let numbers: Vec<String> = unreadable.iter().take(5).map(usize::to_string).collect();
    format!("; of the CA bundle these certificates cannot be read and are left out: no. {}", numbers.join(", "))
}

fn connection(known: &Report<'_>, conditions: &mut Conditions<'_>) {
    // What comes after the trouble in the chain is not known.
    let chain = [
        (types::REACHABLE, "Reachable", "the bridge answers"),
        (types::CREDENTIALS_VALID, "Accepted", "the bridge accepts the credentials"),
        (types::RECOGNIZED, "CiscoMeetingServer", "it is a Cisco Meeting Server"),
    ];
    let at = known
        .progress
        .problem
        .as_ref()
        .and_then(|problem| chain.iter().position(|(kind, ..)| *kind == problem.condition));
    // A missing Secret says nothing about the network.
    let local = known.progress.problem.as_ref().is_some_and(|problem| {
        matches!(
            problem.reason,
            reason::SECRET_NOT_FOUND | reason::SECRET_NOT_LABELLED | reason::SECRET_UNREADABLE | reason::KEY_MISSING
        )
    });
    for (index, (condition, good, message)) in chain.into_iter().enumerate() {
        let beside = if condition == types::REACHABLE { of_bundle(&known.unreadable) } else { String::new() };
        let message = format!("{message}{beside}");
        match (at, &known.progress.problem) {
            (Some(at), Some(problem)) if at == index => {
                conditions.set(condition, Some(false), problem.reason, format!("{}{beside}", problem.message));
            }
            (Some(at), _) if index > at || local => {
                conditions.set(condition, None, "Unknown", "not known while the condition before it is not True");
            }
            (None, Some(_)) | (Some(_), _) => conditions.set(condition, Some(true), good, message),
            (None, None) if known.has_answered => conditions.set(condition, Some(true), good, message),
            (None, None) => conditions.set(condition, None, "Unknown", "not asked yet"),
        }
    }
    if let (None, Some(refused)) = (&known.progress.problem, &known.progress.refused_credentials) {
        conditions.set(types::CREDENTIALS_VALID, Some(false), reason::NEW_CREDENTIALS_REFUSED, refused.as_str());
    }
    if let Some(Obstacle::VersionTooOld) = known.progress.obstacle {
        let message = "the software is older than 2.0, which is needed for nonMemberAccess and bulk sync";
        conditions.set(types::RECOGNIZED, Some(false), reason::VERSION_TOO_OLD, message);
    }
    let database = known.progress.problem.as_ref().filter(|problem| problem.condition == types::DATABASE_WRITABLE);
    if known.has_answered || database.is_some() {
        conditions.judge(
            types::DATABASE_WRITABLE,
            ("Writable", "no write was refused by the database"),
            database.map(|problem| (problem.reason, problem.message.clone())),
        );
    }
    if let Some(skew) = known.skew {
        let off = (skew.abs() > SKEW_LIMIT).then(|| {
            (reason::SKEW, "the bridge's clock differs from the controller's by more than 30 seconds".to_owned())
        });
        conditions.judge(types::CLOCK_IN_SYNC, ("InSync", "the clocks agree"), off);
    }
    if known.progress.spec.tls.insecure_skip_verify {
        let message = "tls.insecureSkipVerify is true: anybody in between can read the credentials";
        conditions.set(types::INSECURE_TLS, Some(true), reason::VERIFICATION_OFF, message);
    }
}

fn configuration(known: &Report<'_>, old: &MeetingBridgeStatus, conditions: &mut Conditions<'_>) {
    let missing = numbers(&known.progress.spec)
        .err()
        .map(|missing| (reason::DIAL_NUMBER_CONFIGURATION_ERROR, format!("not set: {}", missing.join(", "))));
    conditions.judge(types::DIAL_NUMBERS_CONFIGURED, ("Configured", "domain, base and quantity are set"), missing);
    let blank = known
        .progress
        .spec
        .display_name
        .trim()
        .is_empty()
        .then(|| (reason::BLANK_SYSTEM_NAME, "spec.displayName is empty; nothing is blocked".to_owned()));
    conditions.judge(types::SYSTEM_NAMED, ("Named", "spec.displayName is set"), blank);
    if let Some(Obstacle::ClusterOwned(owner)) = &known.progress.obstacle {
        conditions.set(types::ACCEPTED, Some(false), reason::ALREADY_CLUSTER_MEMBER, owned_by(owner));
    } else if known.progress.is_owner_judged {
        conditions.set(types::ACCEPTED, Some(true), "Accepted", "no other MeetingBridge owns this cluster");
    } else {
        // A pass that did not get that far changes nothing about who owns the cluster, as long as it is the same one.
        let before = find(&old.conditions, types::ACCEPTED).filter(|_| known.progress.cluster.is_some());
        let told = before.map_or((None, "Unknown", "the cluster was not read yet"), |before| {
            let value = match before.status.as_str() {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            };
            (value, before.reason.as_str(), before.message.as_str())
        });
        conditions.set(types::ACCEPTED, told.0, told.1, told.2);
    }
}

fn owned_by(owner: &str) -> String {
    format!("{owner} owns this cluster already; delete one of the two")
}

/// `unprotected`: why no door opens by the profiles of the bridge.
fn readiness(known: &Report<'_>, tried: Option<(&'static str, String)>, unprotected: Option<String>) -> Readiness {
    if let Some(message) = &known.progress.untied {
        return Readiness::stalled(reason::FINALIZER_REFUSED, message);
    }
    if let Some(message) = &known.progress.unreadable {
        return Readiness::stalled(reason::UNREADABLE, message);
    }
    if known.progress.is_deleting {
        let problem = known.progress.problem.as_ref().map(|problem| &*problem.message);
        return Readiness::under_way(reason::DELETING, problem, "being removed");
    }
    if known.progress.spec.suspend {
        // Who suspends a bridge wants nothing to be done, and nobody who waits for it is to run into a time-out.
        return Readiness::ready(reason::SUSPENDED, "spec.suspend is true: only probes go on");
    }
    if let Some(problem) = &known.progress.problem {
        let is_permanent = matches!(
            problem.reason,
            reason::ADDRESS_REFUSED
                | reason::UNAUTHORIZED
                | reason::FORBIDDEN
                | reason::SECRET_NOT_FOUND
                | reason::SECRET_NOT_LABELLED
                | reason::SECRET_UNREADABLE
                | reason::KEY_MISSING
        );
        return Readiness::failing(problem.reason, &problem.message, is_permanent);
    }
    if let Some(former) = &known.progress.former_address {
        let message = format!(
            "meetings hold slots at {former}; spec.address is taken up when they are over (scheduling.allowBooking: \
             false lets no new ones come)"
        );
        return Readiness::progressing(reason::ADDRESS_CHANGE_DEFERRED, message);
    }
    match &known.progress.obstacle {
        Some(Obstacle::VersionTooOld) => {
            Readiness::stalled(reason::VERSION_TOO_OLD, "the software of the bridge is older than 2.0")
        }
        Some(Obstacle::ClusterOwned(owner)) => Readiness::stalled(reason::ALREADY_CLUSTER_MEMBER, owned_by(owner)),
        Some(Obstacle::DialNumbers(missing)) => {
            Readiness::stalled(reason::DIAL_NUMBER_CONFIGURATION_ERROR, format!("not set: {}", missing.join(", ")))
        }
        Some(Obstacle::Sync(failure)) => {
            let (reason, message) = sync_trouble(failure, known);
            Readiness::retrying(reason, message)
        }
        Some(Obstacle::SyncHangs) => Readiness::retrying(reason::SYNC_FAILED, SYNC_HANGS),
        Some(Obstacle::SlotsContested) => Readiness::retrying(reason::TUG_OF_WAR, SLOTS_CONTESTED),
        Some(Obstacle::Scattered) => Readiness::stalled(reason::RANGE_SCATTERED, scattered()),
        Some(Obstacle::Draining) => Readiness::progressing(reason::RESIZE_DEFERRED, draining(known)),
        None if let Some(message) = unprotected => Readiness::retrying(reason::SETTINGS_REFUSED, message),
        None if known.is_provisioned => Readiness::ready("Ready", "meetings can be booked"),
        None => match tried {
            Some((reason, message)) => Readiness::retrying(reason, message),
            None => {
                let message = if known.has_pool {
                    "slots are being made; those that are there can be booked by name of the bridge"
                } else {
                    "the bridge is being set up"
                };
                Readiness::progressing(reason::PROGRESSING, message)
            }
        },
    }
}

fn phase(known: &Report<'_>, readiness: &Readiness) -> &'static str {
    let in_use = known.draft.slots.as_ref().is_some_and(|slots| slots.in_use > 0);
    match readiness {
        _ if known.progress.is_deleting => "Deleting",
        _ if known.progress.unreadable.is_some() => "Degraded",
        _ if known.progress.spec.suspend => "Suspended",
        Readiness::Ready { .. } if in_use => "InUse",
        Readiness::Ready { .. } => "Idle",
        _ if known.progress.problem.as_ref().is_some_and(|problem| problem.condition == types::REACHABLE) => {
            "Unreachable"
        }
        _ if known.is_provisioned || known.progress.problem.is_some() || known.progress.obstacle.is_some() => {
            "Degraded"
        }
        _ => "Pending",
    }
}

/// The system as the status shows it. The start time is kept unless it moved by more than two minutes: it is computed
/// from a rounded uptime and would otherwise tick.
pub fn system_info(at: Timestamp, system: &SystemStatus, old: Option<&SystemInfo>) -> SystemInfo {
    let boot = system.started(at).and_then(|boot| {
        let minute = boot.as_second().div_euclid(60).checked_mul(60)?;
        Timestamp::from_second(minute).ok()
    });
    let kept = old
        .and_then(|old| old.boot_time)
        .filter(|kept| boot.is_some_and(|boot| boot.duration_since(kept.0).abs() <= SignedDuration::from_secs(120)));
    SystemInfo {
        software_version: system.software_version.clone(),
        boot_time: kept.or(boot.map(Into::into)),
        activated: system.activated,
        cluster_enabled: system.cluster_enabled,
        call_legs_active: system.call_legs_active,
        call_legs_max_active: system.call_legs_max_active,
        call_legs_completed: system.call_legs_completed,
    }
}

#[cfg(test)]
mod tests;
