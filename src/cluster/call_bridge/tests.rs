use super::*;

fn words(password: &str) -> Credentials {
    Credentials { username: "meetings".to_owned(), password: password.into() }
}

fn untaken(refusals: u32) -> Untaken {
    let (credentials, words, asked) = ("s/2".to_owned(), words("new"), Some("monday".to_owned()));
    Untaken { credentials, words, asked, refusals, tried_at: Instant::now() }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_tried_ever_less_often_and_at_once_when_those_before_fail() {
    let (unasked, once, often) = (untaken(0), untaken(1), untaken(8));
    // After so many seconds: those before work, they are in doubt, they fail.
    let table = [
        (&unasked, 4, [false, false, true]),
        (&unasked, 5, [false, true, true]),
        (&unasked, 30, [true, true, true]),
        (&once, 30, [false, true, true]),
        (&often, 600, [false, false, true]),
        (&often, 900, [true, true, true]),
    ];
    let begun = Instant::now();
    for (untaken, after, wanted) in table {
        tokio::time::advance((begun + Duration::from_secs(after)).saturating_duration_since(Instant::now())).await;
        for asked in [None, Some("monday")] {
            let due = [Some(true), None, Some(false)].map(|accepts| untaken.is_due(accepts, asked));
            assert_eq!(due, wanted, "{untaken:?} after {after} s");
        }
    }
}

/// A label that something writes each minute was a refused login each minute, and the bridge may lock the account, whose former
/// password still carries the meetings.
#[tokio::test(start_paused = true)]
async fn another_version_of_the_secret_with_the_same_words_is_no_other_try() {
    for version in 3..9 {
        let known = untaken(3).renewed(&words("new"), &format!("s/{version}")).expect("the same words");
        assert_eq!((known.credentials.as_str(), known.refusals), (format!("s/{version}").as_str(), 3));
        assert!(!known.is_due(Some(true), None) && !known.is_due(None, Some("monday")));
        assert!(known.is_due(Some(true), Some("tuesday")), "the user asks for it");
    }
    assert!(untaken(3).renewed(&words("newer"), "s/3").is_none(), "other words are tried");
    let renamed = Credentials { username: "other".to_owned(), ..words("new") };
    assert!(untaken(3).renewed(&renamed, "s/3").is_none());
}
