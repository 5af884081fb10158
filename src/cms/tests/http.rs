//! One request and its fate, over real connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server::{Action, Recorded, STATUS, Server, any, client, limits, loopback, proxy, reply, xml};
use crate::cms::*;
use crate::fence::Fence;

fn created(path: &str) -> Action {
    reply("200 OK", &format!("Location: {path}\r\n"), "")
}

#[tokio::test]
async fn credentials_go_with_the_first_request_and_the_connection_is_kept() {
    let server = Server::start(|_, _| xml(STATUS)).await;
    let client = server.client();
    client.system_status(any()).await.unwrap();
    client.system_status(any()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("GET", "/api/v1/system/status"));
    assert_eq!(requests[0].header("authorization"), Some("Basic dG1zOmh1bnRlcjI="));
    assert_eq!(requests[0].header("content-type"), None);
}

/// After five seconds of silence the bridge hangs up, and a write that met that moment would be lost: before that the
/// connection is given up, and the next write goes over a new one.
#[tokio::test]
async fn a_write_after_a_silence_is_not_sent_into_a_connection_that_is_being_closed() {
    let silences = [(1_000, 1), (4_600, 2), (6_000, 2)].map(|(silence, connections)| async move {
        let server = Server::start(|_, _| created("/api/v1/calls/c-1")).await;
        let client = server.client();
        client.create_call(any(), &"s-1".into()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(silence)).await;
        client.create_call(any(), &"s-1".into()).await.unwrap();
        assert_eq!((server.requests().len(), server.connections()), (2, connections), "after {silence} ms");
    });
    futures::future::join_all(silences).await;
}

#[tokio::test]
async fn writes_carry_the_exact_body() {
    let server = Server::start(|_, _| reply("200 OK", "", "")).await;
    let opening = Opening {
        name: "A & B".into(),
        passcode: "12".into(),
        secret: "s".into(),
        mark: Some("m".into()),
        profiles: SpaceProfiles::default(),
    };
    server.client().open_space(any(), &"s-1".into(), &opening).await.unwrap();
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/api/v1/coSpaces/s-1"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.body, "nonMemberAccess=true&passcode=12&name=A+%26+B&secret=s&cdrTag=m");
}

#[tokio::test]
async fn the_id_of_a_new_object_is_the_end_of_its_location() {
    for location in
        ["/api/v1/calls/c-1", "https://cms:445/api/v1/calls/c-1", "/ap1/v1/calls/c-1/", "/proxy/api/v1/Calls/c-1?x=/y"]
    {
        let server = Server::start(move |_, _| created(location)).await;
        let id = server.client().create_call(any(), &"s-1".into()).await.unwrap();
        assert_eq!(id.as_str(), "c-1", "{location}");
        assert_eq!(server.requests()[0].body, "coSpace=s-1");
    }
}

#[tokio::test]
async fn without_a_location_the_outcome_is_ambiguous() {
    for action in ["", "Location: \r\n", "Location: /\r\n", "Location: c-1\r\n", "Location: /api/v1/calls/..\r\n"] {
        let server = Server::start(move |_, _| reply("200 OK", action, "")).await;
        let error = server.client().create_call(any(), &"s-1".into()).await.unwrap_err();
        assert_eq!((error.label(), error.may_have_taken_effect()), ("ambiguous_create", true), "{action:?}");
    }
}

/// The address of the collection, or of what it is below, is none of a new object: whoever believed it would look for the
/// call "calls".
#[tokio::test]
async fn a_location_that_only_repeats_the_path_names_no_object() {
    for location in ["/api/v1/calls/", "/api/v1/Calls", "/api/v1/", "https://cms:445/api/v1/calls?x=y"] {
        let server = Server::start(move |_, _| created(location)).await;
        assert_eq!(
            server.client().create_call(any(), &"s-1".into()).await,
            Err(CmsError::AmbiguousCreate),
            "{location}"
        );
    }
    let leg = NewLeg { remote_party: "a@b".to_owned(), dtmf: None, label: None, layout: None };
    // Where ids are numbers, each collection counts for itself.
    for location in ["/api/v1/callLegs/1", "/api/v1/calls/1/callLegs/1", "https://cms:445/api/v1/callLegs/1/"] {
        let server = Server::start(move |_, _| created(location)).await;
        let made = server.client().create_call_leg(any(), &"1".into(), &leg).await;
        assert_eq!(made, Ok("1".into()), "{location}");
    }
    for location in ["/api/v1/callLegs/", "/api/v1/calls/c-1/", "/api/v1/calls/c-1/callLegs", "/rest/calls/C-1", "/c-1"]
    {
        let server = Server::start(move |_, _| created(location)).await;
        let made = server.client().create_call_leg(any(), &"c-1".into(), &leg).await;
        assert_eq!(made, Err(CmsError::AmbiguousCreate), "{location}");
    }
}

/// A server that is no bridge of ours, or one of an older make: it does not know the node, or does not let us read it.
#[tokio::test]
async fn a_bridge_that_does_not_tell_its_name_has_none() {
    let details = |element: &str| format!("<failureDetails><{element} /></failureDetails>");
    for (status, body) in [
        ("400 Bad Request", details("unrecognisedObject")),
        ("404 Not Found", details("unrecognizedObject")),
        ("404 Not Found", String::new()),
        ("403 Forbidden", String::new()),
        ("400 Bad Request", details("invalidOperation")),
    ] {
        let shown = format!("{status} {body}");
        let server = Server::start(move |_, _| reply(status, "", &body)).await;
        assert_eq!(server.client().cluster_unique_name(any()).await, Ok(None), "{shown}");
    }
    // The framework behind the API has words of its own.
    for (status, kind, body) in [
        ("404 Not Found", "application/json", "{\"detail\":\"Not Found\"}"),
        ("404 Not Found", "text/plain", "404 page not found"),
        ("404 Not Found", "text/html", "<html><br></html>"),
        ("400 Bad Request", "application/json", "{}"),
        ("400 Bad Request", "text/html", ""),
        ("405 Method Not Allowed", "text/xml", ""),
        ("405 Method Not Allowed", "text/html", "<!doctype html><h1>Method Not Allowed</h1>"),
        ("501 Not Implemented", "text/xml", ""),
        ("200 OK", "text/html", "<html></html>"),
        ("200 OK", "application/json", "{}"),
        ("200 OK", "text/xml", "<other/>"),
        ("200 OK", "text/xml", ""),
    ] {
        let whole = move |_: usize, request: &Recorded| match request.path.ends_with("/system/status") {
            true => xml(STATUS),
            false => reply(status, &format!("Content-Type: {kind}\r\n"), body),
        };
        let server = Server::start(whole).await;
        assert_eq!(server.client().cluster_unique_name(any()).await, Ok(None), "{status} {kind} {body}");
        let broken = Server::start(move |_, _| reply(status, &format!("Content-Type: {kind}\r\n"), body)).await;
        let told = broken.client().cluster_unique_name(any()).await;
        assert!(told.is_err(), "that is no call bridge at all: {status} {kind} {body}");
    }
    for (status, wanted) in [
        ("503 Busy", "busy"),
        ("401 Unauthorized", "unauthorized"),
        ("502 Oops", "http_error"),
        ("500 Internal Server Error", "http_error"),
        ("302 Found", "http_error"),
    ] {
        let server = Server::start(move |_, request| match request.path.ends_with("/system/status") {
            true => xml(STATUS),
            false => reply(status, "", ""),
        });
        let server = server.await;
        let told = server.client().cluster_unique_name(any()).await;
        assert_eq!(told.map_err(|error| error.label()), Err(wanted), "no word about the name");
    }
}

/// A server whose objects are told by `shown`, and whose lists by `listed`.
async fn framework(shown: fn() -> Action, listed: fn(&str) -> Action) -> Server {
    Server::start(move |_, request| match request.path.trim_start_matches("/api/v1/") {
        "system/status" => xml(STATUS),
        path if path.contains("/it") => shown(),
        path => listed(path.split('?').next().unwrap_or_default()),
    })
    .await
}

/// A list with this item, as long as it says.
fn one_of(collection: &str, id: &str, total: u32) -> Action {
    let item = collection.trim_end_matches('s');
    xml(&format!("<{collection} total=\"{total}\"><{item} id=\"{id}\"></{item}></{collection}>"))
}

/// The framework behind the API answers for what is not there, in words of its own. They prove nothing; the list does.
#[tokio::test]
async fn what_the_list_does_not_have_is_gone_whatever_the_words() {
    let json = || reply("404 Not Found", "Content-Type: application/json\r\n", "{\"detail\":\"Not Found\"}");
    let text = || reply("404 Not Found", "Content-Type: text/plain\r\n", "404 page not found");
    let bare = || reply("400 Bad Request", "", "");
    let own = || reply("404 Not Found", "", "<failureDetails><gone /></failureDetails>");
    let refusals: [fn() -> Action; 4] = [json, text, bare, own];
    for refusal in refusals {
        let server = framework(refusal, |collection| one_of(collection, "other", 1)).await;
        let client = server.client();
        assert_eq!(client.delete_call_leg(any(), &"it".into()).await, Ok(false));
        assert_eq!(client.delete_call(any(), &"it".into()).await, Ok(false));
        assert_eq!(client.delete_profile(any(), ProfileKind::Call, "it").await, Ok(false));
        assert_eq!(if_there(client.call_leg(any(), &"it".into()).await).map(|found| found.is_none()), Ok(true));
        assert_eq!(if_there(client.participant(any(), &"it".into()).await).map(|found| found.is_none()), Ok(true));
        assert_eq!(if_there(client.profile(any(), ProfileKind::CallLeg, "it").await), Ok(None));
        assert!(client.call_legs_of(any(), &"it".into()).await.unwrap_err().is_not_found());
        assert!(client.show_message(any(), &"it".into(), None).await.unwrap_err().is_not_found());
        assert!(client.bulk_sync(any(), &"it".into()).await.unwrap_err().is_not_found());
        // Still there, in any spelling; not known to be whole; no list.
        let lists: [fn(&str) -> Action; 3] =
            [|of| one_of(of, "IT", 1), |of| one_of(of, "other", 2), |_| reply("404 Not Found", "", "no")];
        for listed in lists {
            let server = framework(refusal, listed).await;
            let client = server.client();
            assert!(!client.call_leg(any(), &"it".into()).await.unwrap_err().is_not_found());
            assert!(client.delete_call_leg(any(), &"it".into()).await.is_err());
        }
    }
}

/// So it is with a write, which proves nothing about a door: the look that follows does.
#[tokio::test]
async fn a_space_that_cannot_be_written_is_gone_only_if_no_list_has_it() {
    let none: fn() -> Action = || reply("404 Not Found", "Content-Type: application/json\r\n", "{}");
    for (listed, is_gone) in [("other", true), ("IT", false)] {
        let lists: fn(&str) -> Action = match is_gone {
            true => |collection| one_of(collection, "other", 1),
            false => |collection| one_of(collection, "IT", 1),
        };
        let server = framework(none, lists).await;
        let client = server.client();
        let shut = client.close_space(any(), &"it".into(), "n", &SpaceProfiles::default()).await.unwrap_err();
        let look = client.space(any(), &"it".into()).await.unwrap_err();
        assert_eq!([shut.is_not_found(), look.is_not_found()], [is_gone; 2], "{listed}");
    }
}

/// It has only what the guide asks for: profiles are made, and never seen again.
#[tokio::test]
async fn a_profile_that_no_bridge_shows_is_believed() {
    let none = || reply("405 Method Not Allowed", "Content-Type: application/json\r\n", "{}");
    let server = framework(none, |_| reply("405 Method Not Allowed", "", "")).await;
    assert_eq!(server.client().profile(any(), ProfileKind::Call, "it").await, Ok(Fields::new()));
    let listed = framework(none, |collection| one_of(collection, "it", 1)).await;
    assert_eq!(listed.client().profile(any(), ProfileKind::Call, "it").await, Err(CmsError::NotACms));
    let other = Server::start(move |_, _| none()).await;
    assert_eq!(other.client().profile(any(), ProfileKind::Call, "it").await, Err(CmsError::NotACms), "no call bridge");
}

/// Nothing is kept of a sync that is over, and there is no list of them: it is not asked about for ever.
#[tokio::test]
async fn a_sync_that_nobody_knows_any_more_is_over() {
    let none = || reply("404 Not Found", "Content-Type: application/json\r\n", "{}");
    let server = framework(none, |_| reply("404 Not Found", "", "{}")).await;
    assert!(server.client().bulk_sync(any(), &"it".into()).await.unwrap_err().is_not_found());
    let kept = framework(none, |collection| one_of(collection, "it", 1)).await;
    assert_eq!(kept.client().bulk_sync(any(), &"it".into()).await, Err(CmsError::NotACms));
    let other = Server::start(move |_, _| none()).await;
    assert_eq!(other.client().bulk_sync(any(), &"it".into()).await, Err(CmsError::NotACms), "no call bridge");
}

#[tokio::test]
async fn an_impossible_id_is_never_sent() {
    let server = Server::start(|_, _| reply("200 OK", "", "")).await;
    let client = server.client();
    for id in ["", "..", "a/b", "a?b", "a b"] {
        assert_eq!(client.delete_space(any(), &id.into()).await, Ok(false));
        assert!(client.call(any(), &id.into()).await.unwrap_err().is_not_found());
        assert!(client.create_call_leg(any(), &id.into(), &NewLeg::default()).await.unwrap_err().is_not_found());
        assert_eq!(client.delete_call_leg(any(), &id.into()).await, Ok(false));
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn access_methods_are_below_their_space() {
    let new = NewAccessMethod {
        name: "meeting-controller:ns/m/host".to_owned(),
        number: "7".to_owned(),
        passcode: "4711".into(),
        secret: "s3cr3t".into(),
        call_leg_profile: None,
    };
    let server = Server::start(|_, request| match request.method.as_str() {
        "POST" => created("/api/v1/coSpaces/s-1/accessMethods/a-1"),
        "GET" if request.path.contains("a-1") => {
            xml("<accessMethod id=\"a-1\"><name>n</name><passcode>1</passcode></accessMethod>")
        }
        "GET" => {
            xml("<accessMethods total=\"1\"><accessMethod id=\"a-1\"><callId>7</callId></accessMethod></accessMethods>")
        }
        _ => reply("200 OK", "", ""),
    })
    .await;
    let (client, space) = (server.client(), SpaceId::from("s-1"));
    let id = client.create_access_method(any(), &space, &new).await.unwrap();
    assert_eq!(id.as_str(), "a-1");
    let with = NewAccessMethod { call_leg_profile: Some("p".to_owned()), ..new.clone() };
    client.create_access_method(any(), &space, &with).await.unwrap();
    client.update_access_method(any(), &space, &id, &new).await.unwrap();
    assert_eq!(client.access_methods(any(), &space).await.unwrap()[0].call_id.as_deref(), Some("7"));
    let shown = client.access_method(any(), &space, &id).await.unwrap();
    assert_eq!((shown.name.as_deref(), shown.secret.is_none()), (Some("n"), true));
    assert_eq!(client.delete_access_method(any(), &space, &id).await, Ok(true));
    let body = "uri=7&callId=7&passcode=4711&name=meeting-controller%3Ans%2Fm%2Fhost&secret=s3cr3t";
    let sent: Vec<_> = server.requests().into_iter().map(|sent| (sent.path, sent.body)).collect();
    let (all, one) = ("/api/v1/coSpaces/s-1/accessMethods", "/api/v1/coSpaces/s-1/accessMethods/a-1");
    assert_eq!(sent[0], (all.to_owned(), body.to_owned()), "without a profile it is not named");
    assert_eq!(sent[1], (all.to_owned(), format!("{body}&callLegProfile=p")));
    assert_eq!(sent[2], (one.to_owned(), format!("{body}&callLegProfile=")), "an empty one unsets");
    assert_eq!((sent[4].0.as_str(), sent[5].0.as_str()), (one, one));
    // No half of an id ever makes a request about something else.
    for bad in ["", "..", "a/b"] {
        assert_eq!(client.delete_access_method(any(), &space, &bad.into()).await, Ok(false));
        assert_eq!(client.delete_access_method(any(), &bad.into(), &id).await, Ok(false));
        assert!(client.access_methods(any(), &bad.into()).await.is_err());
    }
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn removing_what_is_gone_is_as_good() {
    let server = Server::start(|number, _| match number {
        1 => reply("200 OK", "", ""),
        2 => reply("400 Bad Request", "", "<failureDetails><callDoesNotExist /></failureDetails>"),
        _ => reply("503 Busy", "", ""),
    })
    .await;
    let client = server.client();
    assert_eq!(client.delete_call(any(), &"c".into()).await, Ok(true));
    assert_eq!(client.delete_call(any(), &"c".into()).await, Ok(false));
    assert_eq!(client.delete_call(any(), &"c".into()).await, Err(CmsError::Busy));
}

#[tokio::test]
async fn after_a_401_nothing_more_is_sent_until_the_credentials_change() {
    let server = Server::start(|_, request| match request.header("authorization") {
        Some("Basic dG1zOmh1bnRlcjI=") => reply("401 Unauthorized", "WWW-Authenticate: Basic realm=\"acano\"\r\n", ""),
        _ => xml(STATUS),
    })
    .await;
    let old = server.client();
    let all = futures::future::join_all((0..8).map(|_| old.system_status(any()))).await;
    assert_eq!(all.iter().filter(|result| **result == Err(CmsError::Unauthorized)).count(), 1);
    assert_eq!(old.system_status(any()).await.unwrap_err().label(), "auth_blocked");
    assert_eq!(server.requests().len(), 1);
    let credentials = Credentials { username: "tms".to_owned(), password: "correct".into() };
    let gate = Arc::clone(old.gate());
    let new =
        Client::new(server.address(), credentials, server.tls(), limits(), loopback(), gate, Arc::new(NoObserver))
            .unwrap();
    assert!(new.system_status(any()).await.is_ok());
}

/// The account guard of a bridge answers 401 now and then: the write that met it is sent again, and succeeds.
#[tokio::test]
async fn one_stray_401_costs_a_request_two_seconds_and_nothing_else() {
    let server = Server::start(|count, _| match count {
        2 => reply("401 Unauthorized", "WWW-Authenticate: Basic realm=\"acano\"\r\n", ""),
        _ => xml(STATUS),
    })
    .await;
    let client = server.client();
    client.system_status(any()).await.unwrap();
    assert_eq!(client.delete_call(any(), &"c".into()).await, Ok(true));
    assert_eq!(server.requests().len(), 3);
    assert!(!client.gate().snapshot().auth_blocked);
}

#[tokio::test]
async fn a_server_with_call_bridges_without_end_is_no_cluster() {
    let server = Server::start(|count, _| {
        let items: String =
            (0..50).map(|n| format!("<callBridge id=\"{count}-{n}\"><name>n</name></callBridge>")).collect();
        xml(&format!("<callBridges>{items}</callBridges>"))
    })
    .await;
    let error = server.client().call_bridges(any()).await.map(|listing| listing.pages).unwrap_err();
    assert_eq!(error.label(), "malformed_reply");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_read_follows_one_redirection_within_its_server() {
    for status in ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let server = Server::start(move |_, request| match request.path.ends_with('/') {
            true => xml(STATUS),
            false => reply(status, "Location: status/\r\n", ""),
        })
        .await;
        assert!(server.client().system_status(any()).await.is_ok(), "{status}");
        assert_eq!(server.requests()[1].path, "/api/v1/system/status/");
        assert!(server.requests().iter().all(|request| request.header("authorization").is_some()));
        let written = server.client().create_call(any(), &"s".into()).await;
        assert!(matches!(written, Err(CmsError::HttpError { .. })), "a write is not: {written:?}");
        assert_eq!(server.requests().len(), 3);
    }
    let endless = Server::start(|count, _| reply("308 Moved", &format!("Location: /api/v1/{count}\r\n"), "")).await;
    assert_eq!(endless.client().system_status(any()).await, Err(CmsError::HttpError { status: 308 }));
    assert_eq!(endless.requests().len(), 2);
    for (status, location) in [
        ("302 Found", "/login"),
        ("307 Temporary Redirect", "http://localhost/"),
        ("307 Temporary Redirect", "https://u:p@localhost/"),
        ("307 Temporary Redirect", "https://other.test/"),
    ] {
        let login = Server::start(move |_, _| reply(status, &format!("Location: {location}\r\n"), "")).await;
        assert!(login.client().system_status(any()).await.is_err());
        assert_eq!(login.requests().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn no_redirection_leads_to_another_server() {
    let trap = Server::start(|_, _| xml(STATUS)).await;
    let location = format!("Location: https://localhost:{}/api/v1/system/status\r\n", trap.at.port());
    let server = Server::start(move |_, _| reply("307 Temporary Redirect", &location, "")).await;
    let error = server.client().system_status(any()).await.unwrap_err();
    assert_eq!(error, CmsError::HttpError { status: 307 });
    assert!(trap.requests().is_empty());
}

/// The outcome of a probe and of a request on this way.
async fn by_way(server: &Server, host: &str, egress: Egress, tls: TlsOptions) -> [Result<(), CmsError>; 2] {
    let address: Address = format!("{host}:{}", server.at.port()).parse().unwrap();
    let credentials = Credentials { username: "tms".to_owned(), password: "hunter2".into() };
    let gate = Arc::new(Gate::new(8, 1));
    let client =
        Client::new(address, credentials, tls, limits(), Arc::new(egress), gate, Arc::new(NoObserver)).unwrap();
    [client.probe().await, client.system_status(any()).await.map(|_| ())]
}

#[tokio::test]
async fn nothing_goes_to_an_address_that_no_bridge_may_have() {
    let server = Server::start(|_, _| xml(STATUS)).await;
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let refused = by_way(&server, host, Egress::default(), server.tls()).await;
        assert_eq!(refused, [Err(CmsError::AddressRefused), Err(CmsError::AddressRefused)], "{host}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn through_a_proxy_probes_and_requests_go_alike() {
    let server = Server::start(|_, _| xml(STATUS)).await;
    let ((proxy, asked), loopback) = (proxy().await, loopback());
    let way = |proxy: &str, except: &str| Egress::clone(&loopback).through(proxy, except).unwrap();
    let good = format!("http://u:p@{proxy}");
    assert_eq!(by_way(&server, "localhost", way(&good, ""), server.tls()).await, [Ok(()), Ok(())]);
    let target = format!("CONNECT localhost:{}", server.at.port());
    assert_eq!(*asked.lock().unwrap(), [target.clone(), target]);
    assert!(server.requests()[0].header("proxy-authorization").is_none(), "the bridge does not see it");
    assert_eq!(by_way(&server, "localhost", way(&good, "localhost"), server.tls()).await, [Ok(()), Ok(())]);
    assert_eq!(asked.lock().unwrap().len(), 2, "an exception goes straight");
    for bad in [format!("http://{proxy}"), format!("http://u:wrong@{proxy}"), "http://127.0.0.1:1".to_owned()] {
        let none = by_way(&server, "localhost", way(&bad, ""), server.tls()).await;
        assert_eq!(none, [Err(CmsError::ProxyFailure), Err(CmsError::ProxyFailure)], "{bad}");
    }
}

#[tokio::test]
async fn through_a_proxy_the_certificate_and_the_address_are_judged_all_the_same() {
    let server = Server::with_names(&["cms.test"], false, |_, _| xml(STATUS)).await;
    let (proxy, asked) = proxy().await;
    let strict = Egress::default().through(&format!("http://u:p@{proxy}"), "").unwrap();
    let other = by_way(&server, "localhost", strict.clone(), server.tls()).await;
    assert!(other.iter().all(|outcome| matches!(outcome, Err(CmsError::TlsFailure { .. }))), "{other:?}");
    let named = TlsOptions { server_name: Some("cms.test".to_owned()), ..server.tls() };
    assert_eq!(by_way(&server, "localhost", strict.clone(), named.clone()).await, [Ok(()), Ok(())]);
    asked.lock().unwrap().clear();
    let refused = by_way(&server, "127.0.0.1", strict, named).await;
    assert_eq!(refused, [Err(CmsError::AddressRefused), Err(CmsError::AddressRefused)]);
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_read_is_repeated_once_when_the_connection_broke() {
    let server = Server::start(|number, _| match number {
        1 => Action::Last(String::new()),
        _ => xml(STATUS),
    })
    .await;
    assert!(server.client().system_status(any()).await.is_ok());
    assert_eq!(server.requests().len(), 2);

    let dead = Server::start(|_, _| Action::Last(String::new())).await;
    assert_eq!(dead.client().system_status(any()).await, Err(CmsError::ConnectionLost));
    assert_eq!(dead.requests().len(), 2);
}

/// A server that says neither how long its reply is nor goodbye: its end is where the connection ends.
#[tokio::test]
async fn where_the_connection_ends_the_reply_ends_if_nothing_else_tells() {
    let headers = "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n";
    let whole = format!("{headers}\r\n{STATUS}");
    for action in [Action::Rude(whole.clone()), Action::Last(whole)] {
        let action = Mutex::new(Some(action));
        let server = Server::start(move |_, _| action.lock().unwrap().take().unwrap_or(Action::Hang)).await;
        assert!(server.client().system_status(any()).await.is_ok());
        assert_eq!(server.requests().len(), 1);
    }
    let made = Server::start(|_, _| Action::Rude("HTTP/1.1 200 OK\r\nLocation: /api/v1/calls/c-1\r\n\r\n".to_owned()));
    let made = made.await;
    assert_eq!(made.client().create_call(any(), &"s".into()).await, Ok("c-1".into()));
    assert_eq!(made.requests().len(), 1);
    let gone = Server::start(|_, _| Action::Rude("HTTP/1.1 404 Not Found\r\n\r\n".to_owned())).await;
    assert_eq!(gone.client().delete_call(any(), &"c".into()).await, Ok(false));
    // Cut short, it is no document; and where a length was given, the connection broke.
    let cut = STATUS.split_at(STATUS.len() - 4).0;
    let half = Server::start(move |_, _| Action::Rude(format!("HTTP/1.0 200 OK\r\n\r\n{cut}"))).await;
    assert_eq!(half.client().system_status(any()).await.unwrap_err().label(), "malformed_reply");
    let length = STATUS.len();
    for headers in [format!("Content-Length: {length}"), "Transfer-Encoding: chunked".to_owned()] {
        let reply = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{cut}");
        let broken = Server::start(move |_, _| Action::Rude(reply.clone())).await;
        let error = broken.client().create_call(any(), &"s".into()).await.unwrap_err();
        assert_eq!(error, CmsError::ConnectionLost, "{headers}");
    }
    let headless = Server::start(|_, _| Action::Rude("HTTP/1.1 200 OK\r\nLoc".to_owned())).await;
    assert_eq!(headless.client().create_call(any(), &"s".into()).await, Err(CmsError::ConnectionLost));
}

/// Wrong credentials are tried once, whatever comes with the 401; only a page that asks for no password is somebody else's.
#[tokio::test]
async fn a_401_counts_against_the_credentials_unless_it_is_a_page_of_somebody_else() {
    let html = "Content-Type: text/html\r\n";
    let cases = [
        (reply("401 Unauthorized", "WWW-Authenticate: Basic realm=\"CMS\"\r\n", ""), "unauthorized"),
        (reply("401 Unauthorized", "", ""), "unauthorized"),
        (reply("401 Unauthorized", html, ""), "unauthorized"),
        (
            reply("401 Unauthorized", &format!("{html}WWW-Authenticate: Basic realm=\"x\"\r\n"), "<html/>"),
            "unauthorized",
        ),
        // A second question of the same reply counts as well.
        (
            reply(
                "401 Unauthorized",
                &format!("{html}WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic\r\n"),
                "<html/>",
            ),
            "unauthorized",
        ),
        // Its body never comes: in doubt it is the bridge's.
        (Action::Reply(format!("HTTP/1.1 401 Unauthorized\r\n{html}Content-Length: 9\r\n\r\n")), "unauthorized"),
        (reply("401 Unauthorized", html, "<html>Log in, please</html>"), "not_a_cms"),
    ];
    for (index, (action, wanted)) in cases.into_iter().enumerate() {
        let action = Mutex::new(Some(action));
        let server = Server::start(move |_, _| action.lock().unwrap().take().unwrap_or_else(|| xml(STATUS))).await;
        let client = server.client();
        assert_eq!(client.system_status(any()).await.unwrap_err().label(), wanted, "{index}");
        let is_blocked = client.gate().snapshot().auth_blocked;
        assert_eq!(is_blocked, wanted == "unauthorized", "{index}");
    }
}

#[tokio::test]
async fn a_write_is_never_repeated() {
    for action in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let server = Server::start(move |_, _| Action::Last(action.to_owned())).await;
        let error = server.client().create_call(any(), &"s".into()).await.unwrap_err();
        assert_eq!((&error, error.may_have_taken_effect()), (&CmsError::ConnectionLost, true));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_a_timeout() {
    let server = Server::start(|_, _| Action::Hang).await;
    let error = server.client().create_call(any(), &"s".into()).await.unwrap_err();
    assert_eq!((&error, error.may_have_taken_effect()), (&CmsError::Timeout, true));
    let slow =
        Server::start(|_, _| Action::Reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned())).await;
    assert_eq!(slow.client().system_status(any()).await, Err(CmsError::Timeout));
}

#[tokio::test]
async fn strange_servers_are_told_apart() {
    let big = format!("<status>{}</status>", "x".repeat(5000));
    let cases = [
        (reply("200 OK", "Content-Type: text/html\r\n", "<!DOCTYPE html><html></html>"), "not_a_cms"),
        (reply("200 OK", "", "<html></html>"), "not_a_cms"),
        (reply("200 OK", "", "hello"), "not_a_cms"),
        (reply("404 Not Found", "", ""), "not_a_cms"),
        (reply("404 Not Found", "", "404 page not found"), "not_a_cms"),
        (reply("200 OK", "", ""), "malformed_reply"),
        (reply("200 OK", "", "<calls/>"), "malformed_reply"),
        (reply("200 OK", "", "<status>"), "malformed_reply"),
        (reply("200 OK", "", "<status/>"), "malformed_reply"),
        (xml(&big), "malformed_reply"),
        (reply("502 Bad Gateway", "", "<html><hr></html>"), "http_error"),
        (Action::Last("SIP/2.0 400 Bad Request\r\n\r\n".to_owned()), "not_a_cms"),
    ];
    for (action, wanted) in cases {
        let action = Mutex::new(Some(action));
        let server = Server::start(move |_, _| action.lock().unwrap().take().unwrap_or(Action::Hang)).await;
        let limits = Limits { max_reply_bytes: 4096, ..limits() };
        let error = client(server.address(), server.tls(), limits).system_status(any()).await.unwrap_err();
        assert_eq!(error.label(), wanted, "{error:?}");
    }
}

#[tokio::test]
async fn lists_are_paged_by_what_was_received() {
    let server = Server::start(|_, request| {
        let offset: usize =
            request.path.split(['?', '&']).find_map(|p| p.strip_prefix("offset=")).map_or(0, |o| o.parse().unwrap());
        let items: String =
            (offset..5).take(2).map(|n| format!("<coSpace id=\"s{n}\"><name>n</name></coSpace>")).collect();
        xml(&format!("<coSpaces total=\"5\">{items}</coSpaces>"))
    })
    .await;
    let listing = server.client().spaces(any(), Some("TMS_ 1")).await.unwrap();
    assert_eq!((listing.items.len(), listing.pages, listing.total), (5, 3, Some(5)));
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(
        paths,
        [
            "/api/v1/coSpaces?filter=TMS_+1&limit=50",
            "/api/v1/coSpaces?filter=TMS_+1&offset=2&limit=50",
            "/api/v1/coSpaces?filter=TMS_+1&offset=4&limit=50",
        ]
    );
}

/// What a list of calls leaves out is not gone: people would be rung twice.
#[tokio::test]
async fn a_list_of_calls_that_counts_more_than_it_shows_is_read_again() {
    let leg =
        |n: usize| format!("<callLeg id=\"l{n}\"><name>n</name><remoteParty>r</remoteParty><call>c</call></callLeg>");
    let list = move |total: usize, shown: &[usize]| {
        let items: String = shown.iter().map(|n| leg(*n)).collect();
        xml(&format!("<callLegs total=\"{total}\">{items}</callLegs>"))
    };
    type Shown = &'static [usize];
    type Reply = (usize, Shown);
    let cases: [(&str, [Reply; 3], Shown, usize); 4] = [
        ("whole", [(2, &[1, 2]), (0, &[]), (0, &[])], &[1, 2], 1),
        ("one came late", [(2, &[1]), (2, &[1, 2]), (0, &[])], &[1, 2], 2),
        ("it ended meanwhile", [(2, &[1]), (1, &[2]), (0, &[])], &[2], 2),
        ("it always counts too many", [(3, &[1]), (3, &[2]), (0, &[])], &[1, 2], 2),
    ];
    for (case, replies, wanted, readings) in cases {
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |_, request| {
            if request.path.contains("offset") {
                // Nothing comes after the first page.
                return list(replies[begun.load(std::sync::atomic::Ordering::SeqCst) - 1].0, &[]);
            }
            let (total, shown) = replies[begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst)];
            list(total, shown)
        });
        let server = server.await;
        let listing = server.client().call_legs(any()).await.unwrap();
        let mut ids: Vec<String> = listing.items.iter().map(|leg| leg.id.to_string()).collect();
        ids.sort();
        let wanted: Vec<String> = wanted.iter().map(|n| format!("l{n}")).collect();
        let lists = server.requests().iter().filter(|request| !request.path.contains("offset")).count();
        assert_eq!((ids, lists), (wanted, readings), "{case}");
    }
}

/// A bridge that counts what it shows nobody does so each time.
#[tokio::test]
async fn a_list_that_always_keeps_back_as_many_is_read_once() {
    let hidden = Arc::new(std::sync::atomic::AtomicUsize::new(2));
    let told = Arc::clone(&hidden);
    let server = Server::start(move |_, request| {
        let of = if request.path.starts_with("/api/v1/callLegs") { "callLegs" } else { "calls" };
        let item = match of {
            "callLegs" => "<callLeg id=\"l1\"><name>n</name><remoteParty>r</remoteParty><call>c</call></callLeg>",
            _ => "<call id=\"c1\"><name>n</name></call>",
        };
        let hidden = told.load(std::sync::atomic::Ordering::SeqCst);
        xml(&format!(
            "<{of} total=\"{}\">{}</{of}>",
            1 + hidden,
            if request.path.contains("offset") { "" } else { item }
        ))
    })
    .await;
    let client = server.client();
    let readings =
        |from: usize| server.requests().iter().skip(from).filter(|request| !request.path.contains("offset")).count();
    let mut seen = Vec::new();
    // The first time twice; then once, by a clone as well. Another number is not believed, and no other list.
    for keeps_back in [2, 2, 2, 3, 3, 2, 0, 0, 2] {
        hidden.store(keeps_back, std::sync::atomic::Ordering::SeqCst);
        let from = server.requests().len();
        assert_eq!(client.clone().call_legs(any()).await.unwrap().items.len(), 1);
        seen.push(readings(from));
    }
    assert_eq!(seen, [2, 1, 1, 2, 1, 2, 1, 1, 2]);
    for space in [None, Some("s1"), Some("s2"), Some("s1")] {
        let from = server.requests().len();
        client.calls(any(), space.map(Into::into).as_ref()).await.unwrap();
        seen.push(readings(from));
    }
    assert_eq!(seen[9..], [2, 2, 2, 1]);
    // It was started anew, perhaps as another version.
    client.forget_kept_back();
    let from = server.requests().len();
    client.calls(any(), Some(&"s1".into())).await.unwrap();
    assert_eq!(readings(from), 2);
}

/// Operation, method, path, status, outcome.
type Seen = (&'static str, &'static str, String, Option<u16>, &'static str);

#[derive(Default)]
struct Collected(Mutex<Vec<Seen>>);

impl Observer for Collected {
    fn request(&self, sample: &Sample<'_>) {
        let Sample { operation, method, path, status, outcome, .. } = *sample;
        self.0.lock().unwrap().push((operation, method, path.to_owned(), status, outcome));
    }
}

#[tokio::test]
async fn every_request_is_reported() {
    let server = Server::start(|number, _| match number {
        1 => xml(STATUS),
        _ => reply("503 Busy", "", ""),
    })
    .await;
    let seen = Arc::new(Collected::default());
    let credentials = Credentials { username: "tms".to_owned(), password: "hunter2".into() };
    let gate = Arc::new(Gate::new(8, 1));
    let client =
        Client::new(server.address(), credentials, server.tls(), limits(), loopback(), gate, seen.clone()).unwrap();
    client.system_status(any()).await.unwrap();
    client.close_space(any(), &"s".into(), "free", &SpaceProfiles::default()).await.unwrap_err();
    let expected = [
        ("system_status", "GET", "/system/status".to_owned(), Some(200), "ok"),
        ("close_space", "PUT", "/coSpaces/s".to_owned(), Some(503), "busy"),
    ];
    assert_eq!(*seen.0.lock().unwrap(), expected);
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_cancelled_request_gives_its_turn_back() {
    let server = Server::start(|_, _| Action::Hang).await;
    let client = server.client();
    let waiting = tokio::time::timeout(Duration::from_millis(300), client.system_status(any())).await;
    assert!(waiting.is_err());
    assert_eq!(client.gate().snapshot().in_flight, 0);
}

#[tokio::test]
async fn the_breaker_counts_connections_not_answers() {
    let server = Server::start(|_, _| reply("503 Busy", "", "")).await;
    let gate = Arc::new(Gate::new(8, 1).opens_after(2));
    let make = |address: Address| {
        let credentials = Credentials { username: "u".to_owned(), password: "p".into() };
        Client::new(address, credentials, server.tls(), limits(), loopback(), Arc::clone(&gate), Arc::new(NoObserver))
            .unwrap()
    };
    let busy = make(server.address());
    for _ in 0..5 {
        assert_eq!(busy.system_status(any()).await, Err(CmsError::Busy));
    }
    assert!(!gate.snapshot().circuit_open);
    let dead = make("localhost:1".parse().unwrap());
    for _ in 0..2 {
        assert_eq!(dead.system_status(any()).await, Err(CmsError::ConnectionRefused));
    }
    assert!(gate.snapshot().circuit_open);
    let error = dead.system_status(any()).await;
    assert!(matches!(
        error,
        Err(error @ (CmsError::CircuitOpen { .. } | CmsError::ConnectionRefused)) if error.reason() == "ConnectionRefused"
    ));
}

/// One write on the wire, and others that wait for its place.
async fn queue_behind_one(fence: &Fence) -> (Server, Client, Vec<tokio::task::JoinHandle<Result<(), CmsError>>>) {
    let server = Server::start(|number, request| match (number, request.method.as_str()) {
        (2, "PUT") => Action::Hang,
        (_, "GET") => xml(STATUS),
        _ => reply("200 OK", "", ""),
    })
    .await;
    let gate = Arc::new(Gate::new(1, 1).with_fence(fence.clone()));
    let credentials = Credentials { username: "tms".to_owned(), password: "hunter2".into() };
    let client =
        Client::new(server.address(), credentials, server.tls(), limits(), loopback(), gate, Arc::new(NoObserver))
            .unwrap();
    client.system_status(any()).await.unwrap();
    let write = |n: usize| {
        let client = client.clone();
        tokio::spawn(async move {
            client.close_space(any(), &format!("s-{n}").as_str().into(), "free", &SpaceProfiles::default()).await
        })
    };
    let first = write(0);
    while server.requests().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let waiting: Vec<_> = std::iter::once(first).chain((1..20).map(write)).collect();
    while client.gate().snapshot().queued < 19 {
        tokio::task::yield_now().await;
    }
    (server, client, waiting)
}

#[tokio::test]
async fn a_write_that_waits_when_the_fence_is_shut_is_never_sent() {
    let fence = Fence::default();
    let (server, client, waiting) = queue_behind_one(&fence).await;
    fence.shut();
    let mut outcomes = Vec::new();
    for task in waiting {
        outcomes.push(task.await.unwrap());
    }
    // What is on the wire is finished.
    assert_eq!(outcomes.remove(0), Err(CmsError::Timeout));
    assert!(outcomes.iter().all(|outcome| *outcome == Err(CmsError::Cancelled)), "{outcomes:?}");
    client.system_status(any()).await.expect("looks go on");
    let sent: Vec<_> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(sent, ["GET", "PUT", "GET"]);
}

#[tokio::test]
async fn when_the_right_is_lost_what_is_on_the_wire_is_given_up() {
    let fence = Fence::not_yet();
    assert!(fence.hold_until(tokio::time::Instant::now() + Duration::from_millis(400)));
    let (server, _client, waiting) = queue_behind_one(&fence).await;
    let mut outcomes = Vec::new();
    for task in waiting {
        outcomes.push(task.await.unwrap());
    }
    assert_eq!(outcomes.remove(0), Err(CmsError::Abandoned), "it may have taken effect");
    assert!(outcomes.iter().all(|outcome| *outcome == Err(CmsError::Cancelled)), "{outcomes:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_write_that_is_not_wanted_any_more_when_its_turn_comes_is_not_sent() {
    let fence = Fence::default();
    let (server, client, waiting) = queue_behind_one(&fence).await;
    let is_wanted = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::clone(&is_wanted);
    let outdated = client.only_while(move || asked.load(std::sync::atomic::Ordering::SeqCst));
    let late =
        tokio::spawn(
            async move { outdated.close_space(any(), &"late".into(), "free", &SpaceProfiles::default()).await },
        );
    while server.requests().len() < 3 {
        is_wanted.store(false, std::sync::atomic::Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(late.await.unwrap(), Err(CmsError::Superseded));
    for task in waiting.into_iter().skip(1) {
        assert_eq!(task.await.unwrap(), Ok(()), "the others go on");
    }
    assert!(!server.requests().iter().any(|request| request.path.contains("late")));
}
