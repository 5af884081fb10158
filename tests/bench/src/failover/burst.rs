//! Many meetings start at one instant, and one second before that the primary is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use cms_simulator::check::Evidence;
use jiff::{SignedDuration, Timestamp};

use super::loss::Loss;
use super::{Options, broken, in_seconds, meeting, sleep_until};
use crate::lateness::{header, is_call, is_door, is_leg, lateness, limit, row};
use crate::world::{Site, World};

/// What one cluster showed.
struct Seen {
    start: Timestamp,
    count: usize,
    evidence: Evidence,
    broken: String,
}

/// What one run is to show.
#[derive(Clone, Copy)]
struct Job {
    loss: Option<Loss>,
    others: usize,
}

/// A world that is ready for a run.
struct Ground {
    world: World,
    core: Site,
    other: Site,
}

pub async fn starts(options: &Options) -> Result<(), String> {
    println!("\n{} meetings start at one instant; the primary is lost one second before", options.meetings);
    let losses = std::iter::once(None).chain(options.losses.iter().copied().map(Some));
    let jobs: Vec<Job> = losses.map(|loss| Job { loss, others: 0 }).collect();
    all(options, &jobs).await
}

pub async fn others(options: &Options) -> Result<(), String> {
    println!("\n{} meetings of another MeetingBridge start at the same instant as", options.others);
    println!("{} of the one whose primary is lost one second before; of those others:", options.meetings);
    all(options, &[None, Some(Loss::Blackholed)].map(|loss| Job { loss, others: options.others })).await
}

/// One run after the other, each in a world of its own; the next one is made while the meetings of this one are booked.
async fn all(options: &Options, jobs: &[Job]) -> Result<(), String> {
    header("loss");
    let mut next = None;
    for (index, job) in jobs.iter().enumerate() {
        let ground = match next.take() {
            Some(ground) => ground,
            None => prepare(options, *job).await?,
        };
        let prepare_next = async {
            match jobs.get(index + 1) {
                Some(job) => prepare(options, *job).await.map(Some),
                None => Ok(None),
            }
        };
        let (seen, prepared) = tokio::try_join!(burst(options, *job, ground), prepare_next)?;
        next = prepared;
        print(&name_of(job.loss), options, &seen);
    }
    Ok(())
}

fn name_of(loss: Option<Loss>) -> String {
    loss.map_or_else(|| "none".to_owned(), |loss| loss.to_string())
}

async fn prepare(options: &Options, job: Job) -> Result<Ground, String> {
    let world = options.world().await?;
    let slots = |count: usize| u32::try_from(count.max(1)).map_err(|error| error.to_string());
    let (core, other) =
        tokio::try_join!(world.cluster("core", slots(options.meetings)?), world.cluster("other", slots(job.others)?))?;
    Ok(Ground { world, core, other })
}

/// One run: what the cluster that is hit shows, or the other one, if that has meetings.
async fn burst(options: &Options, job: Job, ground: Ground) -> Result<Seen, String> {
    let Ground { world, core, other } = ground;
    let all = options.meetings + job.others;
    // Time to book them all, and the ten seconds in which they are prepared.
    let start = in_seconds(12 + i64::try_from(all / 20).unwrap_or(60))?;
    let before = |seconds| start.checked_sub(SignedDuration::from_secs(seconds)).map_err(|error| error.to_string());
    world.create_meetings("core", options.meetings, |index| meeting("core", index, start)).await?;
    world.create_meetings("other", job.others, |index| meeting("other", index, start)).await?;
    sleep_until(before(3)?).await;
    let booked = world.booked().await?;
    if booked < all || Timestamp::now() >= before(1)? {
        return Err(format!("only {booked} of {all} meetings were booked in time"));
    }
    for site in [&core, &other] {
        site.sim.set_latency(options.latency());
        site.sim.clear_journal();
    }
    sleep_until(before(1)?).await;
    if let Some(loss) = job.loss {
        loss.strike(&core.sim);
    }
    let (hit, not_hit) =
        tokio::try_join!(seen(&core, start, options.meetings, options), seen(&other, start, job.others, options))?;
    world.stop().await?;
    Ok(if job.others > 0 { not_hit } else { hit })
}

async fn seen(site: &Site, start: Timestamp, count: usize, options: &Options) -> Result<Seen, String> {
    let rung = site.sim.await_state(|sim| sim.dials().len() >= count, Duration::from_secs(90)).await;
    rung.map_err(|_| format!("{}: {} of {count} were dialled", site.name, site.sim.dials().len()))?;
    // Long enough for the last reply, and to see whether somebody rings twice.
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(Seen { start, count, evidence: site.sim.evidence(), broken: broken(site, options) })
}

fn print(label: &dyn Display, options: &Options, seen: &Seen) {
    let (journal, count) = (&seen.evidence.journal, seen.count);
    let unit = limit(count, options.latency_ms, options.in_flight);
    let last_leg = journal.iter().rposition(is_leg).map_or(journal.len(), |index| index + 1);
    let requests = last_leg as f64 / count as f64;
    let opened = lateness(journal, seen.start, |entry| is_door(entry, true));
    row(label, "doors", opened.clone(), unit, None);
    row(label, "calls", lateness(journal, seen.start, is_call), 2.0 * unit, None);
    row(label, "legs", lateness(journal, seen.start, is_leg), 3.0 * unit, Some(requests));
    let slots: BTreeSet<_> = journal
        .iter()
        .filter(|entry| is_door(entry, true) && entry.effect)
        .filter_map(|entry| entry.space.as_deref())
        .collect();
    let refused = journal.iter().filter(|entry| entry.status == Some(401)).count();
    let refused = if refused > 0 { format!("; {refused} replies 401") } else { String::new() };
    let rings = most(seen.evidence.dials.iter().map(|dial| &dial.remote_party));
    let calls = most(seen.evidence.calls.iter().map(|call| (&call.space, call.bridge)));
    let first = opened.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{label:>10}  first door {first:.3} s; distinct slots {} of {count}{refused}", slots.len());
    println!("{label:>10}  most rings per party {rings}, calls per space and bridge {calls}; {}", seen.broken);
}

/// How often the most frequent one is there.
fn most<T: Ord>(items: impl Iterator<Item = T>) -> usize {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or(0)
}
