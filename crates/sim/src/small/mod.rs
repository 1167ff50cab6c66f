//! A world so small that everything that can happen in it is tried: two services, three requests, every order of what
//! they do, what is lost and what comes late, around the real engine.
//!
//! Breadth first over the states; two states are one when services, network and engine can't be told apart, whatever
//! the clock says and however often a thing was tried. So every way to every state is cut at the shortest.

mod business;
mod services;
mod state;

pub use business::{Business, LISTED, LISTED_ENTRY, PLAIN_ENTRY, RECORDED};

use state::{Move, State};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

/// What was tried.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Moves between them.
    pub moves: usize,
    /// States in which nothing can happen any more, by the case's closing word; `no case` if nobody reported.
    pub ends: BTreeMap<String, usize>,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: Vec<_> = self.ends.iter().map(|(word, n)| format!("{n} {word}")).collect();
        write!(f, "{} states, {} moves, ends: {}", self.states, self.moves, ends.join(", "))
    }
}

/// Something that must never be, and the shortest way to it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What.
    pub what: String,
    /// The moves, from the beginning.
    pub path: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nafter: {}", self.what, self.path.join("\n       "))
    }
}

/// A state that was found: from which, and by what.
struct Found {
    from: Option<(usize, Move)>,
    /// Whether it leads to an end.
    ends: bool,
    /// Who leads here.
    before: Vec<usize>,
}

/// Tries everything.
///
/// # Errors
/// What is broken, or that there are more states than `most`.
pub fn explore(business: &Business, most: usize) -> Result<Explored, Box<Broken>> {
    let first = State::new(business);
    let mut numbers: HashMap<u64, usize> = HashMap::from([(first.fingerprint(), 0)]);
    let mut found = vec![Found { from: None, ends: false, before: Vec::new() }];
    let mut waiting = VecDeque::from([(0, first)]);
    let mut explored = Explored::default();
    while let Some((number, state)) = waiting.pop_front() {
        if let Err(what) = state.check() {
            return Err(broken(&found, number, what));
        }
        let mut goes_on = false;
        for next in state.moves() {
            let mut after = state.clone();
            after.make(next);
            explored.moves += 1;
            let reached = match numbers.entry(after.fingerprint()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(fresh) => {
                    let reached = found.len();
                    fresh.insert(reached);
                    found.push(Found { from: Some((number, next)), ends: false, before: vec![] });
                    waiting.push_back((reached, after));
                    reached
                }
            };
            goes_on |= reached != number;
            found[reached].before.push(number);
        }
        if found.len() > most {
            let what = format!("there are more than {most} states");
            return Err(broken(&found, number, what));
        }
        if !goes_on {
            let word = state.end().map_err(|what| broken(&found, number, what))?;
            *explored.ends.entry(word).or_default() += 1;
            found[number].ends = true;
        }
    }
    explored.states = found.len();
    all_lead_to_an_end(&mut found)?;
    Ok(explored)
}

fn all_lead_to_an_end(found: &mut [Found]) -> Result<(), Box<Broken>> {
    let mut queue: Vec<usize> = (0..found.len()).filter(|n| found[*n].ends).collect();
    while let Some(number) = queue.pop() {
        for before in std::mem::take(&mut found[number].before) {
            if !found[before].ends {
                found[before].ends = true;
                queue.push(before);
            }
        }
    }
    match found.iter().position(|one| !one.ends) {
        Some(number) => Err(broken(found, number, "no way leads to an end from here".to_owned())),
        None => Ok(()),
    }
}

fn broken(found: &[Found], number: usize, what: String) -> Box<Broken> {
    let mut path = Vec::new();
    let mut at = number;
    while let Some((from, made)) = found[at].from {
        path.push(made.to_string());
        at = from;
    }
    path.reverse();
    Box::new(Broken { what, path })
}
