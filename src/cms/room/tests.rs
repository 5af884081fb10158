use super::*;

#[tokio::test]
async fn large_replies_wait_for_each_other_and_small_ones_do_not() {
    let mut large = Vec::new();
    for _ in 0..LARGE_PLACES {
        large.push(Room::small().await.grow().await);
    }
    assert!(large.iter().all(Room::is_large));
    let third = Room::small().await;
    let mut waits = Box::pin(third.grow());
    assert!(futures::poll!(&mut waits).is_pending());
    assert!(!Room::small().await.is_large(), "small ones are not held up");
    large.pop();
    assert!(waits.await.is_large());
}
