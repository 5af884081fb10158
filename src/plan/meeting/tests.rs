//! Table tests for each rule, and properties over a small model of a bridge that carries the steps out.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::api::meeting::ParticipantState;
use crate::api::values::Instant;
use crate::cms::CallId;
use crate::cms::LegState;
use crate::plan::participants::SeenLeg;

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
        auto_generated: Some(false),
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

/// What the controller keeps of a meeting. Everything that is in a status survives a crash, nothing else does.
#[derive(Clone, Debug)]
struct Facts {
    may_be_open: bool,
    opened: bool,
    released: bool,
    call: Option<CallAt>,
    participants: Vec<ParticipantStatus>,
    /// The end that the bridge was last told.
    told: Timestamp,
}

impl Facts {
    fn new() -> Self {
        Self {
            may_be_open: false,
            opened: false,
            released: false,
            call: None,
            participants: Vec::new(),
            told: at(3600),
        }
    }

    fn running(call: Option<&str>) -> Self {
        Self { may_be_open: true, opened: true, call: call.map(here), ..Self::new() }
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
            named: answered,
            answered,
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

/// Plays the part of the controller: asks the plan, looks, writes, works the outcome in.
struct Player {
    spec: ScheduledMeetingSpec,
    passcode: Option<SecretString>,
    secret: SecretString,
    facts: Facts,
    /// As in the status.
    stored: Facts,
    leaving: bool,
    suspended: bool,
    slot_busy: bool,
    outgoing: bool,
    left_alone: bool,
    /// Who is in through another call bridge.
    elsewhere: Elsewhere,
    log: Vec<String>,
}

impl Player {
    fn new(parties: &[&str], facts: Facts) -> Self {
        Self {
            spec: spec(parties),
            passcode: Some(PASSCODE.to_owned().into()),
            secret: SECRET.to_owned().into(),
            stored: facts.clone(),
            facts,
            leaving: false,
            suspended: false,
            slot_busy: false,
            outgoing: true,
            left_alone: false,
            elsewhere: Elsewhere::default(),
            log: Vec::new(),
        }
    }

    fn ask(&self, world: &World, shut_now: bool, call_is_new: bool, now: Timestamp) -> Next {
        let window = Window::of(&self.spec, None);
        let meeting = Meeting {
            spec: &self.spec,
            window,
            mark: MARK,
            placeholder: PLACEHOLDER,
            leaving: self.leaving,
            suspended: self.suspended,
            may_be_open: self.facts.may_be_open,
            opened: self.facts.opened,
            released: self.facts.released,
            slot_busy: self.slot_busy,
            extended: self.facts.opened && self.facts.told < window.closes_at,
            passcode: self.passcode.as_ref(),
            secret: Some(&self.secret),
            outgoing: self.outgoing,
            participants: &self.facts.participants,
            call: self.facts.call.as_ref(),
            left_alone: self.left_alone,
            shut_now,
            call_is_new,
        };
        next(&meeting, world, now)
    }

    /// One pass. `swept`: what a sweep shows is at hand. None: the process died.
    fn pass(&mut self, model: &mut Model, swept: bool, faults: &mut dyn Iterator<Item = Fault>) -> Option<Next> {
        model.tick();
        let mut world = World::default();
        if swept {
            world.space = Seen::Known(model.space.clone());
            world.calls = Seen::Known(model.seen_calls());
            if self.facts.call.is_some() {
                world.legs = Seen::Known(model.seen_legs(self.facts.call.as_ref()));
            }
            model.tick();
        }
        let (mut shut_now, mut call_is_new) = (false, false);
        for _ in 0..40 {
            self.digest(&mut world, call_is_new, model.clock);
            match self.ask(&world, shut_now, call_is_new, model.clock) {
                Next::Look(look) => {
                    self.log.push(format!("look {look:?}"));
                    model.tick();
                    match look {
                        Look::Space => world.space = Seen::Known(model.space.clone()),
                        Look::Calls => world.calls = Seen::Known(model.seen_calls()),
                        Look::Legs if model.has(self.facts.call.as_ref()) => {
                            world.legs = Seen::Known(model.seen_legs(self.facts.call.as_ref()));
                        }
                        Look::Elsewhere => world.elsewhere = Seen::Known(self.elsewhere.clone()),
                        // "There is no such call": that says nothing about others on the space.
                        Look::Legs => self.lose_call(&mut world),
                        Look::Release => {
                            world.space = Seen::Known(model.space.clone());
                            world.calls = Seen::Known(model.seen_calls());
                        }
                    }
                    model.tick();
                }
                Next::Do(step) => {
                    if !self.facts.may_be_open {
                        self.facts.may_be_open = true;
                        self.stored = self.facts.clone();
                    }
                    let fault = faults.next().unwrap_or(Fault::None);
                    if fault == Fault::CrashBefore {
                        self.facts = self.stored.clone();
                        return None;
                    }
                    self.log.push(step.to_string());
                    let made = model.act(&step, &self.spec.title, self.facts.call.as_ref());
                    match fault {
                        Fault::Crash => {
                            self.facts = self.stored.clone();
                            return None;
                        }
                        Fault::LostReply => {
                            if let Step::Dial(party) = &step {
                                self.note_dialled(party, None, model.clock);
                            }
                            self.stored = self.facts.clone();
                            return None;
                        }
                        Fault::None | Fault::CrashBefore => {}
                    }
                    let Some(made) = made else {
                        assert!(matches!(step, Step::Dial(_)), "{step} on something that is not there");
                        self.lose_call(&mut world);
                        continue;
                    };
                    match &step {
                        Step::OpenDoor | Step::MarkExtension => {
                            self.facts.opened = true;
                            self.facts.told = Window::of(&self.spec, None).closes_at;
                            world.space = Seen::Unknown;
                        }
                        Step::CloseDoor => {
                            shut_now = true;
                            world.space = Seen::Unknown;
                            world.calls = Seen::Unknown;
                        }
                        Step::CreateCall => {
                            call_is_new = true;
                            self.facts.call = made.as_deref().map(here);
                            world.calls = Seen::Unknown;
                            world.legs = Seen::Unknown;
                        }
                        Step::DeleteCall(id) => {
                            if self.facts.call.as_ref() == Some(id) {
                                self.facts.call = None;
                            }
                            world.calls = Seen::Unknown;
                        }
                        Step::Dial(party) => self.note_dialled(party, made, model.clock),
                    }
                }
                end => {
                    if end == Next::Settled && self.is_over(model.clock) && self.facts.may_be_open {
                        self.facts.released = true;
                    }
                    self.stored = self.facts.clone();
                    return Some(end);
                }
            }
        }
        panic!("no end: {:?}", self.log);
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.leaving || Window::of(&self.spec, None).stage(now) == Stage::Over
    }

    fn digest(&mut self, world: &mut World, call_is_new: bool, now: Timestamp) {
        if let Seen::Known(calls) = world.calls.clone() {
            match pick_call(&calls, self.facts.call.as_ref(), at(0)) {
                Some(call) if self.facts.call.as_ref() != Some(&call.at()) => {
                    if self.facts.call.is_some() && !call_is_new {
                        participants::after_call_lost(&mut self.facts.participants, None);
                    }
                    self.facts.call = Some(call.at());
                    // What was seen are the legs of another call.
                    world.legs = Seen::Unknown;
                }
                None if self.facts.call.is_some() && !self.is_over(now) => {
                    self.lose_call(world);
                    world.calls = Seen::Known(Vec::new());
                }
                _ => {}
            }
        }
        let seen = world.legs.known().filter(|_| self.facts.call.is_some() && !self.is_over(now));
        let elsewhere = world.elsewhere.known();
        self.facts.participants =
            participants::update(&self.spec, &self.facts.participants, seen, elsewhere, self.outgoing);
    }

    fn lose_call(&mut self, world: &mut World) {
        participants::after_call_lost(&mut self.facts.participants, None);
        self.facts.call = None;
        world.calls = Seen::Unknown;
        world.legs = Seen::Unknown;
    }

    fn note_dialled(&mut self, party: &str, leg: Option<String>, now: Timestamp) {
        let status = self.facts.participants.iter_mut().find(|status| status.remote_party == party).unwrap();
        status.attempts += 1;
        status.state = ParticipantState::Ringing;
        status.leg_id = leg;
        status.last_attempt_at = Some(Instant(now));
    }

    fn run(&mut self, model: &mut Model) -> Next {
        self.pass(model, false, &mut std::iter::empty()).unwrap()
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

// ---------------------------------------------------------------------------------------------------------- opening

#[test]
fn opening_goes_door_call_legs_with_a_look_before_each_post() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x", "b@x"], Facts::new());
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(
        player.take_log(),
        ["look Space", "open the space", "look Calls", "create the call", "dial a@x", "dial b@x"],
        "no look at the legs of a call that is brand new"
    );
    assert!(model.space.as_ref().unwrap().has_secret(&player.secret));
    assert_eq!(player.run(&mut model), Next::Settled);
    assert!(player.take_log().is_empty(), "a settled meeting costs nothing");
}

#[test]
fn before_the_window_nothing_is_asked() {
    let mut player = Player::new(&["a@x"], Facts::new());
    let mut model = Model::new(None, at(-311));
    assert_eq!(player.run(&mut model), Next::Settled);
    assert!(player.take_log().is_empty());
}

#[test]
fn preparing_finds_out_what_can_go_wrong() {
    let foreign = space("Party", Some(false), None);
    let open = space(PLACEHOLDER, Some(true), None);
    let table: [(&str, Option<Space>, Next); 6] = [
        ("missing", None, Next::Blocked(Obstacle::SpaceMissing)),
        ("renamed", Some(foreign), Next::Blocked(Obstacle::Foreign)),
        ("opened", Some(open), Next::Blocked(Obstacle::Foreign)),
        ("free", Some(free()), Next::Settled),
        ("listed only", Some(space(PLACEHOLDER, None, None)), Next::Settled),
        ("ours already", Some(opened()), Next::Settled),
    ];
    for (case, shown, wanted) in table {
        let mut player = Player::new(&["a@x"], Facts::new());
        assert_eq!(player.run(&mut Model::new(shown, at(-305))), wanted, "{case}");
        assert_eq!(player.take_log(), ["look Space"], "{case}: nothing is written before the instant");
    }
    let mut player = Player::new(&[], Facts::new());
    player.passcode = None;
    assert_eq!(player.run(&mut Model::new(Some(free()), at(-305))), Next::Blocked(Obstacle::PasscodeUnavailable));
    let mut next_one = Player::new(&[], Facts::new());
    next_one.slot_busy = true;
    let taken = Model::new(Some(space("Still running", Some(true), None)), at(-305));
    assert_eq!(next_one.run(&mut taken.clone()), Next::Settled, "the meeting before is not foreign");
}

#[test]
fn the_door_stays_shut_while_something_is_missing() {
    let mut player = Player::new(&["a@x"], Facts::new());
    player.passcode = None;
    let mut model = Model::new(Some(free()), at(0));
    assert_eq!(player.run(&mut model), Next::Blocked(Obstacle::PasscodeUnavailable));
    player.passcode = Some(PASSCODE.to_owned().into());
    player.slot_busy = true;
    assert_eq!(player.run(&mut model), Next::Blocked(Obstacle::SlotBusy));
    player.slot_busy = false;
    player.suspended = true;
    assert_eq!(player.run(&mut model), Next::Blocked(Obstacle::Suspended));
    assert!(player.take_log().is_empty(), "not even a look");
    player.suspended = false;
    assert_eq!(player.run(&mut Model::new(None, at(0))), Next::Blocked(Obstacle::SpaceMissing));
    assert_eq!(player.take_log(), ["look Space"]);
}

#[test]
fn an_open_door_does_not_need_the_passcode_any_more() {
    let mut player = Player::new(&["a@x"], Facts::running(None));
    player.passcode = None;
    let mut model = Model::new(Some(opened()), at(0));
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "dial a@x"], "and the meeting goes on");
}

#[test]
fn a_foreign_slot_is_never_taken() {
    for shown in [
        space("Party", Some(true), None),
        space("Party", Some(false), Some("tms")),
        space(PLACEHOLDER, Some(true), None),
    ] {
        let mut player = Player::new(&["a@x"], Facts::new());
        assert_eq!(player.run(&mut Model::new(Some(shown), at(0))), Next::Blocked(Obstacle::Foreign));
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
    let mut player = Player::new(&["a@x"], Facts::new());
    let mut model = Model::new(Some(free()), at(-60));
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "create the call"]);
    model.clock = at(0);
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Legs", "dial a@x"], "somebody may have got them in since");
}

#[test]
fn nobody_is_dialled_where_the_bridge_does_not_allow_it() {
    let mut player = Player::new(&["a@x"], Facts::new());
    player.outgoing = false;
    let mut model = Model::new(Some(free()), at(0));
    player.run(&mut model);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "create the call"]);
}

#[test]
fn a_call_that_is_there_is_adopted_with_the_legs_it_has() {
    let mut model = Model::new(Some(free()), at(0)).with_call("joined", &["a@x"]);
    let mut player = Player::new(&["a@x", "b@x"], Facts::new());
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "look Legs", "dial b@x"]);
    assert_eq!(player.facts.call, Some(here("joined")));
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
    let mut player = Player::new(&["a@x"], Facts::running(Some("call")));
    player.facts.participants = participants::update(&player.spec, &[], None, None, true);
    player.note_dialled("a@x", None, at(0));
    player.facts.participants[0].state = ParticipantState::Waiting;
    // The second try was made, but the process died before it was noted.
    let mut model = Model::new(Some(opened()), at(30)).with_call("call", &["a@x"]);
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Legs"]);
    assert!(model.wrongs.is_empty());
}

#[test]
fn a_call_that_vanished_is_made_again_and_who_was_cut_off_is_dialled_again() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x", "b@x"], Facts::new());
    player.run(&mut model);
    for legs in model.calls.values_mut() {
        legs.iter_mut().for_each(|leg| leg.2 = true);
    }
    player.pass(&mut model, true, &mut std::iter::empty());
    for legs in model.calls.values_mut() {
        legs.retain(|(_, party, _)| party != "b@x");
    }
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.facts.participants[1].state, ParticipantState::Left);
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
        let mut player = Player::new(&[], Facts::running(Some("call")));
        assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(Next::Settled));
        assert_eq!(player.take_log(), ["open the space"], "{case}");
        player.pass(&mut model, true, &mut std::iter::empty());
        assert!(player.take_log().is_empty(), "{case}: once is enough");
    }
}

#[test]
fn a_list_item_says_nothing_about_an_open_door() {
    let mut model = Model::new(Some(space("Standup", None, None)), at(10)).with_call("call", &[]);
    let mut player = Player::new(&[], Facts::running(Some("call")));
    assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(Next::Settled));
    assert!(player.take_log().is_empty());
}

#[test]
fn a_space_that_vanished_from_a_running_meeting_is_told() {
    let mut player = Player::new(&["a@x"], Facts::running(Some("call")));
    let mut model = Model::new(None, at(10)).with_call("call", &[]);
    assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(Next::Blocked(Obstacle::SpaceMissing)));
}

#[test]
fn an_extension_is_one_write() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x"], Facts::new());
    player.run(&mut model);
    let before = (model.space.clone().unwrap().secret, model.calls.clone());
    player.take_log();
    player.spec = ScheduledMeetingSpec { duration: None, end: Some(Instant(at(5400))), ..player.spec };
    for swept in [false, true] {
        assert_eq!(player.pass(&mut model, swept, &mut std::iter::empty()), Some(Next::Settled));
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
        let mut player = Player::new(&[], Facts::new());
        assert_eq!(player.pass(&mut model, false, &mut [fault].into_iter()), None);
        assert!(!player.facts.opened, "the door is open, but nobody noted it");
        player.run(&mut model);
        assert!(player.facts.opened, "{fault:?}");
    }
}

#[test]
fn what_a_meeting_that_is_gone_left_open_is_cleaned_before_the_next_one_opens() {
    let left = Space { passcode: None, ..space("Yesterday", Some(true), Some(OTHER_MARK)) };
    let mut model = Model::new(Some(left), at(0)).with_call("old", &["stranger@x"]);
    let mut player = Player::new(&["a@x"], Facts::new());
    assert_eq!(player.run(&mut model), Next::Settled);
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
    let mut player = Player::new(&["a@x"], Facts::running(Some("call")));
    assert_eq!(player.run(&mut model), Next::Settled);
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
    assert!(player.facts.released && model.calls.is_empty());
    assert_eq!(player.run(&mut model), Next::Settled);
    assert!(player.take_log().is_empty());
}

#[test]
fn a_door_that_reads_back_open_is_shut_again() {
    let player = Player::new(&[], Facts::running(None));
    let calls = Seen::Known(Vec::new());
    let table: [(&str, Option<Space>, Next); 5] = [
        ("still open", Some(opened()), Next::Do(Step::CloseDoor)),
        ("renamed", Some(space("Party", Some(false), None)), Next::Do(Step::CloseDoor)),
        ("listed as renamed", Some(space("Party", None, None)), Next::Do(Step::CloseDoor)),
        ("shut", Some(free()), Next::Settled),
        ("gone", None, Next::Settled),
    ];
    for (case, shown, wanted) in table {
        let world = World { space: Seen::Known(shown), calls: calls.clone(), ..World::default() };
        assert_eq!(player.ask(&world, true, false, at(3600)), wanted, "{case}");
    }
    let seen_open = World { space: Seen::Known(Some(free())), calls, ..World::default() };
    assert_eq!(
        player.ask(&seen_open, false, false, at(3600)),
        Next::Do(Step::CloseDoor),
        "a look is no proof of a new secret"
    );
}

#[test]
fn a_meeting_that_never_opened_costs_nothing() {
    for (leaving, now) in [(true, at(-9999)), (true, at(0)), (false, at(3600))] {
        let mut player = Player::new(&["a@x"], Facts::new());
        player.leaving = leaving;
        assert_eq!(player.run(&mut Model::new(Some(free()), now)), Next::Settled);
        assert!(player.take_log().is_empty());
    }
}

#[test]
fn leaving_closes_at_any_time_even_when_suspended() {
    for now in [at(-300), at(10), at(9999)] {
        let mut player = Player::new(&[], Facts::running(Some("call")));
        (player.leaving, player.suspended) = (true, true);
        let mut model = Model::new(Some(opened()), now).with_call("call", &[]);
        assert_eq!(player.run(&mut model), Next::Settled);
        assert!(player.facts.released && model.calls.is_empty());
    }
}

#[test]
fn suspended_meetings_are_left_as_they_are() {
    for (facts, now, wanted) in [
        (Facts::running(Some("call")), at(10), Next::Blocked(Obstacle::Suspended)),
        (Facts::running(Some("call")), at(3600), Next::Blocked(Obstacle::Suspended)),
        (Facts::new(), at(0), Next::Blocked(Obstacle::Suspended)),
        (Facts::new(), at(3600), Next::Settled),
        (Facts { released: true, ..Facts::running(None) }, at(3600), Next::Settled),
    ] {
        let mut player = Player::new(&["a@x"], facts);
        player.suspended = true;
        assert_eq!(player.run(&mut Model::new(Some(space("Party", Some(true), None)), now)), wanted);
        assert!(player.take_log().is_empty());
    }
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
        named: true,
        answered: false,
    }
}

/// A running meeting whose call bridge was just lost: its call is given up, `parties` were connected through it.
fn bereft(parties: &[&str]) -> Player {
    let mut player = Player::new(parties, Facts::running(None));
    player.facts.participants = participants::update(&player.spec, &[], None, None, true);
    for status in &mut player.facts.participants {
        (status.state, status.attempts, status.leg_id) = (ParticipantState::Connected, 1, Some("old".to_owned()));
    }
    participants::after_call_lost(&mut player.facts.participants, Some("lost.test:445"));
    player.stored = player.facts.clone();
    player
}

#[test]
fn who_is_still_in_through_a_lost_bridge_is_not_dialled_again() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x", "b@x"]);
    player.elsewhere.legs = vec![in_at("sip:A@x", LegState::Connected)];
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "look Elsewhere", "dial b@x"]);
    let states: Vec<_> = player.facts.participants.iter().map(|p| (p.state, p.call_bridge.is_some())).collect();
    assert_eq!(states, [(ParticipantState::Connected, true), (ParticipantState::Ringing, false)]);
    // As long as they are, each pass that could dial asks again; then they are dialled.
    player.elsewhere.legs.clear();
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Elsewhere", "look Legs", "dial a@x"]);
}

#[test]
fn who_still_rings_there_is_not_rung_here() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x"]);
    player.elsewhere.legs = vec![in_at("a@x", LegState::Ringing)];
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "look Elsewhere"]);
    assert_eq!(player.facts.participants[0].state, ParticipantState::Ringing);
}

#[test]
fn who_leaves_a_call_bridge_that_is_back_is_left_alone() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call-2", &[]);
    let mut player = bereft(&["a@x"]);
    player.facts.call = Some(here("call-2"));
    player.elsewhere.standing = vec!["lost.test:445".parse().unwrap()];
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Elsewhere"]);
    assert_eq!(player.facts.participants[0].state, ParticipantState::Left);
}

#[test]
fn a_crash_before_the_question_does_not_lose_it() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x"]);
    player.elsewhere.legs = vec![in_at("a@x", LegState::Connected)];
    assert!(player.pass(&mut model, false, &mut [Fault::Crash].into_iter()).is_none());
    player.take_log();
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.take_log(), ["look Calls", "look Elsewhere"], "the call is adopted, nobody is dialled");
}

#[test]
fn a_meeting_that_is_to_be_left_alone_is_blocked() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = Player::new(&["a@x"], Facts::running(Some("call-1")));
    player.left_alone = true;
    assert_eq!(player.run(&mut model), Next::Blocked(Obstacle::CallBridgeLost));
    assert!(player.take_log().is_empty());
    player.leaving = true;
    player.facts.call = None;
    assert_eq!(player.run(&mut model), Next::Settled, "the end is the end all the same");
}

#[test]
fn an_empty_call_that_was_left_behind_is_removed_once_the_meeting_has_its_own() {
    let mut player = Player::new(&[], Facts::running(Some("call-1")));
    let call = Call { id: "call-0".into(), name: String::new(), space: None, correlator: None, duration: None };
    let placed = PlacedCall { call_bridge: "lost.test:445".parse().unwrap(), call, began: Some(at(1)) };
    let left = |empty, began| {
        let stray = Stray { call: PlacedCall { began, ..placed.clone() }, empty };
        World { strays: vec![stray], ..World::default() }
    };
    let gone = Next::Do(Step::DeleteCall(placed.at()));
    assert_eq!(player.ask(&left(true, Some(at(1))), false, false, at(10)), gone);
    assert_eq!(player.ask(&left(false, Some(at(1))), false, false, at(10)), Next::Settled, "its people stay");
    assert_eq!(player.ask(&left(false, None), false, false, at(10)), Next::Settled);
    assert_eq!(player.ask(&left(false, Some(at(-6000))), false, false, at(10)), gone, "people of an earlier meeting");
    player.facts.call = None;
    assert_eq!(player.ask(&left(true, None), false, false, at(10)), Next::Look(Look::Calls));
}

#[test]
fn a_call_that_an_earlier_meeting_left_is_not_adopted() {
    let mut model = Model::new(Some(free()), at(0)).with_call("old", &["stranger@x"]);
    model.began = Some(at(-600));
    let mut player = Player::new(&[], Facts::new());
    assert!(player.pass(&mut model, false, &mut std::iter::empty()).is_some());
    let log = player.take_log();
    assert_eq!(log[..4], ["look Space", "open the space", "look Calls", "delete the call"]);
    assert!(!model.calls.contains_key(&CallId::from("old")));
    // One that began with this meeting is: its reply was lost, or somebody was quick.
    let mut model = Model::new(Some(free()), at(0)).with_call("quick", &[]);
    model.began = Some(at(0));
    let mut player = Player::new(&[], Facts::new());
    assert_eq!(player.run(&mut model), Next::Settled);
    assert_eq!(player.facts.call, Some(here("quick")));
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
        let mut player = Player::new(&["a@x", "b@x", "c@x"], Facts::new());
        let mut faults = faults.into_iter();
        for (swept, event) in passes {
            player.pass(&mut model, swept, &mut faults);
            if let Some(event) = event {
                let may_edit = player.facts.opened;
                happen(event, &mut model, may_edit);
            }
        }
        for _ in 0..3 {
            prop_assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(Next::Settled));
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert!(is_as_wanted(&model), "{:?}", model.space);
        prop_assert_eq!(model.calls.len(), 1);
        prop_assert!(player.facts.opened && player.facts.call.as_ref().is_some_and(|call| model.calls.contains_key(&call.id)));
        for status in &player.facts.participants {
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
        let mut player = Player::new(&["a@x", "b@x"], Facts::new());
        let mut faults = faults.into_iter();
        for swept in swept {
            player.pass(&mut model, swept, &mut faults);
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert_eq!(model.calls_made, 1);
        prop_assert_eq!(model.calls.values().flatten().count(), 2);
        prop_assert!(player.facts.participants.iter().all(|status| status.attempts == 1));
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
        let mut player = Player::new(&["a@x"], Facts::new());
        let mut faults = std::iter::repeat_n(Fault::None, index).chain([fault]);
        player.pass(&mut model, swept, &mut faults);
        let end = player.pass(&mut model, swept, &mut std::iter::empty());
        if shown.is_none() {
            prop_assert_eq!(end, Some(Next::Blocked(Obstacle::SpaceMissing)));
        } else if foreign {
            prop_assert_eq!(end, Some(Next::Blocked(Obstacle::Foreign)));
            prop_assert!(player.log.iter().all(|line| line.starts_with("look")), "{:?}", player.log);
        } else {
            prop_assert_eq!(end, Some(Next::Settled));
            prop_assert!(is_as_wanted(&model) && model.wrongs.is_empty(), "{:?}", model);
            prop_assert_eq!(model.calls.len(), 1);
            prop_assert!(!stale || !model.calls.contains_key(&"old".into()), "a stranger is in the meeting");
        }
    }

    /// From any state, at whichever writes it crashes: a meeting that may have been open ends shut, without a call.
    #[test]
    fn a_meeting_ends_shut_whatever_fails(
        shown in any_space(),
        facts in prop_oneof![Just(Facts::running(None)), Just(Facts::running(Some("call"))),
                             Just(Facts { opened: false, ..Facts::running(None) })],
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
            if turn == 0 && reopened && !player.facts.released {
                model.space = Some(opened());
            }
        }
        prop_assert!(player.facts.released && is_shut(&model), "{:?}", model);
        prop_assert!(!player.log.iter().any(|line| line.starts_with("dial") || line.starts_with("create")));
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty());
    }
}
