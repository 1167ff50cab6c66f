//! Whoever judges a rulebook says the same: `check`, the proof that it rests on, an oracle that shares nothing with the
//! proof but the engine, and samples of every order and disturbance; and what `derive` writes leaves nothing behind.
//! Shown on rulebooks that are made up; the example `agreement` does the same with any number of larger ones.

use amends_simulate::agreement::{Difference, Look, agreement};
use amends_simulate::made_up::MadeUp;

const SEEDS: std::ops::Range<u64> = 0..300;

/// Where they may differ: what is seen without playing is no proof, and of what is too much to play nothing is said.
/// That no rule is enough is nobody's mistake: one action is called on two ways, or nobody bars a message.
const ALLOWED: [Difference; 5] = [
    Difference::NotWhole,
    Difference::OnlySeen,
    Difference::NotSeen,
    Difference::BothWaysLeave,
    Difference::EverythingLeaves,
];

fn all_say_the_same(first: usize) {
    let (mut proved, mut clean, mut not) = (0, 0, 0);
    for seed in SEEDS.skip(first).step_by(2) {
        let samples = if seed % 50 == 0 { 30 } else { 0 };
        let look = Look { samples, derived: seed % 5 == 0, ..Look::QUICK };
        // Of a report that contradicts itself, and the like, there is no rulebook.
        let Some(one) = agreement(seed, &look) else { continue };
        for (difference, story) in &one.differences {
            let text = MadeUp::of(seed, look.size).text;
            assert!(ALLOWED.contains(difference), "seed {seed}: {difference:?}\n{text}\n{story}");
        }
        proved += u32::from(one.differences.iter().all(|(d, _)| *d != Difference::NotWhole));
        match one.is_clean {
            true => clean += 1,
            false => not += 1,
        }
    }
    // Of 150 that are drawn; a reader that refuses what is right would go unnoticed.
    assert!(
        clean + not > 125 && proved > 70 && not > 10,
        "{proved} proved, {clean} clean, {not} not"
    );
}

#[test]
fn all_who_judge_a_rulebook_say_the_same() {
    all_say_the_same(0);
}

#[test]
fn all_who_judge_another_rulebook_say_the_same() {
    all_say_the_same(1);
}
