//! Host and guest: further ways into a meeting, by the same number and another passcode (docs/api.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::meeting::PasscodeSecretRef;
use super::settings::{Encryption, JoinMuted, Layout, MeetingSettings};

/// A way into the meeting by the same number and another passcode. CMS 2.9 and later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessMethodSpec {
    /// Name; unique within the meeting.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9]+(-+[a-z0-9]+)*$"))]
    pub name: String,
    /// Host: is in at once; as soon as there is a way in for hosts, everybody else waits until one is in. Guest: waits.
    pub role: AccessRole,
    /// Secret in this namespace with the passcode (digits); another one than that of the meeting and of the others.
    pub passcode_secret_ref: PasscodeSecretRef,
    /// What they have other than the settings of the meeting say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<AccessSettings>,
}

/// What somebody is in a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessRole {
    /// Is in at once. As soon as there is a way in for hosts, everybody else waits until one is in.
    Host,
    /// Waits until a host is in, if there is a way in for hosts.
    Guest,
}

impl AccessRole {
    /// As it is written in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "Host",
            Self::Guest => "Guest",
        }
    }
}

/// Settings that one way in can have of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessSettings {
    /// Screen layout at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Who joins is muted; they can unmute themselves where the bridge allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_muted: Option<JoinMuted>,
    /// Encryption of the media of SIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Whether they may share content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presentation: Option<bool>,
}

impl AccessSettings {
    /// The settings of the meeting with these on top.
    pub fn on_top_of(&self, meeting: &MeetingSettings) -> MeetingSettings {
        let muted = match (self.join_muted, meeting.join_muted) {
            (Some(own), Some(of_all)) => {
                Some(JoinMuted { audio: own.audio.or(of_all.audio), video: own.video.or(of_all.video) })
            }
            (own, of_all) => own.or(of_all),
        };
        MeetingSettings {
            layout: self.layout.or(meeting.layout),
            join_muted: muted,
            encryption: self.encryption.or(meeting.encryption),
            presentation: self.presentation.or(meeting.presentation),
            ..meeting.clone()
        }
    }
}

/// An access method of ours on the bridge, or one that may be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessMethodStatus {
    /// Its name in spec.accessMethods.
    pub name: String,
    /// Host: is in at once; as soon as there is a way in for hosts, everybody else waits until one is in. Guest: waits.
    pub role: AccessRole,
    /// Id on the bridge. Without: it is to be made, or its reply was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Call leg profile that it has; without: that of the space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_leg_profile: Option<String>,
}

/// Most access methods that a status remembers: those of the spec, and as many that were taken out of it.
pub const MOST_ACCESS_METHODS: usize = 8;
