use super::*;

fn bridge(web: Option<&str>, version: Option<&str>) -> MeetingBridge {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge", "metadata": { "name": "b", "namespace": "ns" },
        "spec": { "address": "cms.test", "credentialsSecretRef": { "name": "cms" }, "webBridgeURI": web },
        "status": { "system": version.map(|version| serde_json::json!({ "softwareVersion": version })) }
    }))
    .unwrap()
}

#[test]
fn links_have_the_form_of_the_version() {
    let old = WebLinks::of(&bridge(Some("https://join.example.com:443/"), Some("2.9.5"))).unwrap();
    assert_eq!(old.link(7, "s"), "https://join.example.com:443/invited.sf?id=7&secret=s");
    for version in [Some("3.1"), None] {
        let new = WebLinks::of(&bridge(Some("https://join.example.com"), version)).unwrap();
        assert_eq!(new.link(7, "s"), "https://join.example.com/meeting/7?secret=s");
    }
    assert_eq!(WebLinks::of(&bridge(None, Some("3.1"))), None);
}

/// It stands on Secrets that a later version of the controller reads, so it is the same in every one.
#[test]
fn whatever_a_join_secret_is_made_from_shows() {
    let web = |base: &str, version: &str| WebLinks::of(&bridge(Some(base), Some(version)));
    let versions = |all: &[(&str, &str)]| -> Versions {
        all.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    };
    let all = [
        basis(None, &versions(&[])),
        basis(None, &versions(&[("code", "")])),
        basis(None, &versions(&[("code", "7")])),
        basis(None, &versions(&[("code", "7"), ("host", "7")])),
        basis(web("https://a.test", "3.0").as_ref(), &versions(&[("code", "7")])),
        basis(web("https://b.test", "3.0").as_ref(), &versions(&[("code", "7")])),
        basis(web("https://b.test", "2.9").as_ref(), &versions(&[("code", "7")])),
        WITHDRAWN,
    ];
    assert_eq!(BTreeSet::from(all).len(), all.len());
    assert_eq!(basis(web("https://b.test", "3.9").as_ref(), &versions(&[("code", "7")])), all[5]);
    assert_eq!(all[2].to_string(), "5cce6b4a-04d4-5c2d-a8fe-e6be0c701758");
}
