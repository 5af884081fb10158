//! The plan of a series against a small model of an apiserver, which counts generations and versions as the real one does.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::MeetingSeriesStatus;
use crate::status::check::violations;
use crate::status::series::build;

const UID: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn merge(base: &mut Value, changes: Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            changes.into_iter().for_each(|(key, value)| merge(base.entry(key).or_insert(Value::Null), value));
        }
        (base, changes) => *base = changes,
    }
}

struct World {
    series: MeetingSeries,
    now: Timestamp,
    meetings: BTreeMap<String, Arc<ScheduledMeeting>>,
    version: u64,
    /// What was done in the last pass.
    did: Vec<String>,
}

impl World {
    /// A daily series at nine in Berlin from 7 December on, three days ahead, seen at noon of the day before.
    fn new(changes: Value) -> Self {
        let mut whole = json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
            "metadata": { "name": "daily", "namespace": "ns", "uid": UID, "generation": 1 },
            "spec": { "start": "2026-12-07T09:00:00", "timeZone": "Europe/Berlin", "duration": "1h", "horizon": "72h",
                      "recurrence": { "frequency": "Daily" }, "template": { "spec": { "title": "t" } } }
        });
        merge(&mut whole["spec"], changes);
        let series = serde_json::from_value(whole).unwrap();
        Self { series, now: at("2026-12-06T12:00:00Z"), meetings: BTreeMap::new(), version: 100, did: Vec::new() }
    }

    fn edit(&mut self, changes: Value) {
        let mut whole = serde_json::to_value(&self.series).unwrap();
        merge(&mut whole["spec"], changes);
        self.series = serde_json::from_value(whole).unwrap();
        *self.series.metadata.generation.as_mut().unwrap() += 1;
    }

    /// A user (or the controller of meetings) changes one.
    fn touch(&mut self, name: &str, change: impl FnOnce(&mut ScheduledMeeting)) {
        self.version += 1;
        let old = Arc::clone(&self.meetings[name]);
        let mut meeting = old.as_ref().clone();
        change(&mut meeting);
        if meeting.spec != old.spec {
            *meeting.metadata.generation.as_mut().unwrap() += 1;
        }
        meeting.metadata.resource_version = Some(self.version.to_string());
        self.meetings.insert(name.to_owned(), Arc::new(meeting));
    }

    fn says(&mut self, name: &str, status: Value) {
        self.touch(name, |meeting| {
            let mut status = status;
            status["observedGeneration"] = json!(meeting.metadata.generation);
            meeting.status = Some(serde_json::from_value(status).unwrap());
        });
    }

    fn apply(&mut self, order: &Order) -> bool {
        let wanted: ScheduledMeeting = serde_json::from_value(order.body.clone()).unwrap();
        let old = self.meetings.get(&order.name).cloned();
        let is_guarded = match &old {
            Some(old) => old.resource_version() == wanted.resource_version() && old.uid() == wanted.uid(),
            None => wanted.uid().is_none(),
        };
        if !is_guarded {
            return false;
        }
        self.version += 1;
        let mut new = old.as_deref().cloned().unwrap_or_else(|| wanted.clone());
        let is_changed = new.spec != wanted.spec;
        let labels = wanted.labels().clone();
        new.labels_mut().extend(labels);
        let annotations = wanted.annotations().clone();
        new.annotations_mut().extend(annotations);
        new.metadata.owner_references.clone_from(&wanted.metadata.owner_references);
        new.spec = wanted.spec;
        new.metadata.uid = new.metadata.uid.or_else(|| Some(format!("uid-{}", self.version)));
        new.metadata.generation = Some(new.metadata.generation.map_or(1, |before| before + i64::from(is_changed)));
        new.metadata.resource_version = Some(self.version.to_string());
        self.meetings.insert(order.name.clone(), Arc::new(new));
        true
    }

    /// A merge patch of metadata.
    fn adopt(&mut self, order: &Order) -> bool {
        let (old, metadata) = (&self.meetings[&order.name], &order.body["metadata"]);
        let guard = json!({ "uid": old.uid(), "resourceVersion": old.resource_version() });
        let is_guarded = ["uid", "resourceVersion"].iter().all(|field| metadata[field] == guard[field]);
        let owners = serde_json::from_value(metadata["ownerReferences"].clone()).unwrap();
        self.touch(&order.name, |meeting| meeting.metadata.owner_references = owners);
        is_guarded && order.body.as_object().unwrap().len() == 1
    }

    /// One pass, as the controller does it. At most so many writes, then it dies without a status.
    fn pass_of(&mut self, writes: usize) {
        self.did.clear();
        let series = Arc::new(self.series.clone());
        let mut progress = Progress::resume(&series, self.now);
        let mut names = progress.names();
        names.extend(self.meetings.keys().cloned());
        let found = names.into_iter().filter_map(|name| Some((name.clone(), self.meetings.get(&name).cloned()?)));
        for (done, act) in progress.decide(&found.collect()).into_iter().enumerate() {
            if done >= writes {
                return;
            }
            match act {
                Act::Make(order) => {
                    self.did.push(format!("make {}", order.name));
                    assert!(self.apply(&order));
                    progress.done(Sort::Make, &order);
                }
                Act::Adopt(order) => {
                    self.did.push(format!("adopt {}", order.name));
                    assert!(self.adopt(&order));
                    progress.adopted();
                }
                Act::Change(order) => {
                    self.did.push(format!("change {}", order.name));
                    assert!(self.apply(&order));
                    progress.done(Sort::Change, &order);
                }
                Act::Remove(Removal { name, uid, version, .. }) => {
                    let there = self.meetings.remove(&name).unwrap();
                    assert_eq!((there.uid(), there.resource_version()), (uid, version));
                    self.did.push(format!("remove {name}"));
                }
            }
        }
        let old = self.series.status.clone().unwrap_or_default();
        let status = build(&progress, &old, series.metadata.generation, self.now);
        let broken = violations(&status.conditions, series.metadata.generation, status.observed_generation);
        assert!(broken.is_empty(), "{broken:#?}");
        self.series.status = Some(status);
    }

    fn pass(&mut self) -> &[String] {
        self.pass_of(usize::MAX);
        &self.did
    }

    /// Passes until nothing is done, which is soon.
    fn settle(&mut self) {
        for _ in 0..4 {
            if self.pass().is_empty() {
                return;
            }
        }
        panic!("it never settles: {:?}", self.did);
    }

    fn status(&self) -> &MeetingSeriesStatus {
        self.series.status.as_ref().unwrap()
    }

    /// The states that the status lists, by the day of the occurrence.
    fn states(&self) -> Vec<(i8, &'static str)> {
        self.status().occurrences.iter().map(|one| (one.occurrence.0.day(), one.state.name())).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.meetings.keys().map(String::as_str).collect()
    }

    fn ready(&self) -> (&str, &str) {
        let ready = find(&self.status().conditions, types::READY).unwrap();
        (ready.status.as_str(), ready.reason.as_str())
    }
}

const SEVENTH: &str = "daily-20261207t0900";
const EIGHTH: &str = "daily-20261208t0900";
const NINTH: &str = "daily-20261209t0900";

#[test]
fn occurrences_are_made_once_and_a_settled_series_does_nothing() {
    let mut world = World::new(json!({}));
    assert_eq!(world.pass(), [format!("make {SEVENTH}"), format!("make {EIGHTH}"), format!("make {NINTH}")]);
    assert_eq!(world.ready(), ("False", "Progressing"), "nobody has booked them yet");
    let accepted = json!({ "phase": "Scheduled", "conditions": [{ "type": "Accepted", "status": "True", "reason": "Accepted",
        "message": "", "lastTransitionTime": "2026-12-06T12:00:00Z" }] });
    for name in [SEVENTH, EIGHTH, NINTH] {
        world.says(name, accepted.clone());
    }
    assert!(world.pass().is_empty());
    assert_eq!(world.ready(), ("True", "Ready"));
    let before = world.status().clone();
    world.now += SignedDuration::from_mins(30);
    assert!(world.pass().is_empty());
    assert_eq!(world.status(), &before, "a status that did not change is not written");
    let next = before.next.unwrap();
    assert_eq!((next.name.as_str(), next.start.to_string()), (SEVENTH, "2026-12-07T08:00:00Z".to_owned()));
    assert_eq!(next.local_start.to_string(), "2026-12-07T09:00:00");
}

#[test]
fn the_horizon_rolls_by_one_a_day_and_each_series_at_its_own_time() {
    let mut world = World::new(json!({}));
    world.settle();
    let made = |world: &World| world.meetings.contains_key("daily-20261210t0900");
    let roll = Progress::resume(&Arc::new(world.series.clone()), world.now).next_instant().unwrap();
    let latest = at("2026-12-07T08:00:00Z");
    assert!(roll > latest - SPREAD && roll <= latest, "{roll}");
    world.now = roll - SignedDuration::from_secs(1);
    world.settle();
    assert!(!made(&world));
    world.now = roll;
    world.settle();
    assert!(made(&world));
}

#[test]
fn an_edit_of_the_template_changes_only_what_has_not_begun() {
    let mut world = World::new(json!({}));
    world.settle();
    world.now = at("2026-12-07T08:20:00Z");
    world.says(SEVENTH, json!({ "phase": "Active" }));
    world.settle();
    world.edit(json!({ "template": { "spec": { "title": "another" } } }));
    world.settle();
    let title = |name: &str| world.meetings[name].spec.title.clone();
    assert_eq!((title(SEVENTH), title(EIGHTH)), ("t".to_owned(), "another".to_owned()));
}

#[test]
fn one_that_begins_in_a_moment_is_left_alone() {
    let mut world = World::new(json!({ "template": { "spec": { "earlyJoin": "5m" } } }));
    world.settle();
    world.edit(json!({ "template": { "spec": { "title": "another" } } }));
    // The door opens in nine seconds: everything is prepared.
    world.now = at("2026-12-07T07:54:51Z");
    world.settle();
    assert_eq!(world.meetings[SEVENTH].spec.title, "t");
}

#[test]
fn what_a_user_edited_stays_as_it_is_whatever_the_series_says() {
    let mut world = World::new(json!({}));
    world.settle();
    world.touch(EIGHTH, |meeting| meeting.spec.early_join = Some(crate::api::values::Span::from_secs(60)));
    world.edit(json!({ "template": { "spec": { "title": "another" } } }));
    world.settle();
    assert_eq!(world.meetings[EIGHTH].spec.title, "t");
    assert_eq!(world.states(), [(7, "Created"), (8, "Edited"), (9, "Created")]);
    // Nor does a rule that has it no more take it away.
    world.edit(json!({ "start": "2026-12-07T11:00:00" }));
    world.settle();
    assert_eq!(world.names(), ["daily-20261207t1100", EIGHTH, "daily-20261208t1100", "daily-20261209t1100"]);
}

/// What an earlier version made by other rules of the zone is an hour off, and nobody edited it.
#[test]
fn wall_time_stays_when_the_rules_of_a_zone_change() {
    let mut world = World::new(json!({}));
    world.settle();
    let starts = |world: &World| world.meetings.values().map(|meeting| meeting.spec.start.0).collect::<Vec<_>>();
    let wanted = starts(&world);
    for meeting in world.meetings.values_mut() {
        let mut old = meeting.as_ref().clone();
        old.spec.start.0 = old.spec.start.0.checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
        let written = format!("{}-0123456789abcdef", old.metadata.generation.unwrap());
        old.annotations_mut().insert(crate::api::names::SERIES_APPLIED_ANNOTATION.to_owned(), written);
        *meeting = Arc::new(old);
    }
    assert_ne!(starts(&world), wanted);
    world.settle();
    assert_eq!(starts(&world), wanted, "nine in Berlin");
    assert_eq!(world.states(), [(7, "Created"), (8, "Created"), (9, "Created")]);
}

/// The controller was rolled back, and its write took fields away that only the newer version knows.
#[test]
fn what_goes_with_our_own_write_is_nobodys_edit() {
    let mut world = World::new(json!({}));
    world.settle();
    world.edit(json!({ "template": { "spec": { "title": "another" } } }));
    let found = world.meetings.clone();
    let mut progress = Progress::resume(&Arc::new(world.series.clone()), world.now);
    let acts = progress.decide(&found);
    let Some(Act::Change(order)) = acts.into_iter().next() else { panic!("nothing to change") };
    assert!(world.apply(&order));
    assert!(order.corrected(&world.meetings[&order.name]).is_none(), "as foretold");
    world.touch(&order.name, |meeting| *meeting.metadata.generation.as_mut().unwrap() += 1);
    let again = order.corrected(&world.meetings[&order.name]).unwrap();
    assert!(is_edited(&world.meetings[&order.name]));
    assert!(world.apply(&again), "guarded by what was written");
    assert!(!is_edited(&world.meetings[&order.name]));
    world.settle();
    assert_eq!(world.states(), [(7, "Created"), (8, "Created"), (9, "Created")]);
}

#[test]
fn a_field_that_a_user_removed_is_an_edit_as_well() {
    let mut world = World::new(json!({ "template": { "spec": { "earlyJoin": "5m" } } }));
    world.settle();
    world.touch(EIGHTH, |meeting| meeting.spec.early_join = None);
    world.settle();
    assert_eq!(world.meetings[EIGHTH].spec.early_join, None);
    // Without the annotation it is handed back.
    world.touch(EIGHTH, |meeting| {
        meeting.annotations_mut().remove(crate::api::names::SERIES_APPLIED_ANNOTATION);
    });
    world.settle();
    assert!(world.meetings[EIGHTH].spec.early_join.is_some());
}

#[test]
fn what_a_user_deleted_stays_deleted_also_beyond_a_shorter_horizon() {
    let mut world = World::new(json!({}));
    world.settle();
    world.meetings.remove(NINTH);
    world.settle();
    assert_eq!(world.states(), [(7, "Created"), (8, "Created"), (9, "Deleted")]);
    world.edit(json!({ "maxAhead": 1 }));
    world.settle();
    world.edit(json!({ "maxAhead": 60 }));
    world.settle();
    assert!(!world.meetings.contains_key(NINTH));
    world.now = at("2026-12-09T09:00:00Z");
    for name in [SEVENTH, EIGHTH] {
        world.says(name, json!({ "phase": "Ended" }));
    }
    world.settle();
    assert!(world.states().iter().all(|(day, _)| *day > 9), "it is over, and forgotten");
}

#[test]
fn a_shorter_horizon_takes_nothing_back() {
    let mut world = World::new(json!({}));
    world.settle();
    world.edit(json!({ "horizon": "24h", "maxAhead": 1 }));
    assert!(world.pass().is_empty());
    assert_eq!(world.states().len(), 3);
}

#[test]
fn a_rule_that_changes_takes_away_what_it_has_no_more() {
    let mut world = World::new(json!({}));
    world.settle();
    world.now = at("2026-12-07T08:20:00Z");
    world.says(SEVENTH, json!({ "phase": "Active" }));
    // While today's runs, all are moved to eleven: today's goes on, and today has one at eleven, too.
    world.edit(json!({ "start": "2026-12-07T11:00:00" }));
    world.settle();
    assert_eq!(world.names(), [SEVENTH, "daily-20261207t1100", "daily-20261208t1100", "daily-20261209t1100"]);
}

#[test]
fn another_zone_moves_what_has_not_begun_and_starts_nothing_twice() {
    let mut world = World::new(json!({}));
    world.settle();
    world.now = at("2026-12-07T08:20:00Z");
    world.says(SEVENTH, json!({ "phase": "Active" }));
    world.edit(json!({ "timeZone": "America/New_York" }));
    world.settle();
    assert_eq!(world.meetings[SEVENTH].spec.start.to_string(), "2026-12-07T08:00:00Z");
    assert_eq!(world.meetings[EIGHTH].spec.start.to_string(), "2026-12-08T14:00:00Z");
    assert_eq!(world.meetings.keys().filter(|name| name.contains("20261207")).count(), 1);
}

#[test]
fn an_exception_skips_moves_renames_and_is_taken_back() {
    let mut world = World::new(json!({}));
    world.settle();
    world.edit(json!({ "exceptions": [
        { "occurrence": "2026-12-07T09:00:00", "skip": true },
        { "occurrence": "2026-12-08T09:00:00", "start": "2026-12-08T15:00:00", "title": "later",
          "participants": [{ "remoteParty": "a@x" }] }
    ] }));
    world.settle();
    assert_eq!(world.states(), [(7, "Skipped"), (8, "Created"), (9, "Created")]);
    assert!(!world.meetings.contains_key(SEVENTH));
    let moved = &world.meetings[EIGHTH].spec;
    assert_eq!((moved.start.to_string().as_str(), moved.title.as_str()), ("2026-12-08T14:00:00Z", "later"));
    assert_eq!(moved.participants.len(), 1);
    assert_eq!(world.status().occurrences[1].local_start.unwrap().to_string(), "2026-12-08T15:00:00");
    world.edit(json!({ "exceptions": [] }));
    world.settle();
    assert_eq!(world.meetings[EIGHTH].spec.title, "t");
    assert!(world.meetings.contains_key(SEVENTH), "it was left out by us, not deleted by a user");
}

/// Somebody waits at the old time otherwise, and the door opens for him.
#[test]
fn an_exception_moves_what_is_there_wherever_to() {
    for spec in [json!({}), json!({ "horizon": "96h", "maxAhead": 2 })] {
        let mut world = World::new(spec);
        world.settle();
        // Beyond the horizon, and to the end of those that may be ahead.
        for day in [30, 9] {
            let moved = json!([{ "occurrence": "2026-12-07T09:00:00", "start": format!("2026-12-{day:02}T15:00:00") }]);
            world.edit(json!({ "exceptions": moved }));
            let start = at(&format!("2026-12-{day:02}T14:00:00Z"));
            assert!(world.pass().contains(&format!("change {SEVENTH}")), "{:?}", world.did);
            assert_eq!(world.meetings[SEVENTH].spec.start.0, start);
            let told = &world.status().occurrences[0];
            assert_eq!((told.name.as_str(), told.start.0, told.state), (SEVENTH, start, OccurrenceState::Created));
            world.settle();
        }
        // Who deletes it there is remembered until then, not until the time at which the rule has it.
        world.meetings.remove(SEVENTH);
        world.settle();
        world.now = at("2026-12-08T12:00:00Z");
        world.settle();
        assert_eq!(world.states()[0], (7, "Deleted"));
    }
}

#[test]
fn what_is_moved_away_but_begun_edited_or_suspended_stays() {
    let moved = json!({ "exceptions": [{ "occurrence": "2026-12-07T09:00:00", "start": "2026-12-30T15:00:00" }] });
    let wanted = at("2026-12-07T08:00:00Z");
    let mut world = World::new(json!({}));
    world.settle();
    world.now = at("2026-12-07T08:20:00Z");
    world.edit(moved.clone());
    world.settle();
    assert_eq!(world.meetings[SEVENTH].spec.start.0, wanted, "it runs");
    let mut world = World::new(json!({}));
    world.settle();
    world.touch(SEVENTH, |meeting| meeting.spec.title = "mine".to_owned());
    world.edit(moved.clone());
    world.settle();
    assert_eq!((world.meetings[SEVENTH].spec.start.0, world.states()[0]), (wanted, (7, "Edited")));
    let mut world = World::new(json!({}));
    world.settle();
    world.edit(json!({ "suspend": true }));
    world.edit(moved);
    assert!(world.pass().is_empty());
}

/// In Tokyo the nine o'clock of today was in the night: nobody comes to what the series does not have.
#[test]
fn what_has_not_begun_does_not_take_place_once_its_time_has_passed() {
    let mut world = World::new(json!({}));
    world.settle();
    world.now = at("2026-12-07T05:00:00Z");
    world.edit(json!({ "timeZone": "Asia/Tokyo" }));
    assert_eq!(world.pass()[0], format!("remove {SEVENTH}"));
    assert_eq!(world.meetings[EIGHTH].spec.start.0, at("2026-12-08T00:00:00Z"));
    world.settle();
    assert_eq!(world.states()[0].0, 8, "it is nobody's deletion that is remembered");
    // Neither does what only an exception had moved to later.
    let mut world = World::new(json!({}));
    world.edit(json!({ "exceptions": [{ "occurrence": "2026-12-07T09:00:00", "start": "2026-12-08T15:00:00" }] }));
    world.settle();
    world.now = at("2026-12-07T12:00:00Z");
    world.settle();
    assert!(world.meetings.contains_key(SEVENTH));
    world.edit(json!({ "exceptions": [] }));
    assert_eq!(world.pass(), [format!("remove {SEVENTH}")]);
    world.settle();
}

/// The whole series was moved, and a part of it lies beyond a horizon that was made shorter.
#[test]
fn an_edit_changes_what_lies_beyond_the_horizon_as_well() {
    let mut world = World::new(json!({}));
    world.settle();
    world.edit(json!({ "horizon": "24h", "maxAhead": 1, "timeZone": "America/New_York" }));
    world.settle();
    let starts: Vec<_> = world.meetings.values().map(|meeting| meeting.spec.start.0.to_string()).collect();
    assert_eq!(starts, ["2026-12-07T14:00:00Z", "2026-12-08T14:00:00Z", "2026-12-09T14:00:00Z"]);
    assert_eq!(world.states().len(), 3);
}

#[test]
fn what_an_edit_cannot_move_is_told_as_it_is_booked() {
    let mut world = World::new(json!({ "maxAhead": 1 }));
    world.settle();
    world.edit(json!({ "exceptions": [{ "occurrence": "2026-12-07T09:00:00", "start": "2026-12-07T15:00:00" }] }));
    world.settle();
    let window = |hour: i64| {
        let at =
            |minutes: i64| (at("2026-12-07T00:00:00Z") + SignedDuration::from_mins(hour * 60 + minutes)).to_string();
        json!({ "opensAt": at(0), "startsAt": at(0), "closesAt": at(60) })
    };
    let mut status = json!({ "phase": "Scheduled", "bridge": { "namespace": "ns", "name": "core" }, "slot": { "number": 1 },
        "window": window(8), "refusedWindow": window(14), "conditions": [{ "type": "Accepted", "status": "False",
        "reason": "NoFreeSlot", "message": "full", "lastTransitionTime": "2026-12-06T12:00:00Z" }] });
    world.says(SEVENTH, status.clone());
    world.settle();
    let told = &world.status().occurrences[0];
    assert_eq!((told.start.0, told.reason.as_deref()), (at("2026-12-07T08:00:00Z"), Some("NoFreeSlot")));
    let next = world.status().next.as_ref().map(|next| (next.name.as_str(), next.start.0));
    assert_eq!(next, Some((SEVENTH, at("2026-12-07T08:00:00Z"))), "it takes place");
    assert_eq!(world.ready(), ("False", "OccurrenceRefused"));
    let booked =
        |world: &World| find(&world.status().conditions, types::OCCURRENCES_BOOKED).unwrap().message.to_string();
    assert_eq!(
        booked(&world),
        format!("held as booked before, since what is asked for now is not to be had: {SEVENTH} (NoFreeSlot)")
    );
    // Until it loses that as well.
    for field in ["bridge", "slot", "window", "refusedWindow"] {
        status[field] = Value::Null;
    }
    world.says(SEVENTH, status);
    world.settle();
    assert_eq!((booked(&world), world.status().next.is_none()), (format!("not booked: {SEVENTH} (NoFreeSlot)"), true));
}

#[test]
fn a_suspended_series_does_nothing_and_makes_nothing_up_for() {
    let mut world = World::new(json!({}));
    world.settle();
    world.edit(json!({ "suspend": true, "template": { "spec": { "title": "another" } } }));
    world.now = at("2026-12-09T12:00:00Z");
    world.says(SEVENTH, json!({ "phase": "Ended" }));
    world.edit(json!({ "historyLimit": 0 }));
    assert!(world.pass().is_empty(), "{:?}", world.did);
    assert_eq!(world.ready(), ("True", "Suspended"));
    world.edit(json!({ "suspend": false }));
    assert_eq!(world.pass()[0], format!("remove {SEVENTH}"), "what is over for long goes now");
    world.did.remove(0);
    assert!(world.did.iter().all(|did| did > &"make daily-20261210".to_owned()), "{:?}", world.did);
}

#[test]
fn what_is_over_is_tidied_up_but_for_the_last_few() {
    let mut world = World::new(json!({ "historyLimit": 1 }));
    world.settle();
    world.now = at("2026-12-09T12:00:00Z");
    for name in [SEVENTH, EIGHTH, NINTH] {
        world.says(name, json!({ "phase": "Ended" }));
    }
    world.settle();
    let over: Vec<_> = world.names().into_iter().filter(|name| *name < "daily-20261210").map(str::to_owned).collect();
    assert_eq!(over, [NINTH]);
}

#[test]
fn a_name_that_somebody_else_has_is_left_to_them() {
    let mut world = World::new(json!({}));
    let stranger: ScheduledMeeting = serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": EIGHTH, "namespace": "ns", "uid": "x", "generation": 1, "resourceVersion": "7" },
        "spec": { "title": "mine", "start": "2026-12-08T08:00:00Z", "duration": "1h" }
    }))
    .unwrap();
    world.meetings.insert(EIGHTH.to_owned(), Arc::new(stranger.clone()));
    world.settle();
    assert_eq!(*world.meetings[EIGHTH], stranger);
    assert_eq!(world.states(), [(7, "Created"), (8, "NameTaken"), (9, "Created")]);
    assert_eq!(world.ready(), ("False", "NameTaken"));
    world.meetings.remove(EIGHTH);
    world.settle();
    assert!(world.meetings.contains_key(EIGHTH), "it was never ours, so nobody deleted it");
}

#[test]
fn one_without_a_slot_is_named_and_the_others_go_on() {
    let mut world = World::new(json!({}));
    world.settle();
    world.says(
        EIGHTH,
        json!({ "phase": "Pending", "conditions": [{ "type": "Accepted", "status": "False",
        "reason": "NoFreeSlot", "message": "full", "lastTransitionTime": "2026-12-06T12:00:00Z" }] }),
    );
    world.settle();
    assert_eq!(world.states(), [(7, "Created"), (8, "Refused"), (9, "Created")]);
    assert_eq!(world.ready(), ("False", "OccurrenceRefused"));
    let told = find(&world.status().conditions, types::OCCURRENCES_BOOKED).unwrap();
    assert_eq!(told.message.as_str(), format!("not booked: {EIGHTH} (NoFreeSlot)"));
}

#[test]
fn a_series_that_cannot_be_followed_any_more_leaves_everything_as_it_is() {
    let mut world = World::new(json!({}));
    world.settle();
    for broken in [
        json!({ "timeZone": "Europe/Atlantis" }),
        json!({ "timeZone": "UTC", "recurrence": { "byMonth": [2], "byMonthDay": [30] } }),
    ] {
        world.edit(broken);
        assert!(world.pass().is_empty());
        assert_eq!((world.names().len(), world.states().len()), (3, 3));
        assert_eq!(world.ready().0, "False");
    }
}

#[test]
fn without_its_status_a_series_finds_what_it_made() {
    let mut world = World::new(json!({}));
    world.settle();
    world.touch(EIGHTH, |meeting| meeting.spec.title = "mine".to_owned());
    world.settle();
    let states: Vec<_> = world.states().into_iter().map(|(day, state)| (day, state.to_owned())).collect();
    world.series.status = None;
    assert!(world.pass().is_empty());
    assert_eq!(world.states().into_iter().map(|(day, state)| (day, state.to_owned())).collect::<Vec<_>>(), states);
}

/// Names have no seconds.
#[test]
fn without_its_status_a_series_that_begins_within_a_minute_finds_what_it_made() {
    let mut world = World::new(json!({ "start": "2026-12-07T09:00:37" }));
    world.settle();
    world.series.status = None;
    assert!(world.pass().is_empty());
    assert_eq!(world.states(), [(7, "Created"), (8, "Created"), (9, "Created")]);
    world.series.status = None;
    world.edit(json!({ "horizon": "24h" }));
    assert!(world.pass().is_empty(), "nor does it take back what is beyond the horizon");
    assert_eq!(world.states().len(), 3);
}

#[test]
fn what_an_older_series_of_the_name_left_is_taken_over() {
    let mut world = World::new(json!({}));
    world.settle();
    for name in [SEVENTH, EIGHTH, NINTH] {
        world.touch(name, |meeting| meeting.metadata.owner_references = None);
    }
    world.series.status = None;
    assert_eq!(world.pass().len(), 3);
    assert!(world.meetings.values().all(|meeting| is_ours(&world.series, meeting)));
    world.settle();
}

impl World {
    /// The series is deleted with `--cascade=orphan`, and made again.
    fn orphan(&mut self, changes: Value) {
        for name in self.meetings.keys().cloned().collect::<Vec<_>>() {
            self.touch(&name, |meeting| meeting.metadata.owner_references = None);
        }
        self.edit(changes);
        (self.series.status, self.series.metadata.uid) =
            (None, Some("5a0a0b5e-16a5-4b26-8c5c-6f6d1a0a6c11".to_owned()));
    }

    fn are_all_ours(&self) -> bool {
        self.meetings.values().all(|meeting| is_ours(&self.series, meeting))
    }
}

#[test]
fn what_an_older_series_left_is_taken_over_as_it_is_where_it_is_not_to_be_changed() {
    let mut world = World::new(json!({ "historyLimit": 1 }));
    world.settle();
    world.now = at("2026-12-09T08:20:00Z");
    world.settle();
    world.says(SEVENTH, json!({ "phase": "Ended" }));
    world.says(EIGHTH, json!({ "phase": "Ended" }));
    world.says(NINTH, json!({ "phase": "Active" }));
    world.touch("daily-20261210t0900", |meeting| meeting.spec.title = "mine".to_owned());
    // What somebody copied is his, whatever is written on it.
    let mut copy = world.meetings[NINTH].as_ref().clone();
    copy.metadata.name = Some("other-20261209t0900".to_owned());
    world.meetings.insert("other-20261209t0900".to_owned(), Arc::new(copy));
    world.orphan(json!({}));
    let copied = world.meetings.remove("other-20261209t0900").unwrap();
    let specs = |world: &World| world.meetings.values().map(|meeting| meeting.spec.clone()).collect::<Vec<_>>();
    let before = specs(&world);
    world.meetings.insert("other-20261209t0900".to_owned(), Arc::clone(&copied));
    let wanted = [SEVENTH, EIGHTH, NINTH, "daily-20261210t0900"].map(|name| format!("adopt {name}"));
    assert_eq!(world.pass()[..4], wanted);
    assert_eq!(world.meetings.remove("other-20261209t0900"), Some(copied));
    assert!(world.are_all_ours());
    assert_eq!(specs(&world)[..4], before[..4]);
    world.settle();
    assert!(!world.meetings.contains_key(SEVENTH), "of what is over as many are kept as of its own");
    assert_eq!(world.states()[..2], [(9, "Created"), (10, "Edited")]);
}

#[test]
fn what_an_older_series_left_and_the_new_one_does_not_have_goes_as_its_own_would() {
    let mut world = World::new(json!({}));
    world.settle();
    world.touch(EIGHTH, |meeting| meeting.spec.title = "mine".to_owned());
    world.orphan(json!({ "start": "2026-12-07T11:00:00", "suspend": true }));
    assert!(world.pass().is_empty(), "{:?}", world.did);
    world.edit(json!({ "suspend": false }));
    world.settle();
    assert_eq!(world.names(), ["daily-20261207t1100", EIGHTH, "daily-20261208t1100", "daily-20261209t1100"]);
    assert!(world.are_all_ours());
}

/// `kubectl replace --force`: the garbage collector comes to the old ones in its own time.
#[test]
fn the_meetings_of_a_series_that_was_made_again_are_nobody_elses_and_awaited() {
    let mut world = World::new(json!({}));
    world.settle();
    let old = world.meetings.clone();
    (world.series.status, world.series.metadata.uid) = (None, Some("5a0a0b5e-16a5-4b26-8c5c-6f6d1a0a6c11".to_owned()));
    assert!(world.pass().is_empty());
    assert_eq!(world.ready(), ("False", "Progressing"));
    assert_eq!(world.states(), [(7, "NotCreated"), (8, "NotCreated"), (9, "NotCreated")]);
    world.touch(EIGHTH, |meeting| {
        meeting.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-12-06T12:00:00Z")).unwrap())
    });
    assert!(world.pass().is_empty());
    assert_eq!(world.ready(), ("False", "Progressing"));
    // Nor is one that came since the pass began.
    let mut progress = Progress::resume(&Arc::new(world.series.clone()), world.now);
    let acts = progress.decide(&BTreeMap::new());
    let Some(Act::Make(order)) = acts.first() else { panic!("{acts:?}") };
    assert!(!progress.taken(order, &old[SEVENTH]));
    assert_eq!(progress.entries.values().next().unwrap().state, OccurrenceState::NotCreated);
    world.meetings.clear();
    assert_eq!(world.pass().len(), 3);
    // One of another name, or of another kind, is somebody else's.
    let change: [fn(&mut k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference); 3] = [
        |owner| owner.name = "weekly".to_owned(),
        |owner| owner.kind = "Deployment".to_owned(),
        |owner| owner.api_version = "example.test/v1".to_owned(),
    ];
    for change in change {
        let mut stranger = old[SEVENTH].as_ref().clone();
        stranger.metadata.owner_references.iter_mut().flatten().for_each(change);
        world.meetings.insert(SEVENTH.to_owned(), Arc::new(stranger));
        world.pass();
        assert_eq!(world.ready(), ("False", "NameTaken"));
    }
}

/// Something that may happen between two passes.
#[derive(Clone, Debug)]
enum Event {
    Pass(usize),
    Hours(i64),
    EditMeeting(usize),
    DeleteMeeting(usize),
    End(usize),
    Series(Value),
    LoseStatus,
}

fn any_event() -> impl Strategy<Value = Event> {
    let series = prop::sample::select(vec![
        json!({ "start": "2026-12-07T10:00:00" }),
        json!({ "timeZone": "America/New_York" }),
        json!({ "timeZone": "Asia/Tokyo" }),
        json!({ "template": { "spec": { "title": "u" } } }),
        json!({ "recurrence": { "frequency": "Weekly" } }),
        json!({ "recurrence": { "frequency": "Daily" } }),
        json!({ "recurrence": { "interval": 2 } }),
        json!({ "suspend": true }),
        json!({ "suspend": false }),
        json!({ "maxAhead": 2 }),
        json!({ "historyLimit": 0 }),
        json!({ "exceptions": [{ "occurrence": "2026-12-08T09:00:00", "skip": true }] }),
        json!({ "exceptions": [{ "occurrence": "2026-12-08T09:00:00", "start": "2026-12-09T12:00:00" }] }),
        json!({ "exceptions": [{ "occurrence": "2026-12-08T09:00:00", "start": "2026-12-30T12:00:00" }] }),
        json!({ "exceptions": [] }),
    ]);
    prop_oneof![
        4 => prop_oneof![Just(usize::MAX), 0_usize..4].prop_map(Event::Pass),
        2 => (1_i64..40).prop_map(Event::Hours),
        1 => (0_usize..9).prop_map(Event::EditMeeting),
        1 => (0_usize..9).prop_map(Event::DeleteMeeting),
        1 => (0_usize..9).prop_map(Event::End),
        3 => series.prop_map(Event::Series),
        1 => Just(Event::LoseStatus),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever users do and whenever the controller dies: what was edited or had begun is never written, and in the end
    /// there is nothing more to do.
    #[test]
    fn whatever_happens_what_was_edited_or_has_begun_is_left_alone(events in prop::collection::vec(any_event(), 0..24)) {
        let mut world = World::new(json!({}));
        let mut edits = 0;
        for event in events {
            let pick = |world: &World, index: usize| world.meetings.keys().nth(index).cloned();
            match event {
                Event::Pass(writes) => {
                    let now = world.now;
                    let before = world.meetings.clone();
                    world.pass_of(writes);
                    for (name, old) in before {
                        let phase = phase(&old);
                        let begun = Window::of(&old.spec, None).opens_at <= now && !phase.is_over();
                        if begun || (is_edited(&old) && !phase.is_over()) {
                            prop_assert_eq!(Some(&old), world.meetings.get(&name), "{}", name);
                        }
                    }
                }
                Event::Hours(hours) => world.now += SignedDuration::from_hours(hours),
                Event::EditMeeting(index) => {
                    if let Some(name) = pick(&world, index) {
                        edits += 1;
                        world.touch(&name, |meeting| meeting.spec.title = format!("mine {edits}"));
                    }
                }
                Event::DeleteMeeting(index) => drop(pick(&world, index).and_then(|name| world.meetings.remove(&name))),
                Event::End(index) => {
                    let now = world.now;
                    let name = pick(&world, index);
                    if let Some(name) = name.filter(|name| Window::of(&world.meetings[name].spec, None).closes_at <= now) {
                        world.says(&name, json!({ "phase": "Ended" }));
                    }
                }
                Event::Series(changes) => world.edit(changes),
                Event::LoseStatus => world.series.status = None,
            }
        }
        world.settle();
        world.series.spec.suspend = false;
        world.settle();
        // Everything that is to come and that nobody touched is as the rule has it.
        let series = world.series.clone();
        let schedule = Schedule::of(&series.spec, world.now, ahead(&series)).unwrap();
        for (at, planned) in &schedule.planned {
            let name = occurrence_name("daily", *at);
            let told = world.status().occurrences.iter().find(|told| told.occurrence.0 == *at);
            let state = told.map(|told| told.state);
            if let Some(meeting) = world.meetings.get(&name).filter(|_| state == Some(OccurrenceState::Created)) {
                let begun = Window::of(&meeting.spec, None).stage(world.now) != Stage::Before;
                prop_assert!(begun || phase(meeting).is_over() || meeting.spec.start.0 == planned.start, "{name}");
            } else {
                prop_assert!(matches!(state, Some(OccurrenceState::Edited | OccurrenceState::Deleted)), "{name}: {state:?}");
            }
        }
        // And none opens its door at a time at which the series has none, within the horizon or not.
        for (name, meeting) in &world.meetings {
            let begun = Window::of(&meeting.spec, None).stage(world.now) != Stage::Before;
            if begun || phase(meeting).is_over() || is_edited(meeting) {
                continue;
            }
            let at = of_occurrence_name(name).unwrap().1;
            prop_assert!(schedule.named(&BTreeSet::from([at])).contains(&at), "{}", name);
            let planned = schedule.at(at).unwrap();
            prop_assert_eq!(meeting.spec.start.0, planned.start, "{}", name);
        }
    }
}

/// What one pass looks at, in days.
fn cost(world: &mut World) -> usize {
    super::rule::steps::of(|| {
        world.pass();
    })
}

/// A typo in a year is enough.
#[test]
fn an_exception_far_away_costs_no_walk_to_it() {
    let skip = |day: &str| json!({ "occurrence": format!("{day}T09:00:00"), "skip": true });
    let mut world = World::new(json!({ "exceptions": [skip("2026-12-08"), skip("2999-12-08"), skip("2036-11-30")] }));
    let days = cost(&mut world);
    assert!(days < 500, "{days} days were looked at");
    assert_eq!(world.states(), [(7, "Created"), (8, "Skipped"), (9, "Created")]);
    let lost: Vec<String> = world.status().unmatched_exceptions.iter().map(ToString::to_string).collect();
    assert_eq!(lost, ["2999-12-08T09:00:00"], "nobody plans for so long");
    // Nor where every period is looked through.
    let last = json!({ "frequency": "Yearly", "byDay": ["MO", "TU", "WE", "TH", "FR"], "bySetPos": [-1] });
    world.edit(json!({ "recurrence": last }));
    let days = cost(&mut world);
    assert!(days < 3000, "{days} days were looked at");
}

/// Of a rule with a count everything is reckoned once, however many ask.
#[test]
fn a_count_from_long_ago_is_walked_once_in_a_pass() {
    let mondays = json!({ "frequency": "Daily", "byDay": ["MO"], "count": 10_000 });
    let mut world = World::new(json!({ "start": "1970-01-05T09:00:00", "horizon": "240h", "recurrence": mondays }));
    world.settle();
    assert_eq!(world.names(), ["daily-19700105t0900", SEVENTH, "daily-20261214t0900"][1..]);
    let monday = |week: i64| jiff::civil::date(2026, 12, 21).at(9, 0, 0, 0) + jiff::Span::new().weeks(week);
    let deleted = |week: i64| {
        let (name, start) = (occurrence_name("daily", monday(week)), format!("{}Z", monday(week)));
        json!({ "occurrence": monday(week).to_string(), "name": name, "start": start, "state": "Deleted" })
    };
    let mut status = serde_json::to_value(world.status()).unwrap();
    status["occurrences"].as_array_mut().unwrap().extend((0..390).map(deleted));
    world.series.status = Some(serde_json::from_value(status).unwrap());
    // And meetings that a tenant made and gave to the series: on Tuesdays, so it has none of them.
    for week in 0..390 {
        let name = occurrence_name("daily", monday(week) + jiff::Span::new().days(1));
        let mut meeting = world.meetings[SEVENTH].as_ref().clone();
        meeting.spec.start.0 += SignedDuration::from_hours(24 * (8 + 7 * week));
        meeting.metadata.name = Some(name.clone());
        world.meetings.insert(name, Arc::new(meeting));
    }
    let days = cost(&mut world);
    assert!(days < 40_000, "{days} days were looked at");
    assert_eq!(world.status().occurrences.len(), 392, "what was deleted is remembered");
    assert_eq!(world.did.iter().filter(|did| did.starts_with("remove")).count(), 390);
}

/// What is refused for want of room is refused no longer when something has gone.
#[test]
fn what_is_to_go_goes_first() {
    let mut world = World::new(json!({ "historyLimit": 0 }));
    world.settle();
    world.now = at("2026-12-07T12:00:00Z");
    world.says(SEVENTH, json!({ "phase": "Ended" }));
    let skip = json!([{ "occurrence": "2026-12-09T09:00:00", "skip": true }]);
    world.edit(json!({ "exceptions": skip, "template": { "spec": { "title": "another" } } }));
    let wanted = [
        format!("remove {NINTH}"),
        format!("remove {SEVENTH}"),
        format!("change {EIGHTH}"),
        "make daily-20261210t0900".to_owned(),
    ];
    assert_eq!(world.pass(), wanted);
}

#[test]
fn what_is_refused_stands_before_nothing_of_another_sort_and_not_before_all_of_its_own() {
    let world = World::new(json!({}));
    let mut progress = Progress::resume(&Arc::new(world.series.clone()), world.now);
    let acts = progress.decide(&BTreeMap::new());
    let (Some(make), Act::Make(order)) = (acts.first(), &acts[0]) else { panic!("{acts:?}") };
    let gone = Act::Remove(Removal { name: "old".to_owned(), uid: None, version: None, is_over: true });
    for _ in 1..MOST_REFUSALS {
        progress.refused(Sort::Make, order, "exceeded quota");
        assert!(!progress.is_vain(make));
    }
    progress.done(Sort::Make, order);
    for _ in 0..MOST_REFUSALS {
        assert!(!progress.is_vain(make), "they were not in a row");
        progress.refused(Sort::Make, order, "exceeded quota");
    }
    assert!(progress.is_vain(make) && !progress.is_vain(&gone));
    progress.troubled(Sort::Remove, "old", "not allowed");
    assert_eq!(progress.trouble, Some(format!("{SEVENTH}: exceeded quota")), "what came first is told");
}

/// An apiserver that fails is not asked for the rest: each act would be waited for as long as the first.
#[test]
fn after_a_failure_nothing_more_is_tried_in_that_pass() {
    let world = World::new(json!({}));
    let mut progress = Progress::resume(&Arc::new(world.series.clone()), world.now);
    let acts = progress.decide(&BTreeMap::new());
    let Some(Act::Make(order)) = acts.first() else { panic!("{acts:?}") };
    progress.refused(Sort::Make, order, "no answer");
    assert!(!progress.is_vain(&acts[1]));
    progress.give_up();
    assert!(acts.iter().all(|act| progress.is_vain(act)));
}

#[test]
fn what_a_series_has_yet_to_make_is_what_it_would_make_now() {
    let mut world = World::new(json!({}));
    let names = |world: &World, now: &str| yet_to_be_made(&world.series, at(now));
    // Berlin is an hour ahead; a door may be open a day before the start.
    assert_eq!(names(&world, "2026-12-06T07:59:59Z"), [""; 0]);
    assert_eq!(names(&world, "2026-12-07T08:30:00Z"), ["daily-20261207t0900", "daily-20261208t0900"]);
    assert_eq!(names(&world, "2026-12-07T09:00:00Z"), ["daily-20261208t0900"], "it is over");
    let told = json!([{ "occurrence": "2026-12-07T09:00:00", "name": "daily-20261207t0900",
                        "start": "2026-12-07T08:00:00Z", "state": "Deleted" }]);
    world.series.status = Some(serde_json::from_value(json!({ "occurrences": told })).unwrap());
    assert_eq!(names(&world, "2026-12-07T08:30:00Z"), ["daily-20261208t0900"], "somebody deleted it");
    world.edit(json!({ "suspend": true }));
    assert_eq!(names(&world, "2026-12-07T08:30:00Z"), [""; 0]);
}
