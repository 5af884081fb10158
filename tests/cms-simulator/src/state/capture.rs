//! Recording and streaming of calls, as the call profile of the space says (cms-protocol.md 5.1, 7.1).

use super::Cluster;
use super::bridge::Call;
use crate::refusal::Refusal;
use crate::schema::Kind;

/// What a call can be captured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    Recording,
    Streaming,
}

impl Capture {
    /// Of an attribute of a call, if it is one of these.
    pub fn of(field: &str) -> Option<Self> {
        match field {
            "recording" => Some(Self::Recording),
            "streaming" => Some(Self::Streaming),
            _ => None,
        }
    }

    /// The read-only attribute that tells whether it runs.
    pub fn status(self) -> &'static str {
        match self {
            Self::Recording => "recordingStatus",
            Self::Streaming => "streamingStatus",
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Streaming => "streaming",
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Self::Recording => "recordingMode",
            Self::Streaming => "streamingMode",
        }
    }

    fn refusal(self) -> Refusal {
        Refusal::Rule(match self {
            Self::Recording => "callRecordingCannotBeModified",
            Self::Streaming => "callStreamingCannotBeModified",
        })
    }
}

impl Cluster {
    /// The call profile that rules the calls on a space: the most specific one.
    pub fn call_profile_of(&self, space: Option<&str>) -> Option<&str> {
        let tenant = self.db.value(Kind::CoSpace, space, "tenant");
        self.db
            .value(Kind::CoSpace, space, "callProfile")
            .or_else(|| self.db.value(Kind::Tenant, tenant, "callProfile"))
            .or_else(|| self.db.system_profiles.get("callProfile"))
    }

    fn mode(&self, space: Option<&str>, what: Capture) -> &str {
        self.db.value(Kind::CallProfile, self.call_profile_of(space), what.mode()).unwrap_or("manual")
    }

    /// Does it run? Automatic: as long as somebody is in.
    pub fn is_captured(&self, call: &Call, what: Capture) -> bool {
        match self.mode(call.space.as_deref(), what) {
            "automatic" => self.people_in(&call.correlator) > 0,
            "disabled" => false,
            _ => call.fields.is_true(what.attribute()),
        }
    }

    /// May somebody start or stop it by the API? That it can only be done by hand where the mode is manual is a choice;
    /// what is documented is the error (3.4).
    pub fn check_capture(
        &self,
        space: Option<&str>,
        what: Capture,
        (runs, wanted): (bool, bool),
    ) -> Result<(), Refusal> {
        if runs == wanted || self.mode(space, what) == "manual" { Ok(()) } else { Err(what.refusal()) }
    }
}
