//! Which addresses a bridge may have, and through which proxy it is reached. Whoever writes a MeetingBridge makes the
//! controller connect from its own place in the network: what is meant for the host itself, for its link, or for the metadata
//! service of a cloud is no bridge. No I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use super::address::Address;

/// Where requests may go, and how. It does not print: the URL of a proxy may hold a password.
#[derive(Clone, Default)]
pub struct Egress {
    /// Allowed whatever else is said of them.
    allowed: Vec<IpNet>,
    /// Refused besides those that always are.
    refused: Vec<IpAddr>,
    /// None: straight to the bridge.
    proxy: Option<Arc<Matcher>>,
}

/// Why a proxy cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the proxy must be a URL like http://[user:password@]proxy.example.com:3128")]
pub struct InvalidProxy;

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(start: [u16; 2], end: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(start[0], start[1], 0, 0, 0, 0, 0, end), bits)
}

const REFUSED_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),          // this host
    v4(127, 0, 0, 0, 8),        // loopback
    v4(169, 254, 0, 0, 16),     // link-local; metadata of most clouds
    v4(100, 100, 100, 200, 32), // metadata: Alibaba
    v4(168, 63, 129, 16, 32),   // metadata: Azure
    v4(192, 0, 0, 192, 32),     // metadata: Oracle
    v4(224, 0, 0, 0, 4),        // multicast
    v4(255, 255, 255, 255, 32), // broadcast
];

const REFUSED_V6: &[Ipv6Net] = &[
    v6([0, 0], 0, 127),                // unspecified and loopback
    v6([0xfe80, 0], 0, 10),            // link-local
    v6([0xfd00, 0x0ec2], 0, 32),       // metadata: AWS
    v6([0xfd20, 0x00ce], 0x0254, 128), // metadata: Google
    v6([0xff00, 0], 0, 8),             // multicast
];

impl Egress {
    /// Bridges may be in these networks, too.
    #[must_use]
    pub fn allow(self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { allowed: networks.into_iter().collect(), ..self }
    }

    /// Bridges may be on the machine itself, too.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        self.allowed.extend([IpNet::V4(v4(127, 0, 0, 0, 8)), IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]);
        self
    }

    /// Bridges may not have these addresses, either.
    #[must_use]
    pub fn refuse(self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { refused: addresses.into_iter().collect(), ..self }
    }

    /// Bridges are reached through the proxy at this URL, except for the hosts, domains and networks in this list.
    ///
    /// # Errors
    /// [`InvalidProxy`].
    pub fn through(self, proxy: &str, except: &str) -> Result<Self, InvalidProxy> {
        let url: Uri = proxy.trim().parse().map_err(|_| InvalidProxy)?;
        // To a proxy with TLS there would be the certificates of a bridge only.
        if url.scheme_str() != Some("http") || url.host().is_none_or(str::is_empty) {
            return Err(InvalidProxy);
        }
        let matcher = Matcher::builder().all(proxy.trim().to_owned()).no(except.to_owned()).build();
        Ok(Self { proxy: Some(Arc::new(matcher)), ..self })
    }

    /// The proxy for this bridge.
    pub fn proxy_for(&self, address: &Address) -> Option<Intercept> {
        self.proxy.as_ref()?.intercept(&url_of(address)?)
    }

    /// Whether it is an address, and one that no bridge may have. What a name leads to is seen to where it is resolved: here
    /// right before the connection, or by the proxy.
    pub fn refuses(&self, address: &Address) -> bool {
        address.ip().is_some_and(|ip| !self.permits(ip))
    }

    /// Whether a bridge may have this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = target(address);
        let is_special = match address {
            IpAddr::V4(v4) => REFUSED_V4.iter().any(|network| network.contains(&v4)),
            IpAddr::V6(v6) => REFUSED_V6.iter().any(|network| network.contains(&v6)),
        };
        let is_allowed = self.allowed.iter().any(|network| network.contains(&address));
        is_allowed || !(is_special || self.refused.contains(&address))
    }
}

/// Host and port as a URL.
pub fn url_of(address: &Address) -> Option<Uri> {
    let Address { host, port } = address;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    format!("https://{host}:{port}/").parse().ok()
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// The address that is reached in the end: IPv6 has several ways to write, or to be translated into, an IPv4 address.
fn target(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // ::ffff:a.b.c.d, mapped; 64:ff9b::a.b.c.d, through NAT64
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // ::a.b.c.d, as it was once written, but not :: and ::1
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => embedded(high, low),
        // 2002:a.b.c.d::, 6to4
        [0x2002, high, low, ..] => embedded(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests;
