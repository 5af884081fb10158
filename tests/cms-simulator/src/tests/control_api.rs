//! The control API, driven over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::Bench;
use crate::Config;

async fn call(bench: &Bench, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("http://{}{path}", bench.sim.control_address().unwrap());
    let mut request = bench.client.request(method, url);
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn everything_can_be_driven_by_hand() {
    let bench = Bench::new(Config { control_port: Some(0), ..Config::default() }).await;
    let get = async |path: &str| call(&bench, Method::GET, path, Value::Null).await.1;
    let post = async |path: &str, body: Value| call(&bench, Method::POST, path, body).await;

    let info = get("/info").await;
    assert_eq!(info["bridges"][1]["address"], bench.sim.address(1));
    assert_eq!((&info["username"], &info["password"]), (&json!("admin"), &json!("cisco")));
    assert!(info["ca"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(get("/").await["routes"].as_array().unwrap().len() > 10);

    let (status, made) = post("/spaces", json!({"name": "A", "uri": "a", "callId": 7, "nonMemberAccess": false})).await;
    assert_eq!(status, 201, "{made}");
    let (status, refused) = post("/spaces", json!({"uri": "a"})).await;
    assert!(status == 400 && refused["error"].as_str().unwrap().contains("duplicateCoSpaceUri"), "{refused}");
    assert_eq!(post("/join", json!({"space": "7", "name": "anna"})).await.0, 403);
    let edited = call(&bench, Method::PATCH, "/spaces/7", json!({"nonMemberAccess": true, "passcode": null})).await;
    assert_eq!(edited, (200, json!({"changed": true})));
    assert_eq!(get("/spaces").await[0]["open"], true);
    let (status, joined) = post("/join", json!({"space": "7", "name": "anna", "bridge": 1})).await;
    assert_eq!((status, &joined["bridge"]), (200, &json!(1)));
    assert_eq!(get("/calls").await[0]["createdByApi"], false);
    assert_eq!(get("/legs").await[0]["state"], "connected");
    assert_eq!(post("/leave", json!({"who": "anna"})).await.0, 204);
    assert_eq!(post("/leave", json!({"who": "anna"})).await.0, 404);
    assert_eq!(post("/endpoints", json!({"address": "a@x", "kind": "busy", "after": 5})).await.0, 204);
    assert_eq!(get("/dials").await, json!([]));

    let (status, fault) = post("/faults", json!({"kind": "unavailable", "method": "GET", "route": "calls"})).await;
    assert_eq!(status, 201);
    assert_eq!(bench.get("calls").await.status, 503);
    assert_eq!(get("/faults").await[0]["struck"], 1);
    let one = format!("/faults/{}", fault["id"]);
    assert_eq!(call(&bench, Method::DELETE, &one, Value::Null).await.0, 204);
    assert_eq!(call(&bench, Method::DELETE, "/faults", Value::Null).await.0, 204);
    assert_eq!(bench.get("calls").await.status, 200);

    let (_, switches) = call(&bench, Method::PATCH, "/switches", json!({"notFoundStatus": 404})).await;
    assert_eq!((&switches["notFoundStatus"], &switches["pageCeiling"]), (&json!(404), &json!(20)));
    assert_eq!(call(&bench, Method::PATCH, "/switches", json!({"nonsense": 1})).await.0, 400);
    assert_eq!(get("/switches").await["notFoundStatus"], 404);

    let journal = get("/journal?after=1&limit=1").await;
    assert_eq!((journal.as_array().unwrap().len(), &journal[0]["seq"]), (1, &json!(2)));
    let verdict = get("/check").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    assert_eq!(call(&bench, Method::DELETE, "/journal", Value::Null).await.0, 204);
    assert_eq!(get("/journal").await, json!([]));
    bench.put("coSpaces/x", "name=a").await;
    assert_eq!(post("/check", json!({"ownPrefixes": ["5"], "callWithinMs": 100})).await.1["ok"], true);
}

#[tokio::test]
async fn the_world_can_be_broken_by_hand() {
    let mut bench = Bench::new(Config { control_port: Some(0), ..Config::default() }).await;
    let post = async |bench: &Bench, path: &str, body: Value| call(bench, Method::POST, path, body).await.0;
    for (path, body) in [
        ("/bridges/1/clock", json!({"seconds": 60})),
        ("/database", json!({"primary": false})),
        ("/database", json!({"primary": true})),
        ("/bridges/1/database", json!({"reachable": false})),
        ("/bridges/1/database", json!({"reachable": true})),
        ("/latency", json!({"ms": 1})),
        ("/bridges/1/restart", Value::Null),
        ("/bridges/1/cut", Value::Null),
        ("/bridges/1/start", Value::Null),
        ("/bridges/1/blackhole", Value::Null),
        ("/bridges/1/breakTls", Value::Null),
        ("/bridges/1/stop", Value::Null),
    ] {
        assert_eq!(post(&bench, path, body).await, 204, "{path}");
    }
    assert!(std::net::TcpStream::connect(bench.sim.address(1)).is_err());
    assert_eq!(post(&bench, "/bridges/1/start", Value::Null).await, 204);
    bench.reconnect();
    assert_eq!(bench.get_on(1, "system/status").await.status, 200);
    assert_eq!(post(&bench, "/bridges/9/stop", Value::Null).await, 404);
    assert_eq!(post(&bench, "/bridges/1/explode", Value::Null).await, 404);
    assert_eq!(post(&bench, "/bridges/0/alarms", json!({"type": "turnServerUnavailable"})).await, 200);
    assert_eq!(bench.get("system/alarms").await.total(), 1);
    assert_eq!(call(&bench, Method::DELETE, "/bridges/0/alarms", Value::Null).await.0, 204);
    assert_eq!(post(&bench, "/users", json!({"jid": "a@x", "name": "A"})).await, 200);
    assert_eq!(bench.get("users").await.total(), 1);
    bench.sim.add_space("A", "a", "7").unwrap();
    bench.sim.join("7", "anna", 0).unwrap();
    let ended = call(&bench, Method::DELETE, "/spaces/7/calls", Value::Null).await.1;
    assert_eq!(ended, json!({"ended": 1}));
    assert_eq!(call(&bench, Method::DELETE, "/spaces/7", Value::Null).await.0, 204);
    assert_eq!(post(&bench, "/password", json!({"password": "new"})).await, 204);
    assert_eq!((bench.sim.password().as_str(), bench.get("calls").await.status), ("new", 200));
}
