//! Settings of one meeting: which profiles its space is told, and what it is given back (decision 0025). PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::progress::Progress;
use crate::api::bridge::ProfileIds;
use crate::api::conditions::types;
use crate::api::settings::{ProfileKind, SettingsProfile, SettingsStatus};
use crate::api::{MeetingBridge, ScheduledMeetingSpec, find};
use crate::cms::{CmsError, ProfileId, Space, is_same_id};
use crate::plan::settings::{
    MethodProfile, has_room, is_protective, knows_access_methods, owner_of, protection_by, protects, waits_for_host,
    wanted,
};

/// How far the profile of one kind has come that a meeting wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The bridge's own will do.
    NotWanted,
    /// It is being made.
    Pending,
    /// The bridge refuses it, and says why.
    Refused(String),
    /// It has this id.
    There(String),
}

/// What a meeting's settings come to on its bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsTerms {
    pub call: Made,
    pub call_leg: Made,
    /// The call leg profile of each access method, by its name.
    pub methods: BTreeMap<String, Made>,
    /// There are to be access methods, and this version of the bridge does not know enough of them.
    pub lacks_access_methods: bool,
    /// Settings that this version of the bridge does not know.
    pub unsupported: Vec<&'static str>,
    /// One of the profiles is not being made, because the bridge has as many as it may have.
    pub lacks_room: bool,
    /// Why the bridge refuses a profile of which only what protects is there, or is being made.
    pub bare: Option<String>,
    /// Kinds without which the door stays shut.
    protective: Vec<ProfileKind>,
    /// Kinds of which the bridge's own profile is to keep people out of something.
    guarded: Vec<ProfileKind>,
    /// The slot is of a set of ours, so that it has, or is to have, the bridge's own profiles.
    is_in_set: bool,
    /// Why it is not known that they do.
    unguarded: Option<String>,
    /// The profiles that a slot of the bridge's own making has.
    own: ProfileIds,
    /// The slot is one of these.
    is_made: bool,
    /// Ids of all profiles that were made for settings.
    of_settings: BTreeSet<ProfileId>,
}

impl SettingsTerms {
    /// What these settings come to on this bridge, for a slot of it.
    pub fn new(spec: &ScheduledMeetingSpec, bridge: &MeetingBridge, slot: u32) -> Self {
        let status = bridge.status.clone().unwrap_or_default();
        let version = status.system.map(|system| system.software_version).unwrap_or_default();
        let owner = owner_of(bridge);
        let settings = spec.settings.clone().unwrap_or_default();
        let wanted = wanted(&settings, &spec.access_methods, &bridge.spec.profiles, &owner, &version);
        let guards = |kind: ProfileKind| protects(&bridge.spec.profiles.pairs(kind, &version));
        let guarded: Vec<ProfileKind> = ProfileKind::ALL.into_iter().filter(|kind| guards(*kind)).collect();
        let unguarded = if guarded.is_empty() { None } else { unproven_own(bridge) };
        let state = |profile: &SettingsProfile| {
            let is_it = |known: &&SettingsProfile| (known.kind, &known.name) == (profile.kind, &profile.name);
            let known = status.settings_profiles.iter().find(is_it);
            match known.map(|known| (known.id.clone(), known.refused.clone(), known.unread)) {
                // What protects counts once it was read back.
                Some((Some(id), None, false)) => Made::There(id),
                Some((Some(id), ..)) if !(wanted.protects(profile) || guarded.contains(&profile.kind)) => {
                    Made::There(id)
                }
                Some((_, Some(why), _)) => Made::Refused(why),
                Some((_, None, _)) | None => Made::Pending,
            }
        };
        let known =
            |profile: &SettingsProfile| state(wanted.stand_in(profile, &status.settings_profiles).unwrap_or(profile));
        let all = wanted.clone().all_with(&status.settings_profiles);
        let is_left_out = |profile: &SettingsProfile| {
            let is_known =
                status.settings_profiles.iter().any(|known| (known.kind, &known.name) == (profile.kind, &profile.name));
            !is_known && !has_room(status.settings_profiles.len(), wanted.protects(profile))
        };
        let lacks_room = all.iter().any(is_left_out);
        let bare = all.iter().find_map(|profile| {
            wanted.stand_in(profile, &status.settings_profiles)?;
            match state(profile) {
                Made::Refused(why) => Some(why),
                Made::NotWanted | Made::Pending | Made::There(_) => None,
            }
        });
        let made = |kind: ProfileKind| {
            wanted.profiles.iter().find(|profile| profile.kind == kind).map_or(Made::NotWanted, known)
        };
        let own_leg = status.profiles.as_ref().and_then(|ids| ids.call_leg.clone());
        let of_method = |profile: &MethodProfile| match profile {
            MethodProfile::OfSpace => Made::NotWanted,
            MethodProfile::OfBridge if unguarded.is_some() && guarded.contains(&ProfileKind::CallLeg) => Made::Pending,
            MethodProfile::OfBridge => own_leg.clone().map_or(Made::Pending, Made::There),
            MethodProfile::Made(profile) => known(profile),
        };
        // Guests who wait for a host are as good as locked out. Before the version is known nobody is let in without one.
        let is_unknown = waits_for_host(&spec.access_methods) && version.is_empty();
        let waits = is_unknown || (waits_for_host(&spec.access_methods) && knows_access_methods(&version));
        let is_protective =
            |kind: &ProfileKind| is_protective(&settings, *kind, &version) || (waits && *kind == ProfileKind::CallLeg);
        let methods = wanted.methods.iter().map(|(name, profile)| (name.clone(), of_method(profile))).collect();
        let lacks = !spec.access_methods.is_empty() && !version.is_empty() && !knows_access_methods(&version);
        let sets = status.slots.map(|slots| slots.parameter_sets).unwrap_or_default();
        // Those of a set that is being synced may be there already.
        let is_in_set = sets.iter().any(|set| (set.start_index..=set.end_index).contains(&slot));
        Self {
            call: made(ProfileKind::Call),
            call_leg: if is_unknown { Made::Pending } else { made(ProfileKind::CallLeg) },
            methods,
            lacks_access_methods: lacks,
            lacks_room,
            bare,
            protective: ProfileKind::ALL.into_iter().filter(is_protective).collect(),
            unguarded: unguarded.filter(|_| is_in_set),
            is_in_set,
            // Of a bridge that has not told its version nothing is said.
            unsupported: if version.is_empty() { Vec::new() } else { wanted.unsupported },
            own: status.profiles.unwrap_or_default(),
            is_made: sets.iter().any(|set| set.synced && (set.start_index..=set.end_index).contains(&slot)),
            of_settings: ids_of(&status.settings_profiles),
            guarded,
        }
    }

    /// How far one kind has come.
    pub fn made(&self, kind: ProfileKind) -> &Made {
        match kind {
            ProfileKind::Call => &self.call,
            ProfileKind::CallLeg => &self.call_leg,
        }
    }

    fn wants_any(&self) -> bool {
        ProfileKind::ALL.into_iter().any(|kind| *self.made(kind) != Made::NotWanted)
    }

    /// Is one of them still to be made?
    pub fn is_pending(&self) -> bool {
        ProfileKind::ALL.into_iter().any(|kind| *self.made(kind) == Made::Pending)
            || self.methods.values().any(|made| *made == Made::Pending)
    }

    /// The bridge's own profile of this kind, if it is to keep people out of this slot.
    fn guard(&self, kind: ProfileKind) -> Option<&String> {
        self.own.of(kind).filter(|_| self.is_in_set && self.guarded.contains(&kind))
    }

    fn is_of_settings(&self, id: &str) -> bool {
        self.of_settings.iter().any(|known| known.as_str().eq_ignore_ascii_case(id))
    }

    /// What the space had before, as a look at it shows.
    fn before(&self, shown: &ProfileIds) -> ProfileIds {
        if self.is_made {
            return self.own.clone();
        }
        // One that an earlier meeting left there is nobody's own.
        let own = |id: &Option<String>| id.clone().filter(|id| !self.is_of_settings(id));
        ProfileIds { call: own(&shown.call), call_leg: own(&shown.call_leg) }
    }
}

fn ids_of(profiles: &[SettingsProfile]) -> BTreeSet<ProfileId> {
    profiles.iter().filter_map(|known| known.id.as_deref().map(Into::into)).collect()
}

/// Why it is not proven that the bridge's own profiles keep out whom spec.profiles says. None: a look showed it. What was
/// proven stands through edits of anything else.
fn unproven_own(bridge: &MeetingBridge) -> Option<String> {
    let status = bridge.status.as_ref();
    let proven = status.map(|status| status.proven_protection.as_slice()).unwrap_or_default();
    if protection_by(&bridge.spec.profiles).iter().all(|asked| proven.contains(asked)) {
        return None;
    }
    let told = status.and_then(|status| find(&status.conditions, types::SETTINGS_APPLIED));
    let told = told.filter(|told| told.observed_generation == bridge.metadata.generation && told.status != "True");
    Some(told.map_or_else(
        || "the bridge has not shown yet that its profiles say so".to_owned(),
        |told| told.message.to_string(),
    ))
}

/// Does the bridge mind one of the profiles, and not the space?
pub fn is_about_profile(error: &CmsError) -> bool {
    let names = |text: &str| text.to_ascii_lowercase().contains("profile");
    match error {
        CmsError::NotFound { element } => names(element),
        CmsError::ParameterError { parameter, .. } => names(parameter),
        _ => false,
    }
}

/// The profiles that a look at a space shows.
pub fn shown(space: &Space) -> ProfileIds {
    ProfileIds {
        call: space.call_profile.as_ref().map(ToString::to_string),
        call_leg: space.call_leg_profile.as_ref().map(ToString::to_string),
    }
}

fn both(id: impl Fn(ProfileKind) -> Option<String>) -> ProfileIds {
    ProfileIds { call: id(ProfileKind::Call), call_leg: id(ProfileKind::CallLeg) }
}

impl Progress {
    fn applied(&self, kind: ProfileKind) -> Option<&String> {
        self.draft.settings.as_ref()?.applied.of(kind)
    }

    /// What the space is to be told of one kind for this meeting. What it was told stands until another one is there.
    fn target(&self, kind: ProfileKind) -> Option<String> {
        match self.terms.settings.as_ref()?.made(kind) {
            Made::NotWanted => None,
            Made::There(id) => Some(id.clone()),
            Made::Pending | Made::Refused(_) => self.applied(kind).cloned(),
        }
    }

    /// Is it to be stored first what the space had before? Then a crash does not leave it with our profiles.
    pub(super) fn must_record_settings(&self) -> bool {
        self.draft.settings.is_none() && self.terms.settings.as_ref().is_some_and(SettingsTerms::wants_any)
    }

    /// Is it known what the space had before?
    pub(super) fn knows_before(&self) -> bool {
        self.terms.settings.as_ref().is_some_and(|terms| terms.is_made) || self.shown_profiles.is_some()
    }

    /// The intent is about to be stored.
    pub(super) fn intend_settings(&mut self) {
        if !self.must_record_settings() || !self.knows_before() {
            return;
        }
        let shown = self.shown_profiles.clone().unwrap_or_default();
        let before = self.terms.settings.as_ref().map(|terms| terms.before(&shown)).unwrap_or_default();
        self.draft.settings = Some(Box::new(SettingsStatus { before, applied: ProfileIds::default() }));
    }

    fn guard(&self, kind: ProfileKind) -> Option<&String> {
        self.terms.settings.as_ref()?.guard(kind)
    }

    /// Is one of the bridge's own profiles to keep people out of this meeting?
    pub fn is_guarded(&self) -> bool {
        ProfileKind::ALL.into_iter().any(|kind| self.guard(kind).is_some())
    }

    /// The profiles that the opening write carries: those of the settings, or those from before where they were and are
    /// not wanted any more. An empty id unsets. The bridge's own that keeps people out goes along: that it says so is proven,
    /// but not that the space refers to it.
    pub fn profiles_to_open(&self) -> ProfileIds {
        if self.tried.without_profiles {
            return ProfileIds::default();
        }
        both(|kind| {
            let settings = self.draft.settings.as_ref();
            let target = settings.and_then(|_| self.target(kind));
            let back = || {
                let before = settings.filter(|_| self.applied(kind).is_some())?.before.of(kind);
                Some(before.cloned().unwrap_or_default())
            };
            target.or_else(|| self.guard(kind).cloned()).or_else(back)
        })
    }

    /// The profiles that the shutting write gives back. An empty id unsets.
    pub fn profiles_to_close(&self) -> ProfileIds {
        if self.tried.without_profiles {
            return ProfileIds::default();
        }
        let terms = self.terms.settings.as_ref();
        let Some(settings) = &self.draft.settings else {
            // The status was lost, and the look before the write shows a profile that is for settings.
            let (Some(terms), Some(shown)) = (terms.filter(|terms| terms.is_made), &self.shown_profiles) else {
                return ProfileIds::default();
            };
            let is_ours = |kind| shown.of(kind).is_some_and(|id| terms.is_of_settings(id));
            return both(|kind| terms.own.of(kind).filter(|_| is_ours(kind)).cloned());
        };
        // Whether it was applied is not known if we died before it could be noted.
        let may_be_applied =
            |kind| self.applied(kind).is_some() || terms.is_some_and(|terms| *terms.made(kind) != Made::NotWanted);
        both(|kind| may_be_applied(kind).then(|| settings.before.of(kind).cloned().unwrap_or_default()))
    }

    /// The profiles that the space was to be told.
    pub fn profiles_told(&self) -> ProfileIds {
        both(|kind| self.target(kind))
    }

    /// The opening write was done.
    pub(super) fn note_profiles(&mut self) {
        if self.tried.without_profiles {
            return;
        }
        let applied = both(|kind| self.target(kind));
        if let Some(settings) = &mut self.draft.settings {
            settings.applied = applied;
        }
    }

    /// Were other profiles made since the door was written?
    pub(super) fn must_reapply(&self) -> bool {
        self.terms.settings.is_some()
            && !self.tried.without_profiles
            && (self.draft.settings.is_some() || self.must_record_settings())
            && ProfileKind::ALL
                .into_iter()
                .any(|kind| !is_same_id(self.target(kind).as_deref(), self.applied(kind).map(String::as_str)))
    }

    /// Is something not there yet that keeps people out of something? Then nobody is let in.
    pub(super) fn lacks_protection(&self) -> bool {
        let Some(terms) = &self.terms.settings else { return false };
        let lacks = |kind: &ProfileKind| {
            let is_there = matches!(terms.made(*kind), Made::There(_)) && !self.tried.without_profiles;
            *terms.made(*kind) != Made::NotWanted && !is_there
        };
        terms.protective.iter().any(lacks) || self.unguarded().is_some()
    }

    /// Why nobody is let in by the bridge's own profiles: they are to keep people out, and it is not proven that they do. A
    /// slot that was adopted has those of somebody else.
    pub fn unguarded(&self) -> Option<&str> {
        let terms = self.terms.settings.as_ref()?;
        let is_refused = self.tried.without_profiles;
        let has_own = |kind: &ProfileKind| is_refused || self.target(*kind).is_none();
        let refused = (is_refused && terms.is_in_set).then_some("the bridge does not take them in its space");
        terms.unguarded.as_deref().or(refused).filter(|_| terms.guarded.iter().any(has_own))
    }

    /// Is there a setting that keeps people out of something?
    pub(super) fn is_protected(&self) -> bool {
        self.terms.settings.as_ref().is_some_and(|terms| !terms.protective.is_empty()) || self.is_guarded()
    }

    /// Does a look show other profiles than those that the space was told? Not every bridge shows them; on one that did show
    /// those of some space, one without has none.
    pub(super) fn has_other_profiles(&self, space: &Space) -> bool {
        let shown = shown(space);
        ProfileKind::ALL.into_iter().any(|kind| {
            let is_seen = self.shown_fields.has_profile(kind);
            self.applied(kind)
                .or_else(|| self.guard(kind))
                .is_some_and(|told| shown.of(kind).map_or(is_seen, |shown| !told.eq_ignore_ascii_case(shown)))
        })
    }

    /// Is everything that can be had applied?
    pub fn has_settings_applied(&self) -> bool {
        let Some(terms) = self.terms.settings.as_ref().filter(|_| !self.tried.without_profiles) else { return false };
        ProfileKind::ALL.into_iter().all(|kind| match terms.made(kind) {
            Made::NotWanted => self.applied(kind).is_none(),
            Made::There(id) => is_same_id(self.applied(kind).map(String::as_str), Some(id)),
            Made::Pending | Made::Refused(_) => false,
        })
    }
}
