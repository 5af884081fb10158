//! Every list of a bridge's status has its limit here, and its cut: a status that the schema refuses would be refused for
//! ever, and nothing would be remembered any more. A test holds them against the generated schema.

use crate::api::MeetingBridgeStatus;
use crate::api::bridge::MOST_SETS;
use crate::api::repairs::MOST_CONTESTS;
use crate::api::settings::MOST_SETTINGS_PROFILES;

const MOST_CALL_BRIDGES: usize = 64;
const MOST_ENTRIES: usize = 100;
const MOST_PLANNED: usize = 100;
const MOST_CONDITIONS: usize = 32;
const MOST_DAYS: usize = 7;
const MOST_PROVEN: usize = 8;

/// Cuts every list to what the schema allows. Texts are cut where conditions are made.
pub fn bound(status: &mut MeetingBridgeStatus) {
    status.call_bridges.truncate(MOST_CALL_BRIDGES);
    if let Some(cluster) = &mut status.cluster {
        cluster.members.truncate(MOST_CALL_BRIDGES);
    }
    if status.plan.len() > MOST_PLANNED {
        let rest = status.plan.len().saturating_sub(MOST_PLANNED).saturating_add(1);
        status.plan.truncate(MOST_PLANNED.saturating_sub(1));
        status.plan.push(format!("and {rest} more"));
    }
    if let Some(slots) = &mut status.slots {
        // Those of our meetings are worth more than others.
        slots.entries.sort_by_key(|entry| (entry.meeting.is_none(), entry.number));
        slots.entries.truncate(MOST_ENTRIES);
        // The plan makes no more of them; whatever was remembered once stays within the limit.
        slots.parameter_sets.truncate(MOST_SETS);
    }
    if let Some(bookings) = &mut status.bookings {
        bookings.days.truncate(MOST_DAYS);
    }
    status.proven_protection.truncate(MOST_PROVEN);
    // The plan makes no more of them.
    status.settings_profiles.truncate(MOST_SETTINGS_PROFILES);
    status.contests.truncate(MOST_CONTESTS);
    status.conditions.truncate(MOST_CONDITIONS);
}

#[cfg(test)]
mod tests;
