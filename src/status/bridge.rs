//! The status of a MeetingBridge.

use jiff::{SignedDuration, Timestamp};

use super::{Conditions, Verdict};
use crate::api::MeetingBridgeStatus;
use crate::api::bridge::{MeetingBridgeSpec, SystemInfo};
use crate::api::conditions::{bridge as reason, kind};
use crate::cms::{CmsError, SyncFailure, SystemStatus};
use crate::plan::bridge::{Obstacle, numbers};

/// A clock that is off by more than this is worth a warning; seconds are normal (requirements.md 1.2).
const SKEW_LIMIT: SignedDuration = SignedDuration::from_secs(30);

/// Trouble that belongs to one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub condition: &'static str,
    pub reason: &'static str,
    pub message: String,
}

impl Problem {
    /// Which condition an error of the bridge belongs to, and with which reason.
    pub fn of(error: &CmsError) -> Self {
        let (condition, reason) = match error.reason() {
            "DNSFailure" => (kind::REACHABLE, reason::DNS_FAILURE),
            "ConnectTimeout" => (kind::REACHABLE, reason::CONNECT_TIMEOUT),
            "ConnectionRefused" => (kind::REACHABLE, reason::CONNECTION_REFUSED),
            "TLSFailure" => (kind::REACHABLE, reason::TLS_FAILURE),
            "Unauthorized" => (kind::CREDENTIALS_VALID, reason::UNAUTHORIZED),
            "Forbidden" => (kind::CREDENTIALS_VALID, reason::FORBIDDEN),
            "NotACMS" => (kind::RECOGNIZED, reason::NOT_A_CMS),
            "MalformedReply" | "AmbiguousCreate" => (kind::RECOGNIZED, reason::MALFORMED_REPLY),
            "DatabaseNotReady" => (kind::DATABASE_WRITABLE, reason::NO_DATABASE_PRIMARY),
            // The bridge's own words about one request: connection and credentials are good.
            "NotFound" | "Conflict" | "ParameterError" | "LimitReached" | "PasscodeTooShort" | "Rejected" => {
                (kind::READY, reason::REJECTED)
            }
            _ => (kind::REACHABLE, reason::HTTP_ERROR),
        };
        let message = match error {
            // The pause is ours; the condition tells of the trouble behind it.
            CmsError::CircuitOpen { cause, .. } => format!("the bridge could not be reached ({cause})"),
            CmsError::AuthBlocked { .. } => CmsError::Unauthorized.to_string(),
            other => other.to_string(),
        };
        Self { condition, reason, message }
    }
}

/// An alternate that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// As the spec names it.
    pub name: String,
    pub reason: &'static str,
    pub message: String,
}

/// What one pass over a bridge found and did.
pub struct Outcome<'a> {
    pub spec: &'a MeetingBridgeSpec,
    /// The facts so far; conditions and phase are filled in here.
    pub facts: MeetingBridgeStatus,
    pub problem: Option<Problem>,
    /// The bridge answered at least once with its present settings.
    pub answered: bool,
    pub obstacle: Option<Obstacle>,
    /// Name of what is in the way of a slot number.
    pub offender: Option<String>,
    /// Everything is made and verified.
    pub provisioned: bool,
    pub deleting: bool,
    /// Bridge clock minus ours.
    pub skew: Option<SignedDuration>,
    /// Which call bridge does the primary's work, and why.
    pub failed_over: Option<String>,
    /// Alternates that cannot be used.
    pub unfit: Vec<Unfit>,
}

/// The new status: facts, phase, conditions.
pub fn build(
    outcome: &Outcome<'_>,
    old: &MeetingBridgeStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> MeetingBridgeStatus {
    let mut conditions = Conditions::new(&old.conditions, generation, now);
    connection(outcome, &mut conditions);
    configuration(outcome, &mut conditions);
    failover(outcome, &mut conditions);
    let tried = failed_before(outcome, old, generation);
    slots(outcome, tried.as_ref(), &mut conditions);
    control(outcome, &mut conditions);
    let verdict = verdict(outcome, tried);
    let mut status = outcome.facts.clone();
    status.observed_generation = generation;
    status.phase = Some(phase(outcome, &verdict).to_owned());
    status.conditions = conditions.finish(&verdict);
    status
}

fn connection(outcome: &Outcome<'_>, conditions: &mut Conditions<'_>) {
    // What comes after the trouble in the chain is not known.
    let chain = [
        (kind::REACHABLE, "Reachable", "the bridge answers"),
        (kind::CREDENTIALS_VALID, "Accepted", "the bridge accepts the credentials"),
        (kind::RECOGNIZED, "CiscoMeetingServer", "it is a Cisco Meeting Server"),
    ];
    let at =
        outcome.problem.as_ref().and_then(|problem| chain.iter().position(|(kind, ..)| *kind == problem.condition));
    // A missing Secret says nothing about the network.
    let local = outcome
        .problem
        .as_ref()
        .is_some_and(|problem| matches!(problem.reason, reason::SECRET_NOT_FOUND | reason::KEY_MISSING));
    for (index, (condition, good, message)) in chain.into_iter().enumerate() {
        match (at, &outcome.problem) {
            (Some(at), Some(problem)) if at == index => {
                conditions.set(condition, Some(false), problem.reason, problem.message.as_str());
            }
            (Some(at), _) if index > at || local => {
                conditions.set(condition, None, "Unknown", "not known while the condition before it is not True");
            }
            (None, Some(_)) | (Some(_), _) => conditions.set(condition, Some(true), good, message),
            (None, None) if outcome.answered => conditions.set(condition, Some(true), good, message),
            (None, None) => conditions.set(condition, None, "Unknown", "not asked yet"),
        }
    }
    if let Some(Obstacle::VersionTooOld) = outcome.obstacle {
        let message = "the software is older than 2.0, which is needed for nonMemberAccess and bulk sync";
        conditions.set(kind::RECOGNIZED, Some(false), reason::VERSION_TOO_OLD, message);
    }
    let database = outcome.problem.as_ref().filter(|problem| problem.condition == kind::DATABASE_WRITABLE);
    if outcome.answered || database.is_some() {
        conditions.judge(
            kind::DATABASE_WRITABLE,
            ("Writable", "no write was refused by the database"),
            database.map(|problem| (problem.reason, problem.message.clone())),
        );
    }
    if let Some(skew) = outcome.skew {
        let off = (skew.abs() > SKEW_LIMIT).then(|| {
            (reason::SKEW, "the bridge's clock differs from the controller's by more than 30 seconds".to_owned())
        });
        conditions.judge(kind::CLOCK_IN_SYNC, ("InSync", "the clocks agree"), off);
    }
    if outcome.spec.tls.insecure_skip_verify {
        let message = "tls.insecureSkipVerify is true: anybody in between can read the credentials";
        conditions.set(kind::INSECURE_TLS, Some(true), reason::VERIFICATION_OFF, message);
    }
}

fn configuration(outcome: &Outcome<'_>, conditions: &mut Conditions<'_>) {
    let missing = numbers(outcome.spec)
        .err()
        .map(|missing| (reason::DIAL_NUMBER_CONFIGURATION_ERROR, format!("not set: {}", missing.join(", "))));
    conditions.judge(kind::DIAL_NUMBERS_CONFIGURED, ("Configured", "domain, base and quantity are set"), missing);
    let blank = outcome
        .spec
        .display_name
        .trim()
        .is_empty()
        .then(|| (reason::BLANK_SYSTEM_NAME, "spec.displayName is empty; nothing is blocked".to_owned()));
    conditions.judge(kind::SYSTEM_NAMED, ("Named", "spec.displayName is set"), blank);
    let owned = match &outcome.obstacle {
        Some(Obstacle::ClusterOwned(owner)) => Some((reason::ALREADY_CLUSTER_MEMBER, owned_by(owner))),
        _ => None,
    };
    conditions.judge(kind::ACCEPTED, ("Accepted", "no other MeetingBridge owns this cluster"), owned);
}

fn failover(outcome: &Outcome<'_>, conditions: &mut Conditions<'_>) {
    let spec = &outcome.spec.failover;
    let told = |unfit: &Unfit| format!("{}: {}", unfit.name, unfit.message);
    let bad = outcome.unfit.first().map(|first| {
        let all: Vec<String> = outcome.unfit.iter().map(told).collect();
        (first.reason, all.join("; "))
    });
    let good = if spec.is_used() {
        ("Configured", "status.callBridges lists the call bridges that are used")
    } else {
        ("NoAlternates", "spec.failover names no other call bridge: while this one is lost, nothing can be done")
    };
    conditions.judge(kind::FAILOVER_CONFIGURED, good, bad);
    if let Some(message) = &outcome.failed_over {
        conditions.set(kind::FAILED_OVER, Some(true), reason::PRIMARY_LOST, message.as_str());
    }
}

fn owned_by(owner: &str) -> String {
    format!("the older MeetingBridge {owner} owns this cluster already; delete one of the two")
}

fn sync_trouble(failure: &SyncFailure, offender: Option<&str>) -> (&'static str, String) {
    let who = offender.map(|name| format!(": {name}")).unwrap_or_default();
    match failure {
        SyncFailure::UriConflict => {
            (reason::URI_CONFLICT, format!("a slot number is already the URI of something else{who}"))
        }
        SyncFailure::CallIdConflict => {
            (reason::CALL_ID_CONFLICT, format!("a slot number is already the call id of something else{who}"))
        }
        SyncFailure::RangeInvalid => (reason::RANGE_INVALID, "the bridge rejects the range of slots".to_owned()),
        SyncFailure::RangeTooGreat => {
            (reason::RANGE_TOO_GREAT, "the bridge makes fewer spaces at once; lower slots.quantity".to_owned())
        }
        SyncFailure::ParameterSetMissing | SyncFailure::Unspecified | SyncFailure::Other(_) => {
            (reason::SYNC_FAILED, "the bridge could not make the spaces".to_owned())
        }
    }
}

/// Why the last sync failed, as long as the next one for the same spec has not ended: between tries nothing is better.
fn failed_before(
    outcome: &Outcome<'_>,
    old: &MeetingBridgeStatus,
    generation: Option<i64>,
) -> Option<(&'static str, String)> {
    let running = outcome.obstacle.is_none() && outcome.problem.is_none() && !outcome.provisioned;
    let known = super::find(&old.conditions, kind::SLOTS_PROVISIONED)
        .filter(|known| running && known.observed_generation == generation && known.status == "False")?;
    let failures = [
        reason::URI_CONFLICT,
        reason::CALL_ID_CONFLICT,
        reason::RANGE_INVALID,
        reason::RANGE_TOO_GREAT,
        reason::SYNC_FAILED,
    ];
    failures.into_iter().find(|reason| known.reason == *reason).map(|reason| (reason, known.message.to_string()))
}

fn slots(outcome: &Outcome<'_>, tried: Option<&(&'static str, String)>, conditions: &mut Conditions<'_>) {
    let bad = match &outcome.obstacle {
        Some(Obstacle::Sync(failure)) => Some(sync_trouble(failure, outcome.offender.as_deref())),
        Some(Obstacle::Draining) => Some((
            reason::RESIZE_DEFERRED,
            "slots outside the range are still held; they go when their meetings have ended".to_owned(),
        )),
        Some(Obstacle::DialNumbers(_)) => Some((reason::PENDING, "the dial numbers are not configured".to_owned())),
        _ if tried.is_some() => tried.cloned(),
        _ if !outcome.provisioned => Some((reason::PENDING, "the slots are not made yet".to_owned())),
        _ => None,
    };
    conditions.judge(kind::SLOTS_PROVISIONED, ("Provisioned", "every slot of the range is there"), bad);
}

fn control(outcome: &Outcome<'_>, conditions: &mut Conditions<'_>) {
    let Some(slots) = &outcome.facts.slots else { return };
    let bad = (slots.foreign > 0).then(|| {
        let numbers: Vec<String> = slots
            .entries
            .iter()
            .filter(|entry| entry.state == crate::api::bridge::SlotState::Foreign)
            .take(10)
            .map(|entry| entry.number.to_string())
            .collect();
        let message = format!("somebody else opened or renamed the slots {}; they are left alone", numbers.join(", "));
        (reason::FOREIGN_CHANGES, message)
    });
    conditions.judge(kind::EXCLUSIVE_CONTROL, ("Exclusive", "nobody else uses the slots"), bad);
}

fn verdict(outcome: &Outcome<'_>, tried: Option<(&'static str, String)>) -> Verdict {
    if outcome.deleting {
        let message = outcome.problem.as_ref().map_or("being removed".to_owned(), |problem| problem.message.clone());
        return Verdict::Reconciling { reason: reason::DELETING, message, retrying: outcome.problem.is_some() };
    }
    if outcome.spec.suspend {
        return Verdict::Paused { reason: reason::SUSPENDED, message: "spec.suspend is true".to_owned() };
    }
    if let Some(problem) = &outcome.problem {
        let (reason, message) = (problem.reason, problem.message.clone());
        return match reason {
            reason::UNAUTHORIZED | reason::FORBIDDEN | reason::SECRET_NOT_FOUND | reason::KEY_MISSING => {
                Verdict::Stalled { reason, message }
            }
            _ => Verdict::Reconciling { reason, message, retrying: true },
        };
    }
    match &outcome.obstacle {
        Some(Obstacle::VersionTooOld) => Verdict::Stalled {
            reason: reason::VERSION_TOO_OLD,
            message: "the software of the bridge is older than 2.0".to_owned(),
        },
        Some(Obstacle::ClusterOwned(owner)) => {
            Verdict::Stalled { reason: reason::ALREADY_CLUSTER_MEMBER, message: owned_by(owner) }
        }
        Some(Obstacle::DialNumbers(missing)) => Verdict::Stalled {
            reason: reason::DIAL_NUMBER_CONFIGURATION_ERROR,
            message: format!("not set: {}", missing.join(", ")),
        },
        Some(Obstacle::Sync(failure)) => {
            let (reason, message) = sync_trouble(failure, outcome.offender.as_deref());
            Verdict::Reconciling { reason, message, retrying: true }
        }
        Some(Obstacle::Draining) => Verdict::Reconciling {
            reason: reason::RESIZE_DEFERRED,
            message: "slots outside the range are still held".to_owned(),
            retrying: false,
        },
        None if outcome.provisioned => Verdict::Ready { reason: "Ready", message: "meetings can be booked".to_owned() },
        None => match tried {
            Some((reason, message)) => Verdict::Reconciling { reason, message, retrying: true },
            None => Verdict::Reconciling {
                reason: reason::PROGRESSING,
                message: "the bridge is being set up".to_owned(),
                retrying: false,
            },
        },
    }
}

fn phase(outcome: &Outcome<'_>, verdict: &Verdict) -> &'static str {
    let in_use = outcome.facts.slots.as_ref().is_some_and(|slots| slots.in_use > 0);
    match verdict {
        _ if outcome.deleting => "Deleting",
        Verdict::Paused { .. } => "Suspended",
        Verdict::Ready { .. } if in_use => "InUse",
        Verdict::Ready { .. } => "Idle",
        _ if outcome.problem.as_ref().is_some_and(|problem| problem.condition == kind::REACHABLE) => "Unreachable",
        _ if outcome.provisioned || outcome.problem.is_some() || outcome.obstacle.is_some() => "Degraded",
        _ => "Pending",
    }
}

/// The system as the status shows it. The start time is kept unless it moved by more than two minutes: it is computed
/// from a rounded uptime and would otherwise tick.
pub fn system_info(at: Timestamp, system: &SystemStatus, old: Option<&SystemInfo>) -> SystemInfo {
    let uptime = SignedDuration::from_secs(i64::try_from(system.uptime_seconds).unwrap_or(0));
    let boot = at.checked_sub(uptime).ok().and_then(|boot| {
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
