//! Stories of one service and its neighbours, over real HTTP and real files; each proves one promise of the kit.

mod base;
mod calls;
mod cluster;
mod crash;
mod documented;
mod fence;
mod forward;
mod outbox;
mod retry_and_notify;
mod rig;
mod signed;
mod supervisor;
