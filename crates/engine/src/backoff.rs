//! When to try again: exponential backoff with full jitter, drawn from the step itself so that every run is the same.
//!
//! Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").

use amends_rulebook::RetryPolicy;

/// Pause in milliseconds before the try after `failures` failed ones (from 1). `seed` names the step.
pub(crate) fn pause_ms(policy: &RetryPolicy, seed: u64, failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(40); // 2^40 times any pause is past every cap
    let top = policy.first_ms.saturating_mul(1 << doublings).min(policy.cap_ms).max(1);
    mix(seed ^ (u64::from(failures) << 32)) % top + 1
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): spreads close seeds evenly.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_spread() {
        let policy = RetryPolicy { first_ms: 100, cap_ms: 10_000, ..RetryPolicy::DEFAULT };
        for failures in 1..100 {
            let top = 100_u64.saturating_mul(1 << (failures - 1).min(20)).min(10_000);
            let draws: Vec<u64> = (0..200).map(|seed| pause_ms(&policy, seed, failures)).collect();
            assert!(draws.iter().all(|d| (1..=top).contains(d)));
            let mean = draws.iter().sum::<u64>() / 200;
            assert!(mean > top / 3 && mean < top * 2 / 3 + 2, "mean {mean} of 1..={top}");
        }
    }
}
