//! The ways to lose one bridge of a cluster, and what its peers see of it.

use reqwest::Method;

use super::Bench;
use crate::{Action, Fault, FaultKind, JoinError, WriteWithoutPrimary};

/// A cluster with an open slot that has an API-made call on every bridge. Returns the slot and the calls.
async fn started() -> (Bench, String, [String; 2]) {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    bench.open(&slot, "Meeting", "s").await;
    let body = format!("coSpace={slot}");
    let call = async |bridge| bench.send(bridge, Method::POST, "calls", Some(&body)).await.id();
    let calls = [call(0).await, call(1).await];
    (bench, slot, calls)
}

#[tokio::test]
async fn one_bridge_can_lose_the_database() {
    let (mut bench, slot, calls) = started().await;
    let path = format!("coSpaces/{slot}");
    bench.sim.set_database_reachable(0, false);
    for got in [bench.get("coSpaces").await, bench.get(&path).await, bench.put(&path, "name=x").await] {
        assert_eq!((got.status, got.body.as_str()), (503, ""));
    }
    bench.sim.update_switches(|s| s.write_without_primary = WriteWithoutPrimary::DatabaseNotReady);
    bench.refused(Method::PUT, &path, Some("name=x"), "databaseNotReady").await;
    assert_eq!(bench.sim.join(&slot, "anna", 0), Err(JoinError::NoDatabase));
    assert!(bench.get("system/database").await.body.contains("<error>no primary</error>"));
    assert_eq!(bench.get("system/alarms").await.text("failureReason").as_deref(), Some("connectFailure"));
    // What belongs to the bridge goes on.
    assert_eq!(bench.get(&format!("calls/{}", calls[0])).await.status, 200);
    // So does everything on its peer.
    assert_eq!(bench.send(1, Method::PUT, &path, Some("name=x")).await.status, 200);
    assert!(bench.get_on(1, "system/database").await.body.contains("master=\"true\""));
    assert_eq!(bench.get_on(1, "system/alarms").await.total(), 0);
    bench.sim.join(&slot, "anna", 1).unwrap();
    // It is a matter of the network: neither a restart nor the primary's return mends it.
    bench.sim.set_database_primary(false);
    assert_eq!(bench.get_on(1, &path).await.status, 503);
    bench.sim.set_database_primary(true);
    bench.sim.restart_bridge(0);
    bench.reconnect();
    assert_eq!(bench.get(&path).await.status, 503);
    assert_eq!(bench.get("system/alarms").await.total(), 1);
    bench.sim.set_database_reachable(0, true);
    assert_eq!(bench.get(&path).await.text("name").as_deref(), Some("x"));
    assert_eq!(bench.get("system/alarms").await.total(), 0);
}

#[tokio::test]
async fn a_request_can_take_the_database_from_its_bridge() {
    let (bench, slot, _) = started().await;
    let path = format!("coSpaces/{slot}");
    let lose = Action::DatabaseReachable { reachable: false };
    bench.sim.add_fault(Fault::new(FaultKind::After { action: lose.clone() }).method("PUT").once());
    assert_eq!(bench.put(&path, "name=x").await.status, 200);
    assert_eq!((bench.get(&path).await.status, bench.get_on(1, &path).await.status), (503, 200));
    bench.sim.add_fault(Fault::new(FaultKind::Before { action: lose }).method("PUT").once());
    assert_eq!(bench.send(1, Method::PUT, &path, Some("name=y")).await.status, 503);
}
