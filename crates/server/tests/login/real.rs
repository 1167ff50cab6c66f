//! The same login at two providers that know nothing of each other, or of us: `oidc-provider` on Node, and one on
//! Authlib and Flask. `cargo xtask test` installs both; without them these tests fail and say so.

use crate::browser::{Browser, Page};
use crate::liar::{CLIENT, SECRET};
use crate::stage::supervisor;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

#[tokio::test]
async fn people_log_in_at_a_provider_on_node() {
    people_log_in_at(&Real::node()).await;
}

#[tokio::test]
async fn people_log_in_at_a_provider_in_python() {
    people_log_in_at(&Real::python()).await;
}

async fn people_log_in_at(provider: &Real) {
    let (_folder, running) = supervisor(&provider.issuer, "").await;
    // Who asks for a page is led to the login, and back to the page.
    let mut ann = Browser::new(running.address);
    let page = ann.get(&Browser::at("/cases?state=stuck")).await;
    let page = ann.go_as("nobody", page).await;
    let at_login = page.url.path().to_owned();
    assert_eq!(at_login, "/login", "{}", page.body);
    let to = link(&page, "/login/provider");
    let page = ann.get(&to).await;
    let page = ann.go_as("ann", page).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/cases"), "{}", page.body);
    assert_eq!(page.url.query(), Some("state=stuck"));
    assert!(page.body.contains("person:ann"), "{}", page.body);
    // A code that has been used, as somebody who looked over the shoulder would: nothing new begins.
    let whoami = ann.get(&Browser::at("/v1/whoami")).await.body;
    assert!(whoami.contains("\"read:data\"") && whoami.contains("\"person\""), "{whoami}");

    // Known there, and nothing here.
    let mut bob = Browser::new(running.address);
    let page = bob.get(&Browser::at("/login/provider")).await;
    let page = bob.go_as("bob", page).await;
    assert_eq!(page.status, 403, "{}", page.body);
    assert!(
        page.body.contains("`bob`") && page.body.contains("has no role")
            || page.body.contains("have no role"),
        "{}",
        page.body
    );
    assert_eq!(bob.get(&Browser::at("/v1/whoami")).await.status, 401);

    // Logged out here, and there is a way to do so there.
    let page = ann.post(&Browser::at("/logout"), &[]).await;
    let page = ann.go_as("nobody", page).await;
    assert!(page.body.contains(&provider.issuer), "{}", page.body);
    assert_eq!(ann.get(&Browser::at("/v1/whoami")).await.status, 401);
    running.stop().await.expect("it ends in order");
}

fn link(page: &Page, path: &str) -> String {
    let (_, rest) = page.body.split_once(&format!("href=\"{path}")).expect("a link");
    let rest =
        rest.split('"').next().unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&");
    Browser::at(&format!("{path}{rest}"))
}

/// A provider in a process of its own, which ends when its standard input does.
struct Real {
    issuer: String,
    child: Child,
    /// What it says later has to go somewhere.
    _said: BufReader<ChildStdout>,
}

impl Real {
    fn node() -> Self {
        let folder = folder().join("node");
        let node = repository().join("participants/typescript/node_modules/.bin/node");
        let mut command = Command::new(node);
        command
            .arg("provider.js")
            .args([CLIENT, SECRET, crate::browser::PUBLIC])
            .current_dir(folder);
        Self::start(command)
    }

    fn python() -> Self {
        let folder = folder().join("python");
        let mut command = Command::new(folder.join(".venv/bin/python"));
        command.arg("provider.py").current_dir(folder);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| {
            panic!("{command:?}: {e}; `cargo xtask install` brings what it needs")
        });
        let mut issuer = String::new();
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        said.read_line(&mut issuer).expect("readable");
        let issuer = issuer.trim().to_owned();
        assert!(
            issuer.starts_with("http://"),
            "{command:?} does not start; `cargo xtask install` brings what it needs"
        );
        Self { issuer, child, _said: said }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // If it does not end by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/providers")
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
