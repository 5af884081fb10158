use super::*;
use crate::cluster::lost::tests::cluster;
use crate::cms::ProfileKind;
use crate::cms::tests::server::{Server, reply, xml};
use crate::facts::bridge::as_written;

/// While configuration was held back, a read between two tries hid from the next one that the profile is gone, so that it
/// asked for a set with it again and again.
#[tokio::test]
async fn a_profile_that_a_read_finds_gone_is_wanted_by_the_bridges_own_pass() {
    let server = Server::start(|number, request| match (number, request.path.contains("callLegProfile")) {
        (1..=2, false) => xml("<callProfile id=\"p\"><participantLimit>7</participantLimit></callProfile>"),
        (1..=2, true) => xml("<callLegProfile id=\"p\"/>"),
        _ => reply("404 Not Found", "", ""),
    })
    .await;
    let (cluster, id) = (cluster(&server), Some("p".to_owned()));
    let profiles = ProfileIds { call: id.clone(), call_leg: id };
    let duty = Duty { live: Vec::new(), is_busy: false, members: None, profiles, failback_asked: false };
    let active = cluster.active();
    for is_there in [true, false] {
        for read in [IdleRead::Profile(ProfileKind::Call), IdleRead::Profile(ProfileKind::CallLeg)] {
            cluster.read_active(&active, &duty, read).await.unwrap();
        }
        cluster.with_facts(|facts| {
            let seen = ProfileKind::ALL.map(|kind| matches!(facts.profile(kind), Seen::Known(Some(_))));
            assert_eq!((seen, facts.wants_profiles), ([is_there; 2], !is_there));
        });
    }
}

/// A look that does not find what was made a moment ago is counted by the bridge's own pass. A read in between made it forget
/// that it is new, so that another one was made at once.
#[tokio::test]
async fn a_profile_that_is_new_is_not_said_to_be_gone_by_a_read() {
    let server = Server::start(|_, _| reply("404 Not Found", "", "")).await;
    let (cluster, id) = (cluster(&server), Some("p".to_owned()));
    let profiles = ProfileIds { call: id.clone(), call_leg: id };
    let duty = Duty { live: Vec::new(), is_busy: false, members: None, profiles, failback_asked: false };
    let made = as_written(&[("sipMediaEncryption".to_owned(), "required".to_owned())]);
    *cluster.cache().facts.profile_mut(ProfileKind::CallLeg) = Seen::Known(Some(made.clone()));
    cluster.read_active(&cluster.active(), &duty, IdleRead::Profile(ProfileKind::CallLeg)).await.unwrap();
    cluster.with_facts(|facts| {
        assert_eq!(facts.profile(ProfileKind::CallLeg).known(), Some(&Some(made)));
        assert!(!facts.wants_profiles);
    });
}
