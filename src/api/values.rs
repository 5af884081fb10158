//! Value types shared by the kinds: instants, local times and spans, with the schema that the apiserver checks.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the apiserver lets through as `date-time` but no clock can mean (`+99:99`, `10:00:00x5Z`, the last day of 9999)
/// would be stored and could then not be read by the controller. Years 1000 to 2999 are more than anybody books.
const INSTANT: &str = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";

/// The digits are limited because kube's duration type panics on what overflows it (a backoff of 10^25 hours), and so
/// that the longest text still fits the 292 years of CEL's duration.
const SPAN: &str = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s)|[0-9]{1,5}(\.[0-9]{1,9})?(m|h))+$";

/// A moment, RFC 3339 with any offset on input, UTC on output, with no more digits than it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub Timestamp);

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "maxLength": 40, "pattern": INSTANT, "example": "2026-11-23T10:00:00+01:00" })
    }
}

impl Instant {
    /// To the millisecond, for moments that people read and nothing compares.
    pub fn shown(at: Timestamp) -> Self {
        Self(Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at))
    }
}

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A date and time of day without a zone, to the second, in one spelling only: it is the key of lists. Only days that there
/// are, leap days included: what is stored must be readable.
const LOCAL_TIME: &str = r"^((19[7-9][0-9]|2[0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|(19(7[26]|8[048]|9[26])|(2[0-9])(0[48]|[2468][048]|[13579][26])|2[048]00)-02-29)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$";

/// A date and time as clocks on the wall show it; which moment that is depends on a zone. Years 1970 to 2999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalTime(pub DateTime);

impl JsonSchema for LocalTime {
    fn schema_name() -> Cow<'static, str> {
        "LocalTime".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 19, "pattern": LOCAL_TIME, "example": "2026-12-07T09:00:00" })
    }
}

impl std::fmt::Display for LocalTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time such as `45m`, `1h30m` or `20s`: kube's own duration type with a schema that rejects anything else
/// at admission (negative spans, and numbers without unit, included).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub kube::core::Duration);

impl Span {
    /// A span of whole seconds.
    pub fn from_secs(secs: u64) -> Self {
        Self(std::time::Duration::from_secs(secs).into())
    }

    /// As std duration; the schema excludes negative spans, a negative one in an old object counts as zero.
    pub fn get(self) -> std::time::Duration {
        if self.0.is_negative() { std::time::Duration::ZERO } else { self.0.into() }
    }

    /// As jiff duration, for arithmetic with instants.
    pub fn signed(self) -> SignedDuration {
        SignedDuration::try_from(self.get()).unwrap_or(SignedDuration::MAX)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 32, "pattern": SPAN, "example": "45m" })
    }
}

#[cfg(test)]
mod tests;
