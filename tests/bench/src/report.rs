//! Percentiles, and the machine a figure was measured on.

/// Median, 99th percentile and maximum of some seconds.
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// The spread of these values; zeros if there are none.
pub fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        // Nearest rank: the smallest value that at least this share does not exceed.
        let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
        values.get(rank - 1).copied().unwrap_or_default()
    };
    Spread { p50: at(0.50), p99: at(0.99), max: at(1.0) }
}

/// Cores and kind of build.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{cores} cores, {build} build; apiserver, etcd, simulator and controller share them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let spread = spread((1..=100).map(f64::from).collect());
        assert_eq!((spread.p50, spread.p99, spread.max), (50.0, 99.0, 100.0));
    }
}
