//! Call profile and call leg profile as a user may spell them: every documented field (cms-protocol.md section 5), with the
//! defaults that TMS sends (R45, R46). A field left out is not sent, so that the bridge keeps its own default.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How a field value is spelt on the wire.
trait WireValue {
    fn wire(&self) -> String;
}
impl WireValue for bool {
    fn wire(&self) -> String {
        self.to_string()
    }
}
impl WireValue for u32 {
    fn wire(&self) -> String {
        self.to_string()
    }
}
impl WireValue for String {
    fn wire(&self) -> String {
        self.clone()
    }
}

/// One struct per profile: the declaration order is the order on the wire, and the name given is the wire name.
macro_rules! profile {
    ($(#[$meta:meta])* $name:ident {
        $( $(#[$fmeta:meta])* $field:ident : $ty:ty = $wire:literal $(, default $default:literal as $deffn:ident)? ; )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
        pub struct $name {
            $(
                $(#[$fmeta])*
                #[serde(rename = $wire, skip_serializing_if = "Option::is_none")]
                $(#[serde(default = $default)])?
                pub $field: Option<$ty>,
            )*
        }

        impl $name {
            /// The fields that are set, in wire order, as form pairs.
            pub fn pairs(&self) -> Vec<(String, String)> {
                let mut pairs = Vec::new();
                $( if let Some(value) = &self.$field { pairs.push(($wire.to_owned(), value.wire())); } )*
                pairs
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: profile!(@default $($deffn)?), )* }
            }
        }
    };
    (@default $deffn:ident) => { $deffn() };
    (@default) => { None };
}

fn yes() -> Option<bool> {
    Some(true)
}
fn no() -> Option<bool> {
    Some(false)
}
fn participant_limit() -> Option<u32> {
    Some(1000)
}
fn default_layout() -> Option<String> {
    Some("telepresence".to_owned())
}

profile! {
    /// Call profile that every slot uses. Defaults are exactly those TMS sends.
    CallProfile {
        /// Most participants in one call.
        participant_limit: u32 = "participantLimit", default "participant_limit" as participant_limit;
        /// Message board; left out on CMS 3.0 and later, where the field was removed.
        message_board_enabled: bool = "messageBoardEnabled", default "no" as no;
        /// Whether calls start locked.
        locked: bool = "locked";
        /// disabled: nobody can record or stream. manual: who may starts and stops it. automatic: from the first
        /// participant on.
        #[schemars(extend("enum" = ["disabled", "manual", "automatic"]))]
        recording_mode: String = "recordingMode";
        /// disabled: nobody can record or stream. manual: who may starts and stops it. automatic: from the first
        /// participant on.
        #[schemars(extend("enum" = ["disabled", "manual", "automatic"]))]
        streaming_mode: String = "streamingMode";
        /// required: a blank passcode must be entered; timeout: it is assumed after `passcodeTimeout`.
        #[schemars(extend("enum" = ["required", "timeout"]))]
        passcode_mode: String = "passcodeMode";
        /// Seconds after the end of the prompt until a blank passcode is assumed, with passcodeMode timeout.
        passcode_timeout: u32 = "passcodeTimeout";
        /// In a gateway call the outgoing leg carries sound only if the incoming one does. CMS 2.3 and later.
        gateway_audio_call_optimization: bool = "gatewayAudioCallOptimization";
        /// How people get into a Lync meeting. dualHomeCluster: all call bridges share one conference.
        /// dualHomeCallBridge: each has its own, connected to Lync. gateway: each participant has a connection of their
        /// own. CMS 2.3 and later.
        #[schemars(extend("enum" = ["dualHomeCluster", "dualHomeCallBridge", "gateway"]))]
        lync_conference_mode: String = "lyncConferenceMode";
        /// Whom a locked call keeps out. all: everybody. needsActivation: those who wait for an activator. CMS 2.9 and
        /// later.
        #[schemars(extend("enum" = ["all", "needsActivation"]))]
        lock_mode: String = "lockMode";
        /// SIP URI of the recorder to use. CMS 2.9 and later.
        #[schemars(length(max = 255))]
        sip_recorder_uri: String = "sipRecorderUri";
        /// SIP URI of the streamer to use. CMS 3.0 and later.
        #[schemars(length(max = 255))]
        sip_streamer_uri: String = "sipStreamerUri";
    }
}

profile! {
    /// Call leg profile that every slot uses. Defaults are exactly those TMS sends.
    CallLegProfile {
        /// Screen layout at the start.
        #[schemars(extend("enum" = ["allEqual", "speakerOnly", "telepresence", "stacked", "allEqualQuarters",
            "allEqualNinths", "allEqualSixteenths", "allEqualTwentyFifths", "onePlusFive", "onePlusSeven",
            "onePlusNine", "automatic", "onePlusN"]))]
        default_layout: String = "defaultLayout", default "default_layout" as default_layout;
        /// Whether participants may change the layout.
        change_layout_allowed: bool = "changeLayoutAllowed", default "yes" as yes;
        /// Whether participants may share content.
        presentation_contribution_allowed: bool = "presentationContributionAllowed", default "yes" as yes;
        /// Whether participants may see shared content.
        presentation_viewing_allowed: bool = "presentationViewingAllowed", default "yes" as yes;
        /// Whether participants may mute themselves.
        mute_self_allowed: bool = "muteSelfAllowed", default "yes" as yes;
        /// Whether participants may stop their own video.
        video_mute_self_allowed: bool = "videoMuteSelfAllowed", default "yes" as yes;
        /// Whether legs wait for an activator.
        needs_activation: bool = "needsActivation";
        /// Whether names are shown over the pictures.
        participant_labels: bool = "participantLabels";
        /// dualStream: shared content is a second stream, beside the video. singleStream: both are in one picture.
        #[schemars(extend("enum" = ["dualStream", "singleStream"]))]
        presentation_display_mode: String = "presentationDisplayMode";
        /// Whether one may allow content sharing for all.
        allow_all_presentation_contribution_allowed: bool = "allowAllPresentationContributionAllowed";
        /// Whether one may end the call for all.
        end_call_allowed: bool = "endCallAllowed";
        /// Whether one may disconnect others.
        disconnect_others_allowed: bool = "disconnectOthersAllowed";
        /// Whether one may mute others.
        mute_others_allowed: bool = "muteOthersAllowed";
        /// Whether one may stop the video of others.
        video_mute_others_allowed: bool = "videoMuteOthersAllowed";
        /// Whether one may allow self mute for all.
        allow_all_mute_self_allowed: bool = "allowAllMuteSelfAllowed";
        /// Whether one may change whether joiners are muted.
        change_join_audio_mute_override_allowed: bool = "changeJoinAudioMuteOverrideAllowed";
        /// Join tone up to this many participants; 0 is off.
        #[schemars(range(max = 100))]
        join_tone_participant_threshold: u32 = "joinToneParticipantThreshold";
        /// Leave tone up to this many participants; 0 is off.
        #[schemars(range(max = 100))]
        leave_tone_participant_threshold: u32 = "leaveToneParticipantThreshold";
        /// auto: with video where the other side has it. disabled: sound only.
        #[schemars(extend("enum" = ["auto", "disabled"]))]
        video_mode: String = "videoMode";
        /// What the others hear of this leg is cut.
        rx_audio_mute: bool = "rxAudioMute";
        /// What this leg hears is cut.
        tx_audio_mute: bool = "txAudioMute";
        /// What the others see of this leg is cut.
        rx_video_mute: bool = "rxVideoMute";
        /// What this leg sees is cut.
        tx_video_mute: bool = "txVideoMute";
        /// Encryption of the media of SIP. optional: where the other side can. required: who cannot does not get in.
        /// prohibited: never.
        #[schemars(extend("enum" = ["optional", "required", "prohibited"]))]
        sip_media_encryption: String = "sipMediaEncryption";
        /// Milliseconds of sound in one packet.
        audio_packet_size_ms: u32 = "audioPacketSizeMs";
        /// What happens to legs when the last activator leaves. deactivate: they wait again. disconnect: they are
        /// ended. remainActivated: they stay in.
        #[schemars(extend("enum" = ["deactivate", "disconnect", "remainActivated"]))]
        deactivation_mode: String = "deactivationMode";
        /// Seconds until `deactivationMode` acts.
        deactivation_mode_time: u32 = "deactivationModeTime";
        /// Whether telepresence systems may join.
        telepresence_calls_allowed: bool = "telepresenceCallsAllowed";
        /// Whether content may be a second SIP video channel.
        sip_presentation_channel_enabled: bool = "sipPresentationChannelEnabled";
        /// How content is negotiated (BFCP). serverOnly: for endpoints. serverAndClient: also with another conference
        /// server on the other side.
        #[schemars(extend("enum" = ["serverOnly", "serverAndClient"]))]
        bfcp_mode: String = "bfcpMode";
        /// Whether one may lock the call.
        call_lock_allowed: bool = "callLockAllowed";
        /// Whether one may start and stop the recording.
        recording_control_allowed: bool = "recordingControlAllowed";
        /// Whether one may start and stop the streaming.
        streaming_control_allowed: bool = "streamingControlAllowed";
        /// Name of the profile on the bridge.
        #[schemars(length(max = 200))]
        name: String = "name";
        /// Seconds after which the bridge ends a leg.
        max_call_duration_time: u32 = "maxCallDurationTime";
        /// Best quality of the main video: lines and pictures a second at most. CMS 2.2 and later.
        #[schemars(extend("enum" = ["unrestricted", "max1080p30", "max720p30", "max480p30"]))]
        quality_main: String = "qualityMain";
        /// Best quality of shared content: lines and pictures a second at most. CMS 2.2 and later.
        #[schemars(extend("enum" = ["unrestricted", "max1080p30", "max720p5"]))]
        quality_presentation: String = "qualityPresentation";
        /// Number of participants on the screen. never, always, or auto: when the layout does not show all. CMS 2.2 and
        /// later.
        #[schemars(extend("enum" = ["never", "auto", "always"]))]
        participant_counter: String = "participantCounter";
        /// Whether one may set the importance of others.
        set_importance_allowed: bool = "setImportanceAllowed";
        /// Whether one may add participants.
        add_participant_allowed: bool = "addParticipantAllowed";
        /// Whether one may move the cameras of others.
        control_remote_camera_allowed: bool = "controlRemoteCameraAllowed";
        /// Id of a layout template. CMS 2.8 and later.
        #[schemars(length(max = 64))]
        layout_template: String = "layoutTemplate";
        /// Gain of the microphones; agc turns automatic gain on. CMS 2.8 and later.
        #[schemars(length(max = 32))]
        audio_gain_mode: String = "audioGainMode";
    }
}

impl CallProfile {
    /// The pairs this bridge understands: `messageBoardEnabled` was removed in 3.0 (requirements.md 1.4).
    pub fn pairs_for(&self, software_version: &str) -> Vec<(String, String)> {
        let mut pairs = self.pairs();
        if crate::plan::version::major(software_version).is_some_and(|major| major >= 3) {
            pairs.retain(|(name, _)| name != "messageBoardEnabled");
        }
        pairs
    }
}

#[cfg(test)]
mod tests;
