//! What views offer as `may` is exactly what the engine takes: every state, verb, hold and act, through `Engine::handle`.

use amends_api::{CaseAct, CaseActName, CaseState, StepAct, StepActName, StuckReason};
use amends_engine::{
    Answer, CaseBooks, CaseExtra, CaseRow, Engine, Input, ReportRole, ReportRow, RulebookRef,
    StepExtra, StepRow, StepState, StoredCase, Write, plannable,
};
use amends_protocol::{
    ActionName, CaseId, Outcome, Report, ReportData, SagaId, StepId, Timestamp, Verb,
};
use amends_rulebook::Rulebook;
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const CASE: CaseId = CaseId(1);

const BOOK: &str = "
rulebook: shop
services:
  shop: { url: \"http://shop\", actions: { buy: { compensation: unbuy } } }
  sms: { url: \"http://sms\", actions: { tell: { on_failure: retry, correction: tell-otherwise } } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn states() -> Vec<StepState> {
    let taken = |location: Option<&str>| StepState::Accepted {
        poll_at: NOW.plus_ms(500),
        until: NOW.plus_ms(5_000),
        location: location.map(Into::into),
    };
    let mut states = vec![
        StepState::Waiting,
        StepState::Due(NOW),
        StepState::Due(NOW.plus_ms(60_000)),
        StepState::InFlight,
        taken(None),
        taken(Some("/keys/1")),
        StepState::Superseded,
        StepState::Shadow,
    ];
    states.extend(StuckReason::ALL.iter().map(|reason| StepState::Stuck(*reason)));
    states.extend(Outcome::ALL.iter().map(|outcome| StepState::Done(*outcome)));
    states
}

fn step(verb: Verb, state: StepState, held: bool, last_try: bool) -> StepRow {
    let action = match verb {
        Verb::Compensate | Verb::Retry => "shop.buy",
        Verb::Notify => "sms.tell",
    };
    step_on(
        1,
        verb,
        action.parse().expect("a name"),
        StepExtra { held, last_try, ..StepExtra::default() },
        state,
    )
}

fn step_on(
    ordinal: u32,
    verb: Verb,
    action: ActionName,
    extra: StepExtra,
    state: StepState,
) -> StepRow {
    let saga = SagaId::new("o-1").expect("an id");
    StepRow {
        id: StepId::derive(CASE, ordinal, &saga, verb.as_str(), &action),
        verb,
        action,
        stage: 0,
        state,
        attempts: 1,
        planned_at: NOW,
        updated_at: NOW,
        extra,
    }
}

fn stored(state: CaseState, steps: Vec<StepRow>, rulebook: Option<RulebookRef>) -> StoredCase {
    let saga = SagaId::new("o-1").expect("an id");
    let report = Report {
        id: "r-1".to_owned(),
        source: "shop".to_owned(),
        saga_id: saga.clone(),
        time: None,
        traceparent: None,
        data: ReportData { code: "failed".to_owned(), ..ReportData::default() },
    };
    let role =
        if state == CaseState::Unmatched { ReportRole::Unmatched } else { ReportRole::ByHand };
    StoredCase {
        case: CaseRow {
            id: CASE,
            saga,
            rulebook,
            state,
            closed_on: None,
            opened_at: NOW,
            updated_at: NOW,
            settled_at: None,
            report: "shop/failed".into(),
            message: None,
            extra: CaseExtra::default(),
        },
        reports: vec![ReportRow {
            case: CASE,
            position: 0,
            received_at: NOW,
            role,
            report: Arc::new(report),
        }],
        steps,
    }
}

fn version(book: &Rulebook) -> RulebookRef {
    RulebookRef { name: book.name().into(), hash: book.hash().into() }
}

/// What the engine says to one input about a stored case; a refusal must have changed nothing.
fn answer(engine: &mut Engine, stored: StoredCase, input: Input, what: &str) -> Answer {
    engine.hydrate(stored);
    engine.handle(NOW, input);
    let out = engine.take_output(NOW);
    let answers: Vec<Answer> = out.answers.into_iter().map(|(_, answer)| answer).collect();
    let [answer] = answers.as_slice() else { panic!("{what}: {answers:?}") };
    let acts = out.writes.iter().filter(|w| matches!(w, Write::Act(_))).count();
    match answer {
        Answer::Done => assert_eq!(acts, 1, "{what}: in the audit"),
        _ => assert!(out.writes.is_empty() && out.effects.is_empty(), "{what}: {:#?}", out.writes),
    }
    for write in &out.writes {
        if let Write::Case(row) = write {
            assert!(row.extra.notes.iter().all(|n| !n.text.starts_with("fault")), "{what}");
        }
    }
    answer.clone()
}

/// A refusal says what would be possible instead.
#[track_caller]
fn says(answer: &Answer, may: &[impl ToString], what: &str) {
    let Answer::Conflict(text) = answer else { panic!("{what}: {answer:?}") };
    let possible: Vec<String> = may.iter().map(ToString::to_string).collect();
    let wanted = match possible.as_slice() {
        [] => "no act is possible any more".to_owned(),
        acts => format!("possible now: {}", acts.join(", ")),
    };
    assert!(text.ends_with(&wanted), "{what}: {text}");
}

fn act_on_step(name: StepActName, verb: Verb) -> StepAct {
    let reason = "because".to_owned();
    let outcome = match verb {
        Verb::Compensate => Outcome::AlreadyCompensated,
        Verb::Retry => Outcome::Retried,
        Verb::Notify => Outcome::Notified,
    };
    match name {
        StepActName::Approve => StepAct::Approve { reason },
        StepActName::Retry => StepAct::retry(reason),
        StepActName::Edit => StepAct::edit(reason, Map::new()),
        StepActName::Waive => StepAct::Waive { reason },
        StepActName::Record => StepAct::Record { reason, outcome },
    }
}

#[test]
fn every_act_on_a_step_is_taken_exactly_when_it_is_offered() {
    let book = book(BOOK);
    let (mut offered, mut refused) = (0, 0);
    for state in states() {
        for &verb in Verb::ALL {
            for (held, last_try) in [(false, false), (true, false), (false, true), (true, true)] {
                for &of_case in CaseState::ALL {
                    for &name in StepActName::ALL {
                        let row = step(verb, state.clone(), held, last_try);
                        let (id, may) = (row.id, row.may());
                        let what = format!(
                            "{name} on {verb} {state:?}, held {held}, replaced {last_try}, case {of_case}"
                        );
                        let mut engine = Engine::new(1);
                        engine.restore_active(Arc::clone(&book));
                        let input = Input::StepAct {
                            step: id,
                            act: act_on_step(name, verb),
                            actor: "ann".into(),
                            bulk: None,
                            ticket: 1,
                        };
                        let case = stored(of_case, vec![row], Some(version(&book)));
                        let answer = answer(&mut engine, case, input, &what);
                        if may.contains(&name) {
                            assert_eq!(answer, Answer::Done, "offered, and refused: {what}");
                            offered += 1;
                        } else {
                            says(&answer, &may, &what);
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(offered + refused, states().len() * 3 * 4 * 4 * 5);
    assert!(offered > 1_000 && refused > 1_000, "{offered} offered, {refused} refused");
}

/// What a person writes down has to fit the verb, whatever the state.
#[test]
fn an_outcome_that_does_not_fit_is_wrong_in_every_state() {
    let book = book(BOOK);
    for state in states() {
        for &verb in Verb::ALL {
            for &outcome in Outcome::ALL {
                let fits = match outcome {
                    Outcome::Compensated
                    | Outcome::AlreadyCompensated
                    | Outcome::NothingToCompensate => verb == Verb::Compensate,
                    Outcome::Retried => verb == Verb::Retry,
                    Outcome::Notified => verb == Verb::Notify,
                    Outcome::Refused | Outcome::Waived | Outcome::NotFenceable => false,
                };
                let row = step(verb, state.clone(), false, false);
                let (id, may) = (row.id, row.may());
                let mut engine = Engine::new(1);
                engine.restore_active(Arc::clone(&book));
                let act = StepAct::Record { reason: "because".to_owned(), outcome };
                let what = format!("record {outcome} on {verb} {state:?}");
                let input =
                    Input::StepAct { step: id, act, actor: "ann".into(), bulk: None, ticket: 1 };
                let case = stored(CaseState::Stuck, vec![row], Some(version(&book)));
                let answer = answer(&mut engine, case, input, &what);
                match (fits, may.contains(&StepActName::Record)) {
                    (false, _) => assert!(matches!(answer, Answer::Invalid(_)), "{what}"),
                    (true, true) => assert_eq!(answer, Answer::Done, "{what}"),
                    (true, false) => says(&answer, &may, &what),
                }
            }
        }
    }
}

/// Which rulebooks there are for a case.
struct Books {
    what: &'static str,
    /// The version that the case began with.
    began: Option<Arc<Rulebook>>,
    /// Whether it can still be read.
    readable: bool,
    active: Vec<Arc<Rulebook>>,
}

fn books() -> Vec<Books> {
    let shop = book(BOOK);
    let newer = book(&BOOK.replace("compensate: recorded", "compensate: [shop.buy]"));
    let other = |name: &str| {
        book(&format!(
            "
rulebook: {name}
services: {{ {name}: {{ url: \"http://x\", actions: {{ do: {{ compensation: undo }} }} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
"
        ))
    };
    let of = |what, began: Option<&Arc<Rulebook>>, readable, active: &[&Arc<Rulebook>]| Books {
        what,
        began: began.cloned(),
        readable,
        active: active.iter().map(|book| Arc::clone(book)).collect(),
    };
    let (one, two) = (other("one"), other("two"));
    vec![
        of("its own is active", Some(&shop), true, &[&shop]),
        of("a newer one is active", Some(&shop), true, &[&newer, &one]),
        of("only others are active", Some(&shop), true, &[&one, &two]),
        of("its own can't be read", Some(&shop), false, &[&newer, &one]),
        of("its own can't be read, and only others are active", Some(&shop), false, &[&one, &two]),
        of("none claimed it, one does now", None, true, &[&shop, &one]),
        of("none claimed it, and there is just one", None, true, &[&one]),
        of("none claims it", None, true, &[&one, &two]),
        of("there is none", None, true, &[]),
    ]
}

fn act_on_case(name: CaseActName, book: Option<&Rulebook>, steps: &[StepRow]) -> CaseAct {
    let reason = "because".to_owned();
    match name {
        CaseActName::Retry => CaseAct::Retry { reason },
        CaseActName::Replan => CaseAct::replan(reason),
        CaseActName::Settle => CaseAct::Settle { reason },
        CaseActName::Plan => {
            // What is offered first; where nothing is, what makes sense else.
            let is_planned = |verb: Verb, name: &ActionName| {
                let mut same = steps.iter().filter(|s| s.verb == verb && s.action == *name);
                same.any(|step| step.state != StepState::Shadow)
            };
            let first = book.and_then(|book| {
                let any = || plannable(book, |_, _| false).next();
                let (verb, id) = plannable(book, is_planned).next().or_else(any)?;
                Some((verb, book.get(id).name.clone()))
            });
            let (verb, action) =
                first.unwrap_or_else(|| (Verb::Compensate, "shop.buy".parse().expect("a name")));
            let asked = |wanted: Verb| if verb == wanted { vec![action.clone()] } else { vec![] };
            CaseAct::Plan {
                reason,
                compensate: asked(Verb::Compensate),
                retry: asked(Verb::Retry),
                notify: asked(Verb::Notify),
            }
        }
    }
}

/// No step; each step alone; and a full plan in each state, so that nothing is left to be planned.
fn plans() -> Vec<Vec<StepRow>> {
    let book = book(BOOK);
    let mut plans = vec![Vec::new()];
    for state in states() {
        for (held, last_try) in [(false, false), (true, false), (false, true)] {
            for &verb in Verb::ALL {
                plans.push(vec![step(verb, state.clone(), held, last_try)]);
            }
            let all = (1..).zip(plannable(&book, |_, _| false)).map(|(ordinal, (verb, id))| {
                let extra = StepExtra { held, last_try, ..StepExtra::default() };
                step_on(ordinal, verb, book.get(id).name.clone(), extra, state.clone())
            });
            plans.push(all.collect());
        }
    }
    plans
}

#[test]
fn every_act_on_a_case_is_taken_exactly_when_it_is_offered() {
    let mut seen = BTreeSet::new();
    for Books { what: books, began, readable, active } in books() {
        for steps in plans() {
            for &state in CaseState::ALL {
                for &name in CaseActName::ALL {
                    let mut engine = Engine::new(1);
                    if let Some(book) = began.as_ref().filter(|_| readable) {
                        engine.learn_rulebook(Arc::clone(book));
                    }
                    active.iter().for_each(|book| engine.restore_active(Arc::clone(book)));
                    let case = stored(state, steps.clone(), began.as_deref().map(version));
                    let began_as = began.as_ref().map(|book| book.name());
                    let claiming = amends_engine::claiming(active.iter(), began_as, "shop", None);
                    let of_case = CaseBooks {
                        own: began.as_deref().filter(|_| readable),
                        active: claiming.map(|book| &**book),
                        several: false,
                    };
                    let may = case.case.may(&steps, of_case);
                    let act = act_on_case(name, of_case.own.or(of_case.active), &steps);
                    let what = format!("{act:?} on a case that is {state}, {books}: {steps:#?}");
                    let input = Input::CaseAct {
                        case: CASE,
                        act,
                        actor: "ann".into(),
                        bulk: None,
                        ticket: 1,
                    };
                    let answer = answer(&mut engine, case, input, &what);
                    if may.contains(&name) {
                        assert_eq!(answer, Answer::Done, "offered, and refused: {what}");
                    } else {
                        says(&answer, &may, &what);
                    }
                    seen.insert((name, may.contains(&name)));
                }
            }
        }
    }
    assert_eq!(seen.len(), CaseActName::ALL.len() * 2, "each is offered and refused: {seen:?}");
}
