//! The ways to lose one bridge of a cluster, and what its peers see of it.

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Bench, SOON};
use crate::{Action, EndpointScript, Fault, FaultKind, Handle, JoinError, LegState, WriteWithoutPrimary};

/// Longer than an answer takes, short enough to wait for in vain.
const PATIENCE: Duration = Duration::from_millis(300);

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

/// Asserts that a request gets no answer and no end of its connection either.
async fn unanswered(bench: &Bench, bridge: usize, method: Method, path: &str, body: Option<&str>) {
    let got = timeout(PATIENCE, bench.try_send(bridge, method, path, body)).await;
    assert!(got.is_err(), "{got:?}");
}

/// A far end that answers late, so that its leg rings first.
fn slow(sim: &Handle, address: &str) {
    sim.script_endpoint(address, EndpointScript::Answers { after: PATIENCE });
}

#[tokio::test]
async fn a_silent_bridge_says_nothing_and_lives_on() {
    let (mut bench, slot, calls) = started().await;
    slow(&bench.sim, "desk@x");
    bench.make(&format!("calls/{}/callLegs", calls[0]), "remoteParty=desk@x").await;
    bench.sim.blackhole_bridge(0);
    // On the connection that is pooled, and on a new one.
    let requests = bench.sim.stats().requests(0);
    unanswered(&bench, 0, Method::GET, "system/status", None).await;
    bench.reconnect();
    unanswered(&bench, 0, Method::GET, "system/status", None).await;
    let mut raw = TcpStream::connect(bench.sim.address(0)).await.unwrap();
    // No handshake begins with these words: whoever reads them hangs up.
    raw.write_all(b"anybody there?").await.unwrap();
    assert!(timeout(PATIENCE, raw.read(&mut [0])).await.is_err());
    assert_eq!(bench.sim.stats().requests(0), requests);
    // The far end answers, people come, and the peer sees them all.
    bench.sim.await_state(|sim| sim.legs().iter().any(|l| l.state == LegState::Connected), SOON).await.unwrap();
    bench.sim.join(&slot, "anna", 0).unwrap();
    assert_eq!(bench.get_on(1, "participants").await.total(), 2);
    assert_eq!(bench.get_on(1, "system/alarms").await.total(), 0);
    assert!(bench.sim.start_bridge(0));
    assert!(timeout(SOON, raw.read(&mut [0])).await.unwrap().is_err());
    assert_eq!(bench.get(&format!("calls/{}", calls[0])).await.status, 200);
    // A restart is one of the process: what lies before it stays silent.
    bench.sim.blackhole_bridge(0);
    bench.sim.restart_bridge(0);
    bench.reconnect();
    unanswered(&bench, 0, Method::GET, "system/status", None).await;
    assert!(bench.sim.start_bridge(0));
    bench.reconnect();
    assert_eq!(bench.get("calls").await.total(), 0);
}

#[tokio::test]
async fn requests_in_flight_do_nothing_in_silence() {
    let bench = Bench::quick().await;
    let latency = 4 * PATIENCE;
    bench.sim.set_latency(latency);
    let post = bench.try_send(0, Method::POST, "coSpaces", Some("name=a"));
    let lose = async {
        bench.sim.await_journal(|all| all.len() == 1, SOON).await.unwrap();
        bench.sim.blackhole_bridge(0);
        tokio::time::sleep(latency + PATIENCE).await;
        let entry = bench.sim.journal().remove(0);
        assert_eq!((entry.finished, bench.sim.stats().in_flight(0)), (None, 1));
        assert!(bench.sim.start_bridge(0));
    };
    assert!(futures::future::join(post, lose).await.0.is_err());
    bench.sim.await_journal(|all| all[0].finished.is_some(), SOON).await.unwrap();
    let entry = bench.sim.journal().remove(0);
    assert_eq!((entry.status, entry.effect, bench.sim.stats().in_flight(0)), (None, false, 0));
    assert!(bench.sim.spaces().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_happens_once_silence_has_begun() {
    let mut bench = Bench::quick().await;
    for round in 1..=5 {
        // The connections of the round before were cut; a client might not have noticed yet.
        bench.reconnect();
        // However slow the machine is: given up only some time after the silence has begun.
        let given_up = CancellationToken::new();
        let post = || bench.try_send(0, Method::POST, "coSpaces", Some("name=a"));
        let posts = (0..64).map(|_| given_up.run_until_cancelled(post()));
        let lose = async {
            bench.sim.await_journal(|all| all.len() >= 16, SOON).await.unwrap();
            bench.sim.blackhole_bridge(0);
            let spaces = bench.sim.spaces().len();
            tokio::time::sleep(PATIENCE).await;
            given_up.cancel();
            spaces
        };
        let (_, spaces) = futures::future::join(futures::future::join_all(posts), lose).await;
        assert_eq!(bench.sim.spaces().len(), spaces, "round {round}");
        assert!(bench.sim.start_bridge(0));
        bench.sim.await_journal(|all| all.iter().all(|e| e.finished.is_some()), SOON).await.unwrap();
        assert_eq!(bench.sim.journal().iter().filter(|e| e.effect).count(), spaces);
        assert_eq!(bench.sim.stats().in_flight(0), 0);
        for space in bench.sim.spaces() {
            bench.sim.delete_space(&space.id);
        }
        bench.sim.clear_journal();
    }
}

#[tokio::test]
async fn silence_before_and_after_an_effect() {
    let kinds = [FaultKind::Before { action: Action::Blackhole }, FaultKind::After { action: Action::Blackhole }];
    for (kind, effect) in kinds.into_iter().zip([false, true]) {
        let bench = Bench::quick().await;
        bench.sim.add_fault(Fault::new(kind).route("coSpaces").method("POST").once());
        unanswered(&bench, 0, Method::POST, "coSpaces", Some("name=a")).await;
        assert_eq!(bench.sim.spaces().len(), usize::from(effect));
        let entry = bench.sim.journal().remove(0);
        assert_eq!((entry.status, entry.effect), (None, effect));
        unanswered(&bench, 0, Method::GET, "coSpaces", None).await;
        assert_eq!(bench.get_on(1, "coSpaces").await.total(), usize::from(effect));
    }
}

/// Whether a request failed over the certificate.
async fn distrusted(bench: &Bench, bridge: usize) -> bool {
    let error = bench.try_send(bridge, Method::GET, "system/status", None).await.unwrap_err();
    format!("{error:?}").contains("UnknownIssuer")
}

#[tokio::test]
async fn a_bridge_with_a_strange_certificate() {
    let (mut bench, _, calls) = started().await;
    slow(&bench.sim, "desk@x");
    bench.make(&format!("calls/{}/callLegs", calls[0]), "remoteParty=desk@x").await;
    let requests = bench.sim.stats().requests(0);
    bench.sim.break_tls(0);
    bench.reconnect();
    for _ in 0..2 {
        assert!(distrusted(&bench, 0).await);
    }
    assert_eq!(bench.sim.stats().requests(0), requests);
    bench.sim.await_state(|sim| sim.legs().iter().any(|l| l.state == LegState::Connected), SOON).await.unwrap();
    assert_eq!(bench.get_on(1, "participants").await.total(), 1);
    assert!(bench.sim.start_bridge(0));
    assert_eq!(bench.get(&format!("calls/{}", calls[0])).await.status, 200);
    // Each loss replaces the one before.
    bench.sim.blackhole_bridge(0);
    bench.sim.break_tls(0);
    bench.reconnect();
    assert!(distrusted(&bench, 0).await);
    bench.sim.cut_bridge(0);
    assert!(TcpStream::connect(bench.sim.address(0)).await.is_err());
    bench.sim.break_tls(0);
    bench.sim.blackhole_bridge(0);
    assert!(bench.sim.start_bridge(0));
    assert_eq!(bench.get(&format!("calls/{}", calls[0])).await.status, 200);
}

#[tokio::test]
async fn established_connections_are_cut_when_tls_breaks() {
    let bench = Bench::quick().await;
    bench.sim.add_fault(Fault::new(FaultKind::Before { action: Action::BreakTls }).method("POST").once());
    assert!(bench.try_send(0, Method::POST, "coSpaces", Some("name=a")).await.is_err());
    assert!(bench.sim.spaces().is_empty());
    assert!(distrusted(&bench, 0).await);
}

#[tokio::test]
async fn a_request_can_lose_and_bring_back_another_bridge() {
    let (mut bench, _, calls) = started().await;
    let on = |action| Action::On { bridge: 0, action: Box::new(action) };
    let fault = |kind, method: &str| Fault::new(kind).bridge(1).method(method).once();
    bench.sim.add_fault(fault(FaultKind::After { action: on(Action::Stop) }, "GET"));
    bench.sim.add_fault(fault(FaultKind::Before { action: on(Action::Start) }, "DELETE"));
    assert_eq!(bench.get_on(1, "calls").await.status, 200);
    assert!(TcpStream::connect(bench.sim.address(0)).await.is_err());
    assert_eq!(bench.sim.calls().len(), 1);
    assert_eq!(bench.send(1, Method::DELETE, &format!("calls/{}", calls[1]), None).await.status, 200);
    bench.reconnect();
    assert_eq!(bench.get("calls").await.total(), 0);
}

/// As [`started`], with somebody in each state on the first bridge, and `anna`, who dialled in there.
async fn peopled() -> (Bench, String, [String; 2]) {
    let (bench, slot, calls) = started().await;
    let path = format!("calls/{}/callLegs", calls[0]);
    bench.sim.update_switches(|s| s.remote_party_gains = ";x=1".to_owned());
    bench.sim.script_endpoint("rings@x", EndpointScript::NoAnswer { after: Duration::from_secs(3600) });
    for (party, state) in [("rings@x", LegState::Ringing), ("answers@x", LegState::Connected)] {
        bench.make(&path, &format!("remoteParty={party}")).await;
        let reached = |sim: &Handle| sim.legs().iter().any(|l| l.remote_party.starts_with(party) && l.state == state);
        bench.sim.await_state(reached, SOON).await.unwrap();
    }
    bench.sim.update_switches(|s| s.leg_initial_ms = 3_600_000);
    bench.make(&path, "remoteParty=begins@x").await;
    bench.sim.join(&slot, "anna", 0).unwrap();
    (bench, slot, calls)
}

/// Those of [`peopled`]: address as shown, as dialled, state.
const PEOPLE: [[&str; 3]; 4] = [
    ["rings@x", "rings@x", "ringing"],
    ["answers@x;x=1", "answers@x", "connected"],
    ["begins@x", "begins@x", "initial"],
    ["anna", "anna", "connected"],
];

/// What the second bridge says of everybody on the first.
async fn seen_by_peer(bench: &Bench, call: &str) -> Vec<[String; 3]> {
    let lost = bench.sim.call_bridge_id(0);
    let list = bench.get_on(1, &format!("calls/{call}/participants")).await;
    assert_eq!(list.body.matches(&format!("<callBridge>{lost}</callBridge>")).count(), list.total());
    assert_eq!(bench.get_on(1, "participants").await.body, list.body);
    let mut seen = Vec::new();
    for id in list.ids() {
        let got = bench.get_on(1, &format!("participants/{id}")).await;
        assert_eq!((got.text("call").as_deref(), got.text("callBridge")), (Some(call), Some(lost.clone())));
        assert!(got.body.contains("<status><state>"), "{got:?}");
        seen.push(["uri", "originalUri", "state"].map(|name| got.text(name).unwrap()));
    }
    seen
}

#[tokio::test]
async fn peers_see_everybody_on_a_bridge_that_clients_lost() {
    let (bench, _, calls) = peopled().await;
    for lose in [Handle::cut_bridge, Handle::blackhole_bridge, Handle::break_tls] {
        lose(&bench.sim, 0);
        assert_eq!(seen_by_peer(&bench, &calls[1]).await, PEOPLE);
        let got = bench.get_on(1, &format!("calls/{}", calls[1])).await;
        assert_eq!(got.text("numParticipantsRemote").as_deref(), Some("4"));
        assert!(bench.sim.start_bridge(0));
    }
    assert_eq!((bench.sim.calls().len(), bench.sim.dials().iter().filter(|d| d.ended.is_some()).count()), (2, 0));
}

#[tokio::test]
async fn peers_see_nobody_of_a_lost_process() {
    for lose in [Handle::stop_bridge, Handle::restart_bridge] {
        let (bench, slot, calls) = peopled().await;
        let id = bench.get_on(1, "participants").await.ids().remove(0);
        lose(&bench.sim, 0);
        assert!(seen_by_peer(&bench, &calls[1]).await.is_empty());
        let got = bench.get_on(1, &format!("participants/{id}")).await;
        assert!(got.body.contains("participantDoesNotExist"), "{got:?}");
        assert_eq!(bench.get_on(1, "calls").await.ids(), std::slice::from_ref(&calls[1]));
        assert!(bench.sim.dials().iter().all(|d| d.ended.is_some() && d.reason == Some("bridgeLost")));
        bench.sim.join(&slot, "anna", 1).unwrap();
    }
}

#[tokio::test]
async fn a_call_beside_a_lost_one_shares_its_correlator() {
    for lose in [Handle::cut_bridge, Handle::blackhole_bridge, Handle::break_tls] {
        let (bench, slot, calls) = peopled().await;
        bench.send(1, Method::DELETE, &format!("calls/{}", calls[1]), None).await;
        assert_eq!(bench.get_on(1, "participants").await.total(), 0);
        lose(&bench.sim, 0);
        let call = bench.send(1, Method::POST, "calls", Some(&format!("coSpace={slot}"))).await.id();
        let here = bench.sim.calls().into_iter().find(|c| c.bridge == 0).unwrap();
        let got = bench.get_on(1, &format!("calls/{call}")).await;
        assert_eq!((got.text("callCorrelator"), here.id), (Some(here.correlator), calls[0].clone()));
        assert_eq!(seen_by_peer(&bench, &call).await, PEOPLE);
    }
}

#[tokio::test]
async fn peers_notice_a_lost_process_late() {
    let (mut bench, slot, calls) = peopled().await;
    bench.sim.update_switches(|s| s.peer_loss_delay_ms = 3_600_000);
    bench.sim.stop_bridge(0);
    assert_eq!(seen_by_peer(&bench, &calls[1]).await, PEOPLE);
    let got = bench.get_on(1, &format!("calls/{}", calls[1])).await;
    assert_eq!(got.text("numParticipantsRemote").as_deref(), Some("4"));
    let id = bench.get_on(1, "participants").await.ids().remove(0);
    let got = bench.send(1, Method::DELETE, &format!("participants/{id}"), None).await;
    assert!(got.body.contains("participantCannotBeDeleted"), "{got:?}");
    // The bridge itself knows nothing of its former life.
    assert!(bench.sim.start_bridge(0));
    bench.reconnect();
    bench.make("calls", &format!("coSpace={slot}")).await;
    assert_eq!(bench.get("participants").await.total(), 0);
    assert_eq!(seen_by_peer(&bench, &calls[1]).await, PEOPLE);

    let (bench, _, calls) = peopled().await;
    bench.sim.update_switches(|s| s.peer_loss_delay_ms = 50);
    bench.sim.stop_bridge(0);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(seen_by_peer(&bench, &calls[1]).await.is_empty());
}
