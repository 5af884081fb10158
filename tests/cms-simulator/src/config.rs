//! How a simulator is started.

use std::net::{IpAddr, Ipv4Addr};

use crate::schema::Version;
use crate::switches::Switches;

/// Everything that is fixed at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of call bridges, 1 to 16.
    pub bridges: usize,
    /// Fills `/callBridges`. A lone bridge (`bridges == 1`) with `clustered == false` has an empty table (4.3).
    pub clustered: bool,
    /// Where bridges and control API listen.
    pub listen: IpAddr,
    /// Further names and addresses in the certificates of the bridges.
    pub names: Vec<String>,
    /// The host in the addresses that /callBridges tells; none: the address that is listened on.
    pub advertise: Option<String>,
    /// MMP user with role `api` (1.1).
    pub username: String,
    /// Its password.
    pub password: String,
    /// Start values of the switches.
    pub switches: Switches,
    /// `softwareVersion` of system/status. Its number decides which nodes and attributes exist, e.g. `2.0(RC)`.
    pub software_version: String,
    /// Ports of the bridges, in order; missing ones and 0 mean "any free port".
    pub ports: Vec<u16>,
    /// Port of the control API (0 = any free port); none: no control API.
    pub control_port: Option<u16>,
    /// Seed of all ids, call ids and secrets.
    pub seed: u64,
    /// `uptimeSeconds` at the start. A day by default, so that a restart is visible at once.
    pub uptime_seconds: u64,
    /// `callLegsMaxActive` at the start.
    pub call_legs_max_active: u64,
    /// `callLegsCompleted` at the start.
    pub call_legs_completed: u64,
    /// Number of database nodes (section 9: normally 3, at most 5).
    pub database_nodes: usize,
    /// Most entries the journal keeps; past that the oldest quarter is forgotten.
    pub journal_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bridges: 2,
            clustered: true,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            names: Vec::new(),
            advertise: None,
            username: "admin".to_owned(),
            password: "cisco".to_owned(),
            switches: Switches::default(),
            software_version: "3.0".to_owned(),
            ports: Vec::new(),
            control_port: None,
            seed: 1,
            uptime_seconds: 86_400,
            call_legs_max_active: 0,
            call_legs_completed: 0,
            database_nodes: 3,
            journal_limit: 200_000,
        }
    }
}

impl Config {
    /// A cluster of several bridges, or one bridge that says it is clustered.
    pub fn is_clustered(&self) -> bool {
        self.clustered || self.bridges > 1
    }

    /// What clients reach a bridge by that listens on this port. An address that stands for all of them is none: then it is
    /// the loopback.
    pub(crate) fn address(&self, port: u16) -> String {
        let own = match self.listen {
            IpAddr::V6(all) if all.is_unspecified() => "[::1]".to_owned(),
            IpAddr::V6(one) => format!("[{one}]"),
            IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            IpAddr::V4(one) => one.to_string(),
        };
        let host = match &self.advertise {
            Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
            Some(host) => host.clone(),
            None => own,
        };
        format!("{host}:{port}")
    }

    /// What the certificates name besides the loopback.
    pub(crate) fn certified(&self) -> Vec<String> {
        let bare = |host: &String| host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut names: Vec<String> = self.names.iter().chain(&self.advertise).map(bare).collect();
        if !self.listen.is_unspecified() && !self.listen.is_loopback() {
            names.push(self.listen.to_string());
        }
        names
    }

    /// The number in front of the text of `software_version`; 3.0 if there is none.
    pub fn version(&self) -> Version {
        Version::parse(&self.software_version).unwrap_or(Version(3, 0))
    }
}
