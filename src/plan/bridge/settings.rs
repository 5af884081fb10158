//! Profiles for the settings of single meetings: made when a meeting wants one, shared by all that want the same, removed
//! when nobody does (decision 0025). One pass at a time works on a bridge, so nothing is made twice. PURE.

use super::profiles::profile_matches;
use super::{Around, BridgeProgress, Intent, Look, Next, Step};
use crate::api::settings::{MOST_SETTINGS_PROFILES, ProfileKind, SettingsProfile};
use crate::cms::{CmsError, Fields};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;

/// Longest word on a refusal.
const LONGEST_REFUSAL: usize = 400;

fn is_same(one: &SettingsProfile, other: &SettingsProfile) -> bool {
    (one.kind, &one.name) == (other.kind, &other.name)
}

/// Makes what is wanted and removes what nobody wants.
pub(super) fn next(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Option<Next> {
    if bridge.is_observing {
        return None;
    }
    let known = &bridge.record.settings;
    let make =
        around.settings.wanted.iter().find_map(|wanted| match known.iter().find(|known| is_same(known, wanted)) {
            Some(known) if known.id.as_ref().is_some_and(|id| !facts.settings_seen.contains(id)) => {
                Some(Next::Look(Look::SettingsProfile(known.clone())))
            }
            Some(known) if known.refused.is_some() => None,
            Some(known) if known.id.as_ref().is_some_and(|id| facts.settings_changed.contains(id)) => {
                Some(Next::Do(Step::UpdateSettingsProfile(known.clone())))
            }
            Some(known) if known.id.is_some() => None,
            Some(known) if bridge.is_untried(known) => Some(Next::Do(Step::CreateSettingsProfile(known.clone()))),
            Some(known) => Some(Next::Look(Look::LostSettingsProfile(known.clone()))),
            None if known.len() >= MOST_SETTINGS_PROFILES => None,
            None => Some(Next::Record(Intent::Settings(wanted.clone()))),
        });
    make.or_else(|| tidy(bridge, facts, around))
}

/// Removes what no meeting wants, and no space refers to any more.
fn tidy(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Option<Next> {
    let is_wanted = |known: &SettingsProfile| around.settings.wanted.iter().any(|wanted| is_same(known, wanted));
    let is_used = |id: &String| around.settings.used.contains(id) || is_shown(facts, id);
    bridge.record.settings.iter().filter(|known| !is_wanted(known)).find_map(|known| match &known.id {
        Some(id) if is_used(id) => None,
        _ => gone(bridge, known),
    })
}

/// Takes one away, if the bridge lets it go.
fn gone(bridge: &BridgeProgress, known: &SettingsProfile) -> Option<Next> {
    match (&known.id, &known.refused) {
        (Some(_), None) => Some(Next::Do(Step::DeleteSettingsProfile(known.clone()))),
        // The bridge would not remove it; it is tried again in a full look.
        (Some(_), Some(_)) => None,
        // It may be there, its reply lost.
        (None, None) if !bridge.is_untried(known) => Some(Next::Look(Look::LostSettingsProfile(known.clone()))),
        (None, _) => Some(Next::Record(Intent::NoSettings(known.clone()))),
    }
}

/// The same for all of them, when the object goes.
pub(super) fn removal(bridge: &BridgeProgress) -> Option<Next> {
    bridge.record.settings.iter().find_map(|known| gone(bridge, known))
}

/// Does a space of a slot show this profile?
fn is_shown(facts: &BridgeFacts, id: &str) -> bool {
    let Seen::Known(slots) = &facts.slots else { return false };
    slots.iter().any(|(_, space)| {
        let call = space.call_profile.as_ref().map(|id| id.as_str());
        let leg = space.call_leg_profile.as_ref().map(|id| id.as_str());
        call == Some(id) || leg == Some(id)
    })
}

impl BridgeProgress {
    fn is_untried(&self, profile: &SettingsProfile) -> bool {
        self.untried_settings.contains(&(profile.kind, profile.name.clone()))
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
        facts.settings_seen.extend(id.clone());
        if id.is_none() {
            self.untried_settings.insert((profile.kind, profile.name.clone()));
        }
        if let Some(known) = self.settings_profile(profile) {
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
            // Before another one is made, the intent is stored anew.
            self.record.settings.retain(|known| !is_same(known, profile));
            return;
        };
        let Some(id) = profile.id.clone() else { return };
        if !profile_matches(&profile.pairs(), shown) {
            facts.settings_changed.insert(id.clone());
        }
        facts.settings_seen.insert(id);
    }

    /// The bridge refuses this one; everything else goes on.
    pub(super) fn settings_refused(&mut self, profile: &SettingsProfile, error: &CmsError) {
        let words: String = error.to_string().chars().take(LONGEST_REFUSAL).collect();
        if let Some(known) = self.settings_profile(profile) {
            known.refused = Some(words);
        }
    }

    /// In a full look what was refused is tried again.
    pub(super) fn retry_settings(&mut self) {
        self.record.settings.iter_mut().for_each(|known| known.refused = None);
    }
}
