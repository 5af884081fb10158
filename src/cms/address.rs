//! Where a call bridge's API is: `host[:port]`. No I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// The web admin port that a CMS uses unless told otherwise (`cms-protocol.md` 1.1).
const DEFAULT_PORT: u16 = 443;

/// Host and port of a call bridge's API (R4, R5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A DNS name in lower case, or an IP address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidAddress {
    #[error("the address is empty")]
    Empty,
    #[error("the address must be host[:port], without a scheme such as https://")]
    Scheme,
    #[error("the address must be host[:port], without a path, query or fragment")]
    Path,
    #[error("the address must be host[:port], without user name or password")]
    UserInfo,
    #[error("the port must be a number from 1 to 65535")]
    Port,
    #[error("an IPv6 address must be written in brackets, as in [2001:db8::1]:443")]
    Ipv6,
    #[error("the host must be a DNS name (ASCII) or an IP address")]
    Host,
}

impl Address {
    /// The address of another call bridge as the bridge's own table gives it: `https://host[:port]`
    /// (`cms-protocol.md` 4.3), also without the scheme or with a trailing slash.
    ///
    /// # Errors
    /// If there is a path, a user, another scheme, or no host.
    pub fn from_bridge_table(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        let rest = match text.get(..8) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https://") => text.get(8..).unwrap_or_default(),
            _ => text,
        };
        rest.strip_suffix('/').unwrap_or(rest).parse()
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        if text.contains("://") {
            return Err(InvalidAddress::Scheme);
        }
        if text.contains(['/', '?', '#', '\\']) {
            return Err(InvalidAddress::Path);
        }
        if text.contains('@') {
            return Err(InvalidAddress::UserInfo);
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or(InvalidAddress::Ipv6)?;
            let ip: Ipv6Addr = host.parse().map_err(|_| InvalidAddress::Ipv6)?;
            let port = match after.strip_prefix(':') {
                Some(port) => parse_port(port)?,
                None if after.is_empty() => DEFAULT_PORT,
                None => return Err(InvalidAddress::Ipv6),
            };
            (ip.to_string(), port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => return Err(InvalidAddress::Ipv6),
                Some((host, port)) => (host, parse_port(port)?),
                None => (text, DEFAULT_PORT),
            };
            if !is_host(host) {
                return Err(InvalidAddress::Host);
            }
            (host.to_ascii_lowercase(), port)
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    /// In the shortest form that reads back as the same address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v6 = self.host.contains(':');
        let (open, close) = if v6 { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}", self.host)?;
        if self.port != DEFAULT_PORT {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

fn parse_port(text: &str) -> Result<u16, InvalidAddress> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(InvalidAddress::Port),
    }
}

/// A DNS name or IPv4 address. A name whose last label is a number is refused unless it is a full IPv4 address,
/// because URL parsers would read `10.1` as `10.0.0.1`.
fn is_host(host: &str) -> bool {
    if host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = |label: &str| {
        label.bytes().all(|b| b.is_ascii_digit())
            || label.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))
    };
    name.len() <= 253 && name.split('.').all(label_ok) && !name.rsplit('.').next().is_some_and(numeric)
}

#[cfg(test)]
mod tests;
