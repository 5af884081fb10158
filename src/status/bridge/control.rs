//! Who else changes slots and profiles of a bridge, and which slots are of no use to us.

use jiff::Timestamp;

use super::{Report, SLOTS_CONTESTED};
use crate::api::bridge::{SlotEntry, SlotState};
use crate::api::conditions::{bridge as reason, types};
use crate::api::repairs::Contested;
use crate::status::Conditions;

/// What others change again and again, what is done about it, and who they are as far as that shows.
fn tug_of_war(known: &Report<'_>, now: Timestamp) -> Option<String> {
    let (mut left, mut slots, mut spaces) = (Vec::new(), Vec::new(), "");
    for contest in known.progress.contests.tugs(now) {
        match contest.thing {
            Contested::CallProfile => left.push("the call profile"),
            Contested::CallLegProfile => left.push("the call leg profile"),
            Contested::FreeSlot => slots.extend(contest.slot.map(|slot| slot.to_string())),
            Contested::Spaces => spaces = SLOTS_CONTESTED,
        }
    }
    let profiles = (!left.is_empty())
        .then(|| format!("others, or the bridge itself, change {} again and again: left as it is", left.join(" and ")));
    let opened = (!slots.is_empty()).then(|| {
        format!(
            "another installation of meeting-controller opens slots that are free here again and again ({}): each is shut \
             once a minute at most",
            slots.join(", ")
        )
    });
    let told: Vec<&str> = [profiles.as_deref(), opened.as_deref(), Some(spaces)]
        .into_iter()
        .flatten()
        .filter(|t| !t.is_empty())
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "{}; stop the other side (Cisco TMS, another installation, a script), then edit this object or ask it to \
             reconcile; otherwise it is tried again when it was quiet for 30 minutes",
            told.join("; ")
        )
    })
}

/// Whether somebody else uses the slots, or what is there keeps us from using them.
pub(super) fn tell(known: &Report<'_>, now: Timestamp, conditions: &mut Conditions<'_>) {
    if let Some(message) = tug_of_war(known, now) {
        conditions.set(types::EXCLUSIVE_CONTROL, Some(false), reason::TUG_OF_WAR, message);
        return;
    }
    let Some(slots) = &known.draft.slots else { return };
    let is_stuck = |number: u32| known.stuck.iter().any(|(stuck, _)| *stuck == number);
    let is_foreign = |entry: &&SlotEntry| entry.state == SlotState::Foreign;
    let stuck_too = slots.entries.iter().filter(is_foreign).filter(|entry| is_stuck(entry.number)).count();
    let foreign = usize::try_from(slots.foreign).unwrap_or(usize::MAX).saturating_sub(stuck_too);
    let numbers: Vec<String> = slots
        .entries
        .iter()
        .filter(|entry| is_foreign(entry) && !is_stuck(entry.number))
        .take(10)
        .map(|entry| entry.number.to_string())
        .collect();
    let theirs = (foreign > 0).then(|| {
        let rest = foreign.saturating_sub(numbers.len());
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let whose: Vec<String> = known.taken.iter().take(10).map(|taken| format!("; {taken}")).collect();
        format!(
            "somebody else opened or renamed the slots, or has the numbers, {}{more}; they are left alone{}",
            numbers.join(", "),
            whose.concat()
        )
    });
    let kept = known.stuck.iter().take(10);
    let kept = kept.map(|(number, why)| format!("slot {number} is given to nobody, because {why}"));
    let told: Vec<String> = theirs.into_iter().chain(kept).collect();
    let bad = (!told.is_empty()).then(|| (reason::FOREIGN_CHANGES, told.join("; ")));
    conditions.judge(types::EXCLUSIVE_CONTROL, ("Exclusive", "nobody else uses the slots"), bad);
}
