//! What is told of the bridge's own profiles: whether it shows what keeps people out as spec.profiles says.

use super::Report;
use crate::api::conditions::{bridge as reason, types};
use crate::api::{MeetingBridgeStatus, find};
use crate::plan::bridge::{BridgeProgress, Protection};
use crate::plan::settings::protection_by;
use crate::status::Conditions;

const UNREAD: &str = "what keeps people out in spec.profiles is not read back from the bridge yet; until then no door opens by \
                      its profiles";

const SHOWN: &str = "the bridge shows what keeps people out as spec.profiles says";

/// What the condition says, where spec.profiles asks for such a thing.
pub(super) struct Told {
    pub value: Option<bool>,
    pub reason: String,
    pub message: String,
}

/// None: nothing is asked for.
pub(super) fn judge(known: &Report<'_>, old: &MeetingBridgeStatus, generation: Option<i64>) -> Option<Told> {
    let progress = known.progress;
    if asked(progress).is_empty() || progress.is_observing || progress.is_deleting {
        return None;
    }
    let told = |value, reason: &str, message: &str| {
        Some(Told { value, reason: reason.to_owned(), message: message.to_owned() })
    };
    match &progress.own.protection {
        Some(Protection::Shown) => told(Some(true), "Applied", SHOWN),
        Some(Protection::Lacking(fields)) => {
            let message = format!(
                "spec.profiles asks for what keeps people out, and the bridge does not show {fields} as written when it is read \
                 back, so nobody knows whether it applies; no door opens by its profiles until it does, and meetings that run go \
                 on; it is looked at again every few minutes: update the bridge's software, or take the field out of \
                 spec.profiles"
            );
            told(Some(false), reason::SETTINGS_REFUSED, &message)
        }
        Some(Protection::Unread) => told(None, reason::SETTINGS_PENDING, UNREAD),
        // A pass that did not get that far changes nothing about it, as long as the same is asked for.
        None if is_proven(progress, &known.draft.proven_protection) => told(Some(true), "Applied", SHOWN),
        None => {
            let before = find(&old.conditions, types::SETTINGS_APPLIED).filter(|before| before.status != "True");
            before.filter(|before| before.observed_generation == generation).map_or_else(
                || told(None, reason::SETTINGS_PENDING, UNREAD),
                |before| told((before.status == "False").then_some(false), &before.reason, &before.message),
            )
        }
    }
}

/// Is all that is asked for among what was proven?
fn is_proven(progress: &BridgeProgress, proven: &[String]) -> bool {
    asked(progress).iter().all(|asked| proven.contains(asked))
}

fn asked(progress: &BridgeProgress) -> Vec<String> {
    protection_by(&progress.spec.profiles)
}

/// What is proven after this pass, for the status.
pub fn proven(progress: &BridgeProgress, old: &MeetingBridgeStatus) -> Vec<String> {
    match progress.own.protection {
        Some(Protection::Shown) => asked(progress),
        Some(Protection::Lacking(_) | Protection::Unread) => Vec::new(),
        // Nothing new was learnt.
        None => old.proven_protection.clone(),
    }
}

pub(super) fn tell(told: Option<&Told>, conditions: &mut Conditions<'_>) {
    if let Some(told) = told {
        conditions.set(types::SETTINGS_APPLIED, told.value, told.reason.as_str(), told.message.as_str());
    }
}
