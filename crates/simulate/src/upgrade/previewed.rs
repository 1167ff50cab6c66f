//! What a preview of an upgrade has found, for people and as data.

use amends_api::signs::Signed;
use amends_api::{QuestionEffect, QuestionKind};
use amends_engine::UnreadableRow;
use amends_protocol::CaseId;
use serde_json::{Value, json};

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previewed {
    /// Cases that are not settled.
    pub open: usize,
    /// Settled ones.
    pub settled: usize,
    /// Cases whose plan or state would change.
    pub changed: usize,
    /// Those of them that would need a person, and don't now.
    pub stuck: usize,
    /// Cases that could not be worked on.
    pub quarantined: usize,
    /// Versions of rulebooks that can't be read.
    pub unreadable: Vec<UnreadableRow>,
    /// The differences, the most frequent first.
    pub groups: Vec<PreviewGroup>,
    /// What this version leaves in doubt, the most frequent first.
    pub questions: Vec<PreviewQuestions>,
}

/// Cases with the same difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewGroup {
    /// Their first report, `service/code`.
    pub report: String,
    /// What would be new, a sentence or a step each.
    pub differences: Vec<String>,
    /// How many.
    pub cases: usize,
    /// One of them.
    pub example: CaseId,
}

/// Cases of one rulebook with an open question of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewQuestions {
    /// The rulebook, by name.
    pub rulebook: String,
    /// What is in doubt.
    pub kind: QuestionKind,
    /// Whether the case would be stuck.
    pub effect: QuestionEffect,
    /// How many cases.
    pub cases: usize,
    /// The newest of them.
    pub examples: Vec<CaseId>,
}

impl Previewed {
    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for UnreadableRow { row, why } in &self.unreadable {
            out += &format!("{row} can't be read: {why}\n");
        }
        for group in &self.groups {
            let some = if group.cases == 1 { "case" } else { "cases" };
            out += &format!("{}: {} {some}, e.g. {}\n", group.report, group.cases, group.example);
            for difference in &group.differences {
                out += &format!("  {difference}\n");
            }
        }
        if !self.questions.is_empty() {
            out += "open questions, as this version asks them:\n";
        }
        for PreviewQuestions { rulebook, kind, effect, cases, examples } in &self.questions {
            let some = if *cases == 1 { "case" } else { "cases" };
            let examples: Vec<String> = examples.iter().map(ToString::to_string).collect();
            let kind = kind.sign().word;
            let effect = match effect {
                QuestionEffect::Hold => effect.sign().word,
                QuestionEffect::Note => "only noted, would hold else",
            };
            out += &format!(
                "  {rulebook}: {kind}, {effect}: {cases} {some}, e.g. {}\n",
                examples.join(", ")
            );
        }
        let Self { open, settled, changed, stuck, quarantined, .. } = self;
        out + &format!(
            "{} cases looked at, {open} open and {settled} settled: {changed} would change on their next input, {stuck} of them would need a person, {quarantined} could not be worked on\n",
            open + settled
        )
    }

    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let group = |g: &PreviewGroup| json!({ "report": g.report, "differences": g.differences, "cases": g.cases, "example": g.example });
        let asked = |q: &PreviewQuestions| json!({ "rulebook": q.rulebook, "kind": q.kind, "effect": q.effect, "cases": q.cases, "examples": q.examples });
        let unreadable = |r: &UnreadableRow| json!({ "row": r.row, "why": r.why });
        json!({
            "open": self.open,
            "settled": self.settled,
            "changed": self.changed,
            "stuck": self.stuck,
            "quarantined": self.quarantined,
            "unreadable": self.unreadable.iter().map(unreadable).collect::<Vec<_>>(),
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
            "questions": self.questions.iter().map(asked).collect::<Vec<_>>(),
        })
    }

    /// Whether anything is different.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.groups.is_empty() && self.unreadable.is_empty()
    }
}
