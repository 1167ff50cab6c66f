//! What a person is told leads somewhere: each mistake is told once, without others that only follow from it, and
//! whoever does what the help says has a rulebook in which nothing is found.

use amends_rulebook::{Diagnostic, SourceFile, load, render};
use amends_workbench::check;

const RIGHT: &str = r#"rulebook: shop
services:
  order: { url: "http://order:80", actions: { place: { compensation: cancel, calls: [stock.reserve, payment.charge] } } }
  stock: { url: "http://stock:80", actions: { reserve: { compensation: release } } }
  payment:
    url: "https://pay.example"
    retry_policy: { attempts: 20 }
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate: { path: "/refunds/{data.id}", headers: { authorization: "Bearer {secret.pay}" }, body: { kind: "{data.kind}" }, done: [2xx], nothing: [404] }
reports:
  payment/declined: { in: charge, after: [], data: [id, price, kind] }
  order/failed: { in: place, after: [payment.charge], data: [id, kind] }
rules:
  - { on: payment/declined, when: { data.price: { gte: 500 } }, compensate: recorded, mode: ask }
  - { on: "*/*", compensate: recorded }
"#;

/// A piece of the right one, what stands in its place, what is told (the code, and a piece of the help), and what
/// somebody makes of it who does what the help says.
struct Slip(&'static str, &'static str, &'static str, &'static str, &'static str);

const PRICE: &str = "data.price: { gte: 500 }";
const CALLS: &str = "calls: [stock.reserve, payment.charge]";

const SLIPS: &[Slip] = &[
    // Words of other tools, and words that are nearly right.
    Slip(PRICE, "data.price: { ge: 500 }", "unknown-key", "did you mean `gte`?", PRICE),
    Slip(PRICE, "data.price: { '>=': 500 }", "unknown-key", "did you mean `gte`?", PRICE),
    Slip(PRICE, "data.price: { gtt: 500 }", "unknown-key", "`gt` or `gte`?", PRICE),
    Slip(
        "compensate: recorded, mode",
        "compensate: record, mode",
        "unknown-action",
        "did you mean `recorded`?",
        "compensate: recorded, mode",
    ),
    Slip(
        "attempts: 20",
        "attempts: unlimited",
        "invalid-number",
        "or `none` for no limit",
        "attempts: none",
    ),
    Slip(
        "attempts: 20",
        "age: unlimited",
        "invalid-duration",
        "or `none` for no limit",
        "age: none, attempts: 20",
    ),
    Slip(
        "mode: ask",
        "mode: ask, limit: 5 per minute",
        "idle-setting",
        "leave it out",
        "mode: ask",
    ),
    Slip("mode: ask", "mode: dry-run", "invalid-word", "did you mean `shadow`?", "mode: ask"),
    Slip(
        "[id, price, kind]",
        "{ id: string, price: decimal, kind: text }",
        "invalid-word",
        "did you mean `text`?",
        "{ id: text, price: decimal, kind: text }",
    ),
    Slip("when: { data.price: { gte: 500 } }, ", "when: {}, ", "idle-setting", "leave it out", ""),
    // Names.
    Slip(PRICE, "action: charged", "unknown-action", "did you mean `charge`?", "action: charge"),
    Slip(PRICE, "action: payment.charge", "unknown-action", "write `charge`:", "action: charge"),
    Slip(
        PRICE,
        "caller: stock.reserve",
        "shadowed-rule",
        "called by `order.place`",
        "caller: order.place",
    ),
    Slip(PRICE, "data.prise: { gte: 500 }", "shadowed-rule", "did you mean `data.price`?", PRICE),
    Slip(
        "{data.kind}",
        "{data.kynd}",
        "unsupplied-field",
        "did you mean `{data.kind}`?",
        "{data.kind}",
    ),
    Slip(
        "compensation: release",
        "compensation: stock.release",
        "invalid-name",
        "write `release`",
        "compensation: release",
    ),
    Slip(
        "compensation: release",
        "compensation: none",
        "word-as-name",
        "write `effect: none`",
        "effect: none",
    ),
    Slip(
        "compensation: release",
        "compensation: false",
        "word-as-name",
        "write `effect: none`",
        "effect: none",
    ),
    Slip(
        "compensation: release",
        "compensaton: release",
        "unknown-key",
        "did you mean `compensation`?",
        "compensation: release",
    ),
    Slip(
        "rulebook: shop",
        "rulebok: shop",
        "unknown-key",
        "did you mean `rulebook`?",
        "rulebook: shop",
    ),
    Slip(
        "rulebook: shop",
        "rulebook: shop\nimports: []",
        "unknown-key",
        "did you mean `import`?",
        "rulebook: shop\nimport: []",
    ),
    Slip(
        r#"url: "http://stock:80", actions"#,
        r#"url: "http://stock:80", actons"#,
        "unknown-key",
        "did you mean `actions`?",
        r#"url: "http://stock:80", actions"#,
    ),
    Slip("\nrules:", "\nrulse:", "unknown-key", "did you mean `rules`?", "\nrules:"),
    // Calls.
    Slip(
        CALLS,
        "calls: [stock/reserve, payment.charge]",
        "unknown-action",
        "did you mean `stock.reserve`?",
        CALLS,
    ),
    Slip(
        CALLS,
        "calls: [stock.reserve, payment.charg]",
        "unknown-action",
        "did you mean `payment.charge`?",
        CALLS,
    ),
    Slip(
        CALLS,
        "calls: 'stock.reserve, payment.charge'",
        "unknown-action",
        "write a list: `[stock.reserve, payment.charge]`",
        CALLS,
    ),
    Slip(
        CALLS,
        "calls: [stock.reserve, { payment.charge: }]",
        "bad-call",
        "leave out the `:`",
        CALLS,
    ),
    Slip(
        CALLS,
        "calls: [stock.reserve, { payment.charge: { tolerate: false } }]",
        "bad-call",
        "{ call: payment.charge, tolerate: true }",
        "calls: [stock.reserve, { call: payment.charge, tolerate: false }]",
    ),
    Slip(
        CALLS,
        "calls: [[stock.reserve, payment.charge]]",
        "bad-call",
        "parallel: [a.b, c.d]",
        "calls: [{ parallel: [stock.reserve, payment.charge] }]",
    ),
    Slip(
        CALLS,
        "calls: [stock.reserve, 'payment.charge*?']",
        "bad-call",
        r#"`"payment.charge?"` may be left out"#,
        r#"calls: [stock.reserve, "payment.charge?"]"#,
    ),
    Slip(
        CALLS,
        "calls: [{ one_of: [stock.reserve, stock.reserve] }, payment.charge]",
        "listed-twice",
        "leave one of them out",
        "calls: [{ one_of: [stock.reserve, none] }, payment.charge]",
    ),
    // Conditions and single values.
    Slip(
        PRICE,
        "data: { price: { gte: 500 } }",
        "unknown-key",
        "`data.amount: { gte: 500 }`",
        PRICE,
    ),
    Slip(
        PRICE,
        "or: [{ data.kind: card }, { data.kind: cash }]",
        "unknown-key",
        "`data.kind: [card, cash]`",
        "data.kind: [card, cash]",
    ),
    Slip(
        PRICE,
        "data.kind: { present: yes }",
        "wrong-type",
        "write `true`, without quotes",
        "data.kind: { present: true }",
    ),
    Slip(
        PRICE,
        "data.kind: { present: \"true\" }",
        "wrong-type",
        "write `true`, without quotes",
        "data.kind: { present: true }",
    ),
    Slip(
        PRICE,
        "data.kind: [card, card]",
        "listed-twice",
        "leave one of them out",
        "data.kind: [card, cash]",
    ),
    Slip(PRICE, "data.kind: 12:30", "unquoted-value", "write `\"12:30\"`", "data.kind: \"12:30\""),
    Slip(PRICE, "data.kind: 49E3", "unquoted-value", "write `\"49E3\"`", "data.kind: \"49E3\""),
    Slip(
        PRICE,
        "data.kind: 2024-01-01",
        "unquoted-value",
        "write `\"2024-01-01\"`",
        "data.kind: \"2024-01-01\"",
    ),
    Slip(
        "on: payment/declined",
        "on: [payment/declined, payment/late]",
        "wrong-type",
        "write a rule for each",
        "on: payment/declined",
    ),
    Slip(
        "on: payment/declined",
        "on: [payment/declined]",
        "wrong-type",
        "without brackets",
        "on: payment/declined",
    ),
    // Requests.
    Slip("{secret.pay}", "{secret}", "unknown-placeholder", "`{secret.NAME}`", "{secret.pay}"),
    Slip(
        "{secret.pay}",
        "${PAY_KEY}",
        "unknown-placeholder",
        "`{secret.PAY_KEY}`",
        "{secret.PAY_KEY}",
    ),
    Slip("{data.kind}", "{kind}", "unknown-placeholder", "`{data.kind}`", "{data.kind}"),
    Slip(
        "{data.kind}",
        "{ data.kind }",
        "unknown-placeholder",
        "write `{data.kind}`, without spaces",
        "{data.kind}",
    ),
    Slip(
        "{data.kind}",
        "{{data.kind}}",
        "foreign-placeholder",
        "write `{data.kind}`",
        "{data.kind}",
    ),
    Slip(
        "{data.kind}",
        "${data.kind}",
        "foreign-placeholder",
        "write `{data.kind}`",
        "{data.kind}",
    ),
    Slip(
        "/refunds/{data.id}",
        "/refunds/${data.id}",
        "foreign-placeholder",
        "write `{data.id}`",
        "/refunds/{data.id}",
    ),
    Slip(
        "attempts: 20 }",
        "attempts: 20 }\n    signing_key: whsec_abc",
        "secret-written-out",
        "signing_key: payments",
        "attempts: 20 }\n    signing_key: payments",
    ),
];

fn findings(text: &str) -> (Vec<Diagnostic>, String) {
    let root = SourceFile { path: "shop.yaml".to_owned(), text: text.into() };
    let loaded = load(root, &mut |_| Err("there is no such file".to_owned()));
    let mut found = loaded.diagnostics;
    if let Some(book) = &loaded.rulebook {
        found.extend(check(book));
    }
    let shown = render(&found, &loaded.sources, false);
    (found, shown)
}

#[test]
fn a_slip_is_told_once_and_its_help_mends_it() {
    let mut wrong = Vec::new();
    let (found, shown) = findings(RIGHT);
    assert!(found.is_empty(), "{shown}");
    for Slip(right, slip, code, help, mended) in SLIPS {
        assert!(RIGHT.contains(right), "{right}");
        let (found, shown) = findings(&RIGHT.replacen(right, slip, 1));
        let is_told = match found.as_slice() {
            [one] => one.code == *code && one.help.as_deref().is_some_and(|h| h.contains(help)),
            _ => false,
        };
        if !is_told {
            wrong.push(format!("{slip}: not `{code}` alone with help `{help}`\n{shown}"));
        }
        let (found, shown) = findings(&RIGHT.replacen(right, mended, 1));
        if !found.is_empty() {
            wrong.push(format!("{mended}: the mended one is not clean\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn none_of_several_values_is_one_condition() {
    let text = RIGHT.replacen(PRICE, "data.kind: { not: [card, cash] }", 1);
    let (found, shown) = findings(&text);
    assert!(found.is_empty(), "{shown}");
}

const BLOCK: &str = r#"rulebook: shop
services:
  order:
    url: "http://order:80"
    actions: { place: { compensation: cancel, calls: [stock.reserve] } }
  stock:
    url: "http://stock:80"
    actions: { reserve: { compensation: release } }
rules:
  - on: order/failed
    compensate: recorded
  - on: "*/*"
    compensate: recorded
"#;

/// What stands in place of a piece, and the help to it, which is all that is told.
const BROKEN: &[(&str, &str, &str)] = &[
    ("  - on: order/failed", "    on: order/failed", "write `- ` before it"),
    ("  - on: order/failed", "  on: order/failed", "write `- ` before it"),
    ("  - on: \"*/*\"", "  on: \"*/*\"", "write `- ` before it"),
    ("  stock:\n", "  - stock:\n", "leave out the `- `"),
    ("    url: \"http://stock:80\"", "\t\turl: \"http://stock:80\"", "indent with spaces"),
    ("- on: order/failed", "- on:\u{a0}order/failed", "U+00A0"),
    ("rules:\n", "---\nrules:\n", "into a file of its own"),
];

#[test]
fn a_broken_text_has_one_mistake_where_it_is_broken() {
    let (found, shown) = findings(BLOCK);
    assert!(found.is_empty(), "{shown}");
    for (right, broken, help) in BROKEN {
        assert!(BLOCK.contains(right), "{right}");
        let text = BLOCK.replacen(right, broken, 1);
        let (found, shown) = findings(&text);
        let [one] = found.as_slice() else { panic!("{broken}\n{shown}") };
        assert!(one.help.as_deref().is_some_and(|h| h.contains(help)), "{broken}\n{shown}");
        let place = text.find(broken).expect("it is there");
        let line = |at: usize| text[..at].matches('\n').count();
        assert_eq!(line(one.at.start), line(place), "{broken}\n{shown}");
    }
}
