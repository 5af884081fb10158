//! People who dial into a space (cms-protocol.md 6.3, 7.1): whom the door lets in, and the call that starts with them.

use serde::Serialize;

use crate::ids::Id;
use crate::schema::Kind;
use crate::state::Cluster;
use crate::state::calls::NewLeg;
use crate::state::record::Fields;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum JoinError {
    /// No space has this id, address or call id.
    #[error("no such space")]
    NoSuchSpace,
    /// `nonMemberAccess` is false and the person is no member.
    #[error("the door is shut")]
    Shut,
    /// No access path has this passcode.
    #[error("wrong passcode")]
    WrongPasscode,
    /// The call is locked.
    #[error("the call is locked")]
    Locked,
    /// A participant limit is reached.
    #[error("participant limit reached")]
    LimitReached,
    /// The bridge does not run.
    #[error("the bridge is down")]
    BridgeDown,
    /// The database cannot be read.
    #[error("the database cannot be read")]
    NoDatabase,
}

/// Somebody who is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    pub bridge: usize,
    pub call: String,
    pub leg: String,
    pub participant: String,
}

impl Cluster {
    /// Somebody dials a space on a bridge. The name doubles as the caller's address; a member is known by his jid.
    /// Without `passcode` none is asked for.
    pub fn person_joins(
        &mut self,
        space: &str,
        name: &str,
        bridge: usize,
        passcode: Option<&str>,
    ) -> Result<Joined, JoinError> {
        if !self.bridges.get(bridge).is_some_and(|b| b.running) {
            return Err(JoinError::BridgeDown);
        }
        let replica = self.switches.read_without_primary == crate::switches::ReadWithoutPrimary::Replica;
        if self.database_loss(bridge).is_some() && !replica {
            return Err(JoinError::NoDatabase);
        }
        let (space, ways) = self.db.find_space(space).ok_or(JoinError::NoSuchSpace)?;
        let record = self.db.get(Kind::CoSpace, &space).ok_or(JoinError::NoSuchSpace)?;
        let title = record.fields.get("name").unwrap_or_default().to_owned();
        let is_member = self.is_member(&space, name);
        if !record.fields.is_true("nonMemberAccess") && !is_member {
            return Err(JoinError::Shut);
        }
        // The passcode tells by which way in he comes (6.2); who is not asked comes by the space itself, if it has that name.
        let way = match passcode {
            Some(given) => ways.iter().find(|(_, wanted)| wanted == given).ok_or(JoinError::WrongPasscode)?,
            None => {
                let own = ways.iter().find(|(holder, _)| *holder == space);
                own.or(ways.first()).ok_or(JoinError::NoSuchSpace)?
            }
        };
        let access_method = Some(way.0.clone()).filter(|holder| *holder != space);
        let running = self.bridges.get(bridge).and_then(|b| b.calls_of(&space).next());
        // There is no lobby: whom a lock concerns is turned away. It does not concern members (7.1), unless the call profile
        // says so.
        let profile = self.call_profile_of(Some(&space));
        let for_all = self.db.value(Kind::CallProfile, profile, "lockMode") == Some("all");
        if running.is_some_and(|call| call.fields.is_true("locked")) && (for_all || !is_member) {
            return Err(JoinError::Locked);
        }
        let call = running.map(|call| call.id.clone());
        let people = self.bridges.iter().find_map(|b| b.calls_of(&space).next()).map(|c| c.correlator.clone());
        let people = people.map_or(0, |correlator| self.people_in(&correlator));
        if self.limit_reached(bridge, Some(&space), people).is_some() {
            return Err(JoinError::LimitReached);
        }
        let call = match call {
            Some(id) => id,
            None => self.start_call(bridge, Some(&space), title, false, Fields::default()),
        };
        let mut fields = Fields::default();
        let importance = self.db.value(Kind::AccessMethod, access_method.as_deref(), "importance");
        fields.set("importance", importance.map(str::to_owned));
        let name = name.to_owned();
        let new = NewLeg { remote_party: name.clone(), name, fields, access_method, outgoing: false };
        let leg = self.add_leg(bridge, &call, new).ok_or(JoinError::BridgeDown)?;
        let participant = self.participant_of(bridge, &leg);
        Ok(Joined { bridge, call: call.to_string(), leg: leg.to_string(), participant })
    }

    fn participant_of(&self, bridge: usize, leg: &Id) -> String {
        let leg = self.bridges.get(bridge).and_then(|b| b.legs.get(leg));
        leg.map(|leg| leg.participant.to_string()).unwrap_or_default()
    }

    /// The bridge and leg of a person: by leg id, participant id, name or address.
    pub fn find_person(&self, who: &str) -> Option<(usize, Id)> {
        self.bridges.iter().enumerate().find_map(|(position, b)| {
            let by_id = b.legs.get(who).or_else(|| b.leg_of_participant.get(who).and_then(|leg| b.legs.get(leg)));
            let by_name = || b.people().find(|leg| leg.name == who || leg.original == who);
            by_id.or_else(by_name).map(|leg| (position, leg.id.clone()))
        })
    }
}
