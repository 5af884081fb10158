use super::*;
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
