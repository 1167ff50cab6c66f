//! Businesses whose services really fail and really compensate: the food order and the marketplace, each with a
//! workload of planned faults, and the proof that every order ended whole or left nothing behind.
//!
//! Nothing is simulated: every service and the supervisor is a process of its own, all calls go over HTTP, all state is
//! in databases on disk. What went wrong was planned from a seed; what came out is read from the services' databases.

mod addresses;
mod attacks;
mod balancer;
mod broker;
pub mod business;
mod businesses;
mod cases;
mod chaos;
mod client;
mod customers;
mod database;
mod deploys;
mod door;
mod errands;
pub mod faults;
mod fleet;
mod folder;
pub mod food;
mod gateway;
pub mod invariants;
mod kept;
mod kills;
mod late;
mod line;
pub mod market;
mod options;
pub mod process;
mod progress;
mod published;
mod runner;
mod secured;
mod service;
mod serving;
mod setting;
pub mod shop;
mod stay;
mod summary;
pub mod supervisor;
mod tables;
mod tls;
pub mod workload;

pub use attacks::Attack;
pub use broker::BrokerKind;
pub use businesses::{BUSINESSES, named};
pub use cases::{Cases, ReportCount, ServiceCount};
pub use chaos::ChaosCount;
pub use database::StoreKind;
pub use deploys::GatewayCount;
pub use fleet::NodesCount;
pub use options::{DemoOptions, ServiceArgs};
pub use published::PublishedCount;
pub use runner::{Verdict, run};
pub use service::run_service;
pub use summary::Summary;
