//! Limits that hold whatever fails: requests under way at one service, cases of one rule a minute, tries of a retry.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{CaseRow, Effect, RULE_MINUTE_MS, ReportRole, StepReading, Write};
use amends_node::EffectResult;
use amends_protocol::{CaseId, StepId, Timestamp, Verb};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A service's concurrency limit where nobody says one.
const DEFAULT_CONCURRENCY: u32 = 16;

/// Ages below it end in the runs, and may give a retry up before its tries do.
const HOUR_MS: u64 = 3_600_000;

/// What may be under way at a service now: an operator's word, else the active rulebook's.
pub(super) fn concurrency_of(store: &Stored, service: &Arc<str>) -> u32 {
    let operators = store.rows.service(service).and_then(|s| s.settings.limits.as_ref());
    if let Some(limit) = operators.and_then(|l| l.concurrency) {
        return limit;
    }
    store
        .active_for(service)
        .and_then(|book| Some(book.services()[book.service(service)?.0 as usize].concurrency))
        .unwrap_or(DEFAULT_CONCURRENCY)
}

/// Never more requests under way at a service than it may have, also after a commit that failed.
#[derive(Default)]
pub(super) struct Concurrency {
    under_way: BTreeMap<u64, Arc<str>>,
}

impl Check for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Effect { number, service, .. } => {
                self.under_way.insert(*number, Arc::clone(service));
                let count = self.under_way.values().filter(|s| *s == *service).count();
                let limit = concurrency_of(store, service) as usize;
                when(count > limit, || {
                    format!("{count} requests are under way at {service}, which may have {limit}")
                })
            }
            Seen::Result { number, .. } => {
                let known = self.under_way.remove(number).is_some();
                when(!known, || format!("effect {number} has a second result"))
            }
            Seen::Died => {
                self.under_way.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A rule with a limit answers at most so many cases a minute without asking. A minute begins with the first case after
/// the one before has ended, so 60 seconds can see the end of one and the beginning of the next, and no more. The count
/// is in memory: a new process begins anew.
#[derive(Default)]
pub(super) struct PerMinute {
    /// By content hash of the rulebook and number of the rule.
    answered: BTreeMap<(Arc<str>, u32), Answered>,
    /// A clock that jumps back stands still for the supervisor.
    now: Timestamp,
}

/// When a rule answered which case for the first time.
type Answered = Vec<(Timestamp, CaseId)>;

impl Check for PerMinute {
    fn name(&self) -> &'static str {
        "limit per minute"
    }

    fn see(&mut self, now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        self.now = self.now.max(now);
        match seen {
            Seen::Started => *self = Self { now, ..Self::default() },
            Seen::Committed { writes, .. } => {
                for write in *writes {
                    if let Write::Report(row) = write
                        && let ReportRole::Rule(rule) = row.role
                    {
                        self.answers(row.case, rule, store)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl PerMinute {
    fn answers(&mut self, case: CaseId, rule: u32, store: &Stored) -> Result<(), String> {
        let now = self.now;
        let Some((hash, limit)) = limit_of(case, rule, store) else { return Ok(()) };
        let answered = self.answered.entry((hash, rule)).or_default();
        if answered.iter().any(|(_, c)| *c == case) {
            return Ok(());
        }
        answered.push((now, case));
        let lately = answered.iter().filter(|(at, _)| now.ms_since(*at) < 60_000).count();
        when(lately > 2 * limit as usize, || {
            format!(
                "a rule with a limit of {limit} a minute has answered {lately} cases in 60 seconds"
            )
        })
    }
}

/// The same where nodes share the store, and exactly: whichever of them answer its cases, a rule answers at most its
/// limit of them in a minute, and one begins only when the one before is over. The store counts, so neither a crash
/// nor a commit that lands late makes any difference.
#[derive(Default)]
pub(super) struct PerMinuteOfAll {
    /// By content hash of the rulebook and number of the rule: when its last minute began, and how many cases it has.
    minutes: BTreeMap<(Arc<str>, u32), (i64, u32)>,
    /// What the store tells of them: how long ago each began.
    told: BTreeMap<(Arc<str>, u32), u64>,
    /// Cases that have been counted.
    known: BTreeSet<(CaseId, Arc<str>, u32)>,
}

impl Check for PerMinuteOfAll {
    fn name(&self) -> &'static str {
        "limit over nodes"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Minutes { minutes } => {
                let told = minutes.iter();
                self.told = told.map(|m| ((Arc::clone(&m.rulebook), m.rule), m.age_ms)).collect();
                Ok(())
            }
            Seen::Committed { writes, at } => writes.iter().try_for_each(|write| match write {
                Write::Report(row) => match row.role {
                    ReportRole::Rule(rule) => self.answers(row.case, rule, *at, store),
                    _ => Ok(()),
                },
                _ => Ok(()),
            }),
            _ => Ok(()),
        }
    }
}

impl PerMinuteOfAll {
    fn answers(&mut self, case: CaseId, rule: u32, at: i64, store: &Stored) -> Result<(), String> {
        let Some((hash, limit)) = limit_of(case, rule, store) else { return Ok(()) };
        if !self.known.insert((case, Arc::clone(&hash), rule)) {
            return Ok(());
        }
        let key = (hash, rule);
        let Some(age_ms) = self.told.get(&key) else {
            return Err(format!("{case} is answered by a rule with a limit, and nobody counts it"));
        };
        let began = at - age_ms.cast_signed();
        let minute = self.minutes.entry(key).or_insert((began, 0));
        let is_another = began != minute.0;
        when(is_another && began - minute.0 < RULE_MINUTE_MS.cast_signed(), || {
            format!("a minute of a rule begins {} ms after the one before", began - minute.0)
        })?;
        if is_another {
            *minute = (began, 0);
        }
        minute.1 += 1;
        let cases = minute.1;
        when(cases > limit, || {
            format!("a rule with a limit of {limit} a minute answers {cases} cases in one")
        })
    }
}

/// The limit of the rule that answers a case, and the version of the rulebook that says so.
fn limit_of(case: CaseId, rule: u32, store: &Stored) -> Option<(Arc<str>, u32)> {
    let book = store.rows.case_row(case).and_then(|row| row.rulebook.as_ref())?;
    let known = store.version(&book.hash)?;
    let limit = known.rules().get(rule as usize)?.limit_per_minute?;
    Some((Arc::clone(&book.hash), limit))
}

/// A retry is not tried more often than a rule allows that gives it up, and not given up after fewer tries.
#[derive(Default)]
pub(super) struct GiveUp {
    /// Tries that reached the service, whatever became of their results.
    reached: BTreeMap<StepId, u32>,
    tries: BTreeMap<StepId, u32>,
    asked: BTreeMap<u64, StepId>,
    acted_on: BTreeSet<CaseId>,
    refused: BTreeSet<CaseId>,
}

impl GiveUp {
    fn limit(store: &Stored, step: StepId) -> Option<u32> {
        let row = store.rows.step(step).filter(|s| s.verb == Verb::Retry)?;
        let book = store.book_of(step.case)?;
        let rules =
            row.extra.because.iter().filter_map(|n| match store.report(step.case, *n)?.role {
                ReportRole::Rule(rule) | ReportRole::RuleHeld(rule) => {
                    book.rules().get(rule as usize)
                }
                _ => None,
            });
        rules.filter_map(|rule| rule.give_up.as_ref()?.attempts).min()
    }
}

impl GiveUp {
    /// A rule that counts tries alone has counted them.
    fn given_up(&self, store: &Stored, case: &CaseRow) -> Result<(), String> {
        let Some(book) = store.book_of(case.id) else { return Ok(()) };
        if self.acted_on.contains(&case.id) || self.refused.contains(&case.id) {
            return Ok(());
        }
        for rule in case.extra.gave_up.iter().filter_map(|n| book.rules().get(*n as usize)) {
            let Some(give_up) = rule.give_up.as_ref().filter(|g| g.age_ms.is_none()) else {
                continue;
            };
            let retries = || store.rows.steps_of(case.id).filter(|s| s.verb == Verb::Retry);
            let aged = retries().any(|s| {
                let action = book.action(&s.action.service, &s.action.action);
                action
                    .is_some_and(|id| book.get(id).retry.max_age_ms.is_some_and(|ms| ms < HOUR_MS))
            });
            let most =
                retries().filter_map(|s| self.reached.get(&s.id)).max().copied().unwrap_or(0);
            let needed = give_up.attempts.unwrap_or(0);
            when(!aged && most < needed, || {
                format!(
                    "{} gives a retry up after {most} tries that reached its service; its rule does after {needed}",
                    case.id
                )
            })?;
        }
        Ok(())
    }
}

impl Check for GiveUp {
    fn name(&self) -> &'static str {
        "give up"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, .. } => {
                for write in *writes {
                    if let Write::Act(act) = write {
                        self.acted_on.extend(act.case);
                    }
                }
                writes.iter().try_for_each(|write| match write {
                    Write::Case(row) => self.given_up(store, row),
                    _ => Ok(()),
                })
            }
            Seen::Effect { number, effect: Effect::Send(send), .. } if send.verb == Verb::Retry => {
                self.asked.insert(*number, send.step);
                let tries = self.tries.get(&send.step).copied().unwrap_or(0);
                let limit = Self::limit(store, send.step)
                    .filter(|_| !self.acted_on.contains(&send.step.case));
                when(limit.is_some_and(|limit| tries >= limit), || {
                    format!(
                        "{} is tried again after {tries} tries that reached the service; its rule gives up after {}",
                        send.step,
                        limit.unwrap_or(0)
                    )
                })
            }
            // The result of a try may be lost with the process, or with the commit that would have kept it.
            Seen::Died | Seen::Loaded => {
                self.asked.clear(); // they count as interrupted, whatever they bring
                for tries in self.tries.values_mut() {
                    *tries = tries.saturating_sub(1);
                }
                Ok(())
            }
            Seen::Result { number, result: EffectResult::Step(result), .. } => {
                let reached = matches!(
                    result.answer,
                    StepReading::Accepted { .. }
                        | StepReading::Busy { .. }
                        | StepReading::Definite
                        | StepReading::Unknown
                );
                let asked = self.asked.remove(number);
                // What its service refuses is given up at once.
                if matches!(result.answer, StepReading::Refused | StepReading::Rejected) {
                    self.refused.extend(asked.map(|step| step.case));
                }
                if let Some(step) = asked.filter(|_| reached) {
                    *self.tries.entry(step).or_default() += 1;
                    *self.reached.entry(step).or_default() += 1;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
