//! Every unknown of cms-protocol.md section 14 as a switch with the default suggested there, and a few more unknowns that
//! other sections mark with `?`. All can be changed while the simulator runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Order of the items of a list ("creation order" against "shuffled").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListOrder {
    /// The oldest object first.
    Creation,
    /// A fixed but arbitrary order.
    Shuffled,
}

/// Spelling of the error for an unknown path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnrecognisedSpelling {
    /// `unrecognisedObject`.
    S,
    /// `unrecognizedObject`.
    Z,
}

/// What happens to a parameter that no table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownParameter {
    /// Taken and forgotten.
    Ignored,
    /// `parameterError`.
    Refused,
}

/// Form of an element without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyTags {
    /// `<x></x>`, proved by byte counts for 2.0.
    OpenAndClose,
    /// `<x/>`.
    SelfClosed,
}

/// Which bodies lack the XML declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingDeclaration {
    /// Only `GET /calls`, as seen.
    CallsListOnly,
    /// Every body.
    All,
    /// No body.
    None,
}

/// Answer to `POST /calls` for a space that has a live call on the same bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecondCall {
    /// The id of the running call; nothing is made.
    SameId,
    /// A second call object.
    NewId,
}

/// What happens to people in a space whose `nonMemberAccess` becomes false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnClose {
    /// They stay until the call is deleted.
    Stay,
    /// Those who dialled in themselves are dropped.
    Drop,
}

/// Effect of a bulk sync that meets a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncConflict {
    /// Failed state, old spaces untouched.
    NothingChanged,
    /// Failed state, old spaces gone, new ones made up to the conflict.
    HalfDone,
}

/// Answer to a sync of a bulk set that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownSet {
    /// 200, and later `failedNoSuchParameterSet`.
    FailsLater,
    /// 400 at once.
    Refused,
}

/// Which passcodes a write accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PasscodeRule {
    /// Any text up to 200 characters.
    AnyText,
    /// Digits only, else `parameterError`.
    DigitsOnly,
}

/// What `DELETE /calls/<id>` ends in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeleteCall {
    /// The instance of the bridge that was asked.
    LocalInstance,
    /// Every instance with the same correlator.
    AllInstances,
}

/// Why the legs of a deleted call ended (visible in the list of dials).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeleteReason {
    /// `callEnded`.
    CallEnded,
    /// `apiInitiatedTeardown`.
    ApiInitiatedTeardown,
}

/// Answer to a write while the database has no primary, or the asked bridge no way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteWithoutPrimary {
    /// 503.
    Unavailable,
    /// 400 with `databaseNotReady`.
    DatabaseNotReady,
    /// No answer until the client gives up.
    Hang,
}

/// Answer to a read of stored objects while the database has no primary, or the asked bridge no way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReadWithoutPrimary {
    /// 503.
    Unavailable,
    /// The replica answers.
    Replica,
    /// No answer until the client gives up.
    Hang,
}

/// Result of one PUT that carries both `secret` and `regenerateSecret=true` (quirk 7 of section 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretAndRegenerate {
    /// The given secret is kept.
    SecretWins,
    /// A new secret is made.
    RegenerateWins,
}

/// What `usageFilter` of a list of profiles does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UsageFilter {
    /// What the reference says.
    Applied,
    /// Nothing: everything is listed.
    Ignored,
    /// `parameterError`.
    Refused,
}

/// Whose participants a bridge lists (section 9 against the "cluster-wide" of requirements.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ParticipantScope {
    /// Only bridges with an instance of the call see its participants.
    InvolvedBridges,
    /// Every bridge sees all participants.
    WholeCluster,
}

/// The switches. Durations are milliseconds, lengths are characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Switches {
    /// Largest page of calls, callLegs and participants lists; also the page when no limit is given. Default 10.
    pub page_ceiling_calls: usize,
    /// Largest page of every other list. Default 20.
    pub page_ceiling: usize,
    /// Ceilings of single collections by their plural name, stronger than the two above.
    pub page_ceilings: BTreeMap<String, usize>,
    /// Order of lists.
    pub list_order: ListOrder,
    /// Status of "does not exist" and of unknown paths: 400 (practice) or 404 (prose).
    pub not_found_status: u16,
    /// Spelling of the error for an unknown path.
    pub unrecognised_spelling: UnrecognisedSpelling,
    /// Parameters that no table names.
    pub unknown_parameter: UnknownParameter,
    /// Form of empty elements.
    pub empty_tags: EmptyTags,
    /// Show unset attributes of a single object as empty elements instead of leaving them out (1.3). Default false.
    pub show_unset: bool,
    /// Leave out attributes that nobody set, `nonMemberAccess` of a space made by hand among them (TechNotes 213552 and
    /// 213812 show such replies). Default false: the server's default is shown.
    pub hide_defaults: bool,
    /// Attributes of stored objects in the opposite order. Default false.
    pub fields_backwards: bool,
    /// GUIDs in replies and Locations with capitals; requests may use either. Default false.
    pub ids_in_capitals: bool,
    /// Line breaks and indentation between elements. Default false.
    pub indented: bool,
    /// `encoding="UTF-8"` in the declaration. Default false.
    pub encoding_declared: bool,
    /// `Location` with scheme and host. Default false: only the path.
    pub location_absolute: bool,
    /// `Content-Type: application/xml; charset=utf-8` instead of `text/xml`. Default false.
    pub application_xml: bool,
    /// Names are kept without blanks at the ends, and with single ones between words. Default false.
    pub blanks_collapsed: bool,
    /// Errors with 400 or 404 tell what is wrong in `failureDetails`. Default true; false: an empty body.
    pub failure_details: bool,
    /// `Content-Type` of replies without a body, as frameworks set it. Default empty: none.
    pub bodiless_type: String,
    /// The realm that a 401 names. Default `acano`.
    pub challenge_realm: String,
    /// Replies with a body say nothing of its length: it ends where the connection does, without a goodbye of TLS.
    /// Default false.
    pub ends_by_closing: bool,
    /// There is a node `system/configuration/cluster`. Default true.
    pub cluster_configuration: bool,
    /// `usageFilter` of lists of profiles.
    pub usage_filter: UsageFilter,
    /// Body of errors with 400 or 404 without `failureDetails`, as a framework writes it; its type is `bodilessType`. Default
    /// empty.
    pub plain_errors: String,
    /// `callegs`, as the guide spells `callLegs` in two places, is taken as well. Default true.
    pub guides_spelling: bool,
    /// A connection is closed when nothing was asked for so long; a real bridge does it after 5000. Default 0: never.
    pub idle_close_ms: u64,
    /// A connection is closed after so many requests; a real bridge does it after 100. Default 0: never.
    pub requests_per_connection: u64,
    /// Fields of a space that are never shown, even where they were set. Default none.
    pub space_hides: BTreeSet<String>,
    /// Bodies without declaration.
    pub missing_declaration: MissingDeclaration,
    /// POST /calls on a space with a live call.
    pub second_call: SecondCall,
    /// A call that is looked at by itself does not say which space it is on; the list of calls does. Default false.
    pub call_hides_space: bool,
    /// Closing a space with people in it.
    pub on_close: OnClose,
    /// A sync that meets a conflict.
    pub sync_conflict: SyncConflict,
    /// A sync of an unknown set.
    pub unknown_set: UnknownSet,
    /// Most spaces in one bulk range. Default 10 000.
    pub bulk_range_max: u64,
    /// Keep the undocumented `callLegProfile` of a bulk set and put it on its spaces. Default true.
    pub bulk_call_leg_profile: bool,
    /// Parameters of a bulk set that are refused with `parameterError`. Default none.
    pub bulk_refused: Vec<String>,
    /// Parameters of call profiles and call leg profiles that are taken, and neither kept nor shown. Default none.
    pub profile_drops: BTreeSet<String>,
    /// Words, such as layouts, that this version does not know yet: refused with `parameterError`. Default none.
    pub unknown_words: BTreeSet<String>,
    /// Deleting a bulk set deletes the spaces made from it. Default false.
    pub delete_set_removes_spaces: bool,
    /// How long a sync is `pending`. Default 100.
    pub sync_pending_ms: u64,
    /// How long a sync is `running`, without the part per space. Default 900.
    pub sync_running_ms: u64,
    /// Additional microseconds of `running` for each space of the range. Default 1000.
    pub sync_per_space_us: u64,
    /// Old spaces vanish when the sync starts to run, not when it ends. Default false.
    pub sync_removes_first: bool,
    /// Which passcodes are accepted.
    pub passcode_rule: PasscodeRule,
    /// Longest passcode. Default 200.
    pub passcode_length: usize,
    /// Longest name. Default 200.
    pub name_length: usize,
    /// A space needs a name on creation (6.1 `?`). Default false.
    pub name_required: bool,
    /// A live call shows the new name of a renamed space (6.3 `?`). Default false.
    pub rename_reaches_call: bool,
    /// Deleting a space ends its calls (6.3, "not found"). Default true.
    pub delete_space_ends_call: bool,
    /// Secrets that the server makes hold dots, as in a sample of Cisco TAC (`iWqZQ.tTMIleeQHKMB.JYg`). Default false.
    pub dotted_secrets: bool,
    /// `secret` together with `regenerateSecret=true`.
    pub secret_and_regenerate: SecretAndRegenerate,
    /// Reach of DELETE of a call.
    pub delete_call: DeleteCall,
    /// Reason given to the legs of a deleted call.
    pub delete_reason: DeleteReason,
    /// Writes without database primary.
    pub write_without_primary: WriteWithoutPrimary,
    /// Reads without database primary.
    pub read_without_primary: ReadWithoutPrimary,
    /// Time until another bridge sees a write to the database. Default 0.
    pub propagation_ms: u64,
    /// How long peers go on listing the people of a bridge whose process ended, ringing ones included. Default 0.
    pub peer_loss_delay_ms: u64,
    /// The connection is cut after the effect of every n-th successful write; 0 is off.
    pub lose_reply_every: u32,
    /// Lock the account after so many 401 in a row; 0 is off.
    pub lockout_after: u32,
    /// How long a lock lasts. Default 900 000 (15 minutes).
    pub lockout_ms: u64,
    /// Let clients reuse connections; false sends `Connection: close` with every reply.
    pub keep_alive: bool,
    /// Life of a token from POST /authTokens. Default 10 000.
    pub token_life_ms: u64,
    /// A token opens one events connection only. Default true.
    pub token_single_use: bool,
    /// Whose participants a bridge lists.
    pub participant_scope: ParticipantScope,
    /// Legs of subtype `distributionLink` between the bridges of one distributed call (section 9). Default true.
    pub distribution_links: bool,
    /// A dial without matching outbound rule fails even while the rule table is empty. Default false: an empty table
    /// reaches everybody, which spares every user of the simulator the set-up of rules.
    pub outbound_rule_required: bool,
    /// Time a new leg stays `initial` before it rings. Default 10.
    pub leg_initial_ms: u64,
    /// Time until an endpoint without script answers, from the first ring. Default 300.
    pub answer_after_ms: u64,
    /// Text that the `remoteParty` of an outgoing leg gains when it connects, such as `;x-cisco-number=1` (quirk 16);
    /// `originalRemoteParty` keeps the dialled address. Default empty.
    pub remote_party_gains: String,
    /// `filter` looks at letters without regard to case (3.2 `?`). Default true.
    pub filter_ignores_case: bool,
    /// Media load of one connected leg in load units (`system/load`); the figure is ours. Default 200.
    pub load_per_leg: u64,
    /// `activated` of `system/status`. Default true.
    pub activated: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            page_ceiling_calls: 10,
            page_ceiling: 20,
            page_ceilings: BTreeMap::new(),
            list_order: ListOrder::Creation,
            not_found_status: 400,
            unrecognised_spelling: UnrecognisedSpelling::S,
            unknown_parameter: UnknownParameter::Ignored,
            empty_tags: EmptyTags::OpenAndClose,
            show_unset: false,
            hide_defaults: false,
            fields_backwards: false,
            ids_in_capitals: false,
            indented: false,
            encoding_declared: false,
            location_absolute: false,
            application_xml: false,
            blanks_collapsed: false,
            failure_details: true,
            bodiless_type: String::new(),
            challenge_realm: "acano".to_owned(),
            ends_by_closing: false,
            cluster_configuration: true,
            usage_filter: UsageFilter::Applied,
            plain_errors: String::new(),
            guides_spelling: true,
            idle_close_ms: 0,
            requests_per_connection: 0,
            space_hides: BTreeSet::new(),
            missing_declaration: MissingDeclaration::CallsListOnly,
            second_call: SecondCall::SameId,
            call_hides_space: false,
            on_close: OnClose::Stay,
            sync_conflict: SyncConflict::NothingChanged,
            unknown_set: UnknownSet::FailsLater,
            bulk_range_max: 10_000,
            bulk_call_leg_profile: true,
            bulk_refused: Vec::new(),
            profile_drops: BTreeSet::new(),
            unknown_words: BTreeSet::new(),
            delete_set_removes_spaces: false,
            sync_pending_ms: 100,
            sync_running_ms: 900,
            sync_per_space_us: 1000,
            sync_removes_first: false,
            passcode_rule: PasscodeRule::AnyText,
            passcode_length: 200,
            name_length: 200,
            name_required: false,
            rename_reaches_call: false,
            delete_space_ends_call: true,
            dotted_secrets: false,
            secret_and_regenerate: SecretAndRegenerate::SecretWins,
            delete_call: DeleteCall::LocalInstance,
            delete_reason: DeleteReason::CallEnded,
            write_without_primary: WriteWithoutPrimary::Unavailable,
            read_without_primary: ReadWithoutPrimary::Unavailable,
            propagation_ms: 0,
            peer_loss_delay_ms: 0,
            lose_reply_every: 0,
            lockout_after: 0,
            lockout_ms: 900_000,
            keep_alive: true,
            token_life_ms: 10_000,
            token_single_use: true,
            participant_scope: ParticipantScope::InvolvedBridges,
            distribution_links: true,
            outbound_rule_required: false,
            leg_initial_ms: 10,
            answer_after_ms: 300,
            remote_party_gains: String::new(),
            filter_ignores_case: true,
            load_per_leg: 200,
            activated: true,
        }
    }
}

impl Switches {
    /// The ceiling of one collection.
    pub fn ceiling(&self, plural: &str) -> usize {
        let general = match plural {
            "calls" | "callLegs" | "participants" => self.page_ceiling_calls,
            _ => self.page_ceiling,
        };
        self.page_ceilings.get(plural).copied().unwrap_or(general).max(1)
    }
}
