//! The command line of the program `cms-simulator`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Parser;

use crate::config::Config;
use crate::schema::Version;
use crate::switches::Switches;

/// Simulated Cisco Meeting Server cluster: REST API over HTTPS for each call bridge, control API over plain HTTP.
#[derive(Debug, Parser)]
#[command(name = "cms-simulator", version, about, long_about = None)]
pub struct Args {
    /// Number of call bridges (1 to 16); 2 by default, 1 with --standalone
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub bridges: Option<u8>,

    /// Address to listen on; 0.0.0.0 for everybody. Whoever reaches the control API may do anything
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,

    /// A further host name or address by which clients reach the bridges: their certificates name it (repeatable)
    #[arg(long, value_name = "HOST")]
    pub name: Vec<String>,

    /// The host that the bridges name in the table of call bridges; their certificates name it as well
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,

    /// Port of the first bridge, the others follow; 0 picks free ports
    #[arg(long, default_value_t = 8443)]
    pub port: u16,

    /// Port of the control API; 0 picks a free port
    #[arg(long, default_value_t = 0)]
    pub control_port: u16,

    /// Where to write the certificate of the authority that signs every bridge's certificate
    #[arg(long, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,

    /// Name of the API account
    #[arg(long, default_value = "admin")]
    pub username: String,

    /// Password of the API account
    #[arg(long, default_value = "cisco", env = "CMS_SIMULATOR_PASSWORD", hide_env_values = true)]
    pub password: String,

    /// Version the server claims; decides which nodes and attributes exist, for example "2.0(RC)". 3.0 and later do not know
    /// messageBoardEnabled, which the guide sends
    #[arg(long, default_value = "2.9")]
    pub software_version: String,

    /// A lone bridge that is not part of a cluster: its table of call bridges is empty
    #[arg(long)]
    pub standalone: bool,

    /// Seed of all ids and secrets
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Milliseconds every request waits
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,

    /// Switches as a JSON object, for example '{"notFoundStatus":404}'; GET /switches of the control API lists all
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub switches: String,
}

impl Args {
    /// What they ask for.
    ///
    /// # Errors
    /// A sentence about options that do not go together.
    pub fn config(&self) -> Result<Config, String> {
        let bridges = match (self.bridges, self.standalone) {
            (Some(2..), true) => {
                return Err("--standalone: several bridges are a cluster; leave out --bridges".to_owned());
            }
            (None, true) => 1,
            (bridges, _) => bridges.unwrap_or(2),
        };
        if Version::parse(&self.software_version).is_none() {
            return Err(format!("--software-version: {:?} does not begin with a number", self.software_version));
        }
        let switches: Switches = serde_json::from_str(&self.switches).map_err(|e| format!("--switches: {e}"))?;
        let ports = (0..u16::from(bridges))
            .map(|n| if self.port == 0 { Some(0) } else { self.port.checked_add(n) })
            .collect::<Option<Vec<u16>>>()
            .ok_or("--port: not enough ports above it")?;
        Ok(Config {
            bridges: usize::from(bridges),
            clustered: !self.standalone,
            listen: self.listen,
            names: self.name.clone(),
            advertise: self.advertise.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            switches,
            software_version: self.software_version.clone(),
            ports,
            control_port: Some(self.control_port),
            seed: self.seed,
            ..Config::default()
        })
    }
}
