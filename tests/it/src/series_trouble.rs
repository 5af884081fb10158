//! Occurrences that the apiserver refuses, or that somebody else writes in the very moment: what is refused stands before
//! nothing else, and what somebody else was faster with is looked at again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, Uri};
use kube::api::{Api, Patch, PatchParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::series::OccurrenceState;
use meeting_controller::api::{MeetingSeries, ScheduledMeeting};
use serde_json::{Value, json};
use tower::service_fn;

use crate::kit::*;
use crate::series::{listed, local};

/// What becomes of the writes of a series to its occurrences.
#[derive(Clone)]
enum Rule {
    /// The apiserver says no, to those of which the name contains this.
    Refuse(Method, String, u16),
    /// Somebody sets a label before each of the first few.
    Meddle(Method, usize),
}

/// A client of the apiserver with such rules before it.
#[derive(Clone, Default)]
struct Desk {
    rules: Arc<Mutex<Vec<Rule>>>,
    met: Arc<AtomicUsize>,
}

impl Desk {
    fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        self.met.store(0, Ordering::SeqCst);
        *self.rules.lock().unwrap() = rules.into_iter().collect();
    }

    /// How many requests met a rule since it was set.
    fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    fn client(&self, client: Client) -> Client {
        let (desk, namespace) = (self.clone(), client.default_namespace().to_owned());
        let service = service_fn(move |request: Request<Body>| {
            let (desk, client) = (desk.clone(), client.clone());
            async move {
                if let Some(code) = desk.meet(&client, request.method().clone(), request.uri().clone()).await {
                    let reason = if code == 409 { "Conflict" } else { "Forbidden" };
                    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                                         "reason": reason, "message": "exceeded quota: count/scheduledmeetings" });
                    let reply = Response::builder().status(code).header("content-type", "application/json");
                    return Ok::<_, kube::Error>(reply.body(Body::from(status.to_string().into_bytes())).unwrap());
                }
                client.send(request).await
            }
        });
        Client::new(service, namespace)
    }

    async fn meet(&self, client: &Client, asked: Method, uri: Uri) -> Option<u16> {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let (rest, name) = path.rsplit_once('/')?;
        let (_, namespace) = rest.strip_suffix("/scheduledmeetings")?.rsplit_once('/')?;
        // Patches of the controller of meetings are not those of a series.
        if asked == Method::PATCH && !query.contains("meeting-controller-series") {
            return None;
        }
        let rules = self.rules.lock().unwrap().clone();
        for rule in rules {
            match rule {
                Rule::Refuse(method, part, code) if asked == method && name.contains(&part) => {
                    self.met.fetch_add(1, Ordering::SeqCst);
                    return Some(code);
                }
                Rule::Meddle(method, most) if asked == method && self.met() < most => {
                    let times = self.met.fetch_add(1, Ordering::SeqCst);
                    let api: Api<ScheduledMeeting> = Api::namespaced(client.clone(), namespace);
                    let label = json!({ "metadata": { "labels": { "seen": times.to_string() } } });
                    api.patch(name, &PatchParams::default(), &Patch::Merge(&label)).await.expect("it is there");
                }
                _ => {}
            }
        }
        None
    }
}

async fn arena(prefix: &str) -> (Arena, Desk) {
    let mut arena =
        Arena::quiet(prefix, cms_simulator::Config { bridges: 1, clustered: false, ..Default::default() }, quick())
            .await;
    let desk = Desk::default();
    let client = desk.client(arena.plane.client().await.expect("client"));
    arena.start_as(client, Some(arena.namespace.clone())).await;
    arena.ready_bridge(json!({})).await;
    (arena, desk)
}

async fn ready(arena: &Arena, changes: Value) -> (MeetingSeries, Vec<String>) {
    arena.create_series("daily", changes).await;
    let ready = arena.series_says("daily", "Ready", "True", "Ready").await;
    let names = listed(&ready);
    (ready, names)
}

fn skip(series: &MeetingSeries, days: i64) -> Value {
    let at = series.spec.start.0 + jiff::SignedDuration::from_hours(24 * days);
    json!({ "occurrence": at.to_string(), "skip": true })
}

/// The quota is full, and only what is over could make room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_goes_although_nothing_new_may_come() {
    let (arena, desk) = arena("series-room").await;
    let spec = json!({ "start": local(-60), "duration": "30m", "historyLimit": 0, "maxAhead": 2 });
    arena.create_series("daily", spec).await;
    let names = listed(&arena.states("daily", &[OccurrenceState::Created; 2]).await);
    arena.phase(&names[0], Phase::Active).await;
    desk.set([Rule::Refuse(Method::PATCH, String::new(), 403)]);
    arena.clock.step(1800);
    arena.gone::<ScheduledMeeting>(&names[0]).await;
    let told = arena.series_says("daily", "Ready", "False", "CreationRefused").await;
    assert!(message(&told, "OccurrencesCreated").contains("exceeded quota"), "{told:?}");
    assert!(desk.met() > 0);
    desk.set([]);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "maxAhead": 3 } })).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.finish().await;
}

/// A meeting that was called off does not take place because another one cannot be made or changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_stands_before_no_other() {
    let (arena, desk) = arena("series-stand").await;
    let (made, names) = ready(&arena, json!({})).await;
    desk.set([Rule::Refuse(Method::PATCH, names[0].clone(), 403)]);
    let edit = json!({ "exceptions": [skip(&made, 1)], "template": { "spec": { "title": "Another" } } });
    arena.patch::<MeetingSeries>("daily", json!({ "spec": edit })).await;
    arena.gone::<ScheduledMeeting>(&names[1]).await;
    arena.meeting(&names[2], "changed", |meeting| meeting.spec.title == "Another").await;
    arena.series_says("daily", "OccurrencesCreated", "False", "CreationRefused").await;
    // And one that may not go, before no other one.
    let day = names[2].clone();
    desk.set([Rule::Refuse(Method::DELETE, day.clone(), 403)]);
    let edit = json!({ "exceptions": [skip(&made, 1), skip(&made, 2)], "template": { "spec": { "title": "Third" } } });
    arena.patch::<MeetingSeries>("daily", json!({ "spec": edit })).await;
    arena.meeting(&names[0], "changed", |meeting| meeting.spec.title == "Third").await;
    let told = arena.series_says("daily", "OccurrencesCreated", "False", "CreationRefused").await;
    assert!(message(&told, "OccurrencesCreated").contains(&day), "{}", message(&told, "OccurrencesCreated"));
    arena.finish().await;
}

/// What somebody else writes to an occurrence need not be anything that a series wants to hear of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_labels_in_that_moment_goes_and_changes_all_the_same() {
    let (arena, desk) = arena("series-behind").await;
    let (made, names) = ready(&arena, json!({})).await;
    desk.set([Rule::Meddle(Method::DELETE, 2)]);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "exceptions": [skip(&made, 0)] } })).await;
    arena.gone::<ScheduledMeeting>(&names[0]).await;
    assert_eq!(desk.met(), 2);
    arena.series_says("daily", "Ready", "True", "Ready").await;
    desk.set([Rule::Meddle(Method::PATCH, 2)]);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "template": { "spec": { "title": "Another" } } } })).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    assert!(desk.met() >= 2);
    for meeting in arena.occurrences("daily").await.values() {
        assert_eq!(meeting.spec.title, "Another", "{}", meeting.name_any());
    }
    arena.finish().await;
}

/// Whatever the apiserver minds: what was not done is not told as done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_that_all_is_well_while_one_conflicts() {
    let (arena, desk) = arena("series-clash").await;
    let (made, names) = ready(&arena, json!({})).await;
    desk.set([Rule::Refuse(Method::DELETE, names[0].clone(), 409)]);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "exceptions": [skip(&made, 0)] } })).await;
    let told = arena.series_says("daily", "Ready", "False", "Progressing").await;
    assert!(message(&told, "OccurrencesCreated").contains(&names[0]), "{}", message(&told, "OccurrencesCreated"));
    assert!(arena.occurrences("daily").await.contains_key(&names[0]));
    desk.set([]);
    arena.gone::<ScheduledMeeting>(&names[0]).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    // A quota that somebody else counts in that moment answers so as well, and there is no meeting that would wake anybody.
    desk.set([Rule::Refuse(Method::PATCH, String::new(), 409)]);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "exceptions": [] } })).await;
    arena.series_says("daily", "Ready", "False", "Progressing").await;
    desk.set([]);
    arena.booked(&names[0]).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.finish().await;
}
