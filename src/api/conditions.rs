//! Condition types and reasons, with what each means and what to do: the one list that status, README and tests use.

/// Type of a condition of a MeetingBridge, ScheduledMeeting or MeetingSeries.
pub mod types {
    pub const READY: &str = "Ready";
    pub const RECONCILING: &str = "Reconciling";
    pub const STALLED: &str = "Stalled";

    pub const REACHABLE: &str = "Reachable";
    pub const CREDENTIALS_VALID: &str = "CredentialsValid";
    pub const RECOGNIZED: &str = "Recognized";
    pub const DIAL_NUMBERS_CONFIGURED: &str = "DialNumbersConfigured";
    pub const SYSTEM_NAMED: &str = "SystemNamed";
    pub const SLOTS_PROVISIONED: &str = "SlotsProvisioned";
    pub const ACCEPTED: &str = "Accepted";
    pub const FAILOVER_CONFIGURED: &str = "FailoverConfigured";
    pub const FAILED_OVER: &str = "FailedOver";
    pub const DATABASE_WRITABLE: &str = "DatabaseWritable";
    pub const CLOCK_IN_SYNC: &str = "ClockInSync";
    pub const EXCLUSIVE_CONTROL: &str = "ExclusiveControl";
    pub const INSECURE_TLS: &str = "InsecureTLS";

    pub const SLOT_RESERVED: &str = "SlotReserved";
    pub const SPACE_OPEN: &str = "SpaceOpen";
    pub const CALL_PRESENT: &str = "CallPresent";
    pub const PARTICIPANTS_DIALED: &str = "ParticipantsDialed";
    pub const SETTINGS_APPLIED: &str = "SettingsApplied";
    pub const END_WARNED: &str = "EndWarned";
    pub const ACCESS_METHODS_APPLIED: &str = "AccessMethodsApplied";
    pub const SLOT_RELEASED: &str = "SlotReleased";

    pub const OCCURRENCES_CREATED: &str = "OccurrencesCreated";
    pub const OCCURRENCES_BOOKED: &str = "OccurrencesBooked";
    pub const EXCEPTIONS_MATCHED: &str = "ExceptionsMatched";
}

/// One reason: condition type, reason, what it means, what to do.
pub struct ReasonDoc {
    pub condition: &'static str,
    pub reason: &'static str,
    pub meaning: &'static str,
    pub remedy: &'static str,
}

macro_rules! reasons {
    ($table:ident : $( $konst:ident = $reason:literal ($($condition:ident),+) $meaning:literal => $remedy:literal; )*) => {
        $( pub const $konst: &str = $reason; )*
        /// Every reason with its conditions, in the order of the README.
        pub const $table: &[ReasonDoc] = &[
            $( $( ReasonDoc { condition: types::$condition, reason: $reason, meaning: $meaning, remedy: $remedy }, )+ )*
        ];
    };
}

/// Reasons of a MeetingBridge.
pub mod bridge {
    use super::{ReasonDoc, types};

    reasons! { TABLE:
        PROGRESSING = "Progressing" (READY, RECONCILING) "The bridge is being set up; nothing is wrong so far." => "Wait; the other conditions say how far it is.";
        SUSPENDED = "Suspended" (READY) "spec.suspend is true: only probes go on." => "Set spec.suspend to false.";
        DELETING = "Deleting" (READY, RECONCILING) "What this object made on the bridge is being removed." => "Wait. If the bridge will never answer again, set the annotation meeting-controller.dev/force-delete=true.";
        REJECTED = "Rejected" (READY) "The bridge rejected a request; the message says which parameter or object it minds." => "Correct what the message names (often a field of spec.profiles); it is tried again every minute at least.";
        ADDRESS_CHANGE_DEFERRED = "AddressChangeDeferred" (READY) "spec.address names another cluster, but meetings still hold slots on the former one. They go on and are shut there; new credentials are not sent there." => "Wait until they are over; scheduling.allowBooking: false lets no new ones come. A former cluster that does not answer is not waited for.";
        DNS_FAILURE = "DNSFailure" (REACHABLE) "The host name cannot be resolved." => "Correct spec.address, or the cluster's DNS.";
        ADDRESS_REFUSED = "AddressRefused" (REACHABLE) "No bridge may have that address: loopback, link-local, a cloud's metadata service, multicast, or the API server's own. Nothing is sent there." => "Correct spec.address, or what its name resolves to. If a bridge really is there, let whoever runs the controller allow it (--allow-address).";
        PROXY_FAILURE = "ProxyFailure" (REACHABLE) "The proxy cannot be reached, or gives no connection to the bridge." => "Let whoever runs the controller check --bridge-proxy and what the proxy allows, or except the bridge from it (--bridge-no-proxy).";
        CONNECT_TIMEOUT = "ConnectTimeout" (REACHABLE) "No answer to the connection." => "Check routes and firewalls between the cluster and spec.address.";
        CONNECTION_REFUSED = "ConnectionRefused" (REACHABLE) "Nothing listens on that port." => "Correct the port in spec.address (MMP command webadmin), or start the call bridge.";
        TLS_FAILURE = "TLSFailure" (REACHABLE) "The certificate is not trusted, does not fit the name, has expired, or TLS versions differ." => "Set tls.caBundleRef to its authority or to the certificate itself, tls.serverName if it has another name; one without subject alternative names must be made anew, or be in tls.caBundleRef itself.";
        HTTP_ERROR = "HTTPError" (REACHABLE) "The connection works but requests fail: time-outs, 5xx replies or a lost connection." => "Look at the bridge's event log; a proxy in between may answer in its place.";
        SECRET_NOT_FOUND = "SecretNotFound" (CREDENTIALS_VALID) "The Secret of credentialsSecretRef (or the CA bundle) does not exist." => "Create it in the namespace of the MeetingBridge.";
        SECRET_NOT_LABELLED = "SecretNotLabelled" (CREDENTIALS_VALID) "The controller runs with --require-secret-label, and the Secret is not labelled for this use." => "Let the owner of the Secret set meeting-controller.dev/use=credentials.";
        SECRET_UNREADABLE = "SecretUnreadable" (CREDENTIALS_VALID) "The apiserver does not give the Secret (or the CA bundle) to the controller: a missing right, a policy, or it fails; the message says which." => "Grant the rights of deploy/base/rbac.yaml, or look at the apiserver; it is tried again every few seconds.";
        UNREADABLE = "Unreadable" (READY) "This version of the controller cannot read the object, because a newer one or another schema let it in; the message says what it minds. As long as the controller runs, the bridge is looked after as it was read last. After a restart nothing is done on it: its meetings are neither opened nor shut." => "Correct the field, or install the version and the CRDs that it was written for.";
        FINALIZER_REFUSED = "FinalizerRefused" (READY) "The apiserver refuses to add or remove the controller's finalizer: missing rights, a policy, a webhook, or it fails; the message says which. Without it nothing is begun for this object; what was begun goes on." => "Change the right, policy or webhook that the message names; it is tried again.";
        KEY_MISSING = "KeyMissing" (CREDENTIALS_VALID) "The Secret lacks a key." => "Add username and password (or the key of tls.caBundleRef).";
        UNAUTHORIZED = "Unauthorized" (CREDENTIALS_VALID) "The bridge answered 401." => "Correct the password in the Secret; it is tried again as soon as the Secret changes, otherwise after 15 minutes, so that no account is locked.";
        NEW_CREDENTIALS_REFUSED = "NewCredentialsRefused" (CREDENTIALS_VALID) "The Secret was changed, and the bridge refuses what it holds now. The credentials before still work and are used, so meetings go on; the controller has them in memory only, and a restart of it would go by the Secret." => "Give the user on the bridge the new password, or put the former one back into the Secret; the new one is tried again after 15 minutes, when the Secret holds another one, when the annotation reconcile-requested-at asks for it, and when the former one works no more.";
        FORBIDDEN = "Forbidden" (CREDENTIALS_VALID) "The bridge answered 403." => "Give the bridge user the role api.";
        NOT_A_CMS = "NotACMS" (RECOGNIZED) "What answers is not a Cisco Meeting Server." => "Correct spec.address: it must be the Web Admin interface.";
        MALFORMED_REPLY = "MalformedReply" (RECOGNIZED) "A reply could not be understood." => "Look for a proxy in between; report the bridge's version.";
        VERSION_TOO_OLD = "VersionTooOld" (RECOGNIZED) "The software is older than 2.0 and knows no nonMemberAccess." => "Upgrade the bridge.";
        DIAL_NUMBER_CONFIGURATION_ERROR = "DialNumberConfigurationError" (DIAL_NUMBERS_CONFIGURED) "slots.domain, slots.base or slots.quantity is missing; the message lists which." => "Set the missing fields.";
        BLANK_SYSTEM_NAME = "BlankSystemName" (SYSTEM_NAMED) "spec.displayName is empty. A warning; nothing is blocked." => "Set spec.displayName.";
        PENDING = "Pending" (SLOTS_PROVISIONED) "The slots are being made." => "Wait.";
        URI_CONFLICT = "UriConflict" (SLOTS_PROVISIONED) "Numbers are already the URI of something else on the bridge, so that no slot could be made; the message names it." => "Free the numbers there, or choose another slots.base.";
        CALL_ID_CONFLICT = "CallIdConflict" (SLOTS_PROVISIONED) "Numbers are already the call id of something else on the bridge, so that no slot could be made; the message names it." => "Free the numbers there, or choose another slots.base.";
        RANGE_INVALID = "RangeInvalid" (SLOTS_PROVISIONED) "The bridge rejects the range." => "Correct slots.base and slots.quantity.";
        RANGE_TOO_GREAT = "RangeTooGreat" (SLOTS_PROVISIONED) "The bridge makes fewer spaces at once." => "Lower slots.quantity.";
        RANGE_SCATTERED = "RangeScattered" (SLOTS_PROVISIONED) "The free numbers lie between those of others in more pieces than can be remembered (1000); those that are made work." => "Choose a range that nobody else uses.";
        RESIZE_DEFERRED = "ResizeDeferred" (SLOTS_PROVISIONED) "Slots outside the new range are still held by meetings; they go when these have ended." => "Wait, or end the meetings.";
        SYNC_FAILED = "SyncFailed" (SLOTS_PROVISIONED) "The bridge could not make the spaces." => "Look at the bridge's event log; it is tried again.";
        ALREADY_CLUSTER_MEMBER = "AlreadyClusterMember" (ACCEPTED) "Another MeetingBridge already owns this cluster: it was accepted there before, or both are new and it is older. The message names it if it is in the same namespace." => "Delete one of the two.";
        ALTERNATE_NOT_IN_CLUSTER = "AlternateNotInCluster" (FAILOVER_CONFIGURED) "An alternate is no call bridge of this cluster; the message names it. It is not used." => "Correct failover.alternates: an address or a name that status.cluster.members shows.";
        ALTERNATE_CREDENTIALS_INVALID = "AlternateCredentialsInvalid" (FAILOVER_CONFIGURED) "The Secret of an alternate is missing or incomplete, or the alternate rejects it or does not allow its user the requests; the message names it and says which. It is not used; one that was in use goes on with the credentials before if its Secret is missing." => "Correct the Secret, or give the user the role api; every call bridge has users of its own.";
        ALTERNATE_IS_PRIMARY = "AlternateIsPrimary" (FAILOVER_CONFIGURED) "An alternate is the call bridge of spec.address itself." => "Remove it from failover.alternates.";
        ALTERNATES_UNPROVEN = "AlternatesUnproven" (FAILOVER_CONFIGURED) "Unknown: nothing has proven yet that the alternates which the message names are call bridges of this cluster. They are not used so far." => "Wait; if it stays, look at status.callBridges: they do not answer.";
        MAINTENANCE = "Maintenance" (FAILED_OVER) "Another call bridge of the cluster gets the requests, because the primary is in maintenance. Nothing is blocked." => "Take it out of spec.maintenance when the work is done. With failback Manual, ask for the return with the annotation meeting-controller.dev/failback-requested-at.";
        MAINTENANCE_UNKNOWN = "MaintenanceUnknown" (FAILOVER_CONFIGURED) "spec.maintenance names what is none of the call bridges that are used; the message says which." => "Write a name that status.cluster.members shows or an address of status.callBridges.";
        MAINTENANCE_WAITS = "MaintenanceWaits" (FAILOVER_CONFIGURED) "The call bridge that gets the requests is in maintenance, but no other one is good: meetings still start there." => "Mend another call bridge, or name one under failover; do not switch this one off before.";
        PRIMARY_LOST = "PrimaryLost" (FAILED_OVER) "Another call bridge of the cluster gets the requests; the message says which, and what is wrong with the primary. Nothing is blocked." => "Mend the primary. With failback Manual, ask for the return with the annotation meeting-controller.dev/failback-requested-at.";
        NO_DATABASE_PRIMARY = "NoDatabasePrimary" (DATABASE_WRITABLE) "The cluster's database takes no writes." => "Restore the database cluster; what is due is done the moment writes return.";
        SKEW = "Skew" (CLOCK_IN_SYNC) "The bridge's clock is off by more than 30 seconds. A warning: meetings follow the controller's clock." => "Set NTP on both sides.";
        SETTINGS_PENDING = "SettingsPending" (SETTINGS_APPLIED) "spec.profiles asks for what keeps people out (sipMediaEncryption required, recordingMode or streamingMode disabled, needsActivation true), and the bridge has not shown it since it was written. No door opens by its profiles until it has; meetings that run go on." => "Wait; if it lasts, look at the other conditions.";
        SETTINGS_REFUSED = "SettingsRefused" (READY, SETTINGS_APPLIED) "The bridge does not show a field of spec.profiles that keeps people out as it was written; the message says which. No door opens by its profiles; meetings that run go on." => "Update the bridge's software, or take the field out of spec.profiles; it is looked at again every few minutes.";
        FOREIGN_CHANGES = "ForeignChanges" (EXCLUSIVE_CONTROL) "Somebody else opened or renamed a slot. It is left alone and not used." => "Close it by hand and give it its placeholder name; then it is used again. Stop the other scheduler.";
        TUG_OF_WAR = "TugOfWar" (EXCLUSIVE_CONTROL, SLOTS_PROVISIONED) "Others change something of ours again and again; the message says what. It was put back three times. A profile is left as it is now; a slot that is opened is still shut, once a minute at most, and slots that are deleted are made again every five minutes at most." => "Stop the other side: Cisco TMS or another installation on the same numbers, or a script. Then edit the object or ask it to reconcile; otherwise it is tried again after 30 quiet minutes.";
        VERIFICATION_OFF = "VerificationOff" (INSECURE_TLS) "tls.insecureSkipVerify is true: the bridge's certificate is not checked." => "Use tls.caBundleRef instead.";
        RETRYING = "Retrying" (RECONCILING) "Something failed and is tried again; Ready says what." => "See the reason of Ready.";
    }
}

/// Reasons of a ScheduledMeeting.
pub mod meeting {
    use super::{ReasonDoc, types};

    reasons! { TABLE:
        PROGRESSING = "Progressing" (READY, RECONCILING, ACCEPTED, SLOT_RESERVED) "Work is under way and nothing has failed." => "Wait.";
        SUSPENDED = "Suspended" (READY) "spec.suspend of the meeting or of its bridge is true." => "Set it to false.";
        OBSERVE_ONLY = "ObserveOnly" (READY, SPACE_OPEN) "The bridge has managementPolicy Observe: nothing is written there." => "Set managementPolicy to Enforce.";
        UNREADABLE = "Unreadable" (READY, ACCEPTED) "This version of the controller cannot read the object, because a newer one or another schema let it in; the message says what it minds. It is neither booked nor opened, and nobody is dialled; what it has booked stays its own, and an open door is shut at the end that was agreed." => "Correct the field, or install the version and the CRDs that it was written for.";
        FINALIZER_REFUSED = "FinalizerRefused" (READY, ACCEPTED) "The apiserver refuses to add or remove the controller's finalizer: missing rights, a policy, a webhook, or it fails; the message says which. Without it nothing is booked; what was booked goes on." => "Change the right, policy or webhook that the message names; it is tried again.";
        MISSED = "Missed" (READY) "The window passed without the door being opened." => "Book the meeting again; the last message of SpaceOpen says what was in the way.";
        BRIDGE_NOT_FOUND = "BridgeNotFound" (ACCEPTED) "The bridge does not exist, or no bridge fits. Without bridgeRef only bridges of the meeting's namespace and of the namespaces in --shared-bridges-in are looked at." => "Create it, correct bridgeSelector, or name a bridge of another namespace by bridgeRef.";
        BRIDGE_NOT_ALLOWED = "BridgeNotAllowed" (ACCEPTED) "The bridge is not accepted itself; or it is in another namespace, and there is none of this name or it does not allow meetings of this namespace." => "Correct bridgeRef, or change allowedNamespaces of the bridge.";
        BOOKING_DISABLED = "BookingDisabled" (ACCEPTED) "scheduling.allowBooking of the bridge is false." => "Use another bridge, or allow booking.";
        NO_FREE_SLOT = "NoFreeSlot" (ACCEPTED, SLOT_RESERVED) "Every slot is reserved during some part of the window." => "Choose another time or bridge, or raise slots.quantity; it is tried again when a booking goes.";
        INCOMING_DIALING_DISABLED = "IncomingDialingDisabled" (ACCEPTED) "A participant dials in, but scheduling.allowIncomingSIP of the bridge is false." => "Use dial: Out, or allow incoming SIP.";
        EXTENSION_CONFLICT = "ExtensionConflict" (SLOT_RESERVED) "The slot is reserved for somebody else in the added time; the old end stands." => "Move the other meeting, or accept the old end.";
        EXTENSION_NOT_ALLOWED = "ExtensionNotAllowed" (SLOT_RESERVED) "The bridge is not open to this meeting any more: allowedNamespaces, labels or a grant changed while it ran. The old end stands." => "Open the bridge to the namespace again, or book the rest on another bridge.";
        START_MOVED = "StartMoved" (READY, SLOT_RESERVED) "The start was moved to later while people are in the meeting. The window agreed before, which status.window shows, stands until they have left or it ends; then the new one is booked." => "Wait, or ask the people to leave; nothing is reserved for the new time before.";
        NOT_YET = "NotYet" (SPACE_OPEN, CALL_PRESENT, PARTICIPANTS_DIALED, SETTINGS_APPLIED, ACCESS_METHODS_APPLIED, END_WARNED, SLOT_RELEASED) "It is not time yet." => "Nothing.";
        CLOSED = "Closed" (SPACE_OPEN, SETTINGS_APPLIED, ACCESS_METHODS_APPLIED, END_WARNED) "The meeting is over and the door is shut." => "Nothing.";
        BRIDGE_UNREACHABLE = "BridgeUnreachable" (SPACE_OPEN) "The bridge does not answer, or rejects the credentials." => "Look at the conditions of the MeetingBridge.";
        SPACE_MISSING = "SpaceMissing" (SPACE_OPEN) "The slot's space does not exist on the bridge." => "It is made again; look at SlotsProvisioned of the MeetingBridge.";
        PASSCODE_UNAVAILABLE = "PasscodeUnavailable" (SPACE_OPEN, ACCESS_METHODS_APPLIED) "The Secret or key of the passcode, or of that of an access method, is missing or empty, or it lacks the label that --require-secret-label asks for; the door stays shut until it is there. A door that is open stays as it is." => "Create the Secret of passcodeSecretRef with that key; where the label is required, set meeting-controller.dev/use=passcode.";
        JOIN_SECRET_CONFLICT = "JoinSecretConflict" (READY, SPACE_OPEN) "The Secret for the join details, <meeting>-join, is somebody else's. It is not touched; the door stays shut, because nobody would know how to get in." => "Delete or rename that Secret, or give the meeting another name.";
        JOIN_SECRET_REFUSED = "JoinSecretRefused" (READY, SPACE_OPEN) "The apiserver refuses the Secret for the join details: a quota, a policy, missing rights, or it is immutable; the message says which. The door stays shut until it is written, unless what is there still lets people in." => "Raise the quota, or change the policy or the rights; it is tried again every minute.";
        JOIN_SECRET_UNAVAILABLE = "JoinSecretUnavailable" (READY, SPACE_OPEN) "The Secret with the join details or the one with the passcode cannot be read or written, because the apiserver does not answer or fails." => "Look at the apiserver; it is tried again.";
        TUG_OF_WAR = "TugOfWar" (READY, SPACE_OPEN, ACCESS_METHODS_APPLIED) "Others change the open door, or delete an access method, again and again; it was put back three times. If they shut it, it is left shut; so is a way in that they delete. If they change passcode or secret, the right one is put back once a minute at most, because it lets strangers in." => "Stop the other side: Cisco TMS, another installation, or a script on the same slots. Then edit the meeting or ask it to reconcile; otherwise it is tried again after 30 quiet minutes.";
        PASSCODE_REJECTED = "PasscodeRejected" (SPACE_OPEN) "The bridge does not accept the passcode." => "Use digits, and as many as the bridge's dialInSecurityProfile wants.";
        BUSY = "Busy" (SPACE_OPEN) "The bridge answered busy or failed; it is tried again." => "Look at the load of the bridge.";
        REJECTED = "Rejected" (SPACE_OPEN) "The bridge rejected the request; the message says why." => "Correct what the message names.";
        ENDED = "Ended" (CALL_PRESENT) "The meeting is over and the call is gone." => "Nothing.";
        BRIDGE_LOST = "BridgeLost" (READY, CALL_PRESENT) "The call bridge that held the call is lost." => "With runningMeetings Recreate the call is made again on another call bridge; with Leave, wait for the return of the call bridge.";
        ENDED_BY_OTHERS = "EndedByOthers" (READY, CALL_PRESENT) "Somebody ended the call again and again; it is not made again, and nobody is dialled any more. The door stays open until the end." => "Nothing, if that was meant. Any edit of the spec makes the call again.";
        CALL_FAILED = "CallFailed" (CALL_PRESENT) "The call could not be made; it is tried again." => "The message says why.";
        DIALING = "Dialing" (PARTICIPANTS_DIALED) "Somebody is being dialled, or will be again." => "Wait.";
        OUTGOING_DIALING_DISABLED = "OutgoingDialingDisabled" (PARTICIPANTS_DIALED) "scheduling.allowOutgoingSIP of the bridge is false: nobody is dialled." => "Let them dial in, or allow outgoing SIP.";
        SOME_FAILED = "SomeFailed" (PARTICIPANTS_DIALED) "Every try failed for somebody; status.participants says for whom." => "Look at the outbound dial plan rules of the bridge and at the endpoint.";
        SETTINGS_MISSING = "SettingsMissing" (READY, SPACE_OPEN) "A setting that keeps people out of something (encryption Required, recording or streaming Off, guests who wait for a host), of the meeting or of spec.profiles of its MeetingBridge, is not on the bridge yet; the door stays shut until it is." => "Look at SettingsApplied, and at the conditions of the MeetingBridge, which has a SettingsApplied of its own. Without the setting the door opens.";
        SETTINGS_PENDING = "SettingsPending" (SETTINGS_APPLIED) "The profiles for the settings are not on the bridge yet, or not in the space. The door is open with those of the bridge, unless a setting keeps it shut." => "Wait; if it lasts, look at the conditions of the MeetingBridge.";
        SETTINGS_REFUSED = "SettingsRefused" (SETTINGS_APPLIED) "The bridge refuses a profile for the settings; the message says why. The door is open with the profile of the bridge, or with one of what keeps people out and no more, unless a setting keeps it shut." => "Change the settings, or ask the MeetingBridge to reconcile after the bridge was mended.";
        WARNING_NOT_SHOWN = "WarningNotShown" (END_WARNED) "The last warning before the end was not shown, or not in every call of the meeting; the message says why. It is not made up for, since it would not be true any more; door, call and end are as agreed." => "Mend what the message names; the next warning is tried by itself.";
        UNSUPPORTED_SETTING = "UnsupportedSetting" (SETTINGS_APPLIED, END_WARNED) "The version of the bridge does not know some of the settings, which the message names; they were not sent. All others are applied." => "Leave them out, or book on another bridge.";
        PASSCODES_EQUAL = "PasscodesEqual" (SPACE_OPEN, ACCESS_METHODS_APPLIED) "Two ways into the meeting have the same passcode, so that nobody could tell a host from a guest. The door stays shut; one that is open stays as it is." => "Give each access method a passcode of its own, other than that of the meeting.";
        ACCESS_UNSUPPORTED = "AccessUnsupported" (READY, SPACE_OPEN, ACCESS_METHODS_APPLIED) "The bridge is older than CMS 2.9, whose access methods have no name by which ours are told from others; none is made. If there is one for hosts the door stays shut, because guests would get in without one." => "Take accessMethods out of the spec, or book on another bridge.";
        ACCESS_PENDING = "AccessPending" (READY, ACCESS_METHODS_APPLIED) "The access methods are not all on the bridge yet, or not as they should be: their profiles are being made, or the bridge does not answer. Who knows only a passcode of theirs does not get in so far." => "Wait; if it lasts, look at the conditions of the MeetingBridge.";
        ACCESS_REFUSED = "AccessRefused" (READY, ACCESS_METHODS_APPLIED) "The bridge refuses an access method or its profile, or another access method of the slot has its passcode; the message says which. Everything else of the meeting goes on." => "Change the passcode or the settings of the access method; it is tried again.";
        LEFT_BEHIND = "LeftBehind" (READY, SLOT_RELEASED) "The meeting is over, but nobody shut its door: its bridge was set to Observe, or its MeetingBridge was gone." => "Shut the slot on the bridge by hand, or let a MeetingBridge with managementPolicy Enforce do it: it shuts what carries our mark.";
        RESET_PENDING = "ResetPending" (SLOT_RELEASED) "The slot is to be shut but that is not proven yet." => "If it lasts, look at the MeetingBridge; the slot is shut as soon as the bridge answers.";
        RETRYING = "Retrying" (RECONCILING) "Something failed and is tried again; Ready says what." => "See the reason of Ready.";
    }

    /// Reasons of conditions that are True and tell how.
    pub const CREATED: &str = "Created";
    pub const ADOPTED: &str = "Adopted";
    pub const RECREATED: &str = "Recreated";
    pub const TAKEN_OVER: &str = "TakenOver";
}

/// Reasons of a MeetingSeries.
pub mod series {
    use super::{ReasonDoc, types};

    reasons! { TABLE:
        PROGRESSING = "Progressing" (READY, RECONCILING, OCCURRENCES_CREATED, OCCURRENCES_BOOKED) "Occurrences are being made or booked, and nothing has failed; or somebody else wrote one in the moment in which it was to be changed or deleted, and it is decided anew at once. The message says which." => "Wait. If it stays so, somebody writes that meeting again and again, or the apiserver answers every write of it with a conflict.";
        SUSPENDED = "Suspended" (OCCURRENCES_CREATED) "spec.suspend is true: no occurrence is made, changed or deleted; those that are there go on." => "Set it to false. What was not made meanwhile and is over is not made up for.";
        UNREADABLE = "Unreadable" (READY, ACCEPTED) "This version of the controller cannot read the object, because a newer one or another schema let it in; the message says what it minds. Its occurrences stay as they are." => "Correct the object, or run the version of the controller that goes with its CRDs.";
        INVALID_RECURRENCE = "InvalidRecurrence" (READY, ACCEPTED) "The recurrence names no day within 100 years of its start, such as 30 February. What was made before stays as it is." => "Correct spec.recurrence.";
        UNKNOWN_TIME_ZONE = "UnknownTimeZone" (READY, ACCEPTED) "spec.timeZone is no IANA name that the controller knows. What was made before stays as it is." => "Write it like Europe/Berlin; a zone that is new needs a newer controller, which has the zone data in it.";
        NAME_TAKEN = "NameTaken" (READY, OCCURRENCES_CREATED) "A ScheduledMeeting of the name of an occurrence is somebody else's; the message names it. It is not touched." => "Delete or rename it; the occurrence is made then.";
        CREATION_REFUSED = "CreationRefused" (READY, OCCURRENCES_CREATED) "The apiserver does not let an occurrence be made, changed or deleted: a quota, a policy, a webhook or missing rights; the message says which. What is to go still goes first, and the other occurrences are tried as well, until five of one sort are refused in a row." => "Mend what the message names; it is tried again by itself.";
        OCCURRENCE_REFUSED = "OccurrenceRefused" (READY, OCCURRENCES_BOOKED) "An occurrence has no slot, or it is held as it was booked before since a change of it is refused. The message names it and its reason. The others are booked." => "Move or skip it by spec.exceptions, or mend what the reason says; it is booked by itself when it can be.";
        NO_SUCH_OCCURRENCE = "NoSuchOccurrence" (EXCEPTIONS_MATCHED) "An exception names a local time at which the recurrence has no occurrence, or one that lies more than ten years beyond the horizon; status.unmatchedExceptions says which. A warning; nothing is blocked." => "Correct its occurrence: the date (the year) and time by the rule, not by an exception.";
        RETRYING = "Retrying" (RECONCILING) "Something failed and is tried again; Ready says what." => "See the reason of Ready.";
    }
}

#[cfg(test)]
mod tests;
