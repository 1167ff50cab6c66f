//! Which rule answers a report, and why the others don't. Position in the file never matters.

use crate::facts::Facts;
use crate::secrets::MASK;
use crate::{CodePattern, Field, Rule, RuleId, Rulebook};

/// A rulebook can hold many rules for one service; an explanation longer than this helps nobody.
const CONSIDERED_LIMIT: usize = 200;

/// A rule and why it does or doesn't answer a report.
#[derive(Clone, Debug)]
pub struct Considered {
    /// Which.
    pub rule: RuleId,
    /// Everything holds. The first such rule is the one that answers; later ones are less specific.
    pub matches: bool,
    /// This is the rule that answers.
    pub chosen: bool,
    /// Field by field.
    pub checks: Vec<FieldCheck>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCheck {
    /// `service`, `code`, `action`, `message` or `data.…`.
    pub field: String,
    /// What the rule wants there, e.g. `= "card"`.
    pub wanted: String,
    /// What the report holds there.
    pub found: Option<String>,
    /// Whether they agree.
    pub holds: bool,
}

impl Rulebook {
    /// The one rule that answers this report, about what the rulebook declares or the rule names: the most
    /// specific layer that has a matching rule, and in one layer a rule with conditions before the one without.
    /// Independent of the number of rules as far as conditions compare for equality; the others of one pattern are
    /// tried one by one.
    #[must_use]
    pub fn matching(&self, facts: &Facts<'_>) -> Option<RuleId> {
        let found = self
            .index
            .covering(facts.service, facts.code)
            .find_map(|bucket| bucket.find(self.rules(), facts));
        found.filter(|id| self.rule(*id).pattern.service.is_some() || self.knows_reporter(facts))
    }

    /// The rules for the report's service and the default, most specific first, each with its reasons; at most 200,
    /// those whose pattern covers the report before the others.
    #[must_use]
    pub fn considered(&self, facts: &Facts<'_>) -> Vec<Considered> {
        let chosen = self.matching(facts);
        let concerns = |r: &&Rule| r.pattern.service.as_deref().is_none_or(|s| s == facts.service);
        let mut rules: Vec<&Rule> = self.rules().iter().filter(concerns).collect();
        rules.sort_by_key(|r| {
            (!r.pattern.covers(facts.service, facts.code), Some(r.id) != chosen, rank(r))
        });
        rules.truncate(CONSIDERED_LIMIT);
        rules.sort_by_key(|r| rank(r));
        let is_known = self.knows_reporter(facts);
        rules.into_iter().map(|rule| self.consider(rule, facts, chosen, is_known)).collect()
    }
}

/// Most specific first; the label makes it a total order that doesn't depend on positions.
fn rank(rule: &Rule) -> ((u8, usize), bool, &str) {
    (rule.pattern.layer(), rule.when.is_empty(), &rule.index_label)
}

impl Rulebook {
    fn consider(
        &self,
        rule: &Rule,
        facts: &Facts<'_>,
        chosen: Option<RuleId>,
        is_known: bool,
    ) -> Considered {
        let mut checks = Vec::new();
        if let Some(service) = &rule.pattern.service {
            checks.push(FieldCheck {
                field: "service".to_owned(),
                wanted: service.to_string(),
                found: Some(facts.service.to_owned()),
                holds: **service == *facts.service,
            });
        }
        if rule.pattern.service.is_none() && !is_known {
            checks.push(FieldCheck {
                field: "service".to_owned(),
                wanted: "declared in this rulebook".to_owned(),
                found: Some(facts.service.to_owned()),
                holds: false,
            });
        }
        let (wanted, holds) = match &rule.pattern.code {
            CodePattern::Exact(code) => (code.to_string(), **code == *facts.code),
            CodePattern::Prefix(prefix) => {
                (format!("{prefix}*"), facts.code.starts_with(&**prefix))
            }
        };
        checks.push(FieldCheck {
            field: "code".to_owned(),
            wanted,
            found: Some(facts.code.to_owned()),
            holds,
        });
        checks.extend(rule.when.iter().map(|condition| FieldCheck {
            field: condition.field.to_string(),
            wanted: condition.wanted(),
            found: self.shown(&condition.field, facts),
            holds: condition.holds(facts),
        }));
        let matches = checks.iter().all(|c| c.holds);
        Considered { rule: rule.id, matches, chosen: Some(rule.id) == chosen, checks }
    }

    /// What a report holds at a field, as a person may see it.
    fn shown(&self, field: &Field, facts: &Facts<'_>) -> Option<String> {
        let Field::Data(path) = field else { return field.show(facts) };
        match self.secrets.touched_by(&path.join(".")) {
            Some(_) => field.show(facts).map(|_| MASK.to_owned()),
            None => field.show(facts),
        }
    }
}
