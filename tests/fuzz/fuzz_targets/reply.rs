//! Any bytes as the reply of a bridge: never a panic, memory bounded (libFuzzer's -rss_limit_mb watches that).
//!
//! The first byte chooses the HTTP status, the rest is the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meeting_controller::testing::fuzzing;

fuzz_target!(|data: &[u8]| {
    let (status, body) = match data.split_first() {
        Some((first, body)) => (*first, body),
        None => (0, data),
    };
    let nodes = fuzzing::read_everything(body);
    assert!(nodes <= body.len(), "a node costs at least one byte of input");
    let statuses = [200, 200, 400, 404, 500, 503];
    let status = statuses[usize::from(status) % statuses.len()];
    let _ = fuzzing::judge(status, body);
});
