use super::*;
use crate::cluster::lost::tests::cluster_of;
use crate::cluster::probe::tests::call_bridge;

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
