//! Two installations of the controller with the same numbers of one CMS, told apart by their names.

use meeting_controller::api::marks::Marks;
use meeting_controller::api::meeting::Phase;
use serde_json::json;

use crate::kit::*;
use crate::meetings::*;

/// What each of them does while the other one has a meeting: nothing. Its slot is somebody else's until it is shut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_leaves_the_meetings_of_another_one_alone() {
    let mut arena = Arena::quiet("installation", lone(), quick()).await;
    arena.settings.marks = Marks::of_installation("one").unwrap();
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("standup", 600, json!({})).await;
    let first = arena.phase("standup", Phase::Active).await;
    assert_eq!(status_of(&first).slot.as_ref().map(|slot| slot.number), Some(1));

    // The other one has the same names, even.
    let elsewhere = arena.plane.namespace("other-installation").await.unwrap();
    let home = std::mem::replace(&mut arena.namespace, elsewhere.clone());
    arena.settings.marks = Marks::of_installation("two").unwrap();
    let client = arena.plane.client().await.expect("client");
    let other = arena.run_as(client, Some(elsewhere.clone()), None).await;
    arena.ready_bridge(json!({})).await;
    let told = arena.reason("core", "ExclusiveControl", "ForeignChanges").await;
    assert!(message(&told, "ExclusiveControl").contains('1'), "{}", message(&told, "ExclusiveControl"));
    arena.open_now("standup", 600, json!({})).await;
    let second = arena.phase("standup", Phase::Active).await;
    assert_eq!(status_of(&second).slot.as_ref().map(|slot| slot.number), Some(2), "around the other one's");
    assert!(arena.slot(1).open && arena.slot(2).open);

    // Each sees the other one's slot open, again and again, and leaves it.
    arena.sim.clear_journal();
    arena.await_requests("both look", |all| count(all, "GET", "coSpaces/{id}") >= 4).await;
    assert_eq!(arena.writes(), [""; 0]);
    assert!(arena.slot(1).open && arena.slot(2).open);

    arena.delete::<meeting_controller::api::ScheduledMeeting>("standup").await;
    arena.await_sim("the second one is over", |sim| !slot_of(sim, 2).open).await;
    assert!(arena.slot(1).open, "the first one is not");
    other.stop().await;
    arena.namespace = home;
    arena.delete::<meeting_controller::api::ScheduledMeeting>("standup").await;
    arena.await_sim("the first one is over", |sim| !slot_of(sim, 1).open).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}
