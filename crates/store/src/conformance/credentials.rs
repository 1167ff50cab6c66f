//! Tokens and sessions come back as they were, also after a reopening.

use super::{Held, Place};
use crate::{CredentialKind, CredentialRow, Credentials, Store};

fn row(kind: CredentialKind, id: &str, byte: u8, state: &str) -> CredentialRow {
    CredentialRow { kind, id: id.into(), digest: [byte; 32], state: state.into() }
}

/// A credential keeps its digest whatever its state becomes, and is gone once it is forgotten.
pub async fn credentials_are_kept(place: &impl Place<Store: Store>) {
    use CredentialKind::{Session, Token};
    let store = Held::of(place).await;
    assert_eq!(store.credentials().await.expect("reads"), []);
    for put in [
        row(Token, "b", 2, "{}"),
        row(Token, "a", 1, "{}"),
        row(Session, "a", 3, "{}"),
        row(Token, "a", 9, "{\"used\":1}"),
    ] {
        store.put_credential(put).await.expect("puts");
    }
    store.drop_credential(Token, "b".into()).await.expect("forgets");
    store.drop_credential(Token, "b".into()).await.expect("is forgotten already");
    drop(store);
    let store = Held::of(place).await;
    let kept = [row(Token, "a", 1, "{\"used\":1}"), row(Session, "a", 3, "{}")];
    assert_eq!(store.credentials().await.expect("reads"), kept);
    let twin = store.put_credential(row(Token, "c", 3, "{}")).await;
    assert!(twin.is_err(), "two are never shown alike");
    assert_eq!(store.credentials().await.expect("reads"), kept);
}
