//! What looks at spaces have shown of a bridge: which fields it shows at all.

use crate::api::settings::ProfileKind;
use crate::cms::Space;

/// Which fields of a space some look has shown. Some bridges never show this or that; on one that does, a space that shows
/// none has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownFields {
    pub call_profile: bool,
    pub call_leg_profile: bool,
    pub passcode: bool,
    pub secret: bool,
    pub mark: bool,
    /// That a space is shut. Then a reply that does not say so is no word of a shut one: some bridges leave out
    /// `nonMemberAccess` where it is true, which is its default.
    pub shut: bool,
    /// No look ever showed a passcode, although one was written again and again.
    pub hides_passcode: bool,
}

impl ShownFields {
    /// Has a look shown a profile of this kind?
    pub fn has_profile(&self, kind: ProfileKind) -> bool {
        match kind {
            ProfileKind::Call => self.call_profile,
            ProfileKind::CallLeg => self.call_leg_profile,
        }
    }

    pub(super) fn see(&mut self, space: &Space) {
        self.call_profile |= space.call_profile.is_some();
        self.call_leg_profile |= space.call_leg_profile.is_some();
        self.passcode |= space.passcode.is_some();
        self.secret |= space.secret.is_some();
        self.mark |= space.cdr_tag.is_some();
        self.shut |= space.non_member_access == Some(false);
    }

    /// Is this space open, as a look at it alone shows it?
    pub fn is_open(&self, space: &Space) -> bool {
        space.non_member_access.unwrap_or(self.shut)
    }
}
