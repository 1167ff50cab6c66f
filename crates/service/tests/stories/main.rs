//! Stories of one service and its neighbours, over real HTTP and real files; each proves one promise of the kit.

mod base;
mod callbacks;
mod calls;
mod clients;
mod cluster;
mod crash;
mod crowd;
mod documented;
mod fence;
mod forward;
mod group;
#[cfg(feature = "kafka")]
mod kafka;
mod local;
mod nats;
mod outbox;
mod processes;
mod published;
mod retry_and_notify;
mod rig;
mod settings;
mod signed;
mod supervisor;
mod tokens;
