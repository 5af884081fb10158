//! What is told of the warning before the end.

use super::Judged;
use crate::api::conditions::{meeting as reason, types};
use crate::api::warning::EndWarningStatus;
use crate::status::Conditions;

/// Only where somebody is to be warned, or was.
pub(super) fn tell(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    let terms = &judged.progress.terms;
    let mut set = |value, reason: &str, message: String| {
        conditions.set(types::END_WARNED, Some(value), reason, message);
    };
    if let Some(done) = &judged.draft.end_warning {
        let EndWarningStatus { end, minutes, shown_at, failed } = done;
        let which = format!("{minutes} min before the end at {end}");
        match (shown_at, failed) {
            (Some(_), None) => return set(true, "Shown", format!("warned {which}")),
            (None, Some(why)) => {
                let message = format!("the warning {which} was not shown: {why}");
                return set(false, reason::WARNING_NOT_SHOWN, message);
            }
            (Some(_), Some(why)) => {
                let message = format!("the warning {which} was not shown in every call: {why}");
                return set(false, reason::WARNING_NOT_SHOWN, message);
            }
            (None, None) => {}
        }
    } else if !terms.is_warning_asked() {
        return;
    }
    if judged.phase.is_over() {
        set(false, reason::CLOSED, "the meeting is over, and there was no time for a warning".into());
    } else if terms.lacks_messages() {
        let version = terms.software_version.as_deref().unwrap_or_default();
        set(false, reason::UNSUPPORTED_SETTING, format!("CMS {version} does not know: endWarning"));
    } else {
        set(false, reason::NOT_YET, "the warning is shown shortly before the end".into());
    }
}
