//! MeetingSeries: a meeting that repeats (docs/api.md). Each of its occurrences is a ScheduledMeeting of its own.

// Each printcolumn has a type and a priority of its own; the lint takes them for repetitions.
#![allow(clippy::duplicated_attributes)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::condition::Condition;
use super::meeting::{ParticipantSpec, ScheduledMeetingSpec};
use super::values::{Instant, LocalTime, Span};
use super::weekdays::{DayRule, WeekDay};
use super::{Compact, is_unjudged};

/// Most occurrences that a status lists, as the schema has it.
pub const MOST_OCCURRENCES: usize = 400;

/// Most exceptions whose occurrence does not exist that a status lists.
pub const MOST_UNMATCHED: usize = 32;

/// A meeting that repeats by a rule, at the same time of day in its zone.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "meeting-controller.dev",
    version = "v1alpha1",
    kind = "MeetingSeries",
    plural = "meetingseries",
    shortname = "mts",
    category = "meetings",
    namespaced,
    cel,
    derive = "PartialEq",
    status = "MeetingSeriesStatus",
    doc = "MeetingSeries is a meeting that repeats; its next occurrences are ScheduledMeetings that it owns.",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".status.schedule"),
    printcolumn(name = "TimeZone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.next.start"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Local", type_ = "string", json_path = ".status.next.localStart", priority = 1),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.recurrence.until) || self.recurrence.until >= self.start")
        .message("recurrence.until must not be before start")
)]
pub struct MeetingSeriesSpec {
    /// Where the series begins, as clocks in its zone show it, without offset. The first occurrence is on the first day
    /// from there on that the rule names; all begin at this time of day.
    pub start: LocalTime,

    /// IANA name of the time zone, such as Europe/Berlin. The zone data are in the controller.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+/-]+$"), example = "Europe/Berlin")]
    pub time_zone: String,

    /// Length of each occurrence.
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('168h')")
        .message("duration must be more than zero and at most 168h"))]
    pub duration: Span,

    /// On which days there is an occurrence.
    pub recurrence: RecurrenceSpec,

    /// What each occurrence is: a ScheduledMeeting like this.
    pub template: MeetingTemplate,

    // The apiserver reckons what the rules of their participants may cost at most, and that has a limit.
    /// Single occurrences that are not as the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["occurrence".into()]))]
    pub exceptions: Vec<ExceptionSpec>,

    /// So long ahead occurrences are made and booked, 30 days if nothing is said, and up to an hour longer.
    #[serde(default = "horizon")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1h') && duration(self) <= duration('8784h')")
        .message("horizon must be between 1h and 8784h"))]
    pub horizon: Span,

    /// So many occurrences at most are there ahead.
    #[serde(default = "max_ahead")]
    #[schemars(range(min = 1, max = 200))]
    pub max_ahead: u32,

    /// So many occurrences that are over are kept; older ones are deleted.
    #[serde(default = "history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub history_limit: u32,

    /// No occurrence is made, changed or deleted while true; those that are there go on. Later nothing is made up for.
    #[serde(default)]
    pub suspend: bool,
}

fn horizon() -> Span {
    Span::from_secs(30 * 24 * 3600)
}
fn max_ahead() -> u32 {
    60
}
fn history_limit() -> u32 {
    3
}

/// The parts of a recurrence rule of RFC 5545. Without the parts that name days, the day of `start` is meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.count) && has(self.until))").message("count and until exclude each other"),
    validation = Rule::new("self.frequency in ['Monthly', 'Yearly'] || !has(self.byDay) || self.byDay.all(d, d.matches('^[A-Z]{2}$'))")
        .message("a number before a weekday needs frequency Monthly or Yearly"),
    validation = Rule::new("self.frequency != 'Monthly' || !has(self.byDay) || self.byDay.all(d, d.matches('^([+-]?[1-5])?[A-Z]{2}$'))")
        .message("a month has at most five of a weekday"),
    validation = Rule::new("self.frequency != 'Weekly' || !has(self.byMonthDay) || size(self.byMonthDay) == 0")
        .message("byMonthDay does not go with frequency Weekly"),
    validation = Rule::new("!has(self.bySetPos) || size(self.bySetPos) == 0 || (has(self.byDay) && size(self.byDay) > 0) || (has(self.byMonthDay) && size(self.byMonthDay) > 0) || (has(self.byMonth) && size(self.byMonth) > 0)")
        .message("bySetPos needs byDay, byMonthDay or byMonth")
)]
pub struct RecurrenceSpec {
    /// What `interval` counts: days, weeks, months or years.
    pub frequency: Frequency,
    /// Every so many days, weeks, months or years, counted from `start`.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub interval: u32,
    /// Weekdays: MO, TU, WE, TH, FR, SA, SU. With Monthly and Yearly a number may stand before: 1MO is the first Monday
    /// of the month (with Yearly and without byMonth: of the year), -1FR the last Friday.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60))]
    pub by_day: Vec<DayRule>,
    /// Days of the month, 1 to 31; -1 is the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 62), inner(range(min = -31, max = 31)))]
    #[x_kube(validation = Rule::new("self.all(d, d != 0)").message("byMonthDay must not be 0"))]
    pub by_month_day: Vec<i8>,
    /// Only in these months, 1 to 12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), inner(range(min = 1, max = 12)))]
    pub by_month: Vec<i8>,
    /// Of the days that the other parts name in each week, month or year only these: 1 is the first, -1 the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60), inner(range(min = -366, max = 366)))]
    #[x_kube(validation = Rule::new("self.all(d, d != 0)").message("bySetPos must not be 0"))]
    pub by_set_pos: Vec<i16>,
    /// The day on which a week begins; matters for every second (third, ...) week.
    #[serde(default)]
    pub week_start: WeekDay,
    /// So many occurrences, from the first one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub count: Option<u32>,
    /// The last occurrence begins at this local time or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<LocalTime>,
}

fn one() -> u32 {
    1
}

/// What the interval of a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// What each occurrence is: a ScheduledMeeting like this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeetingTemplate {
    /// Labels and annotations of the occurrences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// As the spec of a ScheduledMeeting, without start, end and duration.
    pub spec: TemplateSpec,
}

/// Labels and annotations of the occurrences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateMetadata {
    /// Labels of each occurrence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of each occurrence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The spec of a ScheduledMeeting without its time. It is that very type, so that the two cannot drift apart: what is new
/// in a meeting can be said in a template.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateSpec(ScheduledMeetingSpec);

/// What the rule says, so that no template can.
const TIMES: [&str; 3] = ["start", "end", "duration"];

impl TemplateSpec {
    /// The meeting at this time.
    pub fn at(&self, start: Instant, duration: Span) -> ScheduledMeetingSpec {
        ScheduledMeetingSpec { start, end: None, duration: Some(duration), ..self.0.clone() }
    }
}

impl Serialize for TemplateSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let mut whole = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        if let Some(fields) = whole.as_object_mut() {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
        }
        whole.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TemplateSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::<String, Value>::deserialize(deserializer)?;
        fields.retain(|name, _| !TIMES.contains(&name.as_str()));
        // Any: each occurrence gets its own.
        fields.insert("start".to_owned(), "1970-01-01T00:00:00Z".into());
        serde_json::from_value(Value::Object(fields)).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for TemplateSpec {
    fn schema_name() -> Cow<'static, str> {
        "TemplateSpec".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ScheduledMeetingSpec::json_schema(generator);
        schema.remove("description");
        let of_time = |text: &str| TIMES.iter().any(|name| text.contains(&format!("self.{name}")));
        if let Some(Value::Object(fields)) = schema.get_mut("properties") {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
        }
        if let Some(Value::Array(names)) = schema.get_mut("required") {
            names.retain(|name| !name.as_str().is_some_and(|name| TIMES.contains(&name)));
        }
        if let Some(Value::Array(rules)) = schema.get_mut("x-kubernetes-validations") {
            rules.retain(|rule| !rule.get("rule").and_then(Value::as_str).is_some_and(of_time));
        }
        schema
    }
}

/// One occurrence that is not as the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!(has(self.skip) && self.skip) || !(has(self.start) || has(self.duration) || has(self.title) || has(self.participants))")
        .message("an occurrence that is skipped has no start, duration, title or participants"),
    validation = Rule::new("(has(self.skip) && self.skip) || has(self.start) || has(self.duration) || has(self.title) || has(self.participants)")
        .message("an exception says skip, start, duration, title or participants")
)]
pub struct ExceptionSpec {
    /// The occurrence, by the local time at which the rule has it.
    pub occurrence: LocalTime,
    /// This occurrence does not take place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
    /// It begins at this local time instead. It keeps its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<LocalTime>,
    /// It has this length instead of that of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('168h')")
        .message("duration must be more than zero and at most 168h"))]
    pub duration: Option<Span>,
    /// It has this title instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new(r"!self.matches('[\\x00-\\x1f\\x7f]')")
        .message("title must not contain control characters"))]
    pub title: Option<String>,
    /// It has these participants instead of those of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["remoteParty".into()]))]
    pub participants: Option<Vec<ParticipantSpec>>,
}

/// What is known of the series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeetingSeriesStatus {
    /// The generation this status judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One entry per aspect; the reasons are listed in crds/reference.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), with = "Vec<v1::Condition>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The rule in words, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The occurrence that begins next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextOccurrence>,
    /// The occurrences within the horizon that are not over, and those that somebody edited or deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 400))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["occurrence".into()]))]
    pub occurrences: Vec<OccurrenceStatus>,
    /// Exceptions for occurrences that the rule does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub unmatched_exceptions: Vec<LocalTime>,
    /// Value of the annotation meeting-controller.dev/reconcile-requested-at that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// The occurrence that begins next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextOccurrence {
    /// Name of its ScheduledMeeting.
    pub name: String,
    /// The instant at which it begins.
    pub start: Instant,
    /// What clocks in the zone show then.
    pub local_start: LocalTime,
}

/// One occurrence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OccurrenceStatus {
    /// The local time at which the rule has it.
    pub occurrence: LocalTime,
    /// Name of its ScheduledMeeting.
    pub name: String,
    /// The instant at which it begins.
    pub start: Instant,
    /// What clocks in the zone show then, if it was moved or clocks leave its time out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_start: Option<LocalTime>,
    /// Created: as the series wants it. Edited: somebody edited it, it is left so. Refused: no slot, for example; it
    /// tries again. Deleted: by somebody; not made again. Skipped: by an exception. NameTaken: the name is somebody
    /// else's. NotCreated: the apiserver refuses it.
    pub state: OccurrenceState,
    /// Why it was refused or could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum OccurrenceState {
    /// Its ScheduledMeeting is there, as the series wants it; or it has begun and is left alone.
    Created,
    /// Somebody edited its spec: it is left as it is.
    Edited,
    /// Its ScheduledMeeting is refused: no free slot, for example. It tries again by itself.
    Refused,
    /// Somebody deleted it: it is not made again.
    Deleted,
    /// An exception leaves it out.
    Skipped,
    /// A ScheduledMeeting of that name is somebody else's. It is not touched.
    NameTaken,
    /// The apiserver refuses to let it be made or changed.
    NotCreated,
}

impl OccurrenceState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Created, Self::Edited, Self::Refused, Self::Deleted, Self::Skipped, Self::NameTaken, Self::NotCreated];

    /// As it is written in a status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Edited => "Edited",
            Self::Refused => "Refused",
            Self::Deleted => "Deleted",
            Self::Skipped => "Skipped",
            Self::NameTaken => "NameTaken",
            Self::NotCreated => "NotCreated",
        }
    }

    /// Was its ScheduledMeeting made once?
    pub fn was_made(self) -> bool {
        matches!(self, Self::Created | Self::Edited | Self::Refused | Self::Deleted)
    }
}

impl Compact for MeetingSeries {
    fn compact(&mut self) {
        self.spec.exceptions.shrink_to_fit();
        self.status.take_if(|status| is_unjudged(status.observed_generation));
        if let Some(status) = &mut self.status {
            status.conditions.shrink_to_fit();
            status.occurrences.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
