//! Calls, their legs, and who is in them through which call bridge.

use jiff::{SignedDuration, Timestamp};

use crate::cms::{Address, Call, CallAt, Direction, LegId, LegState};

/// Ages of calls are told in whole seconds.
const AGE_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// A call, and the call bridge that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedCall {
    pub call_bridge: Address,
    pub call: Call,
    /// When it began, if it was asked.
    pub began: Option<Timestamp>,
}

impl PlacedCall {
    /// Where it is.
    pub fn at(&self) -> CallAt {
        CallAt { call_bridge: self.call_bridge.clone(), id: self.call.id.clone() }
    }

    /// Did it begin before this instant, at which the door of a meeting was to open? Then it is not that meeting's: the
    /// door was shut, so the meeting before left it on a call bridge that was lost.
    pub fn is_older_than(&self, opens_at: Timestamp) -> bool {
        self.began.is_some_and(|began| opens_at.duration_since(began) > AGE_SLACK)
    }
}

/// A call on another call bridge than the meeting's: left there when that bridge was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanCall {
    pub call: PlacedCall,
    /// Nobody is in it.
    pub is_empty: bool,
    /// Its call bridge goes into maintenance: whoever is in it is called from the meeting's own call bridge instead.
    pub is_evacuated: bool,
}

/// A leg as the last looks show it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenLeg {
    pub id: LegId,
    pub remote_party: String,
    pub original_remote_party: Option<String>,
    /// From a look at the single leg, if there was one; lists do not carry it.
    pub state: Option<LegState>,
    pub direction: Option<Direction>,
    /// It has a display name.
    pub is_named: bool,
    /// Its name was empty and then filled while we watched: it was answered (cms-protocol.md section 13 no. 16).
    pub was_answered: bool,
}

/// The legs of one call at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenLegs {
    /// When the look began; what was done later is not in it.
    pub at: Timestamp,
    pub legs: Vec<SeenLeg>,
}

/// Who is in a meeting through a call bridge that was lost, as another one of the cluster knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnLostBridge {
    pub legs: Vec<SeenLeg>,
    /// Call bridges that are back and still have a call of this meeting: who is missing there has left.
    pub recovered_with_call: Vec<Address>,
}

/// The address without scheme and parameters, in lower case: `sip:Desk@x;transport=tls` is `desk@x`.
pub fn plain_address(address: &str) -> String {
    let address = address.trim();
    let bare = address
        .split_once(':')
        .filter(|(scheme, _)| ["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    let rest = bare.map_or(address, |(_, rest)| rest);
    rest.split(';').next().unwrap_or(rest).to_ascii_lowercase()
}

impl SeenLeg {
    /// Is this the leg that dialling `remote_party` makes? The original address decides where the bridge keeps it
    /// (2.3 and later); older bridges show only the current one, which may have gained parameters.
    pub fn is_to(&self, remote_party: &str) -> bool {
        if self.is_incoming() {
            return false;
        }
        let wanted = plain_address(remote_party);
        let dialled = self.original_remote_party.as_deref().filter(|party| !party.is_empty());
        plain_address(dialled.unwrap_or(&self.remote_party)) == wanted
    }

    /// May it be, although it is shown otherwise? Bridges before 2.3 complete a number to `1234@domain`, or add a port, and do
    /// not show what was dialled.
    pub fn may_be_to(&self, remote_party: &str) -> bool {
        let has_original = self.original_remote_party.as_deref().is_some_and(|party| !party.is_empty());
        if has_original || self.is_incoming() {
            return false;
        }
        let (wanted, shown) = (plain_address(remote_party), plain_address(&self.remote_party));
        let (user, host) = shown.split_once('@').unwrap_or((&shown, ""));
        let host = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host, |(host, _)| host);
        match wanted.split_once('@') {
            None => user == wanted,
            Some((name, at)) => (user, host) == (name, at),
        }
    }

    /// Did somebody dial in?
    pub fn is_incoming(&self) -> bool {
        self.direction == Some(Direction::Incoming)
    }

    /// Was it answered, as far as is known? How long it is there tells nothing: hunt groups and gateways ring for minutes. A
    /// name may come with the ringing, so that a leg which a look showed to ring is looked at again.
    pub fn is_connected(&self) -> bool {
        match &self.state {
            Some(LegState::Connected | LegState::OnHold) => true,
            Some(LegState::Initial | LegState::Ringing) => false,
            Some(LegState::Other) | None => self.was_answered,
        }
    }
}
