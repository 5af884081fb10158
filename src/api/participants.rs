//! Participants of a meeting, as a user spells them and as the status tells of them. No I/O.

use jiff::SignedDuration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::Layout;
use super::values::{Instant, Span};

/// One system to dial, or that dials in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantSpec {
    /// SIP URI, number or user; unique within the meeting.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new(r"!self.matches('[\\x00-\\x20\\x7f]')")
        .message("remoteParty must not contain spaces or control characters"))]
    pub remote_party: String,
    /// Name for people. CMS 2.4 and later shows the first 50 bytes of it in the picture, as the label of who was dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub name: Option<String>,
    /// Keys that are pressed once the other side has answered: digits, `*`, `#`, and a comma for a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[0-9*#,]+$"))]
    pub dtmf: Option<String>,
    /// Screen layout that is sent to them at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Rank in layouts: who has a higher one is shown first. CMS 2.2 and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub importance: Option<u32>,
    /// Out: the bridge dials at start. In: they dial the slot's URI themselves.
    #[serde(default)]
    pub dial: Dial,
    /// Further tries when nobody answers.
    #[serde(default)]
    pub retry: RetrySpec,
}

/// What becomes of somebody who is taken out of the list while the meeting runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RemovedParticipants {
    /// They stay in.
    #[default]
    Leave,
    /// Their leg is ended.
    Disconnect,
}

/// Who dials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dial {
    #[default]
    Out,
    In,
}

/// Further tries for a participant who never connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(self.backoff) >= duration('5s')").message("retry.backoff must be at least 5s"))]
pub struct RetrySpec {
    /// Further tries after the first.
    #[serde(default = "retry_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub limit: u32,
    /// Wait before each further try, at least 5s.
    #[serde(default = "retry_backoff")]
    pub backoff: Span,
}

fn retry_limit() -> u32 {
    3
}
fn retry_backoff() -> Span {
    Span::from_secs(20)
}

impl RetrySpec {
    /// The wait, also where an older object asks for a shorter one than is allowed now.
    pub fn pause(&self) -> SignedDuration {
        self.backoff.signed().max(SignedDuration::from_secs(5))
    }
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self { limit: retry_limit(), backoff: retry_backoff() }
    }
}

/// One participant of the spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantStatus {
    /// Whom the spec names, by the same spelling.
    pub remote_party: String,
    /// Waiting: not dialled yet, for a further try, or to dial in. Ringing, Connected. Left: was in, and is not dialled
    /// again. Failed: every try did. NotDialed: the bridge may not. Removed: taken out of the spec.
    pub state: ParticipantState,
    /// How often they were dialled.
    #[serde(default)]
    pub attempts: u32,
    /// Id of their call leg on the bridge.
    #[serde(rename = "legID", default, skip_serializing_if = "Option::is_none")]
    pub leg_id: Option<String>,
    /// Tries in a row that rang nobody: the bridge refused them for now, or they were lost on the way. They do not count
    /// as attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub vain_tries: u32,
    /// Why, when Failed or NotDialed, or when the last try rang nobody. LayoutRefused: dialled without the layout that
    /// the spec says, because the bridge does not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When they were last dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Instant>,
    /// Call bridge that carried their leg when it was lost, as long as they may still be in through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_bridge: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde wants it.
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Where a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParticipantState {
    /// Not dialled yet, waiting for a further try, or expected to dial in.
    Waiting,
    /// Being dialled.
    Ringing,
    /// In the call.
    Connected,
    /// Was in the call and left; is not dialled again.
    Left,
    /// Every try failed.
    Failed,
    /// Dialling is switched off on the bridge.
    NotDialed,
    /// Taken out of the spec; their leg is being ended (removedParticipants: Disconnect).
    Removed,
}
