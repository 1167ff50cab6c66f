//! Tries every check that is wanted, one after another, on everything that has the means for it. One that builds on a
//! failed one is not tried; a participant that goes away ends the run.

use crate::ConformError;
use crate::check::{Check, Subject, page};
use crate::checks::CHECKS;
use crate::config::{ActionPlan, Config, NoticePlan};
use crate::context::{Environment, TestContext};
use crate::fakes::{Downstream, FakeSupervisor, Past, Stands};
use crate::finding::{Lack, Stop, Verdict};
use crate::process::Process;
use crate::sentences::Sentence;
use crate::wire::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How one check went on one subject.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// The check.
    pub check: &'static Check,
    /// The action or notice that it was tried on; none if it is about the participant as a whole, or was skipped.
    pub on: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What is known of a participant after a run.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Its URL.
    pub participant: String,
    /// Its name.
    pub service: String,
    /// In the order in which they were tried.
    pub results: Vec<CheckResult>,
}

/// What a run tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A check begins.
    Begins {
        /// The check.
        check: &'static Check,
        /// The action or notice.
        on: Option<&'a str>,
    },
    /// A check has ended.
    Ended(&'a CheckResult),
}

impl Examination {
    /// How many checks ended so.
    #[must_use]
    pub fn count(&self, verdict: &str) -> usize {
        self.results.iter().filter(|result| result.verdict.as_str() == verdict).count()
    }

    /// Whether every promise that was tried is kept.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.count("failed") == 0
    }

    /// Whether all checks were wanted, so that what no check looks at is worth telling.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        CHECKS.iter().all(|check| self.results.iter().any(|result| result.check.id == check.id))
    }

    /// One object: counts, and every check with its verdict. Members are only ever added.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let checks: Vec<Value> = self.results.iter().map(CheckResult::to_json).collect();
        json!({
            "participant": self.participant,
            "service": self.service,
            "conformant": self.is_conformant(),
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped"),
            "blocked": self.count("blocked"),
            "checks": checks,
            "unseen": Sentence::unseen().map(unseen_as_json).collect::<Vec<_>>(),
        })
    }
}

fn unseen_as_json((sentence, why): (&Sentence, &str)) -> Value {
    json!({ "sentence": sentence.words, "page": page(sentence.section), "why": why })
}

impl CheckResult {
    fn to_json(&self) -> Value {
        let mut all = json!({
            "check": self.check.id,
            "title": self.check.title,
            "page": self.check.page(),
            "on": self.on,
            "leaves": self.check.leaves,
            "verdict": self.verdict.as_str(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        });
        match &self.verdict {
            Verdict::Passed => {}
            Verdict::Failed(finding) => {
                all["why"] = self.check.why.into();
                all["finding"] = finding.to_json();
            }
            Verdict::Skipped(Lack { reason, add }) => {
                all["reason"] = reason.as_str().into();
                all["add"] = (*add).into();
            }
            Verdict::Blocked { by } => all["blocked_by"] = (*by).into(),
        }
        all
    }
}

/// Tries the checks named in `only` (all, if none is named) on the participant at `url`.
///
/// # Errors
/// [`ConformError`] when there is nothing to try them on, also when the participant goes away meanwhile. What was found
/// before that has been told.
pub async fn run(
    url: &str,
    config: Config,
    stands: Stands,
    only: &[String],
    mut tell: impl FnMut(Progress<'_>),
) -> Result<Examination, ConformError> {
    if let Some(name) = only.iter().find(|name| CHECKS.find(name).is_none()) {
        return Err(ConformError::NoSuchCheck { name: name.clone() });
    }
    let mut stage = open(url, config, stands)?;
    match stage.config.process.clone() {
        Some(plan) => stage.process = Some(Process::begin(plan, stage.client.clone()).await?),
        None => {
            let unreachable = |why| ConformError::Unreachable { url: url.to_owned(), why };
            stage.client.reach().await.map_err(unreachable)?;
        }
    }
    let stage = Arc::new(stage);
    let mut session = Session { stage, results: Vec::new(), broken: HashMap::new() };
    for check in CHECKS.iter() {
        if only.is_empty() || only.iter().any(|name| name == check.id) {
            session.try_check(check, &mut tell).await?;
        }
    }
    let config = &session.stage.config;
    Ok(Examination {
        participant: url.to_owned(),
        service: config.service.clone(),
        results: session.results,
    })
}

fn open(url: &str, config: Config, stands: Stands) -> Result<Environment, ConformError> {
    let client = Client::new(url, config.answer_timeout)
        .map_err(|why| ConformError::Url { url: url.to_owned(), why })?;
    // The last digits of a version 7 id are random.
    let run: String = Uuid::now_v7().simple().to_string().split_off(22);
    let past = Past::of(&run);
    Ok(Environment {
        client,
        supervisor: stands.supervisor.map(|listener| FakeSupervisor::open(listener, past.clone())),
        downstream: stands.downstream.map(|listener| Downstream::open(listener, past.clone())),
        process: None,
        config,
        past,
        run,
        number: AtomicU64::new(1),
    })
}

/// What a check is tried on.
struct Target {
    on: Option<String>,
    action: Arc<ActionPlan>,
    notice: Option<Arc<NoticePlan>>,
}

struct Session {
    stage: Arc<Environment>,
    results: Vec<CheckResult>,
    /// By check and subject: the check that failed first on the way to it.
    broken: HashMap<(&'static str, Option<String>), &'static str>,
}

impl Session {
    async fn try_check(
        &mut self,
        check: &'static Check,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), ConformError> {
        let targets = match self.targets(check) {
            Ok(targets) => targets,
            Err(lack) => {
                self.end(check, None, Verdict::Skipped(lack), Duration::ZERO, tell);
                return Ok(());
            }
        };
        for Target { on, action, notice } in targets {
            if let Some(by) = self.root_of(check, on.as_ref(), &action.name) {
                self.end(check, on, Verdict::Blocked { by }, Duration::ZERO, tell);
                continue;
            }
            tell(Progress::Begins { check, on: on.as_deref() });
            let begun = Instant::now();
            let context = TestContext::new(self.stage.clone(), action, notice);
            let tried = context.play(check.attempt).await;
            let verdict = match tried {
                Ok(()) => Verdict::Passed,
                Err(Stop::Skipped(lack)) => Verdict::Skipped(lack),
                Err(Stop::Failed(finding)) => Verdict::Failed(finding),
            };
            let failed = matches!(verdict, Verdict::Failed(_));
            self.end(check, on, verdict, begun.elapsed(), tell);
            if failed {
                self.still_there(check).await?;
            }
        }
        Ok(())
    }

    /// What a check can be tried on, or what is missing.
    fn targets(&self, check: &Check) -> Result<Vec<Target>, Lack> {
        let config = &self.stage.config;
        let plans = || config.actions.iter().map(|action| Arc::new(action.clone()));
        let lacks = || plans().map(|action| check.lack(config, &action));
        let first = plans().next();
        match check.subject {
            Subject::Action => {
                let able: Vec<Target> = plans()
                    .filter(|action| check.lack(config, action).is_none())
                    .map(|action| Target { on: Some(action.name.clone()), action, notice: None })
                    .collect();
                match (able.is_empty(), lacks().flatten().next()) {
                    (true, Some(lack)) => Err(lack),
                    _ => Ok(able),
                }
            }
            Subject::Service => match (first, lacks().next().flatten()) {
                (_, Some(lack)) => Err(lack),
                (Some(action), None) => Ok(vec![Target { on: None, action, notice: None }]),
                (None, None) => Ok(Vec::new()),
            },
            Subject::Fence => {
                let reason = "no action without an undo is known".to_owned();
                let lack = Lack { reason, add: Some("fences: { … }") };
                let plans = config.fences.iter().map(|plan| Arc::new(plan.clone()));
                let targets: Vec<Target> = plans
                    .map(|action| Target { on: Some(action.name.clone()), action, notice: None })
                    .collect();
                if targets.is_empty() { Err(lack) } else { Ok(targets) }
            }
            Subject::Notice => {
                let reason = "no notice is known".to_owned();
                let lack = Lack { reason, add: Some("notices: { … }") };
                let action = first.filter(|_| !config.notices.is_empty()).ok_or(lack)?;
                let target = |notice: &NoticePlan| Target {
                    on: Some(notice.name.clone()),
                    action: action.clone(),
                    notice: Some(Arc::new(notice.clone())),
                };
                Ok(config.notices.iter().map(target).collect())
            }
        }
    }

    /// The failed check that this one builds on, directly or through others: on the same action, or on the whole.
    fn root_of(&self, check: &Check, on: Option<&String>, action: &str) -> Option<&'static str> {
        let subjects = [None, on.cloned(), Some(action.to_owned())];
        check.after.iter().find_map(|before| {
            subjects
                .iter()
                .find_map(|subject| self.broken.get(&(*before, subject.clone())).copied())
        })
    }

    fn end(
        &mut self,
        check: &'static Check,
        on: Option<String>,
        verdict: Verdict,
        took: Duration,
        tell: &mut impl FnMut(Progress<'_>),
    ) {
        match &verdict {
            Verdict::Failed(_) => drop(self.broken.insert((check.id, on.clone()), check.id)),
            Verdict::Blocked { by } => drop(self.broken.insert((check.id, on.clone()), by)),
            Verdict::Passed | Verdict::Skipped(_) => {}
        }
        let result = CheckResult { check, on, verdict, took };
        tell(Progress::Ended(&result));
        self.results.push(result);
    }

    /// A participant that is gone would fail all that is left.
    async fn still_there(&self, after: &Check) -> Result<(), ConformError> {
        let url = || self.stage.client.base().to_owned();
        let gone = |why| ConformError::Gone { url: url(), after: after.id, why };
        self.stage.client.reach().await.map_err(gone)
    }
}
