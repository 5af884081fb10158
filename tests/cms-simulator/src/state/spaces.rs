//! Writing spaces and their access methods, for requests and for hand edits alike (cms-protocol.md 6.1 to 6.3).

use super::Cluster;
use super::log::{Actor, DialOutcome, DoorEvent};
use super::names::Wish;
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
                if self.db.names.find(&Wish::call_id(&group, &call_id)).next().is_none() {
                    fields.set("callId", Some(call_id));
                    break;
                }
            }
        }
        let given = changes.iter().any(|(field, value)| field.name == "secret" && value.is_some());
        let both = self.switches.secret_and_regenerate;
        let again = commanded(changes, "regenerateSecret") && (!given || both == SecretAndRegenerate::RegenerateWins);
        if again || (fields.get("callId").is_some() && fields.get("secret").is_none()) {
            fields.set("secret", Some(self.ids.secret()));
        }
    }

    fn wishes(&self, fields: &Fields, tenant: Option<&str>) -> Vec<Wish> {
        let uris = ["uri", "secondaryUri"].into_iter().filter_map(|name| fields.get(name)).map(Wish::uri);
        let group = self.db.tenant_group(tenant);
        uris.chain(fields.get("callId").map(|id| Wish::call_id(group, id))).collect()
    }

    /// Takes the names that an object wants, or says which is taken.
    fn claim_names(&mut self, space: &Id, holder: &Id, fields: &Fields, tenant: Option<&str>) -> Result<(), Refusal> {
        let wishes = self.wishes(fields, tenant);
        let passcode = fields.get("passcode").unwrap_or_default();
        self.db.names.check(space, holder, passcode, &wishes).map_err(|taken| Refusal::Rule(taken.0))?;
        self.db.names.claim(space, holder, passcode, wishes);
        Ok(())
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
        let tenant = fields.get("tenant").map(str::to_owned);
        self.claim_names(&id, &id, &fields, tenant.as_deref())?;
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
            let tenant = after.get("tenant").map(str::to_owned);
            self.claim_names(id, id, &after, tenant.as_deref())?;
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

    /// Whether a user is a member of a space (6.2).
    pub fn is_member(&self, space: &Id, jid: &str) -> bool {
        self.db
            .children(Kind::CoSpaceUser, space)
            .iter()
            .any(|user| self.db.value(Kind::CoSpaceUser, Some(user), "userJid") == Some(jid))
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
        let tenant = self.db.value(Kind::CoSpace, Some(space), "tenant").map(str::to_owned);
        self.claim_names(space, &id, &fields, tenant.as_deref())?;
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
        let tenant = self.db.value(Kind::CoSpace, Some(space), "tenant").map(str::to_owned);
        self.claim_names(space, id, &after, tenant.as_deref())?;
        let changed = before != after;
        if let Some(record) = self.db.get_mut(Kind::AccessMethod, id) {
            record.fields = after;
        }
        if changed {
            self.mark_written(Kind::AccessMethod, id, actor, Some(before));
        }
        Ok(changed)
    }

    /// Whether a tenant may move to another tenant group: the call ids of its spaces must stay unique there, else
    /// `tenantGroupCoSpaceIdConflict`. Moves the claims.
    pub fn move_tenant(&mut self, tenant: &str, group: &str) -> Result<(), Refusal> {
        let spaces: Vec<(Id, Fields)> = self
            .db
            .table(Kind::CoSpace)
            .iter()
            .filter(|record| record.fields.get("tenant") == Some(tenant))
            .map(|record| (record.id.clone(), record.fields.clone()))
            .collect();
        let wishes = |fields: &Fields| -> Vec<Wish> {
            let uris = ["uri", "secondaryUri"].into_iter().filter_map(|n| fields.get(n)).map(Wish::uri);
            uris.chain(fields.get("callId").map(|id| Wish::call_id(group, id))).collect()
        };
        for (id, fields) in &spaces {
            let free = self.db.names.check(id, id, fields.get("passcode").unwrap_or_default(), &wishes(fields));
            free.map_err(|_| Refusal::Rule("tenantGroupCoSpaceIdConflict"))?;
        }
        for (id, fields) in &spaces {
            self.db.names.claim(id, id, fields.get("passcode").unwrap_or_default(), wishes(fields));
        }
        Ok(())
    }
}
