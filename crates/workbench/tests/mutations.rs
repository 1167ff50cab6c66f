//! Rulebooks with lines left out, doubled and swapped: whatever still loads can be checked, derived, drawn, compared and
//! formatted, without a panic and with the same result twice.

use amends_rulebook::Rulebook;
use amends_workbench::{
    Chart, ExplicitPart, Matrix, as_json, check, compare, derive, explicit_rulebook, format,
};
use proptest::prelude::*;

const TEXTS: [&str; 3] = [
    include_str!("../../../demo/rulebook/food-order.yaml"),
    include_str!("data/derive/travel.yaml"),
    include_str!("data/corpus/good/conditions-cover-a-number.yaml"),
];

#[derive(Clone, Debug)]
enum Change {
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    /// One word in the place of another one.
    Word(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Change::Drop),
        at().prop_map(Change::Double),
        (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        (at(), at()).prop_map(|(a, b)| Change::Word(a, b)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for change in changes {
        if lines.len() < 2 {
            break;
        }
        match change {
            Change::Drop(at) => {
                lines.remove(at.index(lines.len()));
            }
            Change::Double(at) => {
                let n = at.index(lines.len());
                lines.insert(n, lines[n].clone());
            }
            Change::Swap(a, b) => {
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
            }
            Change::Word(a, b) => {
                let whole = lines.join("\n");
                let is_word = |w: &&str| w.contains('.') && !w.contains(['"', '{', '}', ':']);
                let words: Vec<&str> =
                    whole.split([' ', ',', '[', ']', '\n']).filter(is_word).collect();
                if !words.is_empty() {
                    let (from, to) = (words[a.index(words.len())], words[b.index(words.len())]);
                    lines = whole.replacen(from, to, 1).lines().map(str::to_owned).collect();
                }
            }
        }
    }
    lines.join("\n") + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_still_loads_can_be_worked_with(which in 0usize..3, changes in prop::collection::vec(change(), 1..5)) {
        let text = changed(TEXTS[which], &changes);
        if let Ok(once) = format(&text) {
            prop_assert_eq!(format(&once).ok(), Some(once.clone()), "formatted twice");
            prop_assert_eq!(as_json(&once).ok(), as_json(&text).ok());
        }
        let Ok(book) = Rulebook::from_yaml(&text) else { return Ok(()) };
        prop_assert_eq!(check(&book), check(&book));
        let derived = derive(&book);
        prop_assert!(derived.points.len() as u128 <= derived.total);
        let explicit = explicit_rulebook(&book, &derived, ExplicitPart::Whole);
        prop_assert!(Rulebook::from_yaml(&explicit).is_ok(), "{}", explicit);
        let matrix = Matrix::new(&book, None);
        prop_assert!(!matrix.to_text(80, false).is_empty() && matrix.to_svg(&()).ends_with("</svg>\n"));
        prop_assert!(Chart::of_calls(&book).to_svg(&()).ends_with("</svg>\n"));
        prop_assert!(compare(&book, &book).changes.is_empty());
    }
}
