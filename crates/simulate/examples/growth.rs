//! Prints the tables of `docs/internals/growth.md`. Takes the number of schedules to play per rulebook.

use amends_simulate::Options;
use amends_simulate::growth::{OPTIONS, SIZES, measure};

fn main() {
    let max_schedules = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let options = Options { max_schedules, ..Options::default() };
    for shapes in [&SIZES[..], &OPTIONS[..]] {
        for shape in shapes {
            match measure(shape, &options) {
                Ok(measured) => println!("{}{}", measured.counts(shape), measured.played()),
                Err(found) => println!("{shape:?}: {found:#?}"),
            }
        }
        println!();
    }
}
