//! The plan of one run: which sagas begin, what goes wrong, what people do, and when. All of it is drawn from the seed
//! before anything happens, as a list of items, so that a failing run can be played again with fewer of them.

mod charging;
mod draw;
mod item;
mod odd;
mod reads;
mod rulebooks;

pub(crate) use charging::{ORDER, PAYMENT};
pub use draw::draw;
pub use item::{
    Corpus, CrashPoint, Forgery, HEALED_MS, Item, MailTrouble, PersonAct, SagaPlan, Scenario, Sky,
    StoreTrouble, Weather,
};
pub use rulebooks::{Books, rulebooks};
