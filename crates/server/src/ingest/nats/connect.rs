//! A connection: as whom, by what certificates. Files are read each time, so that a new password is taken.

use crate::ingest::NatsOptions;
use async_nats::{Client, ConnectOptions};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// How often the connection is tried.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Longest time for a word with the server, or for a file.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of a file with a password or with credentials.
const FILE_LIMIT: u64 = 64 << 10;

/// Why nothing comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the server can't be reached: {0}")]
    Away(String),
    #[error("{0}")]
    Mistake(String),
    #[error("the subscription ended: {0}")]
    Broken(String),
}

pub(super) async fn connect(options: &NatsOptions) -> Result<Client, Ended> {
    let mut how =
        ConnectOptions::new().name("amends").connection_timeout(PATIENCE).ping_interval(PING_EVERY);
    if let Some(file) = &options.credentials {
        let key = "nats.credentials";
        let text = secret(key, file).await?;
        how = how.credentials(&text).map_err(|error| mistake(key, file, &error))?;
    }
    if let Some((user, file)) = &options.user {
        let password = secret("nats.password_file", file).await?;
        how = how.user_and_password(user.clone(), password.trim_end().to_owned());
    }
    if let Some(file) = &options.authorities {
        how = how.add_root_certificates(file.clone());
    }
    if let Some((certificate, key)) = &options.identity {
        how = how.add_client_certificate(certificate.clone(), key.clone());
    }
    how.connect(&options.servers).await.map_err(|error| Ended::Away(error.to_string()))
}

/// What a file of a secret holds. It is read where it may take long: a file may lie on a network.
async fn secret(key: &str, file: &Path) -> Result<String, Ended> {
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(path));
    match timeout(PATIENCE, reading).await {
        Ok(Ok(read)) => read.map_err(|error| mistake(key, file, &error)),
        Ok(Err(fault)) => Err(mistake(key, file, &fault)),
        Err(_) => {
            let why = format!("it could not be read within {} s", PATIENCE.as_secs());
            Err(mistake(key, file, &why))
        }
    }
}

fn read(path: PathBuf) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_LIMIT {
        true => Err(io::Error::other(format!("it holds more than {FILE_LIMIT} bytes"))),
        false => Ok(text),
    }
}

fn mistake(key: &str, file: &Path, why: &dyn Display) -> Ended {
    Ended::Mistake(format!("`{key}`, the file `{}`: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_a_secret_is_read_up_to_a_limit_and_never_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "hush\n").expect("written");
        assert_eq!(secret("nats.password_file", &file).await.expect("read"), "hush\n");
        std::fs::write(&file, "hush".repeat(20_000)).expect("written");
        let why = secret("nats.password_file", &file).await.expect_err("too long").to_string();
        assert!(why.contains("`nats.password_file`") && why.contains("65536 bytes"), "{why}");
        assert!(!why.contains("hush"), "{why}");
        let none = folder.path().join("none");
        let why = secret("nats.credentials", &none).await.expect_err("missing").to_string();
        assert!(why.contains(&none.display().to_string()), "{why}");
    }
}
