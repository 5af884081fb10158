//! Every fault, as a client sees it.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::{Bench, SOON};
use crate::{Action, Fault, FaultKind};

async fn with(kind: FaultKind) -> Bench {
    let bench = Bench::quick().await;
    bench.sim.add_space("First", "one", "1").unwrap();
    bench.sim.add_fault(Fault::new(kind).route("coSpaces*"));
    bench
}

#[tokio::test]
async fn latency_and_order_of_requests() {
    let bench = with(FaultKind::Latency { delay: Duration::from_millis(100) }).await;
    let begun = Instant::now();
    assert_eq!(bench.get("coSpaces").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(bench.sim.journal().last().unwrap().fault.as_deref(), Some("latency"));
}

#[tokio::test]
async fn plain_refusals_have_no_effect() {
    for (kind, status, body) in [
        (FaultKind::Unauthorized, 401, ""),
        (FaultKind::Unavailable, 503, ""),
        (FaultKind::UnavailablePage, 503, "<html>"),
        (FaultKind::HtmlError, 500, "<html>"),
        (FaultKind::Failure { status: 400, element: "databaseNotReady".to_owned() }, 400, "<databaseNotReady />"),
    ] {
        let bench = with(kind).await;
        let got = bench.put("coSpaces/1", "name=changed").await;
        let got_list = bench.get("coSpaces").await;
        assert_eq!((got.status, got_list.status), (status, status));
        assert!(got_list.body.contains(body), "{got_list:?}");
        if status == 401 {
            assert_eq!(got.headers["www-authenticate"], "Basic realm=\"acano\"");
        }
        if body == "<html>" {
            assert_eq!(got.headers["content-type"], "text/html");
        }
        bench.sim.clear_faults();
        assert_eq!(bench.get("coSpaces").await.text("name").as_deref(), Some("First"));
    }
}

#[tokio::test]
async fn resets_before_and_after_the_effect() {
    for (kind, spaces) in [(FaultKind::ResetBefore, 1), (FaultKind::ResetAfter, 2)] {
        let bench = with(kind.clone()).await;
        let error = bench.try_send(0, Method::POST, "coSpaces", Some("name=b")).await.unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
        assert_eq!(bench.sim.spaces().len(), spaces, "{kind:?}");
        let entry = bench.sim.journal().pop().unwrap();
        assert_eq!((entry.status, entry.effect, entry.fault.as_deref()), (None, spaces == 2, Some(kind.name())));
    }
}

#[tokio::test]
async fn hangs_before_and_after_the_effect() {
    for (kind, spaces) in [(FaultKind::HangBefore, 1), (FaultKind::HangAfter, 2)] {
        let bench = with(kind.clone()).await;
        // The client gives up once the request hangs.
        let arrived =
            bench.sim.await_journal(|all| all.last().is_some_and(|e| e.seq == 2 && e.effect == (spaces == 2)), SOON);
        tokio::select! {
            got = bench.try_send(0, Method::POST, "coSpaces", Some("name=b")) => panic!("{got:?}"),
            arrived = arrived => arrived.unwrap(),
        }
        // The end of the client's patience is seen, and the request is no longer in flight.
        bench.sim.await_journal(|all| all.iter().all(|e| e.finished.is_some()), SOON).await.unwrap();
        assert_eq!(bench.sim.stats().in_flight(0), 0);
        assert_eq!(bench.sim.spaces().len(), spaces, "{kind:?}");
        assert_eq!(bench.sim.journal().pop().unwrap().effect, spaces == 2);
    }
}

#[tokio::test]
async fn broken_bodies() {
    let bench = with(FaultKind::TruncatedXml).await;
    let got = bench.get("coSpaces").await;
    assert!(got.status == 200 && got.body.starts_with("<?xml") && !got.body.ends_with("</coSpaces>"));
    let bench = with(FaultKind::CutBody).await;
    assert!(bench.try_send(0, Method::GET, "coSpaces", None).await.is_err());
    let bench = with(FaultKind::UnknownElements).await;
    let got = bench.get("coSpaces").await;
    assert_eq!(got.body.matches("<futureElement").count(), 2, "{got:?}");
    assert_eq!(got.text("name").as_deref(), Some("First"));
}

#[tokio::test]
async fn short_pages() {
    let bench = with(FaultKind::ShortPages { items: 1 }).await;
    bench.sim.add_space("Second", "two", "2").unwrap();
    let got = bench.get("coSpaces?limit=10").await;
    assert_eq!((got.total(), got.ids().len()), (2, 1));
}

#[tokio::test]
async fn a_closed_connection_and_a_new_password() {
    let bench = with(FaultKind::CloseConnection).await;
    assert_eq!(bench.get("coSpaces").await.headers["connection"], "close");
    bench.sim.clear_faults();
    let action = Action::SetPassword { password: "new".to_owned() };
    bench.sim.add_fault(Fault::new(FaultKind::Before { action }).once());
    let url = format!("https://{}/api/v1/calls", bench.sim.address(0));
    let got = bench.client.get(url).basic_auth("admin", Some("cisco")).send().await.unwrap();
    assert_eq!(got.status(), 401);
    assert_eq!(bench.get("calls").await.status, 200);
}

#[tokio::test]
async fn hand_edits_race_with_requests() {
    let bench = Bench::quick().await;
    bench.sim.add_space("First", "one", "1").unwrap();
    let space = bench.sim.spaces()[0].id.clone();
    let edit =
        |name: &str| Action::EditSpace { space: "1".to_owned(), pairs: vec![("name".to_owned(), name.to_owned())] };
    let path = format!("coSpaces/{space}");
    bench.sim.add_fault(Fault::new(FaultKind::After { action: edit("after") }).method("GET").once());
    assert_eq!(bench.get(&path).await.text("name").as_deref(), Some("First"));
    assert_eq!(bench.get(&path).await.text("name").as_deref(), Some("after"));
    bench.sim.add_fault(Fault::new(FaultKind::Before { action: edit("before") }).method("GET").once());
    assert_eq!(bench.get(&path).await.text("name").as_deref(), Some("before"));
    let call = bench.make("calls", &format!("coSpace={space}")).await;
    let action = Action::EndCalls { space: "1".to_owned() };
    bench.sim.add_fault(Fault::new(FaultKind::Before { action }).method("DELETE").once());
    bench.refused(Method::DELETE, &format!("calls/{call}"), None, "callDoesNotExist").await;
    let action = Action::DeleteSpace { space: "1".to_owned() };
    bench.sim.add_fault(Fault::new(FaultKind::Before { action }).method("PUT").once());
    bench.refused(Method::PUT, &path, Some("name=x"), "coSpaceDoesNotExist").await;
}

#[tokio::test]
async fn the_world_changes_by_faults() {
    let bench = Bench::quick().await;
    let route = "system/status";
    let on = |action: Action| Fault::new(FaultKind::Before { action }).route(route).once();
    bench.sim.add_fault(on(Action::DatabasePrimary { primary: false }));
    bench.get(route).await;
    assert_eq!(bench.get("coSpaces").await.status, 503);
    bench.sim.add_fault(on(Action::ClockSkew { seconds: 7200 }));
    let time: jiff::Timestamp = bench.get(route).await.text("cdrTime").unwrap().parse().unwrap();
    assert!(time.duration_since(jiff::Timestamp::now()).as_secs() > 7000);
    for action in [Action::Cut, Action::Stop] {
        let id = bench.sim.add_fault(on(action).bridge(1));
        assert!(bench.try_send(1, Method::GET, route, None).await.is_err());
        assert!(std::net::TcpStream::connect(bench.sim.address(1)).is_err());
        assert!(bench.sim.start_bridge(1));
        assert!(bench.sim.remove_fault(id) && !bench.sim.remove_fault(id));
    }
    assert_eq!(bench.sim.faults().iter().map(|f| f.struck).collect::<Vec<_>>(), [1, 1]);
}
