//! The proof that a rulebook leaves nothing behind, played once for each content: what took long is kept in the
//! person's cache folder, by the rulebook's hash.

use crate::output;
use amends_rulebook::Rulebook;
use amends_simulate::{PLAYS_LIMIT, Proof, prove};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{env, fs};

/// What takes longer is told of while it runs, and kept.
const LONG: Duration = Duration::from_secs(1);

/// The proof of this rulebook, from the cache if it is there. How far it has come is told on standard error: on a
/// terminal in one line that is written again and again, else a line each time if that is asked for.
pub(super) fn of(book: &Arc<Rulebook>, is_asked_for: bool) -> Proof {
    let file = file(book);
    let kept = file.as_ref().and_then(|file| fs::read(file).ok());
    if let Some(proof) = kept.and_then(|text| serde_json::from_slice(&text).ok()) {
        return proof;
    }
    let start = Instant::now();
    let mut said = start;
    let is_watched = output::color_on_stderr();
    let pause = if is_watched { LONG } else { LONG * 10 };
    let proof = prove(book, PLAYS_LIMIT, &mut |plays| {
        if (is_watched || is_asked_for) && said.elapsed() > pause {
            said = Instant::now();
            let line = format!("{}: played {plays} times", book.name());
            if is_watched {
                let _ = output::overwrite(&line);
            } else {
                output::tell(&line);
            }
        }
        ControlFlow::Continue(())
    });
    if is_watched && said != start {
        let _ = output::overwrite("");
    }
    if start.elapsed() > LONG
        && let Some(file) = file
    {
        keep(&file, &proof);
    }
    proof
}

/// A cache that cannot be written is none.
fn keep(file: &PathBuf, proof: &Proof) {
    let Ok(text) = serde_json::to_vec(proof) else { return };
    // Written beside and moved, so that nobody reads half of it.
    let beside = file.with_extension(format!("{}.tmp", std::process::id()));
    let folder = file.parent().map(fs::create_dir_all);
    if folder.is_some_and(|made| made.is_ok()) && fs::write(&beside, text).is_ok() {
        let _ = fs::rename(&beside, file);
    }
}

/// By content of the rulebook and by program: another one may play otherwise.
fn file(book: &Rulebook) -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache =
        folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    let program = fs::metadata(env::current_exe().ok()?).ok()?;
    let age = program.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let program = format!("{}-{}-{age}", env!("CARGO_PKG_VERSION"), program.len());
    Some(cache.join("amends").join("proofs").join(format!("{}-{program}.json", book.hash())))
}
