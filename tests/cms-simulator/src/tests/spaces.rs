//! Spaces, access methods, members (cms-protocol.md 6.1 to 6.3).

use reqwest::Method;

use super::Bench;
use crate::{EntryKind, JoinError};

#[tokio::test]
async fn put_keeps_what_is_left_out_and_unsets_what_is_empty() {
    let bench = Bench::quick().await;
    let id = bench.make("coSpaces", "name=a&uri=u&callId=1&passcode=1234&cdrTag=t&nonMemberAccess=false").await;
    let path = format!("coSpaces/{id}");
    bench.put(&path, "name=b").await;
    let got = bench.get(&path).await;
    for (element, value) in
        [("name", "b"), ("uri", "u"), ("passcode", "1234"), ("cdrTag", "t"), ("nonMemberAccess", "false")]
    {
        assert_eq!(got.text(element).as_deref(), Some(value), "{element}");
    }
    bench.put(&path, "&passcode=&cdrTag=").await;
    let got = bench.get(&path).await;
    assert_eq!((got.text("passcode"), got.text("cdrTag"), got.text("uri").as_deref()), (None, None, Some("u")));
    // Unsetting an attribute with a default gives the default back.
    bench.put(&path, "nonMemberAccess=").await;
    assert_eq!(bench.get(&path).await.text("nonMemberAccess").as_deref(), Some("true"));
    let writes: Vec<bool> = bench.sim.journal().iter().filter(|e| e.method == "PUT").map(|e| e.effect).collect();
    assert_eq!(writes, [true, true, true]);
    bench.put(&path, "name=b").await;
    assert!(!bench.sim.journal().last().unwrap().effect);
}

#[tokio::test]
async fn secrets() {
    let bench = Bench::quick().await;
    let without = bench.make("coSpaces", "name=a").await;
    assert_eq!(bench.get(&format!("coSpaces/{without}")).await.text("secret"), None);
    let id = bench.make("coSpaces", "name=a&callId=1").await;
    let path = format!("coSpaces/{id}");
    let first = bench.get(&path).await.text("secret").unwrap();
    assert_eq!(first.len(), 22);
    bench.put(&path, "passcode=1").await;
    assert_eq!(bench.get(&path).await.text("secret").unwrap(), first);
    bench.put(&path, "regenerateSecret=false").await;
    assert_eq!(bench.get(&path).await.text("secret").unwrap(), first);
    bench.put(&path, "regenerateSecret=true").await;
    let second = bench.get(&path).await.text("secret").unwrap();
    assert_ne!(second, first);
    bench.put(&path, "secret=mine").await;
    assert_eq!(bench.get(&path).await.text("secret").as_deref(), Some("mine"));
    assert!(!bench.get("coSpaces").await.body.contains("mine"));
}

#[tokio::test]
async fn names_are_unique_over_spaces_and_access_methods() {
    let bench = Bench::quick().await;
    let one = bench.make("coSpaces", "name=one&uri=one&secondaryUri=uno&callId=1&passcode=11").await;
    let two = bench.make("coSpaces", "name=one&uri=two&callId=2").await;
    for (body, element) in [
        ("uri=one", "duplicateCoSpaceUri"),
        ("uri=ONE", "duplicateCoSpaceUri"),
        ("uri=uno", "duplicateCoSpaceUri"),
        ("secondaryUri=two", "duplicateCoSpaceUri"),
        ("uri=x&secondaryUri=x", "duplicateCoSpaceUri"),
        ("callId=2", "duplicateCoSpaceId"),
    ] {
        bench.refused(Method::POST, "coSpaces", Some(body), element).await;
    }
    bench.refused(Method::PUT, &format!("coSpaces/{two}"), Some("uri=one"), "duplicateCoSpaceUri").await;
    let methods = format!("coSpaces/{one}/accessMethods");
    let method = bench.make(&methods, "uri=three&callId=3").await;
    bench.refused(Method::POST, "coSpaces", Some("uri=three"), "duplicateCoSpaceUri").await;
    bench.refused(Method::POST, "coSpaces", Some("callId=3"), "duplicateCoSpaceId").await;
    bench.refused(Method::POST, &methods, Some("uri=two"), "duplicateCoSpaceUri").await;
    // The space's own uri and call id with the same passcode clash, with another one they do not.
    bench.refused(Method::POST, &methods, Some("uri=one&passcode=11"), "duplicateCoSpaceUriPasscode").await;
    bench.refused(Method::POST, &methods, Some("callId=1&passcode=11"), "duplicateCoSpaceIdPasscode").await;
    bench.make(&methods, "uri=one&callId=1&passcode=22").await;
    bench.refused(Method::PUT, &format!("coSpaces/{one}"), Some("passcode=22"), "duplicateCoSpaceUriPasscode").await;
    // Names come free with their holder.
    assert_eq!(bench.delete(&format!("{methods}/{method}")).await.status, 200);
    bench.make("coSpaces", "uri=three&callId=3").await;
    assert_eq!(bench.delete(&format!("coSpaces/{one}")).await.status, 200);
    bench.make("coSpaces", "uri=one&secondaryUri=uno&callId=1").await;
}

#[tokio::test]
async fn access_methods_and_members_are_nested() {
    let bench = Bench::quick().await;
    let space = bench.make("coSpaces", "name=a&nonMemberAccess=false").await;
    let other = bench.make("coSpaces", "name=b").await;
    let got = bench.post(&format!("coSpaces/{space}/accessMethods"), "callId=5&passcode=7").await;
    let method = got.id();
    assert_eq!(got.location.unwrap(), format!("/api/v1/coSpaces/{space}/accessMethods/{method}"));
    let list = bench.get(&format!("coSpaces/{space}/accessMethods")).await;
    assert_eq!((list.total(), list.text("passcode").as_deref(), list.text("secret")), (1, Some("7"), None));
    let path = format!("coSpaces/{space}/accessMethods/{method}");
    let secret = bench.get(&path).await.text("secret").unwrap();
    bench.put(&path, "regenerateSecret=true").await;
    assert_ne!(bench.get(&path).await.text("secret").unwrap(), secret);
    assert_eq!(bench.get(&format!("coSpaces/{space}")).await.text("numAccessMethods").as_deref(), Some("1"));
    let wrong = format!("coSpaces/{other}/accessMethods/{method}");
    bench.refused(Method::GET, &wrong, None, "accessMethodDoesNotExist").await;
    bench.refused(Method::GET, "coSpaces/x/accessMethods", None, "coSpaceDoesNotExist").await;

    let users = format!("coSpaces/{space}/coSpaceUsers");
    let user = bench.sim.add_user("anna@x.test", "Anna");
    let wrong = "parameterError parameter=\"userJid\" error=\"invalidValue\"";
    bench.refused(Method::POST, &users, Some("canDestroy=true"), wrong).await;
    let member = bench.make(&users, "userJid=anna@x.test&canDestroy=true").await;
    let got = bench.get(&format!("{users}/{member}")).await;
    assert_eq!((got.text("userId"), got.text("canDestroy").as_deref()), (Some(user.clone()), Some("true")));
    let expected = format!("<userCoSpace id=\"{space}\"><coSpaceId>{space}</coSpaceId></userCoSpace></userCoSpaces>");
    assert!(bench.get(&format!("users/{user}/usercoSpaces")).await.body.ends_with(&expected));
    assert_eq!(bench.sim.join(&space, "bob@x.test", 0), Err(JoinError::Shut));
    assert!(bench.sim.join(&space, "anna@x.test", 0).is_ok());
    assert_eq!(bench.delete(&format!("coSpaces/{space}")).await.status, 200);
    bench.refused(Method::GET, &users, None, "coSpaceDoesNotExist").await;
    assert!(bench.sim.calls().is_empty());
}

/// 6.2: the passcode tells by which way in somebody comes, and the profile of that way counts; 5.2: who needs activation
/// waits for somebody who does not.
#[tokio::test]
async fn guests_wait_until_a_host_is_in() {
    let bench = Bench::quick().await;
    let waits = bench.make("callLegProfiles", "needsActivation=true").await;
    let hosts = bench.make("callLegProfiles", "needsActivation=false").await;
    let space = bench.make("coSpaces", &format!("name=a&callId=1&passcode=11&callLegProfile={waits}")).await;
    let methods = format!("coSpaces/{space}/accessMethods");
    let host = bench.make(&methods, &format!("callId=1&passcode=22&name=Host&callLegProfile={hosts}")).await;
    assert_eq!(bench.get(&methods).await.text("name"), None, "a list does not show it");
    assert_eq!(bench.get(&format!("{methods}/{host}")).await.text("name").as_deref(), Some("Host"));
    let shown = |leg: &str| bench.sim.legs().into_iter().find(|view| view.id == *leg).unwrap();
    assert_eq!(bench.sim.join_with_passcode("1", "eve", 0, "33"), Err(JoinError::WrongPasscode));
    let guest = bench.sim.join_with_passcode("1", "guest", 0, "11").unwrap();
    assert_eq!((shown(&guest.leg).access_method, shown(&guest.leg).deactivated), (None, true));
    let status = bench.get(&format!("callLegs/{}", guest.leg)).await;
    assert_eq!(status.text("deactivated").as_deref(), Some("true"));
    // On the other bridge of the cluster, by the same number and another passcode.
    let lead = bench.sim.join_with_passcode("1", "lead", 1, "22").unwrap();
    assert_eq!((shown(&lead.leg).access_method, shown(&lead.leg).deactivated), (Some(host.clone()), false));
    assert!(!shown(&guest.leg).deactivated);
    let activator = |joined: &crate::Joined| format!("participants/{}", joined.participant);
    assert_eq!(bench.get(&activator(&guest)).await.text("isActivator").as_deref(), Some("false"));
    let trace = bench.send(1, Method::GET, &format!("callLegs/{}/callLegProfileTrace", lead.leg), None).await.body;
    let expected = format!(
        "<callLegProfileTrace callLeg=\"{}\"><profile scope=\"coSpace\"><callLegProfile id=\"{waits}\"><needsActivation>true\
         </needsActivation></callLegProfile></profile><profile scope=\"accessMethod\"><callLegProfile id=\"{hosts}\">\
         <needsActivation>false</needsActivation></callLegProfile></profile></callLegProfileTrace>",
        lead.leg
    );
    assert!(trace.ends_with(&expected), "{trace}");
    // The last one who activates has left.
    assert!(bench.sim.leave("lead"));
    assert!(shown(&guest.leg).deactivated);
    for (mode, stays) in [("remainActivated", Some(false)), ("disconnect", None)] {
        bench.put(&format!("callLegProfiles/{waits}"), &format!("deactivationMode={mode}")).await;
        assert!(bench.sim.join_with_passcode("1", "lead", 0, "22").is_ok());
        assert!(bench.sim.leave("lead"));
        let guest = bench.sim.legs().into_iter().find(|view| view.name == "guest");
        assert_eq!(guest.map(|view| view.deactivated), stays, "{mode}");
    }
}

/// 5.2: a member brings the profile of the membership; 6.2: whoever comes by an access method its importance; what is set for
/// the leg itself is stronger than all of it.
#[tokio::test]
async fn a_member_brings_his_profile_and_an_access_method_its_importance() {
    let bench = Bench::quick().await;
    let hosts = bench.make("callLegProfiles", "needsActivation=false").await;
    let waits = bench.make("callLegProfiles", "needsActivation=true&rxAudioMute=true").await;
    let space = bench.make("coSpaces", &format!("name=a&callId=1&callLegProfile={hosts}")).await;
    bench.make(&format!("coSpaces/{space}/accessMethods"), "callId=2&importance=7").await;
    bench.make(&format!("coSpaces/{space}/coSpaceUsers"), &format!("userJid=anna@x.test&callLegProfile={waits}")).await;
    let anna = bench.sim.join("2", "anna@x.test", 0).unwrap();
    assert!(bench.sim.legs()[0].deactivated, "nobody is in who activates");
    bench.put(&format!("callLegs/{}", anna.leg), "rxAudioMute=false").await;
    let trace = bench.get(&format!("callLegs/{}/callLegProfileTrace", anna.leg)).await.body;
    let expected = format!(
        "<profile scope=\"coSpaceUser\"><callLegProfile id=\"{waits}\"><needsActivation>true</needsActivation>\
         <rxAudioMute>true</rxAudioMute></callLegProfile></profile><profile scope=\"callLeg\"><callLegProfile>\
         <rxAudioMute>false</rxAudioMute></callLegProfile></profile></callLegProfileTrace>"
    );
    assert!(trace.ends_with(&expected), "{trace}");
    let eve = bench.sim.join("1", "eve", 0).unwrap();
    assert!(bench.sim.legs().iter().all(|leg| !leg.deactivated), "eve activates");
    for (who, importance) in [(anna, Some("7")), (eve, None)] {
        let got = bench.get(&format!("participants/{}", who.participant)).await;
        assert_eq!(got.text("importance").as_deref(), importance);
    }
}

/// 6.1: wherever spaces move with their tenant, or go without, every call id stays unique in its tenant group, those of access
/// methods as well.
#[tokio::test]
async fn call_ids_stay_unique_when_tenants_and_groups_change() {
    let bench = Bench::quick().await;
    let (one, two) = (bench.make("tenantGroups", "").await, bench.make("tenantGroups", "").await);
    let tenant =
        async |name: &str, group: &str| bench.make("tenants", &format!("name={name}&tenantGroup={group}")).await;
    let (a, b) = (tenant("a", &one).await, tenant("b", &two).await);
    let space = bench.make("coSpaces", &format!("name=s&callId=700&tenant={a}")).await;
    bench.make(&format!("coSpaces/{space}/accessMethods"), "callId=702").await;
    let taken = async |body: &str| bench.refused(Method::POST, "coSpaces", Some(body), "duplicateCoSpaceId").await;
    // People find it all the same.
    assert!(bench.sim.join("700", "anna", 0).is_ok());
    // The tenant moves.
    assert_eq!(bench.put(&format!("tenants/{a}"), &format!("tenantGroup={two}")).await.status, 200);
    for id in ["700", "702"] {
        taken(&format!("callId={id}&tenant={b}")).await;
        let free = bench.make("coSpaces", &format!("callId={id}")).await;
        bench.delete(&format!("coSpaces/{free}")).await;
    }
    // The space changes its tenant.
    let c = tenant("c", &one).await;
    assert_eq!(bench.put(&format!("coSpaces/{space}"), &format!("tenant={c}")).await.status, 200);
    taken(&format!("callId=702&tenant={c}")).await;
    let other = bench.make("coSpaces", &format!("callId=702&tenant={b}")).await;
    bench.refused(Method::PUT, &format!("coSpaces/{space}"), Some(&format!("tenant={b}")), "duplicateCoSpaceId").await;
    // A refusal leaves everything as it was.
    taken(&format!("callId=700&tenant={c}")).await;
    bench.make("coSpaces", &format!("callId=700&tenant={b}")).await;
    // The group goes, or the tenant: not where the ids without tenant are taken.
    let plain = bench.make("coSpaces", "callId=702").await;
    for path in [format!("tenantGroups/{one}"), format!("tenants/{c}")] {
        bench.refused(Method::DELETE, &path, None, "tenantGroupCoSpaceIdConflict").await;
        assert_eq!(bench.get(&path).await.status, 200);
    }
    bench.delete(&format!("coSpaces/{plain}")).await;
    bench.delete(&format!("coSpaces/{other}")).await;
    assert_eq!(bench.delete(&format!("tenantGroups/{one}")).await.status, 200);
    taken("callId=700").await;
    taken("callId=702").await;
    assert_eq!(bench.delete(&format!("tenants/{b}")).await.status, 400, "it has 700 as well");
    assert_eq!(bench.delete(&format!("tenants/{c}")).await.status, 200);
    taken("callId=702").await;
}

#[tokio::test]
async fn passcode_policy_and_tenants() {
    let bench = Bench::quick().await;
    let policy = bench.make("dialInSecurityProfiles", "name=p&minPasscodeLength=4").await;
    bench.put("system/profiles", &format!("dialInSecurityProfile={policy}")).await;
    bench.refused(Method::POST, "coSpaces", Some("passcode=123"), "passcodeTooShort").await;
    let space = bench.make("coSpaces", "passcode=1234").await;
    bench.refused(Method::PUT, &format!("coSpaces/{space}"), Some("passcode=12"), "passcodeTooShort").await;
    assert_eq!(bench.put(&format!("coSpaces/{space}"), "passcode=").await.status, 200);
    // It holds for access methods as well, and may be the space's own.
    let methods = format!("coSpaces/{space}/accessMethods");
    bench.refused(Method::POST, &methods, Some("callId=5&passcode=123"), "passcodeTooShort").await;
    let method = bench.make(&methods, "callId=5&passcode=1234").await;
    bench.refused(Method::PUT, &format!("{methods}/{method}"), Some("passcode=12"), "passcodeTooShort").await;
    let strict = bench.make("dialInSecurityProfiles", "name=s&minPasscodeLength=6").await;
    bench.put(&format!("coSpaces/{space}"), &format!("dialInSecurityProfile={strict}")).await;
    bench.refused(Method::POST, &methods, Some("callId=6&passcode=12345"), "passcodeTooShort").await;
    // Call ids are unique per tenant group.
    let groups = [bench.make("tenantGroups", "").await, bench.make("tenantGroups", "").await];
    let tenants = [
        bench.make("tenants", &format!("name=a&tenantGroup={}", groups[0])).await,
        bench.make("tenants", &format!("name=b&tenantGroup={}", groups[1])).await,
    ];
    bench.make("coSpaces", &format!("callId=77&tenant={}", tenants[0])).await;
    bench.make("coSpaces", &format!("callId=77&tenant={}", tenants[1])).await;
    let path = format!("tenants/{}", tenants[1]);
    let body = format!("tenantGroup={}", groups[0]);
    bench.refused(Method::PUT, &path, Some(&body), "tenantGroupCoSpaceIdConflict").await;
}

#[tokio::test]
async fn ldap_spaces_and_hand_edits() {
    let bench = Bench::quick().await;
    let id = bench.sim.add_space_with(&[("name", "p"), ("autoGenerated", "true")]).unwrap();
    bench.refused(Method::DELETE, &format!("coSpaces/{id}"), None, "invalidOperation").await;
    let tag = "parameterError parameter=\"cdrTag\" error=\"invalidValue\"";
    bench.refused(Method::PUT, &format!("coSpaces/{id}"), Some("cdrTag=x"), tag).await;
    assert_eq!(bench.put(&format!("coSpaces/{id}"), "cdrTag=&name=p").await.status, 200, "it has none");
    assert!(bench.sim.edit_space(&id, &[("name", "q"), ("passcode", "9")]).unwrap());
    assert!(bench.sim.edit_space(&id, &[("uri", "a@b")]).is_err());
    let entry = bench.sim.journal().into_iter().rfind(|e| e.kind == EntryKind::Hand).unwrap();
    assert_eq!(entry.body, [("name", "q"), ("passcode", "*****")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(bench.sim.spaces()[0].name, "q");
    assert!(bench.sim.delete_space(&id));
}

#[tokio::test]
async fn the_journal_tells_what_happened() {
    let bench = Bench::quick().await;
    let id = bench.make("coSpaces", "name=a&uri=room&callId=42&passcode=1234").await;
    bench.open(&id, "T", "s3cret").await;
    bench.get(&format!("cospaces/{}?x=1", id.to_uppercase())).await;
    bench.get("nowhere").await;
    let journal = bench.sim.journal();
    let [post, put, get, lost] = journal.as_slice() else { panic!("{journal:?}") };
    assert_eq!(
        (post.method.as_str(), post.route.as_str(), post.object_id.as_deref()),
        ("POST", "coSpaces", Some(&*id))
    );
    assert!(post.body.contains(&("passcode".to_owned(), "*****".to_owned())));
    assert_eq!(put.body.iter().find(|(n, _)| n == "passcode").unwrap().1, "");
    assert_eq!(put.body.iter().find(|(n, _)| n == "secret").unwrap().1, "*****");
    assert_eq!((put.effect, put.status, put.space_number.as_deref()), (true, Some(200), Some("42")));
    assert_eq!((get.path.as_str(), get.query.as_str()), (&*format!("/api/v1/coSpaces/{id}"), "x=1"));
    assert_eq!((lost.route.as_str(), lost.failure.as_deref()), ("unknown", Some("unrecognisedObject")));
    assert!(journal.iter().all(|e| e.finished.is_some() && e.in_flight == 1 && e.bridge == 0));
    bench.sim.clear_journal();
    assert!(bench.sim.journal().is_empty());
    bench.get("calls").await;
    assert_eq!(bench.sim.journal()[0].seq, 5);
    assert_eq!(bench.sim.stats().requests(0), 5);
}
