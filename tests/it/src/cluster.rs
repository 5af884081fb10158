//! What the tests about clusters share: three call bridges, ways to lose one, and looks at who holds what.

use cms_simulator::{Config, Fault, FaultKind, Handle, JournalEntry};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt, watcher};
use meeting_controller::api::bridge::CallBridgeStatus;
use meeting_controller::api::meeting::ParticipantState;
use meeting_controller::api::names::FAILBACK_ANNOTATION;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;

/// Every way to lose a call bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its process is gone and so are its calls.
    Refused,
    /// It is out of our reach; its calls go on.
    Cut,
    /// It accepts connections and says nothing; its calls go on.
    Blackholed,
    /// Its certificate is a stranger's; its calls go on.
    TlsBroken,
    /// It rejects the credentials.
    Unauthorized,
    /// It answers every request with 503.
    Unavailable,
}

impl Loss {
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::Cut, Self::Blackholed, Self::TlsBroken, Self::Unauthorized, Self::Unavailable];

    /// Takes a call bridge away.
    pub fn strike(self, sim: &Handle, bridge: usize) {
        match self {
            Self::Refused => sim.stop_bridge(bridge),
            Self::Cut => sim.cut_bridge(bridge),
            Self::Blackholed => sim.blackhole_bridge(bridge),
            Self::TlsBroken => sim.break_tls(bridge),
            Self::Unauthorized => {
                sim.add_fault(Fault::new(FaultKind::Unauthorized).bridge(bridge));
            }
            Self::Unavailable => {
                sim.add_fault(Fault::new(FaultKind::Unavailable).bridge(bridge));
            }
        }
    }

    /// Do its calls go on while it is lost?
    pub fn leaves_calls(self) -> bool {
        self != Self::Refused
    }
}

/// Three call bridges of one cluster.
pub fn three() -> Config {
    Config { bridges: 3, ..Config::default() }
}

impl Arena {
    /// A world with three call bridges and a bridge `core` that uses all of them.
    pub async fn cluster(prefix: &str) -> Self {
        Self::cluster_with(prefix, json!({})).await
    }

    /// The same with this `failover`, merged over two alternates.
    pub async fn cluster_with(prefix: &str, failover: Value) -> Self {
        Self::cluster_at(prefix, failover, quick()).await
    }

    /// The same with these intervals.
    pub async fn cluster_at(prefix: &str, failover: Value, settings: Settings) -> Self {
        let arena = Self::with(prefix, three(), settings).await;
        arena.ready_bridge(json!({ "failover": arena.alternates() })).await;
        arena.patch::<MeetingBridge>("core", json!({ "spec": { "failover": failover } })).await;
        arena.all_reachable().await;
        arena
    }

    /// A cluster whose meeting `m` runs in slot 1 on the primary with `desk` connected.
    pub async fn running(prefix: &str, failover: Value) -> Self {
        let arena = Self::cluster_with(prefix, failover).await;
        arena.open_now("m", 120, json!({ "participants": desk() })).await;
        arena.party("m", ParticipantState::Connected).await;
        assert_eq!(arena.hosts(1), [0]);
        arena
    }

    /// Ends a meeting now.
    pub async fn end_now(&self, name: &str) {
        let patch = json!({ "spec": { "duration": null, "end": in_ms(-100) } });
        self.patch::<ScheduledMeeting>(name, patch).await;
    }

    /// Asks for the return to the primary.
    pub async fn ask_failback(&self, token: &str) {
        let annotation = json!({ "metadata": { "annotations": { FAILBACK_ANNOTATION: token } } });
        self.patch::<MeetingBridge>("core", annotation).await;
    }

    /// Waits until the meeting's call is on this call bridge.
    pub async fn call_on(&self, name: &str, bridge: usize) -> ScheduledMeeting {
        let address = self.sim.address(bridge);
        let is_there = |m: &ScheduledMeeting| status_of(m).call.is_some_and(|call| call.call_bridge == address);
        self.meeting(name, &format!("on {bridge}"), is_there).await
    }

    /// Waits until so many further requests to this call bridge were answered with 200.
    pub async fn served(&self, bridge: usize, count: usize) {
        let last = self.sim.with_journal(|all| all.last().map_or(0, |entry| entry.seq));
        let is_one = |e: &&JournalEntry| e.bridge == bridge && e.seq > last && e.status == Some(200);
        let what = format!("{count} requests served by {bridge}");
        self.await_requests(&what, |all| all.iter().filter(is_one).count() >= count).await;
    }

    /// How often the bridge `core` was moved because a call bridge was lost, as the metrics tell.
    pub fn failovers(&self) -> u64 {
        let text = self.controller.as_ref().expect("it runs").metrics.text();
        let name = format!("meeting_controller_failovers_total{{namespace=\"{}\",name=\"core\"}} ", self.namespace);
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    }

    /// Reasons of the events about an object, in the order in which they happened.
    pub async fn story(&self, name: &str) -> Vec<String> {
        let events: Api<Event> = self.api();
        let mut all = events.list(&ListParams::default()).await.expect("events").items;
        all.retain(|event| event.regarding.as_ref().and_then(|about| about.name.as_deref()) == Some(name));
        all.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        all.into_iter().filter_map(|event| event.reason).collect()
    }

    /// Gives a call bridge back. After a 401 nothing is tried before the Secret changes, even to the same words.
    pub async fn mend(&self, loss: Loss, bridge: usize) {
        self.sim.clear_faults();
        self.sim.start_bridge(bridge);
        if loss == Loss::Unauthorized {
            self.patch::<Secret>("cms", json!({ "metadata": { "annotations": { "tried": "again" } } })).await;
        }
    }

    pub fn alternates(&self) -> Value {
        json!({ "alternates": [{ "address": self.sim.address(1) }, { "address": self.sim.address(2) }] })
    }

    /// Waits until every call bridge of `core` is known to be good.
    pub async fn all_reachable(&self) -> MeetingBridge {
        self.bridge("core", "all call bridges reachable", |bridge| {
            let call_bridges = bridge.status.as_ref().map(|status| status.call_bridges.clone()).unwrap_or_default();
            call_bridges.len() == 3 && call_bridges.iter().all(|e| e.reachable == Some(true) && e.reason.is_none())
        })
        .await
    }

    /// Waits until requests go to this call bridge and the conditions tell of it.
    pub async fn active_is(&self, bridge: usize) -> MeetingBridge {
        let address = self.sim.address(bridge);
        let wanted = if bridge == 0 { ("", "") } else { ("True", "PrimaryLost") };
        let is_there = |b: &MeetingBridge| active(b) == Some(&address) && condition(b, "FailedOver") == wanted;
        self.bridge("core", &format!("active on {bridge}"), is_there).await
    }

    /// Waits until there is an event about an object with this reason; its note. Events come after the status.
    pub async fn event_about(&self, name: &str, reason: &str) -> String {
        let events: Api<Event> = self.api();
        let wanted = |event: &Event| {
            event.regarding.as_ref().and_then(|about| about.name.as_deref()) == Some(name)
                && event.reason.as_deref() == Some(reason)
        };
        let mut stream = std::pin::pin!(watcher(events, watcher::Config::default()).applied_objects());
        let found = async {
            loop {
                match stream.next().await {
                    Some(Ok(event)) if wanted(&event) => return event.note.unwrap_or_default(),
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no event {reason} about {name}"))
    }

    /// The call bridges with a call on a slot, in order.
    pub fn hosts(&self, number: u32) -> Vec<usize> {
        hosts_of(&self.sim, number)
    }
}

/// One participant that is dialled.
pub fn desk() -> Value {
    json!([{ "remoteParty": DESK }])
}

pub const DESK: &str = "desk@rooms.test";

/// How often an address was dialled.
pub fn rings(sim: &Handle, party: &str) -> usize {
    sim.dials().iter().filter(|dial| dial.remote_party == party).count()
}

/// What the status tells of one call bridge.
pub fn call_bridge<'a>(bridge: &'a MeetingBridge, address: &str) -> Option<&'a CallBridgeStatus> {
    bridge.status.as_ref()?.call_bridges.iter().find(|call_bridge| call_bridge.address == address)
}

/// The call bridge that gets the requests.
pub fn active(bridge: &MeetingBridge) -> Option<&str> {
    bridge.status.as_ref()?.active_call_bridge.as_deref()
}

/// The call bridges with a call on a slot, in order.
pub fn hosts_of(sim: &Handle, number: u32) -> Vec<usize> {
    let space = slot_of(sim, number).id;
    let mut hosts: Vec<_> =
        sim.calls().into_iter().filter(|call| call.space.as_deref() == Some(&space)).map(|call| call.bridge).collect();
    hosts.sort_unstable();
    hosts
}

/// Call bridges with a leg to this party.
pub fn legs_to(sim: &Handle, party: &str) -> Vec<usize> {
    sim.legs().into_iter().filter(|leg| leg.remote_party == party && !leg.link).map(|leg| leg.bridge).collect()
}
