//! The life of calls and legs (cms-protocol.md 7.1, 7.2, section 9).

use std::time::Duration;

use tokio::time::Instant;

use super::bridge::{Call, Direction, Leg, LegState};
use super::log::{CallSpan, Dial, DialOutcome};
use super::record::Fields;
use super::{Cluster, wall};
use crate::ids::Id;
use crate::schema::{CALL_FIELDS, Kind};
use crate::timers::Event;

/// What a new leg starts with.
#[derive(Debug, Clone, Default)]
pub struct NewLeg {
    /// The far end.
    pub remote_party: String,
    /// Display name of somebody who dials in.
    pub name: String,
    /// Attributes given at creation.
    pub fields: Fields,
    /// Dialled by the bridge.
    pub outgoing: bool,
    /// The access method by which somebody dials in; none: the space itself.
    pub access_method: Option<Id>,
}

impl Cluster {
    /// Makes a call instance on a bridge. Instances of one space share a correlator.
    pub fn start_call(&mut self, bridge: usize, space: Option<&Id>, name: String, by_api: bool, fields: Fields) -> Id {
        let correlator = space
            .and_then(|space| {
                self.bridges.iter().find_map(|b| b.calls_of(space).next().map(|call| call.correlator.clone()))
            })
            .unwrap_or_else(|| self.ids.guid());
        self.start_instance(bridge, correlator, space, name, by_api, fields)
    }

    /// Makes the instance on a bridge of the call with this correlator.
    pub fn start_instance(
        &mut self,
        bridge: usize,
        correlator: Id,
        space: Option<&Id>,
        name: String,
        by_api: bool,
        mut fields: Fields,
    ) -> Id {
        let profile = self.call_profile_of(space.map(|id| &**id));
        fields.set_default("locked", self.db.value(Kind::CallProfile, profile, "locked"));
        for field in CALL_FIELDS.iter().filter(|field| field.known(self.version)) {
            fields.set_default(field.name, field.default);
        }
        let id = self.ids.guid();
        self.log.calls.push(CallSpan {
            bridge,
            call: id.to_string(),
            space: space.map(ToString::to_string),
            correlator: correlator.to_string(),
            by_api,
            began: wall(),
            ended: None,
            reason: None,
        });
        let call = Call {
            id: id.clone(),
            correlator: correlator.clone(),
            space: space.cloned(),
            name,
            by_api,
            started: Instant::now(),
            max_legs: 0,
            message_since: fields.get("messageText").is_some().then(Instant::now),
            fields,
            legs: Vec::new(),
            log: self.log.calls.len() - 1,
        };
        if let Some(b) = self.bridges.get_mut(bridge) {
            if let Some(space) = space {
                b.calls_of_space.entry(space.clone()).or_default().push(id.clone());
            }
            b.calls_of_correlator.entry(correlator).or_default().push(id.clone());
            b.calls.insert(id.clone(), call);
        }
        id
    }

    /// Ends a call instance and all its legs.
    pub fn end_call(&mut self, bridge: usize, id: &str, reason: &'static str) -> bool {
        let Some(legs) = self.bridges.get(bridge).and_then(|b| b.calls.get(id)).map(|call| call.legs.clone()) else {
            return false;
        };
        for leg in legs {
            self.drop_leg(bridge, &leg, reason, DialOutcome::Cancelled);
        }
        let Some(b) = self.bridges.get_mut(bridge) else { return false };
        let Some(call) = b.calls.remove(id) else { return false };
        if let Some(space) = &call.space {
            forget(b.calls_of_space.get_mut(space), &call.id);
            if b.calls_of_space.get(space).is_some_and(Vec::is_empty) {
                b.calls_of_space.remove(space);
            }
        }
        forget(b.calls_of_correlator.get_mut(&call.correlator), &call.id);
        if b.calls_of_correlator.get(&call.correlator).is_some_and(Vec::is_empty) {
            b.calls_of_correlator.remove(&call.correlator);
        }
        if let Some(span) = self.log.calls.get_mut(call.log) {
            span.ended = Some(wall());
            span.reason = Some(reason);
        }
        self.refresh_links(&call.correlator);
        true
    }

    /// Adds a leg to a call. The caller has checked limits; an outgoing leg starts to dial.
    pub fn add_leg(&mut self, bridge: usize, call: &Id, new: NewLeg) -> Option<Id> {
        let (space, correlator) =
            self.bridges.get(bridge)?.calls.get(call).map(|c| (c.space.clone(), c.correlator.clone()))?;
        let id = self.ids.guid();
        let participant = self.ids.guid();
        let dial = new.outgoing.then(|| {
            self.log.dials.push(Dial {
                at: wall(),
                bridge,
                space: space.as_ref().map(ToString::to_string),
                call: call.to_string(),
                leg: id.to_string(),
                remote_party: new.remote_party.clone(),
                dtmf: Vec::new(),
                outcome: DialOutcome::Pending,
                answered: None,
                ended: None,
                reason: None,
            });
            self.log.dials.len() - 1
        });
        let leg = Leg {
            id: id.clone(),
            participant,
            call: call.clone(),
            name: new.name,
            original: new.remote_party.clone(),
            remote_party: new.remote_party,
            direction: if new.outgoing { Direction::Outgoing } else { Direction::Incoming },
            link: None,
            state: if new.outgoing { LegState::Initial } else { LegState::Connected },
            connected: (!new.outgoing).then(Instant::now),
            fields: new.fields,
            access_method: new.access_method,
            is_active: false,
            dial,
            sip_call_id: self.ids.guid().to_string(),
        };
        self.insert_leg(bridge, leg);
        if new.outgoing {
            let rings = Instant::now() + Duration::from_millis(self.switches.leg_initial_ms);
            self.timers.push(rings, Event::Ring(bridge, id.clone()));
        } else {
            self.limit_duration(bridge, &id);
        }
        self.refresh_links(&correlator);
        self.refresh_activation(&correlator);
        Some(id)
    }

    fn insert_leg(&mut self, bridge: usize, leg: Leg) {
        let Some(b) = self.bridges.get_mut(bridge) else { return };
        if leg.link.is_none() {
            b.leg_of_participant.insert(leg.participant.clone(), leg.id.clone());
        }
        if let Some(call) = b.calls.get_mut(&leg.call) {
            call.legs.push(leg.id.clone());
            call.max_legs = call.max_legs.max(call.legs.len());
        }
        b.legs.insert(leg.id.clone(), leg);
        b.legs_max = b.legs_max.max(b.people_count() as u64);
    }

    /// Starts the clock of `maxCallDurationTime` for a leg that just connected (5.2).
    pub fn limit_duration(&mut self, bridge: usize, id: &Id) {
        if let Some(seconds) = self.leg_setting(bridge, id, "maxCallDurationTime").and_then(|s| s.parse().ok()) {
            self.timers.push(Instant::now() + Duration::from_secs(seconds), Event::TooLong(bridge, id.clone()));
        }
    }

    /// The effective value of a profile attribute for a leg; weakest to strongest: system, tenant, space,
    /// access method, member, leg's profile, leg (5.2).
    pub fn leg_setting(&self, bridge: usize, id: &str, field: &str) -> Option<String> {
        self.own_setting(bridge, id, field).or_else(|| {
            self.leg_profile_chain(bridge, id)
                .iter()
                .rev()
                .find_map(|(_, profile)| self.db.value(Kind::CallLegProfile, Some(profile), field))
                .map(str::to_owned)
        })
    }

    fn own_setting(&self, bridge: usize, id: &str, field: &str) -> Option<String> {
        self.bridges.get(bridge)?.legs.get(id)?.fields.get(field).map(str::to_owned)
    }

    /// Call leg profiles that apply to a leg, weakest first, with their scope.
    pub fn leg_profile_chain(&self, bridge: usize, id: &str) -> Vec<(&'static str, String)> {
        let Some(b) = self.bridges.get(bridge) else { return Vec::new() };
        let leg = b.legs.get(id);
        let space = leg.and_then(|l| b.calls.get(&l.call)).and_then(|c| c.space.clone());
        let tenant = self.db.value(Kind::CoSpace, space.as_deref(), "tenant");
        let method = leg.and_then(|l| l.access_method.as_deref());
        let member = leg.zip(space.as_ref()).and_then(|(l, space)| self.member(space, &l.original));
        [
            ("global", self.db.system_profiles.get("callLegProfile")),
            ("tenant", self.db.value(Kind::Tenant, tenant, "callLegProfile")),
            ("coSpace", self.db.value(Kind::CoSpace, space.as_deref(), "callLegProfile")),
            ("accessMethod", self.db.value(Kind::AccessMethod, method, "callLegProfile")),
            ("coSpaceUser", member.and_then(|record| record.fields.get("callLegProfile"))),
            ("callLeg", leg.and_then(|l| l.fields.get("callLegProfile"))),
        ]
        .into_iter()
        .filter_map(|(scope, profile)| profile.map(|p| (scope, p.to_owned())))
        .collect()
    }

    /// Ends a leg; a call that nobody made by POST ends with its last leg (7.1).
    pub fn end_leg(&mut self, bridge: usize, id: &str, reason: &'static str, outcome: DialOutcome) -> bool {
        let Some(call) = self.drop_leg(bridge, id, reason, outcome) else { return false };
        let Some(b) = self.bridges.get(bridge) else { return true };
        let Some(state) = b.calls.get(&call) else { return true };
        let correlator = state.correlator.clone();
        let people = state.legs.iter().filter(|l| b.legs.get(l).is_some_and(|leg| leg.link.is_none())).count();
        if people == 0 && !state.by_api {
            self.end_call(bridge, &call, "allLeft");
        } else {
            self.refresh_links(&correlator);
        }
        self.refresh_activation(&correlator);
        true
    }

    /// People of a call, on every bridge.
    fn people_of(&self, correlator: &str) -> Vec<(usize, Id)> {
        let mut found = Vec::new();
        for (position, b) in self.bridges.iter().enumerate() {
            let calls = b.calls_of_correlator.get(correlator).into_iter().flatten();
            let legs = calls.filter_map(|id| b.calls.get(id)).flat_map(|call| &call.legs);
            let people = legs.filter(|id| b.legs.get(id).is_some_and(|leg| leg.link.is_none()));
            found.extend(people.map(|id| (position, id.clone())));
        }
        found
    }

    /// Does somebody need no activation, so that the others are active while he is in (5.2, 7.4)?
    pub fn is_activator(&self, bridge: usize, id: &str) -> bool {
        self.leg_setting(bridge, id, "needsActivation").as_deref() != Some("true")
    }

    /// Who waits (`needsActivation`) is active as soon as an activator is connected. When the last one has left,
    /// `deactivationMode` decides; without one they wait again, which is a choice: the default is not documented, nor from
    /// when `deactivationModeTime` counts, so it is not simulated.
    fn refresh_activation(&mut self, correlator: &Id) {
        let people = self.people_of(correlator);
        let is_connected = |bridge: usize, id: &Id| {
            let leg = self.bridges.get(bridge).and_then(|b| b.legs.get(id));
            leg.is_some_and(|leg| leg.state == LegState::Connected)
        };
        let is_anybody = people.iter().any(|(bridge, id)| is_connected(*bridge, id) && self.is_activator(*bridge, id));
        let mut leaving = Vec::new();
        for (bridge, id) in people {
            let active = is_anybody || self.is_activator(bridge, &id);
            let mode = self.leg_setting(bridge, &id, "deactivationMode");
            let Some(leg) = self.bridges.get_mut(bridge).and_then(|b| b.legs.get_mut(&id)) else { continue };
            match mode.as_deref() {
                _ if active => leg.is_active = true,
                Some("remainActivated") => {}
                Some("disconnect") if leg.is_active => leaving.push((bridge, id)),
                _ => leg.is_active = false,
            }
        }
        for (bridge, id) in leaving {
            self.end_leg(bridge, &id, "callDeactivated", DialOutcome::Cancelled);
        }
    }

    /// Removes a leg and returns its call.
    fn drop_leg(&mut self, bridge: usize, id: &str, reason: &'static str, outcome: DialOutcome) -> Option<Id> {
        let b = self.bridges.get_mut(bridge)?;
        let leg = b.legs.remove(id)?;
        b.leg_of_participant.remove(&leg.participant);
        if let Some(call) = b.calls.get_mut(&leg.call) {
            call.legs.retain(|other| *other != leg.id);
        }
        if leg.link.is_none() {
            b.legs_completed += 1;
        }
        if let Some(dial) = leg.dial.and_then(|index| self.log.dials.get_mut(index)) {
            dial.ended = Some(wall());
            dial.reason = Some(reason);
            if dial.outcome == DialOutcome::Pending {
                dial.outcome = outcome;
            }
        }
        Some(leg.call)
    }

    /// A ringing leg connects.
    pub fn connect_leg(&mut self, bridge: usize, id: &Id) -> bool {
        let Some(leg) = self.bridges.get_mut(bridge).and_then(|b| b.legs.get_mut(id)) else { return false };
        leg.state = LegState::Connected;
        leg.connected = Some(Instant::now());
        if leg.name.is_empty() {
            leg.name.clone_from(&leg.original);
        }
        leg.remote_party.push_str(&self.switches.remote_party_gains);
        if let Some(dial) = leg.dial.and_then(|index| self.log.dials.get_mut(index)) {
            dial.outcome = DialOutcome::Answered;
            dial.answered = Some(wall());
            // 7.2: the sequence that came with the dial is sent on connect.
            dial.dtmf.extend(leg.fields.get("dtmfSequence").map(str::to_owned));
        }
        let call = leg.call.clone();
        self.limit_duration(bridge, id);
        let correlator = self.bridges.get(bridge).and_then(|b| b.calls.get(&call)).map(|call| call.correlator.clone());
        if let Some(correlator) = correlator {
            self.refresh_activation(&correlator);
        }
        true
    }

    /// Presses keys on a leg: at once if it is connected, else when it is.
    pub fn press_keys(&mut self, bridge: usize, id: &str, keys: String) {
        let Some(leg) = self.bridges.get_mut(bridge).and_then(|b| b.legs.get_mut(id)) else { return };
        if leg.state == LegState::Connected {
            if let Some(dial) = leg.dial.and_then(|index| self.log.dials.get_mut(index)) {
                dial.dtmf.push(keys);
            }
        } else {
            leg.fields.set("dtmfSequence", Some(keys));
        }
    }

    /// Brings the `distributionLink` legs of a distributed call in line: one on each side for every pair of bridges
    /// that both have people in it (section 9).
    pub fn refresh_links(&mut self, correlator: &Id) {
        let bridges = self.bridges.len();
        if bridges < 2 {
            return;
        }
        let mut sides: Vec<(usize, Id)> = Vec::new();
        for (position, b) in self.bridges.iter().enumerate() {
            let Some(call) = b.call_with(correlator) else { continue };
            if call.legs.iter().any(|l| b.legs.get(l).is_some_and(|leg| leg.link.is_none())) {
                sides.push((position, call.id.clone()));
            }
        }
        let wanted = |from: usize, to: usize| {
            self.switches.distribution_links
                && from != to
                && sides.iter().any(|(s, _)| *s == from)
                && sides.iter().any(|(s, _)| *s == to)
        };
        let mut remove = Vec::new();
        let mut present = Vec::new();
        for (position, b) in self.bridges.iter().enumerate() {
            for call in b.calls_of_correlator.get(correlator).into_iter().flatten() {
                for leg in b.calls.get(call).into_iter().flat_map(|c| &c.legs).filter_map(|l| b.legs.get(l)) {
                    match leg.link {
                        Some(peer) if !wanted(position, peer) => remove.push((position, leg.id.clone())),
                        Some(peer) => present.push((position, peer)),
                        None => {}
                    }
                }
            }
        }
        let mut add = Vec::new();
        for (from, call) in &sides {
            for (to, _) in &sides {
                if wanted(*from, *to) && !present.contains(&(*from, *to)) {
                    add.push((*from, *to, call.clone()));
                }
            }
        }
        for (bridge, leg) in remove {
            self.drop_leg(bridge, &leg, "callEnded", DialOutcome::Cancelled);
        }
        for (from, to, call) in add {
            self.add_link(from, to, call);
        }
    }

    fn add_link(&mut self, from: usize, to: usize, call: Id) {
        let peer = self.name_of_bridge(to);
        let leg = Leg {
            id: self.ids.guid(),
            participant: self.ids.guid(),
            call,
            name: peer.clone(),
            original: peer.clone(),
            remote_party: peer,
            direction: if from < to { Direction::Outgoing } else { Direction::Incoming },
            link: Some(to),
            state: LegState::Connected,
            connected: Some(Instant::now()),
            fields: Fields::default(),
            access_method: None,
            is_active: true,
            dial: None,
            sip_call_id: self.ids.guid().to_string(),
        };
        self.insert_leg(from, leg);
    }

    /// People in a distributed call, over all bridges.
    pub fn people_in(&self, correlator: &str) -> usize {
        self.bridges
            .iter()
            .flat_map(|b| {
                let calls = b.calls_of_correlator.get(correlator).into_iter().flatten();
                calls.filter_map(|id| b.calls.get(id)).flat_map(move |c| c.legs.iter().filter_map(|l| b.legs.get(l)))
            })
            .filter(|leg| leg.link.is_none())
            .count()
    }

    /// A limit that the next person would break, as the error element of 3.4 (section 12: most specific call profile
    /// wins; the tenant's and the bridge's own limit count as well).
    pub fn limit_reached(&self, bridge: usize, space: Option<&str>, people: usize) -> Option<&'static str> {
        let tenant = self.db.value(Kind::CoSpace, space, "tenant");
        let profile = self.call_profile_of(space);
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<u64>().ok());
        let people = people as u64;
        if number(self.db.value(Kind::CallProfile, profile, "participantLimit")).is_some_and(|limit| people >= limit) {
            return Some("participantLimitReached");
        }
        let b = self.bridges.get(bridge)?;
        let local = b.people_count() as u64;
        if b.configuration.number("participantLimit").is_some_and(|limit| local >= limit) {
            return Some("participantLimitReached");
        }
        let limit = number(self.db.value(Kind::Tenant, tenant, "participantLimit"))?;
        (self.people_of_tenant(tenant) >= limit).then_some("tenantParticipantLimitReached")
    }

    fn people_of_tenant(&self, tenant: Option<&str>) -> u64 {
        let mut count = 0;
        for b in &self.bridges {
            for leg in b.people() {
                let space = b.calls.get(&leg.call).and_then(|c| c.space.as_deref());
                if self.db.value(Kind::CoSpace, space, "tenant") == tenant {
                    count += 1;
                }
            }
        }
        count
    }
}

fn forget(list: Option<&mut Vec<Id>>, id: &Id) {
    if let Some(list) = list {
        list.retain(|other| other != id);
    }
}
