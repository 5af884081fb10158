use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::bridge::{
    BookingsStatus, CallBridgeRole, CallBridgeStatus, ClusterStatus, DayStatus, MemberStatus, ParameterSet, SlotEntry,
    SlotState, SlotsStatus,
};
use crate::api::repairs::{Contest, Contested, Repairs, Rival};
use crate::api::settings::{ProfileKind, SettingsProfile};

/// Lists of `value` that have more items than the schema allows, and lists of which it does not say how many it allows.
fn too_long(schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            let most = schema["maxItems"].as_u64();
            if most.is_none_or(|most| items.len() as u64 > most) {
                out.push(format!("{path}: {} of {most:?}", items.len()));
            }
            items.iter().for_each(|item| too_long(&schema["items"], item, path, out));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                too_long(&schema["properties"][name], value, &format!("{path}.{name}"), out);
            }
        }
        _ => {}
    }
}

fn schema() -> Value {
    let crd = serde_json::to_value(&crate::api::crds()[0]).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
}

fn entry(number: u32) -> SlotEntry {
    let meeting = number.is_multiple_of(3).then(|| "ns/m".to_owned());
    SlotEntry { number, space_id: None, state: SlotState::Foreign, meeting }
}

fn filled(count: u32) -> MeetingBridgeStatus {
    let call_bridge = |n: u32| CallBridgeStatus {
        address: n.to_string(),
        role: CallBridgeRole::Discovered,
        call_bridge_id: None,
        maintenance: None,
        reachable: None,
        reason: None,
        accepted_credentials: None,
    };
    let member = |n: u32| MemberStatus {
        id: n.to_string(),
        name: n.to_string(),
        address: None,
        sip_domain: None,
        primary: false,
    };
    let set = |n: u32| ParameterSet {
        start_index: n,
        end_index: n,
        id: Some(n.to_string()),
        sync_id: None,
        synced: true,
        merged: false,
    };
    let condition = json!({
        "type": "T", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-11-26T10:00:00Z"
    });
    let contest = |n: u32| Contest {
        thing: Contested::FreeSlot,
        slot: Some(n),
        repairs: Repairs::after(None, jiff::Timestamp::UNIX_EPOCH, Rival::Unknown),
    };
    let day = |n: u32| DayStatus {
        date: n.to_string(),
        peak: 1,
        from: crate::api::values::Instant(jiff::Timestamp::UNIX_EPOCH),
    };
    let profile = |n: u32| SettingsProfile {
        kind: ProfileKind::Call,
        name: n.to_string(),
        fields: std::collections::BTreeMap::new(),
        id: None,
        refused: None,
        unread: false,
    };
    MeetingBridgeStatus {
        settings_profiles: (0..count).map(profile).collect(),
        contests: (0..count).map(contest).collect(),
        conditions: (0..count).map(|_| serde_json::from_value(condition.clone()).unwrap()).collect(),
        call_bridges: (0..count).map(call_bridge).collect(),
        cluster: Some(ClusterStatus { members: (0..count).map(member).collect(), ..ClusterStatus::default() }),
        slots: Some(SlotsStatus {
            entries: (0..count).map(entry).collect(),
            parameter_sets: (0..count).map(set).collect(),
            ..SlotsStatus::default()
        }),
        bookings: Some(BookingsStatus { days: (0..count).map(day).collect(), ..BookingsStatus::default() }),
        plan: (0..count).map(|n| format!("step {n}")).collect(),
        proven_protection: (0..count).map(|n| n.to_string()).collect(),
        ..MeetingBridgeStatus::default()
    }
}

proptest! {
    /// However much there is to tell, the schema takes it.
    #[test]
    fn every_list_of_a_status_fits_its_schema(count in prop_oneof![0_u32..3, 30_u32..70, 90_u32..110, 0_u32..2000]) {
        let mut status = filled(count);
        bound(&mut status);
        let mut wrong = Vec::new();
        too_long(&schema(), &serde_json::to_value(&status).unwrap(), "status", &mut wrong);
        prop_assert!(wrong.is_empty(), "{wrong:?}");
        if count <= 32 {
            prop_assert_eq!(status.plan, filled(count).plan);
        }
    }
}

#[test]
fn ours_come_first_and_the_rest_is_counted() {
    let mut status = filled(350);
    bound(&mut status);
    assert_eq!(status.plan.last().unwrap(), "and 251 more");
    let entries = status.slots.unwrap().entries;
    assert!(entries.iter().all(|entry| entry.meeting.is_some()), "117 are ours, and the first 100 of them are shown");
    assert_eq!(entries[1].number, 3);
}

fn lists(schema: &Value, out: &mut usize) {
    *out += usize::from(schema["type"] == "array");
    let below = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    below.chain(schema.get("items")).for_each(|schema| lists(schema, out));
}

#[test]
fn every_list_of_the_status_is_filled_by_this_test() {
    let mut count = 0;
    lists(&schema(), &mut count);
    assert_eq!(count, 10, "a new list of the status needs its cut in bounds.rs, and a line in filled()");
}

/// The same for a meeting, by construction: whatever spec and status hold already, a schema that once allowed more
/// included.
mod meetings {
    use super::*;
    use crate::api::ScheduledMeeting;
    use crate::plan::meeting::Progress;
    use crate::status::meeting::build;

    fn schema() -> Value {
        let crd = serde_json::to_value(&crate::api::crds()[1]).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
    }

    fn filled(count: u32, phase: &str) -> ScheduledMeeting {
        let party = |n: u32| json!({ "remoteParty": format!("{n}@x"), "state": "Waiting", "attempts": 1 });
        let method = |n: u32| json!({ "name": format!("m{n}"), "role": "Guest", "id": format!("id-{n}") });
        let condition = |n: u32| {
            json!({ "type": format!("T{n}"), "status": "True", "reason": "R", "message": "m".repeat(40_000),
                    "lastTransitionTime": "2026-11-26T10:00:00Z" })
        };
        let at = "2026-11-26T10:00:00Z";
        serde_json::from_value(json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
            "metadata": { "name": "m", "namespace": "ns", "uid": "u", "generation": 3 },
            "spec": { "title": "t", "start": at, "duration": "1h",
                      "participants": (0..count).map(|n| json!({ "remoteParty": format!("{n}@x") })).collect::<Vec<_>>() },
            "status": { "phase": phase, "bridge": { "namespace": "ns", "name": "b" },
                        "slot": { "number": 1, "spaceID": "s" },
                        "window": { "opensAt": at, "startsAt": at, "closesAt": "2026-11-26T11:00:00Z" },
                        "conditions": (0..count).map(condition).collect::<Vec<_>>(),
                        "participants": (0..count).map(party).collect::<Vec<_>>(),
                        "accessMethods": (0..count).map(method).collect::<Vec<_>>() }
        }))
        .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn every_list_of_a_meetings_status_fits_its_schema(
            count in prop_oneof![0_u32..3, 190_u32..210, 0_u32..600],
            phase in prop_oneof!["Scheduled", "Opening", "Active", "Closing"],
            minutes in -10_i64..80,
        ) {
            let meeting = filled(count, &phase);
            let start: jiff::Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
            let now = start + jiff::SignedDuration::from_mins(minutes);
            let progress = Progress::resume(&meeting, &crate::api::marks::Marks::default(), now);
            let status = build(&progress, meeting.status.as_ref().unwrap(), Some(3), now);
            let mut wrong = Vec::new();
            too_long(&schema(), &serde_json::to_value(&status).unwrap(), "status", &mut wrong);
            prop_assert!(wrong.is_empty(), "{wrong:?}");
            let longest = status.conditions.iter().map(|condition| condition.message.len()).max().unwrap_or_default();
            prop_assert!(longest <= 32_768, "{longest}");
        }
    }

    #[test]
    fn every_list_of_a_meetings_status_is_known_to_this_test() {
        let mut count = 0;
        lists(&schema(), &mut count);
        assert_eq!(
            count, 3,
            "conditions, participants and access methods; a new list needs a bound, and a line in filled()"
        );
    }
}

/// The same for a series.
mod series {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::api::MeetingSeries;
    use crate::plan::series::Progress;
    use crate::status::series::build;

    fn schema() -> Value {
        let crds = crate::api::crds();
        let crd = crds.iter().map(|crd| serde_json::to_value(crd).unwrap());
        let mut series = crd.filter(|crd| crd["spec"]["names"]["kind"] == "MeetingSeries");
        let crd = series.next().unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
    }

    fn filled(count: u32) -> MeetingSeries {
        let first: jiff::civil::Date = "2026-12-07".parse().unwrap();
        let day = |n: u32| first.checked_add(jiff::Span::new().days(i64::from(n))).unwrap();
        let deleted = |n: u32| {
            json!({ "occurrence": format!("{}T09:00:00", day(n)), "name": format!("s-{n}"), "state": "Deleted",
                    "start": format!("{}T09:00:00Z", day(n)) })
        };
        let condition = |n: u32| {
            json!({ "type": format!("T{n}"), "status": "True", "reason": "R", "message": "m",
                    "lastTransitionTime": "2026-11-26T10:00:00Z" })
        };
        let of = |make: &dyn Fn(u32) -> Value| (0..count).map(make).collect::<Vec<_>>();
        serde_json::from_value(json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
            "metadata": { "name": "s", "namespace": "ns", "generation": 3,
                          "uid": "3fa85f64-5717-4562-b3fc-2c963f66afa6" },
            "spec": { "start": "2026-12-07T09:00:00", "timeZone": "UTC", "duration": "1h", "horizon": "8784h",
                      "maxAhead": count.max(1), "recurrence": { "frequency": "Daily" },
                      "exceptions": of(&|n| json!({ "occurrence": format!("{}T10:00:00", day(n)), "skip": true })),
                      "template": { "spec": { "title": "t" } } },
            "status": { "conditions": of(&condition), "occurrences": of(&deleted),
                        "unmatchedExceptions": of(&|n| json!(format!("{}T10:00:00", day(n)))) }
        }))
        .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn every_list_of_a_series_status_fits_its_schema(count in prop_oneof![0_u32..3, 20_u32..50, 0_u32..600]) {
            let series = filled(count);
            let now: jiff::Timestamp = "2026-12-06T12:00:00Z".parse().unwrap();
            let mut progress = Progress::resume(&Arc::new(series.clone()), now);
            progress.decide(&BTreeMap::new());
            let status = build(&progress, series.status.as_ref().unwrap(), Some(3), now);
            let mut wrong = Vec::new();
            too_long(&schema(), &serde_json::to_value(&status).unwrap(), "status", &mut wrong);
            prop_assert!(wrong.is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn every_list_of_a_series_status_is_known_to_this_test() {
        let mut count = 0;
        lists(&schema(), &mut count);
        assert_eq!(
            count, 3,
            "conditions, occurrences and exceptions; a new list needs a bound, and a line in filled()"
        );
    }
}
