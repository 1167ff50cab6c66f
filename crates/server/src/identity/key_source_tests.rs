//! Keys are fetched when they are needed, seldom, and kept when they can not be had.

use super::super::algorithm::Algorithm;
use super::*;
use crate::dispatch::HttpOptions;
use serde_json::json;

const AT: Duration = Duration::from_secs(1_000);

/// A source of a file with a key for each name, whatever the key is.
fn source(path: &Path, names: &[&str]) -> KeySource {
    write(path, names);
    let client = WebClient::new(&HttpOptions::default(), &[]);
    KeySource::new(KeysPlace::File(path.to_owned()), client)
}

fn write(path: &Path, names: &[&str]) {
    let key = |name: &&str| json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": name });
    let keys: Vec<_> = names.iter().map(key).collect();
    std::fs::write(path, json!({ "keys": keys }).to_string()).expect("written");
    // A clock of the file system may be too coarse to tell two writes of a test apart.
    let length = std::fs::metadata(path).expect("there").len();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(length);
    File::options().append(true).open(path).and_then(|f| f.set_modified(at)).expect("set");
}

fn seal(name: &str) -> Seal<'_> {
    Seal { algorithm: Algorithm::EdDsa, key_id: Some(name), signed: b"", signature: "" }
}

async fn knows(source: &KeySource, name: &str, now: Duration) -> bool {
    source.for_token(seal(name), now).await.is_ok_and(|keys| keys.have_one_for(seal(name)))
}

#[tokio::test]
async fn a_file_that_changes_is_read_anew_and_the_keys_of_before_are_dead() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let source = source(&path, &["old"]);
    assert!(knows(&source, "old", AT).await && !knows(&source, "new", AT).await);
    write(&path, &["new", "newer"]);
    assert!(knows(&source, "new", AT).await && !knows(&source, "old", AT).await);
}

#[tokio::test]
async fn keys_that_can_t_be_read_any_more_stay_for_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let source = source(&path, &["a"]);
    assert!(knows(&source, "a", AT).await);
    std::fs::remove_file(&path).expect("removed");
    assert!(knows(&source, "a", AT + STALE - Duration::from_secs(1)).await);
    let told = source.for_token(seal("a"), AT + STALE).await.err();
    assert!(matches!(told, Some(Refused::KeysAway(_))), "{told:?}");
}

#[tokio::test]
async fn looks_are_bounded_and_come_back_with_the_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let source = source(&path, &["a"]);
    for n in 0..100 {
        assert!(!knows(&source, &format!("made-up-{n}"), AT).await);
    }
    assert_eq!(source.kept().looks.len(), MOST_LOOKS);
    assert!(!source.wants_a_look(seal("made-up"), AT + MINUTE - Duration::from_secs(1)));
    assert!(source.wants_a_look(seal("made-up"), AT + MINUTE));
    assert!(knows(&source, "a", AT).await, "the others are not held up");
}
