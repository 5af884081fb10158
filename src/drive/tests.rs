use super::*;
use crate::cluster::in_time;
use crate::cms::CmsError;

/// It never has enough, and the bridge does all that it is asked for.
#[derive(Default)]
struct Endless {
    looks: usize,
    failed_at: Option<Timestamp>,
    is_exhausted: bool,
}

impl Subject for Endless {
    type Facts = ();
    type Survey = ();
    type Around = ();
    type Look = ();
    type Found = ();
    type Intent = ();
    type Step = ();
    type Effect = ();
    type End = ();

    fn turn_limit(&self) -> usize {
        100_000
    }
    fn begin(&mut self, (): &mut (), (): (), _: Timestamp) {}
    fn next(&mut self, (): &mut (), (): &(), _: Timestamp) -> Next<(), (), (), ()> {
        if self.looks.is_multiple_of(2) { Next::Look(()) } else { Next::Do(()) }
    }
    fn absorb(&mut self, (): &mut (), (): &(), (): ()) {
        self.looks += 1;
    }
    fn intend(&mut self, (): &()) {}
    fn applied(&mut self, (): &mut (), (): &(), (): (), _: Timestamp) -> Store {
        self.looks += 1;
        Store::Later
    }
    fn failed(&mut self, (): &mut (), _: Attempt<'_, (), ()>, _: Verdict, at: Timestamp) -> Flow {
        self.failed_at = Some(at);
        Flow::Stop
    }
    fn rest(&mut self, (): &mut (), (): &(), (): ()) {}
    fn exhausted(&mut self) {
        self.is_exhausted = true;
    }
}

/// Each answer takes so long.
struct Slow(Duration);

impl Reach<Endless> for Slow {
    type Abort = ();

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn survey(&mut self, _: &Endless, _: Timestamp) {}
    fn around(&mut self, _: &Endless, _: Timestamp) {}
    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut ()) -> T) -> T {
        use_facts(&mut ())
    }
    async fn look(&mut self, _: &Endless, (): &(), _: Timestamp) -> Result<(), Verdict> {
        tokio::time::sleep(self.0).await;
        Ok(())
    }
    async fn act(&mut self, _: &Endless, (): &(), now: Timestamp) -> Result<((), Timestamp), Verdict> {
        tokio::time::sleep(self.0).await;
        Ok(((), now))
    }
    async fn record(&mut self, _: &Endless) -> Result<(), ()> {
        Ok(())
    }
}

/// No answer comes in time.
struct Silent(Instant);

impl Silent {
    async fn time_out(&self) -> Verdict {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Verdict::Retry(CmsError::Timeout)
    }
}

impl Reach<Endless> for Silent {
    type Abort = ();

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.checked_add(self.0.elapsed()).unwrap()
    }
    fn survey(&mut self, _: &Endless, _: Timestamp) {}
    fn around(&mut self, _: &Endless, _: Timestamp) {}
    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut ()) -> T) -> T {
        use_facts(&mut ())
    }
    async fn look(&mut self, _: &Endless, (): &(), _: Timestamp) -> Result<(), Verdict> {
        Err(self.time_out().await)
    }
    async fn act(&mut self, _: &Endless, (): &(), _: Timestamp) -> Result<((), Timestamp), Verdict> {
        Err(self.time_out().await)
    }
    async fn record(&mut self, _: &Endless) -> Result<(), ()> {
        Ok(())
    }
}

/// What a dial that was left without an answer may still bring about counts from then: a leg may come late.
#[tokio::test(start_paused = true)]
async fn a_failure_is_told_with_the_time_at_which_it_was_known() {
    for looks in [0, 1] {
        let mut subject = Endless { looks, ..Endless::default() };
        drive(&mut subject, &mut Silent(Instant::now())).await.unwrap();
        assert_eq!(subject.failed_at, Timestamp::from_second(10).ok());
    }
}

/// Whether each answer takes the ten seconds that it may, or all of them together are many.
#[tokio::test(start_paused = true)]
async fn a_slow_bridge_ends_its_pass_in_bounded_time_and_the_next_one_goes_on() {
    for (seconds, most) in [(10, 13), (1, 121)] {
        let (begun, mut endless) = (Instant::now(), Endless::default());
        drive(&mut endless, &mut Slow(Duration::from_secs(seconds))).await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(130), "{:?}", begun.elapsed());
        assert!(endless.is_exhausted && endless.looks <= most, "{}", endless.looks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_takes_too_long_is_given_up() {
    let begun = Instant::now();
    let look = in_time(std::future::pending::<Result<(), CmsError>>());
    assert_eq!(look.await, Err(CmsError::Timeout));
    assert!(begun.elapsed() <= Duration::from_secs(60), "{:?}", begun.elapsed());
}
