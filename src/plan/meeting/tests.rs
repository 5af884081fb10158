//! Table tests for each rule, and properties over a small model of a bridge that carries the steps out.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use secrecy::SecretString;

use super::*;
use crate::api::meeting::{CallBinding, ParticipantState, Phase};
use crate::api::values::Instant;
use crate::api::{ScheduledMeeting, ScheduledMeetingSpec, ScheduledMeetingStatus};
use crate::cms::{Call, CallAt, CallId, CmsError, LegState};
use crate::drive::{Reach, drive};
use crate::facts::calls::{OnLostBridge, SeenLeg, SeenLegs};
use crate::facts::slots::is_doubtful;
use crate::plan::booking;
use crate::plan::verdict::{Pause, Verdict};

const MARK: &str = "meeting-controller:ns/standup";
const OTHER_MARK: &str = "meeting-controller:ns/yesterday";
const PLACEHOLDER: &str = "TMS_Scheduled_Meeting_1";
const SECRET: &str = "our-secret";
const PASSCODE: &str = "4711";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

/// From 300 seconds before the start (early join) to an hour after it.
fn spec(parties: &[&str]) -> ScheduledMeetingSpec {
    let participants: Vec<_> = parties
        .iter()
        .map(|party| serde_json::json!({ "remoteParty": party, "retry": { "limit": 2, "backoff": "20s" } }))
        .collect();
    serde_json::from_value(serde_json::json!({
        "title": "Standup", "start": at(0).to_string(), "duration": "1h", "earlyJoin": "5m",
        "participants": participants
    }))
    .unwrap()
}

fn space(name: &str, open: Option<bool>, tag: Option<&str>) -> Space {
    Space {
        id: "space-1".into(),
        name: name.to_owned(),
        uri: Some("1".to_owned()),
        secondary_uri: None,
        call_id: Some("1".to_owned()),
        non_member_access: open,
        passcode: None,
        secret: Some("somebody's".to_owned().into()),
        cdr_tag: tag.map(str::to_owned),
        call_profile: None,
        call_leg_profile: None,
    }
}

fn free() -> Space {
    space(PLACEHOLDER, Some(false), None)
}

fn opened() -> Space {
    Space {
        passcode: Some(PASSCODE.to_owned().into()),
        secret: Some(SECRET.to_owned().into()),
        ..space("Standup", Some(true), Some(MARK))
    }
}

/// The status in which a pass finds the meeting. It survives a crash, nothing else does.
#[derive(Clone, Debug)]
struct Start(ScheduledMeetingStatus);

impl Start {
    /// Booked, nothing done.
    fn booked() -> Self {
        Self::with(serde_json::json!({ "phase": "Scheduled" }))
    }

    /// The intent is stored, nothing more.
    fn intended() -> Self {
        Self::with(serde_json::json!({ "phase": "Opening" }))
    }

    fn running(call: Option<&str>) -> Self {
        let call = call.map(|id| serde_json::json!({ "id": id, "callBridge": here(id).call_bridge.to_string() }));
        Self::with(serde_json::json!({ "phase": "Active", "openedAt": at(-300).to_string(), "call": call }))
    }

    fn released() -> Self {
        Self::with(serde_json::json!({ "phase": "Ended", "openedAt": at(-300).to_string() }))
    }

    fn with(status: serde_json::Value) -> Self {
        let mut full = serde_json::json!({
            "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 1, "spaceID": "space-1" },
            "window": { "opensAt": at(-300).to_string(), "startsAt": at(0).to_string(), "closesAt": at(3600).to_string() }
        });
        full.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        Self(serde_json::from_value(full).unwrap())
    }
}

/// A call on the one call bridge of these tests.
fn here(id: &str) -> CallAt {
    CallAt { call_bridge: "cms.test:445".parse().unwrap(), id: id.into() }
}

/// A bridge with one slot: it does what it is told, and notes what must never happen.
#[derive(Clone, Debug)]
struct Model {
    space: Option<Space>,
    /// Call -> legs: id, party, answered.
    calls: BTreeMap<CallId, Vec<(String, String, bool)>>,
    /// When those calls began, if anybody asks.
    began: Option<Timestamp>,
    next_id: u32,
    clock: Timestamp,
    calls_made: u32,
    wrongs: Vec<String>,
}

impl Model {
    fn new(space: Option<Space>, now: Timestamp) -> Self {
        Self { space, calls: BTreeMap::new(), began: None, next_id: 0, clock: now, calls_made: 0, wrongs: Vec::new() }
    }

    fn id(&mut self, kind: &str) -> String {
        self.next_id += 1;
        format!("{kind}-{}", self.next_id)
    }

    fn with_call(mut self, id: &str, parties: &[&str]) -> Self {
        let legs = parties.iter().map(|party| (format!("leg-{party}"), (*party).to_owned(), true)).collect();
        self.calls.insert(id.into(), legs);
        self
    }

    fn seen_calls(&self) -> Vec<PlacedCall> {
        let call = |id: &CallId| Call {
            id: id.clone(),
            name: String::new(),
            space: Some("space-1".into()),
            correlator: None,
            duration: None,
        };
        let place = |id: &CallId| PlacedCall { call_bridge: here("").call_bridge, call: call(id), began: self.began };
        self.calls.keys().map(place).collect()
    }

    fn seen_legs(&self, call: Option<&CallAt>) -> SeenLegs {
        let legs = call.and_then(|call| self.calls.get(&call.id)).cloned().unwrap_or_default();
        let seen = |(id, party, answered): (String, String, bool)| SeenLeg {
            id: id.as_str().into(),
            remote_party: party,
            original_remote_party: None,
            state: Some(if answered { LegState::Connected } else { LegState::Ringing }),
            direction: None,
            is_named: answered,
            was_answered: answered,
        };
        SeenLegs { at: self.clock, legs: legs.into_iter().map(seen).collect() }
    }

    fn has(&self, call: Option<&CallAt>) -> bool {
        call.is_some_and(|call| self.calls.contains_key(&call.id))
    }

    fn tick(&mut self) {
        self.clock = self.clock.checked_add(SignedDuration::from_millis(1)).unwrap();
    }

    /// Carries out a step. None: the object is not there.
    fn act(&mut self, step: &Step, title: &str, call: Option<&CallAt>) -> Option<Option<String>> {
        self.tick();
        match step {
            Step::OpenDoor | Step::MarkExtension => {
                let space = self.space.as_mut()?;
                *space = Space { name: title.to_owned(), ..opened() };
            }
            Step::CloseDoor => {
                let space = self.space.as_mut()?;
                *space = Space { secret: Some("rotated".to_owned().into()), ..free() };
            }
            Step::CreateCall => {
                self.space.as_ref()?;
                if !self.calls.is_empty() {
                    self.wrongs.push("a second call".to_owned());
                }
                let id = self.id("call");
                self.calls_made += 1;
                self.calls.insert(id.as_str().into(), Vec::new());
                return Some(Some(id));
            }
            Step::Dial(party) => {
                if self.calls.values().flatten().any(|(_, to, _)| to == party) {
                    self.wrongs.push(format!("a second ring of {party}"));
                }
                let id = self.id("leg");
                self.calls.get_mut(&call?.id)?.push((id.clone(), party.clone(), false));
                return Some(Some(id));
            }
            Step::DeleteCall(call) => {
                self.calls.remove(&call.id);
            }
        }
        Some(None)
    }
}

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// It is done, but the process dies before anything is noted.
    Crash,
    /// The process dies before it is sent.
    CrashBefore,
    /// It is done, but the reply is lost.
    LostReply,
}

/// The reach of the shipped loop in these tests: the model, and a status instead of an apiserver.
struct ModelReach<'a> {
    model: &'a mut Model,
    player: &'a mut Player,
    faults: &'a mut (dyn Iterator<Item = Fault> + Send),
    facts: MeetingFacts,
    swept: bool,
    died: bool,
}

impl Reach<Progress> for ModelReach<'_> {
    type Abort = ();

    fn now(&self) -> Timestamp {
        self.model.clock
    }

    fn survey(&mut self, progress: &Progress, _now: Timestamp) -> Survey {
        let lost = self.player.left_alone.then(|| here("").call_bridge);
        let mut facts = MeetingFacts { orphan_calls: self.player.orphans.clone(), ..MeetingFacts::default() };
        if self.swept {
            facts.space = Seen::Known(self.model.space.clone());
            facts.calls = Seen::Known(self.model.seen_calls());
            if let Some(call) = progress.recorded_call() {
                facts.legs = Seen::Known(self.model.seen_legs(Some(&call)));
            }
            self.model.tick();
        }
        Survey { call_bridge: here("").call_bridge, lost, facts }
    }

    fn around(&mut self, _progress: &Progress, _now: Timestamp) -> Around {
        self.player.around.clone()
    }

    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut MeetingFacts) -> T) -> T {
        use_facts(&mut self.facts)
    }

    async fn look(&mut self, progress: &Progress, look: &Look, _now: Timestamp) -> Result<Found, Verdict> {
        self.player.log.push(format!("look {look:?}"));
        self.model.tick();
        let call = progress.recorded_call();
        let found = match look {
            Look::Space => Ok(Found::Space(self.model.space.clone())),
            Look::Calls => Ok(Found::Calls(self.model.seen_calls())),
            Look::Legs if self.model.has(call.as_ref()) => Ok(Found::Legs(self.model.seen_legs(call.as_ref()))),
            Look::Legs => Err(Verdict::Answered(CmsError::NotFound { element: "callDoesNotExist".to_owned() })),
            Look::OnLostBridge => Ok(Found::OnLostBridge(self.player.on_lost_bridge.clone())),
            Look::Release => Ok(Found::Release { space: self.model.space.clone(), calls: self.model.seen_calls() }),
        };
        self.model.tick();
        found
    }

    async fn act(&mut self, progress: &Progress, step: &Step, _now: Timestamp) -> Result<(Effect, Timestamp), Verdict> {
        assert!(progress.door.may_be_open(), "{step} before the intent was stored");
        let fault = self.faults.next().unwrap_or(Fault::None);
        self.died = matches!(fault, Fault::Crash | Fault::CrashBefore);
        if fault == Fault::CrashBefore {
            return Err(Verdict::Retry(CmsError::Cancelled));
        }
        self.player.log.push(step.to_string());
        let made = self.model.act(step, &progress.terms.spec.title, progress.recorded_call().as_ref());
        if fault != Fault::None {
            return Err(Verdict::Retry(CmsError::Timeout));
        }
        let Some(made) = made else {
            return Err(Verdict::Answered(CmsError::NotFound { element: "it".to_owned() }));
        };
        if matches!(step, Step::OpenDoor | Step::MarkExtension) {
            self.player.told = Some(progress.window.closes_at);
        }
        let effect = match (step, made) {
            (Step::CreateCall, Some(id)) => Effect::CallCreated(here(&id)),
            (Step::Dial(_), Some(id)) => Effect::LegCreated(id),
            _ => Effect::Done,
        };
        Ok((effect, self.model.clock))
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), ()> {
        self.player.store(progress, self.model.clock);
        Ok(())
    }
}

/// A meeting and what surrounds it, from pass to pass. The loop is the shipped one.
struct Player {
    spec: ScheduledMeetingSpec,
    passcode: Option<SecretString>,
    secret: SecretString,
    /// As the apiserver has it.
    stored: ScheduledMeetingStatus,
    leaving: bool,
    suspended: bool,
    around: Around,
    outgoing: bool,
    left_alone: bool,
    /// Who is in through another call bridge.
    on_lost_bridge: OnLostBridge,
    orphans: Vec<OrphanCall>,
    /// The end with which this process last wrote the door.
    told: Option<Timestamp>,
    door: Door,
    log: Vec<String>,
}

impl Player {
    fn new(parties: &[&str], start: Start) -> Self {
        Self {
            spec: spec(parties),
            passcode: Some(PASSCODE.to_owned().into()),
            secret: SECRET.to_owned().into(),
            stored: start.0,
            leaving: false,
            suspended: false,
            around: Around::default(),
            outgoing: true,
            left_alone: false,
            on_lost_bridge: OnLostBridge::default(),
            orphans: Vec::new(),
            told: None,
            door: Door::Untouched,
            log: Vec::new(),
        }
    }

    fn object(&self) -> ScheduledMeeting {
        let mut meeting = ScheduledMeeting::new("standup", self.spec.clone());
        meeting.metadata.namespace = Some("ns".to_owned());
        meeting.metadata.generation = Some(1);
        meeting.spec.suspend = self.suspended;
        meeting.status = Some(self.stored.clone());
        if self.leaving {
            meeting.metadata.deletion_timestamp = Some(Time(at(0)));
        }
        meeting
    }

    fn progress(&self, now: Timestamp) -> Progress {
        let mut progress = Progress::resume(&self.object(), now);
        progress.terms.placeholder = PLACEHOLDER.to_owned();
        progress.terms.allows_outgoing = self.outgoing;
        progress.terms.leaves_running = self.left_alone;
        progress.secrets = Some(JoinSecrets { secret: self.secret.clone(), passcode: self.passcode.clone() });
        progress.written = self.told.zip(self.passcode.clone()).map(|(closes_at, passcode)| WrittenDoor {
            title: self.spec.title.clone(),
            passcode,
            closes_at,
        });
        let wanted = booking::window_to_agree(&progress);
        progress.agree(wanted.map(|wanted| (wanted, Ok(()))));
        progress
    }

    fn ask(&self, facts: &MeetingFacts, now: Timestamp) -> Next {
        let mut progress = self.progress(now);
        progress.call_bridge = Some(here("").call_bridge);
        next(&progress, facts, &self.around, now)
    }

    fn store(&mut self, progress: &Progress, now: Timestamp) {
        self.stored = crate::status::meeting::build(progress, &self.stored, Some(1), now);
        assert_eq!(
            crate::status::check::violations(&self.stored.conditions, Some(1), Some(1)),
            Vec::<String>::new(),
            "{progress:#?}"
        );
    }

    /// One pass. `swept`: what a sweep shows is at hand. None: the process died, or a reply was lost.
    fn pass(
        &mut self,
        model: &mut Model,
        swept: bool,
        faults: &mut (dyn Iterator<Item = Fault> + Send),
    ) -> Option<End> {
        model.tick();
        let mut progress = self.progress(model.clock);
        let before = self.stored.clone();
        let facts = MeetingFacts::default();
        let mut reach = ModelReach { model, player: self, faults, facts, swept, died: false };
        futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
        let ModelReach { model, died, .. } = reach;
        assert_ne!(progress.pause, Some(Pause::TooManyTurns), "no end: {:?}", self.log);
        if died {
            self.told = None;
            // What was stored in this pass stays stored.
            assert!(self.stored == before || self.stored.phase == Some(Phase::Opening));
            return None;
        }
        let now = model.clock;
        self.store(&progress, now);
        self.door = progress.door;
        match (progress.problem, progress.obstacle, progress.door) {
            (Some(_), ..) => None,
            (None, Some(obstacle), _) => Some(End::Blocked(obstacle)),
            (None, None, Door::Released) => Some(End::Released),
            (None, None, _) => Some(End::Settled),
        }
    }

    fn run(&mut self, model: &mut Model) -> End {
        self.pass(model, false, &mut std::iter::empty()).unwrap()
    }

    fn call(&self) -> Option<CallAt> {
        self.stored.call.as_ref().and_then(CallBinding::at)
    }

    fn is_open(&self) -> bool {
        self.stored.opened_at.is_some()
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

// ---------------------------------------------------------------------------------------------------------- opening

#[test]
fn opening_goes_door_call_legs_with_a_look_before_each_post() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(
        player.take_log(),
        ["look Space", "open the space", "look Calls", "create the call", "dial a@x", "dial b@x"],
        "no look at the legs of a call that is brand new"
    );
    assert!(model.space.as_ref().unwrap().has_secret(&player.secret));
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.take_log().is_empty(), "a settled meeting costs nothing");
}

#[test]
fn before_the_window_nothing_is_asked() {
    let mut player = Player::new(&["a@x"], Start::booked());
    let mut model = Model::new(None, at(-311));
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.take_log().is_empty());
}

#[test]
fn preparing_finds_out_what_can_go_wrong() {
    let foreign = space("Party", Some(false), None);
    let open = space(PLACEHOLDER, Some(true), None);
    let table: [(&str, Option<Space>, End); 6] = [
        ("missing", None, End::Blocked(Obstacle::SpaceMissing)),
        ("renamed", Some(foreign), End::Blocked(Obstacle::Foreign)),
        ("opened", Some(open), End::Blocked(Obstacle::Foreign)),
        ("free", Some(free()), End::Settled),
        ("listed only", Some(space(PLACEHOLDER, None, None)), End::Settled),
        ("ours already", Some(opened()), End::Settled),
    ];
    for (case, shown, wanted) in table {
        let mut player = Player::new(&["a@x"], Start::booked());
        assert_eq!(player.run(&mut Model::new(shown, at(-305))), wanted, "{case}");
        assert_eq!(player.take_log(), ["look Space"], "{case}: nothing is written before the instant");
    }
    let mut player = Player::new(&[], Start::booked());
    player.passcode = None;
    assert_eq!(player.run(&mut Model::new(Some(free()), at(-305))), End::Blocked(Obstacle::PasscodeUnavailable));
    let mut next_one = Player::new(&[], Start::booked());
    next_one.around.slot_busy = true;
    let taken = Model::new(Some(space("Still running", Some(true), None)), at(-305));
    assert_eq!(next_one.run(&mut taken.clone()), End::Settled, "the meeting before is not foreign");
}

#[test]
fn the_door_stays_shut_while_something_is_missing() {
    let mut player = Player::new(&["a@x"], Start::booked());
    player.passcode = None;
    let mut model = Model::new(Some(free()), at(0));
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::PasscodeUnavailable));
    player.passcode = Some(PASSCODE.to_owned().into());
    player.around.slot_busy = true;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SlotBusy));
    player.around.slot_busy = false;
    player.suspended = true;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::Suspended));
    assert!(player.take_log().is_empty(), "not even a look");
    player.suspended = false;
    assert_eq!(player.run(&mut Model::new(None, at(0))), End::Blocked(Obstacle::SpaceMissing));
    assert_eq!(player.take_log(), ["look Space"]);
}

#[test]
fn an_open_door_does_not_need_the_passcode_any_more() {
    let mut player = Player::new(&["a@x"], Start::running(None));
    player.passcode = None;
    let mut model = Model::new(Some(opened()), at(0));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "dial a@x"], "and the meeting goes on");
}

#[test]
fn a_foreign_slot_is_never_taken() {
    for shown in [
        space("Party", Some(true), None),
        space("Party", Some(false), Some("tms")),
        space(PLACEHOLDER, Some(true), None),
    ] {
        let mut player = Player::new(&["a@x"], Start::booked());
        assert_eq!(player.run(&mut Model::new(Some(shown), at(0))), End::Blocked(Obstacle::Foreign));
        assert_eq!(player.take_log(), ["look Space"]);
    }
}

#[test]
fn doubt_and_foreignness_of_a_space() {
    //            name, open, mark, foreign, doubtful
    let table = [
        (PLACEHOLDER, Some(false), None, false, false),
        (PLACEHOLDER, Some(true), None, true, false),
        ("Party", Some(false), None, true, false),
        ("Party", None, None, false, true),
        (PLACEHOLDER, None, None, false, false),
        ("Party", Some(true), Some(OTHER_MARK), false, false),
        ("Party", Some(true), Some("tms"), true, false),
    ];
    for (name, open, tag, foreign, doubtful) in table {
        let shown = space(name, open, tag);
        assert_eq!(
            (is_foreign(&shown, PLACEHOLDER), is_doubtful(&shown, PLACEHOLDER)),
            (foreign, doubtful),
            "{shown:?}"
        );
    }
}

#[test]
fn dialling_begins_at_the_start_and_not_with_the_door() {
    let mut player = Player::new(&["a@x"], Start::booked());
    let mut model = Model::new(Some(free()), at(-60));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "create the call"]);
    model.clock = at(0);
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Legs", "dial a@x"], "somebody may have got them in since");
}

#[test]
fn nobody_is_dialled_where_the_bridge_does_not_allow_it() {
    let mut player = Player::new(&["a@x"], Start::booked());
    player.outgoing = false;
    let mut model = Model::new(Some(free()), at(0));
    player.run(&mut model);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "create the call"]);
}

#[test]
fn a_call_that_is_there_is_adopted_with_the_legs_it_has() {
    let mut model = Model::new(Some(free()), at(0)).with_call("joined", &["a@x"]);
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "look Legs", "dial b@x"]);
    assert_eq!(player.call(), Some(here("joined")));
    assert!(model.wrongs.is_empty());
}

#[test]
fn the_recorded_call_wins_and_else_the_first() {
    let calls = Model::new(None, at(0)).with_call("b", &[]).with_call("a", &[]).seen_calls();
    let calls: Vec<_> = calls.into_iter().rev().collect();
    assert_eq!(pick_call(&calls, Some(&here("b")), at(0)).unwrap().call.id, "b".into());
    assert_eq!(pick_call(&calls, Some(&here("gone")), at(0)).unwrap().call.id, "a".into());
    assert!(pick_call(&[], Some(&here("b")), at(0)).is_none());
}

#[test]
fn a_further_try_is_preceded_by_a_look_as_well() {
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.stored.participants = participants::update(&player.spec, &[], None, None, true);
    let first = &mut player.stored.participants[0];
    (first.attempts, first.last_attempt_at) = (1, Some(Instant(at(0))));
    // The second try was made, but the process died before it was noted.
    let mut model = Model::new(Some(opened()), at(30)).with_call("call", &["a@x"]);
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Legs"]);
    assert!(model.wrongs.is_empty());
}

#[test]
fn a_call_that_vanished_is_made_again_and_who_was_cut_off_is_dialled_again() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    player.run(&mut model);
    for legs in model.calls.values_mut() {
        legs.iter_mut().for_each(|leg| leg.2 = true);
    }
    player.pass(&mut model, true, &mut std::iter::empty());
    for legs in model.calls.values_mut() {
        legs.retain(|(_, party, _)| party != "b@x");
    }
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.participants[1].state, ParticipantState::Left);
    player.take_log();
    model.calls.clear();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.take_log(), ["create the call", "dial a@x"], "who had left is left alone");
}

// ---------------------------------------------------------------------------------------------- drift and extension

#[test]
fn every_change_by_hand_on_our_space_is_put_back() {
    type Change = fn(&mut Space);
    let table: [(&str, Change); 5] = [
        ("shut", |space| space.non_member_access = Some(false)),
        ("renamed", |space| space.name = "Party".to_owned()),
        ("passcode", |space| space.passcode = None),
        ("secret", |space| space.secret = Some("x".to_owned().into())),
        ("mark", |space| space.cdr_tag = None),
    ];
    for (case, change) in table {
        let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
        change(model.space.as_mut().unwrap());
        let mut player = Player::new(&[], Start::running(Some("call")));
        assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Settled));
        assert_eq!(player.take_log(), ["open the space"], "{case}");
        player.pass(&mut model, true, &mut std::iter::empty());
        assert!(player.take_log().is_empty(), "{case}: once is enough");
    }
}

#[test]
fn a_list_item_says_nothing_about_an_open_door() {
    let mut model = Model::new(Some(space("Standup", None, None)), at(10)).with_call("call", &[]);
    let mut player = Player::new(&[], Start::running(Some("call")));
    assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Settled));
    assert!(player.take_log().is_empty());
}

#[test]
fn a_space_that_vanished_from_a_running_meeting_is_told() {
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    let mut model = Model::new(None, at(10)).with_call("call", &[]);
    assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Blocked(Obstacle::SpaceMissing)));
}

#[test]
fn an_extension_is_one_write() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x"], Start::booked());
    player.run(&mut model);
    let before = (model.space.clone().unwrap().secret, model.calls.clone());
    player.take_log();
    player.spec = ScheduledMeetingSpec { duration: None, end: Some(Instant(at(5400))), ..player.spec };
    for swept in [false, true] {
        assert_eq!(player.pass(&mut model, swept, &mut std::iter::empty()), Some(End::Settled));
    }
    assert_eq!(player.take_log(), ["mark the extension on the space"]);
    let secret = |secret: &Option<SecretString>| {
        use secrecy::ExposeSecret;
        secret.as_ref().map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(secret(&model.space.unwrap().secret), secret(&before.0));
    assert_eq!(model.calls, before.1);
    model_is_over_at_the_new_end(&mut player);
}

fn model_is_over_at_the_new_end(player: &mut Player) {
    let mut model = Model::new(Some(opened()), at(5399)).with_call("call-1", &["a@x"]);
    player.run(&mut model);
    assert!(player.take_log().is_empty());
    model.clock = at(5400);
    player.run(&mut model);
    assert_eq!(player.take_log()[0], "shut the space and give it a new secret");
}

// ---------------------------------------------------------------------------------------------- crashes while opening

#[test]
fn an_opening_whose_record_was_lost_is_recorded_by_the_same_write() {
    for fault in [Fault::Crash, Fault::LostReply] {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&[], Start::booked());
        assert_eq!(player.pass(&mut model, false, &mut [fault].into_iter()), None);
        assert!(!player.is_open(), "the door is open, but nobody noted it");
        player.run(&mut model);
        assert!(player.is_open(), "{fault:?}");
    }
}

#[test]
fn what_a_meeting_that_is_gone_left_open_is_cleaned_before_the_next_one_opens() {
    let left = Space { passcode: None, ..space("Yesterday", Some(true), Some(OTHER_MARK)) };
    let mut model = Model::new(Some(left), at(0)).with_call("old", &["stranger@x"]);
    let mut player = Player::new(&["a@x"], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(
        player.take_log(),
        [
            "look Space",
            "look Calls",
            "delete the call",
            "look Calls",
            "shut the space and give it a new secret",
            "look Space",
            "look Calls",
            "open the space",
            "create the call",
            "dial a@x"
        ]
    );
    assert!(!model.calls.contains_key(&"old".into()), "no stranger gets into the new meeting");
}

// ---------------------------------------------------------------------------------------------------------- closing

#[test]
fn closing_shuts_deletes_and_proves() {
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]).with_call("late", &["c@x"]);
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    assert_eq!(player.run(&mut model), End::Released);
    assert_eq!(
        player.take_log(),
        [
            "shut the space and give it a new secret",
            "delete the call",
            "look Release",
            "delete the call",
            "look Release"
        ],
        "the door, the call that is recorded, then whatever else shows up"
    );
    assert!((player.door == Door::Released) && model.calls.is_empty());
    assert_eq!(player.run(&mut model), End::Released);
    assert!(player.take_log().is_empty());
}

#[test]
fn a_door_that_reads_back_open_is_shut_again() {
    let player = Player::new(&[], Start::running(None));
    let calls = Seen::Known(Vec::new());
    let table: [(&str, Option<Space>, Next); 5] = [
        ("still open", Some(opened()), Next::Do(Step::CloseDoor)),
        ("renamed", Some(space("Party", Some(false), None)), Next::Do(Step::CloseDoor)),
        ("listed as renamed", Some(space("Party", None, None)), Next::Do(Step::CloseDoor)),
        ("shut", Some(free()), Next::Rest(End::Released)),
        ("gone", None, Next::Rest(End::Released)),
    ];
    for (case, shown, wanted) in table {
        let facts = MeetingFacts { space: Seen::Known(shown), calls: calls.clone(), ..MeetingFacts::default() };
        let mut shut = player.progress(at(3600));
        shut.door = Door::Shut;
        assert_eq!(next(&shut, &facts, &Around::default(), at(3600)), wanted, "{case}");
    }
    let seen_shut = MeetingFacts { space: Seen::Known(Some(free())), calls, ..MeetingFacts::default() };
    assert_eq!(player.ask(&seen_shut, at(3600)), Next::Do(Step::CloseDoor), "a look is no proof of a new secret");
}

#[test]
fn a_meeting_that_never_opened_costs_nothing() {
    for (leaving, now) in [(true, at(-9999)), (true, at(0)), (false, at(3600))] {
        let mut player = Player::new(&["a@x"], Start::booked());
        player.leaving = leaving;
        assert_eq!(player.run(&mut Model::new(Some(free()), now)), End::Released);
        assert!(player.take_log().is_empty());
    }
}

#[test]
fn leaving_closes_at_any_time_even_when_suspended() {
    for now in [at(-300), at(10), at(9999)] {
        let mut player = Player::new(&[], Start::running(Some("call")));
        (player.leaving, player.suspended) = (true, true);
        let mut model = Model::new(Some(opened()), now).with_call("call", &[]);
        assert_eq!(player.run(&mut model), End::Released);
        assert!((player.door == Door::Released) && model.calls.is_empty());
    }
}

#[test]
fn suspended_meetings_are_left_as_they_are() {
    for (facts, now, wanted) in [
        (Start::running(Some("call")), at(10), End::Blocked(Obstacle::Suspended)),
        (Start::running(Some("call")), at(3600), End::Blocked(Obstacle::Suspended)),
        (Start::booked(), at(0), End::Blocked(Obstacle::Suspended)),
        (Start::booked(), at(3600), End::Released),
        (Start::released(), at(3600), End::Released),
    ] {
        let mut player = Player::new(&["a@x"], facts);
        player.suspended = true;
        assert_eq!(player.run(&mut Model::new(Some(space("Party", Some(true), None)), now)), wanted);
        assert!(player.take_log().is_empty());
    }
}

/// The reach of a bridge that has nothing to do, with a clock that goes on whenever it is asked.
struct Ticking {
    times: std::vec::IntoIter<Timestamp>,
    facts: MeetingFacts,
}

impl Reach<Progress> for Ticking {
    type Abort = ();

    fn now(&self) -> Timestamp {
        self.times.as_slice()[0]
    }
    fn survey(&mut self, _: &Progress, _: Timestamp) -> Survey {
        Survey { call_bridge: here("").call_bridge, lost: None, facts: self.facts.clone() }
    }
    fn around(&mut self, _: &Progress, _: Timestamp) -> Around {
        // The decision is about to be made, and the clock goes on.
        self.times.next();
        Around::default()
    }
    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut MeetingFacts) -> T) -> T {
        use_facts(&mut self.facts)
    }
    async fn look(&mut self, _: &Progress, look: &Look, _: Timestamp) -> Result<Found, Verdict> {
        panic!("{look:?}")
    }
    async fn act(&mut self, _: &Progress, step: &Step, _: Timestamp) -> Result<(Effect, Timestamp), Verdict> {
        panic!("{step}")
    }
    async fn record(&mut self, _: &Progress) -> Result<(), ()> {
        Ok(())
    }
}

#[test]
fn the_end_that_falls_within_a_turn_is_not_taken_for_proof() {
    let player = Player::new(&[], Start::running(Some("call")));
    let model = Model::new(Some(opened()), at(3599)).with_call("call", &[]);
    let mut progress = player.progress(at(3599));
    let facts = MeetingFacts {
        space: Seen::Known(model.space.clone()),
        calls: Seen::Known(model.seen_calls()),
        ..MeetingFacts::default()
    };
    // Open and settled at the reading for the decision; every later reading is after the end.
    let mut reach = Ticking { times: vec![at(3599), at(3600)].into_iter(), facts };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    assert_eq!(progress.door, Door::Open, "nobody shut it");
    let status = crate::status::meeting::build(&progress, &player.stored, Some(1), at(3600));
    assert_eq!(status.phase, Some(Phase::Closing));
}

// ------------------------------------------------------------------------------------------------------- properties

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::None), Just(Fault::Crash), Just(Fault::CrashBefore), Just(Fault::LostReply)]
}

fn any_space() -> impl Strategy<Value = Option<Space>> {
    let name = prop::sample::select(vec![PLACEHOLDER, "Standup", "Party"]);
    let tag = prop::sample::select(vec![None, Some(MARK), Some(OTHER_MARK), Some("tms")]);
    let secret = prop::sample::select(vec![SECRET, "x"]);
    let passcode = prop::sample::select(vec![None, Some(PASSCODE), Some("1")]);
    prop::option::weighted(
        0.9,
        (name, any::<bool>(), tag, secret, passcode).prop_map(|(name, open, tag, secret, passcode)| Space {
            secret: Some(secret.to_owned().into()),
            passcode: passcode.map(|passcode| passcode.to_owned().into()),
            ..space(name, Some(open), tag)
        }),
    )
}

/// What others do while nobody of us looks.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Few are made, in tests only.
enum Event {
    Answer(usize),
    HangUp(usize),
    CallEnds,
    HandEdit(Option<Space>),
    Wait(i64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_usize..3).prop_map(Event::Answer),
        (0_usize..3).prop_map(Event::HangUp),
        Just(Event::CallEnds),
        any_space().prop_filter("the space stays", Option::is_some).prop_map(Event::HandEdit),
        (1_i64..60).prop_map(Event::Wait),
    ]
}

fn happen(event: Event, model: &mut Model, may_edit: bool) {
    let legs = || ["a@x", "b@x", "c@x"];
    match event {
        Event::Answer(index) => {
            for leg in model.calls.values_mut().flatten().filter(|leg| leg.1 == legs()[index]) {
                leg.2 = true;
            }
        }
        Event::HangUp(index) => {
            for call in model.calls.values_mut() {
                call.retain(|leg| leg.1 != legs()[index]);
            }
        }
        Event::CallEnds => model.calls.clear(),
        Event::HandEdit(space) if may_edit => model.space = space,
        Event::HandEdit(_) => {}
        Event::Wait(secs) => model.clock = model.clock.checked_add(SignedDuration::from_secs(secs)).unwrap(),
    }
}

fn is_as_wanted(model: &Model) -> bool {
    let Some(shown) = &model.space else { return false };
    shown.non_member_access == Some(true)
        && shown.name == "Standup"
        && shown.cdr_tag.as_deref() == Some(MARK)
        && shown.has_secret(&SECRET.to_owned().into())
        && shown.has_passcode(&PASSCODE.to_owned().into())
}

fn is_shut(model: &Model) -> bool {
    let shut = |shown: &Space| {
        shown.non_member_access == Some(false)
            && shown.name == PLACEHOLDER
            && shown.cdr_tag.is_none()
            && !shown.has_secret(&SECRET.to_owned().into())
    };
    model.calls.is_empty() && model.space.as_ref().is_none_or(shut)
}

// ------------------------------------------------------------------------------------------------ a lost call bridge

fn in_at(party: &str, state: LegState) -> SeenLeg {
    SeenLeg {
        id: "participant-1".into(),
        remote_party: party.to_owned(),
        original_remote_party: None,
        state: Some(state),
        direction: None,
        is_named: true,
        was_answered: false,
    }
}

/// A running meeting whose call bridge was just lost: its call is given up, `parties` were connected through it.
fn bereft(parties: &[&str]) -> Player {
    let mut player = Player::new(parties, Start::running(None));
    player.stored.participants = participants::update(&player.spec, &[], None, None, true);
    for status in &mut player.stored.participants {
        (status.state, status.attempts, status.leg_id) = (ParticipantState::Connected, 1, Some("old".to_owned()));
    }
    participants::after_call_lost(&mut player.stored.participants, Some("lost.test:445"));
    player
}

#[test]
fn who_is_still_in_through_a_lost_bridge_is_not_dialled_again() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x", "b@x"]);
    player.on_lost_bridge.legs = vec![in_at("sip:A@x", LegState::Connected)];
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "look OnLostBridge", "dial b@x"]);
    let states: Vec<_> = player.stored.participants.iter().map(|p| (p.state, p.call_bridge.is_some())).collect();
    assert_eq!(states, [(ParticipantState::Connected, true), (ParticipantState::Ringing, false)]);
    // As long as they are, each pass that could dial asks again; then they are dialled.
    player.on_lost_bridge.legs.clear();
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look OnLostBridge", "look Legs", "dial a@x"]);
}

#[test]
fn who_still_rings_there_is_not_rung_here() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x"]);
    player.on_lost_bridge.legs = vec![in_at("a@x", LegState::Ringing)];
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "look OnLostBridge"]);
    assert_eq!(player.stored.participants[0].state, ParticipantState::Ringing);
}

#[test]
fn who_leaves_a_call_bridge_that_is_back_is_left_alone() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call-2", &[]);
    let mut player = bereft(&["a@x"]);
    player.stored.call = Start::running(Some("call-2")).0.call;
    player.on_lost_bridge.recovered_with_call = vec!["lost.test:445".parse().unwrap()];
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look OnLostBridge"]);
    assert_eq!(player.stored.participants[0].state, ParticipantState::Left);
}

#[test]
fn a_crash_before_the_question_does_not_lose_it() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x"]);
    player.on_lost_bridge.legs = vec![in_at("a@x", LegState::Connected)];
    assert!(player.pass(&mut model, false, &mut [Fault::Crash].into_iter()).is_none());
    player.take_log();
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "look OnLostBridge"], "the call is adopted, nobody is dialled");
}

#[test]
fn a_meeting_that_is_to_be_left_alone_is_blocked() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = Player::new(&["a@x"], Start::running(Some("call-1")));
    player.left_alone = true;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::CallBridgeLost));
    assert!(player.take_log().is_empty());
    player.leaving = true;
    player.stored.call = None;
    assert_eq!(player.run(&mut model), End::Released, "the end is the end all the same");
}

#[test]
fn an_empty_call_that_was_left_behind_is_removed_once_the_meeting_has_its_own() {
    let mut player = Player::new(&[], Start::running(Some("call-1")));
    let call = Call { id: "call-0".into(), name: String::new(), space: None, correlator: None, duration: None };
    let placed = PlacedCall { call_bridge: "lost.test:445".parse().unwrap(), call, began: Some(at(1)) };
    let left = |is_empty, began| {
        let orphan = OrphanCall { call: PlacedCall { began, ..placed.clone() }, is_empty };
        MeetingFacts { orphan_calls: vec![orphan], ..MeetingFacts::default() }
    };
    let gone = Next::Do(Step::DeleteCall(placed.at()));
    assert_eq!(player.ask(&left(true, Some(at(1))), at(10)), gone);
    assert_eq!(player.ask(&left(false, Some(at(1))), at(10)), Next::Rest(End::Settled), "its people stay");
    assert_eq!(player.ask(&left(false, None), at(10)), Next::Rest(End::Settled));
    assert_eq!(player.ask(&left(false, Some(at(-6000))), at(10)), gone, "people of an earlier meeting");
    player.stored.call = None;
    assert_eq!(player.ask(&left(true, None), at(10)), Next::Look(Look::Calls));
}

#[test]
fn a_call_that_an_earlier_meeting_left_is_not_adopted() {
    let mut model = Model::new(Some(free()), at(0)).with_call("old", &["stranger@x"]);
    model.began = Some(at(-600));
    let mut player = Player::new(&[], Start::booked());
    assert!(player.pass(&mut model, false, &mut std::iter::empty()).is_some());
    let log = player.take_log();
    assert_eq!(log[..4], ["look Space", "open the space", "look Calls", "delete the call"]);
    assert!(!model.calls.contains_key(&CallId::from("old")));
    // One that began with this meeting is: its reply was lost, or somebody was quick.
    let mut model = Model::new(Some(free()), at(0)).with_call("quick", &[]);
    model.began = Some(at(0));
    let mut player = Player::new(&[], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.call(), Some(here("quick")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever crashes and whichever reply is lost, whoever answers, hangs up or edits: door, call and legs come to be
    /// as wanted, without a second call and without a second ring; then nothing more is done.
    #[test]
    fn a_meeting_opens_once_whatever_fails(
        faults in prop::collection::vec(any_fault(), 0..12),
        passes in prop::collection::vec((any::<bool>(), prop::option::of(any_event())), 0..12),
    ) {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&["a@x", "b@x", "c@x"], Start::booked());
        let mut faults = faults.into_iter();
        for (swept, event) in passes {
            player.pass(&mut model, swept, &mut faults);
            if let Some(event) = event {
                let may_edit = player.is_open();
                happen(event, &mut model, may_edit);
            }
        }
        for _ in 0..3 {
            prop_assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Settled));
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert!(is_as_wanted(&model), "{:?}", model.space);
        prop_assert_eq!(model.calls.len(), 1);
        prop_assert!(player.is_open() && player.call().is_some_and(|call| model.calls.contains_key(&call.id)));
        for status in &player.stored.participants {
            let there = model.calls.values().flatten().any(|leg| leg.1 == status.remote_party);
            let wanted = match status.state {
                ParticipantState::Ringing | ParticipantState::Connected => there,
                // Rang in vain; the next try waits for its back-off.
                ParticipantState::Waiting => !there && status.attempts > 0,
                ParticipantState::Left | ParticipantState::Failed => !there,
                ParticipantState::NotDialed => false,
            };
            prop_assert!(wanted, "{status:?}");
        }
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty(), "a settled meeting wants {:?}", player.log);
    }

    /// Without events from outside there is exactly one call and one ring for each, at whichever writes it crashes.
    #[test]
    fn each_call_and_each_ring_happens_once(
        faults in prop::collection::vec(any_fault(), 0..12),
        swept in prop::collection::vec(any::<bool>(), 16),
    ) {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&["a@x", "b@x"], Start::booked());
        let mut faults = faults.into_iter();
        for swept in swept {
            player.pass(&mut model, swept, &mut faults);
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert_eq!(model.calls_made, 1);
        prop_assert_eq!(model.calls.values().flatten().count(), 2);
        prop_assert!(player.stored.participants.iter().all(|status| status.attempts == 1));
    }

    /// From any state of the slot: a foreign one is not touched, any other is opened, and nobody of an earlier meeting
    /// is in the new one.
    #[test]
    fn any_slot_is_opened_or_left_alone(
        shown in any_space(), old_call in any::<bool>(), swept in any::<bool>(),
        fault in any_fault(), index in 0_usize..6,
    ) {
        let stale = shown.as_ref().is_some_and(|shown| shown.cdr_tag.as_deref() == Some(OTHER_MARK));
        let foreign = shown.as_ref().is_some_and(|shown| is_foreign(shown, PLACEHOLDER));
        let mut model = Model::new(shown.clone(), at(0));
        if old_call {
            model = model.with_call("old", &["stranger@x"]);
        }
        let mut player = Player::new(&["a@x"], Start::booked());
        let mut faults = std::iter::repeat_n(Fault::None, index).chain([fault]);
        player.pass(&mut model, swept, &mut faults);
        let end = player.pass(&mut model, swept, &mut std::iter::empty());
        if shown.is_none() {
            prop_assert_eq!(end, Some(End::Blocked(Obstacle::SpaceMissing)));
        } else if foreign {
            prop_assert_eq!(end, Some(End::Blocked(Obstacle::Foreign)));
            prop_assert!(player.log.iter().all(|line| line.starts_with("look")), "{:?}", player.log);
        } else {
            prop_assert_eq!(end, Some(End::Settled));
            prop_assert!(is_as_wanted(&model) && model.wrongs.is_empty(), "{:?}", model);
            prop_assert_eq!(model.calls.len(), 1);
            prop_assert!(!stale || !model.calls.contains_key(&"old".into()), "a stranger is in the meeting");
        }
    }

    /// From any state, at whichever writes it crashes: a meeting that may have been open ends shut, without a call.
    #[test]
    fn a_meeting_ends_shut_whatever_fails(
        shown in any_space(),
        facts in prop_oneof![Just(Start::running(None)), Just(Start::running(Some("call"))),
                             Just(Start::intended())],
        calls in prop::sample::subsequence(vec!["call", "other", "third"], 0..=3),
        faults in prop::collection::vec(any_fault(), 0..6),
        leaving in any::<bool>(),
        reopened in any::<bool>(),
    ) {
        let mut model = Model::new(shown, if leaving { at(10) } else { at(3600) });
        for call in calls {
            model = model.with_call(call, &["a@x"]);
        }
        if model.space.is_none() {
            return Ok(()); // The write says so, and the controller takes that for the end.
        }
        let mut player = Player::new(&["a@x"], facts);
        player.leaving = leaving;
        let mut faults = faults.into_iter();
        for turn in 0..8 {
            player.pass(&mut model, turn % 2 == 0, &mut faults);
            if turn == 0 && reopened && !(player.door == Door::Released) {
                model.space = Some(opened());
            }
        }
        prop_assert!((player.door == Door::Released) && is_shut(&model), "{:?}", model);
        prop_assert!(!player.log.iter().any(|line| line.starts_with("dial") || line.starts_with("create")));
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty());
    }
}
