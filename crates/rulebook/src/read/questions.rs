//! What questions do to their cases, and how strangers are met.

use crate::fields::{self, Fields};
use crate::mistakes::{Diagnostics, quote};
use crate::tree::{Kind, Node};
use crate::{Diagnostic, Scalar, Settings, StrangerPattern, Strangers, codes};
use amends_api::{QuestionEffect, QuestionKind};

/// `questions: { dropped: note }`; what is not named holds its case.
pub(super) fn read_questions(node: &Node, settings: &mut Settings, found: &mut Diagnostics) {
    let kinds: Vec<&str> = QuestionKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let effects: Vec<_> =
        QuestionEffect::ALL.iter().map(|effect| (effect.as_str(), *effect)).collect();
    let Some(own) = Fields::open(node, "`questions`", &kinds, found) else { return };
    for kind in QuestionKind::ALL {
        let Some(node) = own.get(kind.as_str()) else { continue };
        let effect = fields::word(node, &format!("`{kind}`"), &effects, found);
        settings.questions[*kind as usize] = effect.unwrap_or(QuestionEffect::Hold);
    }
}

/// `strangers: hold`, or `strangers: { ignore: [catalog.*, mail.send] }`.
pub(super) fn read_strangers(node: &Node, found: &mut Diagnostics) -> Strangers {
    if !matches!(node.kind, Kind::Map(_)) {
        let hold = fields::word(node, "`strangers`", &[("hold", true)], found).unwrap_or(false);
        return Strangers { hold, ignore: Vec::new() };
    }
    let Some(own) = Fields::open(node, "`strangers`", &["ignore"], found) else {
        return Strangers::default();
    };
    let items = own.get("ignore").map_or(&[][..], fields::one_or_many);
    let ignore = items.iter().filter_map(|node| read_pattern(node, found)).collect();
    Strangers { hold: false, ignore }
}

fn read_pattern(node: &Node, found: &mut Diagnostics) -> Option<StrangerPattern> {
    let Some(Scalar::Text(text)) = fields::scalar(node) else {
        fields::wrong_type(node, "`ignore`", "the name of an action", found);
        return None;
    };
    let names =
        text.split_once('.').filter(|(service, action)| !service.is_empty() && !action.is_empty());
    let Some((service, action)) = names else {
        let message = format!("{} names no action of a service", quote(&text));
        found.add(
            Diagnostic::new(codes::INVALID_NAME, node.span, message)
                .with_help("write `catalog.*` for all of a service, or `mail.send`"),
        );
        return None;
    };
    let action = Some(action).filter(|action| *action != "*").map(Into::into);
    Some(StrangerPattern { service: service.into(), action })
}
