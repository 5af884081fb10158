use super::*;
use crate::api::meeting::Phase;

fn meeting(spec: Value, state: &str) -> Value {
    let (from, to) = ("2027-01-01T00:00:00Z", "2027-01-01T01:30:00Z");
    json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": "ns", "uid": "u", "annotations": { WHY: "forged", "team": "a" } },
        "spec": spec,
        "status": {
            "phase": "Active", "slot": { "number": 3, "spaceID": "s" }, "bridge": { "namespace": "ns", "name": "b" },
            "window": { "opensAt": "2026-12-31T23:50:00Z", "startsAt": from, "closesAt": to },
            "openedAt": from, "participants": [{ "remoteParty": "x", "state": state }]
        }
    })
}

fn read<K: StandIn>(value: Value) -> K {
    serde_json::from_value::<Read<K>>(value).unwrap().or_known(None)
}

#[test]
fn an_object_that_cannot_be_read_keeps_what_it_has_booked() {
    let odd: ScheduledMeeting = read(meeting(json!({ "title": 7 }), "Connected"));
    assert!(unreadable(&odd).unwrap().contains("invalid type: integer `7`"), "{:?}", unreadable(&odd));
    let status = odd.status.clone().unwrap();
    assert_eq!((status.phase, status.slot.unwrap().number), (Some(Phase::Active), 3));
    let window = crate::plan::window::Window::of_meeting(&odd.spec, &odd.status.unwrap());
    assert_eq!(window, status.window.unwrap().into());
    assert_eq!(odd.spec.participants[0].remote_party, "x", "what came of them is noted to the end");
    let good: ScheduledMeeting =
        read(meeting(json!({ "title": "t", "start": "2027-01-01T00:00:00Z", "duration": "1h" }), "Connected"));
    assert_eq!(unreadable(&good), None, "nobody else sets the mark");
    assert_eq!(good.annotations().len(), 1);
}

#[test]
fn a_field_of_the_status_that_cannot_be_read_is_written_back_as_it_came() {
    let spec = json!({ "title": "t", "start": "2027-01-01T00:00:00Z", "duration": "1h" });
    let mut odd: ScheduledMeeting = read(meeting(spec.clone(), "Teleported"));
    assert!(unreadable(&odd).unwrap().contains("Teleported"));
    let status = odd.status.as_mut().unwrap();
    assert!(status.participants.is_empty() && status.slot.is_some());
    status.phase = Some(Phase::Closing);
    let written = serde_json::to_value(Read(odd)).unwrap();
    assert_eq!(written["status"]["participants"][0]["state"], "Teleported");
    assert_eq!(written["status"]["phase"], "Closing");
    assert_eq!(written["metadata"]["annotations"], json!({ "team": "a" }));
    let unbooked = json!({ "metadata": { "name": "m" }, "spec": { "title": [] },
                           "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting" });
    let unbooked: ScheduledMeeting = read(unbooked);
    assert!(unreadable(&unbooked).is_some() && unbooked.status.is_none());
}

#[test]
fn a_bridge_goes_on_with_the_spec_that_was_read_last() {
    let bridge = |uid: &str, address: Value| {
        json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
            "metadata": { "name": "b", "namespace": "ns", "uid": uid },
            "spec": { "address": address, "credentialsSecretRef": { "name": "cms" } }
        })
    };
    let known: MeetingBridge = read(bridge("u", json!("cms:445")));
    let again = |uid: &str, known: &MeetingBridge| {
        serde_json::from_value::<Read<MeetingBridge>>(bridge(uid, json!(7))).unwrap().or_known(Some(known))
    };
    let odd = again("u", &known);
    assert!(unreadable(&odd).is_some() && odd.spec == known.spec && !is_blind(&odd));
    let odd = again("another", &known);
    assert!(unreadable(&odd).is_some() && is_blind(&odd));
    assert!(is_blind(&again("another", &odd)), "what is not known does not become known");
}
