//! The integration tests: the controller on a real apiserver and the CMS simulator, one module per feature.
#![cfg(test)]

mod bridge_kit;
mod first_contact;
mod admission;
mod booking;
mod changes;
mod crash;
mod deletion;
mod drift;
mod kit;
mod life;
mod lost_replies;
mod meetings;
mod moved;
mod policies;
mod passcode;
mod provisioning;
mod rbac;
mod removal;
mod secrets;
mod stranger;
mod trouble;
