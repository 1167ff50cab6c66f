//! Businesses of any size, made up from a seed, to measure how rules grow.
