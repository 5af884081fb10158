//! The call bridges of a cluster (R25-R28): which may be used, what status tells of them, and that strangers are left
//! alone.

use std::collections::BTreeMap;

use cms_simulator::{Config, JournalEntry, Simulator};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use meeting_controller::api::MeetingBridge;
use meeting_controller::api::bridge::{CallBridgeRole, CallBridgeStatus, MemberStatus};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use reqwest::Method;
use serde_json::{Value, json};

use crate::apiserver::{Failing, Failure, READ_SECRET};
use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

fn members(bridge: &MeetingBridge) -> Vec<MemberStatus> {
    bridge.status.as_ref().and_then(|status| status.cluster.clone()).map(|cluster| cluster.members).unwrap_or_default()
}

/// Names of the call bridges, in the simulator's order.
fn names(arena: &Arena, bridge: &MeetingBridge) -> Vec<String> {
    let by_id: BTreeMap<_, _> = members(bridge).into_iter().map(|member| (member.id, member.name)).collect();
    (0..arena.sim.bridges()).map(|n| by_id[&arena.sim.call_bridge_id(n)].clone()).collect()
}

/// Makes the failover of `core` exactly this.
async fn set_failover(arena: &Arena, failover: Value) {
    let clear = json!({ "alternates": null, "discover": null });
    let mut spec = clear.as_object().unwrap().clone();
    spec.extend(failover.as_object().unwrap().clone());
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "failover": spec } })).await;
}

/// Waits until FailoverConfigured says this about the newest spec.
async fn configured(arena: &Arena, status: &str, reason: &str) -> MeetingBridge {
    arena
        .bridge("core", &format!("FailoverConfigured={status} ({reason})"), |bridge| {
            condition(bridge, "FailoverConfigured") == (status, reason)
                && bridge.observed() == bridge.metadata.generation
        })
        .await
}

fn shown(bridge: &MeetingBridge) -> Vec<CallBridgeStatus> {
    let all = bridge.status.iter().flat_map(|status| &status.call_bridges);
    all.map(|known| CallBridgeStatus { accepted_credentials: None, ..known.clone() }).collect()
}

/// What the status is to say of call bridges that are good.
fn good(arena: &Arena, wanted: &[(usize, CallBridgeRole)]) -> Vec<CallBridgeStatus> {
    let one = |(n, role): &(usize, CallBridgeRole)| CallBridgeStatus {
        maintenance: None,
        address: arena.sim.address(*n),
        role: *role,
        call_bridge_id: Some(arena.sim.call_bridge_id(*n)),
        reachable: Some(true),
        reason: None,
        accepted_credentials: None,
    };
    wanted.iter().map(one).collect()
}

async fn shows(arena: &Arena, wanted: &[(usize, CallBridgeRole)]) -> MeetingBridge {
    let wanted = good(arena, wanted);
    arena.bridge("core", &format!("{wanted:?}"), |bridge| shown(bridge) == wanted).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_are_named_by_address_by_name_or_found() {
    use CallBridgeRole::{Alternate, Discovered, Primary};
    let arena = Arena::with("setup-names", three(), quick()).await;
    let bridge = arena.ready_bridge(json!({})).await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "NoAlternates"));
    assert_eq!(condition(&bridge, "FailedOver").0, "", "present only while true");
    assert_eq!(shown(&bridge), good(&arena, &[(0, Primary)]));
    let known = members(&bridge);
    assert_eq!((known.len(), known.iter().filter(|member| member.primary).count()), (3, 1));
    let names = names(&arena, &bridge);

    set_failover(&arena, arena.alternates()).await;
    let bridge = shows(&arena, &[(0, Primary), (1, Alternate), (2, Alternate)]).await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "Configured"));
    // The order of the spec is the order of preference.
    set_failover(&arena, json!({ "alternates": [{ "callBridge": names[2] }, { "callBridge": names[1] }] })).await;
    shows(&arena, &[(0, Primary), (2, Alternate), (1, Alternate)]).await;
    set_failover(&arena, json!({ "discover": true })).await;
    let bridge = shows(&arena, &[(0, Primary), (1, Discovered), (2, Discovered)]).await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "Configured"));
    // One that is named stays what it is when the others are found as well.
    set_failover(&arena, json!({ "discover": true, "alternates": [{ "callBridge": names[2] }] })).await;
    shows(&arena, &[(0, Primary), (2, Alternate), (1, Discovered)]).await;
    set_failover(&arena, json!({})).await;
    let bridge = shows(&arena, &[(0, Primary)]).await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "NoAlternates"));
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A found call bridge is as good as a named one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_to_a_found_call_bridge() {
    let arena = Arena::with("setup-found", three(), quick()).await;
    arena.ready_bridge(json!({ "failover": { "discover": true } })).await;
    arena.all_reachable().await;
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    let hosts = arena.hosts(1);
    assert!(hosts == [1] || hosts == [2], "{hosts:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The CA certificates of both, so that a stranger gets as far as it can.
async fn trust_both(arena: &Arena, other: &Simulator) {
    let both = format!("{}\n{}", arena.sim.ca_pem(), other.ca_pem());
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": both } })).await;
}

fn only_reads(sim: &Simulator) {
    let writes: Vec<JournalEntry> = sim.journal().into_iter().filter(|entry| entry.method != "GET").collect();
    assert!(writes.is_empty(), "{writes:#?}");
}

async fn a_stranger(clustered: bool) {
    let config = if clustered { Config { bridges: 2, ..Config::default() } } else { lone() };
    let arena = Arena::with("setup-stranger", config, quick()).await;
    let other = Simulator::start(Config { seed: 77, bridges: 2, ..Config::default() }).await.expect("simulator");
    arena.ready_bridge(json!({})).await;
    trust_both(&arena, &other).await;
    // The stranger comes first: before the one that could be used.
    let mut alternates = vec![json!({ "address": other.address(0) })];
    if clustered {
        alternates.push(json!({ "address": arena.sim.address(1) }));
    }
    set_failover(&arena, json!({ "alternates": alternates })).await;
    let bridge = configured(&arena, "False", "AlternateNotInCluster").await;
    assert!(message(&bridge, "FailoverConfigured").contains(&other.address(0)), "{bridge:#?}");
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"), "the bridge itself is well");
    if clustered {
        let address = arena.sim.address(1);
        arena
            .bridge("core", "the other is good", |b| {
                call_bridge(b, &address).is_some_and(|e| e.reachable == Some(true))
            })
            .await;
    }
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({})).await;
    if clustered {
        arena.call_on("m", 1).await;
    } else {
        arena.reason("core", "Reachable", "ConnectionRefused").await;
        arena.says("m", "SpaceOpen", "False", "BridgeUnreachable").await;
        let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
        assert_eq!(active(&bridge), Some(arena.sim.address(0).as_str()));
        arena.sim.start_bridge(0);
        arena.phase("m", Phase::Active).await;
        assert_eq!(arena.failovers(), 0);
    }
    only_reads(&other);
    assert!(other.calls().is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_named_and_never_used() {
    futures::future::join(a_stranger(true), a_stranger(false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternate_is_neither_called_configured_nor_used_before_it_is_proven() {
    let arena = Arena::with("setup-unproven", lone(), quick()).await;
    let other = Simulator::start(Config { seed: 78, bridges: 2, ..Config::default() }).await.expect("simulator");
    arena.ready_bridge(json!({})).await;
    trust_both(&arena, &other).await;
    other.stop_bridge(0);
    let said = arena.history::<MeetingBridge>("core", "FailoverConfigured");
    set_failover(&arena, json!({ "alternates": [{ "address": other.address(0) }] })).await;
    let bridge = configured(&arena, "Unknown", "AlternatesUnproven").await;
    assert!(message(&bridge, "FailoverConfigured").contains(&other.address(0)), "{bridge:#?}");
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"), "the bridge itself is well");
    // It is up when the primary is lost; nobody has said whose it is.
    arena.sim.stop_bridge(0);
    other.start_bridge(0);
    arena.reason("core", "Reachable", "ConnectionRefused").await;
    configured(&arena, "False", "AlternateNotInCluster").await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!((active(&bridge), arena.failovers()), (Some(arena.sim.address(0).as_str()), 0));
    let said = said.until("False").await;
    let first_unknown = said.iter().position(|(status, _)| status == "Unknown").unwrap();
    assert!(said[first_unknown..].iter().all(|(status, _)| status != "True"), "{said:?}");
    only_reads(&other);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternate_that_is_none_is_named() {
    let arena = Arena::with("setup-none", three(), quick()).await;
    let bridge = arena.ready_bridge(json!({})).await;
    let names = names(&arena, &bridge);
    set_failover(&arena, json!({ "alternates": [{ "callBridge": "nowhere" }] })).await;
    let bridge = configured(&arena, "False", "AlternateNotInCluster").await;
    assert!(message(&bridge, "FailoverConfigured").contains("nowhere"));
    set_failover(&arena, json!({ "alternates": [{ "address": arena.sim.address(0) }] })).await;
    configured(&arena, "False", "AlternateIsPrimary").await;
    set_failover(&arena, json!({ "alternates": [{ "callBridge": names[1] }] })).await;
    configured(&arena, "True", "Configured").await;
    set_failover(&arena, json!({ "alternates": [{ "callBridge": names[0] }, { "callBridge": names[1] }] })).await;
    let bridge = configured(&arena, "False", "AlternateIsPrimary").await;
    assert!(message(&bridge, "FailoverConfigured").contains(&names[0]));
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"));
    // The primary under another name: it tells itself who it is.
    let local = arena.sim.address(0).replace("127.0.0.1", "localhost");
    set_failover(&arena, json!({ "alternates": [{ "address": local }] })).await;
    let bridge = configured(&arena, "False", "AlternateIsPrimary").await;
    assert!(message(&bridge, "FailoverConfigured").contains(&local));
    // And so does another one.
    let local = arena.sim.address(1).replace("127.0.0.1", "localhost");
    set_failover(&arena, json!({ "alternates": [{ "address": local }] })).await;
    let id = arena.sim.call_bridge_id(1);
    let named = |b: &MeetingBridge| call_bridge(b, &local).is_some_and(|e| e.call_bridge_id.as_ref() == Some(&id));
    let bridge = arena.bridge("core", "known by its own words", named).await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "Configured"));
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({})).await;
    arena.meeting("m", "on the alternate", |m| status_of(m).call.is_some_and(|call| call.call_bridge == local)).await;
    assert_eq!(arena.hosts(1), [1]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternate_may_have_credentials_of_its_own() {
    let arena = Arena::with("setup-secret", three(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let own = json!({ "address": arena.sim.address(1), "credentialsSecretRef": { "name": "second" } });
    set_failover(&arena, json!({ "alternates": [own] })).await;
    let bridge = configured(&arena, "False", "AlternateCredentialsInvalid").await;
    assert!(message(&bridge, "FailoverConfigured").contains("second"), "which Secret is missing");
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"));
    assert_eq!(arena.sim.stats().requests(1), 0, "without credentials nothing is sent");

    let refused = |arena: &Arena| {
        arena.sim.with_journal(|all| all.iter().filter(|e| e.bridge == 1 && e.status == Some(401)).count())
    };
    arena.create_secret("second", json!({ "username": arena.sim.username(), "password": "wrong" })).await;
    let address = arena.sim.address(1);
    let unauthorized = |b: &MeetingBridge| {
        call_bridge(b, &address)
            .is_some_and(|e| e.reason.as_deref() == Some("Unauthorized") && e.reachable == Some(true))
    };
    arena.bridge("core", "refused", unauthorized).await;
    let bridge = configured(&arena, "False", "AlternateCredentialsInvalid").await;
    assert!(message(&bridge, "FailoverConfigured").contains(&address));
    // Many checks later it is still one try.
    arena.served(0, 4).await;
    assert_eq!(refused(&arena), 1);
    arena.patch::<Secret>("second", json!({ "stringData": { "password": "wrong again" } })).await;
    arena
        .await_requests("another try", |all| all.iter().filter(|e| e.bridge == 1 && e.status == Some(401)).count() == 2)
        .await;
    arena.served(0, 4).await;
    assert_eq!(refused(&arena), 2, "one try a password");
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!((condition(&bridge, "Ready").0, active(&bridge)), ("True", Some(arena.sim.address(0).as_str())));

    arena.patch::<Secret>("second", json!({ "stringData": { "password": arena.sim.password() } })).await;
    configured(&arena, "True", "Configured").await;
    arena.bridge("core", "good", |b| call_bridge(b, &address).is_some_and(|e| e.reason.is_none())).await;
    assert_eq!(refused(&arena), 2);
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({})).await;
    arena.call_on("m", 1).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The meeting `m` runs on an alternate with a Secret of its own, as the primary is lost; the apiserver can be made to fail.
async fn on_its_own_secret(prefix: &str) -> (Arena, Failing) {
    let (mut arena, failing) = (Arena::quiet(prefix, three(), quick()).await, Failing::default());
    failing.start(&mut arena).await;
    own_secret(&arena).await;
    let own = json!({ "address": arena.sim.address(1), "credentialsSecretRef": { "name": "second" } });
    arena.ready_bridge(json!({ "failover": { "alternates": [own] } })).await;
    both_are_good(&arena).await;
    arena.sim.stop_bridge(0);
    arena.open_now("m", 300, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.active_is(1).await;
    (arena, failing)
}

async fn own_secret(arena: &Arena) {
    let words = json!({ "username": arena.sim.username(), "password": arena.sim.password() });
    arena.create_secret("second", words).await;
}

async fn both_are_good(arena: &Arena) -> MeetingBridge {
    let is_good = |b: &MeetingBridge, n| {
        call_bridge(b, &arena.sim.address(n)).is_some_and(|e| e.reachable == Some(true) && e.reason.is_none())
    };
    arena.bridge("core", "both are good", |b| is_good(b, 0) && is_good(b, 1)).await
}

/// The Secret of the alternate that does the work is gone, or the apiserver does not give it any more.
async fn without_its_secret(is_gone: bool) {
    let (arena, failing) = on_its_own_secret(&format!("setup-lost-{is_gone}")).await;
    if is_gone {
        arena.delete::<Secret>("second").await;
    } else {
        failing.add(READ_SECRET, Some("second"), Failure::Refuse(500, "InternalError", "no leader"));
        arena.patch::<Secret>("second", json!({ "metadata": { "annotations": { "touched": "once" } } })).await;
    }
    let bridge = configured(&arena, "False", "AlternateCredentialsInvalid").await;
    let told = message(&bridge, "FailoverConfigured");
    assert!(told.contains("second") && told.contains("the credentials before are used"), "{told}");
    // What it was let in with still works, and there is no other one.
    assert_eq!(active(&bridge), Some(arena.sim.address(1).as_str()));
    arena.open_now("next", 120, json!({})).await;
    arena.call_on("next", 1).await;
    arena.served(1, 6).await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    assert_eq!((active(&bridge), arena.failovers()), (Some(arena.sim.address(1).as_str()), 1));
    assert_eq!((arena.hosts(1), rings(&arena.sim, DESK)), (vec![1], 1));
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    if is_gone {
        own_secret(&arena).await;
        configured(&arena, "True", "Configured").await;
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternate_whose_secret_cannot_be_read_any_more_goes_on_with_the_credentials_before() {
    tokio::join!(without_its_secret(true), without_its_secret(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_nothing_begins_without_the_secret_of_the_call_bridge_that_does_the_work() {
    let (mut arena, failing) = on_its_own_secret("setup-again").await;
    let (calls, legs) = (arena.sim.calls(), arena.sim.legs());
    arena.controller.take().expect("it runs").stop().await;
    arena.sim.start_bridge(0);
    let trouble = failing.add_times(2, READ_SECRET, Some("second"), Failure::Refuse(500, "InternalError", "no leader"));
    failing.start(&mut arena).await;
    trouble.until(2).await;
    let bridge = both_are_good(&arena).await;
    assert_eq!(active(&bridge), Some(arena.sim.address(1).as_str()), "a moment's trouble is no reason to move");
    arena.served(1, 4).await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!((arena.sim.calls(), arena.sim.legs(), rings(&arena.sim, DESK)), (calls, legs, 1));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A member without address cannot be used, and that harms nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_cannot_be_used_are_tolerated() {
    use CallBridgeRole::{Discovered, Primary};
    let arena = Arena::with("setup-odd", three(), quick()).await;
    arena.ask(Method::PUT, &format!("callBridges/{}", arena.sim.call_bridge_id(2)), "address=").await;
    arena.ready_bridge(json!({ "failover": { "discover": true } })).await;
    let bridge = shows(&arena, &[(0, Primary), (1, Discovered)]).await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "Configured"));
    let nameless =
        members(&bridge).into_iter().find(|member| member.address.is_none()).expect("it is a member all the same");
    assert_eq!(nameless.id, arena.sim.call_bridge_id(2));
    // Whoever asks for it by name is told what to do.
    set_failover(&arena, json!({ "alternates": [{ "callBridge": nameless.name }] })).await;
    let bridge = configured(&arena, "False", "AlternateNotInCluster").await;
    assert!(message(&bridge, "FailoverConfigured").contains("give its address"));

    // A certificate that does not cover the address which the cluster names: IPv6 form of an IPv4 address.
    let port = arena.sim.address(2).rsplit_once(':').unwrap().1.to_owned();
    let body = format!("address=https://[::ffff:127.0.0.1]:{port}");
    arena.ask(Method::PUT, &format!("callBridges/{}", arena.sim.call_bridge_id(2)), &body).await;
    crate::bridge_kit::ask_full_look(&arena, "again").await;
    set_failover(&arena, json!({ "discover": true })).await;
    let bridge = arena
        .bridge("core", "not covered", |b| {
            b.status.as_ref().is_some_and(|s| {
                s.call_bridges
                    .iter()
                    .any(|e| e.address.ends_with(&format!(":{port}")) && e.reason.as_deref() == Some("TLSFailure"))
            })
        })
        .await;

    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"));
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "Configured"));
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({})).await;
    arena.call_on("m", 1).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Another MeetingBridge on a further call bridge of the cluster: the older one owns it, the newer one never writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_object_for_an_alternate_never_writes() {
    let arena = Arena::cluster("setup-second").await;
    arena.create_bridge("late", json!({ "address": arena.sim.address(1) })).await;
    let late = arena.reason("late", "Accepted", "AlreadyClusterMember").await;
    assert!(message(&late, "Accepted").contains(&format!("{}/core", arena.namespace)), "it names the owner");
    assert_eq!((condition(&late, "Ready"), condition(&late, "Stalled").0), (("False", "AlreadyClusterMember"), "True"));
    arena.sim.clear_journal();
    let refused = arena
        .create_meeting("r", json!({ "bridgeRef": { "name": "late" }, "start": in_ms(0), "duration": "60s" }))
        .await;
    // Not even when the owner lost its primary.
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({})).await;
    arena.call_on("m", 1).await;
    arena.served(1, 6).await;
    assert_eq!((arena.hosts(1), arena.sim.calls().len()), (vec![1], 1), "one meeting, one call: {refused:?}");
    let refused = arena.says("r", "SpaceOpen", "False", "NotYet").await;
    assert_ne!(phase_of(&refused), Phase::Active);
    assert_eq!(arena.effects("POST", "cospaceBulkSyncs").len(), 0);
    let late: MeetingBridge = arena.api().get("late").await.unwrap();
    assert_eq!(condition(&late, "Accepted"), ("False", "AlreadyClusterMember"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}
