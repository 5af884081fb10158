//! Call bridges that are worked on: new meetings start elsewhere, running ones finish or move before theirs is gone.

use meeting_controller::api::MeetingBridge;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use serde_json::{Value, json};

use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

impl Arena {
    pub async fn maintain(&self, entries: Value) {
        self.patch::<MeetingBridge>("core", json!({ "spec": { "maintenance": entries } })).await;
    }
}

/// To whichever of the others is known to be good first.
fn is_moved(sim: &cms_simulator::Handle) -> bool {
    let hosts = hosts_of(sim, 1);
    hosts.len() == 1 && hosts != [0] && legs_to(sim, DESK) == hosts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_call_bridge_finishes_its_meetings_and_an_evacuated_one_hands_them_over() {
    let arena = Arena::running("maintenance", json!({})).await;
    let primary = arena.sim.address(0);
    arena.maintain(json!([{ "callBridge": primary, "mode": "Drain" }])).await;
    let relieved = |bridge: &MeetingBridge| {
        active(bridge) == Some(&arena.sim.address(1)) && condition(bridge, "FailedOver") == ("True", "Maintenance")
    };
    let bridge = arena.bridge("core", "relieved", relieved).await;
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"));
    let shown = serde_json::to_value(call_bridge(&bridge, &primary)).unwrap();
    assert_eq!(shown["maintenance"], json!("Drain"));
    arena.event_about("core", "Relieved").await;
    arena.open_now("next", 600, json!({})).await;
    arena.call_on("next", 1).await;
    assert_eq!(arena.hosts(1), [0], "what ran there goes on there");
    let (dials, secret) = (arena.sim.dials().len(), arena.slot(1).secret);

    arena.maintain(json!([{ "callBridge": primary, "mode": "Evacuate" }])).await;
    arena.call_on("m", 1).await;
    arena.await_sim("handed over", |sim| hosts_of(sim, 1) == [1] && legs_to(sim, DESK) == [1]).await;
    let party = arena.party("m", ParticipantState::Connected).await;
    assert_eq!(status_of(&party).participants[0].call_bridge, None);
    assert_eq!(arena.sim.dials().len(), dials + 1, "rung once for the move");
    assert_eq!(arena.slot(1).secret, secret, "links that were sent stay good");
    assert_eq!(phase_of(&party), Phase::Active);

    // The work is done.
    arena.maintain(json!([])).await;
    let back = arena.bridge("core", "in service", |bridge| {
        call_bridge(bridge, &primary).is_some_and(|shown| shown.maintenance.is_none())
    });
    back.await;
    arena.ask_failback("done").await;
    arena.active_is(0).await;
    assert_eq!(arena.hosts(1), [1], "nobody is moved back");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_another_call_bridge_meetings_start_where_is_worked_on_and_it_is_told() {
    let arena = Arena::new("maintenance-alone").await;
    arena.ready_bridge(json!({ "maintenance": [{ "callBridge": arena.sim.address(0), "mode": "Evacuate" }] })).await;
    let told = arena.bridge("core", "told", |bridge| condition(bridge, "FailoverConfigured").1 == "MaintenanceWaits");
    assert_eq!(condition(&told.await, "Ready").0, "True");
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    arena.maintain(json!([{ "callBridge": "nobody" }])).await;
    arena.bridge("core", "told", |bridge| condition(bridge, "FailoverConfigured").1 == "MaintenanceUnknown").await;
    assert_eq!(arena.hosts(1), [0]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_while_no_controller_ran_is_done_by_the_next_one() {
    let mut arena = Arena::running("maintenance-away", json!({})).await;
    arena.controller.take().unwrap().kill().await;
    arena.maintain(json!([{ "callBridge": arena.sim.address(0), "mode": "Evacuate" }])).await;
    arena.start().await;
    arena.await_sim("handed over", is_moved).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// As the bridge calls it; whoever works on it may know no address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_bridge_can_be_named_as_its_cluster_names_it() {
    let arena = Arena::running("maintenance-name", json!({})).await;
    let primary = arena.sim.address(0);
    let members = |bridge: &MeetingBridge| {
        let cluster = bridge.status.as_ref().and_then(|status| status.cluster.clone());
        cluster.map(|cluster| cluster.members).unwrap_or_default()
    };
    let bridge = arena.bridge("core", "known", |bridge| members(bridge).iter().any(|member| member.primary)).await;
    let name = members(&bridge).into_iter().find(|member| member.primary).expect("its name").name;
    assert_ne!(name, primary);
    arena.maintain(json!([{ "callBridge": name, "mode": "Evacuate" }])).await;
    let is_shown = |bridge: &MeetingBridge| {
        let shown = serde_json::to_value(call_bridge(bridge, &primary)).unwrap();
        shown["maintenance"] == json!("Evacuate") && condition(bridge, "FailedOver") == ("True", "Maintenance")
    };
    arena.bridge("core", "evacuated", is_shown).await;
    arena.await_sim("handed over", is_moved).await;
    arena.party("m", ParticipantState::Connected).await;
    // Another one by its name: it is not the primary, so by its address in the cluster's table.
    let bridge = arena.bridge("core", "known", |bridge| members(bridge).len() > 1).await;
    let other = members(&bridge).into_iter().find(|member| member.is_at(&arena.sim.address(1).parse().unwrap()));
    let name = other.expect("its name").name;
    arena.maintain(json!([{ "callBridge": name, "mode": "Drain" }])).await;
    let is_shown = |bridge: &MeetingBridge| {
        let shown = |address: &str| serde_json::to_value(call_bridge(bridge, address)).unwrap()["maintenance"].clone();
        shown(&arena.sim.address(1)) == json!("Drain") && shown(&primary) != json!("Evacuate")
    };
    let told = arena.bridge("core", "the other one", is_shown).await;
    assert_ne!(condition(&told, "FailoverConfigured").1, "MaintenanceUnknown");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
