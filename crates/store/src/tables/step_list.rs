//! The list of steps, by whatever filter, in bounded time: newest case first, as the list of cases, and within a case
//! the last step first. One page looks at the steps of a bounded number of cases, and says how far it came.

use super::{
    Columns, Dialect, Tables, Value,
    case_list::{self, CANDIDATES, JSON_COST, STEPS_COST, Stream, UNSETTLED},
    cursor::List,
    key::{CASE_OF_STEP, case_number, case_of, key_range, row_key},
    lookup::case_of_saga,
    members::Members,
    order::{CaseKey, Span},
    records,
    rows::{STEP_COLUMNS, collect_up_to, column, step_row},
    search::{self, Search},
};
use crate::{CaseOrder, ListedStep, PageRequest, RowPage, StepFilter, StoreError};
use amends_api::StepStateName;
use amends_engine::{RulebookRef, StepRow};
use amends_protocol::{CaseId, SagaId, StepId, Timestamp};

/// Steps of a case whose JSON is looked into, as far as that can be guessed.
const STEPS_OF_A_CASE: usize = 4;

/// A step that a search found, with what its list needs of its case.
struct FoundStep {
    row: StepRow,
    saga: SagaId,
    rulebook: Option<RulebookRef>,
    opened_at: i64,
}

impl FoundStep {
    /// By the time of opening of its case, then by case and ordinal.
    fn place(&self) -> Result<[i64; 2], StoreError> {
        Ok([self.opened_at, row_key(self.row.id.case, self.row.id.ordinal)?])
    }
}

/// One page of steps.
pub(crate) fn steps(
    conn: &dyn Tables,
    filter: &StepFilter,
    page: &PageRequest,
) -> Result<RowPage<ListedStep>, StoreError> {
    let limit = page.rows();
    let Some(case) = one_case(conn, filter)? else {
        return Ok(RowPage { items: Vec::new(), next: None, searched_until: None });
    };
    let search = StepSearch::of(conn.dialect(), filter, case, List::Steps.read(page)?)?;
    let (mut found, stop) = search.find(conn, limit + 1)?;
    // One row more than the page has is the sign that there is a next page.
    let is_full = found.len() > limit;
    found.truncate(limit);
    let (next, searched_until) = match (found.last(), stop) {
        (Some(last), _) if is_full => (Some(last.place()?), None),
        // The case at which it stopped was not looked at.
        (_, Some(stop)) => (
            Some([stop.opened_at, key_range(CaseId(stop.id.cast_unsigned())).1]),
            Some(Timestamp(stop.opened_at)),
        ),
        (_, None) => (None, None),
    };
    let found = found.into_iter().map(|found| (found.row, found.saga, found.rulebook)).collect();
    let items = records::listed_steps(conn, found)?;
    Ok(RowPage { items, next: next.map(|place| List::Steps.write(place)), searched_until })
}

/// What is asked of steps, and the part of the list that is looked at.
pub(crate) struct StepSearch<'f> {
    filter: &'f StepFilter,
    /// The one case that it is about, if it is.
    case: Option<CaseId>,
    search: Search,
    /// Of their cases.
    span: Span,
}

impl<'f> StepSearch<'f> {
    pub(crate) fn of(
        dialect: &Dialect,
        filter: &'f StepFilter,
        case: Option<CaseId>,
        after: Option<[i64; 2]>,
    ) -> Result<Self, StoreError> {
        let mut search = search::of_steps(dialect, filter, case)?;
        let mut span = Span::default();
        if let Some([opened_at, key]) = after {
            // The first finds the place in the index of cases, the second the place within the case.
            let case = CaseKey { opened_at, id: case_of(key).0.cast_signed() };
            span.after(Some(case.just_before(CaseOrder::Newest)), CaseOrder::Newest);
            search.and("(c.opened_at, s.key) < (?, ?)", [opened_at.into(), key.into()]);
        }
        Ok(Self { filter, case, search, span })
    }

    /// The first steps that fit; and the case at which it stopped, if it did.
    fn find(
        mut self,
        conn: &dyn Tables,
        wanted: usize,
    ) -> Result<(Vec<FoundStep>, Option<CaseKey>), StoreError> {
        if let Some(members) = &self.filter.members {
            return self.among(conn, members, wanted);
        }
        let mut stop = None;
        if !self.is_named() {
            let (streams, order) = (self.streams(), CaseOrder::Newest);
            stop = case_list::stop(conn, &streams, order, self.span, self.candidates())?;
            self.span.until(stop, order);
        }
        let mut found = Vec::new();
        for (sql, values) in self.queries(conn.dialect()) {
            found.extend(collect_up_to(conn, &sql, values, wanted, found_step)?);
        }
        found.sort_by_cached_key(|found| std::cmp::Reverse(found.place().unwrap_or_default()));
        found.truncate(wanted);
        Ok((found, stop))
    }

    /// What fits among steps that are named.
    fn among(
        &self,
        conn: &dyn Tables,
        members: &[(Timestamp, StepId)],
        wanted: usize,
    ) -> Result<(Vec<FoundStep>, Option<CaseKey>), StoreError> {
        let of_case = |(at, id): &(Timestamp, StepId)| {
            Some((CaseKey { opened_at: at.0, id: case_number(id.case).ok()? }, *id))
        };
        let steps = members.iter().filter_map(of_case);
        let mut members = Members::of(steps, self.span, CaseOrder::Newest, self.candidates());
        let mut found = Vec::new();
        while found.len() < wanted
            && let Some(some) = members.next(wanted)
        {
            let ids: Vec<StepId> = some.into_iter().map(|(_, id)| id).collect();
            let mut search = self.search.clone();
            search.and_steps(conn.dialect(), &ids);
            let (sql, values) = self.by_key(search);
            found.extend(collect_up_to(conn, &sql, values, wanted - found.len(), found_step)?);
        }
        Ok((found, members.stop()))
    }

    /// How many cases a page looks at the steps of.
    fn candidates(&self) -> usize {
        let looks_into_json = self.filter.text.is_some();
        CANDIDATES / (1 + STEPS_COST + STEPS_OF_A_CASE * JSON_COST * usize::from(looks_into_json))
    }

    /// Whether the steps are named, or their cases.
    fn is_named(&self) -> bool {
        self.case.is_some() || self.filter.ids.is_some() || self.filter.cases.is_some()
    }

    /// Where their cases come from, unless they are looked up by key.
    fn streams(&self) -> Vec<Stream> {
        match self.filter {
            StepFilter { cases: Some(_), .. } => vec![Stream::named()],
            // INVARIANT: a settled case has no such step, so the search goes through the unsettled cases only.
            filter if wants_unfinished_only(filter) => UNSETTLED.map(Stream::unsettled).to_vec(),
            _ => vec![Stream::all()],
        }
    }

    /// What finds them: one query, or one for each state that their cases can have.
    pub(crate) fn queries(&self, dialect: &Dialect) -> Vec<(String, Vec<Value>)> {
        if self.case.is_some() || self.filter.ids.is_some() {
            return vec![self.by_key(self.search.clone())];
        }
        let of_stream = |stream: Stream| {
            let from = format!("cases c {} {}", stream.index, dialect.steps_of_case);
            let mut search = self.search.clone();
            search.all_of(&stream.condition);
            self.query(&from, search)
        };
        self.streams().into_iter().map(of_stream).collect()
    }

    fn by_key(&self, search: Search) -> (String, Vec<Value>) {
        self.query(&format!("steps s CROSS JOIN cases c ON c.id = {CASE_OF_STEP}"), search)
    }

    fn query(&self, from: &str, mut search: Search) -> (String, Vec<Value>) {
        self.span.add_to(&mut search);
        let clause = search.clause();
        let sql = format!(
            "SELECT {STEP_COLUMNS}, c.saga, c.opened_at, c.rulebook, c.rulebook_hash FROM {from} {clause}
             ORDER BY c.opened_at DESC, c.id DESC, s.key DESC LIMIT ?"
        );
        (sql, search.values)
    }
}

/// The one case that the filter is about: `Some(None)` when about any, `None` when about none that exists.
#[allow(clippy::option_option)] // three answers: any case, this case, no case
fn one_case(conn: &dyn Tables, filter: &StepFilter) -> Result<Option<Option<CaseId>>, StoreError> {
    let Some(saga) = &filter.saga else { return Ok(Some(filter.case)) };
    let Some(of_saga) = case_of_saga(conn, saga)? else { return Ok(None) };
    Ok(match filter.case {
        Some(case) if case != of_saga => None,
        _ => Some(Some(of_saga)),
    })
}

fn wants_unfinished_only(filter: &StepFilter) -> bool {
    let unfinished = |state: &StepStateName| state.is_unfinished();
    filter.reason.is_some() || (!filter.state.is_empty() && filter.state.iter().all(unfinished))
}

fn found_step(row: &dyn Columns) -> Result<FoundStep, StoreError> {
    let step = step_row(row)?;
    let saga = column::<String>(row, 15)?;
    let saga = SagaId::new(&saga).map_err(|e| StoreError::Corrupt {
        row: format!("case `{}`", step.id.case),
        what: e.to_string(),
    })?;
    let name: Option<String> = column(row, 17)?;
    let hash: Option<String> = column(row, 18)?;
    let rulebook = name.zip(hash);
    let rulebook =
        rulebook.map(|(name, hash)| RulebookRef { name: name.into(), hash: hash.into() });
    Ok(FoundStep { row: step, saga, rulebook, opened_at: column(row, 16)? })
}
