//! What we may have made ourselves although no reply told us: profiles, sets and syncs with exactly our content.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Cluster;
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::cms::{BulkSetId, Class, CmsError, Fields, Priority, ProfileId, SyncStatus, Usage, if_there, name_mapping};
use crate::plan::bridge::profile_matches;

/// Every wanted field is there, with the wanted value.
fn is_exactly(want: &[(String, String)], fields: &Fields) -> bool {
    let is_shown = |name: &str| fields.keys().any(|key| key.eq_ignore_ascii_case(name));
    profile_matches(want, fields) && want.iter().all(|(name, _)| is_shown(name))
}

impl Cluster {
    fn provisioning(&self) -> Priority {
        Priority::new(Class::Provision, self.now())
    }

    /// A profile with exactly this content that nothing refers to and `may_be` lets pass. Somebody else's may have the same
    /// content, and is told by its use alone: where the bridge does not prove that nothing refers to one, none was found. So
    /// it is where it refuses the question: whoever waited for its answer would wait for ever.
    pub async fn find_profile(
        &self,
        kind: ProfileKind,
        want: &[(String, String)],
        may_be: impl Fn(&str, &Fields) -> bool,
    ) -> Result<Option<(String, Fields)>, CmsError> {
        let (client, at) = (self.active().client(), self.provisioning());
        let is_it = |id: &str, fields: &Fields| is_exactly(want, fields) && may_be(id, fields);
        let listed = client.profiles_by(at, kind, Usage::Unreferenced).await;
        for id in client.unless_unknown(at, listed).await?.into_iter().flatten() {
            let Some(fields) = if_there(client.profile(at, kind, &id).await)? else { continue };
            if is_it(&id, &fields) {
                return Ok(self.is_unreferenced(kind, &id).await?.then_some((id, fields)));
            }
        }
        Ok(None)
    }

    /// Does the bridge tell what is referred to from what is not, and say that nothing refers to this profile? One that
    /// ignores the filter shows it in both lists. Costs one more list, and only after a lost reply.
    async fn is_unreferenced(&self, kind: ProfileKind, id: &str) -> Result<bool, CmsError> {
        let (client, at) = (self.active().client(), self.provisioning());
        let referenced = client.profiles_by(at, kind, Usage::Referenced).await;
        let Some(listed) = client.unless_unknown(at, referenced).await? else { return Ok(false) };
        let is_whole = listed.unshown() == Some(0);
        Ok(is_whole && !listed.items.iter().any(|known| known.eq_ignore_ascii_case(id)))
    }

    /// A profile that was made for settings: a call leg profile by its name, whether anything refers to it or not, a call
    /// profile, which has none, by its content. `known` are the ids that are something else of ours.
    pub async fn find_settings_profile(
        &self,
        wanted: &SettingsProfile,
        known: &BTreeSet<ProfileId>,
    ) -> Result<Option<String>, CmsError> {
        let want = wanted.pairs();
        let may_be = |id: &str, _: &Fields| !known.contains(&ProfileId::from(id));
        if wanted.kind == ProfileKind::Call {
            return Ok(self.find_profile(wanted.kind, &want, may_be).await?.map(|(id, _)| id));
        }
        let (client, at) = (self.active().client(), self.provisioning());
        for (id, name) in client.call_leg_profiles(at).await? {
            // A list may show no names.
            if name.is_some_and(|name| name != wanted.name) {
                continue;
            }
            let Some(fields) = if_there(client.profile(at, wanted.kind, &id).await)? else { continue };
            if is_exactly(&want, &fields) && may_be(&id, &fields) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// A bulk parameter set for exactly this range, with our names, that is none of the known ones.
    pub async fn find_set(
        &self,
        range: &RangeInclusive<u32>,
        prefix: &str,
        known: &BTreeSet<BulkSetId>,
    ) -> Result<Option<String>, CmsError> {
        let (client, at) = (self.active().client(), self.provisioning());
        // As it was sent; what is shown has no blanks around it.
        let names = name_mapping(prefix);
        let wanted = [u64::from(*range.start()), u64::from(*range.end())];
        for listed in client.bulk_sets(at).await? {
            // A list may show no indices.
            let shown = [listed.start_index, listed.end_index];
            if known.contains(&listed.id) {
                continue;
            }
            if shown.into_iter().zip(wanted).any(|(shown, wanted)| shown.is_some_and(|shown| shown != wanted)) {
                continue;
            }
            let Some(set) = if_there(client.bulk_set(at, &listed.id).await)? else { continue };
            let is_range = [set.start_index, set.end_index] == wanted.map(Some);
            if is_range && set.name_mapping.as_deref() == Some(names.trim()) {
                return Ok(Some(set.id.to_string()));
            }
        }
        Ok(None)
    }

    /// A sync of this set that did not fail. A second one would make every space anew.
    pub async fn find_sync(&self, set: &str) -> Result<Option<String>, CmsError> {
        let (client, at, set) = (self.active().client(), self.provisioning(), BulkSetId::from(set));
        for listed in client.bulk_syncs(at).await? {
            if listed.set.as_ref().is_some_and(|of| *of != set) {
                continue;
            }
            let Some(sync) = if_there(client.bulk_sync(at, &listed.id).await)? else { continue };
            let is_ours = sync.set.as_ref() == Some(&set);
            if is_ours && !matches!(sync.status, SyncStatus::Failed(_)) {
                return Ok(Some(sync.id.to_string()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
pub(super) mod tests;
