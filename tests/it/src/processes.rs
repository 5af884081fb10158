//! Two replicas as the kernel has them: processes of the product, of which one is stopped with SIGSTOP.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use cms_simulator::EntryKind;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::kit::*;
use crate::leader::{LEASE, arena_with};
use crate::meetings::*;
use crate::plugin::BINARY;

/// How long the lease of these two is.
const LENGTH: Duration = Duration::from_secs(4);
const MEETINGS: u32 = 20;

/// `meeting-controller run`; killed when dropped, stopped or not.
struct Replica {
    process: Child,
    at: String,
}

impl Replica {
    async fn start(arena: &Arena, name: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let (at, here) = (free.to_string(), &arena.namespace);
        let lease = format!("{}s", LENGTH.as_secs());
        let args = ["run", "--listen", &at, "--namespaces", here, "--leader-elect", "--lease-namespace", here];
        let timing =
            ["--lease-name", LEASE, "--lease-duration", &lease, "--renew-deadline", "3s", "--retry-period", "1s"];
        let mut command = Command::new(&*BINARY);
        command.args(args).args(timing).args(["--log-format", "text"]).env("HOSTNAME", name);
        command.env("KUBECONFIG", arena.plane.kubeconfig_path()).stdout(Stdio::null()).kill_on_drop(true);
        let replica = Self { process: command.spawn().expect("it starts"), at };
        // A standby is as ready as the one that leads.
        replica.until("ready", "/readyz", |status, _| status == 200).await;
        replica
    }

    /// Asks until the answer is as wanted: nobody tells.
    async fn until(&self, what: &str, path: &str, wanted: impl Fn(u16, &str) -> bool) {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
        let asking = async {
            loop {
                if let Ok(reply) = http.get(format!("http://{}{path}", self.at)).send().await {
                    let status = reply.status().as_u16();
                    if wanted(status, &reply.text().await.unwrap_or_default()) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, asking).await.is_ok(), "never: {what}");
    }

    async fn leads(&self, is_so: bool) {
        let line = format!("meeting_controller_leader {}", u8::from(is_so));
        self.until(&line, "/metrics", |_, text| text.lines().any(|shown| shown == line)).await;
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

#[ignore = "two processes against the clock of a quiet machine; just takeover-of-twenty"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_stopped_before_twenty_starts_costs_a_lease_and_no_second_ring() {
    let arena = arena_with("sigstop", lone()).await;
    let old = Replica::start(&arena, "old").await;
    old.leads(true).await;
    let other = Replica::start(&arena, "other").await;
    other.leads(false).await;
    arena.ready_bridge(json!({ "slots": { "quantity": MEETINGS } })).await;
    let start = Timestamp::now() + SignedDuration::from_secs(12);
    let names: Vec<String> = (1..=MEETINGS).map(|number| format!("m{number}")).collect();
    for name in &names {
        let party = json!([{ "remoteParty": format!("{name}@rooms.test") }]);
        let spec = json!({ "start": start.to_string(), "duration": "10m", "participants": party });
        arena.create_meeting(name, spec).await;
    }
    join_all(names.iter().map(|name| arena.booked(name))).await;
    let stop = start - SignedDuration::from_secs(1);
    tokio::time::sleep((stop - Timestamp::now()).try_into().expect("all are booked before")).await;
    old.signal("-STOP");
    assert!(doors_opened(&arena).is_empty(), "none is open before its start");
    arena.await_sim("all are rung", |sim| sim.dials().len() == names.len()).await;
    let lease = arena.api::<Lease>().get(LEASE).await.unwrap();
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    assert!(holder.starts_with("other_"), "{holder}");
    let opened = doors_opened(&arena);
    assert_eq!(opened.len(), names.len(), "{:#?}", arena.journal_lines());
    let last = opened.into_iter().max().unwrap().duration_since(start);
    println!("the last of {MEETINGS} doors was open {last:?} after its start");
    let limit = SignedDuration::try_from(LENGTH + Duration::from_secs(2)).unwrap();
    assert!(last < limit, "{last:?}");

    let before = writes(&arena.sim.journal());
    old.signal("-CONT");
    old.leads(false).await;
    // Nobody tells that nothing is done.
    tokio::time::sleep(LENGTH / 2).await;
    other.leads(true).await;
    assert_eq!(writes(&arena.sim.journal()), before, "who woke writes nothing: {:#?}", arena.journal_lines());
    let mut rings: Vec<String> = arena.sim.dials().into_iter().map(|dial| dial.remote_party).collect();
    rings.sort();
    let mut wanted: Vec<String> = names.iter().map(|name| format!("{name}@rooms.test")).collect();
    wanted.sort();
    assert_eq!(rings, wanted, "each rang once");
    assert_eq!(arena.sim.calls().len(), names.len());
    arena.assert_rules(1..=MEETINGS);
}

/// When each door was opened, by the bridge's clock.
fn doors_opened(arena: &Arena) -> Vec<Timestamp> {
    let opens = |name: &str, value: &str| (name, value) == ("nonMemberAccess", "true");
    let all = arena.sim.journal().into_iter();
    let ours = all.filter(|entry| entry.kind == EntryKind::Request && entry.method == "PUT" && entry.effect);
    ours.filter(|entry| entry.body.iter().any(|(name, value)| opens(name, value)))
        .filter_map(|entry| entry.finished)
        .collect()
}
