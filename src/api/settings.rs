//! Settings of one meeting, as a user spells them: how people are shown, and what they may do (docs/api.md).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bridge::ProfileIds;
pub use crate::cms::ProfileKind;

/// What one meeting wants to be other than the profiles of its bridge say. What is left out is as on the bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeetingSettings {
    /// Screen layout at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Who joins is muted; they can unmute themselves where the bridge allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_muted: Option<JoinMuted>,
    /// Whether the meeting is recorded. Off: nobody can; until the bridge has that, the door stays shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Capture>,
    /// Whether the meeting is streamed; CMS 2.1 and later. Off: nobody can; until the bridge has that, the door stays shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<Capture>,
    /// Encryption of the media of SIP. Required: until the bridge has that, the door stays shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Most participants in the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub participant_limit: Option<u32>,
    /// The message board; CMS before 3.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
    /// Whether people may share content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presentation: Option<bool>,
}

/// What of who joins is muted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinMuted {
    /// Whether their sound is off when they join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Whether their picture is off when they join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<bool>,
}

/// Manual: somebody in the meeting starts and ends it. Automatic: from the first participant on. Off: nobody can, and
/// until the bridge has that the door stays shut. Streaming needs CMS 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Capture {
    /// Somebody in the meeting starts and ends it.
    Manual,
    /// From the first participant on.
    Automatic,
    /// Never.
    Off,
}

/// Encryption of the media of SIP. Required: who cannot does not get in, and until the bridge has that the door stays
/// shut. Optional: where the other side can. Off: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encryption {
    /// Who cannot encrypt does not get in.
    Required,
    /// Where the other side can.
    Optional,
    /// Never.
    Off,
}

/// A screen layout, as the bridge calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Layout {
    AllEqual,
    SpeakerOnly,
    Telepresence,
    Stacked,
    AllEqualQuarters,
    AllEqualNinths,
    AllEqualSixteenths,
    AllEqualTwentyFifths,
    OnePlusFive,
    OnePlusSeven,
    OnePlusNine,
    Automatic,
    OnePlusN,
}

impl Layout {
    /// As it is on the wire and in the spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllEqual => "allEqual",
            Self::SpeakerOnly => "speakerOnly",
            Self::Telepresence => "telepresence",
            Self::Stacked => "stacked",
            Self::AllEqualQuarters => "allEqualQuarters",
            Self::AllEqualNinths => "allEqualNinths",
            Self::AllEqualSixteenths => "allEqualSixteenths",
            Self::AllEqualTwentyFifths => "allEqualTwentyFifths",
            Self::OnePlusFive => "onePlusFive",
            Self::OnePlusSeven => "onePlusSeven",
            Self::OnePlusNine => "onePlusNine",
            Self::Automatic => "automatic",
            Self::OnePlusN => "onePlusN",
        }
    }
}

impl Capture {
    /// The word of the bridge.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Automatic => "automatic",
            Self::Off => "disabled",
        }
    }
}

impl Encryption {
    /// The word of the bridge.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Off => "prohibited",
        }
    }
}

/// So many profiles for settings are there at one time at most.
pub const MOST_SETTINGS_PROFILES: usize = 64;

/// From so many on only those are made that keep somebody out of something: without them a door stays shut.
pub const MOST_COSMETIC_PROFILES: usize = 48;

/// Which profiles the space of a meeting with settings has, and had before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsStatus {
    /// What the space is given back at the end; nothing: it had none.
    #[serde(default)]
    pub before: ProfileIds,
    /// What it was told for this meeting.
    #[serde(default)]
    pub applied: ProfileIds,
}

/// A profile that was made for the settings of meetings, shared by all that ask for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SettingsProfile {
    /// Which profile of the bridge it is: Call (the call as a whole) or CallLeg (each participant).
    pub kind: ProfileKind,
    /// Made from the content; also the name of a call leg profile on the bridge.
    #[schemars(length(max = 64))]
    pub name: String,
    /// Its content: the fields of the bridge with their values.
    #[schemars(extend("maxProperties" = 80))]
    pub fields: std::collections::BTreeMap<String, String>,
    /// Id on the bridge. Without: it is being made, or the bridge refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why the bridge refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub refused: Option<String>,
    /// It was written, and what protects was not read back yet: nobody is let in by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
}

impl SettingsProfile {
    /// What it says, as form pairs.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
