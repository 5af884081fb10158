//! Writing spaces and their access methods, for requests and for hand edits alike (cms-protocol.md 6.1 to 6.3).

use super::Cluster;
use super::log::{Actor, DialOutcome, DoorEvent};
use super::names::{Holding, Wish};
use super::record::{Fields, Record};
use super::wall;
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Field, Kind, Version};
use crate::state::bridge::Direction;
use crate::switches::{OnClose, SecretAndRegenerate};

/// Checked parameters of a write: the attribute and its new value, none to unset it.
pub type Changes = Vec<(&'static Field, Option<String>)>;

/// A boolean parameter that is a command (`regenerateSecret`, `requireCallId`).
fn commanded(changes: &Changes, name: &str) -> bool {
    changes.iter().any(|(field, value)| field.name == name && value.as_deref() == Some("true"))
}

fn is_command(field: &Field) -> bool {
    matches!(field.name, "regenerateSecret" | "requireCallId" | "ownerAdGuid")
}

impl Cluster {
    /// The attributes of an object after a write.
    fn merged(&self, kind: Kind, old: Option<&Fields>, changes: &Changes) -> Fields {
        let mut fields = old.cloned().unwrap_or_default();
        for (field, value) in changes {
            if !is_command(field) {
                fields.set(field.name, value.clone().or_else(|| field.default.map(str::to_owned)));
            }
        }
        for field in kind.spec().fields {
            if field.known(self.version) {
                fields.set_default(field.name, field.default);
            }
        }
        fields
    }

    /// Gives a space or access method the secret and the call id it needs.
    fn complete(&mut self, fields: &mut Fields, changes: &Changes) {
        if commanded(changes, "requireCallId") && fields.get("callId").is_none() {
            let group = self.db.tenant_group(fields.get("tenant")).to_owned();
            // A thousand tries are enough for any database that fits into memory.
            for _ in 0..1000 {
                let call_id = self.ids.call_id();
                if self.db.names.ways_in(&Wish::call_id(&group, &call_id)).next().is_none() {
                    fields.set("callId", Some(call_id));
                    break;
                }
            }
        }
        let given = changes.iter().any(|(field, value)| field.name == "secret" && value.is_some());
        let both = self.switches.secret_and_regenerate;
        let again = commanded(changes, "regenerateSecret") && (!given || both == SecretAndRegenerate::RegenerateWins);
        if again || (fields.get("callId").is_some() && fields.get("secret").is_none()) {
            let secret = self.new_secret();
            fields.set("secret", Some(secret));
        }
    }

    fn new_secret(&mut self) -> String {
        let secret = self.ids.secret();
        if !self.switches.dotted_secrets {
            return secret;
        }
        let dotted = |(at, c)| if at == 5 || !char::is_ascii_alphanumeric(&c) { '.' } else { c };
        secret.chars().enumerate().map(dotted).collect()
    }

    /// The names that the methods of a space hold in a tenant group.
    fn holdings_of_methods(&self, space: &Id, group: &str) -> Vec<Holding> {
        let ids = self.db.children(Kind::AccessMethod, space).iter();
        let methods = ids.filter_map(|id| self.db.get(Kind::AccessMethod, id));
        methods.map(|method| holding(space, &method.id, &method.fields, group)).collect()
    }

    /// Takes the names that objects want, or says which is taken.
    fn claim_names(&mut self, wanted: Vec<Holding>) -> Result<(), Refusal> {
        self.db.names.claim(wanted).map_err(|taken| Refusal::Rule(taken.0))
    }

    /// `minPasscodeLength` of the dial-in security profile in force (6.3): access method, else space, else tenant, else
    /// system. `of` are the attributes of the space.
    fn check_passcode_policy(&self, fields: &Fields, of: &Fields) -> Result<(), Refusal> {
        if self.version < Version(3, 0) {
            return Ok(());
        }
        let Some(passcode) = fields.get("passcode") else { return Ok(()) };
        let profile = fields
            .get("dialInSecurityProfile")
            .or_else(|| of.get("dialInSecurityProfile"))
            .or_else(|| self.db.value(Kind::Tenant, of.get("tenant"), "dialInSecurityProfile"))
            .or_else(|| self.db.system_profiles.get("dialInSecurityProfile"));
        let least = self.db.value(Kind::DialInSecurityProfile, profile, "minPasscodeLength");
        match least.and_then(|text| text.parse::<usize>().ok()) {
            Some(least) if passcode.chars().count() < least => Err(Refusal::Rule("passcodeTooShort")),
            _ => Ok(()),
        }
    }

    /// Makes a space.
    pub fn create_space(&mut self, actor: Actor, changes: &Changes, origin: Option<&Id>) -> Result<Id, Refusal> {
        let mut fields = self.merged(Kind::CoSpace, None, changes);
        if self.switches.name_required && fields.get("name").is_none() {
            return Err(Refusal::parameter("name"));
        }
        self.check_passcode_policy(&fields, &fields)?;
        self.complete(&mut fields, changes);
        let id = self.ids.guid();
        let own = holding(&id, &id, &fields, self.db.tenant_group(fields.get("tenant")));
        self.claim_names(vec![own])?;
        let mut record = Record::new(id.clone(), None, fields);
        record.origin = origin.cloned();
        self.db.insert(Kind::CoSpace, record);
        self.mark_written(Kind::CoSpace, &id, actor, None);
        Ok(id)
    }

    /// Changes a space and says whether anything is different afterwards.
    pub fn modify_space(&mut self, actor: Actor, id: &Id, changes: &Changes) -> Result<bool, Refusal> {
        let missing = Refusal::Missing(Kind::CoSpace.spec().missing);
        let before = self.db.get(Kind::CoSpace, id).ok_or(missing)?.fields.clone();
        let mut after = self.merged(Kind::CoSpace, Some(&before), changes);
        if after.get("passcode") != before.get("passcode") {
            self.check_passcode_policy(&after, &after)?;
        }
        let is_tagged = before.get("cdrTag") != after.get("cdrTag");
        if is_tagged && before.is_true("autoGenerated") && matches!(actor, Actor::Api(_)) {
            return Err(Refusal::parameter("cdrTag"));
        }
        self.complete(&mut after, changes);
        let named = |f: &Fields| {
            ["uri", "secondaryUri", "callId", "passcode", "tenant"].map(|name| f.get(name).map(str::to_owned))
        };
        if named(&before) != named(&after) {
            let group = self.db.tenant_group(after.get("tenant")).to_owned();
            let mut wanted = vec![holding(id, id, &after, &group)];
            if before.get("tenant") != after.get("tenant") {
                wanted.extend(self.holdings_of_methods(id, &group));
            }
            self.claim_names(wanted)?;
        }
        if before == after {
            return Ok(false);
        }
        if let Some(record) = self.db.get_mut(Kind::CoSpace, id) {
            record.fields = after.clone();
        }
        self.mark_written(Kind::CoSpace, id, actor, Some(before.clone()));
        self.space_changed(actor, id, &before, &after);
        Ok(true)
    }

    /// What a change of a space does to its calls, and the door log.
    fn space_changed(&mut self, actor: Actor, id: &Id, before: &Fields, after: &Fields) {
        let open = after.is_true("nonMemberAccess");
        if before.is_true("nonMemberAccess") != open {
            let secret = after.get("secret").map(str::to_owned);
            self.log.doors.push(DoorEvent { at: wall(), space: id.clone(), open, secret, actor });
            if !open && self.switches.on_close == OnClose::Drop {
                self.drop_people(id);
            }
        }
        if self.switches.rename_reaches_call && before.get("name") != after.get("name") {
            let name = after.get("name").unwrap_or_default();
            for bridge in &mut self.bridges {
                for call in bridge.calls_of_space.get(id).cloned().unwrap_or_default() {
                    if let Some(call) = bridge.calls.get_mut(&call) {
                        name.clone_into(&mut call.name);
                    }
                }
            }
        }
    }

    /// Drops everybody who dialled into a space and is not a member.
    fn drop_people(&mut self, space: &Id) {
        let mut leaving = Vec::new();
        for (position, bridge) in self.bridges.iter().enumerate() {
            for call in bridge.calls_of(space) {
                for leg in call.legs.iter().filter_map(|l| bridge.legs.get(l)) {
                    let guest = leg.direction == Direction::Incoming && leg.link.is_none();
                    if guest && !self.is_member(space, &leg.remote_party) {
                        leaving.push((position, leg.id.clone()));
                    }
                }
            }
        }
        for (bridge, leg) in leaving {
            self.end_leg(bridge, &leg, "callEnded", DialOutcome::Cancelled);
        }
    }

    /// The membership of a user in a space (6.2).
    pub fn member(&self, space: &Id, jid: &str) -> Option<&Record> {
        let members = self.db.children(Kind::CoSpaceUser, space).iter();
        members.filter_map(|id| self.db.get(Kind::CoSpaceUser, id)).find(|r| r.fields.get("userJid") == Some(jid))
    }

    /// Whether a user is a member of a space.
    pub fn is_member(&self, space: &Id, jid: &str) -> bool {
        self.member(space, jid).is_some()
    }

    /// Deletes a space with its access methods and members.
    pub fn delete_space(&mut self, actor: Actor, id: &str) -> bool {
        let late = self.late_until(actor);
        let Some(record) = self.db.remove(Kind::CoSpace, id, late) else { return false };
        for kind in [Kind::AccessMethod, Kind::CoSpaceUser] {
            for child in self.db.children(kind, &record.id).to_vec() {
                self.db.remove(kind, &child, late);
            }
        }
        if record.fields.is_true("nonMemberAccess") {
            self.log.doors.push(DoorEvent { at: wall(), space: record.id.clone(), open: false, secret: None, actor });
        }
        if self.switches.delete_space_ends_call {
            for bridge in 0..self.bridges.len() {
                let calls = self.bridges.get(bridge).and_then(|b| b.calls_of_space.get(&record.id)).cloned();
                for call in calls.unwrap_or_default() {
                    self.end_call(bridge, &call, "callEnded");
                }
            }
        }
        true
    }

    fn check_method_policy(&self, space: &Id, fields: &Fields) -> Result<(), Refusal> {
        match self.db.get(Kind::CoSpace, space) {
            Some(space) => self.check_passcode_policy(fields, &space.fields),
            None => Ok(()),
        }
    }

    /// Makes an access method of a space.
    pub fn create_method(&mut self, actor: Actor, space: &Id, changes: &Changes) -> Result<Id, Refusal> {
        let mut fields = self.merged(Kind::AccessMethod, None, changes);
        self.check_method_policy(space, &fields)?;
        self.complete(&mut fields, changes);
        let id = self.ids.guid();
        self.claim_names(vec![holding(space, &id, &fields, self.group_of(space))])?;
        self.db.insert(Kind::AccessMethod, Record::new(id.clone(), Some(space.clone()), fields));
        self.mark_written(Kind::AccessMethod, &id, actor, None);
        Ok(id)
    }

    /// Changes an access method and says whether anything is different afterwards.
    pub fn modify_method(&mut self, actor: Actor, space: &Id, id: &Id, changes: &Changes) -> Result<bool, Refusal> {
        let missing = Refusal::Missing(Kind::AccessMethod.spec().missing);
        let before = self.db.get(Kind::AccessMethod, id).ok_or(missing)?.fields.clone();
        let mut after = self.merged(Kind::AccessMethod, Some(&before), changes);
        if after.get("passcode") != before.get("passcode") {
            self.check_method_policy(space, &after)?;
        }
        self.complete(&mut after, changes);
        self.claim_names(vec![holding(space, id, &after, self.group_of(space))])?;
        let changed = before != after;
        if let Some(record) = self.db.get_mut(Kind::AccessMethod, id) {
            record.fields = after;
        }
        if changed {
            self.mark_written(Kind::AccessMethod, id, actor, Some(before));
        }
        Ok(changed)
    }

    /// The tenant group of a space.
    fn group_of(&self, space: &Id) -> &str {
        self.db.tenant_group(self.db.value(Kind::CoSpace, Some(space), "tenant"))
    }

    /// Tenants of one group move to another one (none: the empty name), or their spaces do because they go: the call ids
    /// must stay unique there, else `tenantGroupCoSpaceIdConflict`. Moves the claims.
    pub fn move_tenants(&mut self, tenants: &[Id], group: &str) -> Result<(), Refusal> {
        let is_theirs = |space: &&Record| {
            space.fields.get("tenant").is_some_and(|tenant| tenants.iter().any(|moving| **moving == *tenant))
        };
        let mut wanted = Vec::new();
        for space in self.db.table(Kind::CoSpace).iter().filter(is_theirs) {
            wanted.push(holding(&space.id, &space.id, &space.fields, group));
            wanted.extend(self.holdings_of_methods(&space.id, group));
        }
        self.db.names.claim(wanted).map_err(|_| Refusal::Rule("tenantGroupCoSpaceIdConflict"))
    }
}

/// The names that a space or access method with these attributes holds in a tenant group.
fn holding(co_space: &Id, holder: &Id, fields: &Fields, group: &str) -> Holding {
    let uris = ["uri", "secondaryUri"].into_iter().filter_map(|name| fields.get(name)).map(Wish::uri);
    Holding {
        co_space: co_space.clone(),
        holder: holder.clone(),
        passcode: fields.get("passcode").unwrap_or_default().to_owned(),
        wishes: uris.chain(fields.get("callId").map(|id| Wish::call_id(group, id))).collect(),
    }
}
