//! Builds the condition of a search. Every value is bound; only text that is written in this crate becomes SQL.

use super::{
    Dialect, Value,
    codes::Coded,
    key::{STEP_OF_CASE, case_number, key_range, row_key},
    rows::text,
};
use crate::{CaseFilter, StepFilter, StoreError};
use amends_protocol::{CaseId, StepId};

/// A conjunction and the values of its `?` marks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    conditions: Vec<String>,
    pub(crate) values: Vec<Value>,
}

impl Search {
    /// Adds a condition that has as many `?` as there are values.
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// The `WHERE` clause, or nothing.
    pub(crate) fn clause(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }

    /// Adds every condition of another search.
    pub(crate) fn all_of(&mut self, other: &Self) {
        self.conditions.extend_from_slice(&other.conditions);
        self.values.extend_from_slice(&other.values);
    }

    /// Adds that a column has one of these numbers, in any quantity.
    pub(crate) fn and_among(
        &mut self,
        dialect: &Dialect,
        column: &str,
        numbers: impl Iterator<Item = i64>,
    ) {
        let list: Vec<String> = numbers.map(|n| n.to_string()).collect();
        let condition = format!("{column} IN ({})", dialect.numbers);
        self.and(&condition, [Value::from(format!("[{}]", list.join(",")))]);
    }

    /// Rows by the ids that they have, or that the parts have which they are.
    pub(crate) fn and_steps(&mut self, dialect: &Dialect, ids: &[StepId]) {
        let Dialect { numbers, part_of, .. } = dialect;
        let (parts, rows): (Vec<&StepId>, Vec<&StepId>) =
            ids.iter().partition(|id| id.part.is_some());
        let keys = |ids: &[&StepId]| {
            let keys = ids.iter().filter_map(|id| row_key(id.case, id.ordinal).ok());
            let keys: Vec<String> = keys.map(|key| key.to_string()).collect();
            Value::from(format!("[{}]", keys.join(",")))
        };
        if parts.is_empty() {
            return self.and(&format!("s.key IN ({numbers})"), [keys(&rows)]);
        }
        // The rows of a step lie behind its first one; which of them is meant is asked of the row itself.
        let condition = format!(
            "(s.key IN ({numbers}) OR ((s.key - (s.key & 1048575)) + coalesce({part_of}, s.key & 1048575))
             IN ({numbers}))"
        );
        self.and(&condition, [keys(&rows), keys(&parts)]);
    }

    fn and_in<T: Coded>(&mut self, column: &str, words: &[T]) {
        self.and_values(column, words.iter().map(|word| word.code().into()).collect());
    }

    fn and_one_of(&mut self, column: &str, texts: &[String]) {
        self.and_values(column, texts.iter().map(|one| text(one)).collect());
    }

    /// One of these, if there are any.
    fn and_values(&mut self, column: &str, values: Vec<Value>) {
        if !values.is_empty() {
            let marks = vec!["?"; values.len()].join(", ");
            self.and(&format!("{column} IN ({marks})"), values);
        }
    }

    fn and_text(&mut self, dialect: &Dialect, columns: &[&str], text: &str) {
        let pattern = like_pattern(text);
        let any: Vec<String> = columns
            .iter()
            .map(|column| format!("{column} {} ? ESCAPE '\\'", dialect.like))
            .collect();
        let values = columns.iter().map(|_| Value::from(pattern.clone()));
        self.and(&format!("({})", any.join(" OR ")), values);
    }
}

/// `text` anywhere, with the signs that `LIKE` would read in its own way taken literally.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// What a case filter says of `cases c`, but for its states and times.
///
/// Steps are looked at case by case: SQLite turns an `EXISTS` into a join, which it may begin at the steps of all
/// cases.
pub(crate) fn of_cases(dialect: &Dialect, filter: &CaseFilter) -> Search {
    let mut search = Search::default();
    if let Some(among) = &filter.among {
        search.and_among(dialect, "c.id", among.iter().filter_map(|case| case_number(*case).ok()));
    }
    search.and_in("c.closed_on", &filter.closed_on);
    if let Some(saga) = &filter.saga {
        search.and("c.saga = ?", [text(saga.as_str())]);
    }
    search.and_one_of("c.rulebook", &filter.rulebooks);
    if let Some(report) = &filter.report {
        match report.strip_suffix('*') {
            // Compares as text; LIKE would also match capitals and read `_` in its own way.
            Some(prefix) => {
                search.and("substr(c.report, 1, length(?)) = ?", [text(prefix), text(prefix)])
            }
            None => search.and("c.report = ?", [text(report)]),
        }
    }
    if let Some(service) = &filter.service {
        let from = format!("{service}/");
        search.and(
            &format!(
                "(substr(c.report, 1, length(?)) = ?
                  OR (SELECT 1 FROM steps s WHERE {STEP_OF_CASE} AND s.service = ? LIMIT 1) = 1)"
            ),
            [text(&from), text(&from), text(service)],
        );
    }
    if let Some(action) = &filter.action {
        search.and(
            &format!(
                "(SELECT 1 FROM steps s WHERE {STEP_OF_CASE} AND s.service = ? AND s.action = ? LIMIT 1) = 1"
            ),
            [text(&action.service), text(&action.action)],
        );
    }
    if let Some(wanted) = &filter.text {
        search.and_text(dialect, &["c.saga", "c.message"], wanted);
    }
    if let Some(customer) = &filter.customer {
        search.and(&format!("{} = ?", dialect.customer), [text(customer)]);
    }
    of_money(&mut search, dialect, filter);
    search
}

/// One amount of a case has to meet all of it. Amounts lie in the memo as texts that sort as they do, each behind its
/// currency and a colon.
fn of_money(search: &mut Search, dialect: &Dialect, filter: &CaseFilter) {
    let place = format!("{}(a.value, ':')", dialect.place_in);
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    if let Some(currency) = &filter.currency {
        conditions.push(format!("substr(a.value, 1, {place} - 1) = ?"));
        values.push(text(currency));
    }
    if let Some(least) = filter.amount_min {
        conditions.push(format!("substr(a.value, {place} + 1) >= ?"));
        values.push(text(&least.sort_key()));
    }
    if let Some(most) = filter.amount_max {
        conditions.push(format!("substr(a.value, {place} + 1) <= ?"));
        values.push(text(&most.sort_key()));
    }
    if !conditions.is_empty() {
        let all = conditions.join(" AND ");
        let any = format!("(SELECT 1 FROM {} WHERE {all} LIMIT 1) = 1", dialect.amounts);
        search.and(&any, values);
    }
}

/// Adds the states of a case filter.
pub(crate) fn in_states<T: Coded>(search: &mut Search, column: &str, states: &[T]) {
    search.and_in(column, states);
}

/// What a step filter says of `steps s` and its `cases c`. `case` is the one case that it is about, if it is.
pub(crate) fn of_steps(
    dialect: &Dialect,
    filter: &StepFilter,
    case: Option<CaseId>,
) -> Result<Search, StoreError> {
    let mut search = Search::default();
    if let Some(case) = case {
        let (first, last) = key_range(case);
        search.and("s.key BETWEEN ? AND ?", [first.into(), last.into()]);
        if let Ok(number) = case_number(case) {
            search.and("c.id = ?", [number.into()]);
        }
    }
    if let Some(ids) = &filter.ids {
        search.and_steps(dialect, ids);
    }
    if let Some(cases) = &filter.cases {
        search.and_among(dialect, "c.id", cases.iter().map(|case| case.0.cast_signed()));
    }
    search.and_in("s.state", &filter.state);
    if let Some(outcome) = filter.outcome {
        search.and("s.state = 4 AND s.ending = ?", [outcome.code().into()]);
    }
    if let Some(reason) = filter.reason {
        search.and("s.state = 5 AND s.ending = ?", [reason.code().into()]);
    }
    if let Some(service) = &filter.service {
        search.and("s.service = ?", [text(service)]);
    }
    if let Some(action) = &filter.action {
        search.and("s.service = ? AND s.action = ?", [text(&action.service), text(&action.action)]);
    }
    if let Some(verb) = filter.verb {
        search.and("s.verb = ?", [verb.code().into()]);
    }
    search.and_one_of("c.rulebook", &filter.rulebooks);
    if let Some(wanted) = &filter.text {
        search.and_text(dialect, &[dialect.message], wanted);
    }
    Ok(search)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::DIALECT;
    use amends_api::StepStateName;

    #[test]
    fn signs_of_like_are_taken_literally() {
        assert_eq!(like_pattern(r"50%_\"), r"%50\%\_\\%");
    }

    #[test]
    fn there_is_a_value_for_every_mark() {
        let filter = CaseFilter {
            report: Some("payment/*".to_owned()),
            service: Some("x' OR 1=1 --".to_owned()),
            action: "a.b".parse().ok(),
            text: Some("%".to_owned()),
            customer: Some("' OR 1=1 --".to_owned()),
            currency: Some("EUR".to_owned()),
            amount_min: "12.50".parse().ok(),
            amount_max: "99".parse().ok(),
            ..CaseFilter::default()
        };
        let search = of_cases(&DIALECT, &filter);
        assert_eq!(search.clause().matches('?').count(), search.values.len());
        assert!(!search.clause().contains("1=1"));
        let filter = StepFilter { state: StepStateName::ALL.to_vec(), ..StepFilter::default() };
        let search = of_steps(&DIALECT, &filter, Some(CaseId(1))).expect("plain");
        assert_eq!(search.clause().matches('?').count(), search.values.len());
    }
}
