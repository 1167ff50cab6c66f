//! Do all who judge a rulebook say the same? What is seen without playing, the proof, what an oracle sees that shares
//! nothing with it but the engine, samples of everything, and what `derive` writes: compared for one made-up rulebook.

use crate::made_up::{MadeUp, Size};
use crate::oracle::{self, Pace};
use crate::proof::{NotProved, Proof, has_at_most, prove};
use crate::simulation::{Options, simulate};
use amends_rulebook::{Diagnostic, Rulebook, codes};
use amends_workbench::{
    CheckSettings, ExplicitPart, called_both_ways, check, derive, explicit_rulebook, is_silent,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How closely one rulebook is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// How large it is.
    pub size: Size,
    /// Plays of a proof at most; of a business that takes more, calls are taken back until it fits.
    pub proof_limit: usize,
    /// Plays of the oracle where the proof finds nothing.
    pub plays: u64,
    /// Plays until the oracle must have met what the proof has found.
    pub must_meet: u64,
    /// Whether the supervisor hears of sagas while they go on, too.
    pub meanwhile: bool,
    /// Schedules of the sample where the proof finds nothing.
    pub samples: usize,
    /// Whether what `derive` writes is judged, and what findings say would help.
    pub derived: bool,
}

impl Look {
    /// A glance, for programs that are not optimized.
    pub const QUICK: Self = Self {
        size: Size::TINY,
        proof_limit: 120,
        plays: 5,
        must_meet: 10_000,
        meanwhile: false,
        samples: 0,
        derived: false,
    };

    /// For a long run.
    pub const LONG: Self = Self {
        size: Size::LARGE,
        proof_limit: 50_000,
        plays: 200,
        must_meet: 400_000,
        meanwhile: false,
        samples: 100,
        derived: true,
    };
}

/// Where two who judge differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The check finds what the proof does not, or the other way round.
    CheckAndProof,
    /// Seen without playing, and nothing is left.
    OnlySeen,
    /// Left, and not seen without playing.
    NotSeen,
    /// The oracle leaves something, and the proof nothing.
    ProofMissed,
    /// The same, where the supervisor hears of a saga while it goes on.
    ProofMissedMeanwhile,
    /// The proof leaves something, and the oracle never did.
    OracleNeverMet,
    /// A sample of everything leaves something, and the proof nothing.
    SampleFound,
    /// One rule that undoes everything leaves something: something is called below a tolerated call and on another way
    /// as well.
    BothWaysLeave,
    /// The same where nothing is called so.
    EverythingLeaves,
    /// What a finding says would mend a rule doesn't.
    HelpBreaks,
    /// What `derive` writes is no rulebook, or leaves something.
    DerivedLeaves,
}

impl Difference {
    /// Whether nobody is mistaken where they differ so: what is seen without playing is no proof, and where one action
    /// is called on two ways no rule is enough.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::OnlySeen | Self::NotSeen | Self::BothWaysLeave)
    }
}

/// Why nothing is said of one that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// It is no rulebook, for example because a report contradicts itself.
    NoRulebook,
    /// More plays than a proof makes, though all calls are taken back.
    TooManyPlays,
    /// A saga of more requests than are played.
    TooLong,
}

/// What came of one.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Nothing is left by the proof.
    pub is_clean: bool,
    /// Plays of the proof.
    pub plays: usize,
    /// Plays of the oracle.
    pub looked: u64,
    /// Calls that were taken back until the proof was small enough.
    pub taken_back: usize,
    /// Each difference with a story.
    pub differences: Vec<(Difference, String)>,
}

impl Agreement {
    fn add(&mut self, difference: Difference, story: impl Into<String>) {
        self.differences.push((difference, story.into()));
    }
}

fn proved(book: &Arc<Rulebook>, look: &Look) -> Proof {
    prove(book, look.proof_limit, &mut |_| ControlFlow::Continue(()))
}

fn is_left(found: &[Diagnostic]) -> bool {
    found.iter().any(|d| d.code == codes::UNDER_COMPENSATION)
}

/// Plays that each fault takes, more or less.
const PLAYS_OF_A_FAULT: usize = 2;

/// A rulebook that was drawn, with its proof.
struct Drawn {
    made: MadeUp,
    book: Arc<Rulebook>,
    proof: Proof,
    taken_back: usize,
}

/// Draws a rulebook that is small enough to be proved: of one that is too large, calls are taken back.
fn drawn(seed: u64, look: &Look) -> Result<Drawn, Skipped> {
    for taken_back in 0.. {
        let made = MadeUp::of(seed, look.size, taken_back);
        let book = Rulebook::from_yaml(&made.text).map_err(|_| Skipped::NoRulebook)?;
        let is_smallest = made.calls_nobody();
        if !is_smallest && !has_at_most(&book, look.proof_limit / PLAYS_OF_A_FAULT) {
            continue;
        }
        let proof = proved(&book, look);
        match proof.not_proved {
            None => return Ok(Drawn { made, book, proof, taken_back }),
            Some(_) if !is_smallest => {}
            Some(NotProved::TooManyPlays) => return Err(Skipped::TooManyPlays),
            Some(NotProved::TooLong) => return Err(Skipped::TooLong),
        }
    }
    Err(Skipped::TooManyPlays)
}

/// The rulebook of a seed, as it is looked at; none where what was drawn is no rulebook, or too large to be proved.
#[must_use]
pub fn text(seed: u64, look: &Look) -> Option<String> {
    drawn(seed, look).ok().map(|drawn| drawn.made.text)
}

/// Compares all of them for the rulebook of a seed.
///
/// # Errors
///
/// What was drawn is no rulebook, or too large to be proved.
pub fn agreement(seed: u64, look: &Look) -> Result<Agreement, Skipped> {
    let Drawn { made, book, proof, taken_back } = drawn(seed, look)?;
    let is_clean = proof.left_behind.is_empty();
    let plays = proof.plays;
    let mut result = Agreement { is_clean, plays, taken_back, ..Agreement::default() };
    let story = proof.left_behind.first().map(ToString::to_string).unwrap_or_default();
    let found = crate::check_by_proof(&book, &CheckSettings::default(), &proof);
    if is_left(&found) == is_clean {
        result.add(Difference::CheckAndProof, story.clone());
    }
    match (is_left(&check(&book)), is_clean) {
        (true, true) => result.add(Difference::OnlySeen, format!("{:#?}", check(&book))),
        (false, false) => result.add(Difference::NotSeen, story.clone()),
        _ => {}
    }
    if is_clean {
        clean(seed, look, &made, &book, &mut result);
    } else {
        let (plays, met) = oracle::look(&made, &book, Pace::Afterwards, seed, look.must_meet);
        result.looked += plays;
        if met.is_none() {
            result.add(Difference::OracleNeverMet, story);
        }
    }
    if look.derived {
        helped(&made, &found, look, &mut result);
        derived(&made, look, &mut result);
    }
    Ok(result)
}

/// Where the proof finds nothing, nobody else does.
fn clean(seed: u64, look: &Look, made: &MadeUp, book: &Arc<Rulebook>, result: &mut Agreement) {
    let paces = [
        (Pace::Afterwards, Difference::ProofMissed, true),
        (Pace::Meanwhile, Difference::ProofMissedMeanwhile, look.meanwhile),
    ];
    for (pace, difference, _) in paces.into_iter().filter(|(.., wanted)| *wanted) {
        let (plays, met) = oracle::look(made, book, pace, seed, look.plays);
        result.looked += plays;
        if let Some(story) = met {
            result.add(difference, story.join("\n"));
        }
    }
    if look.samples > 0 {
        let options = Options { max_schedules: look.samples, seed, pairs: false, stop_after: 5 };
        let ends = simulate(book, &options).counterexamples;
        if let Some(end) = ends.iter().find(|end| end.finding.is_left_behind()) {
            result.add(Difference::SampleFound, end.to_string());
        }
    }
}

/// Where a finding says that `compensate: recorded` would do, it does.
fn helped(made: &MadeUp, found: &[Diagnostic], look: &Look, result: &mut Agreement) {
    // There the finding says to give one of the calls an action of its own.
    if Rulebook::from_yaml(&made.text).is_ok_and(|book| !called_both_ways(&book).is_empty()) {
        return;
    }
    let advised = found.iter().filter(|d| d.code == codes::UNDER_COMPENSATION);
    let is_advice = |help: &str| help.contains("or `compensate: recorded`");
    for one in advised.filter(|d| d.help.as_deref().is_some_and(is_advice)) {
        let Some(text) = with_recorded(&made.text, one.at.start) else { continue };
        let left = match Rulebook::from_yaml(&text) {
            Err(found) => Some(format!("{found:#?}")),
            Ok(book) => {
                let rule = book.rules().iter().find(|rule| rule.span.start == one.at.start);
                let label = rule.map(|rule| rule.index_label.clone());
                let proof = proved(&book, look);
                let of_it = |rules: &[String]| label.iter().any(|label| rules.contains(label));
                let end = proof.left_behind.iter().find(|end| of_it(&end.rules));
                end.map(ToString::to_string)
            }
        };
        if let Some(story) = left {
            result.add(Difference::HelpBreaks, format!("{one:#?}\n{text}\n{story}"));
        }
    }
}

/// The rulebook with this demand in the rule that stands there: made-up rules have a line each.
fn with_recorded(text: &str, at: usize) -> Option<String> {
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = at + text[at..].find('\n')?;
    let line = &text[start..end];
    let demand = ["compensate:", "retry:"].into_iter().filter_map(|key| line.find(key)).min()?;
    let before = &text[..start + demand];
    Some(format!("{before}compensate: recorded }}{}", &text[end..]))
}

/// What `derive` writes for the same business leaves nothing, where anything written can.
fn derived(made: &MadeUp, look: &Look, result: &mut Agreement) {
    let Ok(short) = Rulebook::from_yaml(&made.with_one_rule("recorded").text) else { return };
    let text = explicit_rulebook(&short, &derive(&short), ExplicitPart::Whole);
    let everything = if text.contains("[recorded, all]") { "[recorded, all]" } else { "recorded" };
    let default = made.with_one_rule(everything);
    let mut services = short.action_ids().map(|id| short.get(id).service);
    let is_any_silent = services.any(|service| is_silent(&short, service));
    if default.has_untold_charges() || is_any_silent {
        return;
    }
    let default = Rulebook::from_yaml(&default.text);
    let left = default.map(|book| proved(&book, look).left_behind.first().map(ToString::to_string));
    let is_both = !called_both_ways(&short).is_empty();
    if let Ok(Some(story)) = left {
        let difference =
            if is_both { Difference::BothWaysLeave } else { Difference::EverythingLeaves };
        return result.add(difference, story);
    }
    if is_both {
        return;
    }
    let story = match Rulebook::from_yaml(&text) {
        Err(found) => Some(format!("{found:#?}")),
        Ok(long) if is_left(&check(&long)) => Some(format!("{:#?}", check(&long))),
        Ok(long) => proved(&long, look).left_behind.first().map(ToString::to_string),
    };
    if let Some(story) = story {
        result.add(Difference::DerivedLeaves, format!("{text}\n{story}"));
    }
}
