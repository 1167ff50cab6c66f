//! How tokens and sessions live and end.

use super::*;
use tempfile::TempDir;

const DAY: i64 = 86_400_000;

fn open() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("a store");
    (folder, store)
}

fn wanted(name: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        grants: vec!["act".parse().expect("a grant")],
        expires_in: Some(86_400),
        break_glass: false,
        made_by: "test".to_owned(),
    }
}

fn session(token: Option<String>) -> NewSession {
    let grants = vec!["read".parse().expect("a grant")];
    let principal =
        Principal { name: "person:ann".to_owned(), kind: PrincipalKind::Person, grants };
    NewSession {
        principal,
        address: None,
        browser: Some("é".repeat(300)),
        token,
        ends_at: Timestamp(DAY),
        idle: 3_600_000,
        note: None,
    }
}

#[tokio::test]
async fn a_token_is_known_until_it_expires_also_after_a_restart() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let made = keys.make_token(&store, wanted("ci"), Timestamp(0)).await.expect("made");
    assert!(made.token.starts_with(&format!("amends_{}_", made.view.id)), "{made:?}");
    let again = Keyring::load(&store).await.expect("loads");
    let known = again.token(&made.token, Timestamp(DAY - 1)).expect("known");
    assert_eq!((known.principal.name.as_str(), known.principal.grants.len()), ("token:ci", 1));
    let id = made.view.id.clone();
    let late = again.token(&made.token, Timestamp(DAY)).expect_err("too late");
    assert_eq!(late, NotKnown::Expired { id, at: Timestamp(DAY) });
    for wrong in [&made.token[..made.token.len() - 1], "", "amends__", &made.token.to_uppercase()] {
        assert_eq!(again.token(wrong, Timestamp(0)), Err(NotKnown::Stranger), "{wrong}");
    }
}

#[tokio::test]
async fn nothing_that_is_stored_can_be_shown() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let made = keys.make_token(&store, wanted("ci"), Timestamp(0)).await.expect("made");
    let shown = keys.begin_session(&store, session(None), Timestamp(0)).await.expect("begun");
    let rows = store.credentials().await.expect("reads");
    // It may hold `_` itself.
    let secret = made.token.splitn(3, '_').nth(2).expect("a part");
    for row in rows {
        assert!(!row.state.contains(secret) && !row.state.contains(&shown), "{row:?}");
        assert!(keys.token(&hex(&row.digest), Timestamp(0)).is_err());
    }
}

#[tokio::test]
async fn a_revoked_token_takes_its_sessions_along() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let made = keys.make_token(&store, wanted("ann"), Timestamp(0)).await.expect("made");
    let of_token = session(Some(made.view.id.clone()));
    let shown = keys.begin_session(&store, of_token, Timestamp(0)).await.expect("begun");
    keys.session(&shown, Timestamp(1)).expect("known");
    keys.revoke(&store, &made.view.id, Timestamp(5)).await.expect("revoked");
    keys.revoke(&store, &made.view.id, Timestamp(9)).await.expect("is revoked already");
    let at = Timestamp(5);
    let over = NotKnown::Revoked { id: made.view.id.clone(), at };
    for keys in [&keys, &Keyring::load(&store).await.expect("loads")] {
        assert_eq!(keys.token(&made.token, Timestamp(10)), Err(over.clone()));
        assert_eq!(keys.session(&shown, Timestamp(10)), Err(over.clone()));
    }
    assert!(keys.revoke(&store, "00", Timestamp(0)).await.is_err(), "there is none");
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_when_its_time_is_over() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let shown = keys.begin_session(&store, session(None), Timestamp(0)).await.expect("begun");
    let hour = 3_600_000;
    for used in [hour - 1, 2 * hour - 2] {
        keys.session(&shown, Timestamp(used)).expect("it was used");
    }
    assert_eq!(keys.session(&shown, Timestamp(3 * hour - 2)), Err(NotKnown::SessionOver));
    keys.tidy(&store, Timestamp(3 * hour - 2)).await.expect("tidies");
    assert_eq!(store.credentials().await.expect("reads"), []);

    let shown = keys.begin_session(&store, session(None), Timestamp(0)).await.expect("begun");
    let mut now = 0;
    while now + hour / 2 < DAY {
        now += hour / 2;
        keys.session(&shown, Timestamp(now)).expect("it is used all the time");
    }
    assert_eq!(keys.session(&shown, Timestamp(DAY)), Err(NotKnown::SessionOver));
}

#[tokio::test]
async fn an_ended_session_is_over_at_once() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let shown = keys.begin_session(&store, session(None), Timestamp(0)).await.expect("begun");
    let other = keys.begin_session(&store, session(None), Timestamp(1)).await.expect("begun");
    let known = keys.session(&shown, Timestamp(2)).expect("known");
    let id = known.session.expect("a session");
    let listed = keys.sessions(Some("person:ann"), Some(&id), Timestamp(2));
    assert_eq!(listed.iter().map(|view| view.current).collect::<Vec<_>>(), [false, true]);
    assert!(listed[0].browser.as_ref().is_some_and(|name| name.len() <= BROWSER_LIMIT));
    assert_eq!(keys.sessions(Some("person:bob"), None, Timestamp(2)), []);
    assert!(keys.end_session(&store, &id).await.expect("ends").is_some());
    assert_eq!(keys.session(&shown, Timestamp(3)), Err(NotKnown::SessionOver));
    keys.session(&other, Timestamp(3)).expect("the other one goes on");
    assert_eq!(keys.end_session(&store, &id).await.expect("is over"), None);
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_uses_are_kept() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let made = keys.make_token(&store, wanted("ci"), Timestamp(0)).await.expect("made");
    keys.token(&made.token, Timestamp(5_000)).expect("known");
    keys.tidy(&store, Timestamp(6_000)).await.expect("tidies");
    let again = Keyring::load(&store).await.expect("loads");
    assert_eq!(again.tokens()[0].last_used_at, Some(Timestamp(5_000)));
    again.tidy(&store, Timestamp(91 * DAY)).await.expect("tidies");
    assert_eq!(again.tokens().len(), 1, "it expired 90 days ago and is still listed");
    again.tidy(&store, Timestamp(91 * DAY + 1)).await.expect("tidies");
    assert_eq!((again.tokens(), store.credentials().await.expect("reads")), (vec![], vec![]));
}

#[tokio::test]
async fn a_token_that_can_not_be_is_refused() {
    let (_folder, store) = open();
    let keys = Keyring::load(&store).await.expect("loads");
    let with = |change: fn(&mut NewToken)| {
        let mut wanted = wanted("ci");
        change(&mut wanted);
        wanted
    };
    for wrong in [
        with(|w| w.name.clear()),
        with(|w| w.name = "a b".to_owned()),
        with(|w| w.name = "ä".to_owned()),
        with(|w| w.name = "x".repeat(65)),
        with(|w| w.grants.clear()),
        with(|w| w.expires_in = Some(0)),
        with(|w| w.expires_in = Some(u64::MAX)),
    ] {
        let said = keys.make_token(&store, wrong.clone(), Timestamp(0)).await;
        assert!(matches!(said, Err(TokenMistake::Wrong(_))), "{wrong:?}");
    }
    assert_eq!(store.credentials().await.expect("reads"), []);
}
