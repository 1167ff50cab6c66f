//! What the simulator plays of a rulebook, and that it says how much of it: no rule is passed over in silence.

use amends_rulebook::Rulebook;
use amends_simulate::{Options, Simulation, simulate};

fn played_with(text: &str, options: &Options) -> Simulation {
    let book = Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"));
    simulate(&book, options)
}

const SIX_IN_A_CHAIN: &str = r#"
rulebook: chain
services:
  a: { url: "http://a", actions: { do: { compensation: undo, calls: [b.do] } } }
  b: { url: "http://b", actions: { do: { compensation: undo, calls: [c.do] } } }
  c: { url: "http://c", actions: { do: { compensation: undo, calls: [d.do] } } }
  d: { url: "http://d", actions: { do: { compensation: undo, calls: [e.do] } } }
  e: { url: "http://e", actions: { do: { compensation: undo, calls: [f.do] } } }
  f: { url: "http://f", actions: { do: { compensation: undo } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

#[test]
fn a_tier_with_more_orders_than_are_tried_is_a_part_whatever_the_seed() {
    let varied = |seed| {
        let options = Options { pairs: false, seed, ..Options::default() };
        let tier = played_with(SIX_IN_A_CHAIN, &options).tiers.swap_remove(1);
        (tier.played, tier.all)
    };
    let (played, all) = varied(1);
    assert!(played < all, "{played} of {all}");
    // Six reports come in 720 orders; one fault alone has more than the sample of everything else.
    assert!(all > 720 * 3 && played > 1_000, "{played} of {all}");
    for seed in [2, 6] {
        assert_eq!(varied(seed), (played, all), "seed {seed}");
    }
}
