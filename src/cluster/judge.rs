//! The one judge of failed requests: whose fault it is, what is believed of the call bridge from now on, and what the
//! caller is to make of it ([`Verdict`]). Everybody who asks a call bridge brings his failures here.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{CallBridge, Cluster, reading};
use crate::cms::{Class, CmsError, ErrorClass, SpaceId};
use crate::plan::failover::{HealthSignal, blames_call_bridge, is_decisive};
use crate::plan::meeting::Look;
use crate::plan::verdict::Verdict;

/// How long a look at the database is believed.
const DATABASE_BELIEVED: SignedDuration = SignedDuration::from_millis(900);

/// What was sent while there was no database may be without an answer for so long after it is back.
const SENT_BEFORE: SignedDuration = SignedDuration::from_secs(10);

/// So long the same odd answer of two call bridges is held to be about what they were asked.
const LATELY: SignedDuration = SignedDuration::from_mins(2);

/// Whose request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A probe, a sweep, or a step of the bridge's own reconcile.
    Monitor,
    /// A look or a step of a meeting. What is due does not wait for the threshold of failures.
    Meeting { is_due: bool },
    /// The same, of what is refused wherever it is asked ([`Cluster::source`]).
    Request,
    /// A question beside the work, to a call bridge that is not the active one; it is looked at when it is back.
    Aside,
}

/// What a meeting asked of a call bridge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A look of this kind.
    Look(SpaceId, Look),
    Write(SpaceId, Class),
}

impl Cluster {
    /// Judges a failed request.
    pub async fn judge(self: &Arc<Self>, at: &Arc<CallBridge>, error: CmsError, source: Source) -> Verdict {
        let now = self.now();
        let may_have_taken_effect = error.may_have_taken_effect();
        let error = if source == Source::Aside { error } else { self.diagnose(at, error, now).await };
        if error == CmsError::DatabaseNotReady {
            self.cache().database_lost = true;
            if source != Source::Monitor {
                (self.env.wake)();
            }
        }
        let is_blamed = source != Source::Request && blames_call_bridge(&error);
        if is_blamed {
            self.blame(at, &error, source);
        }
        if source == Source::Request {
            // If it is the call bridge after all, its probe tells, and what it answers to something else.
            at.want_probe();
            if self.active().address() == at.address() {
                self.cache().schedule.wants_status = true;
            }
            (self.env.wake)();
        }
        if source == Source::Monitor && error.is_connection_failure() {
            at.forget_calls();
        }
        if error == CmsError::Abandoned || self.is_lost(at.address()) {
            return Verdict::Moved;
        }
        match error.class() {
            _ if error == CmsError::DatabaseNotReady => Verdict::DatabaseDown { may_have_taken_effect },
            _ if is_blamed && self.health_table().has_other_than(at.address()) => {
                self.in_doubt(at, &error);
                Verdict::InDoubt(error)
            }
            ErrorClass::NotFound | ErrorClass::Conflict | ErrorClass::Invalid => Verdict::Answered(error),
            ErrorClass::Unreachable
            | ErrorClass::Busy
            | ErrorClass::Auth
            | ErrorClass::Malformed
            | ErrorClass::Blocked => Verdict::Retry(error),
        }
    }

    /// Whose failure this is, of a look or a write of a meeting.
    ///
    /// What was refused so on more than one call bridge lately may be what something in front of the bridge takes offence
    /// at, a title that looks like an attack for example, or a space that no call bridge can show, or the whole cluster takes no
    /// writes for a while although it answers everything else. That does not drive the cluster to and fro, and every meeting
    /// with it; one that is lost answers nothing else either. Each kind of look has an account of its own: what a bridge says of
    /// a space is no word on its calls. And one 503 asks for a repetition (cms-protocol.md 1.3), which no call bridge is left
    /// before.
    pub fn source(&self, asked: &Asked, at: &CallBridge, error: &CmsError, is_due: bool) -> Source {
        let is_odd = match error {
            CmsError::NotACms | CmsError::MalformedReply { .. } | CmsError::Forbidden | CmsError::Busy => true,
            CmsError::HttpError { .. } => blames_call_bridge(error),
            _ => false,
        };
        if !is_odd {
            return Source::Meeting { is_due };
        }
        let now = self.now();
        let mut cache = self.cache();
        for answered in cache.odd_answers.values_mut() {
            answered.retain(|_, met| now.duration_since(*met).abs() < LATELY);
        }
        cache.odd_answers.retain(|_, answered| !answered.is_empty());
        let answered = cache.odd_answers.entry(asked.clone()).or_default();
        let is_first = answered.insert(at.address().clone(), now).is_none();
        if answered.len() > 1 {
            answered.values_mut().for_each(|met| *met = now);
            return Source::Request;
        }
        Source::Meeting { is_due: is_due && !(is_first && error.is_busy_status()) }
    }

    /// A look or a write of a meeting was answered, so nothing takes offence at it.
    pub fn note_answered(&self, asked: &Asked) {
        self.cache().odd_answers.remove(asked);
    }

    /// It answered: a sign of life.
    pub(super) fn praise(&self, at: &CallBridge, signal: HealthSignal) {
        self.learn(at.address(), signal, false, self.now());
    }

    /// A step of a meeting was done. Of a call bridge that was given up that is a sign of life, and the next probe is to
    /// tell soon whether it is well again.
    pub fn note_done(&self, at: &CallBridge) {
        if self.health(at.address()).is_down() {
            self.praise(at, HealthSignal::Answers);
            at.want_probe();
            (self.env.wake)();
        }
    }

    fn blame(&self, at: &CallBridge, error: &CmsError, source: Source) {
        let urgent = source == Source::Meeting { is_due: true } && is_decisive(error);
        let is_news = self.learn(at.address(), HealthSignal::Fails(error.clone()), urgent, self.now());
        match source {
            // If it is not clear yet that it is lost, the next probe is to tell soon. So it is with a lone one: nobody else
            // would find out that it is well again, and whoever is due would wait out his pause.
            Source::Meeting { .. } if self.note_failure(at, error) || is_news || !self.is_alone() => {
                at.want_probe();
                (self.env.wake)();
            }
            Source::Aside if is_news => (self.env.wake)(),
            Source::Monitor | Source::Meeting { .. } | Source::Request | Source::Aside => {}
        }
    }

    /// A meeting was the first to find out that the active call bridge cannot be used at all. True: that is news, and the
    /// next success of the bridge's own pass wakes who waits.
    fn note_failure(&self, at: &CallBridge, error: &CmsError) -> bool {
        let is_whole = error.is_without_connection() || error.class() == ErrorClass::Auth;
        if !is_whole || self.active().address() != at.address() {
            return false;
        }
        let before = self.cache().last_result.replace(Err(error.clone()));
        !matches!(before, Some(Err(_)))
    }

    /// Whether the active call bridge did what it was asked is known again only when the next probe has told.
    fn in_doubt(&self, at: &CallBridge, error: &CmsError) {
        if self.active().address() == at.address() {
            self.cache().last_result = Some(Err(error.clone()));
        }
    }

    /// A bridge that answers but is busy, or is silent, may have lost its database. If the cluster has no primary at all,
    /// another call bridge would not do better; if only this one does not reach it, another one would. The others are
    /// asked first: they answer at once.
    async fn diagnose(&self, at: &CallBridge, error: CmsError, now: Timestamp) -> CmsError {
        if !error.is_busy_status() && !matches!(error, CmsError::Timeout | CmsError::DatabaseNotReady) {
            return error;
        }
        for other in self.usable().iter().filter(|other| other.address() != at.address()) {
            match self.has_database(other, now).await {
                Some(true) if error == CmsError::DatabaseNotReady => return CmsError::Busy,
                Some(true) if error == CmsError::Timeout && self.was_without_database(at, now).await => {
                    return CmsError::DatabaseNotReady;
                }
                Some(true) => return error,
                Some(false) => return CmsError::DatabaseNotReady,
                None => {}
            }
        }
        match self.has_database(at, now).await {
            Some(false) => CmsError::DatabaseNotReady,
            _ => error,
        }
    }

    /// Was there no database a moment ago, and is it back for this call bridge as well? Then its silence is no sign: it may
    /// be the answer to what was sent at that time.
    async fn was_without_database(&self, at: &CallBridge, now: Timestamp) -> bool {
        let (is_lost, back_at) = {
            let cache = self.cache();
            (cache.database_lost, cache.database_back_at)
        };
        // What it said before the others said that there is one again proves nothing.
        back_at.is_some_and(|back_at| now.duration_since(back_at) < SENT_BEFORE)
            || (is_lost && self.ask_database(at, now, SignedDuration::ZERO).await == Some(true))
    }

    /// Has the database a primary, as this call bridge sees it? None: it does not tell. Asked once for all who ask at
    /// the same time.
    pub(super) async fn has_database(&self, at: &CallBridge, now: Timestamp) -> Option<bool> {
        self.ask_database(at, now, DATABASE_BELIEVED).await
    }

    /// The same, with an answer that is not older than this.
    async fn ask_database(&self, at: &CallBridge, now: Timestamp, believed: SignedDuration) -> Option<bool> {
        let _one_at_a_time = at.diagnosis.lock().await;
        let known = at.local().database;
        if let Some((asked_at, primary)) = known
            && (asked_at >= now || now.duration_since(asked_at) < believed)
        {
            return primary;
        }
        // That is answered at once if anything is: a bridge that hangs altogether is not waited for twice.
        let answer = tokio::time::timeout(self.patience(), at.client().database(reading(now).urgent())).await;
        let primary = answer.ok().and_then(Result::ok).and_then(|database| database.has_primary());
        at.local().database = Some((now, primary));
        primary
    }
}

#[cfg(test)]
mod tests;
