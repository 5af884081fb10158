//! Many meetings at one instant: what is taken and what is said to be shut was looked at by itself. A list shows names, and
//! neither doors nor marks.

use cms_simulator::JournalEntry;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::Phase;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::*;

const MEETINGS: u32 = 10;

/// Was this space looked at by itself after the last write to it?
fn is_read_back(journal: &[JournalEntry], space: &str) -> bool {
    let ours = |entry: &&JournalEntry| entry.route == "coSpaces/{id}" && entry.path.ends_with(space);
    let of_it: Vec<_> = journal.iter().filter(ours).collect();
    let Some(written) = of_it.iter().rposition(|entry| entry.method == "PUT") else { return false };
    let done = of_it[written].finished;
    of_it
        .iter()
        .any(|entry| entry.method == "GET" && entry.status == Some(200) && done.is_some_and(|done| entry.at >= done))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_burst_a_slot_is_taken_and_said_to_be_shut_only_after_a_look_at_it_alone() {
    let arena = Arena::new("burst").await;
    arena.ready_bridge(json!({ "slots": { "quantity": MEETINGS + 1 } })).await;
    // They are prepared ten seconds before.
    let start = Timestamp::now() + SignedDuration::from_secs(16);
    let end = start + SignedDuration::from_secs(8);
    let names: Vec<String> = (0..MEETINGS).map(|n| format!("m{n}")).collect();
    for name in &names {
        arena.create_meeting(name, json!({ "start": start.to_string(), "end": end.to_string() })).await;
    }
    let mut robbed = None;
    for name in &names {
        let booked = arena.booked(name).await;
        if number_of(&booked) == 4 {
            robbed = Some(name.clone());
        }
    }
    assert!(start.duration_since(Timestamp::now()) > SignedDuration::from_secs(10), "nothing is prepared yet");
    // By hand, without another name.
    arena.sim.edit_space("4", &[("nonMemberAccess", "true")]).unwrap();
    let theirs = arena.slot(4);
    join_all(names.iter().map(|name| arena.phase(name, Phase::Active))).await;
    let moved = arena.phase(&robbed.expect("somebody had slot 4"), Phase::Active).await;
    assert_eq!(number_of(&moved), MEETINGS + 1, "the room that somebody opened is left to them");
    assert_eq!(arena.slot(4), theirs);
    let mut ended = Vec::new();
    for name in &names {
        let meeting = arena.phase(name, Phase::Ended).await;
        assert_eq!(condition(&meeting, "SlotReleased"), ("True", "Released"), "{name}");
        // It was so when it was said.
        let space = status_of(&meeting).slot.and_then(|slot| slot.space_id).expect("its space");
        assert!(is_read_back(&arena.sim.journal(), &space), "{name}: {:#?}", arena.journal_lines());
        ended.push(space);
    }
    assert!(arena.sim.spaces().iter().all(|space| space.open == (space.id == theirs.id)), "{:#?}", arena.sim.spaces());
    assert_eq!(arena.slot(4), theirs);
    assert!(!ended.contains(&space_id(&arena, 4)));
    arena.assert_rules((1..=MEETINGS + 1).filter(|number| *number != 4));
    arena.finish().await;
}
