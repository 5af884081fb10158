//! Layouts of people who are dialled: a bridge that does not take one is sent none. Nobody stays away for how it looks. PURE.

use super::progress::Progress;
use crate::api::settings::Layout;
use crate::cms::CmsError;
use crate::plan::participants::LAYOUT_REFUSED;

/// Does the bridge mind the layout of a leg? One that does not say what it minds may.
fn is_about_layout(error: &CmsError) -> bool {
    let names =
        |parameter: &str| ["", "defaultLayout", "layout"].iter().any(|name| name.eq_ignore_ascii_case(parameter));
    matches!(error, CmsError::ParameterError { parameter, .. } if names(parameter))
}

impl Progress {
    fn layout_of(&self, party: &str) -> Option<Layout> {
        self.terms.spec.participants.iter().find(|participant| participant.remote_party == party)?.layout
    }

    /// Did the bridge refuse the layout of somebody, or of another one with the same? They are dialled without.
    pub fn is_layout_refused(&self, party: &str) -> bool {
        let Some(layout) = self.layout_of(party) else { return false };
        let mut refused =
            self.draft.participants.iter().filter(|status| status.reason.as_deref() == Some(LAYOUT_REFUSED));
        refused.any(|status| self.layout_of(&status.remote_party) == Some(layout))
    }

    /// Is somebody dialled without the layout that the spec says?
    pub fn is_any_layout_refused(&self) -> bool {
        self.terms.spec.participants.iter().any(|participant| self.is_layout_refused(&participant.remote_party))
    }

    /// A try to dial somebody was refused. True: it was for the layout, and they are dialled without.
    pub(super) fn refuse_layout(&mut self, party: &str, error: &CmsError) -> bool {
        if !is_about_layout(error) || self.layout_of(party).is_none() || self.is_layout_refused(party) {
            return false;
        }
        let status = self.draft.participants.iter_mut().find(|status| status.remote_party == party);
        status.map(|status| status.reason = Some(LAYOUT_REFUSED.to_owned())).is_some()
    }

    /// Whoever edits the meeting may have chosen another one.
    pub(super) fn forget_refused_layouts(&mut self) {
        let refused = self.draft.participants.iter_mut().map(|status| &mut status.reason);
        refused.for_each(|reason| drop(reason.take_if(|reason| reason == LAYOUT_REFUSED)));
    }
}
