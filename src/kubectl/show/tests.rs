use jiff::civil::date;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::board::{Board, Sight};
use super::bridge::Screen;
use super::calendar::{Calendar, Frame};
use super::join::Join;
use super::ticket::{Severity, of_bridge, of_meeting};
use super::*;
use crate::api::conditions;

const PLAIN: Style = Style { colour: false };

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

pub fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-23T08:30:00Z", "observedGeneration": 1 })
}

pub fn bridge(status: Value) -> MeetingBridge {
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "core", "namespace": "meetings", "generation": 1 },
        "spec": { "displayName": "Core", "address": "cms1.example.com:445", "credentialsSecretRef": { "name": "cms" },
                  "slots": { "domain": "meet.example.com", "base": 7001, "quantity": 5 } },
        "status": status
    }))
    .unwrap()
}

pub fn meeting(name: &str, start: &str, duration: &str, status: Value) -> ScheduledMeeting {
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": name, "namespace": "team", "generation": 1, "uid": name },
        "spec": { "title": format!("The {name}"), "start": start, "duration": duration,
                  "bridgeRef": { "name": "core", "namespace": "meetings" } },
        "status": status
    }))
    .unwrap()
}

fn booked(name: &str, start: &str, duration: &str, slot: u32, phase: &str) -> ScheduledMeeting {
    let ready = condition("Ready", "True", phase, "");
    let slot = json!({ "number": slot, "uri": format!("{slot}@meet.example.com") });
    let status = json!({ "observedGeneration": 1, "phase": phase, "slot": slot, "conditions": [ready],
                         "bridge": { "namespace": "meetings", "name": "core" } });
    meeting(name, start, duration, status)
}

fn unbooked() -> ScheduledMeeting {
    let no_slot = |kind| condition(kind, "False", "NoFreeSlot", "all 5 slots are reserved");
    let not_yet = condition("SpaceOpen", "False", "NotYet", "");
    let conditions = [no_slot("Ready"), no_slot("Accepted"), no_slot("SlotReserved"), not_yet];
    let status = json!({ "observedGeneration": 1, "phase": "Pending", "conditions": conditions });
    meeting("crowd", "2026-11-25T09:00:00Z", "1h", status)
}

fn failed_over() -> MeetingBridge {
    let lost = "cms1.example.com:445 does not answer; cms2.example.com:445 gets the requests";
    bridge(json!({
        "observedGeneration": 1, "phase": "InUse", "activeCallBridge": "cms2.example.com:445",
        "conditions": [
            condition("Ready", "True", "Ready", ""), condition("Reachable", "True", "Reachable", ""),
            condition("FailedOver", "True", "PrimaryLost", lost),
            condition("SystemNamed", "False", "BlankSystemName", "spec.displayName is empty")
        ],
        "callBridges": [
            { "address": "cms1.example.com:445", "role": "Primary", "callBridgeID": "id1", "reachable": false,
              "reason": "ConnectTimeout" },
            { "address": "cms2.example.com:445", "role": "Alternate", "callBridgeID": "id2", "reachable": true }
        ],
        "cluster": { "clusterID": "c", "members": [
            { "id": "id1", "name": "berlin-1", "primary": true }, { "id": "id2", "name": "berlin-2", "primary": false },
            { "id": "id3", "name": "berlin-3", "address": "https://cms3.example.com:445", "primary": false }
        ] },
        "system": { "softwareVersion": "3.9", "bootTime": "2026-11-01T06:00:00Z", "activated": true,
                    "callLegsActive": 2, "callLegsMaxActive": 31, "callLegsCompleted": 4096 },
        "slots": { "total": 5, "free": 3, "inUse": 1, "foreign": 1 },
        "bookings": { "nextSevenDays": 4, "peakConcurrent": 2, "nextStart": "2026-11-24T09:00:00Z" }
    }))
}

fn week() -> Vec<ScheduledMeeting> {
    let mut early = booked("early", "2026-11-24T09:00:00Z", "45m", 7001, "Active");
    early.spec.early_join = Some(crate::api::values::Span::from_secs(600));
    vec![
        booked("night", "2026-11-24T22:00:00Z", "4h", 7002, "Scheduled"),
        early,
        booked("late", "2026-11-24T09:45:00Z", "15m", 7001, "Scheduled"),
        booked("done", "2026-11-23T08:00:00Z", "30m", 7001, "Ended"),
        unbooked(),
    ]
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn frame(from: jiff::civil::Date, days: u8, width: usize) -> Frame {
    Frame { from, days, zone: berlin(), now: at("2026-11-24T09:20:00Z"), width }
}

#[test]
fn a_bridge_on_one_screen() {
    let screen = Screen::of(&failed_over(), &week(), at("2026-11-24T09:20:00Z"));
    insta::assert_snapshot!("bridge", screen.text(PLAIN, &berlin()));
    insta::assert_snapshot!("bridge_for_machines", serde_yaml::to_string(&screen).unwrap());
    let unknown = Screen::of(&bridge(Value::Null), &[], at("2026-11-24T09:20:00Z"));
    insta::assert_snapshot!("bridge_that_nobody_looked_at", unknown.text(PLAIN, &berlin()));
}

#[test]
fn a_week_slot_by_slot() {
    let drawn = |days, width| {
        let frame = frame(date(2026, 11, 23), days, width);
        Calendar::of(&failed_over(), &week(), &frame).unwrap().text(PLAIN)
    };
    insta::assert_snapshot!("week", drawn(7, 80));
    insta::assert_snapshot!("wide", drawn(2, 120));
    insta::assert_snapshot!("narrow", drawn(2, 40));
    for width in [40, 60, 80, 107, 108, 200] {
        let rows = drawn(7, width);
        let drawn_rows = rows.lines().filter(|line| line.contains('\u{b7}'));
        assert!(drawn_rows.map(|line| line.chars().count()).all(|length| length <= width), "{width}\n{rows}");
    }
}

/// Berlin, 2026: 23 hours on March 29, 25 on October 25.
#[test]
fn a_day_is_as_long_as_it_is() {
    let meetings = [
        booked("spring", "2026-03-29T00:30:00Z", "1h", 7001, "Ended"),
        booked("autumn", "2026-10-25T00:00:00Z", "2h", 7001, "Ended"),
    ];
    for (day, hours) in [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 10, 26), 24)] {
        let calendar = Calendar::of(&failed_over(), &meetings, &frame(day, 1, 80)).unwrap();
        let day = &calendar.days[0];
        assert_eq!(day.to.0.duration_since(day.from.0).as_hours(), hours);
        let text = calendar.text(PLAIN);
        let row = text.lines().find(|line| line.trim_start().starts_with("7001"));
        let cells = |row: &str| row.chars().skip(10).count();
        assert!(row.is_none_or(|row| cells(row) == usize::try_from(hours * 2).unwrap()), "{text}");
    }
    let frame = frame(date(2026, 10, 25), 1, 80);
    insta::assert_snapshot!("long_day", Calendar::of(&failed_over(), &meetings, &frame).unwrap().text(PLAIN));
}

#[test]
fn the_week_begins_on_monday_in_the_readers_zone() {
    // 23:30 on Sunday in London is Monday in Berlin.
    let rows = [
        ("2026-11-22T22:30:00Z", date(2026, 11, 16)),
        ("2026-11-22T23:30:00Z", date(2026, 11, 23)),
        ("2026-11-23T12:00:00Z", date(2026, 11, 23)),
        ("2026-11-29T22:30:00Z", date(2026, 11, 23)),
    ];
    for (now, monday) in rows {
        assert_eq!(Frame::monday(at(now), &berlin()), monday, "{now}");
    }
}

#[test]
fn bookings_are_of_this_bridge_only() {
    let mut elsewhere = booked("elsewhere", "2026-11-24T09:00:00Z", "1h", 7001, "Active");
    elsewhere.status.as_mut().unwrap().bridge.as_mut().unwrap().name = "other".to_owned();
    let mut own_namespace = unbooked();
    own_namespace.spec.bridge_ref.as_mut().unwrap().namespace = None;
    assert!(bookings(&failed_over(), &[elsewhere, own_namespace]).is_empty());
    let names: Vec<_> = bookings(&failed_over(), &week()).into_iter().map(|booking| booking.meeting).collect();
    assert_eq!(names, ["team/done", "team/early", "team/late", "team/night", "team/crowd"]);
}

/// Whatever is wrong with an object, there is one ticket for it, and it says what to do.
#[test]
fn every_reason_has_a_ticket_with_its_remedy() {
    for row in conditions::bridge::TABLE.iter().filter(|row| row.condition != "Reconciling") {
        let is_abnormal = matches!(row.condition, "FailedOver" | "InsecureTLS");
        let mut conditions = vec![condition("Ready", "False", row.reason, "why")];
        if is_abnormal {
            conditions =
                vec![condition("Ready", "True", "Ready", ""), condition(row.condition, "True", row.reason, "why")];
        } else if row.condition != "Ready" {
            conditions.push(condition(row.condition, "False", row.reason, "why"));
        }
        let tickets = of_bridge(&bridge(json!({ "observedGeneration": 1, "conditions": conditions })));
        let severity = if is_abnormal { Severity::Warning } else { Severity::Error };
        let told: Vec<_> = tickets.iter().map(|ticket| (ticket.severity, ticket.remedy.as_str())).collect();
        assert_eq!(told, [(severity, row.remedy)], "{} {}", row.condition, row.reason);
    }
    for row in conditions::meeting::TABLE.iter().filter(|row| row.condition == "Ready") {
        let status = json!({ "observedGeneration": 1, "conditions": [condition("Ready", "False", row.reason, "why")] });
        let tickets = of_meeting(&meeting("m", "2026-11-24T09:00:00Z", "1h", status));
        assert_eq!((tickets.len(), tickets[0].remedy.as_str()), (1, row.remedy), "{}", row.reason);
    }
}

#[test]
fn what_is_as_it_should_be_has_no_ticket() {
    let waiting = [
        condition("Ready", "True", "Scheduled", ""),
        condition("SpaceOpen", "False", "NotYet", ""),
        condition("CallPresent", "False", "NotYet", ""),
        condition("ParticipantsDialed", "False", "Dialing", ""),
    ];
    let status = json!({ "observedGeneration": 1, "conditions": waiting });
    assert!(of_meeting(&meeting("m", "2026-11-24T09:00:00Z", "1h", status)).is_empty());
    let stale = json!({ "observedGeneration": 0, "conditions": [condition("Ready", "True", "Ready", "")] });
    assert_eq!(of_bridge(&bridge(stale))[0].reason, "NotObserved");
}

fn join_secret() -> Secret {
    let data = [
        ("number", "7001"),
        ("uri", "7001@meet.example.com"),
        ("passcode", "471147"),
        ("secret", "s3cr3t"),
        ("link", "https://join.example.com/meeting/7001?secret=s3cr3t"),
    ];
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), k8s_openapi::ByteString(value.as_bytes().to_vec())));
    Secret { data: Some(data.collect()), ..Secret::default() }
}

#[test]
fn what_lets_people_in_is_shown_only_on_demand() {
    let meeting = booked("review", "2026-11-24T09:00:00Z", "45m", 7001, "Scheduled");
    let shown = |show| {
        let join = Join::of(&meeting, &join_secret(), show);
        (join.text(PLAIN, &berlin()), serde_json::to_string(&join).unwrap())
    };
    let (text, json) = shown(false);
    insta::assert_snapshot!("join", text);
    for said in [&text, &json] {
        assert!(!said.contains("471147") && !said.contains("s3cr3t"), "{said}");
    }
    let (text, json) = shown(true);
    insta::assert_snapshot!("join_shown", text);
    assert!(json.contains("471147") && json.contains("meeting/7001?secret=s3cr3t"), "{json}");
    let open = Join::of(&meeting, &Secret::default(), false);
    assert!(open.text(PLAIN, &berlin()).contains("Passcode  none"));
}

#[test]
fn the_ways_in_of_hosts_and_guests_are_shown_as_the_rest() {
    let mut meeting = booked("review", "2026-11-24T09:00:00Z", "45m", 7001, "Scheduled");
    let methods = json!([{ "name": "chair", "role": "Host", "passcodeSecretRef": { "name": "codes" } },
                         { "name": "press", "role": "Guest", "passcodeSecretRef": { "name": "codes" } }]);
    meeting.spec.access_methods = serde_json::from_value(methods).unwrap();
    let mut secret = join_secret();
    let of_chair = [("passcode", "90909090"), ("link", "https://join.example.com/meeting/7001?secret=ch41r")];
    secret.data.as_mut().unwrap().extend(
        of_chair
            .map(|(key, value)| (format!("access.chair.{key}"), k8s_openapi::ByteString(value.as_bytes().to_vec()))),
    );
    let shown = |show| {
        let join = Join::of(&meeting, &secret, show);
        (join.text(PLAIN, &berlin()), serde_json::to_string(&join).unwrap())
    };
    let (text, json) = shown(false);
    let hidden = "  Host      chair: passcode ***, https://join.example.com/meeting/7001?secret=***\n  Guest     press: passcode ***\n";
    assert!(text.ends_with(hidden), "{text}");
    for said in [&text, &json] {
        assert!(!said.contains("90909090") && !said.contains("ch41r"), "{said}");
    }
    let (text, json) = shown(true);
    assert!(text.contains("chair: passcode 90909090, https://join.example.com/meeting/7001?secret=ch41r"), "{text}");
    assert!(json.contains("90909090"), "{json}");
}

#[test]
fn nobody_elses_text_moves_the_terminal() {
    assert_eq!(plain("a\u{1b}[2Jb\u{9b}c\u{202e}d\nü"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}ü");
    let mut rude = failed_over();
    rude.spec.display_name = "\u{1b}]0;x\u{7}".to_owned();
    let message = "\u{1b}[31m";
    rude.status.as_mut().unwrap().conditions[3].message = message.into();
    let mut meetings = week();
    meetings[0].spec.title = "\u{9b}2J".to_owned();
    let text = Screen::of(&rude, &meetings, at("2026-11-24T09:20:00Z")).text(PLAIN, &berlin())
        + &Calendar::of(&rude, &meetings, &frame(date(2026, 11, 23), 7, 80)).unwrap().text(PLAIN);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    let coloured = Screen::of(&rude, &meetings, at("2026-11-24T09:20:00Z")).text(Style { colour: true }, &berlin());
    assert!(coloured.contains("\u{1b}[33mWARNING\u{1b}[0m") && !coloured.contains("[31m\u{1b}"), "{coloured:?}");
}

fn board(bridges: &[MeetingBridge], meetings: &[ScheduledMeeting], namespace: Option<&str>) -> Board {
    let sight = Sight { bridges, meetings, namespace };
    Board::of(sight, Vec::new(), at("2026-11-24T09:20:00Z"), &berlin())
}

#[test]
fn the_page_has_what_the_terminal_has_and_the_week_in_places() {
    let mut homeless = unbooked();
    homeless.spec.bridge_ref = None;
    homeless.metadata.name = Some("homeless".to_owned());
    homeless.metadata.namespace = Some("meetings".to_owned());
    let meetings = [week(), vec![homeless]].concat();
    let mut page = serde_json::to_value(board(&[failed_over()], &meetings, Some("meetings"))).unwrap();
    let week = &mut page["panels"][0]["week"];
    let hours = std::mem::take(week.pointer_mut("/hours").unwrap());
    assert_eq!(hours.as_array().unwrap().len(), 168);
    insta::assert_snapshot!("board", serde_yaml::to_string(&page).unwrap());
}

/// Berlin, 2026: the week of October 25 has 169 hours, that of March 29 has 167.
#[test]
fn a_bar_is_where_its_meeting_is_also_where_the_clocks_change() {
    for (day, hours) in [("2026-10-21", 169.0), ("2026-03-25", 167.0)] {
        let start = format!("{day}T11:00:00Z");
        let meetings = [booked("m", &start, "1h", 7001, "Active")];
        let sight = Sight { bridges: &[failed_over()], meetings: &meetings, namespace: None };
        let now = at(&start);
        let page = serde_json::to_value(Board::of(sight, Vec::new(), now, &berlin())).unwrap();
        let week = &page["panels"][0]["week"];
        let monday = now.to_zoned(berlin()).date().nth_weekday(-1, jiff::civil::Weekday::Monday).unwrap();
        let before = now.duration_since(monday.to_zoned(berlin()).unwrap().timestamp()).as_secs_f64() / 3600.0;
        let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
        let bar = &week["bars"][0];
        assert!(near(&week["now"], before / hours) && near(&bar["from"], before / hours), "{week}");
        assert!(near(&bar["to"], (before + 1.0) / hours), "{bar}");
        let count = u32::try_from(week["hours"].as_array().unwrap().len()).unwrap();
        assert!((f64::from(count) - hours).abs() < 0.1, "{count}");
    }
}

/// Who may read one kind only sees that one: the meetings stand by themselves.
#[test]
fn meetings_without_a_bridge_that_may_be_seen_are_shown_by_themselves() {
    let page = serde_json::to_value(board(&[], &week(), Some("team"))).unwrap();
    let names: Vec<&str> =
        page["elsewhere"]["bars"].as_array().unwrap().iter().map(|bar| bar["meeting"].as_str().unwrap()).collect();
    assert_eq!(names, ["team/early", "team/late", "team/night", "team/crowd"], "what is over is left out");
    assert_eq!(
        page["elsewhere"]["tickets"][0]["headline"],
        "mtg team/crowd: Accepted=False NoFreeSlot, since Mon 2026-11-23 09:30"
    );
    let other = serde_json::to_value(board(&[], &week(), Some("other"))).unwrap();
    assert_eq!(other["elsewhere"]["bars"], json!([]));
}

#[test]
fn the_page_shows_no_way_in_and_nobody_elses_controls() {
    let mut meetings = week();
    meetings[0].spec.title = "</script><img src=x onerror=alert(1)>\u{202e}\u{0}".to_owned();
    meetings[1].spec.passcode_secret_ref =
        Some(serde_json::from_value(json!({ "name": "the-passcode-secret" })).unwrap());
    meetings[1].status.as_mut().unwrap().join_secret_name = Some("the-join-secret".to_owned());
    let text = serde_json::to_string(&board(&[failed_over()], &meetings, None)).unwrap();
    assert!(text.contains("</script><img src=x onerror=alert(1)>\u{fffd}\u{fffd}"), "as a text: {text}");
    for hidden in ["7001@meet.example.com", "the-passcode-secret", "the-join-secret", "link", "passcode"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    assert!(!text.contains('\n') && !text.contains('\r'), "one line: an event of the stream");
}
