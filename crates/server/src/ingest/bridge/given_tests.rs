//! Bridges as people write them, and every mistake with what helps.

use super::super::spring::{SPRING, bridge};
use super::*;

fn table(text: &str) -> Table {
    text.parse().expect("TOML")
}

fn mistakes(text: &str) -> Vec<String> {
    let (_, wrong) = read_bridges(vec![("spring".to_owned(), Ok(table(text)))]);
    wrong.into_iter().map(|(_, why)| why).collect()
}

#[test]
fn a_bridge_is_read_as_it_is_written() {
    let bridge = bridge(SPRING);
    assert_eq!((bridge.topics.len(), bridge.subjects.len()), (1, 0));
    assert_eq!(bridge.source, Field::Fixed("payment".to_owned()));
    assert_eq!(bridge.code.all(), Some(vec!["card-declined", "failed"]));
    let paths: Vec<String> = bridge.data.iter().map(|(path, _)| path.join(".")).collect();
    assert_eq!(paths, ["amount", "card.token", "paymentId"]);
    let outside: Vec<bool> = bridge.when.iter().map(|(place, _)| place.is_outside()).collect();
    assert_eq!(outside, [true, false], "what can be seen without the body is looked at first");
}

#[test]
fn each_mistake_is_told_with_what_helps() {
    for (from, to, told) in [
        (r#"topics = ["payment.failed"]"#, "", "it reads nothing"),
        (r#"topics = ["payment.failed"]"#, r#"topics = ["a b"]"#, "`a b` in `topics`"),
        (r#"topics = ["payment.failed"]"#, r#"subjects = ["a..b"]"#, "`a..b` in `subjects`"),
        (r#"topics = ["payment.failed"]"#, r#"topics = "payment.failed""#, "list of texts"),
        (
            r#"topics = ["payment.failed"]"#,
            r#"topic = ["payment.failed"]"#,
            "did you mean `topics`",
        ),
        (r#"saga = "/order/id""#, "", "`saga` is missing"),
        (r#"saga = "/order/id""#, r#"saga = "order""#, "the same in each event"),
        (r#"saga = "/order/id""#, r#"saga = "/order~id""#, "write `~` as `~0`"),
        (r#"saga = "/order/id""#, r#"saga = "key:id""#, "key:/field"),
        (r#"saga = "/order/id""#, r#"saga = "header:""#, "name of a header"),
        (r#"saga = "/order/id""#, "saga = 7", "a place in quotes"),
        (r#"source = "payment""#, "", "`source` is missing"),
        (r#"source = "payment""#, r#"source = "pay ment""#, "no name"),
        (r#"source = "payment""#, r#"source = "supervisor""#, "supervisor's"),
        (r#"source = "payment""#, r#"source = "/service""#, "list in `services` who may be named"),
        (
            r#"source = "payment""#,
            "source = \"payment\"\nservices = [\"order\"]",
            "only what is written",
        ),
        (r#"action = "charge""#, r#"action = ["charge"]"#, "must be a text"),
        (r#"entry = "order.place""#, r#"entry = "place""#, "`service.action`"),
        (r#"otherwise = "failed""#, r#"otherwise = "a/b""#, "no code"),
        (r#"otherwise = "failed""#, "otherwise = 7", "`code.otherwise`"),
        (r#"otherwise = "failed""#, r#"default = "failed""#, "`code.default` is not known"),
        (r#"values = { CARD_DECLINED = "card-declined" }"#, "values = {}", "`code.values`"),
        (r#"at = "/error/code""#, r#"at = "error""#, "`code.at`"),
        (r#"["FAILED", 13, true]"#, "[]", "`/status` is compared with"),
        (r#"["FAILED", 13, true]"#, "1.5", "`/status` is compared with"),
        (r#""/status" ="#, r#""status" ="#, "`status` is no place"),
        (r#"paymentId = "/paymentId""#, r#"paymentId = "paymentId""#, "`data.paymentId`"),
        (r#"card.token = "/card/token""#, "card.token = 1", "`data.card.token`"),
    ] {
        let text = SPRING.replacen(from, to, 1);
        assert_ne!(text, SPRING, "{from}");
        let wrong = mistakes(&text);
        assert!(wrong.iter().any(|why| why.contains(told)), "{to}: {wrong:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_none_follows_from_another() {
    let text = "topics = ['a b']\nsaga = 'x'\nsource = '/s'\ncode = 'a/b'\nsagas = 1";
    assert_eq!(mistakes(text).len(), 5, "{:#?}", mistakes(text));
    assert_eq!(mistakes("").len(), 4, "{:#?}", mistakes(""));
}

#[test]
fn two_bridges_of_one_channel_are_told_apart_by_conditions() {
    let plain = "subjects = ['shop.*.failed']\nsaga = '/id'\nsource = 'shop'\ncode = 'failed'";
    let other = plain.replace("shop.*", "shop.eu");
    let both = |first: &str, second: &str| {
        let given = [("a", first), ("b", second)].map(|(n, text)| (n.to_owned(), Ok(table(text))));
        read_bridges(given.into()).1
    };
    assert_eq!(both(plain, &plain.replace("failed']", "x']")), [], "other subjects");
    let [(name, why)] = &both(plain, &other)[..] else { panic!("one mistake") };
    assert!(name == "b" && why.contains("give both a `when`"), "{name}: {why}");
    let when = "\nwhen = { '/kind' = 'x' }";
    assert_eq!(both(&format!("{plain}{when}"), &other).len(), 1, "one is not enough");
    assert_eq!(both(&format!("{plain}{when}"), &format!("{other}{when}")), []);
}
