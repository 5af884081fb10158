//! Profiles for the settings of single meetings: made when a meeting wants one, shared by all that want the same, removed
//! when nobody does (decision 0025). One pass at a time works on a bridge, so nothing is made twice. PURE.

use jiff::SignedDuration;

use super::profiles::is_as_wanted;
use super::{Around, BridgeProgress, Intent, Look, Next, Step};
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::cms::{CmsError, Fields, ProfileId};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::plan::settings::{has_room, is_to_be_proven, unproven};
use crate::plan::verdict::Pause;

/// Longest word on a refusal.
const LONGEST_REFUSAL: usize = 400;

/// What the bridge refused is tried again after so long: it may have been mended.
const REFUSAL_RESTS: SignedDuration = SignedDuration::from_mins(10);

/// What it answered without a word of its own is no refusal, and is tried again soon, at first.
const WORDLESS_RESTS: SignedDuration = SignedDuration::from_secs(10);

/// When the pauses have grown to this, it is told as a refusal is.
const WORDLESS_LONG: SignedDuration = SignedDuration::from_secs(80);

fn is_same(one: &SettingsProfile, other: &SettingsProfile) -> bool {
    (one.kind, &one.name) == (other.kind, &other.name)
}

fn key_of(profile: &SettingsProfile) -> (ProfileKind, String) {
    (profile.kind, profile.name.clone())
}

/// What a bridge says of a request that it refuses, to be kept.
pub(super) fn words_of(error: &CmsError) -> String {
    error.to_string().chars().take(LONGEST_REFUSAL).collect()
}

/// Told like a refusal: it was made, and a look does not find it.
const LATE: &str = "it was written, and a look does not find it yet";

/// Told like a refusal: the bridge took the profile, and does not show what protects.
fn not_taken(fields: &[&str]) -> String {
    format!(
        "it took the profile, but does not show {} as written when it is read back, so nobody knows whether it applies; it \
         is looked at again every ten minutes: update the bridge's software, or take the setting out of the meeting",
        fields.join(", ")
    )
}

/// Makes what is wanted and removes what nobody wants.
pub(super) fn next(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Option<Next> {
    if bridge.is_observing {
        return None;
    }
    let known = &bridge.record.settings;
    let make =
        around.settings.wanted.iter().find_map(|wanted| match known.iter().find(|known| is_same(known, wanted)) {
            Some(known) if bridge.is_held(facts, known) => None,
            Some(known) if known.id.as_ref().is_some_and(|id| !facts.settings_seen.contains(id)) => {
                Some(Next::Look(Look::SettingsProfile(known.clone())))
            }
            Some(known) if known.id.as_ref().is_some_and(|id| facts.settings_changed.contains(id)) => {
                Some(Next::Do(Step::UpdateSettingsProfile(known.clone())))
            }
            Some(known) if known.id.is_some() => None,
            Some(known) if bridge.is_untried(known) => Some(Next::Do(Step::CreateSettingsProfile(known.clone()))),
            Some(known) => Some(Next::Look(Look::LostSettingsProfile(known.clone()))),
            None if bridge.is_held(facts, wanted) => None,
            None if !has_room(known.len(), around.settings.protective.contains(&key_of(wanted))) => None,
            None => Some(Next::Record(Intent::Settings(wanted.clone()))),
        });
    make.or_else(|| tidy(bridge, facts, around))
}

/// Removes what no meeting wants, and no space refers to any more.
fn tidy(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Option<Next> {
    if around.settings.has_unread {
        return None;
    }
    let is_wanted = |known: &SettingsProfile| around.settings.wanted.iter().any(|wanted| is_same(known, wanted));
    let is_used = |id: &str| around.settings.used.contains(&ProfileId::from(id)) || is_shown(facts, id);
    bridge.record.settings.iter().filter(|known| !is_wanted(known)).find_map(|known| match &known.id {
        Some(id) if is_used(id) => None,
        _ => gone(bridge, facts, known),
    })
}

/// Takes one away, if the bridge lets it go.
fn gone(bridge: &BridgeProgress, facts: &BridgeFacts, known: &SettingsProfile) -> Option<Next> {
    match (&known.id, &known.refused) {
        // The bridge would not remove it, a short while ago.
        (Some(_), _) if bridge.is_held(facts, known) => None,
        (Some(_), _) => Some(Next::Do(Step::DeleteSettingsProfile(known.clone()))),
        // It may be there, its reply lost.
        (None, None) if !bridge.is_untried(known) => Some(Next::Look(Look::LostSettingsProfile(known.clone()))),
        (None, _) => Some(Next::Record(Intent::NoSettings(known.clone()))),
    }
}

/// The same for all of them, when the object goes.
pub(super) fn removal(bridge: &BridgeProgress, facts: &BridgeFacts) -> Option<Next> {
    bridge.record.settings.iter().find_map(|known| gone(bridge, facts, known))
}

/// Does a space of a slot show this profile?
fn is_shown(facts: &BridgeFacts, id: &str) -> bool {
    let Seen::Known(slots) = &facts.slots else { return false };
    slots.iter().any(|(_, space)| {
        let call = space.call_profile.as_ref().map(|id| id.as_str());
        let leg = space.call_leg_profile.as_ref().map(|id| id.as_str());
        [call, leg].into_iter().flatten().any(|shown| shown.eq_ignore_ascii_case(id))
    })
}

impl BridgeProgress {
    fn is_untried(&self, profile: &SettingsProfile) -> bool {
        self.untried_settings.contains(&(profile.kind, profile.name.clone()))
    }

    /// Did the bridge say no to this one lately?
    fn is_held(&self, facts: &BridgeFacts, profile: &SettingsProfile) -> bool {
        facts.settings_held.get(&key_of(profile)).is_some_and(|until| self.now < *until)
    }

    fn settings_profile(&mut self, profile: &SettingsProfile) -> Option<&mut SettingsProfile> {
        self.record.settings.iter_mut().find(|known| is_same(known, profile))
    }

    /// The intent to make one is stored. One with a name is looked for all the same: it may be there although no status
    /// tells, because the objects were restored without one.
    pub(super) fn intend_settings(&mut self, profile: &SettingsProfile) {
        if profile.kind == ProfileKind::Call {
            self.untried_settings.insert((profile.kind, profile.name.clone()));
        }
    }

    /// One of ours that no reply told of was looked for.
    pub(super) fn settings_looked_for(
        &mut self,
        facts: &mut BridgeFacts,
        profile: &SettingsProfile,
        id: Option<String>,
    ) {
        let is_to_be_proven = is_to_be_proven(profile);
        facts.settings_seen.extend(id.clone().filter(|_| !is_to_be_proven));
        if id.is_none() {
            self.untried_settings.insert((profile.kind, profile.name.clone()));
        }
        if let Some(known) = self.settings_profile(profile) {
            known.refused.take_if(|_| id.is_some());
            known.unread = is_to_be_proven && id.is_some();
            known.id = id;
        }
    }

    /// Is one there that the status knows, and is it as we made it?
    pub(super) fn settings_looked_at(
        &mut self,
        facts: &mut BridgeFacts,
        profile: &SettingsProfile,
        shown: Option<&Fields>,
    ) {
        let Some(shown) = shown else {
            if profile.unread {
                // What was written a moment ago may show late. One that never does is made again, but seldom.
                let rest = in_vain(facts, profile);
                if rest < REFUSAL_RESTS {
                    return self.settings_unproven(facts, profile, rest, LATE.to_owned());
                }
                facts.settings_held.insert(key_of(profile), self.now.checked_add(rest).unwrap_or(self.now));
            }
            // Before another one is made, the intent is stored anew.
            self.record.settings.retain(|known| !is_same(known, profile));
            return;
        };
        let Some(id) = profile.id.clone() else { return };
        let is_changed = !is_as_wanted(facts, &id, &profile.pairs(), shown);
        facts.note_shown(&id, shown);
        let unproven = unproven(&profile.fields, shown);
        // What protects is written once more before it is said not to be taken: the bridge may know it since a while ago. Where
        // that was in vain it is only looked at.
        let is_vain = facts.settings_dropped.contains(&id);
        if (is_changed || (!unproven.is_empty() && !is_vain)) && !profile.unread {
            facts.settings_changed.insert(id.clone());
        } else if !unproven.is_empty() {
            facts.settings_dropped.insert(id);
            return self.settings_unproven(facts, profile, REFUSAL_RESTS, not_taken(&unproven));
        } else if let Some(known) = self.settings_profile(profile) {
            (known.refused, known.unread) = (None, false);
            facts.settings_vain.remove(&key_of(profile));
        }
        facts.settings_seen.insert(id);
    }

    /// What protects is not shown as it was written: nobody is let in by that. It is looked at again after a while.
    fn settings_unproven(
        &mut self,
        facts: &mut BridgeFacts,
        profile: &SettingsProfile,
        rest: SignedDuration,
        words: String,
    ) {
        facts.settings_held.insert(key_of(profile), self.now.checked_add(rest).unwrap_or(self.now));
        // It may show late; what is shown without what protects is read, and written again after the rest.
        let is_late = rest < REFUSAL_RESTS;
        if is_late {
            self.pause.get_or_insert(Pause::Blocked);
        }
        if let Some(known) = self.settings_profile(profile) {
            (known.refused, known.unread) = (Some(words), is_late);
        }
    }

    /// The bridge refuses this one; everything else goes on. It is tried again after a while, in a full look, after a restart
    /// and for another spec. One that it does not let go is as good as before.
    pub(super) fn settings_refused(&mut self, facts: &mut BridgeFacts, step: &Step, error: &CmsError) {
        let Some(profile) = step.settings_profile() else { return };
        let wordless = in_vain(facts, profile);
        // Whatever answers without a word for long is told as well, and asked ever less often.
        let is_passing = error.is_wordless() && wordless < WORDLESS_LONG;
        let rest = if error.is_wordless() { wordless } else { REFUSAL_RESTS };
        facts.settings_held.insert(key_of(profile), self.now.checked_add(rest).unwrap_or(self.now));
        if is_passing {
            // If it is not there any more, that is to be seen.
            facts.settings_seen.retain(|id| profile.id.as_ref() != Some(id));
            self.pause.get_or_insert(Pause::Blocked);
        } else if !matches!(step, Step::DeleteSettingsProfile(_))
            && let Some(known) = self.settings_profile(profile)
        {
            known.refused = Some(words_of(error));
        }
    }
}

/// One more try was in vain. The pause until the next one.
fn in_vain(facts: &mut BridgeFacts, profile: &SettingsProfile) -> SignedDuration {
    let vain = facts.settings_vain.entry(key_of(profile)).or_default();
    *vain = vain.saturating_add(1);
    WORDLESS_RESTS.saturating_mul(2_i32.saturating_pow(vain.saturating_sub(1))).min(REFUSAL_RESTS)
}
