//! The warning before the end of a meeting, as a user spells it and as the status tells of it. No I/O.

use jiff::SignedDuration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Instant;

/// Where the number of minutes stands in the text.
const MINUTES: &str = "{minutes}";

/// What everybody in a meeting reads on the screen shortly before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndWarning {
    /// So many minutes before the end, each once. An empty list: no warning.
    #[serde(default = "minutes_before")]
    #[schemars(length(max = 4), inner(range(min = 1, max = 60)))]
    #[x_kube(validation = Rule::new("self.all(m, self.exists_one(n, n == m))")
        .message("minutesBefore must not name a number twice"))]
    pub minutes_before: Vec<u32>,
    /// The text; `{minutes}` becomes the number of minutes that are left.
    #[serde(default = "text")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new(r"!self.matches('[\\x00-\\x1f\\x7f]')")
        .message("text must not contain control characters"))]
    pub text: String,
    /// Where on the screen it is shown.
    #[serde(default)]
    pub position: WarningPosition,
    /// So long it is shown. A minute at most, since then it is not true any more.
    #[serde(default = "duration_seconds")]
    #[schemars(range(min = 5, max = 60))]
    pub duration_seconds: u32,
}

/// Where on the screen a warning is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WarningPosition {
    Top,
    #[default]
    Middle,
    Bottom,
}

fn minutes_before() -> Vec<u32> {
    vec![5, 1]
}

fn text() -> String {
    format!("This meeting ends in {MINUTES} min.")
}

fn duration_seconds() -> u32 {
    30
}

impl WarningPosition {
    /// As the bridge calls it.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::Middle => "middle",
            Self::Bottom => "bottom",
        }
    }
}

impl EndWarning {
    /// The text with so many minutes in it.
    pub fn text_with(&self, minutes: u32) -> String {
        self.text.replace(MINUTES, &minutes.to_string())
    }

    /// How long it stays on the screen.
    pub fn length(&self) -> SignedDuration {
        SignedDuration::from_secs(self.duration_seconds.into())
    }
}

/// The warning that is done with last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndWarningStatus {
    /// The end that it is about.
    pub end: Instant,
    /// So many minutes before it. Those for more minutes are done with as well.
    pub minutes: u32,
    /// When it was shown, at least in one call of the meeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<Instant>,
    /// Why it was not shown, or not everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub failed: Option<String>,
}
