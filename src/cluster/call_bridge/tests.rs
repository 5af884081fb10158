use super::*;

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_tried_ever_less_often_and_at_once_when_those_before_fail() {
    let untaken = |refusals| Untaken { credentials: "s/2".to_owned(), refusals, tried_at: Instant::now() };
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
        let due = [Some(true), None, Some(false)].map(|accepts| untaken.is_due(accepts));
        assert_eq!(due, wanted, "{untaken:?} after {after} s");
    }
}
