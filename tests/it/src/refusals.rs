//! Every kind of call that the controller makes to the apiserver is refused for a while, in every way: whom it concerns
//! says why, or a metric does; the others go on; and when it is over, all is as it would have been. `REFUSALS=all cargo test
//! -p it refusals::` runs each with each; the test command one way of each call.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::ResourceExt;
use kube::api::{DeleteParams, PropagationPolicy};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use meeting_controller::controller::Timing;
use serde::Deserialize as _;
use serde_json::json;

use crate::apiserver::*;
use crate::kit::*;
use crate::leader::{arena_with, until};
use crate::meetings::*;
use crate::rbac::{Right, deploy, granted};
use crate::series::listed;

/// So many worlds at a time.
const AT_ONCE: usize = 6;

/// Long enough for a machine that has much to do.
const LEAD: Timing = Timing {
    lease: Duration::from_millis(4000),
    renew: Duration::from_millis(2800),
    retry: Duration::from_millis(400),
};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forbidden,
    Invalid,
    Broken,
    Silent,
    /// Up to three times.
    Conflict,
}

const WAYS: [Way; 5] = [Way::Forbidden, Way::Invalid, Way::Broken, Way::Silent, Way::Conflict];

impl Way {
    fn failure(self) -> Failure {
        match self {
            Self::Forbidden => Failure::Refuse(403, "Forbidden", "a policy says no"),
            Self::Invalid => Failure::Refuse(422, "Invalid", "the schema says no"),
            Self::Broken => Failure::Refuse(500, "InternalError", "a webhook is away"),
            Self::Silent => Failure::Hold,
            Self::Conflict => Failure::Refuse(409, "Conflict", "the object has been modified"),
        }
    }
}

/// Who tells that it is refused.
enum Tells {
    /// `Ready` of an object of this name is False, for one of these reasons.
    Bridge(&'static str, &'static [&'static str]),
    Meeting(&'static str, &'static [&'static str]),
    Series(&'static [&'static str]),
    /// An event about a meeting.
    Event(&'static str, &'static str),
    /// What was to tell it is what is refused: a metric begins so, and is not zero.
    Metric(&'static str),
    /// Nobody leads, which is a metric as well.
    NoLead,
}

type Act = for<'a> fn(&'a Arena) -> BoxFuture<'a, ()>;

struct Row {
    call: Call,
    /// Only that of this object.
    of: Option<&'static str>,
    /// It is refused from the start of the controller on.
    from_start: bool,
    prepare: Act,
    act: Act,
    tells: Tells,
    heals: Act,
}

const fn row(call: Call, tells: Tells) -> Row {
    let nothing: Act = |_| async {}.boxed();
    Row { call, of: None, from_start: false, prepare: nothing, act: nothing, tells, heals: |a| fresh(a).boxed() }
}

const REFUSED: &str = "meeting_controller_apiserver_errors_total{call=\"";
const NO_SECRET: &[&str] = &["SecretUnreadable"];
const NO_FINALIZER: &[&str] = &["FinalizerRefused"];
const NO_JOIN_SECRET: &[&str] = &["JoinSecretRefused", "JoinSecretUnavailable"];

/// What has to be true of the whole once nothing is refused any more: a new meeting is booked and has its Secret.
async fn fresh(arena: &Arena) {
    later(arena, "fresh").await;
    arena.says("fresh", "Ready", "True", "Scheduled").await;
}

async fn later(arena: &Arena, name: &str) {
    arena.create_meeting(name, json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
}

async fn scheduled(arena: &Arena) {
    later(arena, "m").await;
    arena.says("m", "Ready", "True", "Scheduled").await;
}

async fn opened(arena: &Arena) {
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
}

async fn ended(arena: &Arena) {
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(-5_000), "duration": "1s" } })).await;
    arena.await_sim("the others are shut", |sim| sim.spaces().iter().filter(|space| space.open).count() == 1).await;
}

/// What is tried again by itself, after up to two minutes, is tried now.
async fn touch<K>(arena: &Arena, name: &str)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    arena.patch::<K>(name, json!({ "metadata": { "labels": { "try": "again" } } })).await;
}

async fn second_bridge(arena: &Arena) {
    let entries = json!({ "username": arena.sim.username(), "password": arena.sim.password() });
    arena.create_secret("other", entries).await;
    arena.create_bridge("second", json!({ "credentialsSecretRef": { "name": "other" } })).await;
}

/// It shares its cluster with the first one, so it is told that; but nothing else.
async fn second_is_read(arena: &Arena) {
    touch::<MeetingBridge>(arena, "second").await;
    let of_ours = |reason: &str| reason.is_empty() || NO_SECRET.contains(&reason) || NO_FINALIZER.contains(&reason);
    let read = |bridge: &MeetingBridge| !of_ours(condition(bridge, "Ready").1) && !bridge.finalizers().is_empty();
    arena.bridge("second", "read", read).await;
}

/// If there was one before, at the same time: its occurrences are to have the same names.
async fn daily(arena: &Arena) {
    let before = arena.occurrences("daily").await.into_values().map(|meeting| meeting.spec.start.0).min();
    let changes = before.map(|start| json!({ "start": start.strftime("%Y-%m-%dT%H:%M:%S").to_string() }));
    arena.create_series("daily", changes.unwrap_or_else(|| json!({}))).await;
}

async fn daily_is_ready(arena: &Arena) {
    touch::<MeetingSeries>(arena, "daily").await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
}

/// The first occurrence is left out.
async fn skip_first(arena: &Arena) {
    let series: MeetingSeries = arena.api().get("daily").await.unwrap();
    let at = series.spec.start.0.to_string();
    let skip = json!({ "spec": { "exceptions": [{ "occurrence": at, "skip": true }] } });
    arena.patch::<MeetingSeries>("daily", skip).await;
}

/// A series is gone and has left its occurrences, one of which somebody has edited.
async fn left_behind(arena: &Arena) {
    daily(arena).await;
    let names = listed(&arena.series_says("daily", "Ready", "True", "Ready").await);
    arena.patch::<ScheduledMeeting>(&names[0], json!({ "spec": { "title": "Another" } })).await;
    let edited = |series: &MeetingSeries| serde_json::to_string(&series.status).unwrap().contains("\"Edited\"");
    arena.until::<MeetingSeries>("daily", "edited", edited).await;
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    arena.api::<MeetingSeries>().delete("daily", &orphan).await.unwrap();
    arena.gone::<MeetingSeries>("daily").await;
}

async fn all_are_of_the_new_series(arena: &Arena) {
    daily_is_ready(arena).await;
    let series: MeetingSeries = arena.api().get("daily").await.unwrap();
    let owner = |meeting: &ScheduledMeeting| meeting.owner_references().first().map(|owner| owner.uid.clone());
    for name in arena.occurrences("daily").await.into_keys() {
        arena.meeting(&name, "of the new series", |meeting| owner(meeting) == series.uid()).await;
    }
}

fn rows() -> Vec<Row> {
    let booked: Act = |a| {
        async move {
            touch::<ScheduledMeeting>(a, "m").await;
            arena_says_scheduled(a).await;
        }
        .boxed()
    };
    let mut rows = vec![
        Row {
            act: |a| second_bridge(a).boxed(),
            heals: |a| second_is_read(a).boxed(),
            ..row(PATCH_BRIDGE, Tells::Bridge("second", NO_FINALIZER))
        },
        Row { act: |a| later(a, "m").boxed(), heals: booked, ..row(PATCH_MEETING, Tells::Meeting("m", NO_FINALIZER)) },
        Row {
            act: |a| {
                async move {
                    a.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": "Other" } })).await;
                }
                .boxed()
            },
            heals: |a| {
                async move {
                    touch::<MeetingBridge>(a, "core").await;
                    a.ready("core").await;
                }
                .boxed()
            },
            ..row(BRIDGE_STATUS, Tells::Metric("replace status"))
        },
        Row {
            of: Some("m"),
            act: |a| later(a, "m").boxed(),
            heals: booked,
            ..row(MEETING_STATUS, Tells::Metric("replace status"))
        },
        Row {
            act: |a| daily(a).boxed(),
            heals: |a| daily_is_ready(a).boxed(),
            ..row(("PUT", "meetingseries", Some("status")), Tells::Metric("replace status"))
        },
        Row {
            of: Some("other"),
            act: |a| second_bridge(a).boxed(),
            heals: |a| second_is_read(a).boxed(),
            ..row(READ_SECRET, Tells::Bridge("second", NO_SECRET))
        },
        Row {
            act: |a| second_bridge(a).boxed(),
            heals: |a| second_is_read(a).boxed(),
            ..row(("GET", "configmaps", None), Tells::Bridge("second", NO_SECRET))
        },
        Row {
            act: |a| later(a, "m").boxed(),
            heals: booked,
            ..row(("POST", "secrets", None), Tells::Meeting("m", NO_JOIN_SECRET))
        },
        Row {
            of: Some("m-join"),
            prepare: |a| scheduled(a).boxed(),
            act: |a| {
                async move {
                    a.patch::<ScheduledMeeting>("m", json!({ "spec": { "duration": "2h" } })).await;
                }
                .boxed()
            },
            heals: booked,
            ..row(("PUT", "secrets", None), Tells::Meeting("m", NO_JOIN_SECRET))
        },
        Row {
            of: Some("m-join"),
            prepare: |a| opened(a).boxed(),
            act: |a| ended(a).boxed(),
            heals: |a| {
                async move {
                    touch::<ScheduledMeeting>(a, "m").await;
                    a.gone::<Secret>("m-join").await;
                    a.meeting("m", "not named", |m| status_of(m).join_secret_name.is_none()).await;
                }
                .boxed()
            },
            ..row(DELETE_SECRET, Tells::Event("m", "JoinSecretStays"))
        },
    ];
    rows.extend(of_series());
    rows.extend(of_all());
    rows
}

async fn arena_says_scheduled(arena: &Arena) {
    arena.says("m", "Ready", "True", "Scheduled").await;
}

fn of_series() -> Vec<Row> {
    vec![
        Row {
            act: |a| daily(a).boxed(),
            heals: |a| daily_is_ready(a).boxed(),
            ..row(("APPLY", "scheduledmeetings", None), Tells::Series(&["CreationRefused"]))
        },
        Row {
            prepare: |a| left_behind(a).boxed(),
            act: |a| daily(a).boxed(),
            heals: |a| all_are_of_the_new_series(a).boxed(),
            ..row(("ADOPT", "scheduledmeetings", None), Tells::Series(&["CreationRefused"]))
        },
        Row {
            prepare: |a| {
                async move {
                    daily(a).await;
                    a.series_says("daily", "Ready", "True", "Ready").await;
                }
                .boxed()
            },
            act: |a| skip_first(a).boxed(),
            heals: |a| {
                async move {
                    daily_is_ready(a).await;
                    let series: MeetingSeries = a.api().get("daily").await.unwrap();
                    let first = format!("daily-{}", series.spec.start.0.strftime("%Y%m%dt%H%M"));
                    a.gone::<ScheduledMeeting>(&first).await;
                }
                .boxed()
            },
            ..row(("DELETE", "scheduledmeetings", None), Tells::Series(&["CreationRefused"]))
        },
    ]
}

/// Those that are about no object: events, the Lease, lists and watches.
fn of_all() -> Vec<Row> {
    let leads: Act = |a| {
        async move {
            until("it leads", || a.controller.as_ref().is_some_and(Running::leads)).await;
            fresh(a).await;
        }
        .boxed()
    };
    let mut rows = vec![
        Row {
            act: |a| opened(a).boxed(),
            heals: |a| {
                async move {
                    ended(a).await;
                    a.told("m", "Ended").await;
                }
                .boxed()
            },
            ..row(CREATE_EVENT, Tells::Metric("create Event"))
        },
        Row {
            // The second event of a kind is counted on the first.
            prepare: |a| {
                async move {
                    opened(a).await;
                    ended(a).await;
                    a.phase("m", Phase::Ended).await;
                    a.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(0), "duration": "9m" } })).await;
                    a.phase("m", Phase::Active).await;
                    a.told("m", "Ended").await;
                }
                .boxed()
            },
            act: |a| ended(a).boxed(),
            ..row(("PATCH", "events", None), Tells::Metric("create Event"))
        },
        Row { from_start: true, heals: leads, ..row(("GET", "leases", None), Tells::NoLead) },
        Row { from_start: true, heals: leads, ..row(("POST", "leases", None), Tells::NoLead) },
        Row { heals: leads, ..row(("PUT", "leases", None), Tells::NoLead) },
    ];
    let watched = [
        ("meetingbridges", "MeetingBridge"),
        ("scheduledmeetings", "ScheduledMeeting"),
        ("meetingseries", "MeetingSeries"),
        ("secrets", "Secret"),
        ("configmaps", "ConfigMap"),
        ("namespaces", "Namespace"),
    ];
    for (resource, kind) in watched {
        rows.push(Row { from_start: true, ..row(("LIST", resource, None), Tells::Metric(kind)) });
        rows.push(row(("WATCH", resource, None), Tells::Metric(kind)));
    }
    rows
}

/// Is a counter with this label not zero?
fn is_counted(metrics: &str, label: &str) -> bool {
    let labelled = [format!("{REFUSED}{label}\""), format!("meeting_controller_watch_errors_total{{kind=\"{label}\"")];
    metrics.lines().any(|line| labelled.iter().any(|begin| line.starts_with(begin)) && !line.ends_with(" 0"))
}

async fn is_told(arena: &Arena, tells: &Tells) {
    let says = |condition: (&str, &str), reasons: &[&str]| condition.0 == "False" && reasons.contains(&condition.1);
    match tells {
        Tells::Bridge(name, reasons) => {
            arena.bridge(name, "told", |bridge| says(condition(bridge, "Ready"), reasons)).await;
        }
        Tells::Meeting(name, reasons) => {
            arena.meeting(name, "told", |meeting| says(condition(meeting, "Ready"), reasons)).await;
        }
        Tells::Series(reasons) => {
            arena.until::<MeetingSeries>("daily", "told", |series| says(condition(series, "Ready"), reasons)).await;
        }
        Tells::Event(name, reason) => arena.told(name, reason).await,
        Tells::Metric(label) => {
            let metrics = || arena.controller.as_ref().unwrap().metrics.plain_text();
            until(label, || is_counted(&metrics(), label)).await;
        }
        Tells::NoLead => until("nobody leads", || !arena.controller.as_ref().unwrap().leads()).await,
    }
}

async fn refused(row: &Row, way: Way) -> BTreeSet<Seen> {
    let settings = Settings { kube_timeout: Duration::from_secs(1), watch_limit: Duration::from_secs(1), ..quick() };
    let no_lease = row.call == ("POST", "leases", None);
    let mut arena =
        if no_lease { Arena::quiet("refusals", lone(), quick()).await } else { arena_with("refusals", lone()).await };
    arena.settings = settings;
    let apiserver = Failing::default();
    let add = || {
        let times = if way == Way::Conflict { 3 } else { usize::MAX };
        apiserver.add_times(times, row.call, row.of, way.failure())
    };
    let early = row.from_start.then(add);
    let client = apiserver.client(&arena).await;
    let candidacy = arena.candidacy(apiserver.client(&arena).await, "a", LEAD);
    // Namespaces are watched where there are several.
    let scope = [arena.namespace.clone(), "default".to_owned()];
    let (prepared, controller) = arena.controller_as(client, scope, Some(candidacy));
    arena.controller = Some(prepared.run_by(tokio::spawn(controller.run())));
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    let desk = json!([{ "remoteParty": "desk@rooms.test" }]);
    arena.open_now("witness", 600, json!({ "participants": desk })).await;
    let is_there = async || {
        arena.says("witness", "Ready", "True", "Active").await;
        arena.party("witness", ParticipantState::Connected).await;
    };
    if early.is_none() {
        is_there().await;
        (row.prepare)(&arena).await;
    }
    let trouble = early.unwrap_or_else(add);
    (row.act)(&arena).await;
    trouble.until(1).await;
    if way != Way::Conflict {
        is_told(&arena, &row.tells).await;
        if !row.from_start && !matches!(row.tells, Tells::NoLead) {
            // The others: the meeting that runs is looked after.
            let sweeps = count(&arena.sim.journal(), "GET", "callLegs");
            arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= sweeps + 2).await;
        }
    }
    // An event that is lost is lost: the others are not to be.
    if way != Way::Conflict || row.call.1 == "events" {
        trouble.lift();
    }
    is_there().await;
    (row.heals)(&arena).await;
    assert_eq!(arena.sim.dials().len(), 1, "nobody is rung again");
    arena.assert_rules(1..=5);
    arena.finish().await;
    apiserver.seen()
}

/// The rights that a call needs.
fn rights((verb, resource, subresource): Call) -> Vec<Right> {
    let group = match resource {
        "secrets" | "configmaps" | "namespaces" => "",
        "events" => "events.k8s.io",
        "leases" => "coordination.k8s.io",
        _ => "meeting-controller.dev",
    };
    let verbs: &[&str] = match verb {
        "WATCH" => &["watch"],
        "LIST" => &["list"],
        "GET" => &["get"],
        "POST" => &["create"],
        "PUT" => &["update"],
        "DELETE" => &["delete"],
        // What is not there is made by it.
        "APPLY" => &["patch", "create"],
        _ => &["patch"],
    };
    let resource = subresource.map_or_else(|| resource.to_owned(), |part| format!("{resource}/{part}"));
    verbs.iter().map(|verb| (group.to_owned(), resource.clone(), (*verb).to_owned())).collect()
}

/// A right that is granted is used (`rbac.rs`): whoever adds a call adds a right, and a row here.
#[test]
fn every_right_that_is_granted_has_a_row() {
    let text = std::fs::read_to_string(deploy().join("base/rbac.yaml")).unwrap();
    let mut wanted = BTreeSet::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = serde_yaml::Value::deserialize(document).unwrap();
        match value["kind"].as_str().unwrap() {
            "ClusterRole" => wanted.extend(granted(serde_yaml::from_value::<ClusterRole>(value).unwrap().rules)),
            "Role" => wanted.extend(granted(serde_yaml::from_value::<Role>(value).unwrap().rules)),
            _ => {}
        }
    }
    let rows: BTreeSet<Right> = rows().iter().flat_map(|row| rights(row.call)).collect();
    assert_eq!(rows, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_apiserver_refuses_is_told_stops_no_other_and_heals() {
    let full = std::env::var("REFUSALS").is_ok_and(|set| set == "all");
    let only = std::env::var("REFUSALS_ONLY").unwrap_or_default();
    let rows = rows();
    let mut plan = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let is_read = matches!(row.call.0, "GET" | "LIST" | "WATCH");
        let ways = if is_read { &WAYS[..4] } else { &WAYS[..] };
        let some = if full { ways } else { &ways[index % ways.len()..][..1] };
        plan.extend(some.iter().map(|way| (row, *way)));
    }
    plan.retain(|(row, way)| format!("{:?} {way:?}", row.call).contains(&only));
    let runs = stream::iter(&plan).map(|(row, way)| {
        AssertUnwindSafe(refused(row, *way)).catch_unwind().map(move |result| {
            if result.is_err() {
                println!("NOT SURVIVED: {:?} {way:?}", row.call);
            }
            result.ok()
        })
    });
    let results: Vec<Option<BTreeSet<Seen>>> = runs.buffer_unordered(AT_ONCE).collect().await;
    let survived = results.iter().flatten().count();
    println!("tried {}, survived {survived}", plan.len());
    assert_eq!(survived, plan.len());
    if only.is_empty() {
        let seen_at_all: BTreeSet<Seen> = results.into_iter().flatten().flatten().collect();
        let known: BTreeSet<Seen> = rows.iter().map(|row| seen(row.call)).collect();
        assert_eq!(seen_at_all, known, "each kind of call has a row");
    }
}
