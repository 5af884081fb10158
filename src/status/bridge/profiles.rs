//! What is told of the bridge's own profiles: whether it shows what keeps people out as spec.profiles says.

use super::Report;
use crate::api::conditions::{bridge as reason, types};
use crate::api::{MeetingBridgeStatus, find};
use crate::cms::ProfileKind;
use crate::plan::bridge::Protection;
use crate::plan::settings::protects;
use crate::status::Conditions;

const UNREAD: &str = "what keeps people out in spec.profiles is not read back from the bridge yet; until then no door opens by \
                      its profiles";

/// What the condition says, where spec.profiles asks for such a thing.
pub(super) struct Told {
    pub value: Option<bool>,
    pub reason: String,
    pub message: String,
}

/// None: nothing is asked for.
pub(super) fn judge(known: &Report<'_>, old: &MeetingBridgeStatus, generation: Option<i64>) -> Option<Told> {
    let progress = known.progress;
    let is_asked = ProfileKind::ALL.into_iter().any(|kind| protects(&progress.spec.profiles.pairs(kind, "")));
    if !is_asked || progress.is_observing || progress.is_deleting {
        return None;
    }
    let told = |value, reason: &str, message: &str| {
        Some(Told { value, reason: reason.to_owned(), message: message.to_owned() })
    };
    match &progress.protection {
        Some(Protection::Shown) => {
            told(Some(true), "Applied", "the bridge shows what keeps people out as spec.profiles says")
        }
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
        // A pass that did not get that far changes nothing about it, as long as the spec is the same.
        None => {
            let before = find(&old.conditions, types::SETTINGS_APPLIED);
            before.filter(|before| before.observed_generation == generation).map_or_else(
                || told(None, reason::SETTINGS_PENDING, UNREAD),
                |before| {
                    let value = match before.status.as_str() {
                        "True" => Some(true),
                        "False" => Some(false),
                        _ => None,
                    };
                    told(value, &before.reason, &before.message)
                },
            )
        }
    }
}

pub(super) fn tell(told: Option<&Told>, conditions: &mut Conditions<'_>) {
    if let Some(told) = told {
        conditions.set(types::SETTINGS_APPLIED, told.value, told.reason.as_str(), told.message.as_str());
    }
}
