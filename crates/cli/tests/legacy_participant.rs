//! `docs/guides/legacy-service.md` as its reader lives it: services that know nothing of Amends, a real supervisor, the
//! page's rulebook, configuration and commands. What the services met is what the page says that they meet.

mod providers;
mod support;

use providers::{Town, stripe};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use support::page::{blocks, run, shows};
use support::{Supervisor, eventually, scratch, write};
use tempfile::TempDir;

const PAGE: &str = include_str!("../../../docs/guides/legacy-service.md");

/// The blocks of a language on the page.
fn blocks_of(language: &str) -> impl Iterator<Item = &'static str> {
    let begin = format!("```{language}\n");
    let all: Vec<&str> = PAGE.split(&begin).skip(1).collect();
    all.into_iter().map(|rest| rest.split_once("```").expect("it ends").0)
}

/// The longest block of a language on the page, with the services where they really are.
fn block(language: &str, town: &Town) -> String {
    let text = blocks_of(language).max_by_key(|text| text.len()).expect("the page has one");
    [
        ("https://api.stripe.com", format!("http://{}", town.stripe)),
        ("https://api-m.paypal.com", format!("http://{}", town.paypal)),
        ("127.0.0.1:7202", town.stock.clone()),
        ("api.stripe.com", town.stripe.clone()),
        ("api-m.paypal.com", town.paypal.clone()),
    ]
    .iter()
    .fold(text.to_owned(), |text, (printed, real)| text.replace(printed, real))
}

#[test]
fn what_the_page_leads_with_is_a_part_of_its_rulebook() {
    let mut all: Vec<&str> = blocks_of("yaml").collect();
    let lead = all.remove(0);
    assert!(all.iter().any(|rulebook| rulebook.contains(lead)), "{lead}");
}

#[test]
fn the_guide_works_as_printed() {
    let folder = scratch();
    let town = Town::start();
    write(folder.path(), "shop.yaml", &block("yaml", &town));
    write(folder.path(), "amends.toml", &block("toml", &town));
    let mut supervisor: Option<Supervisor> = None;
    let mut ran = 0;
    for mut block in blocks(PAGE) {
        if let Some((before, arguments)) = block.script.split_once("amends serve ") {
            supervisor = Some(serve(folder.path(), before, arguments));
            continue;
        }
        let url = supervisor.as_ref().map(|s| s.url.as_str());
        block.script = block.script.replace("http://127.0.0.1:7100", url.unwrap_or_default());
        // What only looks may look again: a page shows how it comes out.
        let is_a_look = |line: &&str| {
            line.starts_with("amends cases show ") || line.starts_with("amends cases list ")
        };
        let mut looks: Vec<&str> = block.script.lines().rev().take_while(is_a_look).collect();
        looks.reverse();
        let looks = looks.join("\n");
        let mut output = run(&block.script, folder.path(), url);
        let place = format!("docs/guides/legacy-service.md:{}", block.line);
        assert!(output.ok, "{place}: the commands failed:\n{}\n{}", block.script, output.text);
        for line in block.shown.lines().filter(|line| !line.trim().is_empty()) {
            eventually(&format!("{place} shows\n  {line}\nafter\n{}", output.text), || {
                if output.text.lines().any(|there| shows(there, line)) {
                    return Some(());
                }
                if !looks.is_empty() {
                    output = run(&looks, folder.path(), url);
                }
                None
            });
        }
        ran += 1;
    }
    assert!(ran > 9, "the page has lost its commands");
    stripe_got_what_the_page_shows(&town);
    let books = town.books();
    assert_eq!(books.stripe.refunds, ["pi_1", "pi_2", "pi_4_lost"], "each once");
    let paid: Vec<_> = books.paypal.refunds.iter().map(|(c, amount)| (&**c, &**amount)).collect();
    assert_eq!(paid, [("CAP5-PENDING", "25.00"), ("CAP6-FAILS", "25.00"), ("CAP7", "25.00")]);
    assert_eq!(books.stock.released, BTreeSet::from(["A%2F7".to_owned()]));
}

/// Starts the supervisor as the page does: what it exports is its environment, and the rest runs before.
fn serve(folder: &Path, before: &str, arguments: &str) -> Supervisor {
    let exports = before.lines().filter_map(|line| line.strip_prefix("export "));
    let environment: Vec<_> = exports.filter_map(|pair| pair.split_once('=')).collect();
    assert!(run(before, folder, None).ok, "{before}");
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    Supervisor::start_with(&environment, folder, &arguments)
}

fn stripe_got_what_the_page_shows(town: &Town) {
    let (_, rest) = PAGE.split_once("```http\n").expect("the page shows a request");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let (head, body) = shown.split_once("\n\n").expect("a head and a body");
    let (line, headers) = head.split_once('\n').expect("headers");
    let got = town.got("order-1");
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!((got[0].line.as_str(), got[0].body.as_str()), (line, body.trim()));
    for (name, value) in headers.lines().filter_map(|header| header.split_once(": ")) {
        assert!(shows(got[0].header(name), value), "{name}: {}", got[0].header(name));
    }
    let got = town.got("order-4");
    let keys: BTreeSet<&str> = got.iter().map(|got| got.header("idempotency-key")).collect();
    assert_eq!((got.len(), keys.len()), (2, 1), "one key for both tries: {got:?}");
    let urls: Vec<_> = town.got("order-8").into_iter().map(|got| got.line).collect();
    assert_eq!(urls, ["DELETE /reservations/A%2F7 HTTP/1.1"; 2]);
}

/// A shop with the page's rulebook and configuration, and its supervisor.
struct Shop {
    folder: TempDir,
    town: Town,
    supervisor: Supervisor,
}

impl Shop {
    fn open() -> Self {
        let folder = scratch();
        let town = Town::start();
        let rules = write(folder.path(), "shop.yaml", &block("yaml", &town));
        let config = write(folder.path(), "amends.toml", &block("toml", &town));
        write(folder.path(), "paypal-token", "A21AAF_first_token");
        let arguments = ["--config", &config, "--rules", &rules, "--data", "data"];
        let environment = [("STRIPE_KEY", stripe::KEY)];
        let supervisor = Supervisor::start_with(&environment, folder.path(), &arguments);
        Self { folder, town, supervisor }
    }

    /// A failed sale: what its History says, and its business fields. Gives the case.
    fn fails(&self, saga: &str, history: &[(&str, &str, &str)], data: Value) -> String {
        let entry = |(action, request, state): &(&str, &str, &str)| {
            let (service, action) = action.split_once('.').expect("service.action");
            json!({"service": service, "action": action, "requestId": request, "state": state})
        };
        let history: Vec<_> = history.iter().map(entry).collect();
        let report = json!({
            "source": "shop", "sagaId": saga, "code": "out-of-stock", "action": "sell",
            "history": history, "data": data,
        });
        let file = write(self.folder.path(), "report.json", &report.to_string());
        self.supervisor.run(&["report", "send", &file]).exits(0).stdout.trim().to_owned()
    }

    /// The only step of a case once it looks as wanted.
    fn step(&self, case: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the step looks as wanted", || {
            let step = self.supervisor.case(case)["plan"][0].clone();
            wanted(&step).then_some(step)
        })
    }

    fn outcome(&self, case: &str) -> String {
        let step = self.step(case, |step| !step["outcome"].is_null());
        step["outcome"].as_str().expect("a word").to_owned()
    }

    fn stuck(&self, case: &str) -> Value {
        self.step(case, |step| step["state"] == "stuck")
    }
}

fn capture(id: &str) -> Value {
    json!({"captureId": id, "amount": "7.10", "currency": "EUR"})
}

#[test]
fn an_answer_means_what_the_rulebook_says() {
    let shop = Shop::open();
    let stripe = |saga: &str, intent: &str| {
        shop.fails(saga, &[("stripe.charge", intent, "succeeded")], json!({}))
    };
    let paypal = |saga: &str, id: &str| {
        shop.fails(saga, &[("paypal.capture", "c", "succeeded")], capture(id))
    };
    assert_eq!(shop.outcome(&stripe("a", "pi_a")), "compensated");
    assert_eq!(shop.outcome(&stripe("b", "pi_b_refunded")), "already_compensated");
    assert_eq!(shop.outcome(&stripe("c", "pi_c_pending")), "compensated", "after a look");
    assert_eq!(shop.outcome(&paypal("d", "D")), "compensated");
    assert_eq!(shop.outcome(&paypal("e", "E-REFUNDED")), "already_compensated");
    assert_eq!(shop.outcome(&paypal("f", "F-PENDING")), "compensated", "after a look");
    let stock =
        shop.fails("g", &[("stock.reserve", "r", "succeeded")], json!({"reservation": "none"}));
    assert_eq!(shop.outcome(&stock), "nothing_to_compensate");

    let failed = [stripe("h", "pi_h_fails"), paypal("i", "I-FAILS"), paypal("j", "J-CLOSED")];
    for case in failed {
        assert_eq!(shop.stuck(&case)["reason"], "refused", "{case}");
    }
    assert_eq!(shop.town.got("j").len(), 1, "a refusal is not asked again");
}

#[test]
fn a_declined_first_card_is_left_alone_and_the_charged_one_refunded() {
    let shop = Shop::open();
    let cards =
        [("stripe.charge", "pi_declined", "failed"), ("stripe.charge", "pi_2", "succeeded")];
    assert_eq!(shop.outcome(&shop.fails("a", &cards, json!({}))), "compensated");
    assert_eq!(shop.town.books().stripe.refunds, ["pi_2"]);
}

#[test]
fn a_second_charge_is_refunded_too_also_when_it_is_learned_after_the_case_has_settled() {
    let shop = Shop::open();
    let charged = |intent| ("stripe.charge", intent, "succeeded");
    let case = shop.fails("a", &[charged("pi_1"), charged("pi_2")], json!({}));
    let settled = |refunds: usize| {
        eventually("settled, and all is refunded", || {
            let settled = shop.supervisor.case(&case)["state"] == "settled";
            (settled && shop.town.books().stripe.refunds.len() == refunds).then_some(())
        });
    };
    settled(2);
    assert_eq!(shop.fails("a", &[charged("pi_3")], json!({})), case);
    settled(3);
    let refunds: BTreeSet<String> = shop.town.books().stripe.refunds.iter().cloned().collect();
    assert_eq!(refunds, BTreeSet::from(["pi_1", "pi_2", "pi_3"].map(str::to_owned)));
    let got = shop.town.got("a");
    let keys: BTreeSet<&str> = got.iter().map(|got| got.header("idempotency-key")).collect();
    assert_eq!((got.len(), keys.len()), (3, 3), "a key for each: {got:?}");
}

#[test]
fn a_lost_answer_is_asked_for_again_and_the_money_goes_back_once() {
    let shop = Shop::open();
    let case = shop.fails("a", &[("stripe.charge", "pi_lost", "succeeded")], json!({}));
    assert_eq!(shop.outcome(&case), "compensated");
    let got = shop.town.got("a");
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].header("idempotency-key"), got[1].header("idempotency-key"));
    assert_eq!(got[0].body, got[1].body);
    assert_eq!(shop.town.books().stripe.refunds, ["pi_lost"], "one key, one refund");
}

#[test]
fn a_token_that_is_renewed_in_its_file_is_used_at_once_and_a_secret_is_shown_nowhere() {
    let shop = Shop::open();
    let before = shop.fails("a", &[("paypal.capture", "c", "succeeded")], capture("A"));
    assert_eq!(shop.outcome(&before), "compensated");
    shop.town.books().paypal.token = Some("A21AAF_second_token".to_owned());
    // Renewed as such tokens are: a new file in the place of the old one.
    write(shop.folder.path(), "new", "A21AAF_second_token\n");
    let (new, old) = (shop.folder.path().join("new"), shop.folder.path().join("paypal-token"));
    std::fs::rename(new, old).expect("renamed");
    let after = shop.fails("b", &[("paypal.capture", "c", "succeeded")], capture("B"));
    assert_eq!(shop.outcome(&after), "compensated");
    for case in [before, after] {
        let shown = shop.supervisor.case(&case).to_string();
        assert!(!shown.contains("A21AAF"), "{shown}");
    }
}

#[test]
fn a_first_answer_that_was_a_500_is_replayed_for_ever_and_a_person_is_asked() {
    let shop = Shop::open();
    let case = shop.fails("a", &[("stripe.charge", "pi_broken", "succeeded")], json!({}));
    let step = shop.step(&case, |step| step["attempts"].as_u64() > Some(2));
    assert!(step["outcome"].is_null(), "{step}");
    let answers: BTreeSet<_> =
        shop.town.got("a").iter().map(|got| got.header("idempotency-key").to_owned()).collect();
    assert_eq!(answers.len(), 1, "the same key every time: {answers:?}");
    let shown = shop.supervisor.case(&case).to_string();
    assert!(shown.contains("500"), "what it answers is shown: {shown}");
}
