//! Looked for after a lost reply, on servers that show this much and no more.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::*;
use crate::api::names::ObjectKey;
use crate::clock::SystemClock;
use crate::cluster::{CallBridge, Env};
use crate::cms::tests::server::{Action, STATUS, Server, reply, xml};
use crate::metrics::Metrics;

/// A cluster whose only call bridge is this server.
pub(in crate::cluster) fn cluster(server: &Server) -> Arc<Cluster> {
    cluster_of(Arc::new(CallBridge::new(server.client(), String::new(), String::new())))
}

/// A cluster with this primary.
pub(in crate::cluster) fn cluster_of(primary: Arc<CallBridge>) -> Arc<Cluster> {
    let env = Env {
        clock: Arc::new(SystemClock),
        settings: crate::config::settings::Settings::default(),
        metrics: Arc::new(Metrics::default()),
        tasks: TaskTracker::new(),
        wake: Arc::new(|| {}),
    };
    let key = ObjectKey { namespace: "ns".to_owned(), name: "core".to_owned() };
    Arc::new(Cluster::new(key, env, primary))
}

/// A server with one call profile of this content, whose list says what this function makes of the asked usage.
async fn profiles(listed: impl Fn(&str) -> Action + Send + Sync + 'static) -> Server {
    Server::start(move |_, request| match request.path.split_once("usageFilter=") {
        Some((_, usage)) => listed(usage.split('&').next().unwrap_or_default()),
        None => xml("<callProfile id=\"p-1\"><participantLimit>7</participantLimit></callProfile>"),
    })
    .await
}

async fn find(server: &Server, range: RangeInclusive<u32>, prefix: &str) -> Result<Option<String>, CmsError> {
    cluster(server).find_set(&range, prefix, &BTreeSet::new()).await
}

async fn found(server: &Server) -> Result<Option<String>, CmsError> {
    let want = [("participantLimit".to_owned(), "7".to_owned())];
    let found = cluster(server).find_profile(ProfileKind::Call, &want, |_, _| true).await?;
    Ok(found.map(|(id, _)| id))
}

const ONE: &str = "<callProfiles total=\"1\"><callProfile id=\"p-1\"/></callProfiles>";
const NONE: &str = "<callProfiles total=\"0\"/>";

#[tokio::test]
async fn a_profile_is_ours_only_where_the_bridge_proves_that_nothing_refers_to_it() {
    let honest = profiles(|usage| xml(if usage == "unreferenced" { ONE } else { NONE })).await;
    assert_eq!(found(&honest).await, Ok(Some("p-1".to_owned())));
    assert_eq!(honest.requests().len(), 3, "one more list than without the proof");
    let empty = profiles(|_| xml(NONE)).await;
    assert_eq!(found(&empty).await, Ok(None));
    assert_eq!(empty.requests().len(), 1, "no proof is wanted of what is not there");
}

/// It would be somebody's, and deleted later with what is ours.
#[tokio::test]
async fn where_the_usage_is_ignored_or_in_doubt_another_profile_is_made() {
    let ignored = profiles(|_| xml(ONE)).await;
    assert_eq!(found(&ignored).await, Ok(None));
    let capital =
        profiles(|usage| xml(&if usage == "referenced" { ONE.replace("p-1", "P-1") } else { ONE.to_owned() }));
    assert_eq!(found(&capital.await).await, Ok(None));
    let refused =
        "<failureDetails><parameterError parameter=\"usageFilter\" error=\"invalidValue\" /></failureDetails>";
    let refused = profiles(move |usage| match usage {
        "unreferenced" => xml(ONE),
        _ => reply("400 Bad Request", "", refused),
    });
    assert_eq!(found(&refused.await).await, Ok(None));
    let partial = profiles(|usage| xml(&if usage == "referenced" { NONE.replace('0', "2") } else { ONE.to_owned() }));
    assert_eq!(found(&partial.await).await, Ok(None));
    let silent = profiles(|usage| if usage == "referenced" { reply("503 Busy", "", "") } else { xml(ONE) }).await;
    assert_eq!(found(&silent).await, Err(CmsError::Busy));
}

/// Whoever waited for an answer would never make a profile: the question stands before each one that is made anew.
#[tokio::test]
async fn where_the_usage_is_refused_another_profile_is_made() {
    let words = "<failureDetails><parameterError parameter=\"usageFilter\" error=\"invalidValue\" /></failureDetails>";
    for (status, kind, body) in [
        ("400 Bad Request", "text/xml", words),
        ("400 Bad Request", "text/xml", ""),
        ("404 Not Found", "text/xml", ""),
        ("405 Method Not Allowed", "application/json", "{}"),
        ("501 Not Implemented", "text/html", "<html/>"),
    ] {
        let refused = move || reply(status, &format!("Content-Type: {kind}\r\n"), body);
        let server = Server::start(move |_, request| match request.path.ends_with("/status") {
            true => xml(STATUS),
            false => refused(),
        });
        let server = server.await;
        assert_eq!(found(&server).await, Ok(None), "{status} {body}");
        assert!(find(&server, 1..=5, "a").await.is_err(), "{status} {body}: a set may be there");
    }
    let silent = profiles(|_| reply("503 Busy", "", "")).await;
    assert_eq!(found(&silent).await, Err(CmsError::Busy));
    let proxy = Server::start(|_, _| reply("404 Not Found", "Content-Type: text/html\r\n", "<html></html>")).await;
    assert_eq!(found(&proxy).await, Err(CmsError::NotACms), "no call bridge says so");
}

/// A server with the set `s-1`, listed and shown like this.
async fn set(listed: &'static str, shown: &'static str) -> Server {
    let element = "cospaceBulkParameterSet";
    Server::start(move |_, request| {
        xml(&match request.path.contains("/s-1") {
            true => format!("<{element} id=\"s-1\">{shown}</{element}>"),
            false => format!("<{element}s total=\"1\"><{element} id=\"s-1\">{listed}</{element}></{element}s>"),
        })
    })
    .await
}

#[tokio::test]
async fn a_set_is_found_by_its_mapping_as_it_was_sent() {
    const RANGE: &str = "<startIndex>1</startIndex><endIndex>5</endIndex>";
    const OURS: &str =
        r"<startIndex>1</startIndex><endIndex>5</endIndex><coSpaceNameMapping> a\$b\\c $index$</coSpaceNameMapping>";
    let prefix = r" a$b\c ";
    // Whether the list shows both indices, one, or none.
    for listed in [RANGE, "<endIndex>5</endIndex>", ""] {
        let server = set(listed, OURS).await;
        assert_eq!(find(&server, 1..=5, prefix).await, Ok(Some("s-1".to_owned())), "{listed}");
        assert_eq!(find(&server, 1..=4, prefix).await, Ok(None), "{listed}");
        assert_eq!(find(&server, 1..=5, "a").await, Ok(None), "{listed}");
    }
    let server = set(RANGE, OURS).await;
    let known = BTreeSet::from(["S-1".into()]);
    assert_eq!(cluster(&server).find_set(&(1..=5), prefix, &known).await, Ok(None), "that is another one of ours");
    let raw = r"<startIndex>1</startIndex><endIndex>5</endIndex><coSpaceNameMapping>a$b\c $index$</coSpaceNameMapping>";
    assert_eq!(find(&set(RANGE, raw).await, 1..=5, prefix).await, Ok(None), "another template");
    let hidden = r"<coSpaceNameMapping>a\$b\\c $index$</coSpaceNameMapping>";
    assert_eq!(find(&set("", hidden).await, 1..=5, prefix).await, Ok(None), "of no range");
}
