//! Collections, paging, filters, errors, tolerant forms (cms-protocol.md 1.2, 1.6, 3).

use reqwest::Method;

use super::Bench;
use crate::Config;
use crate::schema::{Kind, TOP_LEVEL, Type};

/// A body with every required attribute of a kind.
fn least(kind: Kind) -> String {
    let required = kind.spec().fields.iter().filter(|f| f.required);
    required.map(|f| format!("{}=x-{}", f.name, kind.spec().singular)).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn every_collection_can_be_written_and_read() {
    let bench = Bench::quick().await;
    for kind in TOP_LEVEL.iter().copied().filter(|kind| kind.spec().post) {
        let spec = kind.spec();
        let before = bench.get(spec.plural).await.total();
        let got = bench.post(spec.plural, &least(kind)).await;
        assert_eq!(got.status, 200, "{}: {got:?}", spec.plural);
        let id = got.id();
        assert_eq!(got.location.unwrap(), format!("/api/v1/{}/{id}", spec.plural));
        assert_eq!(bench.get(spec.plural).await.total(), before + 1);
        // Shared by the database: the other bridge shows the same.
        let single = bench.get_on(1, &format!("{}/{id}", spec.plural)).await;
        assert!(
            single.body.starts_with(&format!("<?xml version=\"1.0\"?><{} id=\"{id}\">", spec.singular)),
            "{single:?}"
        );
        let flag = spec
            .fields
            .iter()
            .find(|f| f.put && f.shown && f.ty == Type::Bool && f.known(crate::schema::Version(3, 0)));
        if let Some(flag) = flag.filter(|_| spec.put) {
            let path = format!("{}/{id}", spec.plural.to_uppercase());
            assert_eq!(bench.put(&path, &format!("{}=True", flag.name.to_lowercase())).await.status, 200);
            assert_eq!(bench.get(&path).await.text(flag.name).as_deref(), Some("true"), "{}", flag.name);
        }
        assert_eq!(bench.delete(&format!("{}/{id}/", spec.plural)).await.status, 200);
        for method in [Method::GET, Method::DELETE] {
            bench.refused(method, &format!("{}/{id}", spec.plural), None, spec.missing).await;
        }
    }
}

#[tokio::test]
async fn required_attributes_and_types() {
    let bench = Bench::quick().await;
    let bad = |name: &str| format!("parameterError parameter=\"{name}\" error=\"invalidValue\"");
    for (path, body, wrong) in [
        ("tenants", "", "name"),
        ("outboundDialPlanRules", "priority=1", "domain"),
        ("callProfiles", "participantLimit=many", "participantLimit"),
        ("callProfiles", "recordingMode=sometimes", "recordingMode"),
        ("callLegProfiles", "muteSelfAllowed=yes", "muteSelfAllowed"),
        ("callLegProfiles", "joinToneParticipantThreshold=101", "joinToneParticipantThreshold"),
        ("coSpaces", "uri=a@b", "uri"),
        ("coSpaces", "callId=12a", "callId"),
        ("coSpaces", "streamUrl=nowhere", "streamUrl"),
        ("cospaceBulkParameterSets", "coSpaceUriMapping=$x", "coSpaceUriMapping"),
        ("cospaceBulkParameterSets", "coSpaceCallIdMapping=a$index$", "coSpaceCallIdMapping"),
        ("calls", "", "coSpace"),
    ] {
        bench.refused(Method::POST, path, Some(body), &bad(wrong)).await;
    }
    let long = format!("name=a&cdrTag={}", "x".repeat(101));
    bench.refused(Method::POST, "coSpaces", Some(&long), &bad("cdrTag")).await;
    bench.refused(Method::POST, "coSpaces", Some("callProfile=nope"), "callProfileDoesNotExist").await;
    bench.refused(Method::POST, "calls", Some("coSpace=nope"), "coSpaceDoesNotExist").await;
}

#[tokio::test]
async fn wrong_paths_and_verbs() {
    let bench = Bench::quick().await;
    bench.refused(Method::GET, "nothing", None, "unrecognisedObject").await;
    bench.refused(Method::POST, "coSpaceBulkParameterSet", Some(""), "unrecognisedObject").await;
    bench.refused(Method::POST, "system/profiles", Some(""), "invalidOperation").await;
    bench.refused(Method::PATCH, "coSpaces", Some(""), "invalidOperation").await;
    bench.refused(Method::POST, "users", Some("userJid=a"), "invalidOperation").await;
    let user = bench.sim.add_user("anna@x.test", "Anna");
    bench.refused(Method::DELETE, &format!("users/{user}"), None, "invalidOperation").await;
    let url = format!("https://{}/api/v2/calls", bench.sim.address(0));
    let got = bench.client.get(url).basic_auth("admin", Some("cisco")).send().await.unwrap();
    assert!(got.text().await.unwrap().contains("<invalidVersion />"));
}

#[tokio::test]
async fn tolerant_forms() {
    let bench = Bench::quick().await;
    // Any Content-Type, a stray separator, raw blanks, odd case of names, unknown names, a Content-Type on a GET.
    let url = |path: &str| format!("https://{}/api/v1/{path}", bench.sim.address(1));
    let request = |method, path: &str| bench.client.request(method, url(path)).basic_auth("admin", Some("cisco"));
    for kind in ["application/json", "x-www-form-urlencoded", "text/plain"] {
        let body = "&NAME=My space&unknownThing=1&requireCALLID=true";
        let got = request(Method::POST, "CoSpaces/").header("content-type", kind).body(body).send().await.unwrap();
        assert_eq!(got.status(), 200);
    }
    let got = request(Method::GET, "coSpaces?limit=1").header("content-type", "application/json").send().await.unwrap();
    let body = got.text().await.unwrap();
    assert!(body.contains("<name>My space</name>"), "{body}");
    assert_eq!(bench.sim.spaces().iter().filter(|s| s.call_id.as_ref().is_some_and(|id| id.len() == 9)).count(), 3);
    // `Basic` directly followed by the credentials.
    let got = bench.client.get(url("calls")).header("authorization", "BasicYWRtaW46Y2lzY28=").send().await.unwrap();
    assert_eq!(got.status(), 200);
}

#[tokio::test]
async fn pages() {
    let bench = Bench::quick().await;
    let slots = bench.slots(1, 45).await;
    let first = bench.get("coSpaces").await;
    assert_eq!((first.total(), first.ids().len()), (45, 20));
    assert_eq!(first.ids(), slots[..20]);
    let mut seen = Vec::new();
    while seen.len() < 45 {
        let got = bench.get(&format!("coSpaces?offset={}&limit=50", seen.len())).await;
        assert_eq!(got.ids().len(), 20.min(45 - seen.len()));
        seen.extend(got.ids());
    }
    assert_eq!(seen, slots);
    assert_eq!(bench.get("coSpaces?limit=3").await.ids().len(), 3);
    let past = bench.get("coSpaces?offset=99").await;
    assert_eq!(past.body, "<?xml version=\"1.0\"?><coSpaces total=\"45\"></coSpaces>");
    bench
        .refused(Method::GET, "coSpaces?offset=x", None, "parameterError parameter=\"offset\" error=\"invalidValue\"")
        .await;
    for slot in &slots[..12] {
        bench.make("calls", &format!("coSpace={slot}")).await;
    }
    let calls = bench.get("calls?limit=50").await;
    assert_eq!((calls.total(), calls.ids().len()), (12, 10));
    assert_eq!(bench.get(&format!("calls?coSpaceFilter={}", slots[3])).await.total(), 1);
    assert_eq!(bench.get(&format!("calls?coSpaceFilter={}", slots[30])).await.total(), 0);
}

#[tokio::test]
async fn filters() {
    let bench = Bench::quick().await;
    let tenant = bench.make("tenants", "name=t").await;
    let profile = bench.make("callLegProfiles", "name=Quiet one").await;
    let spare = bench.make("callLegProfiles", "name=Loud one").await;
    bench.make("coSpaces", &format!("name=Alpha&uri=room.a&callId=100&secondaryUri=777&tenant={tenant}")).await;
    bench.make("coSpaces", &format!("name=Beta&uri=room.b&callId=200&callLegProfile={profile}")).await;
    for (query, total) in [
        ("filter=alp", 1),
        ("filter=ROOM", 2),
        ("filter=200", 1),
        ("filter=777", 0),
        ("filter=zzz", 0),
        ("filter=", 2),
        ("tenantFilter=", 2),
        (&*format!("tenantFilter={tenant}"), 1),
        (&*format!("callLegProfileFilter={profile}&coSpacefilter=1"), 1),
    ] {
        assert_eq!(bench.get(&format!("coSpaces?{query}")).await.total(), total, "{query}");
    }
    assert_eq!(bench.get("callLegProfiles?usageFilter=unreferenced").await.ids(), std::slice::from_ref(&spare));
    assert_eq!(bench.get("callLegProfiles?usageFilter=referenced").await.ids(), std::slice::from_ref(&profile));
    let refused = "parameterError parameter=\"usageFilter\" error=\"invalidValue\"";
    bench.refused(Method::GET, "callLegProfiles?usageFilter=unused", None, refused).await;
    assert_eq!(bench.get("callLegProfiles?filter=loud").await.ids(), std::slice::from_ref(&spare));
    let usage = bench.get(&format!("callLegProfiles/{profile}/usage")).await;
    let space = bench.sim.spaces()[1].id.clone();
    let expected = format!("<callLegProfileUsage id=\"{profile}\" total=\"1\"><coSpace id=\"{space}\"></coSpace>");
    assert!(usage.body.contains(&expected), "{usage:?}");
    // A reference to something deleted is unset.
    assert_eq!(bench.put("system/profiles", &format!("callLegProfile={profile}")).await.status, 200);
    assert_eq!(bench.get("system/profiles").await.text("callLegProfile"), Some(profile.clone()));
    let usage = bench.get(&format!("callLegProfiles/{profile}/usage")).await;
    assert!(usage.body.contains(&format!("id=\"{profile}\" total=\"2\"><global></global><coSpace ")), "{usage:?}");
    assert_eq!(bench.delete(&format!("callLegProfiles/{profile}")).await.status, 200);
    assert_eq!(bench.get("system/profiles").await.text("callLegProfile"), None);
    assert!(bench.sim.spaces().iter().all(|s| !s.fields.contains_key("callLegProfile")));
}

#[tokio::test]
async fn system_nodes() {
    let bench = Bench::quick().await;
    let status = bench.get("system/status").await;
    for element in ["hostId", "clusterId", "cdrCorrelatorIndex", "cdrTime", "uptimeSeconds"] {
        assert!(status.text(element).is_some(), "{element}");
    }
    assert_eq!(bench.get("system/alarms").await.total(), 0);
    assert!(
        bench.get("system/database").await.body.contains("<database clustered=\"enabled\"><cluster><totalNodes>3<")
    );
    assert_eq!(bench.get("system/load").await.text("mediaProcessingLoad").as_deref(), Some("0"));
    assert!(bench.get("system/licensing").await.body.contains("<callBridge><status>activated</status>"));
    assert!(bench.get("clusterLicensing").await.body.contains("<expiry>"));
    let cluster = bench.get_on(1, "system/configuration/cluster").await;
    assert_eq!(cluster.text("uniqueName").as_deref(), Some("CallBridge-Core2"));
    assert_eq!(bench.put("system/configuration/cluster", "participantLimit=7").await.status, 200);
    assert_eq!(bench.get("system/configuration/cluster").await.text("participantLimit").as_deref(), Some("7"));
    assert_eq!(bench.get_on(1, "system/configuration/cluster").await.text("participantLimit"), None);
    bench.refused(Method::POST, "callBridges", Some("name=CallBridge-Core2"), "duplicateCallBridgeName").await;
}

#[tokio::test]
async fn cdr_receivers_belong_to_one_bridge() {
    let bench = Bench::quick().await;
    let id = bench.make("system/cdrReceivers", "url=https%3A%2F%2Fx.test%2Fcdr").await;
    let list = bench.get("system/cdrReceivers").await;
    assert!(list.body.contains("<cdrReceivers total=\"1\" maximum=\"4\">"), "{list:?}");
    assert_eq!(list.text("uri").as_deref(), Some("https://x.test/cdr"));
    assert_eq!(bench.get_on(1, "system/cdrReceivers").await.total(), 0);
    for _ in 0..3 {
        bench.make("system/cdrReceivers", "uri=").await;
    }
    bench.refused(Method::POST, "system/cdrReceivers", Some("uri=x"), "tooManyCdrReceivers").await;
    assert_eq!(bench.get("system/cdrReceiver").await.text("uri").as_deref(), Some("https://x.test/cdr"));
    assert_eq!(bench.put("system/cdrReceiver", "").await.status, 200);
    assert_eq!(bench.get("system/cdrReceiver").await.text("uri").as_deref(), Some("https://x.test/cdr"), "left out");
    assert_eq!(bench.put("system/cdrReceiver", "url=").await.status, 200);
    bench.refused(Method::GET, &format!("system/cdrReceivers/{id}"), None, "cdrReceiverDoesNotExist").await;
}

#[tokio::test]
async fn versions_decide_what_exists() {
    let bench = Bench::new(Config { software_version: "2.0(RC)".to_owned(), ..Config::default() }).await;
    for path in ["callBridgeGroups", "system/load", "clusterLicensing", "webBridgeProfiles"] {
        bench.refused(Method::GET, path, None, "unrecognisedObject").await;
    }
    bench.refused(Method::POST, "uriUsageQuery", Some("uri=a"), "unrecognisedObject").await;
    let id = bench.make("callProfiles", "messageBoardEnabled=false&lockMode=all").await;
    let got = bench.get(&format!("callProfiles/{id}")).await;
    assert_eq!((got.text("messageBoardEnabled").as_deref(), got.text("lockMode")), (Some("false"), None));
    let call = bench.make("calls", "name=a").await;
    let leg = bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    bench.refused(Method::PUT, &format!("callLegs/{leg}/cameraControl"), Some("pan=left"), "unrecognisedObject").await;
    assert_eq!(bench.get("system/status").await.text("clusterEnabled").as_deref(), Some("true"));
    let old = Bench::new(Config { software_version: "1.8".to_owned(), ..Config::default() }).await;
    assert_eq!(old.get("system/status").await.text("clusterEnabled"), None);
    let id = old.make("callProfiles", "recordingMode=manual").await;
    assert_eq!(old.get(&format!("callProfiles/{id}")).await.text("recordingMode"), None);
    for _ in 0..2 {
        old.make("system/cdrReceivers", "uri=").await;
    }
    old.refused(Method::POST, "system/cdrReceivers", Some("uri=x"), "tooManyCdrReceivers").await;
    assert!(old.get("system/cdrReceivers").await.body.contains("total=\"2\" maximum=\"2\""));
    let new = Bench::quick().await;
    let id = new.make("callProfiles", "messageBoardEnabled=false&lockMode=all").await;
    let got = new.get(&format!("callProfiles/{id}")).await;
    assert_eq!((got.text("messageBoardEnabled"), got.text("lockMode").as_deref()), (None, Some("all")));
}

#[tokio::test]
async fn queries() {
    let bench = Bench::quick().await;
    let space = bench.make("coSpaces", "name=a&uri=room.a&callId=100&secret=s").await;
    let web = bench.make("webBridges", "url=https://join.x.test/").await;
    assert_eq!(bench.get(&format!("webBridges/{web}/status")).await.text("status").as_deref(), Some("success"));
    bench.make("inboundDialPlanRules", "domain=x.test&priority=5&resolveTocoSpaces=true").await;
    for body in ["uri=room.a", "callId=100"] {
        let got = bench.post("accessQuery", body).await;
        assert_eq!(got.text("uri").as_deref(), Some("room.a@x.test"), "{got:?}");
        assert_eq!(got.text("webAddress").as_deref(), Some("https://join.x.test/meeting/100?secret=s"));
    }
    assert_eq!(bench.post("accessQuery", "callId=7").await.body, "<?xml version=\"1.0\"?><accessQuery></accessQuery>");
    assert!(bench.post("uriUsageQuery", "uri=room.a@x.test").await.body.contains(&space));
    assert!(!bench.post("uriUsageQuery", "uri=free").await.body.contains("coSpaceId"));
    let token = bench.post("authTokens", "").await;
    assert_eq!(token.headers["x-cisco-cms-auth-token"].len(), 22);
    let detail = format!("<coSpace>{space}</coSpace><uri>room.a@x.test</uri><callId>100</callId></meetingEntryDetail>");
    assert!(bench.get(&format!("coSpaces/{space}/meetingEntryDetail")).await.body.ends_with(&detail));
}

/// Section 8: what is asked for is what is answered for, be it an access method's, and only within the tenant.
#[tokio::test]
async fn queries_answer_for_what_they_name() {
    let bench = Bench::quick().await;
    bench.make("webBridges", "url=https://join.test").await;
    let space = bench.make("coSpaces", "name=a&uri=room&secondaryUri=spare&callId=1&secret=s").await;
    bench.make(&format!("coSpaces/{space}/accessMethods"), "uri=side&callId=2&passcode=9&secret=m").await;
    for (body, uri, link) in [
        ("uri=room@cms.test", "room", "1?secret=s"),
        ("uri=spare", "spare", "1?secret=s"),
        ("callId=1", "room", "1?secret=s"),
        ("uri=side", "side", "2?secret=m"),
        ("callId=2", "side", "2?secret=m"),
    ] {
        let got = bench.post("accessQuery", body).await;
        assert_eq!(got.text("uri"), Some(format!("{uri}@cms.test")), "{body}");
        assert_eq!(got.text("webAddress"), Some(format!("https://join.test/meeting/{link}")), "{body}");
    }
    let (own, other) = (bench.make("tenants", "name=t").await, bench.make("tenants", "name=u").await);
    let theirs = bench.make("coSpaces", &format!("name=b&uri=theirs&tenant={own}")).await;
    for (body, found) in [
        ("uri=theirs".to_owned(), None),
        (format!("uri=theirs&tenant={own}"), Some(&theirs)),
        (format!("uri=theirs&tenant={other}"), None),
        (format!("uri=room&tenant={own}"), None),
        ("uri=room".to_owned(), Some(&space)),
    ] {
        assert_eq!(bench.post("uriUsageQuery", &body).await.text("coSpaceId").as_ref(), found, "{body}");
    }
    for (tenant, is_found) in [(&own, true), (&other, false)] {
        let got = bench.post("accessQuery", &format!("uri=theirs&tenant={tenant}")).await;
        assert_eq!(got.text("uri").is_some(), is_found);
    }
    bench.refused(Method::POST, "accessQuery", Some("uri=room&tenant=x"), "tenantDoesNotExist").await;
}

#[tokio::test]
async fn a_lone_bridge_has_an_empty_table() {
    let bench = Bench::new(Config { bridges: 1, clustered: false, ..Config::default() }).await;
    assert_eq!(bench.get("callBridges").await.body, "<?xml version=\"1.0\"?><callBridges total=\"0\"></callBridges>");
    assert_eq!(bench.get("system/status").await.text("clusterEnabled").as_deref(), Some("false"));
    assert!(bench.get("system/database").await.body.contains("clustered=\"disabled\""));
}
