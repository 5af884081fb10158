//! What stands in a meeting's way, as its conditions tell it, and how long that is waited for. PURE.

use super::progress::{Problem, Progress};
use super::step::Part;
use crate::api::conditions::meeting as reason;
use crate::cms::{CmsError, ErrorClass};
use crate::plan::verdict::Pause;

impl Progress {
    /// Notes what failed, for conditions and the pause.
    pub(super) fn fail(&mut self, part: Part, error: CmsError) {
        let (reason, is_permanent) = match error.class() {
            _ if matches!(error, CmsError::PasscodeTooShort) => (reason::PASSCODE_REJECTED, true),
            ErrorClass::Invalid if is_about_passcode(&error) => (reason::PASSCODE_REJECTED, true),
            ErrorClass::Invalid | ErrorClass::Conflict => (reason::REJECTED, true),
            ErrorClass::NotFound => (reason::SPACE_MISSING, false),
            ErrorClass::Busy => (reason::BUSY, false),
            ErrorClass::Unreachable | ErrorClass::Auth | ErrorClass::Malformed | ErrorClass::Blocked => {
                (reason::BRIDGE_UNREACHABLE, false)
            }
        };
        self.problem = Some(Problem { part, reason, message: error.to_string(), is_permanent });
        self.pause = Some(Pause::Failed(error));
    }

    /// The join details could not be written. Until they are, they do not count as there.
    pub fn details_unwritten(&mut self, why: Problem) {
        self.unwritten = Some(why);
        self.draft.join_secret_name = None;
        self.pause = Some(Pause::Unwritten);
    }

    /// Is what lets people in nowhere but in memory? Then the door stays shut: who restarts now would make it anew.
    pub(super) fn lacks_details(&self) -> bool {
        self.unwritten.is_some() && !self.secrets_stored
    }

    /// There is no connection to the bridge, or not even an object that tells of it.
    pub fn not_connected(&mut self, has_bridge: bool) {
        let message = if has_bridge {
            "there is no connection to the bridge; see the conditions of the MeetingBridge"
        } else {
            "its MeetingBridge does not exist any more, so nobody looks after the meeting; create it again"
        };
        let (part, reason) = (Part::Door, reason::BRIDGE_UNREACHABLE);
        self.problem = Some(Problem { part, reason, message: message.to_owned(), is_permanent: false });
        self.pause = Some(Pause::NotConnected);
    }
}

fn is_about_passcode(error: &CmsError) -> bool {
    matches!(error, CmsError::ParameterError { parameter, .. } if parameter.eq_ignore_ascii_case("passcode"))
}
