//! Tokens at a supervisor that asks everybody who they are: the first one, what each may do, and how one is ended.

mod support;

use std::path::Path;
use support::{Done, Supervisor, command, finish, scratch, shop_rules, unused_address};

/// A supervisor that lets in nobody it does not know, and a token for everything.
struct Guarded {
    folder: tempfile::TempDir,
    supervisor: Supervisor,
    admin: String,
}

impl Guarded {
    fn start() -> Self {
        let folder = scratch();
        let here = folder.path();
        let first = ["token", "create", "--admin", "--data", "data"];
        let made = finish(command().args(first).current_dir(here)).exits(0);
        let admin = made.stdout.trim().to_owned();
        let rules = shop_rules(here, &unused_address(), "auto");
        let supervisor = Supervisor::start_with(
            &[("AMENDS_ACCESS_REQUIRED", "on")],
            here,
            &["--rules", &rules, "--data", "data"],
        );
        Self { folder, supervisor, admin }
    }

    /// Runs a command with this token.
    fn by(&self, token: &str, arguments: &[&str]) -> Done {
        let mut command = command();
        command.args(arguments).current_dir(self.folder.path());
        finish(command.env("AMENDS_URL", &self.supervisor.url).env("AMENDS_TOKEN", token))
    }

    fn admin(&self, arguments: &[&str]) -> Done {
        self.by(&self.admin, arguments)
    }

    /// A new token with these grants.
    fn token(&self, name: &str, grants: &[&str]) -> String {
        let mut line = vec!["token", "create", name];
        line.extend(grants.iter().flat_map(|grant| ["--grant", grant]));
        self.admin(&line).exits(0).stdout.trim().to_owned()
    }
}

fn id_of(token: &str) -> &str {
    token.split('_').nth(1).expect("amends_<id>_…")
}

#[test]
fn the_first_token_comes_from_the_folder_of_a_store_that_nobody_uses() {
    let guarded = Guarded::start();
    let mut nobody = command();
    let nobody = finish(nobody.arg("services").env("AMENDS_URL", &guarded.supervisor.url)).exits(8);
    assert!(nobody.stderr.contains("no token was sent"), "{}", nobody.stderr);
    guarded.admin(&["services"]).exits(0);
    let who = guarded.admin(&["whoami"]).exits(0);
    assert!(who.stdout.contains("admin") && who.stdout.contains("AMENDS_TOKEN"), "{}", who.stdout);
    assert!(who.stderr.contains("runs out soon"), "an hour is soon: {}", who.stderr);

    let again = ["token", "create", "--admin", "--data", "data"];
    let refused = finish(command().args(again).current_dir(guarded.folder.path())).exits(6);
    assert!(refused.stderr.contains("ask it instead"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "", "no token was made");
}

#[test]
fn a_token_does_what_it_is_for_and_nothing_else() {
    let guarded = Guarded::start();
    let billing = guarded.token("billing", &["report:billing"]);
    let report = |source: &str| {
        let line = ["report", "send", "--source", source, "--saga", "o-1", "--code", "c"];
        guarded.by(&billing, &line)
    };
    report("billing").exits(0);
    let other = report("shop").exits(8);
    assert!(other.stderr.contains("report:shop"), "it is told what is missing: {}", other.stderr);
    assert!(other.stderr.contains(&format!("amends_{}_…", id_of(&billing))), "{}", other.stderr);
    guarded.by(&billing, &["cases", "list"]).exits(8);
    guarded.by(&billing, &["token", "list"]).exits(8);

    let reader = guarded.token("reader", &["read"]);
    guarded.by(&reader, &["cases", "list"]).exits(0);
    let pause = ["services", "pause", "billing", "--reason", "x"];
    assert!(guarded.by(&reader, &pause).exits(8).stderr.contains("`act`"));
    let maker = guarded.token("maker", &["tokens"]);
    let more = ["token", "create", "more", "--grant", "act"];
    assert!(guarded.by(&maker, &more).exits(8).stderr.contains("`act`"));
    let who = guarded.by(&maker, &["whoami", "--json"]).exits(0).json();
    assert_eq!(who["grants"], serde_json::json!(["tokens"]));
}

#[test]
fn a_token_is_told_once_and_works_until_it_is_revoked() {
    let guarded = Guarded::start();
    let path = guarded.folder.path().join("night.token");
    let file = path.to_str().expect("UTF-8");
    let make =
        ["token", "create", "night", "--grant", "act@shop", "--expires-in", "90d", "--to", file];
    let made = guarded.admin(&make).exits(0);
    let night = std::fs::read_to_string(&path).expect("written").trim().to_owned();
    assert!(!made.stdout.contains(&night) && !made.stderr.contains(&night));
    assert!(is_its_owners_alone(&path));
    guarded.admin(&make).exits(6);
    let id = id_of(&night);

    let all = guarded.admin(&["token", "list", "--json"]).exits(0).json();
    let listed = all.as_array().expect("a list");
    assert_eq!(listed.len(), 2, "what could not be kept was not made: {all}");
    assert!(listed.iter().any(|one| one["id"] == id && one["name"] == "night"), "{all}");
    for line in [&["token", "list", "-o", "wide"][..], &["token", "show", id]] {
        let shown = guarded.admin(line).exits(0).stdout;
        assert!(shown.contains("act@shop") && !shown.contains(&night), "{shown}");
    }

    guarded.by(&night, &["cases", "list"]).exits(0);
    // What is copied from a leak names its token, too.
    let revoked = guarded.admin(&["token", "revoke", &night]).exits(0).stdout;
    assert!(revoked.contains(id) && !revoked.contains(&night), "{revoked}");
    let refused = guarded.by(&night, &["cases", "list"]).exits(8);
    assert!(
        refused.stderr.contains("revoked") && refused.stderr.contains(id),
        "{}",
        refused.stderr
    );
    let left = guarded.admin(&["token", "list", "--json"]).exits(0).json();
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    let all = guarded.admin(&["token", "list", "--all"]).exits(0).stdout;
    assert!(all.contains("revoked"), "{all}");
    guarded.admin(&["token", "show", "000000000000"]).exits(5);
    assert!(guarded.admin(&["session", "list"]).exits(0).stderr.contains("nobody is logged in"));
    guarded.admin(&["session", "end", "000000000000"]).exits(5);
}

#[test]
fn the_doctor_says_whether_one_is_let_in() {
    let guarded = Guarded::start();
    let look = |token: &str| {
        let found = guarded.by(token, &["doctor", "--json"]);
        let all = found.json();
        let of = |check: &str| {
            let all = all.as_array().expect("a list").iter();
            all.filter(|one| one["check"] == check).cloned().collect::<Vec<_>>()
        };
        of("token")
    };
    let own = look(&guarded.admin);
    assert_eq!(own[0]["verdict"], "warn", "an hour is soon: {own:?}");
    let wrong = look("amends_000000000000_nothing");
    assert_eq!(wrong[0]["verdict"], "fail", "{wrong:?}");
    assert!(!wrong[0].to_string().contains("nothing"), "{wrong:?}");
}

#[cfg(unix)]
fn is_its_owners_alone(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).expect("it is there").mode() & 0o777 == 0o600
}

#[cfg(not(unix))]
fn is_its_owners_alone(_: &Path) -> bool {
    true
}
