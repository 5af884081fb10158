//! Ports on the loopback interface that nobody else can take between choosing and using them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;

use crate::Error;

/// A port that is bound, but not listened on, with `SO_REUSEPORT`.
///
/// As long as this lives the kernel gives the port to nobody who asks for "any free port", while a server of the same
/// user that sets `SO_REUSEPORT` too (`--permit-port-sharing`) can listen on it. The socket here never listens, so it
/// gets no connection. This is what makes starting many control planes at the same time safe without retries.
pub(crate) struct ReservedPort {
    socket: TcpSocket,
    number: u16,
}

impl ReservedPort {
    /// Reserves `wanted`, or any free port.
    pub fn reserve(wanted: Option<u16>) -> Result<Self, Error> {
        let error = |source| Error::Port {
            what: wanted.map_or_else(|| "a free port".to_owned(), |port| format!("port {port}")),
            source,
        };
        if let Some(port) = wanted {
            // Without SO_REUSEPORT, or else a port that another control plane listens on would pass for free.
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(error)?);
        }
        let socket = TcpSocket::new_v4().map_err(error)?;
        socket.set_reuseport(true).map_err(error)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, wanted.unwrap_or(0)))).map_err(error)?;
        let number = socket.local_addr().map_err(error)?.port();
        Ok(Self { socket, number })
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

impl std::fmt::Debug for ReservedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.socket.local_addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_distinct_and_kept() {
        let ports: Vec<_> = (0..200).map(|_| ReservedPort::reserve(None).unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(ReservedPort::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 200);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, numbers[0])).is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_refused_by_name() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = ReservedPort::reserve(Some(port)).unwrap_err().to_string();
        assert!(message.contains(&format!("port {port}")), "{message}");
    }
}
