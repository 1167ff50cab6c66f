//! What a login begins, and how it ends.

use crate::browser::Browser;
use crate::stage::Stage;

fn whoami() -> String {
    Browser::at("/v1/whoami")
}

/// The cookies of sessions that a browser has.
fn sessions_of(browser: &Browser) -> Vec<String> {
    let of_session = browser.cookies.iter().filter(|((_, _, name), _)| name == "amends-session");
    of_session.map(|(_, value)| value.clone()).collect()
}

#[tokio::test]
async fn a_login_begins_a_new_session_whatever_the_browser_had() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    // Somebody has planted a session before: it is not the one that the login begins.
    let key = ("127.0.0.1:1".to_owned(), "/".to_owned(), "amends-session".to_owned());
    browser.cookies.insert(key, "planted".to_owned());
    stage.log_in(&mut browser).await;
    let first = sessions_of(&browser);
    assert_ne!(first, ["planted"]);
    stage.log_in(&mut browser).await;
    assert_ne!(sessions_of(&browser), first, "each login has one of its own");
    let mut attacker = stage.browser();
    let key = ("127.0.0.1:1".to_owned(), "/".to_owned(), "amends-session".to_owned());
    attacker.cookies.insert(key, "planted".to_owned());
    assert_eq!(attacker.get(&whoami()).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_with_the_logout_and_not_only_in_the_browser() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    stage.log_in(&mut browser).await;
    let kept = browser.cookies.clone();
    assert_eq!(browser.get(&whoami()).await.status, 200);
    let page = browser.post(&Browser::at("/logout"), &[]).await;
    assert!(page.set_cookies.iter().any(|cookie| cookie.contains("Max-Age=0")), "{page:?}");
    assert!(sessions_of(&browser).is_empty());
    // Whoever kept a copy has nothing.
    let mut thief = stage.browser();
    thief.cookies = kept;
    assert_eq!(thief.get(&whoami()).await.status, 401);
}

#[tokio::test]
async fn people_see_their_own_sessions_and_end_them() {
    let stage = Stage::set().await;
    let (mut laptop, mut telephone) = (stage.browser(), stage.browser());
    stage.log_in(&mut laptop).await;
    stage.log_in(&mut telephone).await;
    let page = laptop.get(&Browser::at("/me")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("person:ann") && page.body.contains("read:data"), "{}", page.body);
    assert_eq!(page.body.matches("/end\"").count(), 1, "all but this one: {}", page.body);
    let ended = laptop.post(&Browser::at("/me/sessions/end-others"), &[]).await;
    assert_eq!(ended.status, 303, "{}", ended.body);
    assert_eq!(telephone.get(&whoami()).await.status, 401);
    assert_eq!(laptop.get(&whoami()).await.status, 200);
}

#[tokio::test]
async fn nobody_ends_the_session_of_another() {
    let stage = Stage::set().await;
    let (mut ann, mut bob) = (stage.browser(), stage.browser());
    stage.log_in(&mut ann).await;
    let page = ann.get(&Browser::at("/v1/sessions")).await;
    let sessions: serde_json::Value = serde_json::from_str(&page.body).expect("JSON");
    let id = sessions[0]["id"].as_str().expect("an id").to_owned();
    stage.liar.lies_in_claims(|claims| {
        claims["sub"] = "bob".into();
        claims["preferred_username"] = "bob".into();
    });
    stage.log_in(&mut bob).await;
    let page = bob.post(&Browser::at(&format!("/me/sessions/{id}/end")), &[]).await;
    assert_eq!(page.status, 404, "{}", page.body);
    assert_eq!(ann.get(&whoami()).await.status, 200);
    // Nor does a page of another site end one's own.
    let page = ann.get(&Browser::at("/logout")).await;
    assert_eq!(page.status, 405, "{}", page.body);
}
