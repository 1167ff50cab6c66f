//! There is one planner: everybody who says what a case would do says the same. Stories for all of them, and for the
//! engine any reports in any order.

#[path = "one_planner/mod.rs"]
mod players;

use amends_engine::Input;
use amends_protocol::{Evidence, HistoryState, Report};
use amends_rulebook::CaseFacts;
use players::stories::{FOOD, SHOP, STORIES, Story};
use players::{CAUSE_WAIT_MS, World, book, by_compare, by_engine, by_explain, by_planner};
use players::{by_replay, by_table_test, decided, report};
use proptest::prelude::*;

/// Plays the stories that a player can tell; how many that were.
fn play<T>(player: impl Fn(&Story) -> Option<T>, check: impl Fn(&Story, T)) -> usize {
    let told = |story: &&Story| player(story).map(|done| check(story, done)).is_some();
    STORIES.iter().filter(told).count()
}

#[test]
fn the_planner_plays_every_story() {
    for story in STORIES {
        assert_eq!(by_planner(story), story.expected(), "{}", story.name);
    }
}

#[test]
fn the_engine_plays_every_story() {
    for story in STORIES {
        assert_eq!(by_engine(story), story.expected().into_kept(), "{}", story.name);
    }
}

#[test]
fn table_tests_and_their_coverage_play_the_stories_of_one_report() {
    let told = play(by_table_test, |story, differences| {
        assert_eq!(differences, [""; 0], "{}", story.name);
    });
    assert_eq!(told, 10);
}

#[test]
fn explain_plays_the_stories_of_one_report() {
    let told = play(by_explain, |story, explained| {
        assert_eq!(explained, story.expected(), "{}", story.name);
    });
    assert_eq!(told, 10);
}

#[test]
fn compare_plays_the_stories_of_one_report_that_proves_nothing() {
    let told = play(by_compare, |story, (planned, expected)| {
        assert_eq!(planned, expected, "{}", story.name);
    });
    assert_eq!(told, 5);
}

#[test]
fn replay_plays_the_stories_that_a_case_can_tell() {
    let told = play(by_replay, |story, (planned, expected)| {
        assert_eq!(planned, expected, "{}", story.name);
    });
    assert_eq!(told, 28);
}

const ACTIONS: [(&str, &str); 6] = [
    ("order", "place"),
    ("payment", "pay"),
    ("coupon", "redeem"),
    ("delivery", "request"),
    ("rider", "match"),
    ("sms", "send"),
];
const CODES: [&str; 11] = [
    "report-1",
    "report-2",
    "report-3",
    "odd",
    "again",
    "tried-out",
    "lost",
    "down",
    "ask",
    "shadow",
    "limited",
];

fn any_evidence() -> impl Strategy<Value = Vec<Evidence>> {
    let one = (0..ACTIONS.len(), 0..HistoryState::ALL.len()).prop_map(|(action, state)| {
        Evidence::new(
            ACTIONS[action].0,
            ACTIONS[action].1,
            format!("r-{action}"),
            HistoryState::ALL[state],
        )
    });
    prop::collection::vec(one, 0..4)
}

/// Reports `r-0`, `r-1`, …, which name each other and ones that never come as their causes.
fn any_reports() -> impl Strategy<Value = Vec<Report>> {
    let causes = prop_oneof![2 => Just(vec![]), 3 => prop::collection::vec(0_usize..8, 1..3)];
    let one = (0..ACTIONS.len(), 0..CODES.len(), any_evidence(), any::<bool>(), causes);
    prop::collection::vec(one, 1..6).prop_map(|all| {
        let report =
            |(n, (action, code, history, names_action, causes)): (usize, (_, _, _, _, Vec<_>))| {
                let ((service, name), code): ((&str, &str), &str) = (ACTIONS[action], CODES[code]);
                let mut report = report(&format!("r-{n} {service}/{code} {name}"), "s");
                report.data.history = history;
                report.data.caused_by = causes.iter().map(|cause| format!("r-{cause}")).collect();
                report.data.action = report.data.action.filter(|_| names_action);
                report
            };
        all.into_iter().enumerate().map(report).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The reports come in any order, within the time that causes have; so do the answers of the Histories.
    #[test]
    fn the_engine_ends_with_the_planners_plan(
        (reports, order) in any_reports().prop_flat_map(|all| {
            let shuffled = Just((0..all.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(all), shuffled)
        }),
        told in any_evidence(),
        shop in any::<bool>(),
        pause_ms in 0..CAUSE_WAIT_MS / 8,
        early in any::<bool>(),
    ) {
        let book = book(if shop { SHOP } else { FOOD });
        let reports: Vec<Report> = order.iter().map(|n| reports[*n].clone()).collect();
        let mut world = World::new(&book);
        let told: Vec<_> = told.into_iter().map(|e| (e.service.clone(), vec![e])).collect();
        let told: Vec<_> = told.iter().map(|(by, told)| (by.as_str(), told.clone())).collect();
        for report in &reports {
            world.report(report.clone());
            world.pass(pause_ms);
            if early {
                world.tell_histories(&told);
            }
        }
        world.pass(CAUSE_WAIT_MS);
        // Whoever is asked late tells the same.
        world.tell_histories(&told);
        world.input(Input::Tick);

        let all: Vec<&Report> = reports.iter().collect();
        let asked = world.asked();
        let heard = told.iter().filter(|(by, _)| asked.contains(*by));
        let heard = heard.flat_map(|(by, told)| told.iter().map(move |e| (*by, e)));
        let facts = CaseFacts::of_all_reports(&book, &all, heard);
        let mut planned = decided(&book, &reports, &facts).into_kept();
        let mut engine = world.decided();
        // Why a step is wanted is a set; the order in which the reasons came is not compared.
        planned.sort_reasons();
        engine.sort_reasons();
        prop_assert_eq!(planned, engine);
    }
}
