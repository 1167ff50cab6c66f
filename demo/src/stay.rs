//! `amends demo --stay`: after the run everything stays up, so that a person can look at the console, take a service
//! down, order, and watch it mend. Takes commands from standard input, one a line.

use crate::customers::place_all;
use crate::options::DemoOptions;
use crate::progress::Progress;
use crate::shop::Shop;
use crate::workload::{PlanOptions, plan};
use std::collections::BTreeMap;
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
    eprintln!("everything stays up; the console is at {}/", shop.supervisor().url());
    eprintln!("{HELP}");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut round = 0;
    while let Some(line) = next(&mut lines).await {
        let done = match read(&line) {
            Ok(Command::Quit) => return,
            Ok(Command::Stop(name)) => stop(shop, &name).await,
            Ok(Command::Start(name)) => start(shop, &name).await,
            Ok(Command::Order(number)) => {
                round += 1;
                order(shop, options, seed.wrapping_add(round), number).await
            }
            Err(why) => {
                eprintln!("{why}; {HELP}");
                continue;
            }
        };
        match done {
            Ok(told) => eprintln!("{told}"),
            Err(why) => eprintln!("{why:#}"),
        }
    }
    // Nobody can say anything, so only a signal ends it.
    std::future::pending::<()>().await;
}

/// The next line that says something; none when standard input has ended.
async fn next(lines: &mut Lines<BufReader<Stdin>>) -> Option<String> {
    loop {
        let line = lines.next_line().await.ok()??;
        if !line.trim().is_empty() {
            return Some(line);
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
    Ok(match shop.service(name)?.hold_down().await {
        true => format!("{name} is down"),
        false => format!("{name} was down already"),
    })
}

async fn start(shop: &Shop, name: &str) -> anyhow::Result<String> {
    shop.service(name)?.let_up().await?;
    Ok(format!("{name} is up"))
}

/// Places orders without planned faults, and without coupons: all that were issued may be used up.
async fn order(
    shop: &Shop,
    options: &DemoOptions,
    seed: u64,
    number: u32,
) -> anyhow::Result<String> {
    let mut orders = plan(&PlanOptions { seed, orders: number, fault_rate: 0.0, only: Vec::new() });
    orders.iter_mut().for_each(|order| order.coupon = None);
    let progress = Progress::new(number, false);
    let (answered, _) = watch::channel(0);
    let options = DemoOptions { slow: false, ..options.clone() };
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
