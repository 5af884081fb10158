//! What the tests about clusters share: three call bridges, ways to lose one, and looks at who holds what.

use cms_simulator::{Config, Fault, FaultKind, Handle};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use meeting_controller::api::MeetingBridge;
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
        let arena = Self::with(prefix, three(), quick()).await;
        arena.ready_bridge(json!({ "failover": arena.alternates() })).await;
        arena.patch::<MeetingBridge>("core", json!({ "spec": { "failover": failover } })).await;
        arena.all_reachable().await;
        arena
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

    /// Waits until every endpoint of `core` is known to be good.
    pub async fn all_reachable(&self) -> MeetingBridge {
        self.bridge("core", "all endpoints reachable", |bridge| {
            let endpoints = bridge.status.as_ref().map(|status| status.endpoints.clone()).unwrap_or_default();
            endpoints.len() == 3 && endpoints.iter().all(|e| e.reachable == Some(true) && e.reason.is_none())
        })
        .await
    }

    /// Waits until requests go to this call bridge.
    pub async fn active_is(&self, bridge: usize) -> MeetingBridge {
        let address = self.sim.address(bridge);
        self.bridge("core", &format!("active on {bridge}"), |found| {
            found.status.as_ref().and_then(|status| status.active_endpoint.as_ref()) == Some(&address)
        })
        .await
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
