//! The bounds of the histograms.

/// Bounds of request times in seconds: from a service next door to the longest time limit in use.
pub(super) const REQUEST_SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Bounds of commit times in seconds: one write to a fast disk takes 0.1 ms, a bad one half a second.
pub(super) const COMMIT_SECONDS: [f64; 10] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

/// Bounds of a case's time to settle in seconds: milliseconds when all is well, days when a service is away.
pub(super) const SETTLE_SECONDS: [f64; 12] =
    [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0];

/// Bounds of inputs in one transaction; the largest is the default limit.
pub(super) const BATCH_INPUTS: [f64; 10] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
