//! Which supervisor a command asks, and as whom: contexts, tokens and headers, and that no secret goes anywhere else.
#![cfg(unix)]

mod support;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Done, Legacy, command, feed, finish, scratch, write};

const TOKEN: &str = "amends_7f3a_s3cr3tRandomPart";
const SECRET: &str = "s3cr3tRandomPart";

/// A person's machine: a home of its own, and a supervisor that answers everything with one status.
struct Desk {
    home: tempfile::TempDir,
    there: Legacy,
}

impl Desk {
    fn with(status: u16) -> Self {
        Self { home: scratch(), there: Legacy::start(status) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.there.address)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.args(arguments).env("XDG_CONFIG_HOME", self.home.path());
        command.current_dir(self.home.path());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Done {
        silent(finish(&mut self.command(arguments)))
    }

    /// Sets a context with a token, which comes by standard input.
    #[track_caller]
    fn set(&self, name: &str, url: &str) {
        let set = ["context", "set", name, "--url", url, "--token-stdin"];
        silent(feed(&mut self.command(&set), &format!("{TOKEN}\n"))).exits(0);
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("amends/contexts.toml")
    }

    /// What was asked last came with this header.
    #[track_caller]
    fn heard(&self, name: &str) -> Option<String> {
        self.there.heard().last().expect("it was asked").headers.get(name).cloned()
    }
}

/// No secret is told, whatever happens.
#[track_caller]
fn silent(done: Done) -> Done {
    for secret in [SECRET, "hunter2"] {
        let told = done.stdout.contains(secret) || done.stderr.contains(secret);
        assert!(!told, "{}\n{}", done.stdout, done.stderr);
    }
    done
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_person_names_supervisors_and_says_which_one_is_asked() {
    let desk = Desk::with(404);
    assert!(desk.run(&["context"]).exits(0).stderr.contains("there is no context"));
    desk.set("prod", "https://amends.example.com");
    desk.run(&["context", "set", "here", "--url", &desk.url(), "--token-file", "token"]).exits(0);

    let all = desk.run(&["context", "list", "--json"]).exits(0).json();
    assert_eq!((&all[0]["name"], &all[0]["current"]), (&"here".into(), &false.into()));
    assert_eq!((&all[1]["name"], &all[1]["current"]), (&"prod".into(), &true.into()));
    assert_eq!(all[1]["token"], "amends_7f3a_…");
    let shown = desk.run(&["context", "show"]).exits(0).stdout;
    assert!(shown.contains("prod (in use)") && shown.contains("amends.example.com"), "{shown}");

    desk.run(&["context", "use", "here"]).exits(0);
    write(desk.home.path(), "token", TOKEN);
    desk.run(&["services"]).exits(4);
    assert_eq!(desk.heard("authorization"), Some(format!("Bearer {TOKEN}")));

    assert!(desk.run(&["context", "delete", "prod"]).exits(0).stderr.contains("still good"));
    desk.run(&["context", "show", "prod"]).exits(2);
    desk.run(&["context", "use", "prod"]).exits(2);
    desk.run(&["context", "use", "--none"]).exits(0);
    assert!(desk.run(&["context", "show"]).exits(2).stderr.contains("no context is in use"));
}

#[test]
fn the_file_is_its_owners_alone_or_it_is_not_used() {
    let desk = Desk::with(404);
    desk.set("prod", &desk.url());
    let found = std::fs::metadata(desk.file()).expect("it is there").permissions().mode();
    assert_eq!(found & 0o777, 0o600);
    for (open, why) in [(0o644, "may read"), (0o640, "may read"), (0o622, "may change")] {
        mode(&desk.file(), open);
        for line in [&["services"][..], &["context"], &["context", "use", "prod"]] {
            let refused = desk.run(line).exits(6);
            assert!(
                refused.stderr.contains(why) && refused.stderr.contains("chmod 600"),
                "{refused:?}"
            );
        }
    }
    assert!(desk.there.heard().is_empty(), "nothing was sent");
    mode(&desk.file(), 0o600);
    desk.run(&["services"]).exits(4);

    // Without a secret others may look, and not write.
    write(desk.home.path(), "token", TOKEN);
    desk.run(&["context", "set", "prod", "--token-file", "token"]).exits(0);
    mode(&desk.file(), 0o644);
    desk.run(&["services"]).exits(4);
    mode(&desk.file(), 0o664);
    desk.run(&["services"]).exits(6);
}

#[test]
fn a_contexts_token_goes_to_its_address_and_to_no_other() {
    let desk = Desk::with(404);
    desk.set("prod", &desk.url());
    desk.run(&["services"]).exits(4);
    assert_eq!(desk.heard("authorization"), Some(format!("Bearer {TOKEN}")));

    let other = Legacy::start(404);
    let elsewhere = format!("http://{}", other.address);
    desk.run(&["services", "--url", &elsewhere]).exits(4);
    silent(finish(desk.command(&["services"]).env("AMENDS_URL", &elsewhere))).exits(4);
    let heard = other.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|one| !one.headers.contains_key("authorization")), "{heard:?}");
    desk.run(&["services", "--url", &elsewhere, "--context", "prod"]).exits(2);

    // Nor does it move along when the context gets another address.
    let moved = desk.run(&["context", "set", "prod", "--url", &elsewhere]).exits(2);
    assert!(moved.stderr.contains("which token"), "{}", moved.stderr);
    desk.run(&["context", "set", "prod", "--url", &elsewhere, "--unset", "token"]).exits(0);
    desk.run(&["services"]).exits(4);
    assert!(!other.heard()[2].headers.contains_key("authorization"));
}

#[test]
fn no_redirect_is_followed() {
    let desk = Desk::with(200);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let here = format!("http://{}", listener.local_addr().expect("bound"));
    let elsewhere = format!("{}/login?token={SECRET}", desk.url());
    async fn away(State(elsewhere): State<String>) -> impl IntoResponse {
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, elsewhere)])
    }
    let app = Router::new().fallback(away).with_state(elsewhere);
    runtime.spawn(async move { axum::serve(listener, app).await });

    let mut services = desk.command(&["services", "--url", &here]);
    let refused = silent(finish(services.env("AMENDS_TOKEN", TOKEN))).exits(4);
    assert!(refused.stderr.contains("no redirect is followed"), "{}", refused.stderr);
    assert!(desk.there.heard().is_empty(), "the other one heard of nothing");
}

#[test]
fn who_is_not_let_in_hears_which_token_it_was_and_where_it_came_from() {
    for (status, why) in [(401, "was not taken"), (403, "may not do this")] {
        let desk = Desk::with(status);
        desk.set("prod", &desk.url());
        let told = |done: Done, from: &str| {
            let done = silent(done).exits(8);
            let whole = done.stderr.contains("amends_7f3a_…") && done.stderr.contains(from);
            assert!(whole && done.stderr.contains(why), "{from}: {}", done.stderr);
        };
        told(desk.run(&["services"]), "context `prod`");
        let url = desk.url();
        let mut by_variable = desk.command(&["services", "--url", &url]);
        told(finish(by_variable.env("AMENDS_TOKEN", TOKEN)), "AMENDS_TOKEN");
        write(desk.home.path(), "token", TOKEN);
        told(
            desk.run(&["services", "--url", &url, "--token-file", "token"]),
            "--token-file `token`",
        );
        let mut by_file = desk.command(&["services", "--url", &url]);
        told(finish(by_file.env("AMENDS_TOKEN_FILE", "token")), "AMENDS_TOKEN_FILE `token`");

        let nobody = desk.run(&["services", "--url", &url]).exits(8);
        assert!(nobody.stderr.contains("no token was sent"), "{}", nobody.stderr);
    }
}

#[test]
fn a_name_and_a_password_in_an_address_are_an_error_and_never_dropped() {
    let desk = Desk::with(404);
    let url = format!("http://kim:hunter2@{}", desk.there.address);
    desk.run(&["services", "--url", &url]).exits(2);
    silent(finish(desk.command(&["services"]).env("AMENDS_URL", &url))).exits(2);
    let set = desk.run(&["context", "set", "prod", "--url", &url]).exits(2);
    assert!(
        set.stderr.contains("--header") && set.stderr.contains("--token-file"),
        "{}",
        set.stderr
    );
    let by_hand = format!("[contexts.prod]\nurl = \"{url}\"\n");
    std::fs::create_dir(desk.home.path().join("amends")).expect("ours");
    write(&desk.home.path().join("amends"), "contexts.toml", &by_hand);
    mode(&desk.file(), 0o600);
    desk.run(&["services", "--context", "prod"]).exits(6);
    assert!(desk.there.heard().is_empty(), "nothing was sent");
}

#[test]
fn headers_for_a_proxy_are_sent_and_none_is_said_twice() {
    let desk = Desk::with(404);
    let url = desk.url();
    let basic = ["services", "--url", &url, "--header", "Authorization: Basic a2lt"];
    desk.run(&[&basic[..], &["--header", "X-Team: ops"]].concat()).exits(4);
    assert_eq!(desk.heard("authorization").as_deref(), Some("Basic a2lt"));
    assert_eq!(desk.heard("x-team").as_deref(), Some("ops"));

    let asked = desk.there.heard().len();
    silent(finish(desk.command(&basic).env("AMENDS_TOKEN", TOKEN))).exits(2);
    desk.run(&[&basic[..], &["--header", "authorization: Basic eA=="]].concat()).exits(2);
    for bad in ["Host: evil", "Amends-Actor: ann", "no colon", "X: a\nY: b"] {
        desk.run(&["services", "--url", &url, "--header", bad]).exits(2);
    }
    assert_eq!(desk.there.heard().len(), asked, "nothing was sent");
}

#[test]
fn no_help_text_tells_what_the_environment_holds() {
    let desk = Desk::with(404);
    let mut help = desk.command(&["cases", "--help"]);
    help.env("AMENDS_TOKEN", TOKEN).env("AMENDS_URL", "http://kim:hunter2@x");
    let help = silent(finish(&mut help)).exits(0);
    assert!(help.stdout.contains("AMENDS_TOKEN_FILE"), "{}", help.stdout);
    let no_such = desk.run(&["services", "--token", TOKEN]).exits(2);
    assert!(no_such.stderr.contains("--token-file"), "{}", no_such.stderr);
    desk.run(&["services", &format!("--token={TOKEN}")]).exits(2);
}

#[test]
fn a_secret_crosses_a_network_by_tls_alone() {
    let desk = Desk::with(404);
    // An address of documentation: nobody is there, and nobody is asked.
    let open = "http://192.0.2.1:7100";
    let mut services = desk.command(&["services", "--url", open]);
    let refused = silent(finish(services.env("AMENDS_TOKEN", TOKEN))).exits(2);
    assert!(refused.stderr.contains("--insecure-http"), "{}", refused.stderr);
    desk.set("prod", open);
    desk.run(&["services"]).exits(2);
    desk.run(&["services", "--url", open, "--header", "Cookie: hunter2"]).exits(2);
}

#[test]
fn a_command_prints_the_token_each_time_anew() {
    let desk = Desk::with(404);
    let url = desk.url();
    let count = "echo x >> calls; echo amends_1_$(wc -l < calls | tr -d ' ')";
    let set = ["context", "set", "prod", "--url", &url, "--token-command", "sh", "-c", count];
    desk.run(&set).exits(0);
    for n in [1, 2] {
        desk.run(&["services"]).exits(4);
        assert_eq!(desk.heard("authorization"), Some(format!("Bearer amends_1_{n}")));
    }
    let failing = ["context", "set", "prod", "--token-command", "sh", "-c", "echo hunter2; exit 3"];
    desk.run(&failing).exits(0);
    let failed = desk.run(&["services"]).exits(6);
    assert!(failed.stderr.contains("exit status: 3"), "{}", failed.stderr);
}

#[test]
fn a_token_that_was_changed_meanwhile_is_read_once_more() {
    let desk = Desk::with(404);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Only the second one is taken.
    let app = Router::new().fallback(move |headers: HeaderMap| async move {
        count.fetch_add(1, Ordering::SeqCst);
        let taken = headers.get("authorization").is_some_and(|shown| shown == "Bearer amends_1_2");
        if taken { StatusCode::NOT_FOUND } else { StatusCode::UNAUTHORIZED }
    });
    runtime.spawn(async move { axum::serve(listener, app).await });
    let next = "echo x >> calls; echo amends_1_$(wc -l < calls | tr -d ' ')";
    let set = ["context", "set", "prod", "--url", &url, "--token-command", "sh", "-c", next];
    desk.run(&set).exits(0);
    desk.run(&["services"]).exits(4);
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    // One that stays the same is shown once, and so is one that nobody can change.
    write(desk.home.path(), "token", TOKEN);
    desk.run(&["services", "--url", &url, "--token-file", "token"]).exits(8);
    silent(finish(desk.command(&["services", "--url", &url]).env("AMENDS_TOKEN", TOKEN))).exits(8);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[test]
fn certificates_that_cannot_be_used_are_told_before_anything_is_sent() {
    let desk = Desk::with(404);
    let url = "https://127.0.0.1:1";
    let run = |more: &[&str]| desk.run(&[&["services", "--url", url][..], more].concat());
    write(desk.home.path(), "nothing.pem", "no certificate");
    assert!(run(&["--ca", "nothing.pem"]).exits(6).stderr.contains("nothing.pem"));
    assert!(run(&["--ca", "nowhere.pem"]).exits(6).stderr.contains("nowhere.pem"));
    assert!(run(&["--key", "nothing.pem"]).exits(2).stderr.contains("certificate"));
    let plain = ["services", "--url", &desk.url(), "--cert", "nothing.pem"];
    assert!(desk.run(&plain).exits(2).stderr.contains("https"));
}
