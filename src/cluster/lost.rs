//! What we may have made ourselves although no reply told us: profiles, sets and syncs with exactly our content.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Cluster;
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::cms::{Class, CmsError, Fields, Priority, SyncStatus, if_there};
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

    /// A profile with exactly this content that nothing refers to and `may_be` lets pass.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn find_profile(
        &self,
        kind: ProfileKind,
        want: &[(String, String)],
        may_be: impl Fn(&str, &Fields) -> bool,
    ) -> Result<Option<(String, Fields)>, CmsError> {
        let (client, at) = (self.active().client(), self.provisioning());
        let is_it = |id: &str, fields: &Fields| is_exactly(want, fields) && may_be(id, fields);
        match kind {
            ProfileKind::Call => {
                for id in client.unreferenced_call_profiles(at).await? {
                    let fields = client.call_profile(at, &id).await?;
                    if is_it(id.as_str(), &fields) {
                        return Ok(Some((id.to_string(), fields)));
                    }
                }
            }
            ProfileKind::CallLeg => {
                for id in client.unreferenced_call_leg_profiles(at).await? {
                    let fields = client.call_leg_profile(at, &id).await?;
                    if is_it(id.as_str(), &fields) {
                        return Ok(Some((id.to_string(), fields)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// A profile that was made for settings: a call leg profile by its name, whether anything refers to it or not, a call
    /// profile, which has none, by its content. `known` are the ids that are something else of ours.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn find_settings_profile(
        &self,
        wanted: &SettingsProfile,
        known: &BTreeSet<String>,
    ) -> Result<Option<String>, CmsError> {
        let want = wanted.pairs();
        let may_be = |id: &str, _: &Fields| !known.contains(id);
        if wanted.kind == ProfileKind::Call {
            return Ok(self.find_profile(wanted.kind, &want, may_be).await?.map(|(id, _)| id));
        }
        let (client, at) = (self.active().client(), self.provisioning());
        for (id, name) in client.call_leg_profiles(at).await? {
            // A list may show no names.
            if name.is_some_and(|name| name != wanted.name) {
                continue;
            }
            let Some(fields) = if_there(client.call_leg_profile(at, &id).await)? else { continue };
            if is_exactly(&want, &fields) && may_be(id.as_str(), &fields) {
                return Ok(Some(id.to_string()));
            }
        }
        Ok(None)
    }

    /// A bulk parameter set for exactly this range, with our names.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn find_set(&self, range: &RangeInclusive<u32>, prefix: &str) -> Result<Option<String>, CmsError> {
        let (client, at) = (self.active().client(), self.provisioning());
        let names = format!("{prefix}$index$");
        let wanted = (Some(u64::from(*range.start())), Some(u64::from(*range.end())));
        for listed in client.bulk_sets(at).await? {
            if (listed.start_index, listed.end_index) != wanted {
                continue;
            }
            let set = client.bulk_set(at, &listed.id).await?;
            if set.name_mapping.as_deref() == Some(names.as_str()) {
                return Ok(Some(set.id.to_string()));
            }
        }
        Ok(None)
    }

    /// A sync of this set that did not fail. A second one would make every space anew.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn find_sync(&self, set: &str) -> Result<Option<String>, CmsError> {
        let (client, at) = (self.active().client(), self.provisioning());
        for listed in client.bulk_syncs(at).await? {
            if listed.set.as_ref().is_some_and(|of| of.as_str() != set) {
                continue;
            }
            let Some(sync) = if_there(client.bulk_sync(at, &listed.id).await)? else { continue };
            let is_ours = sync.set.as_ref().is_some_and(|of| of.as_str() == set);
            if is_ours && !matches!(sync.status, SyncStatus::Failed(_)) {
                return Ok(Some(sync.id.to_string()));
            }
        }
        Ok(None)
    }
}
