//! Tests with real programs: what a control plane is for has to work, and it has to end with its process.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod end;
#[cfg(test)]
mod support;
