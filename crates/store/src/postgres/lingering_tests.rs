//! A dead node's connection that its server has not noticed to be dead, on a real server.

use super::{
    lease::Me,
    lingering::OUT_OF_REACH,
    parts::PartLeases,
    session::{self, Session},
    tests::{Base, until},
};
use crate::Partition;
use std::time::Duration;

const ALL: usize = Partition::PARTS + 1;
const HOLDS_ON: &str = "BEGIN; SELECT FROM lease WHERE partition < 3 ORDER BY partition FOR SHARE";
const IS_GONE: &str = "SELECT (count(*) = 0)::text FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'amends/gone/%'";
const DIES: &str =
    "UPDATE node SET alive_until = clock_timestamp() - interval '1 hour' WHERE id = ";

fn me(node: &str, base: &Base) -> Me {
    let incarnation = base.session().text("SELECT gen_random_uuid()::text").expect("draws");
    Me { node: node.to_owned(), incarnation, lease_time: Duration::from_secs(3_600) }
}

/// A connection of a process, as it names itself.
fn connected(me: &Me, base: &Base) -> Session {
    let name = format!("amends/{}/{:.8}", me.node, me.incarnation);
    let connects = base.options("beside").connect().expect("an address").application_name(&name);
    let session = session::reach(&connects, "of the test", session::COMMITTING);
    let session = session.expect("connects");
    session.batch("SET lock_timeout = '100ms'").expect("sets");
    session
}

/// A node that holds everything.
fn holder(base: &Base) -> (Me, Session, PartLeases) {
    let me = me("gone", base);
    let (session, mut leases) = (connected(&me, base), PartLeases::default());
    me.beat(&session).expect("beats");
    leases.claim_after(&session, &me, ALL, Duration::ZERO).expect("claims");
    assert_eq!(leases.leases().len(), ALL);
    (me, session, leases)
}

/// How many parts are held after another claim. One that waited for whoever holds on would fail.
fn claims(session: &Session, me: &Me, leases: &mut PartLeases) -> usize {
    leases.claim_after(session, me, ALL, Duration::ZERO).expect("waits for nobody");
    leases.leases().len()
}

#[test]
fn what_a_dead_node_holds_on_to_is_set_free_at_the_second_claim() {
    let base = Base::new();
    drop(base.store("first"));
    let (_, gone, _) = holder(&base);
    gone.batch(HOLDS_ON).expect("holds on");
    let (me, mut leases) = (me("b", &base), PartLeases::default());
    let session = connected(&me, &base);
    me.beat(&session).expect("beats");
    assert_eq!(claims(&session, &me, &mut leases), 0, "its node lives");
    session.batch(&format!("{DIES} 'gone'")).expect("dies");
    assert_eq!(claims(&session, &me, &mut leases), ALL - 3);
    gone.batch("SELECT").expect("once may be a commit that is about to end");
    assert_eq!(claims(&session, &me, &mut leases), ALL - 3, "passed over again");
    assert!(gone.batch("COMMIT").is_err(), "it was ended");
    until(&session, IS_GONE);
    assert_eq!(claims(&session, &me, &mut leases), ALL);
}

/// Whoever has come back under the same name takes what its earlier process holds on to; its own connections stay.
#[test]
fn a_node_that_comes_back_ends_what_its_earlier_process_has_left() {
    let base = Base::new();
    drop(base.store("first"));
    let (_, gone, _) = holder(&base);
    gone.batch(HOLDS_ON).expect("holds on");
    base.session().batch(&format!("{DIES} 'gone'")).expect("dies");
    let (me, mut leases) = (me("gone", &base), PartLeases::default());
    let (session, beside) = (connected(&me, &base), connected(&me, &base));
    me.beat(&session).expect("beats");
    assert_eq!(claims(&session, &me, &mut leases), ALL - 3);
    assert_eq!(claims(&session, &me, &mut leases), ALL - 3);
    assert!(gone.batch("COMMIT").is_err(), "it was ended");
    beside.batch("SELECT").expect("it is of the one that lives");
}

/// A user of another name may not: nobody is stopped by that, and `doctor` is told.
#[test]
fn who_may_not_end_a_connection_goes_on_without_it() {
    let base = Base::new();
    drop(base.store("first"));
    let (_, gone, _) = holder(&base);
    gone.batch(HOLDS_ON).expect("holds on");
    let (me, mut leases) = (me("b", &base), PartLeases::default());
    let session = connected(&me, &base);
    me.beat(&session).expect("beats");
    // Roles are the server's, not the database's.
    let role = format!("other_{:.8}", me.incarnation);
    session.batch(&format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA amends TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA amends TO {role};
         {DIES} 'gone'; SET ROLE {role}"
    )).expect("is another");
    for _ in 0..3 {
        assert_eq!(claims(&session, &me, &mut leases), ALL - 3);
    }
    gone.batch("COMMIT").expect("it was left alone");
    let out_of_reach = session.text(OUT_OF_REACH).expect("reads");
    assert_ne!(out_of_reach, "");
    assert_eq!(claims(&session, &me, &mut leases), ALL);
    let dropped = format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}");
    session.batch(&dropped).expect("leaves nothing behind");
    assert_eq!(base.session().text(OUT_OF_REACH).expect("reads"), "", "its own user may");
}
