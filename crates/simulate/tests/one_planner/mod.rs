//! Plays a story for each of those who plan: the planner itself, the engine, table tests with their coverage, `explain`,
//! `compare` and `replay`. Who cannot tell a part of a story in its own words says so by `None`.

pub mod stories;

use amends_api::{CaseAct, CaseDetail, StuckReason};
use amends_engine::{
    Effect, Engine, HistoryResult, Input, ReportRow, StepReading, StepResult, StepRow, StepState,
    StoredCase, Write,
};
use amends_protocol::{CaseId, Evidence, Report, ReportData, SagaId, Timestamp, Verb};
use amends_rulebook::{
    CaseFacts, Facts, Hold, Mode, Reported, Role, Rulebook, SourceFile, Stage, Undoing, Want, roles,
};
use amends_workbench::{PlannedAnswer, Replay, explain, load_tests, run_tests};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stories::{Story, Then};

pub type Lines = BTreeSet<String>;

/// What was decided: roles, and steps.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    pub roles: Lines,
    pub steps: Lines,
}

impl Decided {
    /// As the engine keeps it: what is in shadow is written down, and has no other state.
    #[must_use]
    pub fn into_kept(mut self) -> Self {
        let kept = |step: String| step.replace("(shadow, superseded)", "(shadow)");
        self.steps = self.steps.into_iter().map(kept).collect();
        self
    }

    pub fn sort_reasons(&mut self) {
        let sorted = |step: String| {
            let (what, rest) = step.split_once(": ").expect("a step");
            let (because, sign) = rest.split_once(" (").unwrap_or((rest, ""));
            let because: BTreeSet<&str> = because.split(' ').collect();
            format!("{what}: {} {sign}", because.into_iter().collect::<Vec<_>>().join(" "))
        };
        self.steps = std::mem::take(&mut self.steps).into_iter().map(sorted).collect();
    }
}

pub fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"))
}

impl Story {
    pub fn expected(&self) -> Decided {
        let lines = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        Decided { roles: lines(self.roles), steps: lines(self.steps) }
    }

    fn reports(&self) -> Vec<Report> {
        let report = |then: &Then| match then {
            Then::Report(text) => Some(report(text, "s")),
            _ => None,
        };
        self.then.iter().filter_map(report).collect()
    }

    fn histories(&self) -> Vec<(&'static str, Vec<Evidence>)> {
        let history = |then: &Then| match then {
            Then::HistoryTells(text) => {
                let (service, told) = text.split_once(": ").expect("service: told");
                Some((service, evidence(told)))
            }
            _ => None,
        };
        self.then.iter().filter_map(history).collect()
    }

    fn only_tells(&self, what: impl Fn(&Then) -> bool) -> bool {
        self.then.iter().all(what)
    }
}

/// `id service/code action <- causes : evidence`.
pub fn report(text: &str, saga: &str) -> Report {
    let (head, told) = text.split_once(" : ").unwrap_or((text, ""));
    let (head, causes) = head.split_once(" <- ").unwrap_or((head, ""));
    let mut words = head.split(' ');
    let mut word = || words.next().expect("id service/code action");
    let (id, kind, action) = (word(), word(), word());
    let (service, code) = kind.split_once('/').expect("service/code");
    Report {
        id: id.to_owned(),
        source: service.to_owned(),
        saga_id: SagaId::new(saga).expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: code.to_owned(),
            action: Some(action.to_owned()),
            caused_by: causes.split_whitespace().map(str::to_owned).collect(),
            history: evidence(told),
            ..ReportData::default()
        },
    }
}

/// `service.action=state, …`.
fn evidence(text: &str) -> Vec<Evidence> {
    let one = |(n, entry): (usize, &str)| {
        let (name, state) = entry.split_once('=').expect("action=state");
        let (service, action) = name.split_once('.').expect("service.action");
        let state = serde_json::from_value(json!(state)).expect("a state");
        let request_id = format!("r-{n}");
        Evidence::new(service, action, request_id, state)
    };
    text.split(", ").filter(|entry| !entry.is_empty()).enumerate().map(one).collect()
}

fn step_line(
    stage: u16,
    verb: Verb,
    action: &str,
    because: &[String],
    sign: Option<&str>,
) -> String {
    let stage = if stage == Stage::NOTICES.0 { "last".to_owned() } else { stage.to_string() };
    let sign = sign.map_or(String::new(), |sign| format!(" ({sign})"));
    format!("{stage} {verb} {action}: {}{sign}", because.join(" "))
}

fn want_line(book: &Rulebook, want: &Want, ids: &[String]) -> String {
    let sign = match want.hold {
        Hold::Shadow if want.superseded => Some("shadow, superseded"),
        Hold::Shadow => Some("shadow"),
        _ if want.superseded => Some("superseded"),
        Hold::Ask => Some("ask"),
        Hold::Auto => None,
    };
    let because: Vec<String> = want.because.iter().map(|n| ids[*n as usize].clone()).collect();
    let action = book.get(want.step.action).name.to_string();
    step_line(want.step.stage.0, want.step.verb, &action, &because, sign)
}

fn role_line(book: &Rulebook, id: &str, role: Role) -> String {
    let label = |rule| &book.rule(rule).index_label;
    match role {
        Role::Rule(rule) => format!("{id}: {}", label(rule)),
        Role::RuleHeld(rule) => format!("{id}: {}, held", label(rule)),
        Role::ByHand => format!("{id}: by hand"),
        Role::Derived => format!("{id}: derived"),
        Role::AwaitsRoot => format!("{id}: waits"),
        Role::Unmatched => format!("{id}: no rule"),
        Role::Excess => format!("{id}: excess"),
    }
}

/// What the planner says of facts.
pub fn decided(book: &Rulebook, reports: &[Report], facts: &CaseFacts) -> Decided {
    let ids: Vec<String> = reports.iter().map(|r| r.id.clone()).collect();
    let roles = ids.iter().zip(&facts.reports).map(|(id, r)| role_line(book, id, r.role));
    let plan = book.wants(facts);
    let steps = plan.wants.iter().map(|want| want_line(book, want, &ids));
    Decided { roles: roles.collect(), steps: steps.collect() }
}

/// The planner alone: the story told as facts.
pub fn by_planner(story: &Story) -> Decided {
    let book = book(story.rules);
    let reports = story.reports();
    let mut known: Vec<(&Report, Option<Role>, bool)> = Vec::new();
    let (mut given_up, mut retried) = (false, BTreeSet::new());
    let (mut over_limit, mut undoing) = (false, Undoing::No);
    for then in story.then {
        match then {
            Then::Report(_) => known.push((&reports[known.len()], None, false)),
            Then::CausesHadTheirTime => known.iter_mut().for_each(|one| one.2 = true),
            Then::OtherCase(_) => over_limit = true,
            Then::PersonPlans(_) => undoing = Undoing::ByHand,
            Then::RetryMayHaveRun(action) => {
                given_up = true;
                let (service, action) = action.split_once('.').expect("service.action");
                retried.extend(book.action(service, action));
            }
            Then::RetryIsRefused(_) => given_up = true,
            Then::HistoryTells(_) => {}
        }
        let asked: Vec<_> = known
            .iter()
            .map(|(report, role, waited)| Reported { report, role: *role, waited: *waited })
            .collect();
        for (one, role) in known.iter_mut().zip(roles(Some(&book), &asked)) {
            one.1 = Some(match role {
                Role::Rule(rule) if over_limit => Role::RuleHeld(rule),
                Role::Unmatched if undoing == Undoing::ByHand => Role::ByHand,
                other => other,
            });
        }
    }
    let answered = known.iter().map(|(report, role, _)| (*report, role.expect("decided")));
    let histories = story.histories();
    let heard = histories.iter().flat_map(|(by, told)| told.iter().map(move |e| (*by, e)));
    let mut facts = CaseFacts::of(&book, answered, heard).with_given_up(&book, |_| given_up);
    (facts.retried, facts.undoing) = (retried, undoing);
    decided(&book, &reports, &facts)
}

/// An engine with rows in memory. Steps are never sent, except retries whose answer the story knows.
pub struct World {
    engine: Engine,
    pub now: Timestamp,
    book: Arc<Rulebook>,
    cases: BTreeMap<CaseId, amends_engine::CaseRow>,
    reports: BTreeMap<(CaseId, u32), ReportRow>,
    steps: BTreeMap<(CaseId, u32), StepRow>,
    effects: Vec<Effect>,
}

impl World {
    pub fn new(book: &Arc<Rulebook>) -> Self {
        let mut engine = Engine::new(0);
        engine.restore_active(Arc::clone(book));
        let (now, book) = (Timestamp(1_700_000_000_000), Arc::clone(book));
        let (cases, reports, steps) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut world = Self { engine, now, book, cases, reports, steps, effects: Vec::new() };
        for service in Arc::clone(&world.book).services() {
            world.pause(&service.name, true);
        }
        world
    }

    fn pause(&mut self, service: &Arc<str>, paused: bool) {
        let (actor, reason) = ("test".into(), "test".into());
        let service = Arc::clone(service);
        self.input(Input::Pause { service, paused, actor, reason, ticket: 0 });
    }

    pub fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        let out = self.engine.take_output(self.now);
        for write in out.writes {
            match write {
                Write::Case(row) => drop(self.cases.insert(row.id, *row)),
                Write::Report(row) => drop(self.reports.insert((row.case, row.position), *row)),
                Write::Step(row) => drop(self.steps.insert((row.id.case, row.id.ordinal), *row)),
                _ => {}
            }
        }
        self.effects.extend(out.effects);
    }

    pub fn report(&mut self, report: Report) {
        self.bring_in();
        self.input(Input::Report { report: Arc::new(report), known_in: None, ticket: 0 });
    }

    /// What a driver does for an input about a case that is settled.
    fn bring_in(&mut self) {
        for case in self.cases.values().cloned().collect::<Vec<_>>() {
            let id = case.id;
            let reports = self.reports.values().filter(|r| r.case == id).cloned().collect();
            let steps = self.steps.values().filter(|s| s.id.case == id).cloned().collect();
            self.engine.hydrate(StoredCase { case, reports, steps });
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.input(Input::Tick);
    }

    /// Every History that the case of `s` asks for is answered.
    pub fn tell_histories(&mut self, told: &[(&str, Vec<Evidence>)]) {
        let case = self.case();
        let asked: Vec<Arc<str>> =
            case.extra.histories.iter().map(|w| Arc::clone(&w.service)).collect();
        let case = case.id;
        for service in asked {
            let own = told.iter().filter(|(by, _)| *by == &*service);
            self.bring_in();
            let result = HistoryResult::Told(own.flat_map(|(_, told)| told.clone()).collect());
            self.input(Input::HistoryEnded { case, service, result });
        }
    }

    /// Lets the retry of an action go out, once, and answers it.
    fn try_once(&mut self, action: &str, answer: StepReading) {
        let (service, _) = action.split_once('.').expect("service.action");
        let service: Arc<str> = service.into();
        self.pause(&service, false);
        let sent = std::mem::take(&mut self.effects).into_iter().find_map(|effect| match effect {
            Effect::Send(send) if send.verb == Verb::Retry => Some(send),
            _ => None,
        });
        self.pause(&service, true);
        let send = sent.expect("the retry went out");
        let result = StepResult::new(answer, None).telling(vec![]);
        self.input(Input::StepEnded { step: send.step, attempt: send.attempt, service, result });
    }

    fn plan_by_hand(&mut self, action: &str) {
        let (compensate, reason) = (vec![action.parse().expect("valid")], "test".to_owned());
        self.bring_in();
        let act = CaseAct::Plan { compensate, retry: vec![], notify: vec![], reason };
        let case = self.case().id;
        self.input(Input::CaseAct { case, act, actor: "ann".into(), bulk: None, ticket: 0 });
    }

    /// Services whose History the case has asked for.
    pub fn asked(&self) -> BTreeSet<String> {
        self.case().extra.histories.iter().map(|w| w.service.to_string()).collect()
    }

    fn case(&self) -> &amends_engine::CaseRow {
        self.cases.values().find(|row| row.saga.as_str() == "s").expect("a case")
    }

    /// Roles and steps of the case of `s`; without what a person planned.
    pub fn decided(&self) -> Decided {
        let case = self.case().id;
        let reports: Vec<&ReportRow> =
            self.reports.values().filter(|row| row.case == case).collect();
        let roles =
            reports.iter().map(|row| role_line(&self.book, &row.report.id, row.role.for_planner()));
        let steps = self.steps.values().filter(|s| s.id.case == case);
        let steps = steps.filter(|step| !step.extra.because.is_empty()).map(|step| {
            let sign = match &step.state {
                StepState::Shadow => Some("shadow"),
                StepState::Superseded => Some("superseded"),
                _ if step.extra.held => Some("ask"),
                StepState::Stuck(StuckReason::AwaitsApproval) => Some("ask"),
                _ => None,
            };
            let id = |n: &u32| reports[*n as usize].report.id.clone();
            let because: Vec<String> = step.extra.because.iter().map(id).collect();
            step_line(step.stage, step.verb, &step.action.to_string(), &because, sign)
        });
        Decided { roles: roles.collect(), steps: steps.collect() }
    }
}

/// Long enough for a rulebook's `cause_wait`, which is ten seconds here.
pub const CAUSE_WAIT_MS: u64 = 10_000;

/// The engine, with everything that it does beside planning.
pub fn by_engine(story: &Story) -> Decided {
    let mut world = World::new(&book(story.rules));
    for then in story.then {
        match then {
            Then::Report(text) => world.report(report(text, "s")),
            Then::OtherCase(text) => world.report(report(text, "other")),
            Then::CausesHadTheirTime => world.pass(CAUSE_WAIT_MS),
            Then::HistoryTells(_) => {}
            Then::RetryMayHaveRun(action) => world.try_once(action, StepReading::Unknown),
            Then::RetryIsRefused(action) => world.try_once(action, StepReading::Refused),
            Then::PersonPlans(action) => world.plan_by_hand(action),
        }
        // So that the order of causes never decides by its own timers.
        world.pass(1);
    }
    world.tell_histories(&story.histories());
    world.decided()
}

/// The steps that are not superseded, stage by stage, as `verb action`.
fn stages(steps: &[&str], with: impl Fn(&str) -> bool) -> Vec<Lines> {
    let mut stages: BTreeMap<u32, Lines> = BTreeMap::new();
    for step in steps.iter().filter(|step| with(step) && !step.ends_with("superseded)")) {
        let (what, _) = step.split_once(": ").expect("a step");
        let (stage, what) = what.split_once(' ').expect("a stage");
        let stage = stage.parse().unwrap_or(u32::MAX);
        stages.entry(stage).or_default().insert(what.to_owned());
    }
    stages.into_values().collect()
}

fn is_shadow(step: &str) -> bool {
    step.ends_with("(shadow)")
}

/// A table test of one report, whose retry may have been given up after tries with effects; and the coverage of it.
pub fn by_table_test(story: &Story) -> Option<Vec<String>> {
    let [report] = &story.reports()[..] else { return None };
    let told =
        |t: &Then| matches!(t, Then::Report(_) | Then::HistoryTells(_) | Then::RetryMayHaveRun(_));
    if !story.only_tells(told) || !report.data.caused_by.iter().all(|cause| *cause == report.id) {
        return None;
    }
    let own: BTreeSet<_> = report.data.history.iter().map(|e| (&e.service, &e.action)).collect();
    if own.len() < report.data.history.len() {
        return None; // an action's requests are told as one
    }
    let (_, label) = story.roles[0].split_once(": ").expect("a role");
    let given_up = story.then.iter().any(|then| matches!(then, Then::RetryMayHaveRun(_)));
    let history = |told: &[Evidence]| -> Value {
        told.iter().map(|e| (format!("{}.{}", e.service, e.action), json!(e.state))).collect()
    };
    let histories: BTreeMap<_, _> =
        story.histories().iter().map(|(by, told)| (*by, history(told))).collect();
    let book = book(story.rules);
    let rule = book.matching(&Facts::of(report)).map(|id| book.rule(id));
    let in_shadow = rule.is_some_and(|rule| rule.mode == Mode::Shadow);
    let stages = stages(story.steps, |step| is_shadow(step) == in_shadow);
    let plan: Vec<Value> = stages
        .iter()
        .map(|stage| {
            let mut by_verb: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for step in stage {
                let (verb, action) = step.split_once(' ').expect("verb action");
                by_verb.entry(verb).or_default().push(action);
            }
            json!(by_verb)
        })
        .collect();
    let expect = match label {
        "no rule" => json!({ "unmatched": true }),
        label => json!({ "rule": label, "plan": plan }),
    };
    let test = json!({ "tests": [{
        "name": "story", "report": format!("{}/{}", report.service(), report.data.code),
        "action": report.data.action, "history": history(&report.data.history),
        "histories": histories, "given_up": given_up, "expect": expect,
    }] });
    let source = SourceFile { path: "story.test.yaml".to_owned(), text: test.to_string().into() };
    let loaded = load_tests(&source, &book);
    assert_eq!(loaded.diagnostics, [], "{test}");
    let done = run_tests(&book, &loaded.tests);
    let mut differences = done.results[0].differences.clone();
    // What the test has reached are the story's steps, and its rule.
    let planned: Lines = stages.into_iter().flatten().collect();
    let cells = done.coverage.cells.iter().filter(|(_, reached)| **reached);
    differences.extend(
        cells.filter(|((_, step), _)| !planned.contains(step)).map(|(cell, _)| format!("{cell:?}")),
    );
    let written = rule.filter(|rule| !rule.implied);
    differences.extend(
        written.filter(|r| !done.coverage.rules[&r.index_label]).map(|r| r.index_label.clone()),
    );
    Some(differences)
}

/// `explain` of one report without Histories: the plan, and what is said of a retry that fails for good.
pub fn by_explain(story: &Story) -> Option<Decided> {
    let reports = story.reports();
    let [report] = &reports[..] else { return None };
    if !story.only_tells(|then| matches!(then, Then::Report(_) | Then::CausesHadTheirTime))
        || story.roles[0].ends_with(": waits")
    {
        return None;
    }
    let book = book(story.rules);
    let explained = explain(&book, report);
    let role = explained.considered.iter().find(|one| one.chosen);
    let role = role.map_or(Role::Unmatched, |one| Role::Rule(one.rule));
    let ids = [report.id.clone()];
    let steps = explained.plan.wants.iter().map(|want| want_line(&book, want, &ids)).collect();
    Some(Decided { roles: BTreeSet::from([role_line(&book, &report.id, role)]), steps })
}

/// What `compare` takes for the plan of one report that proves nothing, by `verb action`, with its stage.
pub fn by_compare(story: &Story) -> Option<(BTreeMap<String, String>, BTreeMap<String, String>)> {
    let reports = story.reports();
    let [report] = &reports[..] else { return None };
    let told =
        |t: &Then| matches!(t, Then::Report(_) | Then::HistoryTells(_) | Then::RetryMayHaveRun(_));
    let own = format!("{}.{}", report.service(), report.data.action.as_deref()?);
    let histories = story.histories();
    let told_of = report.data.history.iter().chain(histories.iter().flat_map(|(_, told)| told));
    let effects: Vec<String> = told_of
        .filter(|e| e.state.may_have_effect())
        .map(|e| format!("{}.{}", e.service, e.action))
        .collect();
    let given_up = story.then.iter().any(|then| matches!(then, Then::RetryMayHaveRun(_)));
    let book = book(story.rules);
    let rule = book.matching(&Facts::of(report)).map(|id| book.rule(id))?;
    // One that proves that it did nothing is out of what `compare` looks at, unless its retry is given up.
    let backward = rule.demand.is_backward();
    let proven = !effects.contains(&own) && backward;
    if !story.only_tells(told) || proven || report.data.caused_by.iter().any(|c| *c != report.id) {
        return None;
    }
    let answer = PlannedAnswer::of(&book, &Facts::of(report), &effects);
    let expected = story.steps.iter().filter(|step| !step.ends_with("superseded)")).map(|step| {
        let (what, _) = step.split_once(": ").expect("a step");
        let (stage, what) = what.split_once(' ').expect("a stage");
        (what.to_owned(), stage.to_owned())
    });
    let planned = if given_up { answer.given_up } else { answer.steps };
    Some((planned, expected.collect()))
}

/// `replay` of the case, from a rulebook without rules to the story's: what is new in the plan, and what is expected.
pub fn by_replay(story: &Story) -> Option<(Lines, Lines)> {
    let told = |t: &Then| !matches!(t, Then::OtherCase(_) | Then::PersonPlans(_));
    let time = story.then.iter().position(|then| matches!(then, Then::CausesHadTheirTime));
    let waits = story.roles.iter().any(|role| role.ends_with(": waits"));
    let late = time.is_some_and(|n| story.then[n..].iter().any(|t| matches!(t, Then::Report(_))));
    if !story.only_tells(told) || waits || late {
        return None;
    }
    let (services, _) = story.rules.split_once("\nrules:").expect("rules");
    let without =
        book(&format!("{services}\nrules: [{{ on: supervisor/deadline, compensate: all }}]\n"));
    let with = book(story.rules);
    let mut replay = Replay::new(&without, &with);
    replay.add(&as_case(story));
    let replayed = replay.finish();
    let new = replayed.groups.iter().flat_map(|group| &group.differences);
    let new = new.filter_map(|line| line.strip_prefix("+ ").map(str::to_owned)).collect();
    let mut expected = Lines::new();
    for (n, steps) in stages(story.steps, |step| !is_shadow(step)).into_iter().enumerate() {
        expected.extend(steps.into_iter().map(|step| format!("{step} in stage {}", n + 1)));
    }
    let shadow = stages(story.steps, is_shadow).into_iter().flatten();
    expected.extend(shadow.map(|step| format!("{step} in shadow")));
    if story.roles.iter().any(|role| role.ends_with(": payment/ask")) {
        expected.insert("waits for approval".to_owned());
    }
    Some((new, expected))
}

/// The story's case as the supervisor's API tells of it.
fn as_case(story: &Story) -> CaseDetail {
    let at = "2026-01-01T10:00:00Z";
    let reports: Vec<Value> = story
        .reports()
        .iter()
        .map(|r| {
            let data = serde_json::to_value(&r.data).expect("JSON");
            json!({ "source": r.source, "id": r.id, "service": r.service(), "receivedAt": at, "role": "rule", "data": data })
        })
        .collect();
    let histories: Vec<Value> = story
        .histories()
        .iter()
        .map(
            |(by, told)| json!({ "service": by, "answered": true, "attempts": 1, "entries": told }),
        )
        .collect();
    let tried = story.then.iter().find_map(|then| match then {
        Then::RetryMayHaveRun(action) => Some((action, "unknown")),
        Then::RetryIsRefused(action) => Some((action, "refused")),
        _ => None,
    });
    let plan: Vec<Value> = tried
        .iter()
        .map(|(action, result)| {
            let log = json!([{ "attempt": 1, "sentAt": at, "endedAt": at, "result": result }]);
            json!({
                "id": "s-1-1-0000000000000000", "caseId": "c-1", "sagaId": "s", "verb": "retry", "action": action,
                "stage": 0, "state": "superseded", "attempts": 1, "plannedAt": at, "because": ["o"], "log": log,
            })
        })
        .collect();
    serde_json::from_value(json!({
        "id": "c-1", "sagaId": "s", "state": "settled", "report": "any/any", "openedAt": at, "updatedAt": at,
        "steps": {}, "reports": reports, "plan": plan, "histories": histories, "notes": [], "acts": [],
    }))
    .unwrap_or_else(|error| panic!("{error}"))
}
