use super::*;
use crate::api::bridge::ProfileIds;
use crate::cluster::lost::tests::cluster;
use crate::cms::tests::pause_after;
use crate::cms::tests::server::{STATUS, Server, xml};
use crate::cms::{Client, Credentials, Gate, Limits, NoObserver, TlsOptions};

/// A call bridge at this address, where nothing is.
pub(in crate::cluster) fn call_bridge(address: &str) -> Arc<CallBridge> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials { username: "u".into(), password: "p".to_owned().into() };
    let gate = Arc::new(Gate::new(8, 1));
    let client = Client::new(
        address.parse().unwrap(),
        credentials,
        TlsOptions::default(),
        Limits::default(),
        Arc::default(),
        gate,
        Arc::new(NoObserver),
    );
    Arc::new(CallBridge::new(client.unwrap(), String::new(), String::new()))
}

#[tokio::test]
async fn a_check_that_panics_leaves_a_call_bridge_that_is_checked_again() {
    let call_bridge = call_bridge("cms.test:445");
    let checking = Checking::begin(&call_bridge).unwrap();
    assert!(Checking::begin(&call_bridge).is_none(), "one at a time");
    let task = tokio::spawn(async move {
        let _checking = checking;
        panic!("a bug of ours");
    });
    assert!(task.await.is_err());
    assert!(Checking::begin(&call_bridge).is_some());
}

/// Whatever was said last while it was away, the failure or our own pause after it.
#[tokio::test]
async fn a_bridge_that_is_back_is_asked_at_once_whether_it_was_restarted() {
    let server = Server::start(|_, _| xml(STATUS)).await;
    let pause = pause_after(CmsError::Timeout);
    for error in [CmsError::Timeout, pause] {
        let cluster = cluster(&server);
        {
            let mut cache = cluster.cache();
            (cache.last_result, cache.schedule.retry_at) = (Some(Err(error.clone())), Some(Timestamp::MAX));
        }
        let profiles = ProfileIds::default();
        let duty = Duty { live: Vec::new(), is_busy: false, members: None, profiles, failback_asked: false };
        assert_eq!(cluster.probe(&duty).await, Reading::Fine, "{error}");
        let schedule = cluster.cache().schedule.clone();
        assert_eq!((schedule.retry_at, schedule.wants_status), (None, true), "{error}");
    }
}
