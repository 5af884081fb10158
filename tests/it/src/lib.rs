//! The integration tests: the controller on a real apiserver and the CMS simulator, one module per feature.
#![cfg(test)]

mod admission;
mod apiserver;
mod booking;
mod bridge_kit;
mod changes;
mod cluster;
mod crash;
mod deletion;
mod documentation;
mod drift;
mod failover;
mod failover_changes;
mod failover_crash;
mod failover_database;
mod failover_outage;
mod failover_return;
mod failover_setup;
mod first_contact;
mod habits;
mod join_secret;
mod kit;
mod life;
mod lost_replies;
mod meetings;
mod moved;
mod passcode;
mod policies;
mod provisioning;
mod rbac;
mod refused;
mod removal;
mod secrets;
mod stranger;
mod tenants;
mod trouble;
