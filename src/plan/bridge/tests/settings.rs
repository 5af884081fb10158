//! Profiles for the settings of meetings: made once, shared, and gone when nobody wants them, whatever fails.

use proptest::prelude::*;

use super::*;
use crate::plan::faults::any_fault;

fn profile(kind: ProfileKind, name: &str) -> SettingsProfile {
    SettingsProfile { kind, name: name.to_owned(), fields: BTreeMap::new(), id: None, refused: None, unread: false }
}

fn all() -> Vec<SettingsProfile> {
    vec![
        profile(ProfileKind::Call, "one"),
        profile(ProfileKind::CallLeg, "two"),
        profile(ProfileKind::CallLeg, "three"),
    ]
}

fn wants(profiles: Vec<SettingsProfile>) -> Demand {
    Demand { wanted: profiles, ..Demand::default() }
}

fn names(server: &Server) -> Vec<String> {
    let mut names: Vec<String> = server.settings.values().map(|profile| profile.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn a_profile_is_made_when_it_is_wanted_and_removed_when_it_is_not() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(all());
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(names(&server), ["one", "three", "two"]);
    assert!(player.stored.settings.iter().all(|known| known.id.is_some()));
    player.log.clear();
    player.settle(&mut server);
    assert_eq!(player.writes(), Vec::<String>::new(), "what is there is believed");
    player.demand = wants(vec![all().remove(1)]);
    player.settle(&mut server);
    assert_eq!(names(&server), ["two"]);
    player.demand = Demand::default();
    player.settle(&mut server);
    assert_eq!((names(&server), player.stored.settings.len()), (Vec::new(), 0));
}

#[test]
fn a_profile_stays_as_long_as_a_meeting_or_a_space_has_it() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(vec![all().remove(1)]);
    player.settle(&mut server);
    let id = player.stored.settings[0].id.clone().unwrap();
    player.demand = Demand { used: [id.to_ascii_uppercase().into()].into(), ..Demand::default() };
    player.settle(&mut server);
    assert_eq!(names(&server), ["two"], "the space of a meeting may have it");
    player.demand = Demand::default();
    // A slot was left with it: the slot gets the bridge's own first.
    server.spaces[0].call_leg_profile = Some(id.as_str().into());
    player.look_at_all(&server);
    for _ in 0..3 {
        player.settle(&mut server);
    }
    assert_eq!((names(&server), &server.wrongs), (Vec::new(), &Vec::new()));
    assert!(server.spaces.iter().all(|space| !shows(space, &id)));
}

#[test]
fn what_the_bridge_refuses_is_told_and_holds_back_nothing_else() {
    let mut server = Server::new(Vec::new());
    server.refuses.insert("one".to_owned());
    let mut player = Player::new(1, 2);
    player.demand = wants(all());
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(names(&server), ["three", "two"]);
    assert_eq!(server.numbers(), [1, 2], "the slots are made all the same");
    let refused = player.stored.settings.iter().find(|known| known.name == "one").unwrap();
    assert!(refused.refused.as_deref().is_some_and(|why| why.contains("does not accept")), "{refused:?}");
    player.log.clear();
    player.settle(&mut server);
    assert_eq!(player.writes(), Vec::<String>::new(), "it is not sent again and again");
    player.demand = Demand::default();
    player.settle(&mut server);
    assert_eq!(player.stored.settings, []);
}

#[test]
fn what_the_bridge_refused_is_tried_again_after_a_while_and_for_another_spec() {
    let mut server = Server::new(Vec::new());
    server.refuses.insert("one".to_owned());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(all());
    let tries = |player: &mut Player, server: &mut Server| {
        player.log.clear();
        player.settle(server);
        player.writes().iter().filter(|line| line.contains("create the profile one")).count()
    };
    assert_eq!(tries(&mut player, &mut server), 1);
    player.wait(599);
    assert_eq!(tries(&mut player, &mut server), 0);
    player.edited = true;
    assert_eq!(tries(&mut player, &mut server), 1, "the edit may have mended it");
    player.edited = false;
    player.wait(600);
    assert_eq!(tries(&mut player, &mut server), 1);
    player.restart();
    assert_eq!(tries(&mut player, &mut server), 1, "once after a restart");
    assert!(player.stored.settings.iter().any(|known| known.refused.is_some()), "and it is told all the while");
    server.refuses.clear();
    player.wait(600);
    assert_eq!(tries(&mut player, &mut server), 1);
    assert!(player.stored.settings.iter().all(|known| known.id.is_some() && known.refused.is_none()));
}

#[test]
fn an_answer_without_a_word_is_no_refusal_and_holds_back_nothing() {
    let mut server = Server::new(Vec::new());
    server.is_mute = true;
    let mut player = Player::new(1, 2);
    player.demand = wants(all());
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(server.numbers(), [1, 2], "the slots are made all the same");
    assert!(player.stored.settings.iter().all(|known| known.refused.is_none()), "{:?}", player.stored.settings);
    player.writes();
    player.settle(&mut server);
    assert_eq!(player.writes(), Vec::<String>::new(), "it is given a rest");
    server.is_mute = false;
    player.wait(10);
    player.settle(&mut server);
    assert_eq!((names(&server).len(), &server.wrongs), (3, &Vec::new()));
}

#[test]
fn profiles_that_protect_come_first_and_others_leave_room_for_them() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    let many = |name: &str, count: usize| -> Vec<SettingsProfile> {
        (0..count).map(|n| profile(ProfileKind::CallLeg, &format!("{name}{n:02}"))).collect()
    };
    let demand = |cosmetic: usize, protective: usize| {
        let first = many("protects", protective);
        let keys = first.iter().map(|profile| (profile.kind, profile.name.clone())).collect();
        Demand {
            wanted: first.into_iter().chain(many("layout", cosmetic)).collect(),
            protective: keys,
            ..Demand::default()
        }
    };
    let made = |server: &Server| {
        let names = names(server);
        let protects = names.iter().filter(|name| name.starts_with("protects")).count();
        (names.len() - protects, protects)
    };
    player.demand = demand(70, 0);
    player.settle(&mut server);
    assert_eq!(made(&server), (48, 0));
    player.demand = demand(70, 10);
    player.settle(&mut server);
    assert_eq!(made(&server), (48, 10), "what protects has room");
    player.demand = demand(70, 20);
    player.settle(&mut server);
    assert_eq!(made(&server), (48, 16), "64 in all");
}

/// A restore: the meetings have lost their status, and nobody knows what their access methods refer to.
#[test]
fn nothing_is_removed_while_a_meeting_was_not_read_yet() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(all());
    player.settle(&mut server);
    player.restart();
    player.demand = Demand { has_unread: true, ..Demand::default() };
    player.settle(&mut server);
    assert_eq!(names(&server).len(), 3);
    player.demand.has_unread = false;
    player.settle(&mut server);
    assert_eq!(names(&server), Vec::<String>::new());
}

#[test]
fn a_field_that_was_shown_and_is_gone_was_taken_away() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    let mut wanted = all().remove(1);
    wanted.fields = [("sipMediaEncryption", "required"), ("name", "two")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    player.demand = wants(vec![wanted]);
    let look = |player: &mut Player, server: &mut Server| {
        player.facts.settings_seen.clear();
        player.settle(server);
        player.writes()
    };
    server.hidden_fields.insert("name".to_owned());
    look(&mut player, &mut server);
    assert_eq!(look(&mut player, &mut server), Vec::<String>::new(), "what it never shows is believed");
    let empty = |server: &mut Server| {
        _ = server.settings.values_mut().next().unwrap().fields.remove("sipMediaEncryption");
    };
    for _ in 0..2 {
        empty(&mut server);
        assert_eq!(look(&mut player, &mut server), ["repair the profile two for settings"]);
        assert_eq!(look(&mut player, &mut server), Vec::<String>::new());
    }
    // After our own write the bridge does not show it at all: it is not fought.
    empty(&mut server);
    server.hidden_fields.insert("sipMediaEncryption".to_owned());
    assert_eq!(look(&mut player, &mut server).len(), 1);
    assert_eq!(look(&mut player, &mut server), Vec::<String>::new());
}

/// Encryption that is required, on a bridge that takes the field and drops it.
#[test]
fn what_protects_is_there_once_it_was_read_back() {
    let mut wanted = all().remove(1);
    wanted.fields = [("sipMediaEncryption", "required"), ("rxAudioMute", "true"), ("name", "two")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    for (hidden, is_there) in [("rxAudioMute", true), ("sipMediaEncryption", false)] {
        let mut server = Server::new(Vec::new());
        let mut player = Player::settled(&mut server, 1, 2);
        server.hidden_fields.insert(hidden.to_owned());
        player.demand = wants(vec![wanted.clone()]);
        assert_eq!(player.settle(&mut server), End::Settled);
        let known = player.stored.settings[0].clone();
        assert!(known.id.is_some());
        assert_eq!(known.refused.is_none(), is_there, "{hidden}: {known:?}");
        player.writes();
        player.settle(&mut server);
        assert_eq!(player.writes(), Vec::<String>::new(), "{hidden}: it is not fought");
        player.restart();
        player.settle(&mut server);
        assert_eq!(player.stored.settings[0].refused.is_none(), is_there, "{hidden}: nor forgotten by a restart");
        server.hidden_fields.clear();
        player.wait(600);
        player.settle(&mut server);
        assert_eq!(player.stored.settings[0].refused, None, "{hidden}: the bridge was mended");
    }
}

/// A setting that is taken, dropped, and known from some day on.
#[test]
fn what_protects_is_written_once_more_before_it_is_said_not_to_be_taken() {
    let mut wanted = all().remove(1);
    wanted.fields = [("sipMediaEncryption".to_owned(), "required".to_owned())].into();
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(vec![wanted.clone()]);
    player.settle(&mut server);
    server.settings.values_mut().for_each(|profile| profile.fields.clear());
    server.hidden_fields.insert("sipMediaEncryption".to_owned());
    for _ in 0..2 {
        player.facts.settings_seen.clear();
        player.settle(&mut server);
    }
    assert!(player.stored.settings[0].refused.is_some());
    assert_eq!(player.writes().len(), 2, "made, and written once more");
    server.hidden_fields.clear();
    server.settings.values_mut().for_each(|profile| profile.fields.clear());
    player.wait(600);
    player.settle(&mut server);
    assert_eq!(player.writes().len(), 0, "it is not fought");
    // It was updated, and so it was started anew.
    player.facts.read_anew();
    player.wait(600);
    player.settle(&mut server);
    assert_eq!((player.stored.settings[0].refused.clone(), player.writes().len()), (None, 1));
}

/// The spec of a bridge whose own profiles are to keep people out.
fn protected(player: &mut Player) {
    player.spec.profiles.call.recording_mode = Some("disabled".to_owned());
    player.spec.profiles.call_leg.sip_media_encryption = Some("required".to_owned());
}

fn protection_of(player: &mut Player, server: &mut Server) -> Option<Protection> {
    let mut progress = player.progress();
    let mut none = std::iter::empty();
    let mut reach = ServerReach { server, player, faults: &mut none, died: false, lost: false };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    player.stored = progress.record.clone();
    player.contests = progress.contests.to_vec();
    progress.own.protection
}

fn looks(player: &mut Player) -> usize {
    player.take_log().iter().filter(|line| line.starts_with("look Profile")).count()
}

#[test]
fn what_protects_by_the_bridges_own_profiles_is_read_back_once() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 2);
    protected(&mut player);
    player.settle(&mut server);
    assert_eq!(looks(&mut player), 2, "one for each that was made");
    for _ in 0..3 {
        assert_eq!(protection_of(&mut player, &mut server), Some(Protection::Shown));
    }
    assert_eq!(player.take_log(), Vec::<String>::new(), "and none afterwards");
    player.restart();
    assert_eq!(protection_of(&mut player, &mut server), Some(Protection::Shown));
    assert_eq!(looks(&mut player), 2, "nor is it believed after a restart");
    server.leg_profiles.values_mut().for_each(|fields| _ = fields.insert("defaultLayout".into(), "stacked".into()));
    player.facts.call_leg_profile = Seen::Known(server.leg_profiles.values().next().cloned());
    assert_eq!(protection_of(&mut player, &mut server), Some(Protection::Shown));
    assert_eq!(player.take_log(), ["repair the call leg profile", "look Profile(CallLeg, \"leg-profile-2\")"]);
    // Where nothing protects, nothing is read back.
    let mut player = Player::new(1, 2);
    player.settle(&mut Server::new(Vec::new()));
    assert_eq!(looks(&mut player), 0);
}

#[test]
fn a_bridge_that_drops_what_protects_is_told_and_not_fought() {
    let mut server = Server::new(Vec::new());
    server.dropped_fields.insert("sipMediaEncryption".to_owned());
    let mut player = Player::new(1, 2);
    protected(&mut player);
    assert_eq!(player.settle(&mut server), End::Settled, "the slots are made all the same");
    let lacking = Some(Protection::Lacking("sipMediaEncryption of the call leg profile".to_owned()));
    let writes = |log: Vec<String>| log.into_iter().filter(|line| line.contains("call leg profile")).count();
    assert_eq!(writes(player.take_log()), 2, "made, and written once more");
    for _ in 0..3 {
        player.wait(180);
        player.facts.call_leg_profile = Seen::Known(server.leg_profiles.values().next().cloned());
        assert_eq!(protection_of(&mut player, &mut server), lacking);
    }
    assert_eq!(player.take_log(), Vec::<String>::new());
    // The bridge was updated.
    server.dropped_fields.clear();
    player.facts.read_anew();
    assert_eq!(protection_of(&mut player, &mut server), Some(Protection::Shown));
    // It shows something else, whatever it is told, and the spec was edited.
    server.dropped_fields.insert("sipMediaEncryption".to_owned());
    server.leg_profiles.values_mut().for_each(|had| _ = had.insert("sipMediaEncryption".into(), "optional".into()));
    player.facts.read_anew();
    player.take_log();
    player.edited = true;
    assert_eq!(protection_of(&mut player, &mut server), lacking);
    assert_eq!(writes(player.take_log()), 1);
}

/// Doors hang on what keeps people out, whatever else the bridge refuses.
#[test]
fn what_protects_is_read_while_configuration_is_held_back() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 2);
    protected(&mut player);
    player.settle(&mut server);
    player.restart();
    player.take_log();
    let mut progress = player.progress();
    progress.is_refused = true;
    let mut none = std::iter::empty();
    let mut reach =
        ServerReach { server: &mut server, player: &mut player, faults: &mut none, died: false, lost: false };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    assert_eq!(progress.own.protection, Some(Protection::Shown));
    assert_eq!(looks(&mut player), 2);
}

/// A rollback may have taken it away: until it was read again nobody says that it is as it was.
#[test]
fn what_is_to_be_read_anew_is_not_said_to_be_proven() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 2);
    protected(&mut player);
    player.settle(&mut server);
    let mut progress = player.progress();
    let mut facts = player.facts.clone();
    progress.note_protection(&facts);
    assert_eq!(progress.own.protection, Some(Protection::Shown));
    facts.read_anew();
    progress.note_protection(&facts);
    assert_eq!(progress.own.protection, Some(Protection::Unread));
}

/// A field that is written again because the bridge does not show it is nobody's doing.
#[test]
fn what_is_written_again_because_it_does_not_show_is_no_repair() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 2);
    protected(&mut player);
    player.settle(&mut server);
    player.facts.written.clear();
    server.leg_profiles.values_mut().for_each(|fields| _ = fields.remove("sipMediaEncryption"));
    server.dropped_fields.insert("sipMediaEncryption".to_owned());
    player.restart();
    player.take_log();
    protection_of(&mut player, &mut server);
    assert!(player.take_log().iter().any(|line| line == "repair the call leg profile"));
    assert_eq!(player.contests, Vec::new());
    // Somebody changes it: that is.
    server.leg_profiles.values_mut().for_each(|had| _ = had.insert("sipMediaEncryption".into(), "optional".into()));
    player.facts.call_leg_profile = Seen::Known(server.leg_profiles.values().next().cloned());
    protection_of(&mut player, &mut server);
    assert_eq!(player.contests.len(), 1);
}

/// What was made a moment ago may show late: no other one is made at once.
#[test]
fn one_of_the_bridges_own_that_shows_late_is_waited_for() {
    let mut server = Server { shows_late: 5, ..Server::new(Vec::new()) };
    let mut player = Player::new(1, 2);
    protected(&mut player);
    player.settle(&mut server);
    for _ in 0..4 {
        protection_of(&mut player, &mut server);
    }
    assert_eq!(protection_of(&mut player, &mut server), Some(Protection::Shown));
    assert_eq!((server.call_profiles.len(), server.leg_profiles.len()), (1, 1));
}

/// It was proven, and the bridge does not let it go: who wants it again need not wait.
#[test]
fn one_that_the_bridge_would_not_remove_protects_as_before() {
    let mut wanted = all().remove(1);
    wanted.fields = [("sipMediaEncryption".to_owned(), "required".to_owned())].into();
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(vec![wanted.clone()]);
    player.settle(&mut server);
    server.refuses.insert(wanted.name.clone());
    player.demand = Demand::default();
    player.settle(&mut server);
    let known = player.stored.settings[0].clone();
    assert_eq!((known.id.is_some(), known.refused, names(&server).len()), (true, None, 1));
    assert!(player.writes().iter().any(|line| line.starts_with("delete the profile")), "{:?}", player.log);
}

/// A bridge that takes what protects and never shows it again is not filled with it.
#[test]
fn one_that_is_never_found_again_is_made_again_seldom() {
    let mut wanted = all().remove(1);
    wanted.fields = [("sipMediaEncryption".to_owned(), "required".to_owned())].into();
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    server.shows_no_settings = true;
    player.demand = wants(vec![wanted]);
    for _ in 0..360 {
        player.settle(&mut server);
        assert!(player.stored.settings.iter().all(|known| known.refused.is_some() || known.id.is_none()));
        player.wait(10);
    }
    assert!((2..=6).contains(&server.settings.len()), "in an hour: {}", server.settings.len());
}

/// A bridge does not let a profile go that something refers to.
#[test]
fn one_that_the_bridge_would_not_remove_is_no_more_left_behind_than_its_own_profiles() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(vec![all().remove(1)]);
    player.settle(&mut server);
    player.stored.settings[0].refused = Some("in use".to_owned());
    player.demand = Demand::default();
    player.deleting = true;
    player.settle(&mut server);
    assert_eq!((names(&server), player.stored.settings.len()), (Vec::new(), 0));
}

#[test]
fn one_that_somebody_deleted_is_made_again_once_a_space_would_not_take_it() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(vec![all().remove(0)]);
    player.settle(&mut server);
    server.settings.clear();
    player.facts.settings_seen.clear();
    player.settle(&mut server);
    assert_eq!((names(&server), &server.wrongs), (vec!["one".to_owned()], &Vec::new()));
}

#[test]
fn one_that_somebody_changed_is_put_back_once_for_each_look() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    let mut wanted = all().remove(1);
    wanted.fields = [("sipMediaEncryption".to_owned(), "required".to_owned())].into();
    player.demand = wants(vec![wanted.clone()]);
    player.settle(&mut server);
    let change = |server: &mut Server, value: &str| {
        let fields = &mut server.settings.values_mut().next().unwrap().fields;
        fields.insert("sipMediaEncryption".to_owned(), value.to_owned());
    };
    player.log.clear();
    for (value, writes) in [("Required", 0), ("optional", 1)] {
        change(&mut server, value);
        player.settle(&mut server);
        assert_eq!(player.writes().len(), 0, "nobody has looked");
        player.facts.settings_seen.clear();
        player.settle(&mut server);
        assert_eq!(player.writes().len(), writes, "{value}: {:?}", player.log);
    }
    assert_eq!(server.settings.values().next().unwrap().fields, wanted.fields);
    player.settle(&mut server);
    assert_eq!(player.writes().len(), 0, "{:?}", player.log);
}

#[test]
fn a_named_one_is_found_again_when_the_status_was_lost() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.demand = wants(vec![all().remove(1)]);
    player.settle(&mut server);
    player.stored.settings.clear();
    player.settle(&mut server);
    assert_eq!((names(&server), &server.wrongs), (vec!["two".to_owned()], &Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever meetings want, and whatever fails: each is made once, what is wanted is there in the end, and nothing else.
    #[test]
    fn profiles_for_settings_are_made_once_and_removed_whatever_fails(
        rounds in prop::collection::vec(
            (prop::sample::subsequence(all(), 0..=3), prop::collection::vec(any_fault(2), 0..5), any::<bool>()), 0..8),
        last in prop::sample::subsequence(all(), 0..=3),
        deleting in any::<bool>(),
    ) {
        let mut server = Server::new(Vec::new());
        let mut player = Player::settled(&mut server, 1, 2);
        for (wanted, faults, restarts) in rounds {
            player.demand = wants(wanted);
            player.pass(&mut server, &mut faults.into_iter());
            if restarts {
                player.restart();
            }
        }
        player.demand = wants(if deleting { Vec::new() } else { last.clone() });
        player.deleting = deleting;
        for _ in 0..3 {
            player.settle(&mut server);
        }
        prop_assert!(server.wrongs.is_empty(), "{:?}: {:?}", server.wrongs, player.log);
        let mut wanted: Vec<String> = last.into_iter().map(|profile| profile.name).collect();
        wanted.sort();
        prop_assert_eq!(names(&server), if deleting { Vec::new() } else { wanted });
        prop_assert_eq!(player.stored.settings.len(), server.settings.len());
    }
}
