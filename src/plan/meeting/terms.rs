//! What a meeting and its bridge ask for, while a pass lasts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt};

use super::settings::SettingsTerms;
use crate::api::bridge::{DeletionPolicy, ManagementPolicy, RunningMeetings};
use crate::api::marks::Marks;
use crate::api::meeting::{Dial, ParticipantSpec};
use crate::api::settings::Layout;
use crate::api::warning::EndWarning;
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingSpec, unreadable};
use crate::cms::{Address, NewLeg, Rank, Space};
use crate::facts::slots::{is_foreign, is_renumbered};
use crate::plan::{version, warning};

/// The first version with labels of our own (cms-protocol.md 7.2).
const LABELS: (u32, u32) = (2, 4);

/// The longest label in bytes of UTF-8 (cms-protocol.md section 12).
const LONGEST_LABEL: usize = 50;

/// The first version in which a participant can be given an importance (cms-protocol.md 7.4).
const IMPORTANCE: (u32, u32) = (2, 2);

/// What is to be, as the object and its bridge say. Does not change while a pass lasts.
#[derive(Clone, Debug)]
pub struct Terms {
    pub spec: ScheduledMeetingSpec,
    /// Our mark for this meeting (`cdrTag`).
    pub mark: String,
    /// The mark that it had before the installation had a name.
    pub earlier_mark: Option<String>,
    /// How the marks of this installation look.
    pub marks: Marks,
    /// When the object was made.
    pub created_at: Option<Timestamp>,
    /// The object is being deleted.
    pub is_deleting: bool,
    /// The slot's number, once there is one.
    pub number: Option<u32>,
    /// Name of the slot's space while no meeting holds it.
    pub placeholder: String,
    /// The bridge is being deleted, and its meetings are to be shut.
    pub bridge_leaves: bool,
    /// Why the object cannot be read: what was begun is ended as agreed, and nothing else is done.
    pub unreadable: Option<String>,
    /// The meeting or its bridge is suspended: nothing may be written.
    pub is_suspended: bool,
    /// The bridge has managementPolicy Observe.
    pub is_observe_only: bool,
    /// Dialling out is allowed on the bridge.
    pub allows_outgoing: bool,
    /// The object goes so long after the meeting has ended; None: it stays.
    pub stays_for: Option<SignedDuration>,
    /// A running meeting whose call bridge is lost is left as it is (R29).
    pub leaves_running: bool,
    /// The warning before the end, once the bridge is known.
    pub end_warning: Option<EndWarning>,
    /// What the settings come to, once the bridge is known.
    pub settings: Option<SettingsTerms>,
    /// Software version of the bridge, once known.
    pub software_version: Option<String>,
    /// Ids of the call bridges by address, as far as they are known. None: the bridge is no cluster.
    pub call_bridge_ids: Option<BTreeMap<String, String>>,
}

impl Terms {
    /// What the object says; nothing is known of a bridge yet.
    pub fn new(meeting: &ScheduledMeeting, marks: &Marks) -> Self {
        Self {
            spec: meeting.spec.clone(),
            mark: marks.of(&meeting.namespace().unwrap_or_default(), &meeting.name_any()),
            earlier_mark: marks.before_the_name(&meeting.namespace().unwrap_or_default(), &meeting.name_any()),
            marks: marks.clone(),
            created_at: meeting.meta().creation_timestamp.as_ref().map(|time| time.0),
            is_deleting: meeting.meta().deletion_timestamp.is_some(),
            number: None,
            placeholder: String::new(),
            bridge_leaves: false,
            unreadable: unreadable(meeting).map(str::to_owned),
            is_suspended: meeting.spec.suspend,
            is_observe_only: false,
            allows_outgoing: true,
            stays_for: meeting.spec.ttl_seconds_after_finished.map(seconds),
            leaves_running: false,
            end_warning: None,
            settings: None,
            software_version: None,
            call_bridge_ids: Some(BTreeMap::new()),
        }
    }

    /// Is the slot's space, as a look at it alone shows it, somebody else's?
    pub fn is_foreign(&self, space: &Space) -> bool {
        is_foreign(space, &self.placeholder, &self.marks)
            || self.number.is_some_and(|number| is_renumbered(space, number))
    }

    /// Takes in what the bridge says about a slot of it.
    pub(super) fn take_bridge(&mut self, bridge: &MeetingBridge, slot: u32) {
        let spec = &bridge.spec;
        self.number = Some(slot);
        self.placeholder = format!("{}{slot}", spec.slots.name_prefix);
        self.bridge_leaves =
            bridge.metadata.deletion_timestamp.is_some() && spec.deletion_policy == DeletionPolicy::Delete;
        self.is_suspended = self.spec.suspend || spec.suspend;
        self.is_observe_only = spec.management_policy == ManagementPolicy::Observe;
        self.allows_outgoing = spec.scheduling.allow_outgoing_sip;
        self.stays_for = self.stays_for.or(spec.scheduling.ttl_seconds_after_finished.map(seconds));
        self.leaves_running = spec.failover.running_meetings == RunningMeetings::Leave;
        // Not mixed of both: who says something else for one meeting says all of it.
        self.end_warning = self.spec.end_warning.as_deref().cloned().or_else(|| spec.end_warning.clone());
        self.settings = Some(SettingsTerms::new(&self.spec, bridge, slot));
        let Some(status) = &bridge.status else { return };
        self.software_version = status.system.as_ref().map(|system| system.software_version.clone());
        let known =
            status.call_bridges.iter().filter_map(|known| Some((known.address.clone(), known.call_bridge_id.clone()?)));
        let is_alone = status.cluster.as_ref().is_some_and(|cluster| cluster.members.is_empty());
        self.call_bridge_ids = (!is_alone).then(|| known.collect());
    }

    pub(super) fn participant(&self, party: &str) -> Option<&ParticipantSpec> {
        self.spec.participants.iter().find(|participant| participant.remote_party == party)
    }

    /// Is the bridge new enough, as far as is known?
    fn is_since(&self, version: (u32, u32)) -> bool {
        self.software_version.as_deref().is_none_or(|known| !version::is_before(known, version))
    }

    /// Is anybody to be warned of the end, whether the bridge can do so or not?
    pub fn is_warning_asked(&self) -> bool {
        self.end_warning.as_ref().is_some_and(|asked| !asked.minutes_before.is_empty())
    }

    /// Does the bridge know no texts in calls?
    pub fn lacks_messages(&self) -> bool {
        !self.is_since(warning::MESSAGES)
    }

    /// The warning before the end, if one can be shown.
    pub fn warning(&self) -> Option<&EndWarning> {
        let can = !self.is_suspended && !self.is_observe_only && !self.lacks_messages();
        self.end_warning.as_ref().filter(|_| can && self.is_warning_asked())
    }

    /// What is said of people who are dialled and this version of the bridge does not know. They are dialled without it.
    pub fn unsupported_of_participants(&self) -> Vec<&'static str> {
        let says = |said: fn(&ParticipantSpec) -> bool| {
            let mut dialled = self.spec.participants.iter().filter(|participant| participant.dial == Dial::Out);
            dialled.any(said)
        };
        let is_named = |participant: &ParticipantSpec| participant.name.as_ref().is_some_and(|name| !name.is_empty());
        let name = (!self.is_since(LABELS) && says(is_named)).then_some("participants.name");
        let is_ranked = |participant: &ParticipantSpec| participant.importance.is_some();
        let importance = (!self.is_since(IMPORTANCE) && says(is_ranked)).then_some("participants.importance");
        name.into_iter().chain(importance).collect()
    }

    /// How somebody is dialled.
    pub fn leg_to(&self, party: &str) -> NewLeg {
        let spec = self.participant(party);
        let label = spec.and_then(|spec| spec.name.as_deref()).filter(|_| self.is_since(LABELS));
        NewLeg {
            remote_party: party.to_owned(),
            dtmf: spec.and_then(|spec| spec.dtmf.clone()),
            label: label.map(|name| cut(name, LONGEST_LABEL).to_owned()).filter(|label| !label.is_empty()),
            layout: spec.and_then(|spec| spec.layout).map(Layout::name),
        }
    }

    /// The rank that somebody is dialled with on this call bridge, if that is possible. Where it is not, they are dialled
    /// all the same.
    pub fn rank_of(&self, party: &str, call_bridge: &Address) -> Option<Rank> {
        let importance = self.participant(party)?.importance.filter(|_| self.is_since(IMPORTANCE))?;
        let call_bridge = match &self.call_bridge_ids {
            None => None,
            Some(ids) => Some(ids.get(&call_bridge.to_string())?.clone()),
        };
        Some(Rank { importance, call_bridge })
    }
}

fn seconds(count: u32) -> SignedDuration {
    SignedDuration::from_secs(count.into())
}

/// The first so many bytes of a text, and no half character.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests;
