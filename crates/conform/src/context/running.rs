//! A forward request that stays running while others meet it: held by the call that it makes to the kit, or slow by
//! itself.

use super::{Ask, Kind, LOOK_EVERY, TestContext};
use crate::fakes::Reply;
use crate::finding::{Stop, Tried};
use crate::step::Signed;
use crate::wire::Exchange;
use tokio::task::JoinHandle;

/// A forward request that is on its way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) ask: Ask,
    task: JoinHandle<Exchange>,
}

impl TestContext {
    /// Starts a request that stays running until it is let go, and returns when others can meet it.
    pub(crate) async fn start(&self) -> Tried<Running> {
        self.start_in(&self.saga()).await
    }

    /// The same in a saga that is there already.
    pub(crate) async fn start_in(&self, saga: &str) -> Tried<Running> {
        let kind = match (&self.action.calls, &self.stage.downstream) {
            (Some(_), Some(_)) => Kind::Calls,
            _ => Kind::Slow,
        };
        self.start_as(kind, saga).await
    }

    /// The same with a request of this kind, whose first call is held if it makes one.
    pub(crate) async fn start_as(&self, kind: Kind, saga: &str) -> Tried<Running> {
        let held = match (kind, &self.stage.downstream) {
            (Kind::Calls | Kind::Twice, Some(downstream)) => Some(downstream),
            _ => None,
        };
        if held.is_some() {
            self.let_calls_be(vec![Reply::Hold]);
        }
        let ask = self.ask_in(saga, kind);
        let (client, sent) = (self.stage.client.clone(), ask.sent.clone());
        let mut task = tokio::spawn(async move { client.exchange_of_held(sent).await });
        let begun = async {
            match held {
                Some(downstream) => {
                    downstream.called(1).await;
                    Ok(())
                }
                None => self.until_started(&ask).await,
            }
        };
        tokio::select! {
            begun = begun => begun.map(|()| Running { ask, task }),
            ended = &mut task => {
                let Ok(exchange) = ended else { return Err(Stop::skipped("the kit ends", None)) };
                self.remember(&exchange);
                exchange.succeeds("a request that others can meet while it runs")?;
                Err(match held {
                    Some(_) => exchange.wrong("the request of `calls` calls the kit", "it ended without a call"),
                    None => Stop::skipped(
                        "the request of `slow` ended before it was seen in History",
                        Some("slow: { body: … that takes longer … }"),
                    ),
                })
            }
        }
    }

    async fn until_started(&self, ask: &Ask) -> Tried {
        loop {
            let sent = self.history_request(&ask.saga, Signed::Rightly);
            let exchange = self.stage.client.exchange(sent).await;
            let history = self.read_history(exchange)?;
            if history.own(&ask.request) == Some("started") {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Lets go what is held, and waits for the end of a started request.
    pub(crate) async fn finish(&self, running: Running) -> Tried<Exchange> {
        if let Some(downstream) = &self.stage.downstream {
            downstream.let_go();
        }
        match running.task.await {
            Ok(exchange) => {
                self.remember(&exchange);
                Ok(exchange)
            }
            Err(_) => Err(Stop::skipped("the kit ends", None)),
        }
    }
}
