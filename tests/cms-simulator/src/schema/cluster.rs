//! Call bridges, groups, tenants, users, dial plan, web bridges, CDR receivers (sections 4 and 8).

use super::profiles::PROFILE_REFERENCES;
use super::{Field, Kind, Spec, Type, between, flag, name, number, reference, text, word};

/// 4.3. `sipDomain` is shown empty (byte count 178).
pub static CALL_BRIDGE: Spec = Spec::new(
    "callBridges",
    "callBridge",
    "callBridgeDoesNotExist",
    &[
        name("name").listed().required(),
        text("address"),
        text("sipDomain").always(),
        reference("callBridgeGroup", Kind::CallBridgeGroup).since(2, 1),
    ],
);

/// 4.3; 2.1.
pub static CALL_BRIDGE_GROUP: Spec = Spec::new(
    "callBridgeGroups",
    "callBridgeGroup",
    "callBridgeGroupDoesNotExist",
    &[
        name("name").listed(),
        flag("loadBalancingEnabled").default("false"),
        flag("loadBalanceLyncCalls").default("false"),
        flag("loadBalanceOutgoingCalls").since(2, 2).default("false"),
        flag("loadBalanceUserCalls").since(2, 3).default("true"),
        flag("loadBalanceIndirectCalls").since(2, 4).default("false"),
    ],
)
.since(2, 1);

/// Section 8: name, group, participant limit, and the profile references of /system/profiles.
pub static TENANT: Spec = Spec::new(
    "tenants",
    "tenant",
    "tenantDoesNotExist",
    &[
        name("name").listed().required(),
        reference("tenantGroup", Kind::TenantGroup).listed(),
        number("participantLimit"),
        reference("callLegProfile", Kind::CallLegProfile),
        reference("callProfile", Kind::CallProfile),
        reference("dtmfProfile", Kind::DtmfProfile),
        reference("userProfile", Kind::UserProfile),
        reference("ivrBrandingProfile", Kind::IvrBrandingProfile),
        reference("callBrandingProfile", Kind::CallBrandingProfile),
        reference("compatibilityProfile", Kind::CompatibilityProfile).since(2, 1),
        reference("dialInSecurityProfile", Kind::DialInSecurityProfile).since(3, 0),
        reference("webBridgeProfile", Kind::WebBridgeProfile).since(3, 0),
    ],
)
.filter(&["name"])
.exact(&[("tenantGroupFilter", "tenantGroup")]);

/// The reference names no attribute of a tenant group.
pub static TENANT_GROUP: Spec = Spec::new("tenantGroups", "tenantGroup", "tenantGroupDoesNotExist", &[]);

/// Section 8: made by LDAP sync only, so there is no POST; deletion is an `invalidOperation` (1.8).
pub static USER: Spec = Spec::new(
    "users",
    "user",
    "userDoesNotExist",
    &[
        text("userJid").listed().read_only(),
        reference("tenant", Kind::Tenant).listed().read_only(),
        text("name").read_only(),
        text("email").read_only(),
        text("authenticationId").read_only(),
        reference("userProfile", Kind::UserProfile),
        Field::new("cdrTag", Type::Text(100)),
    ],
)
.verbs(false, true, false)
.filter(&["userJid", "name", "email"])
.exact(&[("tenantFilter", "tenant"), ("emailFilter", "email"), ("cdrTagFilter", "cdrTag")]);

/// Section 8.
pub static OUTBOUND_RULE: Spec = Spec::new(
    "outboundDialPlanRules",
    "outboundDialPlanRule",
    "outboundDialPlanRuleDoesNotExist",
    &[
        text("domain").listed().required(),
        number("priority").listed().default("0"),
        text("localContactDomain"),
        text("localFromDomain"),
        text("sipProxy"),
        word("trunkType", &["sip", "lync", "avaya"]).default("sip"),
        word("failureAction", &["stop", "continue"]).default("stop"),
        word("sipControlEncryption", &["auto", "encrypted", "unencrypted"]).default("auto"),
        word("scope", &["global", "callBridge", "callBridgeGroup"]).default("global").since(2, 2),
        reference("callBridge", Kind::CallBridge),
        reference("callBridgeGroup", Kind::CallBridgeGroup).since(2, 2),
        reference("tenant", Kind::Tenant).listed().since(1, 8),
        word("callRouting", &["default", "traversal"]).default("default"),
    ],
)
.filter(&["domain"])
.exact(&[("tenantFilter", "tenant")]);

/// Section 8.
pub static INBOUND_RULE: Spec = Spec::new(
    "inboundDialPlanRules",
    "inboundDialPlanRule",
    "inboundDialPlanRuleDoesNotExist",
    &[
        text("domain").listed().required(),
        number("priority").listed().default("0"),
        flag("resolveToUsers").until(3, 0),
        flag("resolveTocoSpaces").listed(),
        flag("resolveToIvrs").listed(),
        flag("resolveToLyncConferences").default("false"),
        flag("resolveToLyncSimplejoin").since(2, 2),
        reference("tenant", Kind::Tenant).listed(),
    ],
)
.filter(&["domain"])
.exact(&[("tenantFilter", "tenant")]);

/// Section 8.
pub static FORWARDING_RULE: Spec = Spec::new(
    "forwardingDialPlanRules",
    "forwardingDialPlanRule",
    "forwardingDialPlanRuleDoesNotExist",
    &[
        text("matchPattern").listed().required(),
        text("destinationDomain").listed(),
        word("action", &["forward", "reject"]).listed(),
        word("callerIdMode", &["regenerate", "preserve"]).default("regenerate"),
        number("priority").listed().default("0"),
        reference("tenant", Kind::Tenant).listed(),
    ],
)
.filter(&["matchPattern"])
.exact(&[("tenantFilter", "tenant")]);

/// Section 8. The error element is formed like its siblings, it is not in the list of 3.4.
pub static WEB_BRIDGE: Spec = Spec::new(
    "webBridges",
    "webBridge",
    "webBridgeDoesNotExist",
    &[
        Field::new("url", Type::Url).listed(),
        reference("tenant", Kind::Tenant),
        reference("tenantGroup", Kind::TenantGroup),
        reference("callBridge", Kind::CallBridge).since(2, 1),
        reference("callBridgeGroup", Kind::CallBridgeGroup).since(2, 1),
        reference("webBridgeProfile", Kind::WebBridgeProfile).since(3, 0),
        text("resourceArchive").listed().until(3, 0),
        word("idEntryMode", &["disabled", "secure", "legacy"]).default("secure").until(3, 0),
        flag("allowWeblinkAccess").default("true").until(3, 0),
        flag("showSignIn").default("true").until(3, 0),
        flag("resolveCoSpaceCallIds").default("true").until(3, 0),
        flag("resolveLyncConferenceIds").default("false").until(3, 0),
    ],
)
.filter(&["url"])
.exact(&[("tenantFilter", "tenant")]);

/// 4.2. An object of one bridge; the list carries `maximum="4"`. The address is written as `uri` or `url` (0.3) and
/// may be empty.
pub static CDR_RECEIVER: Spec =
    Spec::new("cdrReceivers", "cdrReceiver", "cdrReceiverDoesNotExist", &[text("uri").listed().always()]);

/// /system/configuration/cluster (4.2), per bridge.
pub const CLUSTER_CONFIGURATION: &[Field] = &[
    name("uniqueName"),
    number("peerLinkBitRate"),
    number("participantLimit"),
    number("loadLimit").since(2, 1),
    between("newConferenceLoadLimitBasisPoints", 0, 10_000).default("5000").since(2, 1),
    between("existingConferenceLoadLimitBasisPoints", 0, 10_000).default("8000").since(2, 1),
    number("maxPeerVideoStreams").default("4").since(2, 3),
];

/// /system/profiles (4.2).
pub const SYSTEM_PROFILES: &[Field] = PROFILE_REFERENCES;
