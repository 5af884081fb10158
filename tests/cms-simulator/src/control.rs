//! The control API: JSON over plain HTTP on the address of the bridges, for people and for tests in other languages.

use std::net::SocketAddr;

use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::check::{Expectation, Violation, check};
use crate::dial::EndpointScript;
use crate::faults::{ActiveFault, Fault, FaultId};
use crate::journal::JournalEntry;
use crate::people::Joined;
use crate::refusal::Refusal;
use crate::sim::Handle;
use crate::state::log::Dial;
use crate::switches::Switches;
use crate::views::{CallView, LegView, SpaceView};

/// What a call that is refused answers.
type Failure = (StatusCode, Json<Value>);

fn failure(status: StatusCode, why: impl std::fmt::Display) -> Failure {
    (status, Json(json!({ "error": why.to_string() })))
}

fn refused(refusal: Refusal) -> Failure {
    failure(StatusCode::BAD_REQUEST, refusal)
}

/// A JSON body whatever its Content-Type says, so that a bare `curl -d` does.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = axum::body::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| failure(StatusCode::BAD_REQUEST, error))?;
        parsed(&bytes).map(Self)
    }
}

/// Binds the address and serves the API until the simulator stops.
pub async fn start(sim: Handle, at: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(at).await?;
    let address = listener.local_addr()?;
    let shutdown = sim.shared().shutdown.clone();
    let app = router(sim);
    tokio::spawn(async move {
        let serving = axum::serve(listener, app);
        tokio::select! {
            () = shutdown.cancelled() => {}
            result = async { serving.await } => {
                if let Err(error) = result {
                    tracing::error!(%error, "control API");
                }
            }
        }
    });
    Ok(address)
}

fn router(sim: Handle) -> Router {
    Router::new()
        .route("/", get(|| async { Json(json!({ "routes": ROUTES })) }))
        .route("/info", get(info))
        .route("/journal", get(journal).delete(clear_journal))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", axum::routing::delete(remove_fault))
        .route("/latency", post(latency))
        .route("/bridges/{bridge}/{command}", post(bridge))
        .route("/bridges/{bridge}/alarms", post(add_alarm).delete(clear_alarms))
        .route("/database", post(database))
        .route("/password", post(password))
        .route("/endpoints", post(endpoint))
        .route("/join", post(join))
        .route("/leave", post(leave))
        .route("/spaces", get(spaces).post(add_space))
        .route("/spaces/{space}", axum::routing::patch(edit_space).delete(delete_space))
        .route("/spaces/{space}/calls", axum::routing::delete(end_calls))
        .route("/users", post(add_user))
        .route("/calls", get(calls))
        .route("/legs", get(legs))
        .route("/dials", get(dials))
        .route("/switches", get(switches).patch(patch_switches))
        .route("/check", get(check_default).post(check_expected))
        .with_state(sim)
}

/// Printed at `/`.
const ROUTES: &[&str] = &[
    "GET /info",
    "GET /journal?after=SEQ&limit=N, DELETE /journal",
    "GET /faults, POST /faults, DELETE /faults, DELETE /faults/{id}",
    "POST /latency {ms}",
    "POST /bridges/{i}/restart | stop | cut | blackhole | breakTls | start | clock {seconds} | database {reachable}",
    "POST /bridges/{i}/alarms {type, failureReason}, DELETE /bridges/{i}/alarms",
    "POST /database {primary}",
    "POST /password {password}",
    "POST /endpoints {address, kind, after, answerAfter}",
    "POST /join {space, name, bridge, passcode}, POST /leave {who}",
    "GET /spaces, POST /spaces {..}, PATCH /spaces/{id|uri|callId} {..}, DELETE /spaces/{..}, DELETE /spaces/{..}/calls",
    "POST /users {jid, name}",
    "GET /calls, GET /legs, GET /dials",
    "GET /switches, PATCH /switches {..}",
    "GET /check, POST /check {ownNumbers, ownPrefixes, ownSpaces, callWithinMs, endWithinMs, maxUnauthorized, needlessWrites, \
     foreignProfiles, noIdleProfiles, ownAccessMethods}",
];

async fn info(State(sim): State<Handle>) -> Json<Value> {
    let bridges: Vec<Value> = (0..sim.bridges())
        .map(|i| {
            let stats = sim.stats();
            json!({
                "bridge": i,
                "address": sim.address(i),
                "url": format!("https://{}/api/v1/", sim.address(i)),
                "callBridge": sim.call_bridge_id(i),
                "requests": stats.requests(i),
                "inFlight": stats.in_flight(i),
                "maxInFlight": stats.max_in_flight(i),
            })
        })
        .collect();
    Json(json!({
        "bridges": bridges,
        "ca": sim.ca_pem(),
        "username": sim.username(),
        "password": sim.password(),
        "softwareVersion": sim.shared().lock().software_version,
    }))
}

#[derive(Deserialize)]
struct JournalQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn journal(State(sim): State<Handle>, Query(query): Query<JournalQuery>) -> Json<Vec<JournalEntry>> {
    let limit = query.limit.unwrap_or(usize::MAX);
    Json(sim.with_journal(|all| all.iter().filter(|e| e.seq > query.after).take(limit).cloned().collect()))
}

async fn clear_journal(State(sim): State<Handle>) -> StatusCode {
    sim.clear_journal();
    StatusCode::NO_CONTENT
}

async fn faults(State(sim): State<Handle>) -> Json<Vec<ActiveFault>> {
    Json(sim.faults())
}

async fn add_fault(State(sim): State<Handle>, Body(fault): Body<Fault>) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({ "id": sim.add_fault(fault) })))
}

async fn clear_faults(State(sim): State<Handle>) -> StatusCode {
    sim.clear_faults();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(sim): State<Handle>, Path(id): Path<FaultId>) -> StatusCode {
    if sim.remove_fault(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
struct Latency {
    ms: u64,
}

async fn latency(State(sim): State<Handle>, Body(body): Body<Latency>) -> StatusCode {
    sim.set_latency(std::time::Duration::from_millis(body.ms));
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Clock {
    seconds: i64,
}

#[derive(Deserialize)]
struct Reach {
    reachable: bool,
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| failure(StatusCode::BAD_REQUEST, error))
}

async fn bridge(
    State(sim): State<Handle>,
    Path((bridge, command)): Path<(usize, String)>,
    body: axum::body::Bytes,
) -> Result<StatusCode, Failure> {
    if bridge >= sim.bridges() {
        return Err(failure(StatusCode::NOT_FOUND, "no such bridge"));
    }
    match command.as_str() {
        "restart" => sim.restart_bridge(bridge),
        "stop" => sim.stop_bridge(bridge),
        "cut" => sim.cut_bridge(bridge),
        "blackhole" => sim.blackhole_bridge(bridge),
        "breakTls" => sim.break_tls(bridge),
        "start" if !sim.start_bridge(bridge) => {
            return Err(failure(StatusCode::CONFLICT, "the port is taken"));
        }
        "start" => {}
        "clock" => sim.set_clock_skew(bridge, parsed::<Clock>(&body)?.seconds),
        "database" => sim.set_database_reachable(bridge, parsed::<Reach>(&body)?.reachable),
        _ => return Err(failure(StatusCode::NOT_FOUND, "no such command")),
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAlarm {
    #[serde(rename = "type")]
    kind: String,
    failure_reason: Option<String>,
}

async fn add_alarm(State(sim): State<Handle>, Path(bridge): Path<usize>, Body(alarm): Body<NewAlarm>) -> Json<Value> {
    Json(json!({ "id": sim.add_alarm(bridge, &alarm.kind, alarm.failure_reason.as_deref()) }))
}

async fn clear_alarms(State(sim): State<Handle>, Path(bridge): Path<usize>) -> StatusCode {
    sim.clear_alarms(bridge);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Database {
    primary: bool,
}

async fn database(State(sim): State<Handle>, Body(body): Body<Database>) -> StatusCode {
    sim.set_database_primary(body.primary);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Password {
    password: String,
}

async fn password(State(sim): State<Handle>, Body(body): Body<Password>) -> StatusCode {
    sim.set_password(&body.password);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Endpoint {
    address: String,
    #[serde(flatten)]
    script: EndpointScript,
}

async fn endpoint(State(sim): State<Handle>, Body(body): Body<Endpoint>) -> StatusCode {
    sim.script_endpoint(&body.address, body.script);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Join {
    space: String,
    name: String,
    #[serde(default)]
    bridge: usize,
    passcode: Option<String>,
}

async fn join(State(sim): State<Handle>, Body(body): Body<Join>) -> Result<Json<Joined>, Failure> {
    let joined = match &body.passcode {
        Some(passcode) => sim.join_with_passcode(&body.space, &body.name, body.bridge, passcode),
        None => sim.join(&body.space, &body.name, body.bridge),
    };
    joined.map(Json).map_err(|error| failure(StatusCode::FORBIDDEN, error))
}

#[derive(Deserialize)]
struct Leave {
    who: String,
}

async fn leave(State(sim): State<Handle>, Body(body): Body<Leave>) -> StatusCode {
    if sim.leave(&body.who) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn spaces(State(sim): State<Handle>) -> Json<Vec<SpaceView>> {
    Json(sim.spaces())
}

/// Attributes of a JSON object as texts; null unsets.
fn pairs(body: &Value) -> Result<Vec<(String, String)>, Failure> {
    let object = body.as_object().ok_or_else(|| failure(StatusCode::BAD_REQUEST, "an object of attributes"))?;
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(object.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

async fn add_space(State(sim): State<Handle>, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Failure> {
    let id = sim.shared().add_space(pairs(&body)?).map_err(refused)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

async fn edit_space(
    State(sim): State<Handle>,
    Path(space): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Failure> {
    let changed = sim.shared().edit_space(&space, pairs(&body)?).map_err(refused)?;
    Ok(Json(json!({ "changed": changed })))
}

async fn delete_space(State(sim): State<Handle>, Path(space): Path<String>) -> StatusCode {
    if sim.delete_space(&space) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn end_calls(State(sim): State<Handle>, Path(space): Path<String>) -> Json<Value> {
    Json(json!({ "ended": sim.end_calls(&space) }))
}

#[derive(Deserialize)]
struct NewUser {
    jid: String,
    #[serde(default)]
    name: String,
}

async fn add_user(State(sim): State<Handle>, Body(body): Body<NewUser>) -> Json<Value> {
    Json(json!({ "id": sim.add_user(&body.jid, &body.name) }))
}

async fn calls(State(sim): State<Handle>) -> Json<Vec<CallView>> {
    Json(sim.calls())
}

async fn legs(State(sim): State<Handle>) -> Json<Vec<LegView>> {
    Json(sim.legs())
}

async fn dials(State(sim): State<Handle>) -> Json<Vec<Dial>> {
    Json(sim.dials())
}

async fn switches(State(sim): State<Handle>) -> Json<Switches> {
    Json(sim.switches())
}

/// Changes the switches that the body names.
async fn patch_switches(State(sim): State<Handle>, Body(body): Body<Value>) -> Result<Json<Switches>, Failure> {
    let bad = |error: serde_json::Error| failure(StatusCode::BAD_REQUEST, error);
    let mut merged = serde_json::to_value(sim.switches()).map_err(bad)?;
    let changes = body.as_object().ok_or_else(|| failure(StatusCode::BAD_REQUEST, "an object of switches"))?;
    if let Some(object) = merged.as_object_mut() {
        object.extend(changes.clone());
    }
    let switches: Switches = serde_json::from_value(merged).map_err(bad)?;
    sim.set_switches(switches.clone());
    Ok(Json(switches))
}

/// [`Expectation`] in JSON.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Expected {
    own_numbers: Vec<String>,
    own_prefixes: Vec<String>,
    own_spaces: Vec<String>,
    call_within_ms: Option<u64>,
    end_within_ms: Option<u64>,
    max_unauthorized: Option<usize>,
    needless_writes: Option<bool>,
    foreign_profiles: Vec<String>,
    no_idle_profiles: bool,
    own_access_methods: Option<String>,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    violations: Vec<Violation>,
}

fn verdict(sim: &Handle, expected: &Expectation) -> Json<Verdict> {
    let violations = check(sim, expected);
    let ok = violations.iter().all(|v| v.severity == crate::check::Severity::Info);
    Json(Verdict { ok, violations })
}

async fn check_default(State(sim): State<Handle>) -> Json<Verdict> {
    verdict(&sim, &Expectation::default())
}

async fn check_expected(State(sim): State<Handle>, Body(body): Body<Expected>) -> Json<Verdict> {
    let millis = std::time::Duration::from_millis;
    let default = Expectation::default();
    let expected = Expectation {
        own_numbers: body.own_numbers.into_iter().collect(),
        own_prefixes: body.own_prefixes,
        own_spaces: body.own_spaces.into_iter().collect(),
        call_within: body.call_within_ms.map(millis),
        end_within: body.end_within_ms.map(millis),
        max_unauthorized: body.max_unauthorized.unwrap_or(default.max_unauthorized),
        needless_writes: body.needless_writes.unwrap_or(default.needless_writes),
        foreign_profiles: body.foreign_profiles.into_iter().collect(),
        no_idle_profiles: body.no_idle_profiles,
        own_access_methods: body.own_access_methods.unwrap_or(default.own_access_methods),
    };
    verdict(&sim, &expected)
}
