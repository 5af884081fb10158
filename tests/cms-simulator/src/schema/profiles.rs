//! Profiles (cms-protocol.md section 5, and 8 for web bridge profiles).

use super::{Field, Kind, Spec, between, flag, name, number, reference, text, word};

const RECORDING_MODES: &[&str] = &["disabled", "manual", "automatic"];

/// 5.1.
pub static CALL_PROFILE: Spec = Spec::new(
    "callProfiles",
    "callProfile",
    "callProfileDoesNotExist",
    &[
        number("participantLimit").listed(),
        flag("messageBoardEnabled").listed().until(3, 0),
        flag("locked"),
        word("recordingMode", RECORDING_MODES).since(1, 9),
        word("streamingMode", RECORDING_MODES).since(2, 1),
        word("passcodeMode", &["required", "timeout"]),
        number("passcodeTimeout"),
        flag("gatewayAudioCallOptimization").since(2, 3),
        word("lyncConferenceMode", &["dualHomeCluster", "dualHomeCallBridge", "gateway"]).since(2, 3),
        word("lockMode", &["all", "needsActivation"]).since(2, 9),
        text("sipRecorderUri").since(2, 9),
        text("sipStreamerUri").since(3, 0),
    ],
)
.profile();

const LAYOUTS: &[&str] = &[
    "allEqual",
    "speakerOnly",
    "telepresence",
    "stacked",
    "allEqualQuarters",
    "allEqualNinths",
    "allEqualSixteenths",
    "allEqualTwentyFifths",
    "onePlusFive",
    "onePlusSeven",
    "onePlusNine",
    "automatic",
    "onePlusN",
];

/// `defaultLayout`, also of a space.
pub(super) const DEFAULT_LAYOUT: Field = word("defaultLayout", LAYOUTS);

/// 5.2: the attributes of a call leg profile; every one can also be given to a leg (7.2).
pub const LEG_FIELDS: &[Field] = &[
    name("name").listed().since(2, 0),
    flag("needsActivation"),
    DEFAULT_LAYOUT,
    flag("changeLayoutAllowed").since(1, 8),
    flag("participantLabels"),
    word("presentationDisplayMode", &["dualStream", "singleStream"]),
    flag("presentationContributionAllowed"),
    flag("presentationViewingAllowed"),
    flag("allowAllPresentationContributionAllowed").since(1, 8),
    flag("endCallAllowed"),
    flag("disconnectOthersAllowed"),
    flag("muteOthersAllowed"),
    flag("videoMuteOthersAllowed"),
    flag("muteSelfAllowed"),
    flag("videoMuteSelfAllowed"),
    flag("allowAllMuteSelfAllowed").since(1, 9),
    flag("changeJoinAudioMuteOverrideAllowed").since(1, 8),
    between("joinToneParticipantThreshold", 0, 100),
    between("leaveToneParticipantThreshold", 0, 100),
    word("videoMode", &["auto", "disabled"]),
    flag("rxAudioMute"),
    flag("txAudioMute"),
    flag("rxVideoMute"),
    flag("txVideoMute"),
    word("sipMediaEncryption", &["optional", "required", "prohibited"]),
    number("audioPacketSizeMs"),
    word("deactivationMode", &["deactivate", "disconnect", "remainActivated"]),
    number("deactivationModeTime"),
    flag("telepresenceCallsAllowed"),
    flag("sipPresentationChannelEnabled"),
    word("bfcpMode", &["serverOnly", "serverAndClient"]),
    flag("callLockAllowed").since(1, 8),
    flag("recordingControlAllowed").since(1, 9),
    flag("streamingControlAllowed").since(2, 1),
    number("maxCallDurationTime").since(2, 0),
    word("qualityMain", &["unrestricted", "max1080p30", "max720p30", "max480p30"]).since(2, 2),
    word("qualityPresentation", &["unrestricted", "max1080p30", "max720p5"]).since(2, 2),
    word("participantCounter", &["never", "auto", "always"]).since(2, 2),
    flag("setImportanceAllowed").since(2, 3),
    flag("addParticipantAllowed").since(2, 3),
    flag("controlRemoteCameraAllowed").since(2, 8),
    // An id of /layoutTemplates, which the simulator does not serve: kept as text.
    text("layoutTemplate").since(2, 8),
    // Only the word `agc` is documented; the off value is not named, so any text is taken.
    text("audioGainMode").since(2, 8),
];

/// 5.2.
pub static CALL_LEG_PROFILE: Spec =
    Spec::new("callLegProfiles", "callLegProfile", "callLegProfileDoesNotExist", LEG_FIELDS)
        .filter(&["name"])
        .profile();

/// Section 8, last row: they carry the address of branding files.
pub static CALL_BRANDING_PROFILE: Spec = Spec::new(
    "callBrandingProfiles",
    "callBrandingProfile",
    "callBrandingProfileDoesNotExist",
    &[text("invitationTemplate"), text("resourceLocation").listed()],
)
.profile();

/// As above.
pub static IVR_BRANDING_PROFILE: Spec = Spec::new(
    "ivrBrandingProfiles",
    "ivrBrandingProfile",
    "ivrBrandingProfileDoesNotExist",
    &[text("resourceLocation").listed()],
)
.profile();

/// The reference names the collection but not its attributes; only a name is kept.
pub static DTMF_PROFILE: Spec =
    Spec::new("dtmfProfiles", "dtmfProfile", "dtmfProfileDoesNotExist", &[name("name").listed()]).profile();

/// As above.
pub static USER_PROFILE: Spec =
    Spec::new("userProfiles", "userProfile", "userProfileDoesNotExist", &[name("name").listed()]).profile();

/// As above; 2.1.
pub static COMPATIBILITY_PROFILE: Spec = Spec::new(
    "compatibilityProfiles",
    "compatibilityProfile",
    "compatibilityProfileDoesNotExist",
    &[name("name").listed()],
)
.since(2, 1)
.profile();

/// 6.3; 3.0.
pub static DIAL_IN_SECURITY_PROFILE: Spec = Spec::new(
    "dialInSecurityProfiles",
    "dialInSecurityProfile",
    "dialInSecurityProfileDoesNotExist",
    &[name("name").listed(), number("minPasscodeLength"), flag("allowOutOfPolicy")],
)
.since(3, 0)
.profile();

/// Section 8; 3.0. The error element is formed like its siblings, it is not in the list of 3.4.
pub static WEB_BRIDGE_PROFILE: Spec = Spec::new(
    "webBridgeProfiles",
    "webBridgeProfile",
    "webBridgeProfileDoesNotExist",
    &[
        name("name").listed(),
        text("resourceArchive"),
        flag("allowPasscodes").default("true"),
        flag("allowSecrets").default("true"),
        flag("userPortalEnabled").default("true"),
        flag("allowUnauthenticatedGuests").default("true"),
        flag("resolveCoSpaceCallIds").default("true"),
        flag("resolveLyncConferenceIds").default("false"),
        word("resolveCoSpaceUris", &["off", "domainSuggestionDisabled", "domainSuggestionEnabled"]).default("off"),
    ],
)
.since(3, 0)
.profile();

/// The profile references of /system/profiles and of a tenant (4.2).
pub(super) const PROFILE_REFERENCES: &[Field] = &[
    reference("callLegProfile", Kind::CallLegProfile),
    reference("callProfile", Kind::CallProfile),
    reference("dtmfProfile", Kind::DtmfProfile),
    reference("userProfile", Kind::UserProfile),
    reference("ivrBrandingProfile", Kind::IvrBrandingProfile),
    reference("callBrandingProfile", Kind::CallBrandingProfile),
    reference("compatibilityProfile", Kind::CompatibilityProfile).since(2, 1),
    reference("dialInSecurityProfile", Kind::DialInSecurityProfile).since(3, 0),
    reference("webBridgeProfile", Kind::WebBridgeProfile).since(3, 0),
];
