//! The integration tests: the controller on a real apiserver and the CMS simulator, one module per feature.
#![cfg(test)]

mod kit;
mod life;
