//! Prints the tables of `docs/internals/growth.md`. Takes the number of schedules to play per
//! rulebook, and how many businesses of each table to measure.

use amends_simulate::Options;
use amends_simulate::growth::{OPTIONS, SIZES, measure};

fn main() {
    let number = |n: usize| std::env::args().nth(n).and_then(|text| text.parse().ok());
    let max_schedules = number(1).unwrap_or(20_000);
    let rows = number(2).unwrap_or(usize::MAX);
    let options = Options { max_schedules, ..Options::default() };
    for shapes in [&SIZES[..], &OPTIONS[..]] {
        for shape in shapes.iter().take(rows) {
            match measure(shape, &options) {
                Ok(measured) => println!("{}{}", measured.counts(shape), measured.played()),
                Err(found) => println!("{shape:?}: {found:#?}"),
            }
        }
        println!();
    }
}
