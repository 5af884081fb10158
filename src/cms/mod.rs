//! How to talk to a call bridge: typed operations over HTTPS and XML. The only module that does I/O with a bridge.
//!
//! ```text
//! operations/  one method per request of the API, exact bodies        (what the rest of the crate calls)
//!    |  form.rs    exact request bodies          decode.rs, model.rs   replies as plain values
//!    v
//! paging.rs    lists that change while they are read
//!    v
//! http.rs      one request: gate -> send -> judge -> trace line, metric, span (observer.rs)
//!    |  gate.rs    order, limit in flight, circuit breaker, 401 block    priority.rs   place in the queue
//!    |  connect.rs, tls.rs, address.rs   names, certificates, connection errors      egress.rs   what may be reached
//!    |  failure.rs, xml.rs               what a reply means
//! ```
//!
//! The protocol is described, fact by fact, in docs/cms-protocol.md (sections are cited), requirements as R-numbers in
//! docs/requirements.md.

mod address;
mod certificate;
mod connect;
mod decode;
mod egress;
mod error;
mod failure;
mod form;
mod gate;
mod http;
mod model;
mod observer;
mod operations;
mod paging;
mod priority;
mod room;
mod tls;
mod xml;

#[cfg(test)]
pub(crate) mod tests;

pub use address::Address;
pub use egress::Egress;
pub use error::{CmsError, ErrorClass, if_there};
pub use gate::{Gate, Permit};
pub use http::{Client, Credentials, Limits};
pub use model::*;
#[cfg(test)]
pub use observer::NoObserver;
pub use observer::{Observer, Sample};
pub use operations::profiles::{ProfileKind, Usage};
pub use operations::spaces::name_mapping;
pub use priority::{Class, Priority};
pub use tls::{Tls, TlsOptions};

/// For the fuzz target and nothing else: what the reader does with the bytes of a reply, whatever they are.
#[doc(hidden)]
pub mod fuzzing {
    /// Reads `bytes` as XML and decodes them as every kind of object. Returns how many nodes there were.
    pub fn read_everything(bytes: &[u8]) -> usize {
        super::decode::read_everything(bytes)
    }

    /// Judges `bytes` as the body of a reply with this status.
    pub fn judge(status: u16, bytes: &[u8]) -> Option<&'static str> {
        super::failure::judge(status, None, bytes).err().map(|error| error.label())
    }
}
