//! What objects exist and which attributes they have: tables read off cms-protocol.md sections 4 to 8. One generic engine
//! (`routes/objects.rs`) serves every collection of the shared database from these tables.

mod cluster;
mod profiles;
mod spaces;

use crate::ids::Id;

/// Major and minor number of a server version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u8, pub u8);

impl Version {
    /// Older than everything documented.
    pub const FIRST: Self = Self(1, 0);
    /// Newer than everything documented.
    pub const NEVER: Self = Self(u8::MAX, 0);

    /// Reads the number in front of a text such as `2.0(RC)` or `2.6.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Some(Self(major, minor))
    }
}

/// Kinds of objects in the shared database (section 9) and, last, the CDR receivers of one bridge, which have the
/// same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    CoSpace,
    AccessMethod,
    CoSpaceUser,
    CallBridge,
    CallBridgeGroup,
    CallProfile,
    CallLegProfile,
    CallBrandingProfile,
    IvrBrandingProfile,
    DtmfProfile,
    UserProfile,
    CompatibilityProfile,
    DialInSecurityProfile,
    WebBridgeProfile,
    Tenant,
    TenantGroup,
    User,
    OutboundRule,
    InboundRule,
    ForwardingRule,
    WebBridge,
    BulkSet,
    BulkSync,
    CdrReceiver,
}

/// Kinds with a collection of their own directly under `/api/v1/`.
pub const TOP_LEVEL: &[Kind] = &[
    Kind::CoSpace,
    Kind::CallBridge,
    Kind::CallBridgeGroup,
    Kind::CallProfile,
    Kind::CallLegProfile,
    Kind::CallBrandingProfile,
    Kind::IvrBrandingProfile,
    Kind::DtmfProfile,
    Kind::UserProfile,
    Kind::CompatibilityProfile,
    Kind::DialInSecurityProfile,
    Kind::WebBridgeProfile,
    Kind::Tenant,
    Kind::TenantGroup,
    Kind::User,
    Kind::OutboundRule,
    Kind::InboundRule,
    Kind::ForwardingRule,
    Kind::WebBridge,
    Kind::BulkSet,
    Kind::BulkSync,
];

/// The type of an attribute; decides which values a write accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Any text up to so many characters.
    Text(usize),
    /// Text up to so many bytes of UTF-8.
    Bytes(usize),
    /// A display name; the longest is a switch.
    Name,
    /// A passcode; alphabet and length are switches.
    Passcode,
    /// A whole number in a range, both ends included.
    Number(u64, u64),
    /// `true` or `false` in any case.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The id of an object that must exist.
    Ref(Kind),
    /// The user part of an address: no `@`, no blank.
    UserPart,
    /// Decimal digits kept as text.
    Digits,
    /// Keys of a telephone, and commas for pauses.
    Keys,
    /// A text with at most one `$index$` (6.4); may hold a user part, digits or a name.
    Template(TemplateOf),
    /// An address with a scheme.
    Url,
}

/// What the expansion of a bulk template must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateOf {
    UserPart,
    Digits,
    Name,
}

/// One attribute of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Canonical name.
    pub name: &'static str,
    /// Accepted values.
    pub ty: Type,
    /// Taken on creation.
    pub post: bool,
    /// Taken on modification.
    pub put: bool,
    /// Shown in lists.
    pub listed: bool,
    /// Shown in the single object.
    pub shown: bool,
    /// Shown as an empty element even when unset.
    pub always: bool,
    /// Must be given on creation.
    pub required: bool,
    /// Value when not given.
    pub default: Option<&'static str>,
    /// First version that knows it.
    pub since: Version,
    /// First version that no longer knows it.
    pub until: Version,
}

impl Field {
    const fn new(name: &'static str, ty: Type) -> Self {
        Self {
            name,
            ty,
            post: true,
            put: true,
            listed: false,
            shown: true,
            always: false,
            required: false,
            default: None,
            since: Version::FIRST,
            until: Version::NEVER,
        }
    }
    const fn listed(mut self) -> Self {
        self.listed = true;
        self
    }
    const fn always(mut self) -> Self {
        self.always = true;
        self
    }
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }
    const fn since(mut self, major: u8, minor: u8) -> Self {
        self.since = Version(major, minor);
        self
    }
    const fn until(mut self, major: u8, minor: u8) -> Self {
        self.until = Version(major, minor);
        self
    }
    /// Set by the server only.
    const fn read_only(mut self) -> Self {
        self.post = false;
        self.put = false;
        self
    }
    /// Cannot be changed later.
    const fn fixed(mut self) -> Self {
        self.put = false;
        self
    }
    /// Taken, never shown.
    const fn hidden(mut self) -> Self {
        self.shown = false;
        self
    }
    /// A command in a PUT rather than an attribute.
    const fn put_command(mut self) -> Self {
        self.post = false;
        self.shown = false;
        self
    }

    /// Whether a server of this version knows the attribute.
    pub fn known(&self, version: Version) -> bool {
        self.since <= version && version < self.until
    }
}

const fn text(name: &'static str) -> Field {
    Field::new(name, Type::Text(1024))
}
const fn name(name: &'static str) -> Field {
    Field::new(name, Type::Name)
}
const fn flag(name: &'static str) -> Field {
    Field::new(name, Type::Bool)
}
const fn number(name: &'static str) -> Field {
    Field::new(name, Type::Number(0, u64::MAX))
}
const fn between(name: &'static str, low: u64, high: u64) -> Field {
    Field::new(name, Type::Number(low, high))
}
const fn word(name: &'static str, words: &'static [&'static str]) -> Field {
    Field::new(name, Type::Word(words))
}
const fn reference(name: &'static str, kind: Kind) -> Field {
    Field::new(name, Type::Ref(kind))
}

/// A collection.
#[derive(Debug)]
pub struct Spec {
    /// Path segment and list element.
    pub plural: &'static str,
    /// Element of one object.
    pub singular: &'static str,
    /// Error element for an unknown id.
    pub missing: &'static str,
    /// Attributes in the order in which replies show them.
    pub fields: &'static [Field],
    /// First version with this collection.
    pub since: Version,
    /// Whether POST, PUT and DELETE exist.
    pub post: bool,
    pub put: bool,
    pub delete: bool,
    /// Attributes that the `filter` parameter searches.
    pub filter: &'static [&'static str],
    /// Pairs of filter parameter and attribute, compared exactly.
    pub exact: &'static [(&'static str, &'static str)],
    /// `usageFilter` exists (all profile collections, 3.2).
    pub usage: bool,
}

impl Spec {
    const fn new(
        plural: &'static str,
        singular: &'static str,
        missing: &'static str,
        fields: &'static [Field],
    ) -> Self {
        Self {
            plural,
            singular,
            missing,
            fields,
            since: Version::FIRST,
            post: true,
            put: true,
            delete: true,
            filter: &[],
            exact: &[],
            usage: false,
        }
    }
    const fn since(mut self, major: u8, minor: u8) -> Self {
        self.since = Version(major, minor);
        self
    }
    const fn verbs(mut self, post: bool, put: bool, delete: bool) -> Self {
        self.post = post;
        self.put = put;
        self.delete = delete;
        self
    }
    const fn filter(mut self, fields: &'static [&'static str]) -> Self {
        self.filter = fields;
        self
    }
    const fn exact(mut self, pairs: &'static [(&'static str, &'static str)]) -> Self {
        self.exact = pairs;
        self
    }
    const fn profile(mut self) -> Self {
        self.usage = true;
        self
    }

    /// The attribute of this name, compared without regard to case (1.2).
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }
}

impl Kind {
    /// The table of this kind.
    pub fn spec(self) -> &'static Spec {
        match self {
            Self::CoSpace => &spaces::CO_SPACE,
            Self::AccessMethod => &spaces::ACCESS_METHOD,
            Self::CoSpaceUser => &spaces::CO_SPACE_USER,
            Self::BulkSet => &spaces::BULK_SET,
            Self::BulkSync => &spaces::BULK_SYNC,
            Self::CallProfile => &profiles::CALL_PROFILE,
            Self::CallLegProfile => &profiles::CALL_LEG_PROFILE,
            Self::CallBrandingProfile => &profiles::CALL_BRANDING_PROFILE,
            Self::IvrBrandingProfile => &profiles::IVR_BRANDING_PROFILE,
            Self::DtmfProfile => &profiles::DTMF_PROFILE,
            Self::UserProfile => &profiles::USER_PROFILE,
            Self::CompatibilityProfile => &profiles::COMPATIBILITY_PROFILE,
            Self::DialInSecurityProfile => &profiles::DIAL_IN_SECURITY_PROFILE,
            Self::WebBridgeProfile => &profiles::WEB_BRIDGE_PROFILE,
            Self::CallBridge => &cluster::CALL_BRIDGE,
            Self::CallBridgeGroup => &cluster::CALL_BRIDGE_GROUP,
            Self::Tenant => &cluster::TENANT,
            Self::TenantGroup => &cluster::TENANT_GROUP,
            Self::User => &cluster::USER,
            Self::OutboundRule => &cluster::OUTBOUND_RULE,
            Self::InboundRule => &cluster::INBOUND_RULE,
            Self::ForwardingRule => &cluster::FORWARDING_RULE,
            Self::WebBridge => &cluster::WEB_BRIDGE,
            Self::CdrReceiver => &cluster::CDR_RECEIVER,
        }
    }

    /// The Location of an object of this kind.
    pub fn location(self, parent: Option<&Id>, id: &Id) -> String {
        let plural = self.spec().plural;
        match (self, parent) {
            (Self::AccessMethod | Self::CoSpaceUser, Some(space)) => {
                format!("/api/v1/coSpaces/{space}/{plural}/{id}")
            }
            (Self::CdrReceiver, _) => format!("/api/v1/system/{plural}/{id}"),
            _ => format!("/api/v1/{plural}/{id}"),
        }
    }
}

pub use cluster::{CLUSTER_CONFIGURATION, SYSTEM_PROFILES};
pub use profiles::LEG_FIELDS;
pub use spaces::{CALL_FIELDS, LEG_OWN_FIELDS, PARTICIPANT_FIELDS};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(Version::parse("2.0(RC)"), Some(Version(2, 0)));
        assert_eq!(Version::parse("2.6.1"), Some(Version(2, 6)));
        assert_eq!(Version::parse("3"), Some(Version(3, 0)));
        assert_eq!(Version::parse("beta"), None);
        assert!(Version(2, 10) > Version(2, 9));
    }

    #[test]
    fn tables_have_no_double_names() {
        for kind in TOP_LEVEL {
            let spec = kind.spec();
            for (i, field) in spec.fields.iter().enumerate() {
                assert!(
                    !spec.fields[..i].iter().any(|f| f.name.eq_ignore_ascii_case(field.name)),
                    "{} twice in {}",
                    field.name,
                    spec.plural
                );
            }
        }
    }
}
