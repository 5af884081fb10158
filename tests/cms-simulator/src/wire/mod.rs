//! The bytes on the wire: form bodies in, XML out, base64 for credentials and secrets.

pub mod base64;
pub mod form;
pub mod xml;
