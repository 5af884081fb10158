//! What is shared, what is local, and what happens when parts are lost (cms-protocol.md section 9).

use std::time::{Duration, Instant};

use reqwest::Method;

use super::{Bench, SOON};
use crate::{Action, DialOutcome, Fault, FaultKind, JoinError, ReadWithoutPrimary};

/// A cluster with an open slot that has people on both bridges.
async fn distributed() -> (Bench, String) {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    bench.open(&slot, "Meeting", "s").await;
    bench.make("calls", &format!("coSpace={slot}")).await;
    bench.sim.join(&slot, "anna", 0).unwrap();
    bench.sim.join(&slot, "bob", 1).unwrap();
    (bench, slot)
}

#[tokio::test]
async fn calls_are_local_and_share_a_correlator() {
    let (bench, slot) = distributed().await;
    let (here, there) = (bench.get("calls").await, bench.get_on(1, "calls").await);
    assert_eq!((here.total(), there.total()), (1, 1));
    assert_ne!(here.ids(), there.ids());
    assert_eq!(here.text("callCorrelator"), there.text("callCorrelator"));
    assert_eq!(there.text("coSpace"), Some(slot.clone()));
    let foreign = format!("calls/{}", there.ids()[0]);
    for method in [Method::GET, Method::DELETE] {
        bench.refused(method, &foreign, None, "callDoesNotExist").await;
    }
    let got = bench.get_on(1, &foreign).await;
    assert_eq!(
        (got.text("numParticipantsLocal").as_deref(), got.text("numParticipantsRemote").as_deref()),
        (Some("1"), Some("1"))
    );
    // One link leg on each side, which nobody can hang up.
    let legs = bench.get("callLegs").await;
    assert_eq!(legs.total(), 2);
    let link = bench.sim.legs().into_iter().find(|l| l.link && l.bridge == 0).unwrap();
    let got = bench.get(&format!("callLegs/{}", link.id)).await;
    assert_eq!(got.text("subtype").as_deref(), Some("distributionLink"));
    bench.refused(Method::DELETE, &format!("callLegs/{}", link.id), None, "callLegCannotBeDeleted").await;
    assert!(bench.sim.leave("bob"));
    assert!(bench.sim.legs().iter().all(|l| !l.link));
    assert_eq!(bench.get_on(1, "calls").await.total(), 0);
}

#[tokio::test]
async fn participants_of_other_bridges_carry_them() {
    let (bench, _) = distributed().await;
    let list = bench.get("participants").await;
    assert_eq!(list.total(), 2);
    assert_eq!(list.text("callBridge"), Some(bench.sim.call_bridge_id(1)));
    let remote = list.ids()[1].clone();
    bench.refused(Method::DELETE, &format!("participants/{remote}"), None, "participantCannotBeDeleted").await;
    bench
        .refused(Method::PUT, &format!("participants/{remote}"), Some("importance=1"), "participantCannotBeModified")
        .await;
    // Its legs are there, but it is not unknown here.
    assert_eq!(bench.get(&format!("participants/{}/callLegs", list.ids()[0])).await.total(), 1);
    assert_eq!(bench.get(&format!("participants/{remote}/callLegs")).await.total(), 0);
    bench.refused(Method::GET, "participants/x/callLegs", None, "participantDoesNotExist").await;
    let filter = format!("participants?callBridgeFilter={}", bench.sim.call_bridge_id(0));
    assert_eq!(bench.get(&filter).await.total(), 1);
    let call = bench.get("calls").await.ids().remove(0);
    assert_eq!(bench.get(&format!("calls/{call}/participants")).await.total(), 2);
    assert_eq!(bench.get(&format!("calls/{call}/callLegs")).await.total(), 2);
}

#[tokio::test]
async fn tenants_are_filtered_by_in_any_case() {
    let (bench, slot) = distributed().await;
    let tenant = bench.make("tenants", "name=t").await;
    assert_eq!(bench.put(&format!("coSpaces/{slot}"), &format!("tenant={tenant}")).await.status, 200);
    let mut seen = Vec::new();
    for path in ["coSpaces", "calls", "callLegs", "participants"] {
        let of = |id: String| format!("{path}?tenantFilter={id}");
        let totals = [of(tenant.clone()), of(tenant.to_uppercase()), of(format!("{tenant}0"))];
        for path in totals {
            seen.push(bench.get(&path).await.total());
        }
    }
    assert_eq!(seen, [1, 1, 0, 1, 1, 0, 2, 2, 0, 2, 2, 0]);
}

#[tokio::test]
async fn placement_of_participants() {
    let (bench, _) = distributed().await;
    let call = bench.get("calls").await.ids().remove(0);
    let path = format!("calls/{call}/participants");
    let there = bench.sim.call_bridge_id(1);
    bench.make(&path, &format!("remoteParty=a@x&callBridge={there}")).await;
    assert_eq!(bench.sim.dials()[0].bridge, 1);
    let group = bench.make("callBridgeGroups", "name=g").await;
    let body = format!("remoteParty=b@x&callBridgeGroup={group}");
    bench.refused(Method::POST, &path, Some(&body), "loadBalancingDisabled").await;
    bench.put(&format!("callBridgeGroups/{group}"), "loadBalanceOutgoingCalls=true").await;
    bench.refused(Method::POST, &path, Some(&body), "callBridgeGroupUnavailable").await;
    bench.put(&format!("callBridges/{there}"), &format!("callBridgeGroup={group}")).await;
    bench.make(&path, &body).await;
    bench.sim.stop_bridge(1);
    let body = format!("remoteParty=c@x&callBridge={there}");
    bench.refused(Method::POST, &path, Some(&body), "callBridgeUnavailable").await;
}

#[tokio::test]
async fn a_restart_loses_calls_and_uptime() {
    let (mut bench, slot) = distributed().await;
    let call = bench.get("calls").await.ids().remove(0);
    let before: u64 = bench.get("system/status").await.text("uptimeSeconds").unwrap().parse().unwrap();
    bench.sim.restart_bridge(0);
    bench.reconnect();
    let after: u64 = bench.get("system/status").await.text("uptimeSeconds").unwrap().parse().unwrap();
    assert!(before >= 86_400 && after < 60);
    bench.refused(Method::GET, &format!("calls/{call}"), None, "callDoesNotExist").await;
    assert_eq!(bench.get_on(1, "calls").await.total(), 1);
    assert_eq!(bench.get_on(1, "participants").await.total(), 1);
    assert_eq!(bench.get(&format!("coSpaces/{slot}")).await.text("nonMemberAccess").as_deref(), Some("true"));
}

#[tokio::test]
async fn a_stopped_bridge_refuses_and_comes_back_on_its_port() {
    let (mut bench, slot) = distributed().await;
    let address = bench.sim.address(0);
    bench.sim.stop_bridge(0);
    assert!(std::net::TcpStream::connect(&address).is_err());
    assert!(bench.try_send(0, Method::GET, "calls", None).await.is_err());
    assert_eq!(bench.sim.join(&slot, "carl", 0), Err(JoinError::BridgeDown));
    assert_eq!(bench.sim.calls().iter().filter(|c| c.bridge == 0).count(), 0);
    let alarms = bench.get_on(1, "system/alarms").await;
    assert_eq!(alarms.text("type").as_deref(), Some("callBridgeConnectionFailure"));
    assert_eq!(alarms.text("callBridge"), Some(bench.sim.call_bridge_id(0)));
    for _ in 0..3 {
        assert!(bench.sim.start_bridge(0));
        bench.reconnect();
        assert_eq!(bench.get("calls").await.total(), 0);
        bench.sim.stop_bridge(0);
        assert!(std::net::TcpStream::connect(&address).is_err());
    }
    assert!(bench.sim.start_bridge(0));
    assert_eq!(bench.sim.address(0), address);
    assert_eq!(bench.get_on(1, "system/alarms").await.total(), 0);
}

#[tokio::test]
async fn a_cut_bridge_keeps_its_calls() {
    let (mut bench, _) = distributed().await;
    bench.sim.cut_bridge(0);
    assert!(bench.try_send(0, Method::GET, "calls", None).await.is_err());
    assert_eq!(bench.get_on(1, "participants").await.total(), 2);
    assert!(bench.sim.start_bridge(0));
    bench.reconnect();
    assert_eq!(bench.get("calls").await.total(), 1);
}

#[tokio::test]
async fn a_database_without_primary() {
    let (bench, slot) = distributed().await;
    let call = bench.get("calls").await.ids().remove(0);
    bench.sim.set_database_primary(false);
    for path in ["coSpaces", "callBridges", &*format!("coSpaces/{slot}")] {
        let got = bench.get(path).await;
        assert_eq!((got.status, got.body.as_str()), (503, ""), "{path}");
    }
    assert_eq!(bench.put(&format!("coSpaces/{slot}"), "name=x").await.status, 503);
    // What belongs to a bridge goes on.
    assert_eq!(bench.get("system/status").await.status, 200);
    assert_eq!(bench.get("calls").await.total(), 1);
    let alarms = bench.get("system/alarms").await;
    assert_eq!(alarms.text("failureReason").as_deref(), Some("destinationReadOnly"));
    assert!(!bench.get("system/database").await.body.contains("master=\"true\""));
    assert_eq!(bench.delete(&format!("calls/{call}")).await.status, 200);
    assert_eq!(bench.sim.join(&slot, "carl", 0), Err(JoinError::NoDatabase));
    bench.sim.update_switches(|s| s.read_without_primary = ReadWithoutPrimary::Replica);
    assert_eq!(bench.get("coSpaces").await.total(), 1);
    bench.sim.set_database_primary(true);
    assert_eq!(bench.put(&format!("coSpaces/{slot}"), "name=x").await.status, 200);
    assert_eq!(bench.get("system/alarms").await.total(), 0);
}

#[tokio::test]
async fn clocks_and_alarms() {
    let bench = Bench::quick().await;
    bench.sim.set_clock_skew(0, -3600);
    let time = |got: super::Got| got.text("cdrTime").unwrap().parse::<jiff::Timestamp>().unwrap();
    let (late, right) = (time(bench.get("system/status").await), time(bench.get_on(1, "system/status").await));
    let apart = right.duration_since(late).as_secs();
    assert!((3599..=3601).contains(&apart), "{apart}");
    bench.sim.add_alarm(0, "recorderUnavailable", Some("connectFailure"));
    assert_eq!(bench.get("system/alarms").await.text("type").as_deref(), Some("recorderUnavailable"));
    bench.sim.clear_alarms(0);
    assert_eq!(bench.get("system/alarms").await.total(), 0);
}

#[tokio::test]
async fn requests_in_flight_are_counted_and_do_nothing_after_a_stop() {
    let bench = Bench::quick().await;
    bench.sim.set_latency(Duration::from_secs(3600));
    let names = ["name=a", "name=b", "name=c"];
    let hanging = futures::future::join_all(names.map(|body| bench.try_send(0, Method::POST, "coSpaces", Some(body))));
    let stop = async {
        bench.sim.await_journal(|all| all.len() == 3, SOON).await.unwrap();
        bench.sim.stop_bridge(0);
    };
    assert!(futures::future::join(hanging, stop).await.0.iter().all(Result::is_err));
    bench.sim.await_journal(|all| all.iter().all(|e| e.finished.is_some()), SOON).await.unwrap();
    assert_eq!((bench.sim.max_in_flight(0), bench.sim.stats().in_flight(0)), (3, 0));
    assert!(bench.sim.journal().iter().all(|e| e.status.is_none() && !e.effect));
    assert!(bench.sim.spaces().is_empty());
}

#[tokio::test]
async fn a_fault_can_restart_a_bridge_before_or_after_the_effect() {
    for (kind, spaces) in
        [(FaultKind::Before { action: Action::Restart }, 0), (FaultKind::After { action: Action::Restart }, 1)]
    {
        let mut bench = Bench::quick().await;
        bench.sim.add_fault(Fault::new(kind).route("coSpaces").method("POST").once());
        assert!(bench.try_send(0, Method::POST, "coSpaces", Some("name=a")).await.is_err());
        assert_eq!(bench.sim.spaces().len(), spaces);
        bench.reconnect();
        let up: u64 = bench.get("system/status").await.text("uptimeSeconds").unwrap().parse().unwrap();
        assert!(up < 60);
    }
}

#[tokio::test]
async fn dials_end_with_their_bridge() {
    let bench = Bench::quick().await;
    let call = bench.make("calls", "name=a").await;
    bench.sim.script_endpoint("a@x", crate::EndpointScript::NoAnswer { after: Duration::from_secs(60) });
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    bench.sim.restart_bridge(0);
    let dial = &bench.sim.dials()[0];
    assert_eq!((dial.outcome, dial.reason), (DialOutcome::Cancelled, Some("bridgeLost")));
    // Same seed, same ids.
    let other = Bench::quick().await;
    assert_eq!(other.make("calls", "name=a").await, call);
}

/// Not a benchmark, but it shows on a debug build whether something is badly wrong with the cost of a request.
#[tokio::test]
async fn many_requests_over_a_large_database() {
    let bench = Bench::quick().await;
    bench.slots(1, 2000).await;
    let begun = Instant::now();
    let workers = (0..8).map(|worker| {
        let bench = &bench;
        async move {
            for n in 0..100 {
                let number = worker * 100 + n + 1;
                let id = bench.get(&format!("coSpaces?filter={number}&limit=1")).await.ids().remove(0);
                bench.put(&format!("coSpaces/{id}"), "nonMemberAccess=true&passcode=1&secret=2").await;
            }
        }
    });
    futures::future::join_all(workers).await;
    println!("1600 requests in {:?}", begun.elapsed());
    let begun = Instant::now();
    for _ in 0..800 {
        bench.get("system/status").await;
    }
    println!("800 status requests in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(60));
}
