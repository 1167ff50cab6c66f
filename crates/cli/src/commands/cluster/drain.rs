//! `amends cluster drain` and `resume`: a node gives what it holds to the others, and may take its share again. The
//! node does it itself, as soon as it finds the word in the database; here it is waited for.

use super::{cluster, has_seat, look, parts};
use crate::commands::config::ConfigArguments;
use crate::commands::confirm_or;
use crate::failure::{Failure, Outcome};
use crate::{moment, output};
use amends_protocol::{Problem, ProblemCode};
use amends_server::ClusterOptions;
use amends_store::{ClusterSeen, NodeSeen, Partition};
use std::thread;
use std::time::{Duration, Instant};

/// Options of `cluster drain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends cluster drain amends-2 --config amends.toml\n  \
amends cluster drain amends-2 --timeout 10m && systemctl stop amends\n\n\
Nothing new of what it holds is sent; what is under way is waited for, as at a stop. It goes on taking reports and \
answering people. It stays drained until its process ends, or `amends cluster resume`. Exit code 7 says that the time \
was over first.")]
pub struct DrainOptions {
    /// Which, by its name (`cluster.node`)
    #[arg(value_name = "NODE")]
    node: String,
    /// Give up waiting after this time: 90s, 15m, 2h; the node goes on
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = moment::time_limit)]
    timeout: Duration,
    /// Only tell it, and end at once
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Do not ask, although it is the last that works
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Options of `cluster resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends cluster resume amends-2 --config amends.toml\n\n\
A node that is started anew takes its share by itself.")]
pub struct ResumeOptions {
    /// Which, by its name (`cluster.node`)
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Pause between looks: partitions go within milliseconds, what is under way is waited for some seconds.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn drain(options: &DrainOptions) -> Outcome {
    let (cluster, name) = (cluster(&options.config)?, &options.node);
    let seen = look(&cluster)?;
    let node = living(&seen, name)?;
    if !seen.is_shared {
        return refuse(ProblemCode::Conflict, whole(name));
    }
    if !options.yes && !node.leaving && seen.is_last(name) {
        let what = format!(
            "drain `{name}`, the last node that works: nothing is asked of services until another one is there, or it is resumed"
        );
        confirm_or(&what, "add --yes to do it")?;
    }
    tell(&cluster, name, true)?;
    if options.no_wait {
        return output::line(&format!("`{name}` is told to give back {}", holds(node)));
    }
    wait(&cluster, name, options.timeout)
}

pub(super) fn resume(options: &ResumeOptions) -> Outcome {
    let (cluster, name) = (cluster(&options.config)?, &options.node);
    let seen = look(&cluster)?;
    if !living(&seen, name)?.leaving {
        return output::line(&format!("`{name}` was not drained; it works, nothing was changed"));
    }
    tell(&cluster, name, false)?;
    output::line(&format!("`{name}` takes its share again"))
}

/// The node of this name, which has to live.
fn living<'s>(seen: &'s ClusterSeen, name: &str) -> Outcome<&'s NodeSeen> {
    let Some(node) = seen.nodes.iter().find(|node| node.name == name) else {
        let names = seen.nodes.iter().filter(|node| node.is_alive);
        let names: Vec<_> = names.map(|node| format!("`{}`", node.name)).collect();
        let others = match names.is_empty() {
            true => "none lives at all".to_owned(),
            false => format!("those that live: {}", names.join(", ")),
        };
        return refuse(ProblemCode::NotFound, format!("there is no node `{name}`; {others}"));
    };
    match node.is_alive {
        true => Ok(node),
        false => refuse(ProblemCode::Conflict, silent(node)),
    }
}

fn refuse<T>(code: ProblemCode, why: String) -> Outcome<T> {
    Err(Failure::Problem(Box::new(Problem::new(code, why))))
}

fn silent(node: &NodeSeen) -> String {
    let (name, seconds) = (&node.name, node.silent_ms / 1_000);
    format!(
        "`{name}` does not live: it showed itself last {seconds} s ago, and the others take what it held without being told"
    )
}

fn whole(name: &str) -> String {
    format!(
        "nodes don't share this store (`cluster.share`): `{name}` has all of it or waits for it. Stop the one that works, and another that waits takes over"
    )
}

fn tell(cluster: &ClusterOptions, name: &str, leaving: bool) -> Outcome {
    let told = cluster.set_leaving(name, leaving).map_err(anyhow::Error::from)?;
    match told {
        true => Ok(()),
        // It was there a moment ago.
        false => refuse(ProblemCode::Conflict, format!("`{name}` has just ended")),
    }
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
enum Far {
    /// It still holds so many of the 65.
    Holds(usize),
    /// It is done, and what is to be said.
    Done(String),
    /// It can't be any more, and why.
    Never(String),
}

fn how_far(seen: &ClusterSeen, name: &str) -> Far {
    let Some(node) = seen.nodes.iter().find(|node| node.name == name) else {
        return Far::Done(format!("`{name}` has given back all that it held, and ended"));
    };
    if !node.is_alive {
        return Far::Never(silent(node));
    }
    if !node.leaving {
        let why = format!("`{name}` was told to go on, or has been started anew, meanwhile");
        return Far::Never(why);
    }
    if !node.parts.is_empty() {
        return Far::Holds(node.parts.len());
    }
    let mut done = format!("`{name}` holds nothing any more");
    if let without @ 1.. = seen.without_owner() {
        done += &format!("; {without} of 65 are held by nobody who lives");
    }
    Far::Done(done)
}

/// What it holds, in words.
fn holds(node: &NodeSeen) -> String {
    let seat = if has_seat(node) { " and the seat" } else { "" };
    format!("{} of {} parts{seat}", parts(node), Partition::PARTS)
}

fn wait(cluster: &ClusterOptions, name: &str, limit: Duration) -> Outcome {
    let began = Instant::now();
    let mut last = None;
    loop {
        // The database may be away for a moment; whatever is wrong with it for longer is told in the end.
        let far = look(cluster).map(|seen| how_far(&seen, name));
        match &far {
            Ok(Far::Done(said)) => return output::line(said),
            Ok(Far::Never(why)) => return refuse(ProblemCode::Conflict, why.clone()),
            Ok(Far::Holds(count)) if last != Some(*count) => {
                output::tell(&format!("`{name}` holds {count} of 65"));
                last = Some(*count);
            }
            Ok(Far::Holds(_)) | Err(_) => {}
        }
        if began.elapsed() >= limit {
            far?;
            let still = last.unwrap_or_default();
            return Err(Failure::TimedOut(format!(
                "`{name}` still holds {still} of 65; it goes on giving them back, and `amends cluster status` shows how far it is"
            )));
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cluster::tests::{node, seen};

    #[test]
    fn how_far_a_node_is_is_told_by_what_it_holds() {
        let half = || Partition::parts().take(32);
        let here = |name: &str, parts: Vec<Partition>, leaving: bool| NodeSeen {
            leaving,
            ..node(name, parts)
        };
        let rest = || half().collect::<Vec<_>>();
        let far = |nodes: Vec<NodeSeen>| how_far(&seen(nodes), "a");
        assert_eq!(far(vec![here("a", rest(), true)]), Far::Holds(32));
        let Far::Done(said) = far(vec![here("a", vec![], true), here("b", rest(), false)]) else {
            panic!("it holds nothing");
        };
        assert!(said.contains("holds nothing") && said.contains("33 of 65"), "{said}");
        let all = Partition::parts().chain([Partition::SEAT]).collect();
        let done = far(vec![here("a", vec![], true), here("b", all, false)]);
        assert_eq!(done, Far::Done("`a` holds nothing any more".to_owned()));
        assert!(matches!(far(vec![]), Far::Done(said) if said.contains("ended")));
        assert!(matches!(far(vec![here("a", rest(), false)]), Far::Never(_)));
        let dead = NodeSeen { is_alive: false, ..here("a", rest(), true) };
        assert!(matches!(far(vec![dead]), Far::Never(why) if why.contains("does not live")));
    }

    #[test]
    fn who_does_not_live_is_not_drained() {
        let leaving = NodeSeen { leaving: true, ..node("b", vec![]) };
        let dead = NodeSeen { is_alive: false, ..node("c", vec![]) };
        let alone = seen(vec![node("a", vec![]), leaving, dead]);
        let why = |name| living(&alone, name).expect_err("no").lines().join(" ");
        assert!(
            why("d").contains("there is no node `d`; those that live: `a`, `b`"),
            "{}",
            why("d")
        );
        assert!(why("c").contains("`c` does not live"), "{}", why("c"));
        assert!(living(&alone, "b").is_ok());
    }
}
