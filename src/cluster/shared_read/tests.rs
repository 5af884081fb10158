use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use jiff::Timestamp;

use super::*;
use crate::cms::{Class, Credentials, Gate, GateConfig, Limits, NoObserver, TlsOptions};

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials { username: "u".into(), password: "p".to_owned().into() };
    let gate = Arc::new(Gate::new(GateConfig::default(), 1));
    let address = "cms.test:445".parse().unwrap();
    Client::new(address, credentials, TlsOptions::default(), Limits::default(), gate, Arc::new(NoObserver)).unwrap()
}

fn at() -> Priority {
    Priority::new(Class::Read, Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn questions_that_wait_together_are_answered_by_one_look() {
    let (shared, tasks, client) = (Arc::new(SharedRead::<u32, u32>::default()), TaskTracker::new(), client());
    let looks = Arc::new(AtomicUsize::new(0));
    let reader = || {
        let looks = Arc::clone(&looks);
        let read: Reader<u32, u32> = Arc::new(move |keys: Vec<u32>, _| {
            looks.fetch_add(1, Ordering::SeqCst);
            async move { Ok(keys.into_iter().filter(|key| *key != 3).map(|key| (key, key * 10)).collect()) }.boxed()
        });
        read
    };
    let ask = |key| shared.ask(&tasks, &client, key, at(), reader());
    let (one, two, three) = tokio::join!(ask(1), ask(2), ask(3));
    assert_eq!((one, two, three), (Ok(Some(10)), Ok(Some(20)), Ok(None)));
    assert_eq!(looks.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn after_a_panic_nobody_waits_for_ever_and_the_next_question_is_answered() {
    let (shared, tasks, client) = (Arc::new(SharedRead::<u32, u32>::default()), TaskTracker::new(), client());
    let bad: Reader<u32, u32> = Arc::new(|_, _| async { panic!("a bug of ours") }.boxed());
    assert_eq!(shared.ask(&tasks, &client, 1, at(), bad).await, Err(CmsError::Cancelled));
    let good: Reader<u32, u32> =
        Arc::new(|keys: Vec<u32>, _| async move { Ok(keys.into_iter().map(|key| (key, key)).collect()) }.boxed());
    let answered = tokio::time::timeout(std::time::Duration::from_secs(5), shared.ask(&tasks, &client, 2, at(), good));
    assert_eq!(answered.await, Ok(Ok(Some(2))));
}
