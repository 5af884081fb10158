use super::*;
use crate::cluster::lost::tests::{cluster, cluster_of};
use crate::cluster::probe::tests::call_bridge;
use crate::cms::tests::pause_after;
use crate::cms::tests::server::{Server, xml};

const DUE: Source = Source::Meeting { is_due: true };

/// Two call bridges, and the cluster of the first.
fn two() -> (Arc<CallBridge>, Arc<CallBridge>, Arc<Cluster>) {
    let [one, other] = ["cms1.test", "cms2.test"].map(call_bridge);
    let cluster = cluster_of(Arc::clone(&one));
    (one, other, cluster)
}

/// Everything that a meeting asks of a space.
fn asked() -> [Asked; 3] {
    let space = || SpaceId::from("s-1");
    [Asked::Look(space(), Look::Space), Asked::Look(space(), Look::Calls), Asked::Write(space(), Class::Door)]
}

/// A look as well as a write: the space of one meeting that no call bridge can show moved the cluster to and fro as long as
/// the meeting lasted.
#[tokio::test]
async fn what_two_call_bridges_answer_oddly_is_blamed_on_what_they_were_asked() {
    let (one, other, cluster) = two();
    let oddities =
        [CmsError::NotACms, CmsError::HttpError { status: 500 }, CmsError::MalformedReply { detail: String::new() }];
    for error in oddities {
        for asked in asked() {
            let source = |at: &CallBridge| cluster.source(&asked, at, &error, true);
            // Each kind has an account of its own: what was asked before does not count.
            assert_eq!(source(&one), DUE, "{asked:?} {error}: it may be the first one");
            assert_eq!(source(&other), Source::Request, "{asked:?} {error}");
            assert_eq!(source(&one), Source::Request, "{asked:?} {error}: it stays so");
        }
        asked().iter().for_each(|asked| cluster.note_answered(asked));
        for asked in asked() {
            assert_eq!(cluster.source(&asked, &other, &error, true), DUE, "{asked:?} {error}: it was answered since");
            cluster.note_answered(&asked);
        }
    }
}

/// A connection proves nothing of one that answers everything oddly.
#[tokio::test]
async fn whether_it_is_the_call_bridge_after_all_is_asked_of_its_status() {
    let (one, other, cluster) = two();
    for (at, is_asked) in [(&other, false), (&one, true)] {
        let verdict = cluster.judge(at, CmsError::NotACms, Source::Request).await;
        assert_eq!(verdict, Verdict::Retry(CmsError::NotACms));
        assert_eq!(cluster.cache().schedule.wants_status, is_asked, "the status of the active one");
        assert_eq!(cluster.health(at.address()).error(), None, "nobody is blamed");
    }
}

/// The web server in front of the API says it with a page.
const BUSY: [CmsError; 2] = [CmsError::Busy, CmsError::HttpError { status: 503 }];

#[tokio::test]
async fn one_503_asks_for_a_repetition_whoever_says_it() {
    for error in BUSY {
        let (one, _, cluster) = two();
        for asked in asked() {
            let source = || cluster.source(&asked, &one, &error, true);
            assert_eq!(source(), Source::Meeting { is_due: false }, "{asked:?} {error}");
            assert_eq!(source(), DUE, "{asked:?} {error}: again");
        }
    }
}

#[tokio::test]
async fn a_503_may_be_the_sign_of_a_lost_database_whoever_says_it() {
    for is_lost in [true, false] {
        let node = format!(r#"<node hostname="db1" up="true" syncBehind="0" master="{}"/>"#, !is_lost);
        let status = format!(r#"<database clustered="enabled"><cluster>{node}</cluster></database>"#);
        let server = Server::start(move |_, _| xml(&status)).await;
        for error in BUSY {
            let (cluster, may_have_taken_effect) = (cluster(&server), error.may_have_taken_effect());
            let verdict = cluster.judge(&cluster.active(), error.clone(), DUE).await;
            let wanted = if is_lost { Verdict::DatabaseDown { may_have_taken_effect } } else { Verdict::Retry(error) };
            assert_eq!(verdict, wanted);
            assert_eq!(cluster.is_database_lost(), is_lost, "{verdict:?}");
        }
    }
}

/// Whoever asks within the pause after a failure learns nothing new of the call bridge.
#[tokio::test]
async fn our_own_pause_is_no_other_trouble() {
    let (one, _, cluster) = two();
    let pause = || pause_after(CmsError::Timeout);
    for error in [CmsError::Timeout, pause()] {
        cluster.judge(&one, error, Source::Monitor).await;
        assert_eq!(cluster.health(one.address()).error(), Some(&CmsError::Timeout));
    }
    assert!(pause().is_connection_failure() && !pause().is_without_connection());
    let refused = pause_after(CmsError::ConnectionRefused);
    assert!(refused.is_connection_failure() && refused.is_without_connection());
}
