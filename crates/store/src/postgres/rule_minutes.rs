//! The minutes of limited rules, as rows: cases that a rule has answered since its minute began, whichever nodes took
//! their reports. Every commit counts what it lets through, by the database's clock, and is refused over the limit.

use super::{
    columns::Asked,
    session::{Session, database},
    tables::storable,
};
use crate::StoreError;
use amends_engine::{RuleCases, RuleMinute};

/// A minute begins with the first case after the one before is over. The moment is the one at which the row is come to:
/// where another commit is waited for then, the minute that it has begun is later, and counts.
///
/// Whoever locks several rows does it in one order; these are known by version and number.
const COUNTED: &str = "
    INSERT INTO rule_minute AS m (rulebook, rule, began, cases)
    SELECT r.rulebook, r.rule, clock_timestamp(), r.cases FROM answers AS r ORDER BY r.rulebook, r.rule
    ON CONFLICT (rulebook, rule) DO UPDATE SET
      began = CASE WHEN excluded.began - m.began >= interval '1 minute' THEN excluded.began ELSE m.began END,
      cases = CASE WHEN excluded.began - m.began >= interval '1 minute' THEN excluded.cases ELSE m.cases + excluded.cases END
    RETURNING m.rulebook, m.rule, m.cases";

/// No rule answers more cases than it may.
pub(super) const LIMITS_MUST: &str = "
           AND amends_must('rule',
             (SELECT c.rule::bigint FROM counted AS c JOIN answers AS r USING (rulebook, rule) WHERE c.cases > r.most LIMIT 1))";

const CURRENT: &str = "
    SELECT rulebook, rule, cases, floor(extract(epoch FROM clock_timestamp() - began) * 1000)::bigint
    FROM rule_minute WHERE clock_timestamp() - began < interval '1 minute'";

/// Whoever counts at the same moment is not waited for: that row is needed.
const FORGET: &str = "
    DELETE FROM rule_minute WHERE (rulebook, rule) IN (
      SELECT rulebook, rule FROM rule_minute WHERE began < clock_timestamp() - interval '1 hour'
      ORDER BY rulebook, rule FOR UPDATE SKIP LOCKED)";

/// As parts of a statement whose values from this number on are [`Answers`].
pub(super) fn counted(first: usize, is_held: &str) -> String {
    let kinds = ["smallint", "text", "int", "int", "int"];
    let values: Vec<String> =
        kinds.iter().zip(first..).map(|(kind, n)| format!("${n}::{kind}[]")).collect();
    format!(
        ",
         answers AS MATERIALIZED (
           SELECT u.rulebook, u.rule, max(u.most) AS most, sum(u.cases)::int AS cases
           FROM unnest({}) AS u(part, rulebook, rule, most, cases) WHERE {is_held} GROUP BY u.rulebook, u.rule),
         counted AS ({COUNTED})",
        values.join(", ")
    )
}

/// What a commit lets through, as lists.
#[derive(Default)]
pub(super) struct Answers {
    parts: Vec<i16>,
    rulebooks: Vec<String>,
    rules: Vec<i32>,
    most: Vec<i32>,
    cases: Vec<i32>,
}

impl Answers {
    pub(super) fn of(rows: &[(i16, &RuleCases)]) -> Self {
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let mut lists = Self::default();
        for (part, of) in rows {
            lists.parts.push(*part);
            lists.rulebooks.push(storable(&of.rulebook).into_owned());
            lists.rules.push(number(of.rule));
            lists.most.push(number(of.limit));
            lists.cases.push(number(of.cases));
        }
        lists
    }

    pub(super) fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        let query = query.bind(self.parts.clone()).bind(self.rulebooks.clone());
        query.bind(self.rules.clone()).bind(self.most.clone()).bind(self.cases.clone())
    }
}

/// All minutes that are not over.
pub(super) fn current(session: &Session) -> Result<Vec<RuleMinute>, StoreError> {
    let rows = session.run(async |line| {
        sqlx::query_as::<_, (String, i32, i32, i64)>(CURRENT).fetch_all(line).await
    });
    let rows = rows.map_err(database("read how many cases limited rules have answered"))?;
    let minutes = rows.into_iter().map(|(rulebook, rule, cases, age_ms)| RuleMinute {
        rulebook: rulebook.into(),
        rule: rule.cast_unsigned(),
        cases: cases.cast_unsigned(),
        age_ms: u64::try_from(age_ms).unwrap_or(0),
    });
    Ok(minutes.collect())
}

/// Forgets minutes that are long over.
pub(super) fn forget(session: &Session) -> Result<(), StoreError> {
    session.batch(FORGET).map_err(database("forget minutes of limited rules"))
}
