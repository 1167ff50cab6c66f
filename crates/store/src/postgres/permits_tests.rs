//! Permits on a real server: three nodes that want the same few, hang, die and come back, with a witness in the
//! database.

use super::{lease::Me, permits, tests::Base};
use crate::{Nodes, PermitsHeld, PermitsWanted};
use std::{sync::Arc, thread, time::Duration};

/// Refuses that somebody has what another has, and counts who had it.
const WITNESS: &str = r#"
    CREATE TABLE amends.had (node text PRIMARY KEY, times bigint NOT NULL);
    CREATE FUNCTION amends.looks() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF OLD.until > clock_timestamp() AND (OLD.node, OLD.incarnation) IS DISTINCT FROM (NEW.node, NEW.incarnation) THEN
        RAISE EXCEPTION '% takes what % has', NEW.node, OLD.node;
      END IF;
      INSERT INTO amends.had VALUES (NEW.node, 1) ON CONFLICT (node) DO UPDATE SET times = had.times + 1;
      RETURN NEW;
    END $$;
    CREATE TRIGGER looks BEFORE UPDATE ON amends.permit FOR EACH ROW EXECUTE FUNCTION amends.looks()"#;

fn wants(service: &str, slots: u32, wanted: u32) -> PermitsWanted {
    PermitsWanted { service: service.into(), slots, wanted }
}

fn held(answer: &[PermitsHeld]) -> Vec<u32> {
    answer.iter().map(|one| one.held).collect()
}

fn me(node: &str, base: &Base) -> Me {
    let incarnation = base.session().text("SELECT gen_random_uuid()::text").expect("draws");
    Me { node: node.to_owned(), incarnation, lease_time: Duration::from_secs(5) }
}

#[test]
fn what_one_has_no_other_gets_until_it_is_given_back_or_its_time_is_over() {
    const LONG: Duration = Duration::from_secs(3_600);
    let base = Base::new();
    drop(base.store("first"));
    let session = base.session();
    let [a, b] = ["a", "b"].map(|node| me(node, &base));
    // Another process of the same name is another.
    let again = me("a", &base);
    let ask = |me: &Me, wanted: &[PermitsWanted], lasts| {
        held(&permits::ask(&session, me, wanted, lasts).expect("answers"))
    };
    let both = [wants("bank", 3, 2), wants("post", 1, 1)];
    assert_eq!(ask(&a, &both, LONG), [2, 1]);
    assert_eq!(ask(&a, &both, LONG), [2, 1], "it keeps what it has, and takes no more");
    let turned = [wants("post", 1, 1), wants("bank", 3, 5), wants("nobody", 0, 1)];
    assert_eq!(ask(&b, &turned, LONG), [0, 1, 0], "in the order of the question");
    assert_eq!(ask(&again, &both, LONG), [0, 0]);
    assert_eq!(ask(&a, &[wants("bank", 3, 1), wants("post", 1, 0)], LONG), [1, 0]);
    assert_eq!(ask(&b, &turned, LONG), [1, 2, 0], "what was given back");
    // A lower concurrency: what is above it is kept on by nobody.
    let one = [wants("bank", 1, 5)];
    assert_eq!(ask(&b, &one, LONG)[0] + ask(&a, &one, LONG)[0], 1);
    session.batch("UPDATE permit SET until = clock_timestamp()").expect("their time is over");
    assert_eq!(ask(&again, &both, LONG), [2, 1]);
}

/// Of a service with a concurrency of one, whatever nodes do and however they meet.
#[test]
fn three_nodes_never_have_more_than_there_are() {
    const ROUNDS: u32 = 300;
    let base = Base::new();
    drop(base.store("first"));
    base.session().batch(WITNESS).expect("makes a witness");
    let nodes = ["a", "b", "c"].map(|name| {
        let base = Base(base.0.clone());
        thread::spawn(move || {
            let (session, me) = (base.session(), me(name, &base));
            let mut got = 0;
            for round in 0..ROUNDS {
                // It gives back now and then, or lets its time go by, as one does that hangs.
                let wanted = u32::from(round % 3 != 2);
                let lasts = Duration::from_millis(u64::from(round % 7));
                let both = [wants("alone", 1, wanted), wants("few", 2, 2 * wanted)];
                let answer = permits::ask(&session, &me, &both, lasts).expect("nobody is robbed");
                let held = held(&answer);
                assert!(held[0] <= wanted && held[1] <= 2 * wanted, "{held:?}");
                got += held[0];
            }
            got
        })
    });
    for node in nodes {
        assert!(node.join().expect("no panic") > 0, "each has its turns");
    }
    assert_eq!(base.number("SELECT count(*) FROM permit"), 3);
    assert_eq!(base.number("SELECT count(*) FROM had"), 3);
}

#[tokio::test]
async fn a_node_asks_with_its_own_name() {
    let base = Base::new();
    let (one, two) = (base.store("one"), base.store("two"));
    let want = vec![wants("bank", 1, 1)];
    let expected = |held| vec![PermitsHeld { service: Arc::from("bank"), held }];
    assert_eq!(one.permits(want.clone()).await.expect("answers"), expected(1));
    let of_two = two.permits(want.clone()).await.expect("answers");
    assert!(of_two == expected(0) || of_two == expected(1), "its time may be over by now");
    assert_eq!(one.permits(vec![wants("bank", 1, 0)]).await.expect("answers"), expected(0));
    drop((one, two));
    let live = "SELECT count(*) FROM permit WHERE until > clock_timestamp()";
    assert_eq!(base.number(live), 0, "given back at the end");
}
