//! Rulebooks: whatever was written, its mistakes have places in it, and what loads can be formatted and loads again.

use amends_rulebook::{Rulebook, SourceFile, load};
use amends_workbench::{as_json, format};

/// Longer texts only make it slow.
const LIMIT: usize = 64 << 10;

pub fn rulebook(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(LIMIT)]);
    let root = SourceFile { path: "rulebook.yaml".to_owned(), text: text.as_ref().into() };
    let loaded = load(root, &mut |_| Err("there is nothing to import from".to_owned()));
    for found in &loaded.diagnostics {
        let place = text.get(found.at.start..found.at.end);
        assert!(place.is_some(), "{} points outside: {:?}", found.code, found.at);
    }
    let Ok(once) = format(&text) else { return };
    assert_eq!(as_json(&once).ok(), as_json(&text).ok(), "formatted it says something else");
    assert_eq!(format(&once).as_deref().ok(), Some(once.as_str()), "a second time changes it");
    if loaded.rulebook.is_some() {
        let mistakes = Rulebook::from_yaml(&once).err();
        assert!(mistakes.is_none(), "formatted it does not load: {mistakes:?}");
    }
}
