//! A small model of a bridge that carries the steps out, and the shipped loop over it; `rules` are table tests for each
//! rule, `properties` run it through every fault.

mod access;
mod due;
mod properties;
mod rules;
mod settings;
mod warning;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secrecy::{ExposeSecret, SecretString};

use super::warning::Notice;
use super::*;
use crate::api::bridge::ProfileIds;
use crate::api::conditions::meeting as reason;
use crate::api::marks::Marks;
use crate::api::meeting::{CallBinding, ParticipantState, Phase};
use crate::api::values::Instant;
use crate::api::warning::EndWarning;
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingSpec, ScheduledMeetingStatus};
use crate::cms::{
    AccessMethod, AccessMethodId, Address, Call, CallAt, CallId, CmsError, LegState, NewAccessMethod, Opening,
};
use crate::drive::{Reach, drive};
use crate::facts::calls::{OnLostBridge, SeenLeg, SeenLegs};
use crate::facts::meeting::SeenMethods;
use crate::facts::slots::ShownFields;
use crate::plan::booking;
use crate::plan::faults::Fault;
use crate::plan::verdict::{Pause, Verdict};

const MARK: &str = "meeting-controller:ns/standup";
const OTHER_MARK: &str = "meeting-controller:ns/yesterday";
/// Of another installation, which calls its meeting as ours is called.
const STRANGE_MARK: &str = "meeting-controller[other]:ns/standup";
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
        tenant: None,
        non_member_access: open,
        passcode: None,
        secret: Some("somebody's".to_owned().into()),
        cdr_tag: tag.map(str::to_owned),
        call_profile: None,
        call_leg_profile: None,
        access_methods: None,
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
    /// Calls that no list shows.
    unlisted: BTreeSet<CallId>,
    /// Calls by themselves are no node that it knows.
    tells_no_call: bool,
    /// Calls that are shown for ever, and a space that is shown as it was.
    lingers: bool,
    /// When those calls began, if anybody asks.
    began: Option<Timestamp>,
    next_id: u32,
    clock: Timestamp,
    calls_made: u32,
    /// Access methods of the space, whosever they are, and whether the space tells how many.
    methods: Vec<AccessMethod>,
    counts_methods: bool,
    /// The profiles that there are.
    profiles: BTreeSet<String>,
    /// Whom it does not ring, and what it says instead.
    refused: BTreeMap<String, CmsError>,
    /// Steps that begin like this are refused, whatever there is.
    denies: Option<(&'static str, CmsError)>,
    /// Calls in which everybody was told something.
    told: Vec<CallAt>,
    /// What was told, and when.
    notices: Vec<(Notice, Timestamp)>,
    /// Why nobody is told anything; on one call bridge only, if that is named.
    untold: Option<CmsError>,
    untold_on: Option<&'static str>,
    /// The turn of what is only told does not come.
    puts_off: bool,
    /// When the call bridge was started.
    booted: Option<Timestamp>,
    /// What is not answered is put down to the database.
    database_down: bool,
    wrongs: Vec<String>,
    /// It takes no layout of anybody who is dialled.
    refuses_layouts: bool,
}

impl Model {
    fn new(space: Option<Space>, now: Timestamp) -> Self {
        Self {
            space,
            calls: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            tells_no_call: false,
            lingers: false,
            began: None,
            next_id: 0,
            methods: Vec::new(),
            counts_methods: true,
            profiles: BTreeSet::new(),
            refused: BTreeMap::new(),
            denies: None,
            told: Vec::new(),
            notices: Vec::new(),
            untold: None,
            untold_on: None,
            puts_off: false,
            refuses_layouts: false,
            booted: Some(Timestamp::UNIX_EPOCH),
            database_down: false,
            clock: now,
            calls_made: 0,
            wrongs: Vec::new(),
        }
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

    /// The space as a look shows it. Where there is no access method, nothing is said of them.
    fn shown(&self) -> Option<Space> {
        let count = u32::try_from(self.methods.len()).ok().filter(|count| *count > 0 && self.counts_methods);
        self.space.clone().map(|space| Space { access_methods: count, ..space })
    }

    /// The access methods as looks at each of them show them.
    fn seen_methods(&self, marks: &Marks) -> SeenMethods {
        let is_ours = |method: &&AccessMethod| method.name.as_deref().is_some_and(|name| marks.is_ours(name));
        let (ours, others) = self.methods.iter().partition::<Vec<_>, _>(is_ours);
        SeenMethods { ours: ours.into_iter().cloned().collect(), others: others.into_iter().cloned().collect() }
    }

    /// Writes an access method, as a bridge does: its passcode is its own in the space.
    fn write_method(&mut self, id: Option<&AccessMethodId>, new: &NewAccessMethod) -> Result<AccessMethodId, CmsError> {
        self.tick();
        if new.call_leg_profile.as_ref().is_some_and(|id| !self.profiles.contains(id)) {
            return Err(CmsError::NotFound { element: "callLegProfileDoesNotExist".to_owned() });
        }
        let of_space = self.space.as_ref().and_then(|space| space.passcode.clone());
        let others = self.methods.iter().filter(|method| Some(&method.id) != id).filter_map(|m| m.passcode.clone());
        let mut taken = others.chain(of_space);
        if taken.any(|known| known.expose_secret() == new.passcode.expose_secret()) {
            self.wrongs.push("a passcode that is taken".to_owned());
            return Err(CmsError::Conflict { element: "duplicateCoSpaceIdPasscode".to_owned() });
        }
        if id.is_none() && self.methods.iter().any(|method| method.name.as_ref() == Some(&new.name)) {
            self.wrongs.push(format!("a second {}", new.name));
        }
        let id = id.cloned().unwrap_or_else(|| self.id("method").as_str().into());
        self.methods.retain(|method| method.id != id);
        self.methods.push(AccessMethod {
            id: id.clone(),
            name: Some(new.name.clone()),
            call_id: Some(new.number.clone()),
            passcode: Some(new.passcode.clone()),
            secret: Some(new.secret.clone()),
            call_leg_profile: new.call_leg_profile.clone().map(Into::into),
        });
        Ok(id)
    }

    fn delete_method(&mut self, id: &AccessMethodId) {
        self.tick();
        let is_ours = |name: &str| Marks::default().is_ours(name);
        if self.methods.iter().any(|method| method.id == *id && !method.name.as_deref().is_some_and(is_ours)) {
            self.wrongs.push("somebody else's access method".to_owned());
        }
        self.methods.retain(|method| method.id != *id);
    }

    fn seen_calls(&self) -> Vec<PlacedCall> {
        let mut calls = self.all_calls();
        calls.retain(|placed| !self.unlisted.contains(&placed.call.id));
        calls
    }

    fn all_calls(&self) -> Vec<PlacedCall> {
        let call =
            |id: &CallId| Call { id: id.clone(), space: Some("space-1".into()), correlator: None, duration: None };
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

    /// Is there a profile with this id? None is always there.
    fn has_profiles(&self, ids: &ProfileIds) -> bool {
        [&ids.call, &ids.call_leg].into_iter().flatten().all(|id| id.is_empty() || self.profiles.contains(id))
    }

    /// The space is told profiles with its door: empty ones unset.
    fn tell(&mut self, ids: &ProfileIds) {
        let Some(space) = &mut self.space else { return };
        let id = |id: &String| (!id.is_empty()).then(|| id.clone());
        if let Some(call) = &ids.call {
            space.call_profile = id(call).map(Into::into);
        }
        if let Some(leg) = &ids.call_leg {
            space.call_leg_profile = id(leg).map(Into::into);
        }
    }

    /// Carries out a step. None: the object is not there.
    fn act(&mut self, step: &Step, title: &str, call: Option<&CallAt>) -> Option<Option<String>> {
        self.tick();
        match step {
            Step::OpenDoor | Step::MarkExtension => {
                let space = self.space.as_mut()?;
                let (call_profile, call_leg_profile) = (space.call_profile.clone(), space.call_leg_profile.clone());
                *space = Space { name: title.to_owned(), call_profile, call_leg_profile, ..opened() };
            }
            Step::CloseDoor | Step::DeleteCall(_) if self.lingers => {}
            Step::CloseDoor => {
                let space = self.space.as_mut()?;
                let (call_profile, call_leg_profile) = (space.call_profile.clone(), space.call_leg_profile.clone());
                *space = Space { secret: Some("rotated".to_owned().into()), call_profile, call_leg_profile, ..free() };
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
            Step::Tell { call, notice } => {
                if call.call_bridge == here("").call_bridge && !self.calls.contains_key(&call.id) {
                    return None;
                }
                self.told.push(call.clone());
                self.notices.push((*notice, self.clock));
            }
            Step::CreateMethod(_) | Step::UpdateMethod { .. } | Step::DeleteMethod(_) => {}
            Step::HangUp { leg, .. } => {
                let legs = self.calls.get_mut(&call?.id)?;
                let before = legs.len();
                legs.retain(|known| known.0 != *leg);
                if legs.len() == before {
                    return None;
                }
            }
        }
        Some(None)
    }
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
        let mut facts = MeetingFacts {
            orphan_calls: self.player.orphans.clone(),
            is_listed_as_free: self.player.listed_as_free,
            shown_fields: self.player.shown_fields,
            ..MeetingFacts::default()
        };
        if self.swept {
            facts.space = Seen::Known(self.model.shown());
            facts.calls = Seen::Known(self.model.seen_calls());
            if let Some(call) = progress.recorded_call() {
                facts.legs = Seen::Known(self.model.seen_legs(Some(&call)));
            }
            self.model.tick();
        }
        if self.player.elsewhere.is_none() {
            facts.elsewhere = Seen::Known(Vec::new());
        }
        Survey { call_bridge: here("").call_bridge, lost, is_evacuated: false, facts }
    }

    fn around(&mut self, _progress: &Progress, _now: Timestamp) -> Around {
        self.player.around.clone()
    }

    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut MeetingFacts) -> T) -> T {
        use_facts(&mut self.facts)
    }

    async fn look(&mut self, progress: &Progress, look: &Look, _now: Timestamp) -> Result<Found, Verdict> {
        if self.died {
            return Err(Verdict::Retry(CmsError::Cancelled));
        }
        self.player.log.push(format!("look {look:?}"));
        self.model.tick();
        let call = progress.recorded_call();
        let found = match look {
            Look::Space | Look::Mark => Ok(Found::Space(self.model.shown())),
            Look::Methods => Ok(Found::Methods(self.model.seen_methods(&self.player.marks))),
            Look::Calls => Ok(Found::Calls(self.model.seen_calls())),
            Look::Boot => {
                let hidden = progress.recorded_call().filter(|call| self.model.unlisted.contains(&call.id));
                let shown = hidden.and_then(|call| self.model.all_calls().into_iter().find(|known| known.at() == call));
                Ok(shown.map_or(Found::Boot(self.model.booted), Found::StillThere))
            }
            Look::RecordedCall if self.model.tells_no_call => Ok(Found::Nothing),
            Look::RecordedCall => Ok(Found::RecordedCall(
                call.filter(|call| self.model.all_calls().iter().any(|known| known.at() == *call)),
            )),
            Look::Legs if self.model.has(call.as_ref()) => Ok(Found::Legs(self.model.seen_legs(call.as_ref()))),
            Look::Legs => Err(Verdict::Answered(CmsError::NotFound { element: "callDoesNotExist".to_owned() })),
            Look::Elsewhere => Ok(Found::Elsewhere {
                calls: self.player.elsewhere.clone().unwrap_or_default(),
                silent: self.player.silent.clone(),
            }),
            Look::OnLostBridge => Ok(Found::OnLostBridge(self.player.on_lost_bridge.clone())),
            Look::Release => Ok(Found::Release { space: self.model.shown(), calls: self.model.seen_calls() }),
        };
        self.model.tick();
        found
    }

    async fn act(&mut self, progress: &Progress, step: &Step, _now: Timestamp) -> Result<(Effect, Timestamp), Verdict> {
        assert!(progress.door.may_be_open(), "{step} before the intent was stored");
        if self.died {
            return Err(Verdict::Retry(CmsError::Cancelled));
        }
        let fault = self.faults.next().unwrap_or(Fault::None);
        self.died = fault.kills();
        if let Some(error) = fault.before() {
            return Err(Verdict::Retry(error));
        }
        self.player.log.push(step.to_string());
        let write = progress.write(step, &here("").call_bridge).expect("all of it is at hand");
        if let Step::Dial(party) = step
            && let Some(error) = self.model.refused.get(party)
        {
            return Err(Verdict::Answered(error.clone()));
        }
        if let Write::Dial { leg, .. } = &write
            && self.model.refuses_layouts
            && leg.layout.is_some()
        {
            let (parameter, error) = ("defaultLayout".to_owned(), "invalidValue".to_owned());
            return Err(Verdict::Answered(CmsError::ParameterError { parameter, error }));
        }
        if let Some((step_of, error)) = self.model.denies.clone()
            && step.to_string().starts_with(step_of)
        {
            return Err(Verdict::Answered(error));
        }
        if matches!(step, Step::Tell { .. }) && self.model.puts_off {
            return Ok((Effect::PutOff, self.model.clock));
        }
        if let (Step::Tell { call, .. }, Some(error)) = (step, &self.model.untold)
            && self.model.untold_on.is_none_or(|on| call.call_bridge.to_string().starts_with(on))
        {
            return Err(Verdict::Answered(error.clone()));
        }
        let told = match &write {
            Write::Open(Opening { profiles, .. }) | Write::Close { profiles, .. } => {
                ProfileIds { call: profiles.call.clone(), call_leg: profiles.call_leg.clone() }
            }
            _ => ProfileIds::default(),
        };
        if !self.model.has_profiles(&told) {
            let element = "callLegProfileDoesNotExist".to_owned();
            return Err(Verdict::Answered(CmsError::NotFound { element }));
        }
        if let Some(error) = self.player.refuses_methods.clone().filter(|_| matches!(step, Step::CreateMethod(_))) {
            return Err(Verdict::Answered(error));
        }
        let written = match &write {
            Write::CreateMethod(method) => Some(self.model.write_method(None, method)),
            Write::UpdateMethod(id, method) => Some(self.model.write_method(Some(id), method)),
            Write::DeleteMethod(id) => {
                self.model.delete_method(id);
                None
            }
            _ => None,
        };
        if let Some(Err(error)) = written {
            return Err(Verdict::Answered(error));
        }
        self.model.tell(&told);
        let made = self.model.act(step, &progress.terms.spec.title, progress.recorded_call().as_ref());
        if let Some(error) = fault.after() {
            let is_outage = self.model.database_down;
            let down = Verdict::DatabaseDown { may_have_taken_effect: error.may_have_taken_effect() };
            return Err(if is_outage { down } else { Verdict::Retry(error) });
        }
        let Some(made) = made else {
            return Err(Verdict::Answered(CmsError::NotFound { element: "it".to_owned() }));
        };
        if matches!(step, Step::OpenDoor | Step::MarkExtension) {
            self.player.told = Some(progress.window.closes_at);
        }
        let effect = match (step, made) {
            (Step::CreateMethod(_), _) => Effect::MethodCreated(written.unwrap().unwrap()),
            (Step::CreateCall, Some(id)) => Effect::CallCreated(here(&id)),
            (Step::Dial(_), Some(id)) => Effect::LegCreated(id),
            _ => Effect::Done,
        };
        Ok((effect, self.model.clock))
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), ()> {
        if !self.died {
            self.player.store(progress, self.model.clock);
        }
        Ok(())
    }
}

/// A meeting and what surrounds it, from pass to pass. The loop is the shipped one.
struct Player {
    spec: ScheduledMeetingSpec,
    passcode: Option<SecretString>,
    unwritten: Option<Problem>,
    secrets_stored: bool,
    secret: SecretString,
    /// As the apiserver has it.
    stored: ScheduledMeetingStatus,
    leaving: bool,
    suspended: bool,
    around: Around,
    outgoing: bool,
    marks: Marks,
    left_alone: bool,
    /// Who is in through another call bridge.
    on_lost_bridge: OnLostBridge,
    orphans: Vec<OrphanCall>,
    listed_as_free: bool,
    /// Of which kinds looks have shown a profile.
    shown_fields: ShownFields,
    /// Calls on other call bridges, if there are any.
    elsewhere: Option<Vec<PlacedCall>>,
    /// Call bridges that do not tell of theirs.
    silent: Vec<Address>,
    /// The warning before the end, as it is asked for.
    warning: Option<EndWarning>,
    /// The version of the bridge.
    version: Option<String>,
    /// The end with which this process last wrote the door.
    told: Option<Timestamp>,
    /// The bridge, as far as settings need it.
    bridge: Option<MeetingBridge>,
    /// Passcodes of the access methods, what this process knows of them, and what the bridge says to a new one.
    methods: BTreeMap<String, MethodSecrets>,
    written_methods: Option<WrittenMethods>,
    refuses_methods: Option<CmsError>,
    door: Door,
    /// Somebody asks for a look.
    asked: Option<String>,
    log: Vec<String>,
}

impl Player {
    fn new(parties: &[&str], start: Start) -> Self {
        Self {
            spec: spec(parties),
            passcode: Some(PASSCODE.to_owned().into()),
            unwritten: None,
            secrets_stored: false,
            secret: SECRET.to_owned().into(),
            stored: start.0,
            leaving: false,
            suspended: false,
            around: Around::default(),
            outgoing: true,
            marks: Marks::default(),
            left_alone: false,
            on_lost_bridge: OnLostBridge::default(),
            orphans: Vec::new(),
            listed_as_free: false,
            shown_fields: ShownFields { passcode: true, secret: true, mark: true, ..ShownFields::default() },
            elsewhere: None,
            silent: Vec::new(),
            warning: None,
            version: None,
            told: None,
            bridge: None,
            methods: BTreeMap::new(),
            written_methods: None,
            refuses_methods: None,
            door: Door::Untouched,
            asked: None,
            log: Vec::new(),
        }
    }

    fn object(&self) -> ScheduledMeeting {
        let mut meeting = ScheduledMeeting::new("standup", self.spec.clone());
        meeting.metadata.namespace = Some("ns".to_owned());
        meeting.metadata.generation = Some(1);
        meeting.spec.suspend = self.suspended;
        meeting.status = Some(self.stored.clone());
        let asked = self.asked.iter().map(|asked| (crate::api::names::RECONCILE_ANNOTATION.to_owned(), asked.clone()));
        meeting.metadata.annotations = Some(asked.collect());
        if self.leaving {
            meeting.metadata.deletion_timestamp = Some(Time(at(0)));
        }
        meeting
    }

    fn progress(&self, now: Timestamp) -> Progress {
        let mut progress = Progress::resume(&self.object(), &self.marks, now);
        progress.terms.placeholder = PLACEHOLDER.to_owned();
        progress.terms.number = Some(1);
        progress.terms.allows_outgoing = self.outgoing;
        progress.terms.leaves_running = self.left_alone;
        progress.terms.end_warning.clone_from(&self.warning);
        progress.terms.software_version.clone_from(&self.version);
        progress.terms.settings = self.bridge.as_ref().map(|bridge| SettingsTerms::new(&self.spec, bridge, 1));
        let (secret, passcode) = (self.secret.clone(), self.passcode.clone());
        progress.secrets = Some(JoinSecrets { secret, passcode, methods: self.methods.clone() });
        progress.know_methods(self.written_methods.clone());
        progress.unwritten.clone_from(&self.unwritten);
        progress.secrets_stored = self.secrets_stored;
        progress.written = self.told.zip(self.passcode.clone()).map(|(closes_at, passcode)| WrittenDoor {
            title: self.spec.title.clone(),
            passcode,
            closes_at,
            vain_passcodes: 0,
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
            (self.told, self.written_methods) = (None, None);
            // What was stored in this pass stays stored.
            let has_more = self.stored.settings.is_some() || !self.stored.access_methods.is_empty();
            let is_intent = self.stored.phase == Some(Phase::Opening) || has_more;
            assert!(self.stored == before || is_intent);
            return None;
        }
        let now = model.clock;
        self.store(&progress, now);
        self.door = progress.door;
        self.written_methods.clone_from(&progress.written_methods);
        match (progress.problem, progress.obstacle, progress.door) {
            (Some(_), ..) => None,
            _ if progress.pause == Some(Pause::None) => None,
            _ if progress.pause == Some(Pause::Unproven) => Some(End::Unproven),
            (None, Some(obstacle), _) => Some(End::Blocked(obstacle)),
            (None, None, Door::Released) if progress.taken_over => Some(End::TakenOver),
            (None, None, Door::Released) => Some(End::Released),
            (None, None, _) => Some(End::Settled),
        }
    }

    fn run(&mut self, model: &mut Model) -> End {
        self.pass(model, false, &mut std::iter::empty()).unwrap()
    }

    fn call(&self) -> Option<CallAt> {
        self.stored.call.as_deref().and_then(CallBinding::at)
    }

    fn is_open(&self) -> bool {
        self.stored.opened_at.is_some()
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}
