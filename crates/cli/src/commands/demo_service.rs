//! `amends demo-service` (hidden): one of the demo's services, in this process.

use super::block_on_all;
use crate::failure::{Failure, Outcome};
use amends_demo::ServiceArgs;

pub(super) fn run(options: ServiceArgs) -> Outcome {
    block_on_all(async { amends_demo::run_service(options).await.map_err(Failure::from) })
}
