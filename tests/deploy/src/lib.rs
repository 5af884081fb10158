//! What a platform team installs and watches (deploy/), tried with the tools that it uses. A binary of its own, because
//! these tools are built at the first call, which would disturb what `it` measures.
#![cfg(test)]

mod chart;
mod gitops;
mod hardening;
mod kit;
mod monitoring;
mod release;
mod schemas;
mod tools;
