use jiff::Timestamp;

use super::*;
use crate::api::MeetingBridge;
use crate::api::bridge::ParameterSet;
use crate::api::marks::Marks;
use crate::cms::{CmsError, Space};
use crate::status::bridge::problem_of;

fn progress() -> BridgeProgress {
    let bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "core", "namespace": "ns" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" },
                  "slots": { "domain": "meet.test", "base": 1, "quantity": 3 } }
    }))
    .unwrap();
    BridgeProgress::resume(&bridge, &Marks::default())
}

fn space(number: u32) -> Space {
    Space {
        id: format!("space-{number}").as_str().into(),
        name: format!("S_{number}"),
        uri: Some(number.to_string()),
        secondary_uri: None,
        call_id: Some(number.to_string()),
        tenant: None,
        non_member_access: Some(false),
        passcode: None,
        secret: None,
        cdr_tag: None,
        call_profile: None,
        call_leg_profile: None,
        access_methods: Some(1),
    }
}

fn slots() -> SlotSpaces {
    let mut slots = SlotSpaces::new("S_", &Marks::default());
    slots.take_list((1..=3).map(space).collect(), |_| true, true);
    (1..=3).for_each(|number| _ = slots.take_space(&space(number).id, Some(space(number))));
    slots
}

/// After our own write it is in doubt whose a space is; whose the meeting in it is, is not.
#[test]
fn a_meeting_of_ours_is_not_taken_for_somebody_elses() {
    let mut slots = slots();
    slots.set_opened(&space(2).id, "Board meeting");
    assert_eq!(taken(&progress(), &slots, &[2].into()), Vec::<String>::new());
    assert_eq!(
        taken(&progress(), &slots, &BTreeSet::new()),
        ["number 2 belongs to the space \"Board meeting\""],
        "nobody of ours holds it"
    );
}

#[test]
fn slots_in_which_something_is_stuck_are_told_as_long_as_nobody_holds_them() {
    let mut slots = slots();
    slots.stuck.set(&space(3).id, StuckBy::Method, "no".to_owned(), Timestamp::UNIX_EPOCH);
    let told = stuck(&progress(), &slots, &BTreeSet::new());
    assert_eq!(told.len(), 1);
    assert!(told[0].0 == 3 && told[0].1.contains("access method") && told[0].1.contains("(no)"), "{told:?}");
    slots.stuck.set(&space(3).id, StuckBy::Unread, "no".to_owned(), Timestamp::UNIX_EPOCH);
    let told = stuck(&progress(), &slots, &BTreeSet::new());
    assert!(told.len() == 2 && told[1].1.starts_with("its space cannot be read (no)"), "{told:?}");
    assert_eq!(stuck(&progress(), &slots, &[3].into()), []);
}

#[test]
fn each_slot_is_counted_once_and_what_there_is_to_tell_is_listed() {
    let mut slots = slots();
    slots.set_opened(&space(2).id, "Board meeting");
    let holders = |held: &[u32]| held.iter().map(|number| (*number, format!("ns/m{number}"))).collect();
    // What meetings hold -> in use, foreign, free; the states that are listed.
    for (held, counts, states) in [
        (vec![], (0, 1, 2), vec![(2, SlotState::Foreign, None)]),
        (vec![2], (1, 0, 2), vec![(2, SlotState::InUse, Some("ns/m2"))]),
        (vec![1, 2], (2, 0, 1), vec![(1, SlotState::InUse, Some("ns/m1")), (2, SlotState::InUse, Some("ns/m2"))]),
    ] {
        let status = listed(&progress(), &slots, &holders(&held));
        assert_eq!((status.in_use, status.foreign, status.free), counts, "{held:?}");
        let entries = status.entries.iter().map(|entry| (entry.number, entry.state, entry.meeting.as_deref()));
        assert_eq!((status.total, entries.collect::<Vec<_>>()), (3, states), "{held:?}");
    }
    let mut smaller = progress();
    (smaller.spec.slots.base, smaller.spec.slots.quantity) = (Some(1), Some(2));
    let status = listed(&smaller, &slots, &holders(&[]));
    assert_eq!((status.total, status.entries.last().unwrap().state), (2, SlotState::Draining));
}

#[test]
fn what_was_made_stays_so_until_a_pass_finds_otherwise() {
    let old = |value: &str| -> MeetingBridgeStatus {
        serde_json::from_value(serde_json::json!({ "conditions": [{
            "type": "SlotsProvisioned", "status": value, "reason": "Provisioned", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        }] }))
        .unwrap()
    };
    type Change = fn(&mut BridgeProgress);
    let rows: [(&str, Change, bool, bool); 5] = [
        ("judged by this pass", |progress| progress.is_settled = true, true, true),
        ("not far enough yet", |progress| progress.is_unjudged = false, false, true),
        ("another spec, of which nothing is known yet", |progress| progress.is_unjudged = true, false, false),
        (
            "trouble tells nothing",
            |progress| (progress.is_unjudged, progress.problem) = (true, Some(problem_of(&CmsError::Busy))),
            false,
            true,
        ),
        (
            "the former cluster",
            |progress| (progress.is_unjudged, progress.former_address) = (true, Some("cms".into())),
            false,
            true,
        ),
    ];
    for (what, change, anew, as_before) in rows {
        let mut progress = progress();
        change(&mut progress);
        assert_eq!(is_provisioned(&progress, &old("False")), anew, "{what}");
        assert_eq!(is_provisioned(&progress, &old("True")), as_before, "{what}");
    }
}

#[test]
fn slots_can_be_booked_as_soon_as_one_set_of_several_is_made() {
    let set = |synced: bool| -> ParameterSet {
        serde_json::from_value(serde_json::json!({ "startIndex": 1, "endIndex": 5, "synced": synced })).unwrap()
    };
    let there = |total| SlotsStatus { total, ..SlotsStatus::default() };
    for (sets, total, expected) in [
        (vec![set(true)], 5, false),
        (vec![set(false)], 5, false),
        (vec![set(true), set(false)], 5, true),
        (vec![set(true), set(false)], 0, false),
        (vec![], 5, false),
    ] {
        let mut progress = progress();
        progress.record.sets = sets;
        assert_eq!(has_pool(&progress, Some(&there(total))), expected, "{:?} {total}", progress.record.sets);
        assert!(!has_pool(&progress, None));
    }
}
