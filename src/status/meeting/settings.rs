//! What is told of the settings of a meeting.

use super::Judged;
use crate::api::conditions::{meeting as reason, types};
use crate::api::meeting::Phase;
use crate::api::settings::MeetingSettings;
use crate::plan::meeting::{Made, SettingsTerms};
use crate::plan::window::Stage;
use crate::status::Conditions;

/// A profile is not made, and not because of the bridge.
pub(super) const NO_ROOM: &str = "this MeetingBridge has as many profiles for settings as it may have \
                                  (status.settingsProfiles), so the one for this meeting is not made before others are \
                                  not wanted any more";

/// Is there no room for one of the profiles?
pub(super) fn lacks_room(judged: &Judged<'_>) -> bool {
    judged.progress.terms.settings.as_ref().is_some_and(|terms| terms.lacks_room)
}

/// Why a door stays shut for the sake of a setting.
pub(super) fn missing(judged: &Judged<'_>) -> String {
    let terms = judged.progress.terms.settings.as_ref();
    let refused = terms.and_then(refused_profile);
    if refused.is_none()
        && let Some(why) = judged.progress.unguarded()
    {
        return format!("nobody is let in by the profiles of the MeetingBridge: {why}");
    }
    let why = refused.unwrap_or_else(|| {
        let why = if lacks_room(judged) { NO_ROOM } else { "its profile is not on the bridge yet" };
        why.to_owned()
    });
    format!(
        "encryption Required, recording or streaming Off, or a host for whom guests wait, is asked for, and {why}; nobody is let in before it is there"
    )
}

/// Why the bridge refuses a profile, if it does.
fn refused_profile(terms: &SettingsTerms) -> Option<String> {
    [&terms.call, &terms.call_leg].into_iter().find_map(|made| match made {
        Made::Refused(why) => Some(format!("the bridge refuses the profile: {why}")),
        Made::NotWanted | Made::Pending | Made::There(_) => None,
    })
}

/// Only where settings are asked for, or were, or the bridge does not know what is said of participants.
pub(super) fn tell(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    let is_asked =
        judged.progress.terms.spec.settings.as_ref().is_some_and(|asked| *asked != MeetingSettings::default());
    let terms = judged.progress.terms.settings.as_ref();
    let mut unsupported = terms.map(|terms| terms.unsupported.clone()).unwrap_or_default();
    unsupported.extend(judged.progress.terms.unsupported_of_participants());
    unsupported.extend(judged.progress.is_any_layout_refused().then_some("participants.layout"));
    let bare = terms.and_then(|terms| terms.bare.as_ref());
    let has_some = is_asked || judged.draft.settings.is_some();
    if !has_some && unsupported.is_empty() && bare.is_none() {
        return;
    }
    let mut set = |value, reason: &str, message: &str| {
        conditions.set(types::SETTINGS_APPLIED, value, reason, message);
    };
    if let Some(why) = &judged.left_behind {
        return set(None, reason::LEFT_BEHIND, why);
    }
    let only =
        |why| format!("the bridge refuses the profile: {why}; what keeps people out is applied, the rest is not");
    let refused = terms.and_then(refused_profile).or_else(|| bare.map(only));
    let version = judged.progress.terms.software_version.as_deref().unwrap_or_default();
    match judged.phase {
        Phase::Ended | Phase::Missed => set(Some(false), reason::CLOSED, "the meeting is over"),
        _ if refused.is_some() => set(Some(false), reason::SETTINGS_REFUSED, &refused.unwrap_or_default()),
        _ if judged.draft.opened_at.is_none() && judged.stage < Stage::Inside && unsupported.is_empty() => {
            set(Some(false), reason::NOT_YET, "they are applied with the opening of the door");
        }
        _ if has_some && judged.draft.opened_at.is_some() && !judged.progress.has_settings_applied() => {
            let why = if lacks_room(judged) { NO_ROOM } else { "the profiles are not there yet" };
            let message = format!("{why}; until then the space has those of the bridge");
            set(Some(false), reason::SETTINGS_PENDING, &message);
        }
        _ if !unsupported.is_empty() => {
            let message = format!("CMS {version} does not know: {}", unsupported.join(", "));
            set(Some(false), reason::UNSUPPORTED_SETTING, &message);
        }
        _ if judged.draft.opened_at.is_none() => {
            let message = if lacks_room(judged) { NO_ROOM } else { "the door is not open yet" };
            set(Some(false), reason::SETTINGS_PENDING, message);
        }
        _ => set(Some(true), "Applied", "the space has the profiles for them"),
    }
}
