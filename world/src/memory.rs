//! What this process takes of the machine's memory: for metrics, which no simulation asks for.

/// The memory of this process in bytes, as Linux counts it (`VmRSS`); `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    resident_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_in(status: &str) -> Option<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_resident_set_is_read_and_nothing_is_made_up() {
        assert_eq!(resident_in("VmPeak:\t  10 kB\nVmRSS:\t   1234 kB\nThreads:\t1\n"), Some(1_234 * 1_024));
        assert_eq!(resident_in("VmRSS:\tmuch\n"), None);
        assert_eq!(resident_in(""), None);
    }
}
