//! What the settings of a meeting mean in profiles of the bridge, which version knows which field, and which of them keep
//! a door shut (decision 0025). PURE.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use crate::api::bridge::{ProfileIds, ProfilesSpec};
use crate::api::meeting::Phase;
use crate::api::settings::{Capture, Encryption, Layout, MeetingSettings, ProfileKind, SettingsProfile};
use crate::api::{MeetingBridge, ScheduledMeeting};
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

/// What a meeting wants of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Profiles other than the bridge's own, at most one of each kind.
    pub profiles: Vec<SettingsProfile>,
    /// Settings that this version of the bridge does not know.
    pub unsupported: Vec<&'static str>,
}

/// The profiles that these settings need on a bridge with these profiles of its own. `owner` is the MeetingBridge,
/// `namespace/name`: what another installation made with the same content is not taken for ours.
pub fn wanted(settings: &MeetingSettings, own: &ProfilesSpec, owner: &str, version: &str) -> Wanted {
    let asked = TABLE.iter().filter_map(|row| Some((row, (row.value)(settings)?)));
    let (known, unknown): (Vec<_>, Vec<_>) = asked.partition(|(row, _)| row.is_known_to(version));
    let profile = |kind: ProfileKind, own: Vec<(String, String)>| {
        let own: BTreeMap<String, String> = own.into_iter().collect();
        let mut fields = own.clone();
        let of_kind = known.iter().filter(|(row, _)| row.kind == kind);
        fields.extend(of_kind.clone().map(|(row, value)| (row.field.to_owned(), value.clone())));
        // What the bridge's own profile says anyway needs no other one. Protection does: an adopted slot has profiles of
        // somebody else, and the bridge's own may not be as its spec says yet.
        let protects = of_kind.clone().any(|(row, _)| (row.is_protective)(settings));
        (fields != own || protects).then(|| named(kind, fields, owner))
    };
    let call = profile(ProfileKind::Call, own.call.pairs_for(version));
    let leg = profile(ProfileKind::CallLeg, own.call_leg.pairs());
    Wanted {
        profiles: call.into_iter().chain(leg).collect(),
        unsupported: unknown.into_iter().map(|(row, _)| row.setting).collect(),
    }
}

/// A profile with this content, by the name that follows from it.
fn named(kind: ProfileKind, mut fields: BTreeMap<String, String>, owner: &str) -> SettingsProfile {
    fields.remove("name");
    let content = format!("{owner}\n{kind:?}\n{fields:?}");
    let name = format!("{NAME}{:016x}", fingerprint(content.as_bytes()));
    if kind == ProfileKind::CallLeg {
        fields.insert("name".to_owned(), name.clone());
    }
    SettingsProfile { kind, name, fields, id: None, refused: None }
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

/// Does the door stay shut as long as the profile of this kind is not there?
pub fn is_protective(settings: &MeetingSettings, kind: ProfileKind, version: &str) -> bool {
    TABLE.iter().any(|row| row.kind == kind && row.is_known_to(version) && (row.is_protective)(settings))
}

/// What the meetings on a bridge want now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Profiles that are to be there.
    pub wanted: Vec<SettingsProfile>,
    /// Ids of profiles that spaces of meetings may refer to.
    pub used: BTreeSet<String>,
}

/// What one meeting wants, and has.
#[derive(Clone, Debug)]
pub struct Asked {
    settings: Option<MeetingSettings>,
    applied: ProfileIds,
}

impl Asked {
    /// What it wants; nothing once it is being shut. None: neither wants nor has it anything.
    pub fn of(meeting: &ScheduledMeeting) -> Option<Self> {
        let status = meeting.status.as_ref();
        let is_ending = status.and_then(|status| status.phase) == Some(Phase::Closing);
        let settings = meeting.spec.settings.clone().filter(|_| !is_ending);
        let known = status.and_then(|status| status.settings.as_ref());
        (settings.is_some() || known.is_some())
            .then(|| Self { settings, applied: known.map(|known| known.applied.clone()).unwrap_or_default() })
    }
}

/// What these meetings want of their bridge: those of which something is to be done now.
pub fn demand(bridge: &MeetingBridge, version: &str, meetings: impl IntoIterator<Item = Asked>) -> Demand {
    let owner = owner_of(bridge);
    let mut profiles: BTreeMap<(ProfileKind, String), SettingsProfile> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for asked in meetings {
        used.extend([asked.applied.call, asked.applied.call_leg].into_iter().flatten());
        // Before the version is known it is not known what to make.
        let Some(settings) = asked.settings.as_ref().filter(|_| !version.is_empty()) else { continue };
        for profile in wanted(settings, &bridge.spec.profiles, &owner, version).profiles {
            profiles.insert((profile.kind, profile.name.clone()), profile);
        }
    }
    Demand { wanted: profiles.into_values().collect(), used }
}

/// `namespace/name` of a MeetingBridge.
pub fn owner_of(bridge: &MeetingBridge) -> String {
    format!("{}/{}", bridge.namespace().unwrap_or_default(), bridge.name_any())
}

/// The id of one kind.
pub fn of_kind(ids: &ProfileIds, kind: ProfileKind) -> Option<&String> {
    match kind {
        ProfileKind::Call => ids.call.as_ref(),
        ProfileKind::CallLeg => ids.call_leg.as_ref(),
    }
}

#[cfg(test)]
mod tests;
