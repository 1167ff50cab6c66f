//! What a release is built with: whoever builds one, tests it or says what it is made of asks here.

/// Features that builds for a release have, and quick ones of every day leave out.
pub const FEATURES: &str = "amends/kafka,amends/nats,amends/postgres";
