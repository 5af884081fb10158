use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use jiff::Timestamp;

use super::*;
use crate::cms::{Class, Credentials, Gate, Limits, NoObserver, TlsOptions};

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials { username: "u".into(), password: "p".to_owned().into() };
    let gate = Arc::new(Gate::new(8, 1));
    let address = "cms.test:445".parse().unwrap();
    Client::new(
        address,
        credentials,
        TlsOptions::default(),
        Limits::default(),
        Arc::default(),
        gate,
        Arc::new(NoObserver),
    )
    .unwrap()
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

/// Whoever asks after the sweep has its place in the queue, and is more urgent, pulls the common look forward.
#[tokio::test(start_paused = true)]
async fn a_look_that_is_shared_has_the_place_of_its_most_urgent_asker() {
    let (shared, tasks, client) = (Arc::new(SharedRead::<u32, u32>::default()), TaskTracker::new(), client());
    let read = || -> Reader<u32, u32> {
        Arc::new(|keys: Vec<u32>, at| {
            async move { Ok(keys.into_iter().map(|key| (key, u32::from(at.class == Class::Door))).collect()) }.boxed()
        })
    };
    let priority = |class| Priority::new(class, Timestamp::UNIX_EPOCH);
    // The only turn of unproven credentials is taken, and somebody with a leg waits for the next.
    let busy = client.gate().acquire(at()).await.unwrap();
    let sweep = shared.ask(&tasks, &client, 1, priority(Class::Read), read());
    let mut sweep = Box::pin(sweep);
    assert!(futures::poll!(&mut sweep).is_pending());
    tokio::task::yield_now().await;
    let mut leg = Box::pin(client.gate().acquire(priority(Class::Leg)));
    assert!(futures::poll!(&mut leg).is_pending());
    let mut door = Box::pin(shared.ask(&tasks, &client, 2, priority(Class::Door), read()));
    assert!(futures::poll!(&mut door).is_pending());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    drop(busy);
    assert_eq!(door.await, Ok(Some(1)), "with the class of the door, while the leg waits still");
    assert_eq!(sweep.await, Ok(Some(1)));
    assert!(leg.await.is_ok());
}
