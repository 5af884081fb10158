//! Replicas: one leads, and the lead changes hands, in order and out of order, without a second call, a second ring or
//! an open door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cms_simulator::Config;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::client::Body;
use meeting_controller::admin::Admin;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::controller::{Candidacy, Timing};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, service_fn};

use crate::freezer::Freezer;
use crate::kit::*;
use crate::meetings::*;

pub const LEASE: &str = "the-lead";

/// As the defaults, but short.
pub const SHORT: Timing = Timing {
    lease: Duration::from_millis(2000),
    renew: Duration::from_millis(1400),
    retry: Duration::from_millis(300),
};

const DEFAULT: Timing =
    Timing { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) };

async fn arena(prefix: &str) -> Arena {
    arena_with(prefix, lone()).await
}

/// A world whose Lease is there and free.
pub async fn arena_with(prefix: &str, config: Config) -> Arena {
    let arena = Arena::quiet(prefix, config, quick()).await;
    // One that nobody holds: the first to come takes it at once.
    arena.write_lease(json!({ "holderIdentity": "", "leaseDurationSeconds": 2 })).await;
    arena
}

impl Arena {
    async fn write_lease(&self, spec: Value) {
        let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                            "metadata": { "name": LEASE }, "spec": spec });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        self.api::<Lease>().create(&PostParams::default(), &lease).await.expect("a Lease");
    }

    pub fn candidacy(&self, client: Client, name: &str, timing: Timing) -> Candidacy {
        let (namespace, lease) = (self.namespace.clone(), LEASE.to_owned());
        Candidacy { client, namespace, name: lease, identity: name.to_owned(), timing }
    }

    pub async fn replica(&self, name: &str, timing: Timing) -> Running {
        self.replica_by(self.plane.client().await.unwrap(), name, timing).await
    }

    async fn replica_by(&self, client: Client, name: &str, timing: Timing) -> Running {
        let candidacy = self.candidacy(client.clone(), name, timing);
        self.run_as(client, Some(self.namespace.clone()), Some(candidacy)).await
    }

    /// Somebody takes the Lease, does nothing with it, and lets it run out.
    pub async fn steal(&self) {
        let thief = Patch::Merge(json!({ "spec": { "holderIdentity": "thief" } }));
        self.api::<Lease>().patch(LEASE, &PatchParams::default(), &thief).await.unwrap();
    }

    async fn holder(&self) -> String {
        let lease = self.api::<Lease>().get(LEASE).await.unwrap();
        lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
    }

    /// A meeting that runs, with one participant who is in.
    async fn running_meeting(&self, seconds: i64) {
        let party = json!([{ "remoteParty": "desk@rooms.test" }]);
        let spec = json!({ "start": in_ms(0), "end": in_ms(seconds * 1000), "participants": party });
        self.create_meeting("m", spec).await;
        self.party("m", ParticipantState::Connected).await;
    }

    /// The meeting was opened once, with one call and one ring, and shut.
    async fn ended_as_if_nothing_had_been(&self) {
        let meeting = self.phase("m", Phase::Ended).await;
        assert_status(&meeting);
        let journal = self.sim.journal();
        let lines = self.journal_lines();
        let mut doors = doors(&journal, &self.slot(1).id);
        // An extension is told to the bridge by the same write again.
        doors.dedup();
        assert_eq!(doors, [true, false], "{lines:#?}");
        assert_eq!(count(&journal, "POST", "calls"), 1, "{lines:#?}");
        assert_eq!(count(&journal, "POST", "calls/{id}/callLegs"), 1, "{lines:#?}");
        assert!(self.sim.calls().is_empty());
        self.assert_rules([1]);
    }
}

impl Running {
    pub fn leads(&self) -> bool {
        self.metrics.leader.get() == 1
    }
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        // Who leads is a number that nobody tells of; it is asked often, to catch two at one time.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The connection of one replica to the apiserver: it can be cut, and nothing gets through until it is mended.
#[derive(Clone)]
struct Line {
    is_cut: Arc<watch::Sender<bool>>,
    /// Requests get through; what comes on a watch does not.
    only_watches: bool,
    /// While it is cut, requests are refused at once, and what comes on a watch ends: no connection is there.
    refuses: bool,
    /// How many writes have not got their reply.
    writing: Arc<watch::Sender<usize>>,
}

/// A write under way, until its reply was read.
struct Writing(Arc<watch::Sender<usize>>);

impl Writing {
    fn on(line: &Line) -> Self {
        line.writing.send_modify(|writes| *writes += 1);
        Self(line.writing.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.send_modify(|writes| *writes -= 1);
    }
}

impl Line {
    fn new() -> Self {
        let (is_cut, writing) = (Arc::new(watch::Sender::new(false)), Arc::new(watch::Sender::new(0)));
        Self { is_cut, only_watches: false, refuses: false, writing }
    }

    fn that_refuses() -> Self {
        Self { refuses: true, ..Self::new() }
    }

    fn of_watches() -> Self {
        Self { only_watches: true, ..Self::new() }
    }

    fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    fn mend(&self) {
        self.is_cut.send_replace(false);
    }

    /// Whoever wrote knows what became of it.
    async fn is_at_rest(&self) {
        let _ = self.writing.subscribe().wait_for(|writes| *writes == 0).await;
    }

    async fn open(&self) {
        let _ = self.is_cut.subscribe().wait_for(|is_cut| !is_cut).await;
    }

    async fn client(&self, arena: &Arena) -> Client {
        let (real, line) = (arena.plane.client().await.expect("client"), self.clone());
        let namespace = real.default_namespace().to_owned();
        Client::new(service_fn(move |request| line.clone().carry(real.clone(), request)), namespace)
    }

    async fn carry(
        self,
        real: Client,
        request: Request<Body>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        if self.only_watches && !is_watch {
            return Ok(real.send(request).await?.map(|body| body.map_err(BoxError::from).boxed_unsync()));
        }
        if self.refuses && *self.is_cut.borrow() {
            return Err("connection refused".into());
        }
        self.open().await;
        let writing = (request.method() != Method::GET).then(|| Writing::on(&self));
        let (parts, body) = real.send(request).await?.into_parts();
        let (refuses, mut broken) = (self.refuses, self.is_cut.subscribe());
        let frames = BodyStream::new(body.map_err(BoxError::from)).then(move |frame| {
            let line = self.clone();
            async move {
                line.open().await;
                frame
            }
        });
        let frames = frames.take_until(async move {
            let _ = broken.wait_for(|is_cut| *is_cut && refuses).await;
            drop(writing);
        });
        Ok(Response::from_parts(parts, StreamBody::new(frames).boxed_unsync()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_leads_and_an_orderly_stop_hands_over_at_once() {
    let arena = arena("handover").await;
    // With the lengths of the defaults: nobody can take this lease before 15 s are over, unless it is let go.
    let first = arena.replica("a", DEFAULT).await;
    until("a leads", || first.leads()).await;
    // Ready, although they do nothing yet.
    let (b, c) = (arena.replica("b", DEFAULT).await, arena.replica("c", DEFAULT).await);
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.running_meeting(7).await;
    assert!(!b.leads() && !c.leads());
    let stopping = Instant::now();
    first.stop().await;
    until("another one leads", || b.leads() || c.leads()).await;
    let took = stopping.elapsed();
    println!("the lead was handed over in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    arena.ended_as_if_nothing_had_been().await;
    assert!(b.leads() != c.leads());
    for running in [b, c] {
        running.stop().await;
    }
    assert_eq!(arena.holder().await, "", "the last one let it go as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_steps_down_before_another_one_leads() {
    let arena = arena("cutoff").await;
    let line = Line::new();
    let first = arena.replica_by(line.client(&arena).await, "a", SHORT).await;
    until("a leads", || first.leads()).await;
    let other = arena.replica("b", SHORT).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.running_meeting(5).await;
    line.cut();
    // The old leader does not hear of it. At the old end it must not shut the door.
    arena.patch_end("m", 9).await;
    until("a steps down", || {
        assert!(!other.leads() || !first.leads(), "two leaders");
        !first.leads()
    })
    .await;
    assert!(!other.leads(), "the lease is longer than the right");
    until("b leads", || other.leads()).await;
    arena.sim.clear_journal();
    line.mend();
    arena.says("m", "SpaceOpen", "True", "Open").await;
    let end = arena.phase("m", Phase::Ended).await;
    let late = status_of(&end).ended_at.unwrap().0.duration_since(end.spec.end.unwrap().0);
    assert!(late.abs() < SignedDuration::from_secs(2), "{late:?}");
    let journal = arena.sim.journal();
    assert_eq!(doors(&journal, &arena.slot(1).id).last(), Some(&false));
    assert_eq!(count(&journal, "POST", "calls") + count(&journal, "POST", "calls/{id}/callLegs"), 0);
    assert!(!first.leads() && other.leads());
    arena.assert_rules([1]);
    for running in [first, other] {
        running.stop().await;
    }
}

impl Arena {
    async fn patch_end(&self, name: &str, seconds: i64) {
        let end = json!({ "spec": { "end": in_ms(seconds * 1000) } });
        self.patch::<meeting_controller::api::ScheduledMeeting>(name, end).await;
    }
}

/// Away for longer than anybody may lead, and across an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_is_away_from_all_costs_time_and_nothing_else() {
    let arena = arena("away").await;
    let lines = [Line::new(), Line::new()];
    let a = arena.replica_by(lines[0].client(&arena).await, "a", SHORT).await;
    until("a leads", || a.leads()).await;
    let b = arena.replica_by(lines[1].client(&arena).await, "b", SHORT).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.running_meeting(6).await;
    let end = Timestamp::now() + SignedDuration::from_secs(6);
    lines.iter().for_each(Line::cut);
    until("nobody leads", || !a.leads() && !b.leads()).await;
    // Nobody tells that nothing is done.
    tokio::time::sleep((end - Timestamp::now()).try_into().unwrap_or_default()).await;
    assert!(arena.slot(1).open && !a.leads() && !b.leads(), "whoever cannot renew the lease sends nothing");
    lines.iter().for_each(Line::mend);
    arena.ended_as_if_nothing_had_been().await;
    assert!(a.leads() != b.leads());
    for running in [a, b] {
        running.stop().await;
    }
}

/// For a minute, from the leader and the standby, with the lengths that are shipped: what is prepared opens and closes on
/// time as long as the lease can be believed; then nothing is done; and afterwards all is as it has to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_is_away_for_a_minute_costs_time_and_nothing_else() {
    tokio::join!(away_for_a_minute(Line::new), away_for_a_minute(Line::that_refuses));
}

async fn away_for_a_minute(line: fn() -> Line) {
    const AWAY: SignedDuration = SignedDuration::from_secs(63);
    let arena = arena("minute").await;
    let lines = [line(), line()];
    let a = arena.replica_by(lines[0].client(&arena).await, "a", DEFAULT).await;
    until("a leads", || a.leads()).await;
    let b = arena.replica_by(lines[1].client(&arena).await, "b", DEFAULT).await;
    arena.ready_bridge(json!({})).await;
    for name in ["ends-soon", "ends-late", "stays", "opens-soon", "opens-late"] {
        let start = in_ms(if name.starts_with("opens") { 1_800_000 } else { 0 });
        let party = json!([{ "remoteParty": format!("{name}@rooms.test") }]);
        arena.create_meeting(name, json!({ "start": start, "end": in_ms(3_600_000), "participants": party })).await;
    }
    for name in ["ends-soon", "ends-late", "stays"] {
        arena.party(name, ParticipantState::Connected).await;
    }
    let number = async |name: &str| number_of(&arena.booked(name).await);
    let (ends_soon, ends_late) = (number("ends-soon").await, number("ends-late").await);
    let (opens_soon, opens_late) = (number("opens-soon").await, number("opens-late").await);
    // The names say when they begin or end: while the lease is believed, and when it is not any more. Only now, when all
    // the rest is there, do the instants come near: how long it took does not matter.
    let at = |name: &str, instant: &'static str, seconds: i64| {
        let spec = json!({ "spec": { instant: in_ms(seconds * 1000) } });
        let (arena, name) = (&arena, name.to_owned());
        async move { arena.patch::<meeting_controller::api::ScheduledMeeting>(&name, spec).await }
    };
    at("ends-late", "end", 33).await;
    at("opens-late", "start", 31).await;
    at("ends-soon", "end", 6).await;
    at("opens-soon", "start", 5).await;
    arena.phase("opens-soon", Phase::Opening).await;
    // What is not known to be stored is not acted on.
    lines[0].is_at_rest().await;
    lines.iter().for_each(Line::cut);
    let away = Timestamp::now();
    let rung = |sim: &cms_simulator::Handle, name: &str| {
        let party = format!("{name}@rooms.test");
        sim.dials().iter().filter(|dial| dial.remote_party == party).count()
    };
    assert!(arena.slot(ends_soon).open && !arena.slot(opens_soon).open, "all is prepared in time");
    arena
        .await_sim("shut and opened", |sim| {
            !slot_of(sim, ends_soon).open && slot_of(sim, opens_soon).open && rung(sim, "opens-soon") == 1
        })
        .await;
    assert!(a.leads(), "on time is: as long as the lease can be believed");
    until("a gives up", || !a.leads()).await;
    let believed = Timestamp::now().duration_since(away);
    println!("the lease was believed for {believed:?}");
    let written = writes(&arena.sim.journal());
    // Nobody tells that nothing is done.
    tokio::time::sleep((away + AWAY - Timestamp::now()).try_into().unwrap_or_default()).await;
    assert!(!a.leads() && !b.leads());
    assert_eq!(writes(&arena.sim.journal()), written, "{:#?}", arena.journal_lines());
    assert!(arena.slot(ends_late).open && !arena.slot(opens_late).open);
    lines.iter().for_each(Line::mend);
    for name in ["ends-soon", "ends-late"] {
        arena.phase(name, Phase::Ended).await;
    }
    for name in ["stays", "opens-soon", "opens-late"] {
        arena.says(name, "Ready", "True", "Active").await;
        arena.party(name, ParticipantState::Connected).await;
    }
    assert!(a.leads() != b.leads() && !arena.slot(ends_late).open);
    for name in ["ends-soon", "ends-late", "stays", "opens-soon", "opens-late"] {
        assert_eq!(arena.sim.dials().iter().filter(|dial| dial.remote_party.starts_with(name)).count(), 1, "{name}");
    }
    assert_eq!(arena.sim.evidence().calls.len(), 5, "one call each: {:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    for running in [a, b] {
        running.stop().await;
    }
}

/// As the probes of a pod and a scrape see it: who waits is ready, and says that another one leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_ready_and_its_metrics_say_that_it_does_not_lead() {
    let arena = arena("standby").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let serve = async |name: &str| {
        let client = arena.plane.client().await.unwrap();
        let candidacy = arena.candidacy(client.clone(), name, SHORT);
        let (prepared, controller) = arena.controller_as(client, Some(arena.namespace.clone()), Some(candidacy));
        let metrics = prepared.metrics();
        let here = ([127, 0, 0, 1], 0).into();
        let admin = Admin::bind(here, controller.ready(), controller.watchdog(), metrics).await.unwrap();
        let at = admin.address().unwrap();
        let serving = tokio::spawn(admin.run(CancellationToken::new()));
        (prepared.run_by(tokio::spawn(controller.run())), at, serving)
    };
    let get = async |at: &std::net::SocketAddr, path: &str| {
        let reply = http.get(format!("http://{at}{path}")).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let is_ready = async |at: &std::net::SocketAddr| {
        let ready = async {
            while get(at, "/readyz").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("ready in time");
    };
    let (a, at_a, serving_a) = serve("a").await;
    until("a leads", || a.leads()).await;
    let (b, at_b, serving_b) = serve("b").await;
    is_ready(&at_b).await;
    let leads = |text: &str, value: u8| text.lines().any(|line| line == format!("meeting_controller_leader {value}"));
    // For longer than a lease.
    for _ in 0..5 {
        assert_eq!((get(&at_a, "/readyz").await.0, get(&at_b, "/readyz").await.0), (200, 200));
        assert_eq!(get(&at_b, "/healthz").await.0, 200);
        let (of_a, of_b) = (get(&at_a, "/metrics").await.1, get(&at_b, "/metrics").await.1);
        assert!(leads(&of_a, 1) && leads(&of_b, 0), "{of_b}");
        assert!(!of_b.contains("meeting_controller_meetings{"), "meetings are counted once: {of_b}");
        tokio::time::sleep(SHORT.lease / 4).await;
    }
    a.stop().await;
    until("b leads", || b.leads()).await;
    assert!(leads(&get(&at_b, "/metrics").await.1, 1) && get(&at_b, "/readyz").await.0 == 200);
    b.stop().await;
    [serving_a, serving_b].iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_leader_that_wakes_writes_nothing() {
    tokio::join!(frozen_across(Phase::Opening), frozen_across(Phase::Active));
}

/// Stopped while the meeting is in this phase, right before its start or before its end, and for longer than the lease. When
/// it wakes, the instant is long due, and the other one has done what was to be done.
async fn frozen_across(phase: Phase) {
    let arena = arena(&format!("frozen-{phase:?}").to_lowercase()).await;
    let freezer = Freezer::new();
    let frozen = freezer.replica(&arena, "a", |client| client).await;
    until("a leads", || frozen.leads()).await;
    let other = arena.replica("b", SHORT).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let party = json!([{ "remoteParty": "desk@rooms.test" }]);
    let spec = json!({ "start": in_ms(1_500), "end": in_ms(7_000), "participants": party });
    arena.create_meeting("m", spec).await;
    arena.phase("m", phase).await;
    if phase == Phase::Active {
        arena.party("m", ParticipantState::Connected).await;
    }
    freezer.freeze();
    until("b leads", || other.leads()).await;
    if phase == Phase::Active {
        arena.phase("m", Phase::Ended).await;
    } else {
        arena.party("m", ParticipantState::Connected).await;
    }
    freezer.thaw();
    until("a knows", || !frozen.leads()).await;
    arena.ended_as_if_nothing_had_been().await;
    for running in [frozen, other] {
        running.stop().await;
    }
}

/// What a standby has watched may be behind when it is elected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_does_nothing_before_it_knows_what_there_is() {
    let arena = arena("behind").await;
    let first = arena.replica("a", SHORT).await;
    until("a leads", || first.leads()).await;
    let line = Line::of_watches();
    let other = arena.replica_by(line.client(&arena).await, "b", SHORT).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.running_meeting(4).await;
    line.cut();
    let old_end = Timestamp::now() + SignedDuration::from_secs(4);
    arena.patch_end("m", 7).await;
    first.stop().await;
    until("b leads", || other.leads()).await;
    // Nobody tells that nothing is done.
    tokio::time::sleep((old_end - Timestamp::now()).try_into().unwrap_or_default()).await;
    assert!(arena.slot(1).open, "b knows only the old end");
    line.mend();
    arena.ended_as_if_nothing_had_been().await;
    other.stop().await;
}

/// Somebody else's name is written into the Lease while a meeting is being opened, at each of the three writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_stolen_while_a_meeting_opens_costs_no_second_ring() {
    let writes = [("PUT", "coSpaces/{id}"), ("POST", "calls"), ("POST", "calls/{id}/callLegs")];
    let each = writes.map(|(method, route)| async move {
        let arena = arena("stolen").await;
        let (a, b) = (arena.replica("a", SHORT).await, arena.replica("b", SHORT).await);
        arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
        arena.sim.clear_journal();
        let party = json!([{ "remoteParty": "desk@rooms.test" }]);
        let spec = json!({ "start": in_ms(0), "end": in_ms(7_000), "participants": party });
        arena.create_meeting("m", spec).await;
        arena.await_requests(route, |all| count(all, method, route) == 1).await;
        arena.steal().await;
        until("nobody leads", || !a.leads() && !b.leads()).await;
        until("somebody leads", || a.leads() != b.leads()).await;
        arena.ended_as_if_nothing_had_been().await;
        for running in [a, b] {
            running.stop().await;
        }
    });
    futures::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_the_meeting_ends() {
    let arena = arena("killed").await;
    let first = arena.replica("a", SHORT).await;
    until("a leads", || first.leads()).await;
    let other = arena.replica("b", SHORT).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.running_meeting(3).await;
    first.kill().await;
    arena.ended_as_if_nothing_had_been().await;
    assert!(other.leads());
    other.stop().await;
}

/// The clock of whoever wrote the record is an hour behind, or an hour ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_times_in_the_record_do_not_matter() {
    let each = [-3600, 3600].map(|offset| async move {
        let arena = Arena::quiet("hours", lone(), quick()).await;
        let time = Timestamp::now() + SignedDuration::from_secs(offset);
        let spec = json!({ "holderIdentity": "other", "leaseDurationSeconds": 2, "renewTime": time.to_string() });
        arena.write_lease(spec).await;
        let begun = Instant::now();
        let running = arena.replica("a", SHORT).await;
        until("a leads", || running.leads()).await;
        assert!(begun.elapsed() >= SHORT.lease, "{:?}", begun.elapsed());
        let lease = arena.api::<Lease>().get(LEASE).await.unwrap();
        assert_eq!(lease.spec.unwrap().lease_transitions, Some(1), "{}", lease.metadata.name.unwrap_or_default());
        running.stop().await;
    });
    futures::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_not_there_is_made_and_waited_for() {
    let arena = Arena::quiet("none", lone(), quick()).await;
    let begun = Instant::now();
    let (a, b) = tokio::join!(arena.replica("a", SHORT), arena.replica("b", SHORT));
    until("one leads", || a.leads() || b.leads()).await;
    assert!(begun.elapsed() >= SHORT.lease);
    // Removed under the leader, so that its next renewal finds none: it steps down, and it takes the length of a lease
    // until there is one again.
    Api::<Lease>::namespaced(arena.client.clone(), &arena.namespace).delete(LEASE, &Default::default()).await.unwrap();
    let removed = Instant::now();
    until("nobody leads", || !a.leads() && !b.leads()).await;
    until("one leads again", || a.leads() || b.leads()).await;
    assert!(removed.elapsed() >= SHORT.lease && a.leads() != b.leads());
    for running in [a, b] {
        running.stop().await;
    }
}

/// One is minutes behind, the other one minutes ahead: the lease goes by what passes steadily, and what both of them take
/// for over is shut once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_whose_clocks_differ_by_minutes_never_lead_at_one_time() {
    let arena = arena("offset").await;
    let replica = |name: &'static str, seconds: i64| {
        let (arena, clock) = (&arena, Arc::new(SetClock::default()));
        clock.step(seconds);
        async move {
            let client = arena.plane.client().await.unwrap();
            let candidacy = arena.candidacy(client.clone(), name, SHORT);
            arena.run_at(&clock, client, Some(arena.namespace.clone()), Some(candidacy)).await
        }
    };
    let a = replica("a", -180).await;
    until("a leads", || a.leads()).await;
    let b = replica("b", 240).await;
    let both = (Arc::clone(&a.metrics), Arc::clone(&b.metrics));
    let watch = tokio::spawn(async move {
        loop {
            assert!(both.0.leader.get() + both.1.leader.get() < 2, "two leaders");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    // Open by either clock.
    let party = json!([{ "remoteParty": "desk@rooms.test" }]);
    let spec = json!({ "start": in_ms(-300_000), "end": in_ms(900_000), "participants": party });
    arena.create_meeting("m", spec).await;
    arena.party("m", ParticipantState::Connected).await;
    // Longer than a lease, through which the one that is ahead must not take it for expired.
    tokio::time::sleep(2 * SHORT.lease).await;
    assert!(a.leads() && !b.leads());
    arena.steal().await;
    until("nobody leads", || !a.leads() && !b.leads()).await;
    until("somebody leads", || a.leads() || b.leads()).await;
    // Over by either clock.
    arena.patch_end("m", -200).await;
    arena.ended_as_if_nothing_had_been().await;
    assert!(!watch.is_finished(), "two led at one time");
    watch.abort();
    for running in [a, b] {
        running.stop().await;
    }
}

/// Somebody else's name is written into the Lease at each request of an end: who lost it writes nothing after that, and the
/// other one ends what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_stolen_while_a_meeting_closes_leaves_the_rest_to_the_next_leader() {
    let requests = [("GET", "coSpaces/{id}"), ("PUT", "coSpaces/{id}"), ("GET", "calls"), ("DELETE", "calls/{id}")];
    let each = requests.map(|(method, route)| async move {
        let what = format!("{method} {route}");
        let arena = arena("stolen-end").await;
        let a = arena.replica("a", SHORT).await;
        until("a leads", || a.leads()).await;
        arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
        arena.running_meeting(600).await;
        arena.says("m", "Ready", "True", "Active").await;
        // What it asks for at the end takes a while, so that the lease is gone before the reply.
        let slow = cms_simulator::FaultKind::Latency { delay: Duration::from_millis(900) };
        let fault = cms_simulator::Fault::new(slow).method(method).route(route);
        let ours = |all: &[cms_simulator::JournalEntry]| count(all, method, route);
        let before = ours(&arena.sim.journal());
        arena.sim.add_fault(fault);
        arena.patch_end("m", 0).await;
        arena.await_requests(&what, |all| ours(all) > before).await;
        arena.steal().await;
        until("nobody leads", || !a.leads()).await;
        let written = writes(&arena.sim.journal());
        arena.sim.clear_faults();
        // Nobody tells that nothing is done; the thief's lease runs out after this.
        tokio::time::sleep(SHORT.lease / 2).await;
        assert!(!a.leads());
        assert_eq!(writes(&arena.sim.journal()), written, "{what}: {:#?}", arena.journal_lines());
        a.stop().await;
        let b = arena.replica("b", SHORT).await;
        arena.ended_as_if_nothing_had_been().await;
        assert!(b.leads(), "{what}");
        b.stop().await;
    });
    futures::future::join_all(each).await;
}
