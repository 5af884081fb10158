//! What is told of the access methods of a meeting.

use super::Judged;
use super::settings::{NO_ROOM, lacks_room};
use crate::api::conditions::{meeting as reason, types};
use crate::api::meeting::Phase;
use crate::plan::meeting::{Made, Obstacle, Part, SettingsTerms};
use crate::plan::window::Stage;
use crate::status::Conditions;

/// Why the passcode of the meeting, or of one of its access methods, cannot be had.
pub(super) fn no_passcode(judged: &Judged<'_>) -> String {
    let own = judged.progress.secrets.as_ref().is_some_and(|secrets| secrets.passcode.is_some());
    let whose = judged.progress.without_passcode().filter(|_| own);
    let what = whose.map_or_else(
        || "passcodeSecretRef".to_owned(),
        |name| format!("passcodeSecretRef of the access method {name}"),
    );
    format!(
        "the Secret of {what}, or its key, is missing or empty, or lacks the label meeting-controller.dev/use=passcode \
         where that is required; set it and the door opens"
    )
}

/// Two ways in that nobody could tell from each other.
pub(super) const PASSCODES_EQUAL: &str = "two ways into the meeting have the same passcode; give each access method one of \
                                          its own, other than that of the meeting";

/// The bridge is too old.
pub(super) fn unsupported(judged: &Judged<'_>) -> String {
    let version = judged.progress.terms.software_version.as_deref().unwrap_or_default();
    let door = if judged.progress.waits_for_host() {
        "; without a way in for hosts guests would not wait, so the door stays shut"
    } else {
        ""
    };
    format!("CMS {version} has no names for access methods, by which ours are told from others (2.9 has){door}")
}

/// Why the bridge refuses the profile of an access method, if it does.
fn refused_profile(terms: &SettingsTerms) -> Option<String> {
    terms.methods.iter().find_map(|(name, made)| match made {
        Made::Refused(why) => Some(format!("the bridge refuses the profile of the access method {name}: {why}")),
        Made::NotWanted | Made::Pending | Made::There(_) => None,
    })
}

/// What stands in the way of the access methods: reason, message, and whether only a user can mend it.
fn trouble(judged: &Judged<'_>) -> Option<(&'static str, String, bool)> {
    let progress = judged.progress;
    if progress.lacks_access_methods() {
        return Some((reason::ACCESS_UNSUPPORTED, unsupported(judged), true));
    }
    let obstacle = progress.access_obstacle().filter(|_| judged.stage != Stage::Before);
    match obstacle {
        Some(Obstacle::PasscodesEqual) => return Some((reason::PASSCODES_EQUAL, PASSCODES_EQUAL.to_owned(), true)),
        Some(_) => return Some((reason::PASSCODE_UNAVAILABLE, no_passcode(judged), true)),
        None => {}
    }
    if let Some(why) = progress.terms.settings.as_ref().and_then(refused_profile) {
        return Some((reason::ACCESS_REFUSED, why, true));
    }
    if let Some(name) = progress.taken_methods.first() {
        let message = format!("another access method of this slot has the passcode of {name}; give it another one");
        return Some((reason::ACCESS_REFUSED, message, true));
    }
    if let Some(name) = progress.given_up_method(judged.now) {
        let message = format!(
            "somebody deletes the access method {name} on the bridge again and again; stop that, then edit this object, or it \
             is made again after 30 minutes"
        );
        return Some((reason::TUG_OF_WAR, message, true));
    }
    let problem = progress.problem.as_ref().filter(|problem| problem.part == Part::Access)?;
    let reason = if problem.is_permanent { reason::ACCESS_REFUSED } else { reason::ACCESS_PENDING };
    Some((reason, problem.message.clone(), problem.is_permanent))
}

/// What keeps a meeting from being as it should be, for the sake of its access methods. Before its time only what will
/// not come right by itself counts.
pub(super) fn unready(judged: &Judged<'_>) -> Option<(&'static str, String, bool)> {
    let (spec, known) = (&judged.progress.terms.spec.access_methods, &judged.draft.access_methods);
    if spec.is_empty() && known.is_empty() {
        return None;
    }
    if judged.draft.opened_at.is_none() {
        let is_shut = judged.progress.lacks_access_methods() && judged.progress.waits_for_host();
        return is_shut.then(|| (reason::ACCESS_UNSUPPORTED, unsupported(judged), true));
    }
    trouble(judged).or_else(|| {
        let pending = (reason::ACCESS_PENDING, pending(judged), false);
        (!judged.progress.has_methods_applied()).then_some(pending)
    })
}

fn pending(judged: &Judged<'_>) -> String {
    let why = if lacks_room(judged) { NO_ROOM } else { "the access methods are being made" };
    format!("{why}; who knows only a passcode of theirs does not get in so far")
}

/// Only where there are access methods, or were.
pub(super) fn tell(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    if judged.progress.terms.spec.access_methods.is_empty() && judged.draft.access_methods.is_empty() {
        return;
    }
    let mut set = |value, reason: &str, message: &str| {
        conditions.set(types::ACCESS_METHODS_APPLIED, value, reason, message);
    };
    if let Some(why) = &judged.left_behind {
        return set(None, reason::LEFT_BEHIND, why);
    }
    if matches!(judged.phase, Phase::Ended | Phase::Missed) {
        return set(Some(false), reason::CLOSED, "the meeting is over");
    }
    if let Some((reason, message, _)) = trouble(judged) {
        return set(Some(false), reason, &message);
    }
    match judged.draft.opened_at {
        None => set(Some(false), reason::NOT_YET, "they are made right after the opening of the door"),
        Some(_) if judged.phase == Phase::Closing => {
            set(Some(false), reason::ACCESS_PENDING, "they are being taken away");
        }
        Some(_) if judged.progress.has_methods_applied() => set(Some(true), "Applied", "they are on the bridge"),
        Some(_) => set(Some(false), reason::ACCESS_PENDING, &pending(judged)),
    }
}
