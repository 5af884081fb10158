//! What the settings of a meeting mean in profiles of the bridge, which version knows which field, and which of them keep
//! a door shut (decision 0025). PURE.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use crate::api::access::{AccessMethodSpec, AccessRole};
use crate::api::bridge::ProfilesSpec;
use crate::api::meeting::Phase;
use crate::api::settings::{
    Capture, Encryption, Layout, MOST_COSMETIC_PROFILES, MOST_SETTINGS_PROFILES, MeetingSettings, ProfileKind,
    SettingsProfile,
};
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::cms::ProfileId;
use crate::plan::version;

/// What the name of a call leg profile begins with that was made for settings.
const NAME: &str = "meeting-controller ";

/// One setting, and the field of a profile that carries it (cms-protocol.md section 5).
struct Row {
    setting: &'static str,
    kind: ProfileKind,
    field: &'static str,
    since: (u32, u32),
    /// The first version that does not know it any more.
    until: Option<(u32, u32)>,
    value: fn(&MeetingSettings) -> Option<String>,
    /// Is it to keep somebody out of something? Then the door stays shut without it.
    is_protective: fn(&MeetingSettings) -> bool,
}

fn never(_: &MeetingSettings) -> bool {
    false
}

const fn row(
    setting: &'static str,
    (kind, field): (ProfileKind, &'static str),
    since: (u32, u32),
    value: fn(&MeetingSettings) -> Option<String>,
) -> Row {
    Row { setting, kind, field, since, until: None, value, is_protective: never }
}

/// The table of settings. Versions before 2.0 are not served at all.
static TABLE: [Row; 9] = [
    row("layout", (ProfileKind::CallLeg, "defaultLayout"), (2, 0), |s| s.layout.map(Layout::name).map(str::to_owned)),
    row("joinMuted.audio", (ProfileKind::CallLeg, "rxAudioMute"), (2, 0), |s| text(s.join_muted?.audio)),
    row("joinMuted.video", (ProfileKind::CallLeg, "rxVideoMute"), (2, 0), |s| text(s.join_muted?.video)),
    Row {
        is_protective: |s| s.recording == Some(Capture::Off),
        ..row("recording", (ProfileKind::Call, "recordingMode"), (2, 0), |s| {
            s.recording.map(Capture::wire).map(str::to_owned)
        })
    },
    Row {
        is_protective: |s| s.streaming == Some(Capture::Off),
        ..row("streaming", (ProfileKind::Call, "streamingMode"), (2, 1), |s| {
            s.streaming.map(Capture::wire).map(str::to_owned)
        })
    },
    Row {
        is_protective: |s| s.encryption == Some(Encryption::Required),
        ..row("encryption", (ProfileKind::CallLeg, "sipMediaEncryption"), (2, 0), |s| {
            s.encryption.map(Encryption::wire).map(str::to_owned)
        })
    },
    row("participantLimit", (ProfileKind::Call, "participantLimit"), (2, 0), |s| text(s.participant_limit)),
    Row { until: Some((3, 0)), ..row("chat", (ProfileKind::Call, "messageBoardEnabled"), (2, 0), |s| text(s.chat)) },
    row("presentation", (ProfileKind::CallLeg, "presentationContributionAllowed"), (2, 0), |s| text(s.presentation)),
];

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl Row {
    fn is_known_to(&self, version: &str) -> bool {
        let is_gone = self.until.is_some_and(|until| !version::is_before(version, until));
        !version::is_before(version, self.since) && !is_gone
    }
}

/// The field that says whether somebody waits for a host (cms-protocol.md 5.2).
const WAITS: &str = "needsActivation";

/// The first version in which an access method has a name (cms-protocol.md 6.2).
const NAMES_OF_ACCESS_METHODS: (u32, u32) = (2, 9);

/// Can ours be told from others on this version, by their name? One that cannot be read is not believed to.
pub fn knows_access_methods(version: &str) -> bool {
    version::major(version).is_some() && !version::is_before(version, NAMES_OF_ACCESS_METHODS)
}

/// Does whoever comes in by the space itself wait for a host?
pub fn waits_for_host(methods: &[AccessMethodSpec]) -> bool {
    methods.iter().any(|method| method.role == AccessRole::Host)
}

/// The call leg profile of an access method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodProfile {
    /// That of its space will do: it has none of its own.
    OfSpace,
    /// The bridge's own.
    OfBridge,
    /// One that was made for it, or for others that want the same.
    Made(SettingsProfile),
}

/// What a meeting wants of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Profiles for the space other than the bridge's own, at most one of each kind.
    pub profiles: Vec<SettingsProfile>,
    /// The profile of each access method, by its name.
    pub methods: BTreeMap<String, MethodProfile>,
    /// Settings that this version of the bridge does not know.
    pub unsupported: Vec<&'static str>,
    /// Those of the profiles, by kind and name, without which a door stays shut or hosts cannot let others in.
    pub protective: BTreeSet<(ProfileKind, String)>,
    /// What stands in for those of them, by kind and name, that the bridge refuses: with what protects, and no more. Nobody
    /// is kept out for how it looks.
    pub bare: BTreeMap<(ProfileKind, String), SettingsProfile>,
}

/// May another profile be made where there are so many? Cosmetic ones leave room for those that protect.
pub fn has_room(known: usize, is_protective: bool) -> bool {
    known < if is_protective { MOST_SETTINGS_PROFILES } else { MOST_COSMETIC_PROFILES }
}

impl Wanted {
    /// Does a door stay shut, or somebody wait in vain, without this one?
    pub fn protects(&self, profile: &SettingsProfile) -> bool {
        self.protective.contains(&(profile.kind, profile.name.clone()))
    }

    /// What stands in for a profile, if the bridge refuses it and there is something.
    pub fn stand_in(&self, profile: &SettingsProfile, known: &[SettingsProfile]) -> Option<&SettingsProfile> {
        let mut known = known.iter().filter(|known| (known.kind, &known.name) == (profile.kind, &profile.name));
        let is_refused = known.any(|known| known.id.is_none() && known.refused.is_some());
        self.bare.get(&(profile.kind, profile.name.clone())).filter(|_| is_refused)
    }

    /// Every profile that is to be made, those that stand in for others among them.
    pub fn all_with(self, known: &[SettingsProfile]) -> Vec<SettingsProfile> {
        let all: Vec<SettingsProfile> = self.clone().all().collect();
        let bare: Vec<_> = all.iter().filter_map(|profile| self.stand_in(profile, known)).cloned().collect();
        all.into_iter().chain(bare).collect()
    }

    /// Every profile that is asked for.
    fn all(self) -> impl Iterator<Item = SettingsProfile> {
        let of_methods = self.methods.into_values().filter_map(|profile| match profile {
            MethodProfile::Made(profile) => Some(profile),
            MethodProfile::OfSpace | MethodProfile::OfBridge => None,
        });
        self.profiles.into_iter().chain(of_methods)
    }
}

/// The profiles that these settings and access methods need on a bridge with these profiles of its own. `owner` is the
/// MeetingBridge, `namespace/name`: what another installation made with the same content is not taken for ours.
pub fn wanted(
    settings: &MeetingSettings,
    methods: &[AccessMethodSpec],
    own: &ProfilesSpec,
    owner: &str,
    version: &str,
) -> Wanted {
    let asked = TABLE.iter().filter_map(|row| Some((row, (row.value)(settings)?)));
    let unknown = asked.filter(|(row, _)| !row.is_known_to(version)).map(|(row, _)| row.setting).collect();
    let methods = if knows_access_methods(version) { methods } else { &[] };
    let waits = waits_for_host(methods);
    let call = of_kind_on_top(ProfileKind::Call, settings, own.call.pairs_for(version), version, any);
    let own_leg: BTreeMap<String, String> = own.call_leg.pairs().into_iter().collect();
    let leg_of = |settings: &MeetingSettings, waits: Option<bool>, which: Which| {
        let mut fields = of_kind_on_top(ProfileKind::CallLeg, settings, own.call_leg.pairs(), version, which);
        fields.extend(waits.map(|waits| (WAITS.to_owned(), waits.to_string())));
        fields
    };
    let leg = |settings: &MeetingSettings, waits: Option<bool>| leg_of(settings, waits, any);
    let of_space = leg(settings, waits.then_some(true));
    let (mut protective, mut bare) = (BTreeSet::new(), BTreeMap::new());
    let mut protect = |profile: &SettingsProfile, fields: BTreeMap<String, String>| {
        let only = named(profile.kind, fields, owner);
        for profile in [profile, &only] {
            protective.insert((profile.kind, profile.name.clone()));
        }
        if only.name != profile.name {
            bare.insert((profile.kind, profile.name.clone()), only);
        }
    };
    let mut of_method = |method: &AccessMethodSpec| {
        let settings = method.settings.as_ref().map_or_else(|| settings.clone(), |own| own.on_top_of(settings));
        let is_to_wait = waits && method.role == AccessRole::Guest;
        let fields = leg(&settings, waits.then_some(is_to_wait));
        let protects = is_to_wait || is_protective(&settings, ProfileKind::CallLeg, version);
        if fields == of_space {
            MethodProfile::OfSpace
        } else if fields == own_leg && !protects {
            MethodProfile::OfBridge
        } else {
            let profile = named(ProfileKind::CallLeg, fields, owner);
            if waits || protects {
                protect(&profile, leg_of(&settings, waits.then_some(is_to_wait), protecting));
            }
            MethodProfile::Made(profile)
        }
    };
    let methods = methods.iter().map(|method| (method.name.clone(), of_method(method))).collect();
    // What the bridge's own profile says anyway needs no other one. Protection does: an adopted slot has profiles of
    // somebody else, and the bridge's own may not be as its spec says yet.
    let own_call: BTreeMap<String, String> = own.call.pairs_for(version).into_iter().collect();
    let protects = |kind: ProfileKind| is_protective(settings, kind, version);
    let call = (call != own_call || protects(ProfileKind::Call)).then(|| named(ProfileKind::Call, call, owner));
    let needs_leg = of_space != own_leg || protects(ProfileKind::CallLeg) || waits;
    let leg = needs_leg.then(|| named(ProfileKind::CallLeg, of_space, owner));
    let profiles: Vec<SettingsProfile> = call.into_iter().chain(leg).collect();
    let is_needed = |kind: ProfileKind| protects(kind) || (waits && kind == ProfileKind::CallLeg);
    for profile in profiles.iter().filter(|profile| is_needed(profile.kind)) {
        let fields = match profile.kind {
            ProfileKind::Call => {
                of_kind_on_top(profile.kind, settings, own.call.pairs_for(version), version, protecting)
            }
            ProfileKind::CallLeg => leg_of(settings, waits.then_some(true), protecting),
        };
        protect(profile, fields);
    }
    Wanted { profiles, methods, unsupported: unknown, protective, bare }
}

/// Which settings go into a profile.
type Which = fn(&Row, &MeetingSettings) -> bool;

fn any(_: &Row, _: &MeetingSettings) -> bool {
    true
}

/// Only those that keep somebody out of something.
fn protecting(row: &Row, settings: &MeetingSettings) -> bool {
    (row.is_protective)(settings)
}

/// The fields of a profile of the bridge with those settings on top that this version knows.
fn of_kind_on_top(
    kind: ProfileKind,
    settings: &MeetingSettings,
    own: Vec<(String, String)>,
    version: &str,
    which: Which,
) -> BTreeMap<String, String> {
    let known = TABLE.iter().filter(|row| row.kind == kind && row.is_known_to(version) && which(row, settings));
    let asked = known.filter_map(|row| Some((row.field.to_owned(), (row.value)(settings)?)));
    own.into_iter().chain(asked).collect()
}

/// A profile with this content, by the name that follows from it.
fn named(kind: ProfileKind, mut fields: BTreeMap<String, String>, owner: &str) -> SettingsProfile {
    fields.remove("name");
    let content = format!("{owner}\n{kind:?}\n{fields:?}");
    let name = format!("{NAME}{:016x}", fingerprint(content.as_bytes()));
    if kind == ProfileKind::CallLeg {
        fields.insert("name".to_owned(), name.clone());
    }
    SettingsProfile { kind, name, fields, id: None, refused: None, unread: false }
}

/// FNV-1a: the same in every version of the controller, since it stands on the bridge.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Was a profile with these fields made for settings, as far as it can be told? Then it is no bridge's own. A call profile
/// has no name: one that rules recording or streaming other than by default is not believed to be the bridge's own unless
/// that is wanted of it.
pub fn may_be_for_settings(want: &[(String, String)], shown: &BTreeMap<String, String>) -> bool {
    let is_wanted = |field: &str| want.iter().any(|(name, _)| name.eq_ignore_ascii_case(field));
    shown.iter().any(|(field, value)| {
        let rules = ["recordingMode", "streamingMode"].iter().any(|known| field.eq_ignore_ascii_case(known));
        let is_named = field.eq_ignore_ascii_case("name") && value.starts_with(NAME);
        is_named || (rules && !is_wanted(field) && !value.trim().eq_ignore_ascii_case("manual"))
    })
}

/// What a profile may say to keep somebody out of something: field and value.
const PROTECTION: [(&str, &str); 4] =
    [("sipMediaEncryption", "required"), ("recordingMode", "disabled"), ("streamingMode", "disabled"), (WAITS, "true")];

/// Which fields of a profile protect, and are not shown so by a look? A bridge may take a field and drop it: what protects is
/// not said to apply, and lets nobody in, before it was read back. None of others is asked that.
pub fn unproven<'a>(wanted: &'a BTreeMap<String, String>, shown: &BTreeMap<String, String>) -> Vec<&'a str> {
    let is_shown = |name: &str, value: &str| {
        let mut shown = shown.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        shown.any(|(_, shown)| shown.trim().eq_ignore_ascii_case(value))
    };
    let protects = |name: &str, value: &str| PROTECTION.contains(&(name, value));
    let wanted = wanted.iter().filter(|(name, value)| protects(name, value) && !is_shown(name, value));
    wanted.map(|(name, _)| name.as_str()).collect()
}

/// Does a profile say anything that protects?
pub fn is_to_be_proven(profile: &SettingsProfile) -> bool {
    !unproven(&profile.fields, &BTreeMap::new()).is_empty()
}

/// The same for one of the bridge's own.
pub fn protects(own: &[(String, String)]) -> bool {
    own.iter().any(|(name, value)| PROTECTION.contains(&(name, value)))
}

/// What the bridge's own profiles are to keep people out by, each as status.provenProtection has it. It is the same for every
/// version.
pub fn protection_by(own: &ProfilesSpec) -> Vec<String> {
    let of_kind = |kind: ProfileKind| {
        let pairs = own.pairs(kind, "").into_iter().filter(|pair| protects(std::slice::from_ref(pair)));
        pairs.map(move |(name, value)| format!("{kind}: {name}={value}"))
    };
    ProfileKind::ALL.into_iter().flat_map(of_kind).collect()
}

/// Does the door stay shut as long as the profile of this kind is not there?
pub fn is_protective(settings: &MeetingSettings, kind: ProfileKind, version: &str) -> bool {
    TABLE.iter().any(|row| row.kind == kind && row.is_known_to(version) && (row.is_protective)(settings))
}

/// What the meetings on a bridge want now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Profiles that are to be there; those that keep somebody out of something come first.
    pub wanted: Vec<SettingsProfile>,
    /// Which of them do, by kind and name.
    pub protective: BTreeSet<(ProfileKind, String)>,
    /// Ids of profiles that spaces of meetings may refer to.
    pub used: BTreeSet<ProfileId>,
    /// There is a meeting of which it is not known yet whether it runs here, and with which profiles (a restore without
    /// status): nothing is removed meanwhile.
    pub has_unread: bool,
}

/// What one meeting wants, and has.
#[derive(Clone, Debug)]
pub struct Asked {
    settings: Option<MeetingSettings>,
    methods: Vec<AccessMethodSpec>,
    /// Ids of profiles that its space and its access methods may refer to.
    used: Vec<ProfileId>,
}

impl Asked {
    /// What it wants; nothing once it is being shut. None: neither wants nor has it anything.
    pub fn of(meeting: &ScheduledMeeting) -> Option<Self> {
        let status = meeting.status.as_ref();
        let is_ending = status.and_then(|status| status.phase) == Some(Phase::Closing);
        let settings = meeting.spec.settings.clone().filter(|_| !is_ending);
        let methods = if is_ending { Vec::new() } else { meeting.spec.access_methods.clone() };
        let known = status.and_then(|status| status.settings.as_ref());
        let of_methods = status.map(|status| status.access_methods.as_slice()).unwrap_or_default();
        if settings.is_none() && methods.is_empty() && known.is_none() && of_methods.is_empty() {
            return None;
        }
        let applied = known.map(|known| known.applied.clone()).unwrap_or_default();
        let of_methods = of_methods.iter().filter_map(|method| method.call_leg_profile.clone());
        let used = [applied.call, applied.call_leg].into_iter().flatten().chain(of_methods).map(Into::into).collect();
        Some(Self { settings, methods, used })
    }
}

/// What these meetings want of their bridge: those of which something is to be done now. `known` is what was made, or
/// refused, so far.
pub fn demand(
    bridge: &MeetingBridge,
    known: &[SettingsProfile],
    version: &str,
    meetings: impl IntoIterator<Item = Asked>,
) -> Demand {
    let owner = owner_of(bridge);
    let mut profiles: BTreeMap<(ProfileKind, String), SettingsProfile> = BTreeMap::new();
    let (mut used, mut protective) = (BTreeSet::new(), BTreeSet::new());
    for asked in meetings {
        used.extend(asked.used);
        // Before the version is known it is not known what to make.
        if version.is_empty() {
            continue;
        }
        let settings = asked.settings.unwrap_or_default();
        let wanted = wanted(&settings, &asked.methods, &bridge.spec.profiles, &owner, version);
        protective.extend(wanted.protective.iter().cloned());
        for profile in wanted.all_with(known) {
            profiles.insert((profile.kind, profile.name.clone()), profile);
        }
    }
    let is_protective = |key: &(ProfileKind, String)| protective.contains(key);
    let (first, rest): (Vec<_>, Vec<_>) = profiles.into_iter().partition(|(key, _)| is_protective(key));
    let wanted = first.into_iter().chain(rest).map(|(_, profile)| profile).collect();
    Demand { wanted, protective, used, has_unread: false }
}

/// `namespace/name` of a MeetingBridge.
pub fn owner_of(bridge: &MeetingBridge) -> String {
    format!("{}/{}", bridge.namespace().unwrap_or_default(), bridge.name_any())
}

#[cfg(test)]
mod tests;
