//! `amends config` and what belongs to the shell: completions, help, a reader that goes away.

mod support;

use std::process::Stdio;
use support::{
    Legacy, Supervisor, amends, command, eventually, finish, scratch, shop_rules, unused_address,
    write,
};

#[test]
fn the_printed_defaults_are_a_valid_configuration() {
    let folder = scratch();
    let defaults = amends(&["config", "default"]).exits(0).stdout;
    let path = write(folder.path(), "amends.toml", &defaults);
    amends(&["config", "check", "--config", &path]).exits(0);
}

#[test]
fn an_unknown_key_is_refused_with_its_path_and_its_file() {
    let folder = scratch();
    let path = write(
        folder.path(),
        "amends.toml",
        "listen = \"127.0.0.1:0\"\n[limits]\nreport_qeue = 5\n",
    );
    let commands: [&[&str]; 3] =
        [&["config", "check"], &["config", "show"], &["serve", "--data", "unused"]];
    for command in commands {
        let arguments = [command, &["--config", &path]].concat();
        let refused = amends(&arguments).exits(1);
        assert!(refused.stderr.contains("`limits.report_qeue`"), "{}", refused.stderr);
        assert!(
            refused.stderr.contains(&path) && refused.stderr.contains("report_queue"),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn every_value_knows_where_it_was_set() {
    let folder = scratch();
    let path =
        write(folder.path(), "amends.toml", "[limits]\nreport_queue = 5\nbatch_inputs = 6\n");
    let shown = finish(
        command()
            .args(["config", "show", "--origin", "--config", &path, "--listen", "127.0.0.1:0"])
            .env("AMENDS_LIMITS_BATCH_INPUTS", "7"),
    )
    .exits(0);
    let row = |key: &str| {
        let line = shown.stdout.lines().find(|l| l.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no row `{key}`:\n{}", shown.stdout))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row("limits.report_queue"), format!("5 file {path}"));
    assert_eq!(row("limits.batch_inputs"), "7 environment AMENDS_LIMITS_BATCH_INPUTS");
    assert_eq!(row("listen"), "\"127.0.0.1:0\" flag --listen");
    assert_eq!(row("limits.batch_events"), "1000 default");
}

#[test]
fn a_bad_value_names_its_key_and_origin() {
    let refused =
        finish(command().args(["config", "check"]).env("AMENDS_SHUTDOWN_GRACE", "soon")).exits(1);
    assert!(refused.stderr.contains("shutdown.grace"), "{}", refused.stderr);
    assert!(refused.stderr.contains("AMENDS_SHUTDOWN_GRACE"), "{}", refused.stderr);
}

#[test]
fn the_mistakes_of_the_configuration_and_of_its_rulebooks_are_told_at_once() {
    let folder = scratch();
    let book = "rulebook: shop
services:
  shop: { actions: { sell: { effect: none, calls: [pay.charge, mail.send] } } }
  pay:
    url: \"http://pay.example:8080\"
    signing_key: payments
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate:
            path: /refunds
            headers: { authorization: \"Bearer {secret.provider}\" }
            done: [200]
  mail: { url: \"http://mail.example\", actions: { send: { compensation: recall } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";
    let rules = write(folder.path(), "shop.yaml", book);
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let check = |text: &str| {
        let path = write(folder.path(), "amends.toml", text);
        amends(&["config", "check", "--config", &path, "--rules", &rules])
    };
    let given = check(&format!("[signing_keys]\npayment = \"{key}\"\n")).exits(1).stderr;
    for part in [
        "error: rulebook `shop`: service `pay` wants the signing key `payments`",
        "service `pay`, `pay.charge`: there is no secret `provider`",
        "warning: `signing_keys.payment` is named by no rulebook",
    ] {
        assert!(given.contains(part), "`{part}` is missing in\n{given}");
    }

    let unknown = "[dispatch]\nidle_timeot = \"4s\"\nconnect_timeout = \"soon\"\n[limits]\nx = 1\n";
    let given = check(unknown).exits(1).stderr;
    for part in ["`dispatch.idle_timeot`", "`limits.x`", "`dispatch.connect_timeout` is \"soon\""] {
        assert!(given.contains(part), "`{part}` is missing in\n{given}");
    }

    let secret = write(folder.path(), "provider", "a-long-token\n");
    let good = format!(
        "[signing_keys]\npayments = \"{key}\"\nours = \"{key}\"\n[alerts]\nsigning_key = \"ours\"\n\
[secrets]\nprovider = {{ file = \"{secret}\", hosts = [\"pay.example\"] }}\n"
    );
    let given = check(&good).exits(0).stderr;
    assert_eq!(given, "the configuration is valid, for its rulebook too\n");

    write(folder.path(), "shop.yaml", "rulebook: [");
    let given = check(&good).exits(1).stderr;
    assert!(given.contains("amends rules check"), "{given}");
    assert!(!given.contains("named by no rulebook"), "nobody knows what it names: {given}");
}

#[test]
fn every_shell_gets_a_completion_script_that_asks_this_program() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = amends(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("AMENDS_COMPLETE") && script.contains("amends"), "{shell}");
    }
    amends(&["completions", "cmd"]).exits(2);
}

/// What bash is offered for the last word of a line.
fn offered(line: &[&str], url: Option<&str>) -> String {
    let mut ask = command();
    ask.env("AMENDS_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    ask.env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string()).arg("--").args(line);
    if let Some(url) = url {
        ask.env("AMENDS_URL", url);
    }
    finish(&mut ask).exits(0).stdout
}

#[test]
fn commands_options_ids_and_names_are_completed() {
    assert!(offered(&["amends", "cases", "wa"], None).contains("waive"));
    assert!(offered(&["amends", "cases", "list", "--clo"], None).contains("--closed-on"));

    let folder = scratch();
    let billing = Legacy::start(409);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let case = supervisor.report("order-1");
    let url = Some(supervisor.url.as_str());
    eventually("the step is stuck", || (supervisor.case(&case)["state"] == "stuck").then_some(()));
    let cases: [(&[&str], &str); 6] = [
        (&["amends", "cases", "show", ""], "c-1"),
        (&["amends", "cases", "show", "ord"], "order-1"),
        (&["amends", "cases", "waive", "s-"], "s-1-1-"),
        (&["amends", "services", "pause", "b"], "billing"),
        (&["amends", "rules", "status", ""], "shop"),
        (&["amends", "cases", "list", "--group", "g-"], "g-"),
    ];
    for (line, wanted) in cases {
        let found = offered(line, url);
        assert!(found.contains(wanted), "{line:?}: {found}");
    }
    let elsewhere = ["amends", "cases", "--url", &*supervisor.url, "show", "c-"];
    assert!(offered(&elsewhere, None).contains("c-1"), "the line itself says who is asked");
}

#[test]
fn completion_is_silent_where_nobody_can_be_asked() {
    let nobody = format!("http://{}", unused_address());
    assert_eq!(offered(&["amends", "cases", "show", "c-"], Some(&nobody)), "");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command()
        .args(["config", "default"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_command_line_explains_itself() {
    let help = amends(&["--help"]).exits(0).stdout;
    assert!(help.contains("amends rules check") && help.contains("Exit codes"), "{help}");
    assert!(
        !help.contains("demo-service") && !help.contains("openapi"),
        "hidden commands are shown: {help}"
    );
    let wrong = amends(&["cases", "shwo", "c-1"]).exits(2);
    assert!(wrong.stderr.contains("show"), "{}", wrong.stderr);
}

/// The blocks of one language in the guides.
fn guide(language: &str) -> Vec<&'static str> {
    let pages = [
        include_str!("../../../docs/guides/set-up-for-production.md"),
        include_str!("../../../docs/guides/run-in-production.md"),
    ];
    let fence = format!("```{language}\n");
    let blocks = pages.into_iter().flat_map(|page| page.split(&*fence).skip(1).collect::<Vec<_>>());
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_references_configurations_are_valid() {
    let config = include_str!("../../../docs/reference/config.md");
    let alerts = include_str!("../../../docs/reference/alerts.md");
    for page in [config, alerts] {
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for (n, block) in blocks.enumerate() {
            let folder = scratch();
            let path = write(folder.path(), "amends.toml", block);
            let checked = amends(&["config", "check", "--config", &path]);
            assert_eq!(checked.code, 0, "block {n}:\n{block}\n{}", checked.stderr);
        }
    }
}

/// `set_up.rs` has the configurations.
#[test]
fn the_commands_of_the_guides_exist() {
    let [unit] = guide("ini")[..] else { panic!("one unit is shown") };
    let started = unit.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let shell = guide("sh").into_iter().flat_map(str::lines);
    let ours = shell.chain(started).filter_map(|line| {
        let line = line.strip_prefix("copy=\"$(").map_or(line, |l| l.trim_end_matches(")\""));
        let (program, arguments) = line.split_once(' ')?;
        (program.rsplit('/').next() == Some("amends")).then_some(arguments)
    });
    let mut seen = 0;
    for arguments in ours {
        // With `--help` last, all that stands before it has to be understood, and nothing is done.
        let mut words: Vec<&str> = Vec::new();
        for (n, part) in arguments.split('\'').enumerate() {
            let is_quoted = n % 2 == 1;
            if is_quoted { words.push(part) } else { words.extend(part.split_whitespace()) }
        }
        words.push("--help");
        amends(&words).exits(0);
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} commands were found");
}
