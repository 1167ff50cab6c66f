//! The command line of the simulator: many seeds, or one of them told as a story. Exit code 1 if a checker found
//! something, 2 for a wrong command line.

use amends_sim::scenario::{Corpus, Scenario, draw};
use amends_sim::{Run, Switches, play, play_twice, shrink, tell};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: cargo xtask sim [--seeds N] [--from S] [--corpus honest|hostile] [--nodes N] [--with SWITCH]
       cargo xtask sim --seed S [--corpus …] [--nodes N] [--keep ITEMS] [--trace]
  --seeds N     play so many seeds (default 1000)
  --from S      the first of them (default 1)
  --corpus C    honest: services keep their promises, nothing may end stuck; hostile (default): everything
  --nodes N     so many supervisors share the store, 1 to 5 (default 1)
  --with NAME   allow a kind of trouble that the product is known not to master: gateway-hides-history
  --seed S      play one seed
  --keep A,B    of its items only these happen
  --trace       tell the run as a story
  --once        play each seed once: twice as fast, and nobody sees whether a run differs from itself
  --quiet       one line for each failing seed, and stop at the first: for programs";

/// The last lines of a story that are shown with a failure.
const LAST_LINES: usize = 60;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(2);

struct Asked {
    corpus: Corpus,
    switches: Switches,
    nodes: usize,
    seed: Option<u64>,
    from: u64,
    seeds: u64,
    keep: Option<BTreeSet<usize>>,
    trace: bool,
    once: bool,
    quiet: bool,
}

fn main() -> ExitCode {
    match read(std::env::args().skip(1)).and_then(|asked| run(&asked)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked {
        corpus: Corpus::Hostile,
        switches: Switches::default(),
        nodes: 1,
        seed: None,
        from: 1,
        seeds: 1_000,
        keep: None,
        trace: false,
        once: false,
        quiet: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value =
            || arguments.next().ok_or_else(|| format!("`{argument}` needs a value\n{USAGE}"));
        let number =
            |text: String| text.parse::<u64>().map_err(|e| format!("`{text}`: {e}\n{USAGE}"));
        match argument.as_str() {
            "--seed" => asked.seed = Some(number(value()?)?),
            "--seeds" => asked.seeds = number(value()?)?,
            "--nodes" => {
                let text = value()?;
                let nodes = number(text.clone())?;
                asked.nodes = usize::try_from(nodes)
                    .ok()
                    .filter(|n| (1..=5).contains(n))
                    .ok_or_else(|| format!("`--nodes {text}`: 1 to 5 of them\n{USAGE}"))?;
            }
            "--from" => asked.from = number(value()?)?,
            "--corpus" => {
                asked.corpus = match value()?.as_str() {
                    "honest" => Corpus::Honest,
                    "hostile" => Corpus::Hostile,
                    other => {
                        return Err(format!("no corpus `{other}`; honest or hostile\n{USAGE}"));
                    }
                };
            }
            "--with" => {
                let name = value()?;
                if !asked.switches.turn_on(&name) {
                    return Err(format!(
                        "no switch `{name}`; one of {}\n{USAGE}",
                        Switches::NAMES.join(", ")
                    ));
                }
            }
            "--keep" => {
                let items = value()?;
                let numbers = items.split(',').filter(|n| !n.is_empty());
                let kept: Result<BTreeSet<usize>, _> = numbers.map(str::parse).collect();
                asked.keep = Some(kept.map_err(|e| format!("`{items}`: {e}\n{USAGE}"))?);
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            "--trace" => asked.trace = true,
            "--once" => asked.once = true,
            "--quiet" => asked.quiet = true,
            _ => return Err(format!("unknown argument `{argument}`\n{USAGE}")),
        }
    }
    Ok(asked)
}

/// True if nothing was found.
fn run(asked: &Asked) -> Result<bool, String> {
    match asked.seed {
        Some(seed) => one(asked, seed),
        None => many(asked),
    }
}

fn scenario(asked: &Asked, seed: u64) -> Result<Scenario, String> {
    let mut scenario = draw(seed, asked.corpus)?;
    scenario.kept.clone_from(&asked.keep);
    scenario.nodes = asked.nodes;
    Ok(scenario)
}

fn one(asked: &Asked, seed: u64) -> Result<bool, String> {
    let scenario = scenario(asked, seed)?;
    let run = play_twice(&scenario, asked.switches);
    if asked.trace {
        println!("seed {seed}, {}:", asked.corpus.as_str());
        for (n, item) in scenario.kept_items() {
            println!("  item {n}: {item}");
        }
        tell(&scenario, asked.switches).story.iter().for_each(|line| println!("{line}"));
    }
    println!("{} events, {} cases, hash {:016x}", run.events, run.cases, run.hash);
    match run.violation {
        None => println!("every checker is content"),
        Some(ref violation) => println!("FAILED {violation}"),
    }
    Ok(run.violation.is_none())
}

fn many(asked: &Asked) -> Result<bool, String> {
    let began = Instant::now();
    let mut shown = began;
    let (mut failed, mut cases, mut events) = (0_u64, 0_u64, 0_u64);
    for n in 0..asked.seeds {
        let seed = asked.from.wrapping_add(n);
        let scenario = scenario(asked, seed)?;
        let run = match asked.once {
            true => play(&scenario, asked.switches),
            false => play_twice(&scenario, asked.switches),
        };
        cases += run.cases as u64;
        events += run.events;
        if let Some(violation) = &run.violation {
            failed += 1;
            if asked.quiet {
                println!("{seed}\t{}\t{}", violation.checker, n + 1);
                return Ok(false);
            }
            report(asked, seed, &scenario, &run);
        }
        if !asked.quiet && shown.elapsed() > PROGRESS {
            shown = Instant::now();
            eprintln!(
                "{} of {} seeds, {failed} failed, {:.0} seeds/s",
                n + 1,
                asked.seeds,
                rate(n + 1, began)
            );
        }
    }
    if asked.quiet {
        println!("-\t-\t{}", asked.seeds);
        return Ok(true);
    }
    println!(
        "{} seeds ({}), {failed} failed; {cases} cases and {events} events, each played {}; {:.0} seeds/s, {:.0} cases/s",
        asked.seeds,
        asked.corpus.as_str(),
        if asked.once { "once" } else { "twice" },
        rate(asked.seeds, began),
        rate(cases, began),
    );
    Ok(failed == 0)
}

fn rate(count: u64, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64().max(0.001)
}

fn report(asked: &Asked, seed: u64, scenario: &Scenario, run: &Run) {
    let Some(violation) = &run.violation else { return };
    println!("seed {seed} FAILED {violation}");
    let small = shrink(scenario, asked.switches, violation.checker);
    let told = tell(&small, asked.switches);
    println!("with {} of {} items:", small.kept_items().count(), scenario.items.len());
    for (n, item) in small.kept_items() {
        println!("  item {n}: {item}");
    }
    let from = told.story.len().saturating_sub(LAST_LINES);
    told.story[from..].iter().for_each(|line| println!("{line}"));
    if let Some(violation) = &told.violation {
        println!("FAILED {violation}");
    }
    let kept: Vec<String> = small.kept_items().map(|(n, _)| n.to_string()).collect();
    let switches: String = Switches::NAMES
        .iter()
        .filter(|name| {
            let mut one = Switches::default();
            one.turn_on(name);
            one.gateway_hides_history && asked.switches.gateway_hides_history
        })
        .map(|name| format!(" --with {name}"))
        .collect();
    let nodes = if asked.nodes > 1 { format!(" --nodes {}", asked.nodes) } else { String::new() };
    println!(
        "again: cargo xtask sim --seed {seed} --corpus {}{nodes}{switches} --keep {} --trace\n",
        asked.corpus.as_str(),
        kept.join(",")
    );
}
