//! The integration tests: the controller on a real apiserver and the CMS simulator, one module per feature.
#![cfg(test)]

mod bridge_kit;
mod first_contact;
mod booking;
mod changes;
mod drift;
mod kit;
mod life;
mod lost_replies;
mod meetings;
mod moved;
mod policies;
mod provisioning;
mod removal;
mod stranger;
mod trouble;
