//! `amends sagas`: sagas that announced themselves, and saying that a saga has ended.

use super::{Connection, block_on};
use crate::failure::Outcome;
use crate::moment::clock;
use crate::output;
use crate::printing::Printing;
use amends_protocol::SagaId;
use amends_protocol::SagaView;
use amends_protocol::wire::percent;

/// What to do with sagas, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends sagas show order-1003\n  amends sagas end order-1003")]
pub struct SagasOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: SagasCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SagasCommand {
    /// Show a saga that announced itself
    Show(Show),
    /// Say that a saga has ended: whoever began it calls nobody any more, so its case need not wait for that
    End(Which),
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Which saga
    saga: SagaId,
}

pub(super) fn run(options: SagasOptions) -> Outcome {
    let client = options.connection.client()?;
    let path = |saga: &SagaId| format!("/v1/sagas/{}", percent::strict(saga.as_str()));
    block_on(async {
        match options.command {
            SagasCommand::Show(Show { which, printing }) => {
                let read = async || client.get::<SagaView>(&path(&which.saga)).await;
                printing.one(read, tell).await
            }
            SagasCommand::End(which) => {
                client.post_nothing(&format!("{}/end", path(&which.saga))).await?;
                output::line(&format!("saga {} has ended", which.saga))
            }
        }
    })
}

fn tell(saga: &SagaView) -> Outcome {
    output::line(&format!(
        "saga {} of {} is {}, deadline {}",
        saga.saga_id,
        saga.service,
        saga.state,
        clock(saga.deadline)
    ))
}
