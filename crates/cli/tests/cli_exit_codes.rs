//! Each exit code of `docs/reference/exit-codes.md` as a script meets it.

mod support;

use support::{
    Done, Legacy, Supervisor, amends, eventually, scratch, shop_rules, unused_address, write,
};

/// What a code is, and a command that ends with it at a supervisor of a shop whose billing refuses.
const BY_CODE: &[(i32, &str, &[&str])] = &[
    (
        0,
        "ok",
        &[
            "services",
            "cases list",
            "cases show c-1",
            "rules list",
            "audit",
            "cases wait c-1 --for stuck",
        ],
    ),
    (
        1,
        "findings",
        &[
            "rules check broken.yaml",
            "config check --config broken.toml",
            "rules test broken.test.yaml",
        ],
    ),
    (
        2,
        "usage",
        &[
            "cases waive --service billing --reason x",
            "cases waive c-1",
            "cases show",
            "cases list -o xml",
            "cases list --json -o yaml",
            "services pause billing --reason x --watch",
            "cases show two/words --url nowhere",
            "report send --source shop",
            "cases plan c-1 --reason x",
        ],
    ),
    (
        4,
        "refused",
        &[
            "cases approve STEP --reason x",
            "cases settle c-1 --reason x",
            "cases resolve STEP --outcome notified --reason x",
            "cases resolve STEP s-1-9-0000000000000000 --outcome compensated --reason x",
            "cases plan c-1 --compensate billing.nothing --reason x",
        ],
    ),
    (
        5,
        "not found",
        &[
            "cases show c-999",
            "cases show order-999",
            "cases proof c-999",
            "cases watch c-999",
            "cases wait c-999",
            "cases waive c-999 --reason x",
            "cases waive c-999 --reason x --yes",
            "cases retry c-999 --reason x --dry-run",
            "cases waive s-999-1-0000000000000000 --reason x",
            "cases settle c-999 --reason x",
            "cases plan order-999 --again --reason x",
            "audit --case order-999",
            "sagas show nobody",
            "sagas end nobody",
            "services show nobody",
            "services pause nobody --reason x",
            "services limit nobody --reason x",
            "questions show q-9-0000000000000000",
            "questions answer q-9-0000000000000000 --accept --reason x",
            "quarantine show c-999",
            "quarantine discard c-999 --reason x",
            "bulk watch b-9",
            "bulk stop b-9",
            "rules status nothing",
            "rules rollback nothing --reason x",
        ],
    ),
    (
        6,
        "failed",
        &["export --to broken.yaml", "rules check nowhere.yaml", "upgrade preview --data nowhere"],
    ),
    (
        7,
        "timed out",
        &[
            "cases wait c-1 --for unmatched --timeout 1ms",
            "cases wait order-1 --for open,unmatched --timeout 1ms",
        ],
    ),
];

/// Tried elsewhere: nobody at the address, not let in (`cli_contexts.rs`), and Ctrl-C in the demo
/// (`demo_every_fault.rs`).
const ELSEWHERE: [i32; 3] = [3, 8, 130];

#[test]
fn every_exit_code_is_what_the_page_says() {
    let page = include_str!("../../../docs/reference/exit-codes.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let listed: Vec<i32> = rows.filter_map(|row| row.split(' ').next()?.parse().ok()).collect();
    let mut tried: Vec<i32> = BY_CODE.iter().map(|(code, ..)| *code).chain(ELSEWHERE).collect();
    tried.sort_unstable();
    assert_eq!(tried, listed, "each code of the page has commands here");

    let folder = scratch();
    write(folder.path(), "broken.yaml", "rulebook: [");
    write(folder.path(), "broken.toml", "listen = 7");
    let broken =
        "rulebook: shop.yaml\ntests: { nothing: { report: billing/none, then: { rule: x } } }\n";
    write(folder.path(), "broken.test.yaml", broken);
    let billing = Legacy::start(409);
    let rules = shop_rules(folder.path(), &billing.address, "auto");
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let case = supervisor.report("order-1");
    let step = eventually("the step is stuck", || {
        let plan = supervisor.case(&case)["plan"][0].clone();
        (plan["state"] == "stuck").then(|| plan["id"].as_str().expect("an id").to_owned())
    });
    let run = |line: &str| -> Done {
        let line = line.replace("STEP", &step);
        let mut command = support::command();
        command.args(line.split(' ')).env("AMENDS_URL", &supervisor.url);
        support::finish(command.current_dir(folder.path()))
    };
    for (code, name, lines) in BY_CODE {
        assert!(page.contains(&format!("| {code} | {name} |")), "{code}");
        for line in *lines {
            let done = run(line);
            let is_said = done.code == 0 || !done.stderr.is_empty() || !done.stdout.is_empty();
            let told = format!("amends {line}:\n{}\n{}", done.stdout, done.stderr);
            assert!(done.code == *code && is_said, "{} rather than {code}: {told}", done.code);
        }
    }
}

#[test]
fn nobody_at_the_address_is_told_from_all_else() {
    let nobody = format!("http://{}", unused_address());
    for line in
        ["cases list", "services", "audit", "events", "top --once", "cases wait c-1", "export"]
    {
        let arguments: Vec<&str> = line.split(' ').chain(["--url", &nobody]).collect();
        let done = amends(&arguments).exits(3);
        assert!(done.stderr.contains("amends serve"), "{}", done.stderr);
    }
}
