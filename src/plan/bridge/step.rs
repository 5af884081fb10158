//! What can be looked up and written for a bridge, and what each step is: one table, asked by driver and gate.

use std::ops::RangeInclusive;

use crate::api::bridge::ClusterStatus;
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::cms::{AccessMethodId, CallAt, Class, Fields, Space, SpaceId, SyncFailure, SyncStatus};

/// What must be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    System,
    Cluster,
    /// A profile with exactly our content that nothing refers to: made by us, reply lost.
    LostProfile(ProfileKind),
    /// A profile of ours.
    Profile(ProfileKind, String),
    /// A profile for settings, with exactly this content: made by us, reply lost.
    LostSettingsProfile(SettingsProfile),
    /// A recorded profile for settings: whether it is there.
    SettingsProfile(SettingsProfile),
    /// A bulk parameter set with exactly our range.
    LostSet(RangeInclusive<u32>),
    /// A sync of this set that was begun, its reply lost.
    LostSync(String),
    /// Spaces with a placeholder name.
    Slots,
    /// Every space.
    AllSpaces,
    /// One space.
    Space(SpaceId),
    /// The access methods of a space of which a look shows that there are some.
    AccessMethods(SpaceId),
    /// The sync under way.
    Sync(String),
}

impl Look {
    /// Is it about what we may have made ourselves? One who only observes made nothing.
    pub fn is_about_own_doing(&self) -> bool {
        match self {
            Self::LostProfile(_)
            | Self::LostSettingsProfile(_)
            | Self::LostSet(_)
            | Self::LostSync(_)
            | Self::Sync(_) => true,
            Self::System
            | Self::Cluster
            | Self::Profile(..)
            | Self::SettingsProfile(_)
            | Self::Slots
            | Self::AllSpaces
            | Self::Space(_)
            | Self::AccessMethods(_) => false,
        }
    }
}

/// What a look found.
#[derive(Clone, Debug)]
pub enum Found {
    /// The software version.
    System(String),
    Cluster(ClusterStatus),
    /// A profile; None: it is not there.
    Profile(Option<Fields>),
    /// A profile of ours that the record does not know, with its id.
    LostProfile(Option<(String, Fields)>),
    /// The id of a set, sync or profile for settings of ours that the record does not know.
    Lost(Option<String>),
    Spaces {
        items: Vec<Space>,
        /// How many more the bridge counts. None: nobody knows, because the list moved while it was read.
        unshown: Option<u64>,
    },
    Space(Option<Box<Space>>),
    /// Those of a space's access methods that carry a mark of ours.
    AccessMethods(Vec<AccessMethodId>),
    Sync(SyncStatus),
}

/// What goes into the status before the next write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Profiles,
    Set(RangeInclusive<u32>),
    /// A profile for settings is about to be made.
    Settings(SettingsProfile),
    /// One that was to be made is wanted no more, and is not there.
    NoSettings(SettingsProfile),
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CreateProfile(ProfileKind, Vec<(String, String)>),
    UpdateProfile(ProfileKind, String, Vec<(String, String)>),
    CreateSet(RangeInclusive<u32>),
    StartSync {
        set: String,
    },
    /// Tell the space of a slot which profiles it has.
    AttachProfiles {
        number: u32,
        space: SpaceId,
    },
    ShutSlot {
        number: u32,
        space: SpaceId,
    },
    /// Whoever knows its passcode would get in with the next meeting.
    DeleteAccessMethod {
        number: u32,
        space: SpaceId,
        method: AccessMethodId,
    },
    DeleteCall(CallAt),
    DeleteSpace {
        number: u32,
        space: SpaceId,
    },
    StartRemoval {
        set: String,
    },
    DeleteSet(String),
    /// Delete one set and tell its numbers as those of the other one; its spaces stay.
    MergeSet {
        set: String,
        into: String,
    },
    DeleteProfile(ProfileKind, String),
    CreateSettingsProfile(SettingsProfile),
    UpdateSettingsProfile(SettingsProfile),
    DeleteSettingsProfile(SettingsProfile),
}

impl Step {
    /// Its class at the gate.
    pub fn class(&self) -> Class {
        match self {
            Self::ShutSlot { .. } => Class::Door,
            Self::DeleteCall(_) | Self::DeleteAccessMethod { .. } => Class::Close,
            _ => Class::Provision,
        }
    }

    /// Does it shut, empty or remove slots because no meeting holds them?
    pub fn clears(&self) -> bool {
        matches!(
            self,
            Self::ShutSlot { .. }
                | Self::DeleteAccessMethod { .. }
                | Self::DeleteCall(_)
                | Self::DeleteSpace { .. }
                | Self::StartRemoval { .. }
        )
    }

    /// Is it configuration? Its refusal holds back nothing else: what has to do with doors and calls goes on.
    pub fn is_configuration(&self) -> bool {
        self.class() == Class::Provision
    }

    /// The profile for settings of meetings that it makes, changes or removes.
    pub fn settings_profile(&self) -> Option<&SettingsProfile> {
        match self {
            Self::CreateSettingsProfile(profile)
            | Self::UpdateSettingsProfile(profile)
            | Self::DeleteSettingsProfile(profile) => Some(profile),
            _ => None,
        }
    }

    /// The call that it concerns, which only its own call bridge can change; everything else is in the database.
    pub fn call(&self) -> Option<&CallAt> {
        match self {
            Self::DeleteCall(call) => Some(call),
            _ => None,
        }
    }

    /// The space that it writes to.
    pub fn space(&self) -> Option<&SpaceId> {
        match self {
            Self::AttachProfiles { space, .. }
            | Self::ShutSlot { space, .. }
            | Self::DeleteAccessMethod { space, .. }
            | Self::DeleteSpace { space, .. } => Some(space),
            _ => None,
        }
    }

    /// Does it change what the status must remember before the next write?
    pub fn changes_record(&self) -> bool {
        match self {
            Self::CreateProfile(..)
            | Self::CreateSet(_)
            | Self::StartSync { .. }
            | Self::StartRemoval { .. }
            | Self::DeleteSet(_)
            | Self::MergeSet { .. }
            | Self::DeleteProfile(..)
            | Self::CreateSettingsProfile(_)
            | Self::DeleteSettingsProfile(_) => true,
            Self::UpdateProfile(..)
            | Self::UpdateSettingsProfile(_)
            | Self::AttachProfiles { .. }
            | Self::ShutSlot { .. }
            | Self::DeleteAccessMethod { .. }
            | Self::DeleteCall(_)
            | Self::DeleteSpace { .. } => false,
        }
    }

    /// Does it start a sync, of which nobody knows what comes of it before it has ended?
    pub fn starts_sync(&self) -> bool {
        matches!(self, Self::StartSync { .. } | Self::StartRemoval { .. })
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateProfile(kind, _) => write!(f, "create the {kind}"),
            Self::UpdateProfile(kind, ..) => write!(f, "repair the {kind}"),
            Self::CreateSet(range) => write!(f, "create a bulk parameter set for {}..{}", range.start(), range.end()),
            Self::StartSync { .. } => f.write_str("start the bulk sync that makes its spaces"),
            Self::AttachProfiles { number, .. } => write!(f, "attach the profiles to slot {number}"),
            Self::ShutSlot { number, .. } => write!(f, "shut slot {number}"),
            Self::DeleteAccessMethod { number, .. } => {
                write!(f, "delete an access method that a meeting left on slot {number}")
            }
            Self::DeleteCall(_) => f.write_str("delete a call on a free slot"),
            Self::DeleteSpace { number, .. } => write!(f, "remove the space of slot {number}, which is out of range"),
            Self::StartRemoval { .. } => f.write_str("start the bulk sync that removes the spaces of a set"),
            Self::DeleteSet(_) | Self::MergeSet { .. } => f.write_str("delete a bulk parameter set"),
            Self::DeleteProfile(kind, _) => write!(f, "delete the {kind}"),
            Self::CreateSettingsProfile(profile) => write!(f, "create the profile {} for settings", profile.name),
            Self::UpdateSettingsProfile(profile) => write!(f, "repair the profile {} for settings", profile.name),
            Self::DeleteSettingsProfile(profile) => write!(f, "delete the profile {} for settings", profile.name),
        }
    }
}

/// Why nothing can be done although something should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    VersionTooOld,
    /// An older object owns this cluster: `namespace/name`.
    ClusterOwned(String),
    DialNumbers(Vec<&'static str>),
    Sync(SyncFailure),
    /// The sync that makes spaces has not ended for so long that it may never do so.
    SyncHangs,
    /// These slots are out of range but held.
    Draining,
    /// Slots are deleted again and again; they are made again after a while.
    SlotsContested,
    /// What is missing lies so scattered that it needs more parameter sets than can be remembered.
    Scattered,
}

/// Why there is nothing more to do in a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is as it should be; on the way out: nothing of ours is left.
    Settled,
    /// A sync is under way, or meetings are being shut: ask again later.
    AwaitSync,
    /// Nothing can be done although something should be.
    Blocked(Obstacle),
    /// The rest is configuration, which the bridge refused; it is sent again later.
    HeldBack,
    /// The plan of one who only observes ends here.
    PlanEnds,
}
