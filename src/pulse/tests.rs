use axum::body::{Body, Bytes};
use axum::http::Response;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, WatchParams};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_neither_heard_nor_tried_is_stuck() {
    let (pulses, second) = (Pulses::default(), Duration::from_secs(1));
    pulses.tried("Secret");
    assert!(pulses.ages().is_empty(), "there is none");
    pulses.heard("Secret");
    tokio::time::advance(LONGEST_SILENCE).await;
    pulses.heard("MeetingBridge");
    assert_eq!(pulses.stuck(), None);
    tokio::time::advance(second).await;
    assert_eq!(pulses.stuck().unwrap(), "the watch of kind Secret has shown no sign of life for 301 s");
    pulses.tried("Secret");
    assert_eq!(pulses.stuck(), None, "it goes on trying");
    assert_eq!(pulses.ages(), BTreeMap::from([("MeetingBridge", second), ("Secret", LONGEST_SILENCE + second)]));
    assert_eq!(pulses.silence("Secret"), Duration::ZERO);
    pulses.forget();
    tokio::time::advance(LONGEST_SILENCE * 2).await;
    assert_eq!(pulses.stuck(), None);
}

/// What a watch of 45 s says that ends after so many seconds, in order or by this error.
async fn ended(after: u64, error: Option<&'static str>) -> Option<String> {
    let service = tower::service_fn(move |_: Request<kube::client::Body>| async move {
        let end = async move {
            tokio::time::sleep(Duration::from_secs(after)).await;
            error.map(|error| Err::<Bytes, BoxError>(error.into()))
        };
        let body = futures::stream::once(end).filter_map(std::future::ready);
        Ok::<_, BoxError>(Response::new(Body::from_stream(body)))
    });
    let client = listen(Client::new(service, "ns"), "ConfigMap", Arc::default());
    let api = Api::<ConfigMap>::namespaced(client, "ns");
    let mut events = Box::pin(api.watch(&WatchParams::default().timeout(45), "1").await.unwrap());
    events.next().await.map(|event| event.unwrap_err().to_string())
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_before_its_time_failed() {
    for error in [None, Some("unexpected EOF during chunk size line"), Some("reset")] {
        let told = ended(44, error).await.unwrap_or_else(|| panic!("{error:?}: it is taken up where it was"));
        assert!(told.contains("the watch ended before its time"), "{told}");
        assert_eq!(ended(45, error.filter(|error| *error != "reset")).await, None, "it was to end");
    }
}
