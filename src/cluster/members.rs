//! The cluster's table of call bridges, and what is shown of each call bridge.

use super::call_bridge::Belongs;
use super::{Cluster, reading};
use crate::api::bridge::{CallBridgeRole, ClusterStatus, MemberStatus};
use crate::cms::{Address, CallBridgeId, Client, ClusterMember, CmsError, Priority};
use crate::facts::Seen;
use crate::plan::failover::{CallBridgeView, Candidate};

impl Cluster {
    /// Every call bridge with what is known of it, the primary first.
    pub fn overview(&self, members: &[MemberStatus]) -> Vec<CallBridgeView> {
        let table = self.health_table();
        table.iter().filter_map(|known| self.view_of(known, members)).collect()
    }

    fn view_of(&self, known: &Candidate, members: &[MemberStatus]) -> Option<CallBridgeView> {
        let call_bridge = self.call_bridge(&known.address)?;
        let belongs = call_bridge.local().belongs.known().cloned();
        let is_it = |member: &&MemberStatus| match known.role {
            CallBridgeRole::Primary => member.primary,
            CallBridgeRole::Alternate | CallBridgeRole::Discovered => member.is_at(&known.address),
        };
        let id = match &belongs {
            Some(Belongs::Member(Some(id))) => Some(id.clone()),
            _ => members.iter().find(is_it).map(|member| member.id.clone()),
        };
        Some(CallBridgeView {
            known: known.clone(),
            id,
            is_primary_itself: belongs == Some(Belongs::Primary),
            is_stranger: belongs == Some(Belongs::Stranger),
            credentials: call_bridge.credentials(),
        })
    }

    /// Reads the table of call bridges.
    pub async fn read_members(&self, primary: Option<&Address>) -> Result<ClusterStatus, CmsError> {
        let (client, at) = (self.active().client(), reading(self.now()));
        let mut members = Vec::new();
        for listed in self.table_of(&client, at).await? {
            let shown = client.call_bridge(at, &listed.id).await;
            let member = client.unless_unknown(at, shown).await?.unwrap_or(listed);
            let mut member = MemberStatus {
                id: member.id.to_string(),
                name: member.name,
                address: member.address.filter(|address| !address.is_empty()),
                sip_domain: member.sip_domain.filter(|domain| !domain.is_empty()),
                primary: false,
            };
            member.primary = primary.is_some_and(|primary| member.is_at(primary));
            members.push(member);
        }
        // The table may name it otherwise than the spec (an IP address instead of a name): then it knows itself best.
        let is_asked_itself = primary == Some(client.address());
        if !members.is_empty() && is_asked_itself && !members.iter().any(|member| member.primary) {
            let name = client.cluster_unique_name(at).await?;
            for member in &mut members {
                member.primary = Some(&member.name) == name.as_ref();
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        let cluster_id = self.system().and_then(|(_, system)| system.cluster_id);
        let read = ClusterStatus { address: primary.map(ToString::to_string), cluster_id, members };
        self.cache().members = Some(read.clone());
        Ok(read)
    }

    /// The table of call bridges. A bridge that does not say that it is in a cluster, and never showed a member, need not have
    /// one.
    async fn table_of(&self, client: &Client, at: Priority) -> Result<Vec<ClusterMember>, CmsError> {
        let error = match client.call_bridges(at).await {
            Ok(listed) => return Ok(listed.items),
            Err(error) => error,
        };
        let had_members = self.cache().members.as_ref().is_some_and(|known| !known.members.is_empty());
        if had_members || client.system_status(at).await?.cluster_enabled == Some(true) {
            return Err(error);
        }
        Ok(client.unless_unknown::<Vec<_>>(at, Err(error)).await?.unwrap_or_default())
    }

    /// Are the call bridges of the cluster still the same? If not, the table is read again.
    pub(super) async fn check_members(&self, members: &[MemberStatus]) -> Result<(), CmsError> {
        let listed = self.table_of(&self.active().client(), reading(self.now())).await?;
        let is_known = |id: &CallBridgeId| members.iter().any(|member| *id == member.id.as_str().into());
        if listed.len() != members.len() || !listed.iter().all(|listed| is_known(&listed.id)) {
            let mut cache = self.cache();
            (cache.members, cache.facts.members) = (None, Seen::Unknown);
            cache.members_changed = true;
        }
        Ok(())
    }

    /// Did the table change since the last call? Then what the status says of it does not count any more.
    pub fn take_members_changed(&self) -> bool {
        std::mem::take(&mut self.cache().members_changed)
    }
}

#[cfg(test)]
mod tests;
