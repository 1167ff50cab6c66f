//! What real businesses have and made-up ones lack: services that know nothing of the protocol, actions that only call
//! others, calls that are made twice, and a second business beside the first.

use amends_simulate::SeededRng;

/// A service that can be asked over its own HTTP alone.
const MAPPED: &str = "compensation: undo, endpoints: { compensate: { method: DELETE, path: \"/of/{sagaId}\", done: [200, 404] } }";

/// Made-up services, one a line, some of them changed. The first so many begin sagas and stay as they are.
pub(super) fn odd(services: &str, entries: usize, rng: &mut SeededRng) -> String {
    let mut text = String::new();
    for (n, line) in services.lines().enumerate() {
        let calls = line.contains("calls: [");
        let line = match rng.below(10) {
            0 | 1 if !calls => line.replace("compensation: undo", MAPPED),
            2 | 3 if calls && n >= entries => line.replace("compensation: undo", "effect: none"),
            4..=6 if calls => twice(line),
            _ => line.to_owned(),
        };
        text = text + &line + "\n";
    }
    text
}

/// Made-up services, one a line, of which some that call others do nothing else. The first so many begin sagas and stay
/// as they are.
pub(super) fn orchestrated(services: &str, entries: usize, rng: &mut SeededRng) -> String {
    let mut text = String::new();
    for (n, line) in services.lines().enumerate() {
        let calls_on = n >= entries && line.contains("compensation: undo, calls: [");
        let is_one = calls_on && rng.chance(50);
        text += &if is_one {
            line.replace("compensation: undo", "effect: none")
        } else {
            line.to_owned()
        };
        text.push('\n');
    }
    text
}

/// The first call of this action is made twice.
fn twice(line: &str) -> String {
    let Some((before, calls)) = line.split_once("calls: [") else { return line.to_owned() };
    let first = calls.split([',', ']']).next().unwrap_or_default();
    format!("{before}calls: [{first}, {calls}")
}

/// The same services under other names.
pub(super) fn renamed(services: &str) -> String {
    services.lines().fold(String::new(), |all, line| {
        let line = line.replace(", \"", ", \"b-").replace("[\"", "[\"b-");
        let line = line.replace("\"http://", "\"http://b-");
        all + "  b-" + line.trim_start() + "\n"
    })
}
