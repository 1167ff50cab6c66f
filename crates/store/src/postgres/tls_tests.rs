//! A server that proves who it is, by an authority that only some believe.

use super::{PostgresOptions, PostgresStore, PostgresTls};
use amends_private_server::{Certified, PostgresServer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

fn file_of(folder: &TempDir, name: &str, authority: &Authority) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, authority.pem()).expect("our folder");
    path
}

#[test]
fn only_a_server_of_a_trusted_authority_and_of_its_name_is_believed() {
    let (ours, other, folder) = (authority(), authority(), TempDir::new().expect("a folder"));
    let (ours_at, other_at) =
        (file_of(&folder, "ours.pem", &ours), file_of(&folder, "other.pem", &other));
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &ours).expect("signed").pem();
    let server = PostgresServer::start_certified(Certified {
        certificate: &certificate,
        key: &key.serialize_pem(),
    });
    let options = |host: &str, tls, authorities: Option<&PathBuf>| PostgresOptions {
        tls: Some(tls),
        tls_authorities: authorities.cloned(),
        ..PostgresOptions::new(
            &format!("postgres://postgres@{host}:{}/postgres", server.port()),
            "one",
        )
    };
    let store = PostgresStore::open(&options("localhost", PostgresTls::VerifyFull, Some(&ours_at)));
    let store = store.expect("it is who it says");
    let encrypted =
        "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name LIKE 'amends/%'";
    assert_eq!(server.sql("postgres", encrypted), "t");
    drop(store);

    use PostgresTls::{Require, VerifyCa, VerifyFull};
    let look = |host, tls, authorities| {
        PostgresStore::status(&options(host, tls, authorities)).map_err(|error| error.to_string())
    };
    look("localhost", Require, None).expect("whoever it is");
    look("127.0.0.1", VerifyCa, Some(&ours_at)).expect("whatever its name is");
    for (host, tls, authorities) in [
        ("localhost", VerifyFull, Some(&other_at)),
        ("localhost", VerifyCa, Some(&other_at)),
        ("localhost", VerifyFull, None),
        ("127.0.0.1", VerifyFull, Some(&ours_at)),
    ] {
        let why = look(host, tls, authorities).expect_err("it must not be believed");
        assert!(why.contains("certificate"), "{host}, {tls:?}, {authorities:?}: {why}");
    }
}
