//! What concerns all sagas goes as a letter to whoever holds the seat.

use super::{By, written};
use crate::{Activation, HoldScope, Input, Letter, LetterKind, NewLimits, Replaces, Ticket};
use amends_api::{AuditActName, StrangerAct};
use amends_rulebook::{SourceFile, load_sources};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A person wants something, for a reason.
#[derive(Serialize, Deserialize)]
struct Wanted<T> {
    what: T,
    by: By,
    reason: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct Stranger {
    rulebook: Arc<str>,
    /// As people write it: `service.action`.
    action: String,
    act: StrangerAct,
    by: By,
}

#[derive(Serialize, Deserialize)]
struct Pause {
    service: Arc<str>,
    paused: bool,
}

#[derive(Serialize, Deserialize)]
struct HoldRule {
    scope: HoldScope,
    held: bool,
}

#[derive(Serialize, Deserialize)]
struct Limit {
    service: Arc<str>,
    concurrency: Option<u32>,
    per_second: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Audited {
    act: AuditActName,
    detail: serde_json::Value,
}

/// A version with its sources: whoever takes it may not have it yet.
#[derive(Serialize, Deserialize)]
struct Version {
    sources: Vec<(String, Arc<str>)>,
    from_file: bool,
    replaces: Replaced,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Replaced {
    Any,
    Exactly(Option<Arc<str>>),
}

/// Its kind and its body, if it is such an input.
pub(super) fn said(input: &Input) -> Option<(LetterKind, String)> {
    Some(match input {
        Input::StrangerAct { rulebook, action, act, actor, .. } => {
            let (rulebook, action) = (Arc::clone(rulebook), action.to_string());
            let said = Stranger { rulebook, action, act: act.clone(), by: actor.into() };
            (LetterKind::Stranger, written(&said)?)
        }
        Input::Pause { service, paused, actor, reason, .. } => {
            let what = Pause { service: Arc::clone(service), paused: *paused };
            let said = Wanted { what, by: actor.into(), reason: Arc::clone(reason) };
            (LetterKind::Pause, written(&said)?)
        }
        Input::HoldRule { scope, held, actor, reason, .. } => {
            let what = HoldRule { scope: scope.clone(), held: *held };
            let said = Wanted { what, by: actor.into(), reason: Arc::clone(reason) };
            (LetterKind::HoldRule, written(&said)?)
        }
        Input::Limit { service, limits, actor, reason, .. } => {
            let NewLimits { concurrency, per_second } = *limits;
            let what = Limit { service: Arc::clone(service), concurrency, per_second };
            let said = Wanted { what, by: actor.into(), reason: Arc::clone(reason) };
            (LetterKind::Limit, written(&said)?)
        }
        Input::Audit { act, actor, reason, detail, .. } => {
            let what = Audited { act: *act, detail: detail.clone() };
            let said = Wanted { what, by: actor.into(), reason: Arc::clone(reason) };
            (LetterKind::Audit, written(&said)?)
        }
        Input::Activate { activation, .. } => {
            let Activation { rulebook, actor, reason, from_file, replaces } = &**activation;
            let sources = rulebook.sources().iter();
            let sources = sources.map(|file| (file.path.clone(), Arc::clone(&file.text)));
            let replaces = match replaces {
                Replaces::Any => Replaced::Any,
                Replaces::Exactly(hash) => Replaced::Exactly(hash.clone()),
            };
            let what = Version { sources: sources.collect(), from_file: *from_file, replaces };
            let said = Wanted { what, by: actor.into(), reason: Arc::clone(reason) };
            (LetterKind::Activate, written(&said)?)
        }
        _ => return None,
    })
}

/// The input that such a letter was.
pub(super) fn input(letter: &Letter, ticket: Ticket) -> Result<Input, String> {
    Ok(match letter.kind {
        LetterKind::Stranger => {
            let Stranger { rulebook, action, act, by } = letter.read()?;
            let action = action.parse().map_err(|e| format!("letter {}: {e}", letter.id))?;
            Input::StrangerAct { rulebook, action, act, actor: by.into(), ticket }
        }
        LetterKind::Pause => {
            let Wanted { what: Pause { service, paused }, by, reason } = letter.read()?;
            Input::Pause { service, paused, actor: by.into(), reason, ticket }
        }
        LetterKind::HoldRule => {
            let Wanted { what: HoldRule { scope, held }, by, reason } = letter.read()?;
            Input::HoldRule { scope, held, actor: by.into(), reason, ticket }
        }
        LetterKind::Limit => {
            let Wanted { what, by, reason } = letter.read()?;
            let Limit { service, concurrency, per_second } = what;
            let limits = NewLimits { concurrency, per_second };
            Input::Limit { service, limits, actor: by.into(), reason, ticket }
        }
        LetterKind::Audit => {
            let Wanted { what: Audited { act, detail }, by, reason } = letter.read()?;
            Input::Audit { act, actor: by.into(), reason, detail, ticket }
        }
        LetterKind::Activate => {
            let Wanted { what, by, reason } = letter.read()?;
            let activation = activation(what, by, reason)
                .map_err(|e| format!("the rulebook in letter {}: {e}", letter.id))?;
            Input::Activate { activation: Box::new(activation), ticket }
        }
        kind => return Err(format!("letter {} is a `{}`", letter.id, kind.as_str())),
    })
}

fn activation(what: Version, by: By, reason: Arc<str>) -> Result<Activation, String> {
    let Version { sources, from_file, replaces } = what;
    let files = sources.into_iter().map(|(path, text)| SourceFile { path, text });
    let read = load_sources(files.collect());
    let rulebook = read.rulebook.ok_or_else(|| {
        let first = read.diagnostics.into_iter().next();
        first.map_or_else(|| "it is empty".to_owned(), |found| found.message)
    })?;
    let replaces = match replaces {
        Replaced::Any => Replaces::Any,
        Replaced::Exactly(hash) => Replaces::Exactly(hash),
    };
    Ok(Activation { rulebook, actor: by.into(), reason, from_file, replaces })
}

#[cfg(test)]
mod tests {
    use super::super::NoLetter;
    use super::*;
    use crate::{Actor, LetterId, Partition};
    use amends_rulebook::Rulebook;
    use serde_json::json;

    fn kim() -> Actor {
        Actor { name: "kim".into(), principal: Some("token:ci".into()), address: None }
    }

    fn letter(input: &Input) -> Result<Letter, NoLetter> {
        Letter::of(input, LetterId(1), Partition::SEAT)
    }

    fn comes_back(input: &Input) {
        let letter = letter(input).expect("a letter");
        let told = format!("{:?}", letter.input(9).expect("reads back"));
        assert_eq!(told, format!("{input:?}").replace("ticket: 1", "ticket: 9"));
    }

    #[test]
    fn what_concerns_all_sagas_comes_back_as_it_was_said() {
        let (reason, ticket): (Arc<str>, _) = ("because".into(), 1);
        let (service, rulebook): (Arc<str>, Arc<str>) = ("payment".into(), "shop".into());
        let act = StrangerAct::Ignore { reason: "noise".to_owned() };
        let action = "coupon.use".parse().expect("an action");
        comes_back(&Input::StrangerAct {
            rulebook: Arc::clone(&rulebook),
            action,
            act,
            actor: kim(),
            ticket,
        });
        comes_back(&Input::Pause {
            service: Arc::clone(&service),
            paused: true,
            actor: kim(),
            reason: Arc::clone(&reason),
            ticket,
        });
        for rule in [None, Some("payment/report-1".into())] {
            let scope = HoldScope { rulebook: Arc::clone(&rulebook), rule };
            let reason = Arc::clone(&reason);
            comes_back(&Input::HoldRule { scope, held: false, actor: kim(), reason, ticket });
        }
        let limits = NewLimits { concurrency: Some(2), per_second: None };
        comes_back(&Input::Limit {
            service,
            limits,
            actor: kim(),
            reason: Arc::clone(&reason),
            ticket,
        });
        let (act, detail) = (AuditActName::Activate, json!({ "a": [1] }));
        comes_back(&Input::Audit { act, actor: kim(), reason, detail, ticket });
    }

    fn activate(text: &str, replaces: Replaces) -> Input {
        let rulebook = Rulebook::from_yaml(text).expect("valid");
        let (actor, reason) = (kim(), "new".into());
        let activation = Activation { rulebook, actor, reason, from_file: true, replaces };
        Input::Activate { activation: Box::new(activation), ticket: 1 }
    }

    const SHOP: &str = "
rulebook: shop
services: { a: { url: \"http://a\", actions: { x: { compensation: undo } } } }
rules: [{ on: \"*/*\", compensate: [a.x] }]
";

    #[test]
    fn a_version_comes_with_its_sources() {
        for replaces in
            [Replaces::Any, Replaces::Exactly(None), Replaces::Exactly(Some("h".into()))]
        {
            let input = activate(SHOP, replaces.clone());
            let letter = letter(&input).expect("a letter");
            let Ok(Input::Activate { activation: read, ticket: 9 }) = letter.input(9) else {
                panic!("{letter:?}");
            };
            let Input::Activate { activation, .. } = input else { unreachable!() };
            assert_eq!(read.rulebook.hash(), activation.rulebook.hash());
            assert_eq!((&read.replaces, read.from_file), (&replaces, true));
            assert_eq!(&*read.actor.name, "kim");
        }
    }

    #[test]
    fn a_version_may_be_as_long_as_the_api_takes_it_and_all_else_has_a_megabyte() {
        let long = "# longer\n".repeat(1 << 17);
        let whole = letter(&activate(&format!("{SHOP}{long}"), Replaces::Any)).expect("a letter");
        assert!(whole.body.len() > 1 << 20);
        let (act, detail) = (AuditActName::Activate, json!({ "a": long }));
        let (actor, reason, ticket) = (kim(), "because".into(), 1);
        let told = letter(&Input::Audit { act, actor, reason, detail, ticket });
        let Err(NoLetter::TooLong { bytes, most }) = told else { panic!("{told:?}") };
        assert!(bytes > most && most == 1 << 20, "{bytes} of {most}");
    }
}
