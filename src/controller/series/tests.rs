use std::panic::AssertUnwindSafe;
use std::thread;

use futures::FutureExt;

use super::*;

/// What is polled beside a pass (doors, the lease) goes on while it reckons.
#[tokio::test]
async fn what_is_reckoned_stands_before_nobody() {
    let (go, wait) = std::sync::mpsc::channel();
    let reckoned = reckoned(move || {
        // On the thread of the others nobody would ever say go.
        wait.recv_timeout(Duration::from_secs(20)).map(|()| thread::current().id())
    });
    let others = async {
        tokio::task::yield_now().await;
        go.send(()).is_ok()
    };
    let (place, gone) = tokio::join!(reckoned, others);
    assert!(gone && place.is_ok_and(|place| place != thread::current().id()));
}

#[tokio::test]
async fn a_panic_while_it_reckons_is_one_of_its_pass() {
    let pass = AssertUnwindSafe(reckoned(|| -> () { panic!("odd rule") }));
    let panic = pass.catch_unwind().await.err();
    assert_eq!(panic.and_then(|panic| panic.downcast_ref::<&str>().copied()), Some("odd rule"));
}
