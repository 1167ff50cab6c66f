//! Calls between nodes on a real server.

use super::tests::{Base, PATIENCE};
use crate::{
    Call, Calls, Heard, Hearing, LetterAnswered, LetterId, Partition,
    conformance::nodes::SharedPlace,
};
use amends_engine::Answer;
use amends_protocol::CaseId;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

async fn next(hearing: &mut Hearing) -> Call {
    timeout(PATIENCE, hearing.next()).await.expect("somebody calls").expect("the line is open")
}

/// The first thing that is heard on a line: it stands.
async fn until_it_stands(hearing: &mut Hearing) {
    while next(hearing).await != Call::Missed {}
}

#[tokio::test]
async fn nodes_hear_each_other_also_after_the_line_broke() {
    let base = Base::new();
    let (a, b) = (SharedPlace::open(&base, "a").await, SharedPlace::open(&base, "b").await);
    let mut hearing = b.hear();
    until_it_stands(&mut hearing).await;
    let answered = LetterAnswered {
        letter: LetterId(7),
        answer: Answer::Received { case: CaseId(641), duplicate: true },
    };
    for call in [Call::Letters(Partition(12)), Call::Answered(answered), Call::Leases] {
        a.call(call.clone());
        while next(&mut hearing).await != call {}
    }
    base.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    );
    until_it_stands(&mut hearing).await;
    let (call, began) = (Call::Letters(Partition(3)), Instant::now());
    loop {
        assert!(began.elapsed() < PATIENCE, "nothing is heard");
        a.call(call.clone());
        if timeout(Duration::from_millis(200), hearing.next()).await == Ok(Some(call.clone())) {
            break;
        }
    }
}

#[tokio::test]
async fn all_hear_what_each_says_in_one_order() {
    let base = Base::new();
    let (a, b) = (SharedPlace::open(&base, "a").await, SharedPlace::open(&base, "b").await);
    assert_eq!((a.own_name().as_deref(), b.own_name().as_deref()), (Some("a"), Some("b")));
    let (mut at_a, mut at_b) = (a.listen(), b.listen());
    let hello = Some(Heard::Said("hello".into()));
    for listening in [&mut at_a, &mut at_b] {
        let began = Instant::now();
        a.say("hello".to_owned());
        while timeout(Duration::from_millis(200), listening.next()).await != Ok(hello.clone()) {
            assert!(began.elapsed() < PATIENCE, "nothing is heard");
            a.say("hello".to_owned());
        }
    }
    let long = "a long one ".repeat(20_000);
    for n in 0..10 {
        a.say(format!("a{n} {long}"));
        b.say(format!("b{n}"));
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (listening, heard) in [(&mut at_a, &mut first), (&mut at_b, &mut second)] {
        while heard.len() < 20 {
            let next = timeout(PATIENCE, listening.next()).await.expect("somebody speaks");
            let Some(Heard::Said(text)) = next else { panic!("{next:?}") };
            heard.extend(Some(text).filter(|text| **text != *"hello"));
        }
    }
    assert_eq!(first, second);
    let of = |node: char| first.iter().filter(move |text| text.starts_with(node)).cloned();
    let wanted = |n: usize| -> Arc<str> { format!("a{n} {long}").into() };
    assert!(of('a').eq((0..10).map(wanted)), "whole, and in the order in which it said them");
    assert_eq!(of('b').count(), 10);
}

/// However often it is called.
#[tokio::test]
async fn many_calls_are_few_notifications() {
    let base = Base::new();
    let a = SharedPlace::open(&base, "a").await;
    let mut hearing = a.hear();
    until_it_stands(&mut hearing).await;
    let began = Instant::now();
    for n in 0..2_000_u16 {
        a.call(Call::Letters(Partition(n % 2)));
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    a.call(Call::Leases);
    let mut heard = 0;
    while next(&mut hearing).await != Call::Leases {
        heard += 1;
    }
    let most = 2 * (2 + began.elapsed().as_millis() / 5);
    assert!(heard >= 2 && heard <= most, "{heard} in {:?}", began.elapsed());
}
