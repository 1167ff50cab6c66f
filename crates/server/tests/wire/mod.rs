//! The stage on which a page's exchanges take place: the page, the business, the doors between its parties, the replay.

mod business;
mod compare;
mod door;
mod page;
mod replay;
mod schemas;

pub use business::KEY;
pub use compare::{differences, spoilt};
pub use page::{fences, read_page};
pub use replay::{Happened, replay};
pub use schemas::Schemas;
