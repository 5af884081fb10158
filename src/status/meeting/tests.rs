//! State x obstacle x problem -> phase and conditions, each row through the status checker.

use super::*;
use crate::api::ScheduledMeeting;
use crate::api::marks::Marks;
use crate::api::repairs::Repairs;
use crate::api::settings::MeetingSettings;
use crate::cms::CmsError;
use crate::plan::booking::{Refusal, extension_conflict};
use crate::plan::meeting::{JoinSecrets, Made, MethodSecrets, Problem, SettingsTerms};
use crate::status::check::violations;

const HOUR: i64 = 3600;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

/// A meeting of an hour from `at(0)` on, with one participant to dial, whose status says this.
fn meeting(status: serde_json::Value) -> ScheduledMeeting {
    let mut full = serde_json::json!({
        "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 1, "spaceID": "s" },
        "window": { "opensAt": at(0).to_string(), "startsAt": at(0).to_string(), "closesAt": at(HOUR).to_string() }
    });
    full.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": "ns", "uid": "u", "generation": 3 },
        "spec": { "title": "t", "start": at(0).to_string(), "duration": "1h",
                  "participants": [{ "remoteParty": "desk@x" }] },
        "status": full
    }))
    .unwrap()
}

fn booked() -> serde_json::Value {
    serde_json::json!({ "phase": "Scheduled" })
}

fn unseen() -> serde_json::Value {
    serde_json::json!({ "phase": null, "slot": null, "bridge": null, "window": null, "observedGeneration": null })
}

fn refused() -> serde_json::Value {
    serde_json::json!({ "phase": "Pending", "slot": null, "bridge": null, "window": null,
                        "conditions": [{ "type": "Accepted", "status": "False", "reason": "NoFreeSlot", "message": "full",
                                         "lastTransitionTime": at(0).to_string() }] })
}

fn opening() -> serde_json::Value {
    serde_json::json!({ "phase": "Opening" })
}

fn active() -> serde_json::Value {
    serde_json::json!({ "phase": "Active", "openedAt": at(0).to_string(),
                        "call": { "id": "c", "callBridge": "cms:445" },
                        "participants": [{ "remoteParty": "desk@x", "state": "Connected", "attempts": 1 }] })
}

fn no_call() -> serde_json::Value {
    serde_json::json!({ "phase": "Active", "openedAt": at(0).to_string() })
}

fn given_up() -> serde_json::Value {
    serde_json::json!({ "phase": "Ended", "openedAt": at(0).to_string(),
                        "conditions": [{ "type": "SlotReleased", "status": "False", "reason": "LeftBehind",
                                         "message": "why", "lastTransitionTime": at(0).to_string() }] })
}

fn failed(part: Part, error: &CmsError, reason: &'static str, is_permanent: bool) -> Problem {
    Problem { part, reason, message: error.to_string(), is_permanent }
}

fn unwritten(reason: &'static str, is_permanent: bool) -> Problem {
    Problem { part: Part::Door, reason, message: "why".into(), is_permanent }
}

/// Others changed the open door again, after it was put back three times.
fn contested(progress: &mut Progress, shown: Shown) {
    let last_at = crate::api::values::Instant(at(50));
    progress.draft.door_repairs = Some(Repairs { count: 3, last_at, shown, by: Rival::Scheduler });
}

fn lost(progress: &mut Progress) {
    progress.lost_call_bridge = Some("cms:445".parse().unwrap());
}

/// What a row changes in the progress that its status is resumed to.
type Change = fn(&mut Progress);

struct Row {
    case: &'static str,
    from: fn() -> serde_json::Value,
    now: i64,
    change: Change,
    phase: Phase,
    /// Type, status and reason.
    wanted: &'static [(&'static str, &'static str, &'static str)],
}

const fn row(
    case: &'static str,
    from: fn() -> serde_json::Value,
    now: i64,
    change: Change,
    phase: Phase,
    wanted: &'static [(&'static str, &'static str, &'static str)],
) -> Row {
    Row { case, from, now, change, phase, wanted }
}

const NOTHING: Change = |_| {};

/// Before the door is open.
const BEFORE: &[Row] = &[
    row(
        "booked",
        booked,
        -99,
        NOTHING,
        Phase::Scheduled,
        &[("Ready", "True", "Scheduled"), ("SpaceOpen", "False", "NotYet"), ("SlotReserved", "True", "Reserved")],
    ),
    row(
        "refused",
        booked,
        -99,
        |p| p.refuse(Refusal { reason: reason::NO_FREE_SLOT, message: "full".into() }),
        Phase::Pending,
        &[("Ready", "False", "NoFreeSlot"), ("Stalled", "True", "NoFreeSlot"), ("Accepted", "False", "NoFreeSlot")],
    ),
    row(
        "no finalizer, nothing booked",
        booked,
        -99,
        |p| {
            p.draft.slot = None;
            p.untied = Some("policy".into());
            assert!(p.must_be_tied_first());
        },
        Phase::Pending,
        &[
            ("Ready", "False", "FinalizerRefused"),
            ("Stalled", "True", "FinalizerRefused"),
            ("Accepted", "False", "FinalizerRefused"),
        ],
    ),
    row(
        "no finalizer, but booked",
        booked,
        -99,
        |p| {
            p.untied = Some("policy".into());
            assert!(!p.must_be_tied_first());
        },
        Phase::Scheduled,
        &[("Ready", "False", "FinalizerRefused"), ("Accepted", "True", "Accepted")],
    ),
    row(
        "it cannot be read",
        booked,
        -99,
        |p| {
            p.draft.slot = None;
            p.terms.unreadable = Some("odd".into());
            assert!(p.must_be_read_first());
        },
        Phase::Pending,
        &[
            ("Ready", "False", "Unreadable"),
            ("Stalled", "True", "Unreadable"),
            ("Accepted", "False", "Unreadable"),
            ("ParticipantsDialed", "Unknown", "Unreadable"),
        ],
    ),
    row(
        "it is booked and cannot be read",
        booked,
        60,
        |p| {
            p.terms.unreadable = Some("odd".into());
            assert!(p.must_be_read_first());
        },
        Phase::Scheduled,
        &[("Ready", "False", "Unreadable"), ("SlotReserved", "True", "Reserved")],
    ),
    row(
        "its bridge comes later",
        booked,
        -99,
        |p| p.refuse(Refusal { reason: reason::BRIDGE_NOT_FOUND, message: "no".into() }),
        Phase::Pending,
        &[("Ready", "False", "BridgeNotFound"), ("Reconciling", "True", "Retrying")],
    ),
    row(
        "the slots are not known",
        booked,
        -5,
        |p| p.refusal = Some(Refusal { reason: reason::PROGRESSING, message: "wait".into() }),
        Phase::Pending,
        &[("Ready", "False", "Progressing"), ("Reconciling", "True", "Progressing")],
    ),
    row(
        "it is not known whether it may have what an edit asks for",
        booked,
        -99,
        |p| p.unmet = Some(Refusal { reason: reason::PROGRESSING, message: "wait".into() }),
        Phase::Scheduled,
        &[
            ("Ready", "False", "Progressing"),
            ("Reconciling", "True", "Progressing"),
            ("Accepted", "False", "Progressing"),
            ("SlotReserved", "True", "Reserved"),
        ],
    ),
    row(
        "the slots are being made",
        booked,
        -5,
        |p| p.obstacle = Some(Obstacle::SlotsPending),
        Phase::Scheduled,
        &[("Ready", "False", "Progressing"), ("Reconciling", "True", "Progressing"), ("SpaceOpen", "False", "NotYet")],
    ),
    row(
        "its bridge is being deleted, and it was shut",
        booked,
        5,
        |p| {
            p.terms.bridge_leaves = true;
            p.obstacle = Some(Obstacle::SlotsPending);
        },
        Phase::Scheduled,
        &[("Ready", "False", "BridgeNotFound"), ("SpaceOpen", "False", "NotYet")],
    ),
    row(
        "the space is missing",
        opening,
        5,
        |p| p.obstacle = Some(Obstacle::SpaceMissing),
        Phase::Opening,
        &[
            ("Ready", "False", "SpaceMissing"),
            ("Reconciling", "True", "Retrying"),
            ("SpaceOpen", "False", "SpaceMissing"),
        ],
    ),
    row(
        "the slot is somebody else's",
        opening,
        5,
        |p| p.obstacle = Some(Obstacle::Foreign),
        Phase::Opening,
        &[("Ready", "False", "SpaceMissing"), ("SpaceOpen", "False", "SpaceMissing")],
    ),
    row(
        "no passcode",
        booked,
        -5,
        |p| p.obstacle = Some(Obstacle::PasscodeUnavailable),
        Phase::Scheduled,
        &[("Ready", "False", "PasscodeUnavailable"), ("SpaceOpen", "False", "PasscodeUnavailable")],
    ),
    row(
        "its join Secret is somebody else's",
        booked,
        -99,
        |p| p.details_unwritten(unwritten(reason::JOIN_SECRET_CONFLICT, true)),
        Phase::Scheduled,
        &[
            ("Ready", "False", "JoinSecretConflict"),
            ("Stalled", "True", "JoinSecretConflict"),
            ("SpaceOpen", "False", "JoinSecretConflict"),
            ("Accepted", "True", "Accepted"),
        ],
    ),
    row(
        "its join Secret is refused, and it is time",
        booked,
        9,
        |p| p.details_unwritten(unwritten(reason::JOIN_SECRET_REFUSED, true)),
        Phase::Scheduled,
        &[("Ready", "False", "JoinSecretRefused"), ("SpaceOpen", "False", "JoinSecretRefused")],
    ),
    row(
        "it runs, and its join Secret cannot be read",
        active,
        9,
        |p| p.details_unwritten(unwritten(reason::JOIN_SECRET_UNAVAILABLE, false)),
        Phase::Active,
        &[
            ("Ready", "False", "JoinSecretUnavailable"),
            ("Reconciling", "True", "Retrying"),
            ("SpaceOpen", "True", "Open"),
        ],
    ),
    row(
        "a setting that keeps people out is not there",
        opening,
        5,
        |p| {
            p.terms.spec.settings = Some(settings());
            p.obstacle = Some(Obstacle::SettingsMissing);
        },
        Phase::Opening,
        &[
            ("Ready", "False", "SettingsMissing"),
            ("SpaceOpen", "False", "SettingsMissing"),
            ("SettingsApplied", "False", "SettingsPending"),
        ],
    ),
    row(
        "settings before the door is open",
        booked,
        -99,
        |p| p.terms.spec.settings = Some(settings()),
        Phase::Scheduled,
        &[("Ready", "True", "Scheduled"), ("SettingsApplied", "False", "NotYet")],
    ),
    row(
        "settings that are not there yet",
        active,
        60,
        |p| with_settings(p, Made::Pending),
        Phase::Active,
        &[("Ready", "True", "Active"), ("SettingsApplied", "False", "SettingsPending")],
    ),
    row(
        "settings for which the bridge has no room",
        active,
        60,
        |p| {
            with_settings(p, Made::Pending);
            p.terms.settings.as_mut().unwrap().lacks_room = true;
        },
        Phase::Active,
        &[("Ready", "True", "Active"), ("SettingsApplied", "False", "SettingsPending")],
    ),
    row(
        "settings that the bridge refuses",
        active,
        60,
        |p| with_settings(p, Made::Refused("it says so".to_owned())),
        Phase::Active,
        &[("Ready", "True", "Active"), ("SettingsApplied", "False", "SettingsRefused")],
    ),
    row(
        "settings that are applied",
        active,
        60,
        |p| with_settings(p, Made::There("leg".to_owned())),
        Phase::Active,
        &[("Ready", "True", "Active"), ("SettingsApplied", "True", "Applied")],
    ),
    row(
        "settings of which the bridge does not know one",
        active,
        60,
        |p| {
            with_settings(p, Made::There("leg".to_owned()));
            p.terms.settings.as_mut().unwrap().unsupported = vec!["chat"];
        },
        Phase::Active,
        &[("SettingsApplied", "False", "UnsupportedSetting")],
    ),
    row(
        "access methods before the door is open",
        booked,
        -99,
        with_methods,
        Phase::Scheduled,
        &[("Ready", "True", "Scheduled"), ("AccessMethodsApplied", "False", "NotYet")],
    ),
    row(
        "access methods for which the bridge is too old",
        booked,
        -99,
        |p| {
            with_methods(p);
            p.terms.settings.as_mut().unwrap().lacks_access_methods = true;
        },
        Phase::Scheduled,
        &[
            ("Ready", "False", "AccessUnsupported"),
            ("Stalled", "True", "AccessUnsupported"),
            ("AccessMethodsApplied", "False", "AccessUnsupported"),
        ],
    ),
    row(
        "an access method for which the bridge is too old, at its time",
        opening,
        5,
        |p| {
            with_methods(p);
            p.terms.settings.as_mut().unwrap().lacks_access_methods = true;
            p.obstacle = Some(Obstacle::AccessUnsupported);
        },
        Phase::Opening,
        &[("Ready", "False", "AccessUnsupported"), ("SpaceOpen", "False", "AccessUnsupported")],
    ),
    row(
        "two ways in with one passcode",
        opening,
        5,
        |p| {
            with_methods(p);
            p.secrets = Some(secrets("1111", Some("1111")));
            p.obstacle = Some(Obstacle::PasscodesEqual);
        },
        Phase::Opening,
        &[
            ("Ready", "False", "PasscodesEqual"),
            ("SpaceOpen", "False", "PasscodesEqual"),
            ("AccessMethodsApplied", "False", "PasscodesEqual"),
        ],
    ),
    row(
        "two ways in have one passcode now",
        active,
        60,
        |p| {
            with_methods(p);
            p.secrets = Some(secrets("1111", Some("1111")));
        },
        Phase::Active,
        &[
            ("Ready", "False", "PasscodesEqual"),
            ("SpaceOpen", "True", "Open"),
            ("AccessMethodsApplied", "False", "PasscodesEqual"),
        ],
    ),
    row(
        "the passcode of an access method is missing",
        opening,
        5,
        |p| {
            with_methods(p);
            p.secrets = Some(secrets("4711", None));
            p.obstacle = Some(Obstacle::PasscodeUnavailable);
        },
        Phase::Opening,
        &[
            ("Ready", "False", "PasscodeUnavailable"),
            ("SpaceOpen", "False", "PasscodeUnavailable"),
            ("AccessMethodsApplied", "False", "PasscodeUnavailable"),
        ],
    ),
    row(
        "an access method that is not there yet",
        active,
        60,
        |p| {
            with_methods(p);
            p.draft.access_methods.clear();
        },
        Phase::Active,
        &[
            ("Ready", "False", "AccessPending"),
            ("Reconciling", "True", "Progressing"),
            ("AccessMethodsApplied", "False", "AccessPending"),
        ],
    ),
    row(
        "an access method that the bridge refuses",
        active,
        60,
        |p| {
            with_methods(p);
            p.draft.access_methods.clear();
            let error = CmsError::Rejected { element: "no".to_owned(), status: 400 };
            p.problem = Some(failed(Part::Access, &error, reason::REJECTED, true));
        },
        Phase::Active,
        &[
            ("Ready", "False", "AccessRefused"),
            ("Stalled", "True", "AccessRefused"),
            ("CallPresent", "True", "Adopted"),
            ("AccessMethodsApplied", "False", "AccessRefused"),
        ],
    ),
    row(
        "a profile of an access method that the bridge refuses",
        active,
        60,
        |p| {
            with_methods(p);
            let refused = Made::Refused("it says so".to_owned());
            p.terms.settings.as_mut().unwrap().methods.insert("host".to_owned(), refused);
        },
        Phase::Active,
        &[("Ready", "False", "AccessRefused"), ("AccessMethodsApplied", "False", "AccessRefused")],
    ),
    row(
        "access methods that are applied",
        active,
        60,
        with_methods,
        Phase::Active,
        &[("Ready", "True", "Active"), ("AccessMethodsApplied", "True", "Applied")],
    ),
    row(
        "the slot is busy",
        opening,
        5,
        |p| p.obstacle = Some(Obstacle::SlotBusy),
        Phase::Opening,
        &[("Ready", "False", "NotYet"), ("SpaceOpen", "False", "NotYet")],
    ),
    row(
        "suspended",
        booked,
        -99,
        |p| (p.terms.is_suspended, p.terms.spec.suspend) = (true, true),
        Phase::Scheduled,
        &[("Ready", "True", "Suspended")],
    ),
    row(
        "suspended and refused",
        booked,
        -99,
        |p| {
            p.refuse(Refusal { reason: reason::BRIDGE_NOT_FOUND, message: "none".into() });
            (p.terms.is_suspended, p.terms.spec.suspend) = (true, true);
        },
        Phase::Pending,
        &[("Ready", "True", "Suspended"), ("Accepted", "False", "BridgeNotFound")],
    ),
    row(
        "the bridge is suspended",
        booked,
        -99,
        |p| p.terms.is_suspended = true,
        Phase::Scheduled,
        &[("Ready", "True", "Suspended")],
    ),
    row(
        "the bridge is suspended at the start",
        booked,
        5,
        |p| p.terms.is_suspended = true,
        Phase::Scheduled,
        &[("Ready", "False", "Suspended"), ("Stalled", "True", "Suspended")],
    ),
    row(
        "the bridge is suspended meanwhile",
        active,
        5,
        |p| p.terms.is_suspended = true,
        Phase::Active,
        &[("Ready", "True", "Suspended"), ("SpaceOpen", "True", "Open")],
    ),
    row(
        "the bridge is suspended at the end",
        active,
        HOUR,
        |p| p.terms.is_suspended = true,
        Phase::Closing,
        &[("Ready", "False", "Suspended"), ("Stalled", "True", "Suspended"), ("SlotReleased", "False", "ResetPending")],
    ),
    row(
        "observed",
        booked,
        -99,
        |p| p.terms.is_observe_only = true,
        Phase::Scheduled,
        &[("Ready", "False", "ObserveOnly"), ("Stalled", "True", "ObserveOnly"), ("SpaceOpen", "False", "ObserveOnly")],
    ),
    row(
        "the bridge is away",
        opening,
        5,
        |p| p.problem = Some(failed(Part::Door, &CmsError::ConnectTimeout, reason::BRIDGE_UNREACHABLE, false)),
        Phase::Opening,
        &[("Ready", "False", "BridgeUnreachable"), ("SpaceOpen", "False", "BridgeUnreachable")],
    ),
    row(
        "the passcode is rejected",
        opening,
        5,
        |p| p.problem = Some(failed(Part::Door, &CmsError::PasscodeTooShort, reason::PASSCODE_REJECTED, true)),
        Phase::Opening,
        &[("Ready", "False", "PasscodeRejected"), ("Stalled", "True", "PasscodeRejected")],
    ),
    row(
        "the door is about to open",
        opening,
        5,
        NOTHING,
        Phase::Opening,
        &[("Ready", "False", "Progressing"), ("SpaceOpen", "False", "NotYet"), ("CallPresent", "False", "NotYet")],
    ),
];

/// While it is open.
const INSIDE: &[Row] = &[
    row(
        "active",
        active,
        60,
        NOTHING,
        Phase::Active,
        &[
            ("Ready", "True", "Active"),
            ("SpaceOpen", "True", "Open"),
            ("CallPresent", "True", "Adopted"),
            ("ParticipantsDialed", "True", "AllConnected"),
            ("SlotReleased", "False", "NotYet"),
        ],
    ),
    row(
        "the call was made anew",
        active,
        60,
        |p| p.call_origin = Some(reason::RECREATED),
        Phase::Active,
        &[("CallPresent", "True", "Recreated"), ("Ready", "True", "Active")],
    ),
    row(
        "its call is missing",
        no_call,
        60,
        NOTHING,
        Phase::Active,
        &[
            ("Ready", "False", "BridgeLost"),
            ("CallPresent", "False", "NotYet"),
            ("ParticipantsDialed", "False", "NotYet"),
        ],
    ),
    row(
        "its call bridge is lost",
        no_call,
        60,
        lost,
        Phase::Active,
        &[("Ready", "False", "BridgeLost"), ("CallPresent", "False", "BridgeLost")],
    ),
    row(
        "it is left alone",
        active,
        60,
        |p| {
            lost(p);
            p.obstacle = Some(Obstacle::CallBridgeLost);
        },
        Phase::Active,
        &[("Ready", "False", "BridgeLost"), ("Stalled", "True", "BridgeLost"), ("SpaceOpen", "True", "Open")],
    ),
    row(
        "others shut the door again and again",
        active,
        60,
        |p| contested(p, Shown::Shut),
        Phase::Active,
        &[("Ready", "False", "TugOfWar"), ("Stalled", "True", "TugOfWar"), ("SpaceOpen", "False", "TugOfWar")],
    ),
    row(
        "others give it another passcode again and again",
        active,
        60,
        |p| contested(p, Shown::OtherKeys),
        Phase::Active,
        &[("Ready", "False", "TugOfWar"), ("SpaceOpen", "False", "TugOfWar"), ("CallPresent", "True", "Adopted")],
    ),
    row(
        "others rename it again and again",
        active,
        60,
        |p| contested(p, Shown::Renamed),
        Phase::Active,
        &[("Ready", "True", "Active"), ("SpaceOpen", "True", "TugOfWar")],
    ),
    row(
        "it was put back, and is as it should be",
        active,
        60,
        |p| contested(p, Shown::AsWanted),
        Phase::Active,
        &[("Ready", "True", "Active"), ("SpaceOpen", "True", "Open")],
    ),
    row(
        "somebody ended the call again and again",
        no_call,
        60,
        |p| p.obstacle = Some(Obstacle::CallUnwanted),
        Phase::Active,
        &[
            ("Ready", "False", "EndedByOthers"),
            ("Stalled", "True", "EndedByOthers"),
            ("CallPresent", "False", "EndedByOthers"),
            ("SpaceOpen", "True", "Open"),
        ],
    ),
    row(
        "no call can be made",
        no_call,
        60,
        |p| p.problem = Some(failed(Part::Call, &CmsError::Busy, reason::BUSY, false)),
        Phase::Active,
        &[("CallPresent", "False", "CallFailed"), ("Reconciling", "True", "Retrying")],
    ),
    row(
        "a dialling failed",
        active,
        60,
        |p| p.problem = Some(failed(Part::Legs, &CmsError::Busy, reason::BUSY, false)),
        Phase::Active,
        &[("Ready", "True", "Active")],
    ),
    row(
        "an extension is refused",
        active,
        60,
        |p| p.extension_refused = Some(extension_conflict(None, "ns")),
        Phase::Active,
        &[("Ready", "False", "ExtensionConflict"), ("SlotReserved", "False", "ExtensionConflict")],
    ),
    row(
        "an extension is refused because the bridge is not open to it any more",
        active,
        60,
        |p| p.extension_refused = Some(Refusal { reason: reason::EXTENSION_NOT_ALLOWED, message: "closed".into() }),
        Phase::Active,
        &[("Ready", "False", "ExtensionNotAllowed"), ("SlotReserved", "False", "ExtensionNotAllowed")],
    ),
    row(
        "a stranger's space has its number",
        active,
        60,
        |p| p.obstacle = Some(Obstacle::Foreign),
        Phase::Active,
        &[
            ("Ready", "False", "SpaceMissing"),
            ("Reconciling", "True", "Retrying"),
            ("SpaceOpen", "False", "SpaceMissing"),
        ],
    ),
    row(
        "its space is gone",
        no_call,
        60,
        |p| p.obstacle = Some(Obstacle::SpaceMissing),
        Phase::Active,
        &[
            ("Ready", "False", "SpaceMissing"),
            ("Reconciling", "True", "Retrying"),
            ("SpaceOpen", "False", "SpaceMissing"),
        ],
    ),
    row(
        "the start was moved while somebody is in",
        active,
        60,
        |p| p.moved_to = Some(p.window),
        Phase::Active,
        &[
            ("Ready", "False", "StartMoved"),
            ("Reconciling", "True", "Progressing"),
            ("SlotReserved", "False", "StartMoved"),
        ],
    ),
    row(
        "the start was moved and nobody is in",
        active,
        60,
        |p| (p.moved_to, p.vacated, p.door) = (Some(p.window), true, Door::Shut),
        Phase::Closing,
        &[("Ready", "False", "ResetPending"), ("Reconciling", "True", "Progressing")],
    ),
    row(
        "the clock stepped back behind its start",
        active,
        -60,
        NOTHING,
        Phase::Active,
        &[("Ready", "True", "Active"), ("SpaceOpen", "True", "Open")],
    ),
    row(
        "nobody may be dialled",
        no_call,
        60,
        |p| p.terms.allows_outgoing = false,
        Phase::Active,
        &[("ParticipantsDialed", "False", "OutgoingDialingDisabled")],
    ),
];

/// At its end and after it.
const AFTER: &[Row] = &[
    row(
        "being shut",
        active,
        HOUR,
        |p| p.door = Door::Shut,
        Phase::Closing,
        &[("Ready", "False", "ResetPending"), ("SpaceOpen", "True", "Open"), ("SlotReleased", "False", "ResetPending")],
    ),
    row(
        "cannot be shut",
        active,
        HOUR,
        |p| p.problem = Some(failed(Part::Release, &CmsError::ConnectTimeout, reason::BRIDGE_UNREACHABLE, false)),
        Phase::Closing,
        &[("Ready", "False", "ResetPending"), ("Reconciling", "True", "Retrying")],
    ),
    row(
        "proven shut",
        active,
        HOUR,
        |p| p.door = Door::Released,
        Phase::Ended,
        &[
            ("Ready", "True", "Ended"),
            ("SpaceOpen", "False", "Closed"),
            ("CallPresent", "False", "Ended"),
            ("SlotReleased", "True", "Released"),
        ],
    ),
    row(
        "another meeting has the slot",
        active,
        HOUR,
        |p| (p.door, p.taken_over) = (Door::Released, true),
        Phase::Ended,
        &[("Ready", "True", "Ended"), ("SlotReleased", "True", "TakenOver")],
    ),
    row(
        "given up with the door open",
        active,
        HOUR,
        |p| {
            p.door = Door::Released;
            p.left_behind = Some("only observed");
        },
        Phase::Ended,
        &[
            ("Ready", "False", "LeftBehind"),
            ("Stalled", "True", "LeftBehind"),
            ("SpaceOpen", "Unknown", "LeftBehind"),
            ("CallPresent", "Unknown", "LeftBehind"),
            ("SlotReleased", "False", "LeftBehind"),
        ],
    ),
    row("given up before", given_up, HOUR, NOTHING, Phase::Ended, &[("SlotReleased", "False", "LeftBehind")]),
    row(
        "never opened",
        booked,
        HOUR,
        |p| p.door = Door::Released,
        Phase::Missed,
        &[("Ready", "False", "Missed"), ("Stalled", "True", "Missed"), ("SlotReleased", "True", "NeverOpened")],
    ),
    row(
        "its window had passed",
        unseen,
        HOUR,
        |p| (p.door, p.never_due) = (Door::Released, true),
        Phase::Ended,
        &[
            ("Ready", "True", "WindowPassed"),
            ("Accepted", "Unknown", "WindowPassed"),
            ("SlotReserved", "Unknown", "WindowPassed"),
            ("SpaceOpen", "False", "Closed"),
            ("SlotReleased", "True", "NeverOpened"),
        ],
    ),
    row(
        "refused to the end",
        refused,
        HOUR,
        |p| p.door = Door::Released,
        Phase::Missed,
        &[("Ready", "False", "Missed"), ("Stalled", "True", "Missed"), ("Accepted", "False", "NoFreeSlot")],
    ),
    row(
        "suspended to the end",
        booked,
        HOUR,
        |p| {
            p.door = Door::Released;
            (p.terms.is_suspended, p.terms.spec.suspend) = (true, true);
        },
        Phase::Ended,
        &[("Ready", "True", "WindowPassed"), ("Accepted", "True", "Accepted")],
    ),
    row(
        "missed, then suspended",
        || serde_json::json!({ "phase": "Missed", "observedGeneration": 3 }),
        HOUR,
        |p| (p.terms.is_suspended, p.terms.spec.suspend) = (true, true),
        Phase::Missed,
        &[("Ready", "False", "Missed"), ("Stalled", "True", "Missed")],
    ),
    row(
        "its bridge is suspended to the end",
        booked,
        HOUR,
        |p| (p.door, p.terms.is_suspended) = (Door::Released, true),
        Phase::Missed,
        &[("Ready", "False", "Missed"), ("Stalled", "True", "Missed")],
    ),
    row(
        "meant to be opened, and shut",
        opening,
        HOUR,
        |p| p.door = Door::Released,
        Phase::Missed,
        &[("Ready", "False", "Missed")],
    ),
    row(
        "its bridge is too old for the names of those who are dialled",
        active,
        60,
        |p| {
            p.terms.spec.participants[0].name = Some("Desk".to_owned());
            p.terms.software_version = Some("2.3".to_owned());
        },
        Phase::Active,
        &[("Ready", "True", "Active"), ("SettingsApplied", "False", "UnsupportedSetting")],
    ),
    row(
        "over, with a warning for which there was no time",
        active,
        HOUR,
        |p| {
            warns(p);
            p.door = Door::Released;
        },
        Phase::Ended,
        &[("Ready", "True", "Ended"), ("EndWarned", "False", "Closed")],
    ),
    row(
        "over, with settings",
        active,
        HOUR,
        |p| {
            with_settings(p, Made::NotWanted);
            p.door = Door::Released;
        },
        Phase::Ended,
        &[("Ready", "True", "Ended"), ("SettingsApplied", "False", "Closed")],
    ),
    row(
        "its bridge goes",
        active,
        60,
        |p| {
            p.leaving = true;
            p.door = Door::Shut;
        },
        Phase::Closing,
        &[("Ready", "False", "ResetPending")],
    ),
];

#[test]
fn what_the_bridge_does_not_know_of_participants_is_named_only_if_it_would_be_told() {
    let told = |participant: serde_json::Value, version: Option<&str>| {
        let mut meeting = meeting(active());
        meeting.spec.participants = serde_json::from_value(serde_json::json!([participant])).unwrap();
        let mut progress = Progress::resume(&meeting, &Marks::default(), at(60));
        progress.terms.software_version = version.map(str::to_owned);
        let status = build(&progress, meeting.status.as_ref().unwrap(), Some(3), at(60));
        find(&status.conditions, "SettingsApplied").map(|told| told.message.to_string())
    };
    let desk = |changes: serde_json::Value| {
        let mut desk = serde_json::json!({ "remoteParty": "desk@x", "name": "Desk", "importance": 1 });
        desk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        desk
    };
    let nothing = serde_json::json!({});
    let both = "CMS 2.1 does not know: participants.name, participants.importance";
    assert_eq!(told(desk(nothing.clone()), Some("2.1")).as_deref(), Some(both));
    let name = "CMS 2.3.1 does not know: participants.name";
    assert_eq!(told(desk(nothing.clone()), Some("2.3.1")).as_deref(), Some(name));
    assert_eq!(told(desk(nothing.clone()), Some("2.4")), None);
    assert_eq!(told(desk(nothing), None), None, "of a bridge that has not told its version nothing is said");
    assert_eq!(told(desk(serde_json::json!({ "dial": "In" })), Some("2.1")), None, "they dial in");
}

/// Everybody is to be warned of the end.
fn warns(progress: &mut Progress) {
    progress.terms.end_warning = serde_json::from_value(serde_json::json!({})).unwrap();
}

#[test]
fn the_last_warning_is_told_and_what_failed_of_it_leaves_the_meeting_ready() {
    let meeting = meeting(active());
    let told = |done: serde_json::Value, version: Option<&str>| {
        let mut progress = Progress::resume(&meeting, &Marks::default(), at(60));
        warns(&mut progress);
        progress.terms.software_version = version.map(str::to_owned);
        progress.draft.end_warning = serde_json::from_value(done).unwrap();
        let status = build(&progress, meeting.status.as_ref().unwrap(), Some(3), at(60));
        assert_eq!(find(&status.conditions, "Ready").unwrap().status, "True");
        let condition = find(&status.conditions, "EndWarned").unwrap().clone();
        (condition.status.to_string(), condition.reason.to_string(), condition.message.to_string())
    };
    let with = |shown: bool, failed: Option<&str>| {
        let shown_at = shown.then(|| at(3300).to_string());
        serde_json::json!({ "end": at(HOUR).to_string(), "minutes": 5, "shownAt": shown_at, "failed": failed })
    };
    let which = "5 min before the end at 2027-01-15T09:00:00Z";
    let table = [
        (serde_json::Value::Null, "False", "NotYet", "the warning is shown shortly before the end".to_owned()),
        (with(false, None), "False", "NotYet", "the warning is shown shortly before the end".to_owned()),
        (with(true, None), "True", "Shown", format!("warned {which}")),
        (with(false, Some("busy")), "False", "WarningNotShown", format!("the warning {which} was not shown: busy")),
        (
            with(true, Some("busy")),
            "False",
            "WarningNotShown",
            format!("the warning {which} was not shown in every call: busy"),
        ),
    ];
    for (done, status, reason, message) in table {
        assert_eq!(told(done, Some("3.0")), (status.to_owned(), reason.to_owned(), message));
    }
    assert_eq!(told(serde_json::Value::Null, Some("2.0")).1, "UnsupportedSetting");
}

fn settings() -> MeetingSettings {
    serde_json::from_value(serde_json::json!({ "encryption": "Required" })).unwrap()
}

/// The space was told the call leg profile `leg`, and so far has come what it is to be told.
fn with_settings(progress: &mut Progress, made: Made) {
    let bridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge", "metadata": { "name": "b" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" }, "slots": {} }
    }))
    .unwrap();
    progress.terms.spec.settings = Some(settings());
    let mut terms = SettingsTerms::new(&progress.terms.spec, &bridge, 1);
    terms.call_leg = made;
    progress.terms.settings = Some(terms);
    let applied = serde_json::json!({ "before": {}, "applied": { "callLeg": "leg" } });
    progress.draft.settings = serde_json::from_value(applied).unwrap();
}

/// A way in for hosts, which is there; everybody else waits.
fn with_methods(progress: &mut Progress) {
    let bridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge", "metadata": { "name": "b" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" }, "slots": {} },
        "status": { "system": { "softwareVersion": "3.0" } }
    }))
    .unwrap();
    let methods = serde_json::json!([{ "name": "host", "role": "Host", "passcodeSecretRef": { "name": "code" } }]);
    progress.terms.spec.access_methods = serde_json::from_value(methods).unwrap();
    let mut terms = SettingsTerms::new(&progress.terms.spec, &bridge, 1);
    terms.methods.insert("host".to_owned(), Made::There("leg".to_owned()));
    terms.call_leg = Made::There("waiting".to_owned());
    progress.terms.settings = Some(terms);
    let applied = serde_json::json!({ "before": {}, "applied": { "callLeg": "waiting" } });
    progress.draft.settings = serde_json::from_value(applied).unwrap();
    let there = serde_json::json!([{ "name": "host", "role": "Host", "id": "method", "callLegProfile": "leg" }]);
    progress.draft.access_methods = serde_json::from_value(there).unwrap();
}

fn secrets(passcode: &str, of_host: Option<&str>) -> JoinSecrets {
    let of_host = MethodSecrets { secret: "s".to_owned().into(), passcode: of_host.map(|code| code.to_owned().into()) };
    let methods = [("host".to_owned(), of_host)].into();
    JoinSecrets { secret: "s".to_owned().into(), passcode: Some(passcode.to_owned().into()), methods }
}

#[test]
fn every_state_has_its_conditions() {
    for row in BEFORE.iter().chain(INSIDE).chain(AFTER) {
        let meeting = meeting((row.from)());
        let mut progress = Progress::resume(&meeting, &Marks::default(), at(row.now));
        (row.change)(&mut progress);
        let status = build(&progress, meeting.status.as_ref().unwrap(), Some(3), at(row.now));
        assert_eq!(status.phase, Some(row.phase), "{}", row.case);
        let broken = violations(&status.conditions, Some(3), status.observed_generation);
        assert!(broken.is_empty(), "{}: {broken:#?}", row.case);
        for (kind, value, reason) in row.wanted {
            let shown = find(&status.conditions, kind).unwrap_or_else(|| panic!("{}: no {kind}", row.case));
            assert_eq!((shown.status.as_str(), shown.reason.as_str()), (*value, *reason), "{}: {kind}", row.case);
        }
        for absent in ["Reconciling", "Stalled"] {
            let is_wanted = row.wanted.iter().any(|(kind, ..)| *kind == absent);
            let other = if absent == "Stalled" { "Reconciling" } else { "Stalled" };
            let other_wanted = row.wanted.iter().any(|(kind, ..)| *kind == other);
            assert!(is_wanted || !other_wanted || find(&status.conditions, absent).is_none(), "{}: {absent}", row.case);
        }
    }
}

#[test]
fn what_is_over_keeps_no_call_and_no_join_secret() {
    let mut full = active();
    full["joinSecretName"] = "m-join".into();
    let meeting = meeting(full);
    let mut progress = Progress::resume(&meeting, &Marks::default(), at(HOUR));
    progress.door = Door::Released;
    let status = build(&progress, meeting.status.as_ref().unwrap(), Some(3), at(HOUR));
    assert_eq!((status.call, status.join_secret_name), (None, None));
    assert_eq!(status.ended_at.map(|ended| ended.0), Some(at(HOUR)));
}
