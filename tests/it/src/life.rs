//! A meeting's whole life (R55-R78).

use meeting_controller::api::meeting::{ParticipantState, Phase};
use serde_json::json;

use crate::kit::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_meeting_from_apply_to_ended() {
    let arena = Arena::new("life").await;
    let bridge = arena.ready_bridge(json!({})).await;
    let slots = bridge.status.as_ref().unwrap().slots.as_ref().unwrap();
    assert_eq!((slots.total, slots.free, slots.in_use), (5, 5, 0));
    for line in arena.journal_lines() {
        println!("{line}");
    }
    arena.sim.clear_journal();

    arena
        .create_meeting(
            "standup",
            json!({ "start": in_ms(3_000), "duration": "6s", "participants": [{ "remoteParty": "desk@rooms.test" }] }),
        )
        .await;
    let scheduled = arena.meeting("standup", "scheduled", |m| condition(m, "SlotReserved").0 == "True").await;
    assert_eq!(scheduled.status.as_ref().unwrap().slot.as_ref().unwrap().number, 1);
    let active = arena.phase("standup", Phase::Active).await;
    let status = active.status.as_ref().unwrap();
    println!("open latency {:?}", status.open_latency);
    let space = &arena.sim.spaces().into_iter().find(|space| space.name == "Meeting standup").expect("open space");
    assert!(space.open);
    arena
        .meeting("standup", "connected", |m| {
            m.status.as_ref().unwrap().participants.iter().all(|p| p.state == ParticipantState::Connected)
        })
        .await;
    let ended = arena.phase("standup", Phase::Ended).await;
    assert_eq!(condition(&ended, "Ready"), ("True", "Ended"));
    for line in arena.journal_lines() {
        println!("{line}");
    }
    assert!(arena.sim.calls().is_empty());
    assert!(arena.sim.spaces().iter().all(|space| !space.open));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[test]
fn zz_write_crds() {
    for crd in meeting_controller::api::crds() {
        let name = format!("../../crds/{}.yaml", crd.spec.names.plural);
        if !std::path::Path::new(&name).exists() {
            std::fs::write(name, serde_yaml::to_string(&crd).unwrap()).unwrap();
        }
    }
}
