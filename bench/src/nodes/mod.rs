//! Several nodes on one database under load: struck, renewed one by one, held against one.

mod blows;
mod ground;
mod load;
mod node;
mod outcome;
mod pair;
mod sagas;
mod services;
mod struck;
mod upgrade;

pub use pair::{Options as PairOptions, run as run_pair};
pub use struck::{Options, run};
pub use upgrade::run as upgrade;
