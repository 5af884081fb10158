//! Which call bridge of a cluster gets the requests (R25-R29). PURE: signs of life in, the active call bridge out.
//!
//! - A call bridge that was good is given up after `threshold` failures in a row; one of which nothing is known yet, after
//!   the first. It counts as good again after some successes in a row: one lucky reply proves nothing.
//! - The active call bridge is left only when it is given up and a better one is there: nothing is won by moving from one
//!   bad call bridge to another, nor from one that is on its way back. The order of the spec decides between equals.
//! - A write that is due does not wait for the threshold ([`is_decisive`]).
//! - A call bridge in maintenance gets the requests only while no other one is good.
//! - Failback goes to a call bridge that comes earlier in the order, when it has been good without a break for long
//!   enough, or when somebody asks for it.

use jiff::{SignedDuration, Timestamp};

use crate::api::bridge::{CallBridgeRole, MaintenanceMode};
use crate::cms::{Address, CmsError, ErrorClass};

/// Successes in a row that make a call bridge good again.
const RECOVERY: u32 = 2;

/// Failures closer together than this count once: a hundred requests that break at one moment are one event.
const SPACING: SignedDuration = SignedDuration::from_millis(400);

/// What was learnt of a call bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthSignal {
    /// Name, connection and handshake work. Says nothing about an API that refused us.
    Connects,
    /// The API answered.
    Answers,
    /// It failed.
    Fails(CmsError),
}

/// When to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row after which a call bridge is given up.
    pub threshold: u32,
    /// How long an earlier call bridge must have been good before it gets the requests again; None: only when asked.
    pub failback: Option<SignedDuration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Level {
    /// Nothing is known yet.
    #[default]
    Unknown,
    Up,
    /// Given up.
    Down,
}

/// What is known of one call bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    level: Level,
    failures: u32,
    successes: u32,
    good_since: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    /// The last failure that counted.
    counted: Option<Timestamp>,
    error: Option<CmsError>,
}

impl Health {
    /// Given up: nothing is sent there but looks whether it is back.
    pub fn is_down(&self) -> bool {
        self.level == Level::Down
    }

    /// Good, as far as the last sign tells.
    pub fn is_good(&self) -> bool {
        self.level == Level::Up && self.failures == 0
    }

    /// Between good and given up, or on the way back: a further sign is wanted soon.
    pub fn is_doubtful(&self) -> bool {
        match self.level {
            Level::Unknown => true,
            Level::Up => self.failures > 0,
            Level::Down => self.successes > 0,
        }
    }

    /// The last failure, until the call bridge is good again.
    pub fn error(&self) -> Option<&CmsError> {
        self.error.as_ref()
    }

    /// The first failure of the present row.
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// Whether anything was learnt yet.
    pub fn is_known(&self) -> bool {
        self.level != Level::Unknown
    }

    /// A connection proves nothing while the API behind it refused us or was silent.
    pub fn wants_answer(&self) -> bool {
        let is_only_the_connection =
            |error: &CmsError| error.is_without_connection() || *error == CmsError::ConnectionLost;
        self.error.as_ref().is_some_and(|error| !is_only_the_connection(error))
    }

    fn take(&mut self, signal: HealthSignal, threshold: u32, now: Timestamp) {
        match signal {
            HealthSignal::Connects if self.wants_answer() => {}
            HealthSignal::Connects | HealthSignal::Answers => self.succeeded(now),
            HealthSignal::Fails(error) => self.failed(error, threshold, now),
        }
    }

    fn succeeded(&mut self, now: Timestamp) {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        self.good_since.get_or_insert(now);
        if self.level != Level::Down || self.successes >= RECOVERY {
            self.level = Level::Up;
            (self.error, self.failing_since, self.counted) = (None, None, None);
        }
    }

    fn failed(&mut self, error: CmsError, threshold: u32, now: Timestamp) {
        if self.counted.is_none_or(|last| now.duration_since(last) >= SPACING) {
            self.failures = self.failures.saturating_add(1);
            self.counted = Some(now);
        }
        (self.successes, self.good_since) = (0, None);
        self.failing_since.get_or_insert(now);
        // Credentials do not get better by trying them again.
        let refused = error.class() == ErrorClass::Auth;
        self.error = Some(error);
        if self.level == Level::Unknown || refused || self.failures >= threshold.max(1) {
            self.level = Level::Down;
        }
    }

    /// How much it is to be preferred; 0: known to be bad.
    fn rank(&self) -> u8 {
        match self.level {
            Level::Up if self.failures == 0 => 3,
            Level::Up => 2,
            Level::Down if self.successes == 0 => 0,
            Level::Unknown | Level::Down => 1,
        }
    }

    fn good_for(&self, now: Timestamp) -> Option<SignedDuration> {
        self.good_since.filter(|_| self.is_good()).map(|since| now.duration_since(since))
    }
}

/// Does this failure of a write that is due mean that the bridge cannot do it now? A connection that broke once, or one
/// odd reply, does not: the next try is the proof.
pub fn is_decisive(error: &CmsError) -> bool {
    blames_call_bridge(error) && !matches!(error, CmsError::ConnectionLost | CmsError::MalformedReply { .. })
}

/// Is this failure the call bridge's own, so that another one may do better?
pub fn blames_call_bridge(error: &CmsError) -> bool {
    use ErrorClass::{Auth, Blocked, Busy, Conflict, Invalid, Malformed, NotFound, Unreachable};
    match error {
        CmsError::Cancelled | CmsError::Superseded | CmsError::Abandoned | CmsError::AmbiguousCreate => false,
        // Another call bridge has the same database, and the limits of a licence are shared.
        CmsError::DatabaseNotReady | CmsError::LimitReached { .. } => false,
        _ => match error.class() {
            Unreachable | Busy | Auth | Malformed | Blocked => true,
            NotFound | Conflict | Invalid => false,
        },
    }
}

/// Whether a call bridge may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Nothing has proven yet that it is one of this cluster: nothing is moved there, and nothing is given up because of
    /// it.
    Unproven,
    /// It is one of this cluster, and accepts the credentials as far as is known.
    Member,
    /// It is none of this cluster, or the primary itself, or refuses the credentials.
    Barred,
}

/// One call bridge that may get the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub address: Address,
    pub role: CallBridgeRole,
    pub membership: Membership,
    pub maintenance: MaintenanceMode,
    pub health: Health,
}

/// One call bridge, and what it has told besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallBridgeView {
    pub known: Candidate,
    /// Its id, as far as it is known.
    pub id: Option<String>,
    /// It is the primary under another address.
    pub is_primary_itself: bool,
    /// Its table of call bridges has none of ours.
    pub is_stranger: bool,
    /// Which credentials it is asked with, and whether it accepts them; None: nobody has tried.
    pub credentials: (String, Option<bool>),
}

/// Why the active call bridge changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The one before was given up.
    Lost,
    /// The one before is in maintenance.
    Maintenance,
    /// An earlier one is good again.
    Failback,
}

/// The active call bridge changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: Address,
    pub to: Address,
    pub cause: Cause,
}

/// Every call bridge of a bridge, the primary first, and which of them is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTable {
    call_bridges: Vec<Candidate>,
    active: Address,
}

impl Candidate {
    fn is_usable(&self) -> bool {
        self.membership == Membership::Member
    }

    fn is_in_service(&self) -> bool {
        self.maintenance == MaintenanceMode::None
    }

    fn is_ready_to_serve(&self) -> bool {
        self.is_usable() && self.is_in_service() && self.health.is_good()
    }

    /// How much it is to be preferred; the lowest: it cannot be used, or is known to be bad. What is good goes before what
    /// is in service: maintenance is a wish, and meetings have to start.
    fn rank(&self) -> (u8, bool) {
        let health = if self.is_usable() { self.health.rank() } else { 0 };
        (health, health > 0 && self.is_in_service())
    }
}

impl HealthTable {
    /// A bridge with its primary alone.
    pub fn new(primary: Address) -> Self {
        let mut table = Self { call_bridges: Vec::new(), active: primary.clone() };
        table.arrange(vec![(primary, CallBridgeRole::Primary, Membership::Member)], None);
        table
    }

    /// Takes over the call bridges of the spec, in their order; what is known of each is kept. `recorded` is the call bridge
    /// that was active when the controller last ran: a restart is no reason to move.
    pub fn arrange(&mut self, wanted: Vec<(Address, CallBridgeRole, Membership)>, recorded: Option<&Address>) {
        let mut known = std::mem::take(&mut self.call_bridges);
        for (address, role, membership) in wanted {
            let before = known.iter_mut().find(|call_bridge| call_bridge.address == address);
            let (maintenance, health) =
                before.map(|known| (known.maintenance, std::mem::take(&mut known.health))).unwrap_or_default();
            self.call_bridges.push(Candidate { address, role, membership, maintenance, health });
        }
        let candidates = [recorded, Some(&self.active)];
        let kept = candidates.into_iter().flatten().find(|address| self.usable(address)).cloned();
        let primary = self.call_bridges.first().map(|call_bridge| call_bridge.address.clone());
        if let Some(active) = kept.or(primary) {
            self.active = active;
        }
    }

    fn usable(&self, address: &Address) -> bool {
        self.get(address).is_some_and(Candidate::is_usable)
    }

    /// Every call bridge, the primary first.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.call_bridges.iter()
    }

    /// One call bridge.
    pub fn get(&self, address: &Address) -> Option<&Candidate> {
        self.call_bridges.iter().find(|call_bridge| call_bridge.address == *address)
    }

    /// Is there a good call bridge besides this one?
    pub fn has_other_than(&self, address: &Address) -> bool {
        self.call_bridges.iter().any(|other| other.address != *address && other.is_usable() && other.health.is_good())
    }

    /// The call bridge that gets the requests.
    pub fn active(&self) -> &Address {
        &self.active
    }

    /// Is the active call bridge another one than the primary?
    pub fn has_failed_over(&self) -> bool {
        self.call_bridges.first().is_some_and(|primary| primary.address != self.active)
    }

    /// Membership and credentials are known better now.
    pub fn set_membership(&mut self, address: &Address, membership: Membership) {
        if let Some(candidate) = self.find(address) {
            candidate.membership = membership;
        }
    }

    /// What the spec says of each call bridge. True if that is something else than before.
    pub fn set_maintenance(&mut self, mode_of: impl Fn(&Address) -> MaintenanceMode) -> bool {
        let mut is_new = false;
        for call_bridge in &mut self.call_bridges {
            let mode = mode_of(&call_bridge.address);
            is_new |= std::mem::replace(&mut call_bridge.maintenance, mode) != mode;
        }
        is_new
    }

    /// Are its meetings to go elsewhere, and is another call bridge there for them?
    pub fn is_evacuated(&self, address: &Address) -> bool {
        let mode = self.get(address).map(|known| known.maintenance);
        let is_elsewhere =
            self.active != *address && self.get(&self.active).is_some_and(|active| active.health.is_good());
        mode == Some(MaintenanceMode::Evacuate) && is_elsewhere
    }

    /// Forgets what is known of a call bridge: its credentials or its certificate settings changed.
    pub fn forget(&mut self, address: &Address) {
        if let Some(call_bridge) = self.find(address) {
            call_bridge.health = Health::default();
        }
    }

    /// The wall clock was set: spans are counted from now on, and the next failure counts.
    pub fn clock_stepped(&mut self, now: Timestamp) {
        for Candidate { health, .. } in &mut self.call_bridges {
            health.counted = None;
            health.good_since = health.good_since.map(|_| now);
            health.failing_since = health.failing_since.map(|_| now);
        }
    }

    /// Takes in a sign of life.
    pub fn learn(&mut self, address: &Address, signal: HealthSignal, policy: &Policy, now: Timestamp) {
        if let Some(call_bridge) = self.find(address) {
            call_bridge.health.take(signal, policy.threshold, now);
        }
    }

    /// Gives a call bridge up without waiting for the threshold: something due could not be sent there. Only if there is
    /// a better one: the last one left is not given up in haste.
    pub fn mark_down_now(&mut self, address: &Address) {
        let better = self
            .call_bridges
            .iter()
            .any(|other| other.address != *address && other.is_usable() && other.health.rank() > 0);
        if better && let Some(call_bridge) = self.find(address) {
            call_bridge.health.level = Level::Down;
            call_bridge.health.successes = 0;
        }
    }

    fn find(&mut self, address: &Address) -> Option<&mut Candidate> {
        self.call_bridges.iter_mut().find(|call_bridge| call_bridge.address == *address)
    }

    /// Moves to another call bridge if that is right now. `asked`: somebody asked for the failback.
    pub fn settle(&mut self, policy: &Policy, asked: bool, now: Timestamp) -> Option<Move> {
        let active = self.get(&self.active);
        let rank = active.map_or((0, false), Candidate::rank);
        let (to, cause) = if rank.0 == 0 {
            let better = self.call_bridges.iter().filter(|other| other.rank().0 > 0);
            // The first of the best: max_by_key would give the last.
            let best = better.rev().max_by_key(|other| other.rank())?;
            (best.address.clone(), Cause::Lost)
        } else if active.is_some_and(|active| !active.is_in_service())
            && let Some(other) = self.call_bridges.iter().find(|other| other.is_ready_to_serve())
        {
            (other.address.clone(), Cause::Maintenance)
        } else {
            let earlier = self.call_bridges.iter().take_while(|other| other.address != self.active);
            let stable = |other: &&Candidate| {
                let good_for = other.health.good_for(now).filter(|_| other.is_usable() && other.is_in_service());
                good_for.is_some_and(|long| asked || policy.failback.is_some_and(|after| long >= after))
            };
            (earlier.filter(|other| stable(other)).map(|other| other.address.clone()).next()?, Cause::Failback)
        };
        let from = std::mem::replace(&mut self.active, to.clone());
        Some(Move { from, to, cause })
    }

    /// When an earlier call bridge will have been good for long enough, if nothing happens to it.
    pub fn failback_at(&self, policy: &Policy) -> Option<Timestamp> {
        let after = policy.failback?;
        self.call_bridges
            .iter()
            .take_while(|other| other.address != self.active)
            .filter(|other| other.is_ready_to_serve())
            .filter_map(|other| other.health.good_since?.checked_add(after).ok())
            .min()
    }
}

#[cfg(test)]
mod tests;
