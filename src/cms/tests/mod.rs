//! Tests of the client against a tiny scripted server over real TLS, and of the parts that need no server. The
//! behaviour of a whole bridge is tested elsewhere, against the simulator.

mod bodies;
mod http;
mod replies;
pub(crate) mod server;
mod tls;
