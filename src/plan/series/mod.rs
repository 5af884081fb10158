//! The plan of a series: which occurrences are to be made, changed, removed or left alone, and when to look again.
//!
//! There is no list of ticks that were missed: what is wanted follows from the spec and the time, so a controller that was
//! away for a day makes what is still to come, and nothing of what is over. An occurrence that has begun is never touched.

mod act;
mod order;
mod rule;
mod schedule;
mod words;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use uuid::Uuid;

use act::remove;
pub use act::{Act, Removal, Sort};
pub use order::Order;
use order::{Wanted, adoption, is_edited, is_of_forerunner, is_ours, may_be_adopted};
pub use schedule::Refusal;
use schedule::{Planned, Schedule};

use crate::api::conditions::{series as reason, types};
use crate::api::meeting::Phase;
use crate::api::names::{occurrence_name, of_occurrence_name};
use crate::api::series::{OccurrenceState, OccurrenceStatus};
use crate::api::{MeetingSeries, ScheduledMeeting, find, unreadable};
use crate::plan::window::{Stage, Window};

/// Occurrences come in up to so much earlier than the horizon says, each series by its own part of it: otherwise all that
/// begin at nine would be made at nine, when doors are to be opened.
const SPREAD: SignedDuration = SignedDuration::from_hours(1);

/// A status is told so long after an instant at least, and up to a minute: at the instant itself doors are opened.
const LAG: SignedDuration = SignedDuration::from_secs(10);

/// No door is open longer than this before the start (`earlyJoin`).
const EARLIEST: SignedDuration = SignedDuration::from_hours(24);

/// What is known of one occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub state: OccurrenceState,
    /// Why it is refused or not made.
    pub reason: Option<String>,
    /// Its meeting was not judged yet.
    pub is_unjudged: bool,
    /// What it is to be is refused, and it takes place as it was booked before.
    pub is_held: bool,
}

/// Of one sort of act so many refusals in a row are enough: whoever refuses them refuses the others as well, as a quota or
/// a schema does. One or a few that are refused for what they are do not stand before the others.
const MOST_REFUSALS: u32 = 5;

/// A pass over a series, as a value: what is wanted, what was found, and what came of it.
#[derive(Debug)]
pub struct Progress {
    pub series: Arc<MeetingSeries>,
    now: Timestamp,
    schedule: Result<Schedule, Refusal>,
    /// By the local time at which the rule has them.
    pub entries: BTreeMap<DateTime, Entry>,
    /// What the apiserver refused first, and its words.
    pub trouble: Option<String>,
    /// Occurrences that somebody else wrote meanwhile: what was to be done to them is not done.
    pub outdated: BTreeSet<String>,
    /// Refusals in a row.
    refusals: BTreeMap<Sort, u32>,
    /// The apiserver fails: nothing more is asked of it in this pass.
    is_given_up: bool,
}

impl Progress {
    /// The pass begins.
    pub fn resume(series: &Arc<MeetingSeries>, now: Timestamp) -> Self {
        let schedule = match unreadable(series.as_ref()) {
            Some(why) => Err(Refusal { reason: reason::UNREADABLE, message: why.to_owned() }),
            None => Schedule::of(&series.spec, now, ahead(series)),
        };
        Self {
            series: Arc::clone(series),
            now,
            schedule,
            entries: BTreeMap::new(),
            trouble: None,
            outdated: BTreeSet::new(),
            refusals: BTreeMap::new(),
            is_given_up: false,
        }
    }

    /// Why nothing is done for this series.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.schedule.as_ref().err()
    }

    /// Exceptions that fit no occurrence.
    pub fn unmatched(&self) -> &[DateTime] {
        self.schedule.as_ref().map(|schedule| schedule.unmatched.as_slice()).unwrap_or_default()
    }

    /// Are there no occurrences any more?
    pub fn is_over(&self) -> bool {
        self.entries.is_empty() && self.schedule.as_ref().is_ok_and(Schedule::is_over)
    }

    /// What clocks in the zone of the series show at a moment.
    pub fn local(&self, at: Timestamp) -> Option<DateTime> {
        self.schedule.as_ref().ok().map(|schedule| schedule.local(at))
    }

    /// The rule in words.
    pub fn words(&self) -> Option<String> {
        self.schedule.as_ref().ok().map(|_| words::of(&self.series.spec))
    }

    /// The names of all meetings that matter, besides those that are known to be of the series.
    pub fn names(&self) -> BTreeSet<String> {
        let planned = self.schedule.iter().flat_map(|schedule| schedule.planned.keys());
        let told = self.told().map(|told| told.name.clone());
        planned.map(|at| self.name(*at)).chain(told).collect()
    }

    /// The local time that a name tells. A name has no seconds: they are those of the series.
    fn of_name(&self, name: &str) -> Option<DateTime> {
        let (_, at) = of_occurrence_name(name)?;
        at.checked_add(SignedDuration::from_secs(i64::from(self.series.spec.start.0.second()))).ok()
    }

    fn told(&self) -> impl Iterator<Item = &OccurrenceStatus> {
        self.series.status.iter().flat_map(|status| &status.occurrences)
    }

    fn name(&self, at: DateTime) -> String {
        occurrence_name(&self.series.name_any(), at)
    }

    /// What is to be done about what was found, in the order in which it is worth most: nobody is to come to what does not
    /// take place, and what goes makes room for what comes.
    pub fn decide(&mut self, found: &BTreeMap<String, Arc<ScheduledMeeting>>) -> Vec<Act> {
        let (entries, acts) = match &self.schedule {
            Ok(schedule) => self.judge(schedule, found),
            // What was made by a spec that could be followed stays.
            Err(_) => {
                let kept = self.told().map(|told| (told.occurrence.0, self.remembered(told)));
                (kept.filter(|(_, entry)| entry.end > self.now).collect(), Vec::new())
            }
        };
        self.entries = entries;
        acts
    }

    fn judge(
        &self,
        schedule: &Schedule,
        found: &BTreeMap<String, Arc<ScheduledMeeting>>,
    ) -> (BTreeMap<DateTime, Entry>, Vec<Act>) {
        let told: BTreeMap<DateTime, &OccurrenceStatus> = self.told().map(|told| (told.occurrence.0, told)).collect();
        let (mut entries, mut removals, mut acts) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (at, planned) in &schedule.planned {
            let name = self.name(*at);
            let meeting = found.get(&name).map(Arc::as_ref);
            let before = told.get(at).map(|told| told.state);
            entries.extend(self.planned(*at, &name, planned, meeting, before, &mut acts).map(|entry| (*at, entry)));
        }
        for (at, start) in &schedule.skipped {
            let end = start.checked_add(self.series.spec.duration.signed()).unwrap_or(Timestamp::MAX);
            entries.insert(*at, entry(self.name(*at), *start, end, OccurrenceState::Skipped));
        }
        let times = self.times(&entries, &told, found);
        // Looked up once, however many there are.
        let named = schedule.named(&times.values().copied().chain(told.keys().copied()).collect());
        let planned = |at: &DateTime| named.contains(at).then(|| schedule.at(*at)).flatten();
        let mut over = Vec::new();
        for (name, meeting) in found.iter().filter(|(_, meeting)| is_ours(&self.series, meeting)) {
            if phase(meeting).is_over() {
                over.push((Window::of(&meeting.spec, None).closes_at, name, meeting));
                continue;
            }
            let Some(at) = times.get(name.as_str()).copied() else { continue };
            if entries.get(&at).is_none_or(|entry| entry.state == OccurrenceState::Skipped) {
                let entry = match planned(&at) {
                    // What is not known to be wrong is left alone.
                    Some(_) if schedule.is_far(at) => Some(self.shown(name, meeting)),
                    planned => self.beyond(at, name, planned, meeting, (&mut removals, &mut acts)),
                };
                entries.extend(entry.map(|entry| (at, entry)));
            }
        }
        // Who was deleted by hand is remembered, also where the horizon is shorter now.
        for (at, told) in told.iter().filter(|(_, told)| told.state.was_made()) {
            let is_there =
                entries.contains_key(at) || found.get(&told.name).is_some_and(|meeting| self.is_of_us(meeting));
            if let Some(planned) = planned(at).filter(|planned| !is_there && planned.end() > self.now) {
                entries.insert(*at, entry(told.name.clone(), planned.start, planned.end(), OccurrenceState::Deleted));
            }
        }
        if self.series.spec.suspend {
            return (entries, Vec::new());
        }
        over.sort_by(|one, other| (other.0, other.1).cmp(&(one.0, one.1)));
        let kept = usize::try_from(self.series.spec.history_limit).unwrap_or(usize::MAX);
        let old = over.into_iter().skip(kept).filter(|(_, _, meeting)| meeting.metadata.deletion_timestamp.is_none());
        removals.extend(old.map(|(_, _, meeting)| remove(meeting, true)));
        let adopted = self.adopted_of(found, &times, &acts);
        (entries, removals.into_iter().chain(adopted).chain(acts).collect())
    }

    /// Those that an older series of this name left behind and that are not changed anyway, whatever they are: as long as
    /// nobody has them they would stay for good. The name says as well whose it is: what somebody copied is theirs. What
    /// becomes of them the next pass decides, as of all that are of the series.
    fn adopted_of(
        &self,
        found: &BTreeMap<String, Arc<ScheduledMeeting>>,
        times: &BTreeMap<&str, DateTime>,
        acts: &[Act],
    ) -> Vec<Act> {
        let written: BTreeSet<&str> = acts.iter().filter_map(Act::written).collect();
        let is_left = |name: &str, meeting: &ScheduledMeeting| {
            !written.contains(name)
                && meeting.metadata.deletion_timestamp.is_none()
                && may_be_adopted(&self.series, meeting)
        };
        let left = found.iter().filter(|(name, meeting)| is_left(name, meeting));
        let adopted = left.filter_map(|(name, meeting)| {
            let at = times.get(name.as_str()).filter(|at| self.name(**at) == *name)?;
            Some(Act::Adopt(adoption(&self.series, *at, meeting)))
        });
        adopted.collect()
    }

    /// The local time by the rule of each meeting that was found: as it is known now, as it was told, or as its name says.
    fn times<'f>(
        &self,
        entries: &BTreeMap<DateTime, Entry>,
        told: &BTreeMap<DateTime, &OccurrenceStatus>,
        found: &'f BTreeMap<String, Arc<ScheduledMeeting>>,
    ) -> BTreeMap<&'f str, DateTime> {
        let told = told.iter().map(|(at, told)| (told.name.as_str(), *at));
        // The last one of a name counts.
        let known: BTreeMap<&str, DateTime> =
            told.chain(entries.iter().map(|(at, entry)| (entry.name.as_str(), *at))).collect();
        let time = |name: &str| known.get(name).copied().or_else(|| self.of_name(name));
        found.keys().filter_map(|name| Some((name.as_str(), time(name)?))).collect()
    }

    /// One that is to take place. None: it is not made while the series is suspended, or not yet.
    fn planned(
        &self,
        at: DateTime,
        name: &str,
        planned: &Planned,
        meeting: Option<&ScheduledMeeting>,
        before: Option<OccurrenceState>,
        acts: &mut Vec<Act>,
    ) -> Option<Entry> {
        let as_planned = |state| entry(name.to_owned(), planned.start, planned.end(), state);
        let is_suspended = self.series.spec.suspend;
        let was_made = before.is_some_and(OccurrenceState::was_made);
        let Some(meeting) = meeting else {
            if was_made {
                return Some(as_planned(OccurrenceState::Deleted));
            }
            if is_suspended {
                return None;
            }
            acts.push(Act::Make(Wanted::new(&self.series, planned).order(&self.series, at, name, None)));
            // Until it is there.
            return Some(as_planned(OccurrenceState::NotCreated));
        };
        if is_of_forerunner(&self.series, meeting) {
            // It is made when that one is gone.
            return (!is_suspended).then(|| as_planned(OccurrenceState::NotCreated));
        }
        if !self.is_of_us(meeting) {
            return Some(as_planned(OccurrenceState::NameTaken));
        }
        if meeting.metadata.deletion_timestamp.is_some() {
            // By us, if an exception left it out before: it is made anew when it is gone.
            return was_made.then(|| as_planned(OccurrenceState::Deleted));
        }
        Some(self.there(at, name, planned, meeting, acts))
    }

    /// One that is there and is to take place: it stays as it is, or becomes what is planned.
    fn there(
        &self,
        at: DateTime,
        name: &str,
        planned: &Planned,
        meeting: &ScheduledMeeting,
        acts: &mut Vec<Act>,
    ) -> Entry {
        let shown = self.shown(name, meeting);
        let wanted = Wanted::new(&self.series, planned);
        if self.series.spec.suspend || self.is_left_alone(meeting) || !wanted.differs(&self.series, meeting) {
            return shown;
        }
        acts.push(Act::Change(wanted.order(&self.series, at, name, Some(meeting))));
        Entry { start: planned.start, end: planned.end(), ..shown }
    }

    /// One that is there and that the horizon does not have. A shorter horizon takes nothing back, but wherever it is to be
    /// it goes: none stays at a time at which the series has none. Where an exception leaves it out, or its time has passed
    /// before it began, it does not take place.
    fn beyond(
        &self,
        at: DateTime,
        name: &str,
        planned: Option<Planned>,
        meeting: &ScheduledMeeting,
        (removals, acts): (&mut Vec<Act>, &mut Vec<Act>),
    ) -> Option<Entry> {
        if meeting.metadata.deletion_timestamp.is_some() {
            return None;
        }
        if self.series.spec.suspend || self.is_left_alone(meeting) {
            return Some(self.shown(name, meeting));
        }
        let planned = planned.filter(|planned| planned.end() > self.now);
        if planned.is_none() {
            removals.push(remove(meeting, false));
        }
        planned.map(|planned| self.there(at, name, &planned, meeting, acts))
    }

    /// As it is.
    fn shown(&self, name: &str, meeting: &ScheduledMeeting) -> Entry {
        let status = meeting.status.as_ref();
        let booked = status.and_then(|status| Window::kept(&meeting.spec, status));
        let window = booked.unwrap_or_else(|| Window::of(&meeting.spec, None));
        let accepted = status.and_then(|status| find(&status.conditions, types::ACCEPTED));
        let refused = accepted.filter(|told| told.status == "False");
        // Its bridge was not read yet, so nothing is decided.
        let is_pending = refused.is_some_and(|told| told.reason == reason::PROGRESSING);
        let refused = refused.filter(|_| !is_pending);
        let state = match refused {
            _ if is_edited(meeting) => OccurrenceState::Edited,
            Some(_) => OccurrenceState::Refused,
            None => OccurrenceState::Created,
        };
        let observed = status.and_then(|status| status.observed_generation);
        Entry {
            reason: refused.map(|told| told.reason.to_string()),
            is_unjudged: is_pending || observed.is_none() || observed < meeting.metadata.generation,
            is_held: refused.is_some() && status.is_some_and(|status| status.slot.is_some()),
            ..entry(name.to_owned(), window.starts_at, window.closes_at, state)
        }
    }

    fn remembered(&self, told: &OccurrenceStatus) -> Entry {
        let end = told.start.0.checked_add(self.series.spec.duration.signed()).unwrap_or(Timestamp::MAX);
        Entry { reason: told.reason.clone(), ..entry(told.name.clone(), told.start.0, end, told.state) }
    }

    /// Is it of this series, or left behind by an older one of its name?
    fn is_of_us(&self, meeting: &ScheduledMeeting) -> bool {
        is_ours(&self.series, meeting) || may_be_adopted(&self.series, meeting)
    }

    /// Is it left as it is: edited, begun, or not to be read?
    fn is_left_alone(&self, meeting: &ScheduledMeeting) -> bool {
        is_edited(meeting) || unreadable(meeting).is_some() || self.has_begun(meeting)
    }

    /// Has it begun, or is about to: is its door open, or was it?
    fn has_begun(&self, meeting: &ScheduledMeeting) -> bool {
        let phase = phase(meeting);
        let status = meeting.status.clone().unwrap_or_default();
        let agreed = status.window.map(Window::from);
        let windows = agreed.into_iter().chain([Window::of_meeting(&meeting.spec, &status)]);
        phase.is_live() || phase.is_over() || windows.into_iter().any(|window| window.stage(self.now) != Stage::Before)
    }

    /// It is there as it was ordered; nobody has judged it yet.
    pub fn done(&mut self, sort: Sort, order: &Order) {
        self.refusals.remove(&sort);
        if let Some(entry) = self.entries.get_mut(&order.at) {
            (entry.state, entry.reason, entry.is_unjudged) = (OccurrenceState::Created, None, true);
            entry.is_held = false;
        }
    }

    /// It is of this series now.
    pub fn adopted(&mut self) {
        self.refusals.remove(&Sort::Change);
    }

    /// It is on its way out.
    pub fn removed(&mut self) {
        self.refusals.remove(&Sort::Remove);
    }

    /// A meeting of that name was there already, which we did not know of. Is it to be looked at again, since it is ours?
    pub fn taken(&mut self, order: &Order, meeting: &ScheduledMeeting) -> bool {
        let is_ours = self.is_of_us(meeting);
        let entry = if is_ours {
            Some(self.shown(&order.name, meeting))
        } else if is_of_forerunner(&self.series, meeting) {
            None
        } else {
            self.entries.get(&order.at).cloned().map(|entry| Entry { state: OccurrenceState::NameTaken, ..entry })
        };
        self.entries.extend(entry.map(|entry| (order.at, entry)));
        is_ours
    }

    /// The apiserver does not let it be made or changed.
    pub fn refused(&mut self, sort: Sort, order: &Order, words: &str) {
        if let Some(entry) = self.entries.get_mut(&order.at)
            && entry.state == OccurrenceState::NotCreated
        {
            entry.reason = Some(reason::CREATION_REFUSED.to_owned());
        }
        self.troubled(sort, &order.name, words);
    }

    /// The apiserver refuses something of this sort.
    pub fn troubled(&mut self, sort: Sort, name: &str, words: &str) {
        let refusals = self.refusals.entry(sort).or_default();
        *refusals = refusals.saturating_add(1);
        self.trouble.get_or_insert_with(|| format!("{name}: {words}"));
    }

    /// The apiserver fails, or is silent: each further act would be waited for as long as this one.
    pub fn give_up(&mut self) {
        self.is_given_up = true;
    }

    /// Would the apiserver refuse this one like those before?
    pub fn is_vain(&self, act: &Act) -> bool {
        self.is_given_up || self.refusals.get(&act.sort()).is_some_and(|refusals| *refusals >= MOST_REFUSALS)
    }

    /// The next instant at which there may be something to do or to tell, after now.
    pub fn next_instant(&self) -> Option<Timestamp> {
        let lag = LAG.saturating_add(SignedDuration::from_secs(spread(&self.series, 50)));
        let told = self.entries.values().flat_map(|entry| [entry.start, entry.end]);
        let told = told.filter_map(|at| at.checked_add(lag).ok());
        let later = self.schedule.as_ref().ok().and_then(|schedule| schedule.later);
        let made = later.and_then(|start| start.checked_sub(ahead(&self.series)).ok());
        told.chain(made).filter(|at| *at > self.now).min()
    }
}

fn entry(name: String, start: Timestamp, end: Timestamp, state: OccurrenceState) -> Entry {
    Entry { name, start, end, state, reason: None, is_unjudged: false, is_held: false }
}

fn phase(meeting: &ScheduledMeeting) -> Phase {
    meeting.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

/// The names of the occurrences whose door may be open now, by this series, and that it has yet to make. Who applies a series again
/// after its objects were lost may have people in one of them.
pub fn yet_to_be_made(series: &MeetingSeries, now: Timestamp) -> Vec<String> {
    let is_idle = series.spec.suspend || series.metadata.deletion_timestamp.is_some() || unreadable(series).is_some();
    let Some(schedule) = Schedule::of(&series.spec, now, EARLIEST).ok().filter(|_| !is_idle) else { return Vec::new() };
    let told = || series.status.iter().flat_map(|status| &status.occurrences);
    let was_made = |at: &DateTime| told().any(|told| told.occurrence.0 == *at && told.state.was_made());
    let coming = schedule.planned.keys().filter(|at| !was_made(at));
    coming.map(|at| occurrence_name(&series.name_any(), *at)).collect()
}

/// Is there an IANA time zone of this name?
pub fn is_zone(name: &str) -> bool {
    zone::zone(name).is_some()
}

/// A number below this one that is always the same for a series.
fn spread(series: &MeetingSeries, below: i64) -> i64 {
    let uid = series.uid().and_then(|uid| Uuid::parse_str(&uid).ok()).unwrap_or_default();
    i64::try_from(uid.as_u128() % u128::try_from(below.max(1)).unwrap_or(1)).unwrap_or_default()
}

/// How far ahead occurrences of this series are made.
fn ahead(series: &MeetingSeries) -> SignedDuration {
    series.spec.horizon.signed().saturating_add(SignedDuration::from_secs(spread(series, SPREAD.as_secs())))
}

#[cfg(test)]
mod tests;
