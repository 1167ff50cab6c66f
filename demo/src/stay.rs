//! `amends demo --stay`: after the run everything stays up, so that a person can look at the console, take a service
//! down, order, and watch it mend. Takes commands from standard input, one a line.

use crate::broker::Broker;
use crate::customers::place_all;
use crate::options::DemoOptions;
use crate::progress::Progress;
use crate::shop::Shop;
use crate::workload::PlanOptions;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::watch;

/// Orders of one command: some hundred are a crowd, more would only fill the disk.
const MOST_ORDERS: u32 = 5_000;
/// What there is to say.
const HELP: &str = "stop SERVICE | start SERVICE | order N | quit (or Ctrl-C)";

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Stop(String),
    Start(String),
    Order(u32),
    Quit,
}

/// Keeps everything up until somebody says `quit`.
pub(crate) async fn stay(shop: &Shop, options: &DemoOptions, seed: u64) {
    match shop.console() {
        Ok(console) => eprintln!("everything stays up; the console is at {console}"),
        Err(why) => eprintln!("everything stays up; {why:#}"),
    }
    eprintln!("{HELP}");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut orders = FuturesUnordered::new();
    let mut round = 0;
    loop {
        let line = tokio::select! {
            line = next(&mut lines) => line,
            Some(done) = orders.next() => {
                tell(done);
                continue;
            }
        };
        let Some(line) = line else { break };
        match read(&line) {
            Ok(Command::Quit) => return,
            Ok(Command::Stop(name)) => tell(stop(shop, &name).await),
            Ok(Command::Start(name)) => tell(start(shop, &name).await),
            Ok(Command::Order(number)) => {
                round += 1;
                // Services are stopped and started while customers order.
                orders.push(order(shop, options, seed.wrapping_add(round), number));
            }
            Err(why) => eprintln!("{why}; {HELP}"),
        }
    }
    // Nobody can say anything any more, so only a signal ends it.
    while let Some(done) = orders.next().await {
        tell(done);
    }
    std::future::pending::<()>().await;
}

fn tell(done: anyhow::Result<String>) {
    match done {
        Ok(told) => eprintln!("{told}"),
        Err(why) => eprintln!("{why:#}"),
    }
}

/// The next line that says something; none when standard input has ended.
async fn next(lines: &mut Lines<BufReader<Stdin>>) -> Option<String> {
    loop {
        match lines.next_line().await {
            Ok(Some(line)) if line.trim().is_empty() => {}
            Ok(line) => return line,
            Err(why) if why.kind() == ErrorKind::InvalidData => eprintln!("{why}; {HELP}"),
            Err(_) => return None,
        }
    }
}

fn read(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["stop", name] => Ok(Command::Stop((*name).to_owned())),
        ["start", name] => Ok(Command::Start((*name).to_owned())),
        ["order", number] => match number.parse() {
            Ok(number @ 1..=MOST_ORDERS) => Ok(Command::Order(number)),
            _ => Err(format!("`{number}` is no number of orders from 1 to {MOST_ORDERS}")),
        },
        ["quit" | "exit"] => Ok(Command::Quit),
        _ => Err(format!("`{}` is no command", line.trim())),
    }
}

async fn stop(shop: &Shop, name: &str) -> anyhow::Result<String> {
    let met = match broker(shop, name) {
        Some(broker) => broker.process().kill().await,
        None => shop.service(name)?.hold_down().await,
    };
    Ok(match met {
        true => format!("{name} is down"),
        false => format!("{name} was down already"),
    })
}

async fn start(shop: &Shop, name: &str) -> anyhow::Result<String> {
    match broker(shop, name) {
        Some(broker) => broker.process().revive().await?,
        None => shop.service(name)?.let_up().await?,
    }
    Ok(format!("{name} is up"))
}

/// The broker, if that is its name.
fn broker<'s>(shop: &'s Shop, name: &str) -> Option<&'s Broker> {
    shop.broker().filter(|broker| broker.kind().name() == name)
}

/// Places orders without planned faults, and without what can be used once only: all of it may be used up.
async fn order(
    shop: &Shop,
    options: &DemoOptions,
    seed: u64,
    number: u32,
) -> anyhow::Result<String> {
    let plan = PlanOptions { seed, orders: number, fault_rate: 0.0, only: Vec::new(), extra: true };
    let orders = (shop.business().plan)(&plan);
    let progress = Progress::new(number, false);
    let (answered, _) = watch::channel(0);
    let options = DemoOptions { slow: false, gateways: false, ..options.clone() };
    let endings = place_all(shop, &orders, &options, &progress, &answered).await;
    progress.end();
    let endings: BTreeMap<String, u64> = endings?;
    let told: Vec<String> = endings.iter().map(|(word, count)| format!("{count} {word}")).collect();
    Ok(format!("{number} ordered: {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_says_why_not() {
        assert_eq!(read(" stop  payment "), Ok(Command::Stop("payment".to_owned())));
        assert_eq!(read("start rider"), Ok(Command::Start("rider".to_owned())));
        assert_eq!(read("order 300"), Ok(Command::Order(300)));
        assert_eq!(read("quit"), Ok(Command::Quit));
        for wrong in ["order", "order 0", "order 5001", "order many", "stop", "halt payment"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
