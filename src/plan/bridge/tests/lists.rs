//! What a list proves, and what a bulk parameter set does not take.

use super::*;

fn lists_of_everything(player: &mut Player) -> usize {
    player.take_log().iter().filter(|line| *line == "look AllSpaces").count()
}

/// Set up, and then begun anew with nothing known.
fn anew(server: &mut Server) -> Player {
    let mut player = Player::settled(server, 1, 3);
    player.restart();
    player
}

/// With tries again after a sync that failed.
fn settle_at_last(player: &mut Player, server: &mut Server) {
    let mut tries = (0..10).map(|_| player.settle(server));
    assert!(tries.any(|end| end == End::Settled));
}

fn known(player: &Player) -> Vec<u32> {
    player.facts.slots.known().unwrap().iter().map(|(number, _)| number).collect()
}

/// What a list leaves out while it moves would be made anew, and its set would run into what is there.
#[test]
fn a_list_that_moves_proves_no_absence_and_is_read_again_later() {
    let mut server = Server::new(Vec::new());
    let mut player = anew(&mut server);
    let hidden = server.space_of(2).unwrap().id.clone();
    (server.is_restless, server.keeps_back) = (true, BTreeSet::from([hidden]));
    for _ in 0..2 {
        assert_eq!(player.run(&mut server), End::AwaitSync);
        assert_eq!(known(&player), [1, 3]);
        assert_eq!(lists_of_everything(&mut player), 1, "once in a pass");
    }
    (server.is_restless, server.keeps_back) = (false, BTreeSet::new());
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(known(&player), [1, 2, 3]);
    assert_eq!(player.writes(), Vec::<String>::new());
}

/// Which number it is that nobody shows is found by sync after sync; thousands of spaces of others are not listed each time.
#[test]
fn a_hidden_number_is_searched_for_with_lists_by_name() {
    let mut server = Server { invisible: [37].into(), ..Server::new(Vec::new()) };
    let mut player = Player::new(1, 64);
    settle_at_last(&mut player, &mut server);
    assert_eq!(server.numbers(), (1..=64).filter(|number| *number != 37).collect::<Vec<_>>());
    let log = player.take_log();
    let lists = log.iter().filter(|line| *line == "look AllSpaces").count();
    assert!(lists <= 3, "{lists} lists of everything: {log:#?}");
    assert_eq!(server.wrongs, Vec::<String>::new());
}

#[test]
fn a_slot_that_is_known_is_not_lost_by_a_list_that_lacks_it() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let hidden = server.space_of(2).unwrap().id.clone();
    server.keeps_back = BTreeSet::from([hidden.clone()]);
    for is_restless in [true, false] {
        server.is_restless = is_restless;
        let Seen::Known(slots) = &mut player.facts.slots else { unreachable!() };
        slots.remove(3);
        slots.complete = false;
        player.facts.wants_list = true;
        player.run(&mut server);
        assert_eq!(known(&player), [1, 2, 3], "restless: {is_restless}");
        assert_eq!(player.facts.slots.known().unwrap().space_for(2, Some(&hidden)), Some(hidden.clone()));
    }
    assert_eq!(player.writes(), Vec::<String>::new());
}

/// A bridge whose lists never rest gets along: it waits a little, and then the bridge itself says what is in the way.
#[test]
fn a_bridge_whose_lists_never_rest_is_not_waited_for_for_ever() {
    let mut server = Server::new(Vec::new());
    let mut player = anew(&mut server);
    let hidden = server.space_of(2).unwrap().id.clone();
    (server.is_restless, server.keeps_back) = (true, BTreeSet::from([hidden]));
    settle_at_last(&mut player, &mut server);
    let slots = player.facts.slots.known().unwrap();
    assert_eq!((known(&player), slots.is_taken(2)), (vec![1, 3], true));
    assert!(slots.is_read(&(1..=3), &BTreeSet::new()), "meetings are booked");
    assert!(server.wrongs.is_empty() && server.numbers() == [1, 2, 3], "{:?}", server.wrongs);
    // Lost ones are made again, and it can be left.
    server.spaces.retain(|space| space.uri.as_deref() != Some("1"));
    player.restart();
    settle_at_last(&mut player, &mut server);
    assert_eq!(server.numbers(), [1, 2, 3]);
    (server.keeps_back, player.deleting) = (BTreeSet::new(), true);
    player.restart();
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(server.spaces.is_empty() && server.sets.is_empty(), "{:?}", server.spaces);
}

/// It counts what it shows nobody, or what we cannot read: each time the same.
#[test]
fn a_bridge_that_always_counts_more_than_it_shows_is_believed_the_second_time() {
    let mut server = Server { overcount: 7, ..Server::new(Vec::new()) };
    let mut player = anew(&mut server);
    server.spaces.retain(|space| space.uri.as_deref() != Some("2"));
    assert_eq!(player.run(&mut server), End::AwaitSync, "one list proves nothing");
    assert_eq!(player.writes(), Vec::<String>::new());
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(known(&player), [1, 2, 3]);
    // One more than usual is missing.
    let hidden = server.space_of(3).unwrap().id.clone();
    server.keeps_back.insert(hidden);
    let Seen::Known(slots) = &mut player.facts.slots else { unreachable!() };
    slots.complete = false;
    slots.remove(1);
    player.facts.wants_list = true;
    player.run(&mut server);
    assert_eq!(known(&player), [1, 2, 3]);
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn a_profile_that_a_set_does_not_take_is_told_to_each_slot() {
    use ProfileKind::{Call, CallLeg};
    for untaken in [vec![CallLeg], vec![Call], vec![Call, CallLeg]] {
        let refusals = untaken.len();
        let mut server = Server { untaken: untaken.into_iter().collect(), ..Server::new(Vec::new()) };
        let mut player = Player::new(1, 60);
        assert_eq!(player.settle(&mut server), End::Settled);
        // More slots than are looked at in one pass.
        assert_eq!(player.settle(&mut server), End::Settled);
        let has_both = |space: &Space| space.call_profile.is_some() && space.call_leg_profile.is_some();
        assert!(server.spaces.len() == 60 && server.spaces.iter().all(has_both));
        let tried =
            |player: &mut Player| player.writes().iter().filter(|line| line.starts_with("create a bulk")).count();
        assert_eq!(tried(&mut player), refusals + 1);
        player.resize(1, 62);
        assert_eq!(player.settle(&mut server), End::Settled);
        assert!(server.spaces.len() == 62 && server.spaces.iter().all(has_both));
        assert_eq!(tried(&mut player), 1, "what it refused once it is not asked again");
        assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
    }
}

/// It refuses what it was not even sent: that is no reason to go round in circles.
#[test]
fn a_set_that_is_refused_without_the_profile_too_waits_like_any_other() {
    let mut facts = BridgeFacts::default();
    let step = Step::CreateSet(1..=3);
    let refused = |parameter: &str| CmsError::ParameterError { parameter: parameter.to_owned(), error: "x".to_owned() };
    let mut is_news = |error: &CmsError| outcomes::is_untaken_profile(&mut facts, &step, error);
    assert!(is_news(&refused("callLegProfile")) && !is_news(&refused("callLegProfile")));
    assert!(!is_news(&refused("startIndex")) && !is_news(&CmsError::Busy));
    let other = Step::StartSync { set: "s".to_owned() };
    assert!(!outcomes::is_untaken_profile(&mut BridgeFacts::default(), &other, &refused("callProfile")));
}
