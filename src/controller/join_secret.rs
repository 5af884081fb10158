//! The join Secret of a meeting and its passcode: read, made, kept, removed. What is in it never leaves here but as a
//! `SecretString`.

mod invite;
mod made;

use std::collections::BTreeMap;

use invite::Invite;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Resource, ResourceExt};
pub use made::{MadeFrom, WebLinks, hear, is_inviting, is_stale, is_withdrawn};
use made::{WITHDRAWN, basis};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::api::ScheduledMeeting;
use crate::api::meeting::PasscodeSecretRef;
use crate::api::names::{JOIN_LABEL, MADE_FROM_ANNOTATION, USE_PASSCODE, join_secret_name};
use crate::cms::Space;
use crate::controller::context::Context;
use crate::controller::kube_calls::KubeError;
use crate::plan::meeting::{JoinSecrets, MethodSecrets};
use crate::plan::window::Window;

/// What the join Secret says besides secret and passcode.
pub struct Details {
    /// The meeting's mark.
    pub mark: String,
    pub number: u32,
    pub uri: Option<String>,
    /// When it is, as agreed upon.
    pub window: Window,
    pub web: Option<WebLinks>,
}

/// Versions of the Secrets that passcodes were read from, by name; empty: there is none.
type Versions = BTreeMap<String, String>;

/// What the bridge shows of a meeting whose objects were restored while it ran.
pub struct Adopted {
    /// The space with the meeting's mark.
    pub space: Space,
    /// The secrets of its access methods, by their name in the spec.
    pub methods: BTreeMap<String, SecretString>,
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// What somebody typed: without blanks around it, and without the byte order mark that editors put in front.
fn typed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// The passcode that a reference names; None: its Secret or key is missing, or it may not be sent to a bridge.
async fn passcode_of(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    reference: &PasscodeSecretRef,
    versions: &mut Versions,
) -> Result<Option<SecretString>, KubeError> {
    let secrets = secrets_of(ctx, meeting);
    let secret = ctx.calls_for(meeting).bounded("get Secret", secrets.get_opt(&reference.name)).await?;
    // The join Secret of another meeting is in no store to be compared with.
    let is_comparable = |secret: &&Secret| !secret.labels().contains_key(JOIN_LABEL);
    let version = secret.as_ref().filter(is_comparable).and_then(ResourceExt::resource_version).unwrap_or_default();
    versions.insert(reference.name.clone(), version);
    let allowed = secret.filter(|secret| ctx.may_send(secret, USE_PASSCODE));
    let passcode = allowed.and_then(|secret| text(&secret, &reference.key)).map(|text| typed(&text).to_owned());
    // Who names a Secret wants a passcode: an empty one is as good as none, and the door stays shut.
    Ok(passcode.filter(|passcode| !passcode.is_empty()).map(SecretString::from))
}

/// What the join Secret calls something of an access method.
fn of_method(name: &str, what: &str) -> String {
    format!("access.{name}.{what}")
}

/// Passcodes and secrets of the access methods.
async fn methods(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    existing: Option<&Secret>,
    (adopted, at_hand): (Option<&Adopted>, Option<&JoinSecrets>),
    versions: &mut Versions,
) -> Result<BTreeMap<String, MethodSecrets>, KubeError> {
    let mut found = BTreeMap::new();
    for method in &meeting.spec.access_methods {
        let wanted = passcode_of(ctx, meeting, &method.passcode_secret_ref, versions).await?;
        let passcode = wanted.or_else(|| kept_passcode(meeting, existing, &of_method(&method.name, "passcode")));
        let stored = existing.and_then(|secret| text(secret, &of_method(&method.name, "secret")));
        let known = at_hand.and_then(|secrets| secrets.methods.get(&method.name));
        let known = || known.map(|method| method.secret.expose_secret().to_owned());
        let shown = || adopted.and_then(|adopted| non_empty(adopted.methods.get(&method.name)));
        let secret = stored.filter(|secret| !secret.is_empty()).or_else(shown).or_else(known);
        let secret = SecretString::from(secret.unwrap_or_else(|| Uuid::new_v4().to_string()));
        found.insert(method.name.clone(), MethodSecrets { secret, passcode });
    }
    Ok(found)
}

fn non_empty(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned()).filter(|secret| !secret.is_empty())
}

/// The passcode that the spec asks for; None: its Secret or key is missing, or it may not be sent to a bridge.
async fn wanted_passcode(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    existing: Option<&Secret>,
    (adopted, at_hand): (Option<&Adopted>, Option<&JoinSecrets>),
    methods: &BTreeMap<String, MethodSecrets>,
    versions: &mut Versions,
) -> Result<Option<SecretString>, KubeError> {
    if let Some(reference) = &meeting.spec.passcode_secret_ref {
        return passcode_of(ctx, meeting, reference, versions).await;
    }
    if let Some(spec) = &meeting.spec.passcode {
        let on_door = || Some(adopted?.space.passcode.as_ref()?.expose_secret().to_owned());
        let in_memory = || Some(at_hand?.passcode.as_ref()?.expose_secret().to_owned());
        let known = existing.and_then(|secret| text(secret, "passcode")).or_else(on_door).or_else(in_memory);
        let digits = usize::from(spec.generate.digits);
        let passcode = known.filter(|p| p.len() == digits).unwrap_or_else(|| new_passcode(digits, methods));
        return Ok(Some(SecretString::from(passcode)));
    }
    Ok(Some(SecretString::from(String::new())))
}

/// What opened the door stays good as long as it is open, whatever became of the Secret that it came from.
fn kept_passcode(meeting: &ScheduledMeeting, existing: Option<&Secret>, key: &str) -> Option<SecretString> {
    let status = meeting.status.as_ref()?;
    let is_open = status.opened_at.is_some() && status.phase.unwrap_or_default().is_live();
    let known = existing.filter(|_| is_open).and_then(|secret| text(secret, key));
    known.filter(|passcode| !passcode.is_empty()).map(SecretString::from)
}

/// A random passcode that is none of an access method's: nobody could tell a host from a guest.
fn new_passcode(digits: usize, methods: &BTreeMap<String, MethodSecrets>) -> String {
    let passcodes = || methods.values().filter_map(|method| method.passcode.as_ref());
    loop {
        let drawn = random_digits(digits);
        // Of the ten thousand that four digits allow, access methods have no more than a handful.
        if passcodes().all(|taken| taken.expose_secret() != drawn) {
            return drawn;
        }
    }
}

fn random_digits(count: usize) -> String {
    let mut rng = rand::rng();
    (0..count).map(|_| char::from(b'0' + rng.random_range(0..10_u8))).collect()
}

/// Why the join details are not in their Secret.
pub enum Unwritten {
    /// Somebody else's Secret has the name.
    Taken,
    /// It is gone, and what it said can be seen on the bridge only, which cannot be asked.
    Lost,
    /// The apiserver refused or failed.
    Kube(KubeError),
    /// It says what lets people in, but the rest of it is old, and the apiserver refuses to have it changed: an immutable
    /// Secret, a policy.
    Outdated(JoinSecrets, KubeError),
}

impl From<KubeError> for Unwritten {
    fn from(error: KubeError) -> Self {
        Self::Kube(error)
    }
}

fn secrets_of(ctx: &Context, meeting: &ScheduledMeeting) -> Api<Secret> {
    ctx.kube.api(&meeting.namespace().unwrap_or_default())
}

/// Whatever has the name of its join Secret.
async fn read(ctx: &Context, meeting: &ScheduledMeeting) -> Result<Option<Secret>, KubeError> {
    let (api, name) = (secrets_of(ctx, meeting), join_secret_name(&meeting.name_any()));
    ctx.calls_for(meeting).bounded("get join Secret", api.get_opt(&name)).await
}

async fn replace(ctx: &Context, meeting: &ScheduledMeeting, secret: &Secret) -> Result<(), KubeError> {
    let (api, name) = (secrets_of(ctx, meeting), join_secret_name(&meeting.name_any()));
    let as_usual = PostParams::default();
    ctx.calls_for(meeting).write("replace join Secret", api.replace(&name, &as_usual, secret)).await.map(drop)
}

/// The join Secret of the meeting, if it is there.
pub async fn find(ctx: &Context, meeting: &ScheduledMeeting) -> Result<Option<Secret>, Unwritten> {
    let existing = read(ctx, meeting).await?;
    if existing.as_ref().is_some_and(|secret| whose(secret, meeting) == Whose::Strangers) {
        return Err(Unwritten::Taken);
    }
    Ok(existing)
}

/// Does the join Secret say all that nobody else knows: secret and generated passcode?
pub fn is_whole(meeting: &ScheduledMeeting, found: Option<&Secret>) -> bool {
    let has = |key| found.and_then(|secret| text(secret, key)).is_some_and(|text| !text.is_empty());
    has("secret") && (meeting.spec.passcode.is_none() || has("passcode"))
}

/// Secret and passcode of the meeting, stored in its join Secret before anything is sent to the bridge (R61).
///
/// A join Secret that was found is kept, so the space's secret is the same through retries, restarts, extensions and
/// failover. Without one, a space that already carries this meeting's mark lends its own secret, generated passcode and the
/// secrets of its access methods: the objects were restored.
pub async fn ensure(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    details: &Details,
    found: Option<Secret>,
    adopted: Option<&Adopted>,
) -> Result<JoinSecrets, Unwritten> {
    match try_to_ensure(ctx, meeting, details, found, adopted).await {
        // Somebody made or changed it since we looked: what is there now decides.
        Err(Unwritten::Kube(error)) if error.is_conflict() || error.is_already_there() => {
            let found = find(ctx, meeting).await?;
            try_to_ensure(ctx, meeting, details, found, adopted).await
        }
        other => other,
    }
}

async fn try_to_ensure(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    details: &Details,
    existing: Option<Secret>,
    adopted: Option<&Adopted>,
) -> Result<JoinSecrets, Unwritten> {
    let uid = meeting.uid().unwrap_or_default();
    let at_hand = ctx.secrets.get(&uid).0;
    let elsewhere = (adopted, at_hand.as_ref());
    let mut versions = Versions::new();
    let methods = methods(ctx, meeting, existing.as_ref(), elsewhere, &mut versions).await?;
    let wanted = wanted_passcode(ctx, meeting, existing.as_ref(), elsewhere, &methods, &mut versions).await?;
    let passcode = wanted.or_else(|| kept_passcode(meeting, existing.as_ref(), "passcode"));
    let known = existing.as_ref().and_then(|secret| text(secret, "secret")).filter(|secret| !secret.is_empty());
    let shown = non_empty(adopted.and_then(|adopted| adopted.space.secret.as_ref()));
    let at_hand = at_hand.map(|secrets| secrets.secret.expose_secret().to_owned());
    let secret = known.or(shown).or(at_hand).unwrap_or_else(|| Uuid::new_v4().to_string());
    let secrets = JoinSecrets { secret: SecretString::from(secret), passcode, methods };
    let mut desired = build(meeting, details, &secrets, existing.as_ref(), ctx.clock.now());
    let from = basis(details.web.as_ref(), &versions);
    desired.annotations_mut().insert(MADE_FROM_ANNOTATION.to_owned(), from.to_string());
    match existing {
        // That it would be made from something else is no reason to write it, as long as it says the same.
        Some(existing) if existing.data == desired.data && is_kept(&existing, meeting) => {}
        Some(existing) => {
            let says_enough = what_lets_in(&existing) == what_lets_in(&desired);
            let mut replaced = desired;
            replaced.metadata.resource_version = existing.metadata.resource_version;
            match replace(ctx, meeting, &replaced).await {
                Err(error) if says_enough && error.is_refusal() => return Err(Unwritten::Outdated(secrets, error)),
                replaced => replaced?,
            }
        }
        None => {
            let (api, as_usual) = (secrets_of(ctx, meeting), PostParams::default());
            ctx.calls_for(meeting).write("create join Secret", api.create(&as_usual, &desired)).await?;
        }
    }
    ctx.made_from.note(&uid, from);
    ctx.secrets.keep(&uid, secrets.clone());
    Ok(secrets)
}

/// Is it ours, and found by its label?
fn is_kept(secret: &Secret, meeting: &ScheduledMeeting) -> bool {
    let is_labelled = secret.labels().get(JOIN_LABEL).is_some_and(|value| value == "true");
    is_labelled && whose(secret, meeting) == Whose::Ours
}

/// Takes number, URI, links and invitation out of the join Secret: the meeting has no slot any more, and the number may be
/// somebody else's. What lets people in stays, so that invitations hold if it gets the slot again. False: there is none.
pub async fn withdraw(ctx: &Context, meeting: &ScheduledMeeting) -> Result<bool, Unwritten> {
    let ours = |secret: &Secret| whose(secret, meeting) == Whose::Ours;
    let Some(mut secret) = find(ctx, meeting).await?.filter(ours) else { return Ok(false) };
    let data = secret.data.get_or_insert_default();
    let before = data.len();
    data.retain(|key, _| lets_in(key));
    if data.len() < before {
        secret.annotations_mut().insert(MADE_FROM_ANNOTATION.to_owned(), WITHDRAWN.to_string());
        replace(ctx, meeting, &secret).await?;
    }
    ctx.made_from.note(&meeting.uid().unwrap_or_default(), WITHDRAWN);
    Ok(true)
}

fn what_lets_in(secret: &Secret) -> BTreeMap<&String, &ByteString> {
    secret.data.iter().flatten().filter(|(key, _)| lets_in(key)).collect()
}

/// Is it a secret or a passcode?
fn lets_in(key: &str) -> bool {
    let of_method = |what: &str| key.starts_with("access.") && key.ends_with(what);
    key == "secret" || key == "passcode" || of_method(".secret") || of_method(".passcode")
}

/// Whose a Secret with the name of a join Secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    /// We made it for a meeting of this name that is gone: restored from a backup, where owners are lost or dead.
    Orphaned,
    /// Never changed, and nothing in it is believed.
    Strangers,
}

fn whose(secret: &Secret, meeting: &ScheduledMeeting) -> Whose {
    let uid = meeting.uid();
    let owners = secret.owner_references();
    if owners.iter().any(|owner| Some(&owner.uid) == uid.as_ref()) {
        return Whose::Ours;
    }
    // There is one meeting of a name at a time, so another UID under ours is a dead one.
    let was_ours =
        |owner: &OwnerReference| owner.kind == ScheduledMeeting::kind(&()) && owner.name == meeting.name_any();
    let is_marked = secret.labels().get(JOIN_LABEL).is_some_and(|value| value == "true");
    let is_source = meeting.spec.passcode_secrets().contains(secret.name_any().as_str());
    if is_marked && !is_source && owners.iter().all(was_ours) { Whose::Orphaned } else { Whose::Strangers }
}

fn build(
    meeting: &ScheduledMeeting,
    details: &Details,
    secrets: &JoinSecrets,
    existing: Option<&Secret>,
    now: Timestamp,
) -> Secret {
    let link_with = |secret: &SecretString| Some(details.web.as_ref()?.link(details.number, secret.expose_secret()));
    let link = link_with(&secrets.secret);
    let passcode = secrets.passcode.as_ref().map(ExposeSecret::expose_secret);
    let invite = Invite {
        mark: &details.mark,
        title: &meeting.spec.title,
        window: details.window,
        number: details.number,
        uri: details.uri.as_deref(),
        link: link.as_deref(),
        passcode,
    };
    let before = existing.and_then(|secret| text(secret, "invite.ics"));
    let mut data = BTreeMap::new();
    let mut put = |key: &str, value: String| data.insert(key.to_owned(), ByteString(value.into_bytes()));
    put("number", details.number.to_string());
    put("secret", secrets.secret.expose_secret().to_owned());
    if let Some(uri) = &details.uri {
        put("uri", uri.clone());
    }
    if let Some(passcode) = passcode {
        put("passcode", passcode.to_owned());
    }
    if let Some(link) = &link {
        put("link", link.clone());
    }
    for (name, method) in &secrets.methods {
        put(&of_method(name, "secret"), method.secret.expose_secret().to_owned());
        if let Some(passcode) = &method.passcode {
            put(&of_method(name, "passcode"), passcode.expose_secret().to_owned());
        }
        if let Some(link) = link_with(&method.secret) {
            put(&of_method(name, "link"), link);
        }
    }
    // For guests: nothing of a host's is in it.
    put("invite.ics", invite.calendar(before.as_deref(), now));
    put("invite.txt", invite.text());
    Secret {
        metadata: ObjectMeta {
            name: Some(join_secret_name(&meeting.name_any())),
            namespace: meeting.namespace(),
            labels: Some(BTreeMap::from([(JOIN_LABEL.to_owned(), "true".to_owned())])),
            owner_references: meeting.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

/// Removes the join Secret: the link is dead (R75). Only ours, and only as it was when that was looked at.
///
/// # Errors
/// The apiserver's; a Secret that is gone already is fine.
pub async fn remove(ctx: &Context, meeting: &ScheduledMeeting) -> Result<(), KubeError> {
    let Some(secret) = read(ctx, meeting).await?.filter(|secret| whose(secret, meeting) == Whose::Ours) else {
        return Ok(());
    };
    ctx.calls_for(meeting).delete::<Secret>("delete join Secret", &secret.metadata).await
}

#[cfg(test)]
mod tests;
