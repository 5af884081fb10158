use super::*;
use crate::api::marks::Marks;
use crate::cms::Space;

fn bridge() -> MeetingBridge {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "core", "namespace": "ns" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" },
                  "slots": { "domain": "meet.test", "base": 1, "quantity": 3 } }
    }))
    .unwrap()
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
    assert_eq!(taken_numbers(&bridge(), &slots, &[2].into()), Vec::<String>::new());
    assert_eq!(
        taken_numbers(&bridge(), &slots, &BTreeSet::new()),
        ["number 2 belongs to the space \"Board meeting\""],
        "nobody of ours holds it"
    );
}

#[test]
fn slots_in_which_something_is_stuck_are_told_as_long_as_nobody_holds_them() {
    let mut slots = slots();
    slots.set_stuck(&space(3).id, "no".to_owned(), Timestamp::UNIX_EPOCH);
    assert_eq!(stuck_slots(&bridge(), &slots, &BTreeSet::new()), [(3, "no".to_owned())]);
    assert_eq!(stuck_slots(&bridge(), &slots, &[3].into()), []);
}
