//! Mapped requests that can be sent and are wrong all the same: they name nothing of their saga, or their answers are
//! taken for what they are not.

use super::Findings;
use amends_protocol::Verb;
use amends_rulebook::{
    Action, AnswerMap, Diagnostic, Endpoint, Mapped, Rulebook, StatusSet, codes,
};

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    for action in book.actions() {
        for verb in Verb::ALL {
            if let Some(endpoint) = action.endpoints.get(*verb) {
                names_nothing(action, *verb, endpoint, found);
                unmapped_success(action, *verb, endpoint, found);
                swapped(action, *verb, &endpoint.answers, found);
                written_out(action, *verb, endpoint, found);
            }
        }
    }
}

/// A service that knows nothing of Amends looks at no `Saga-Id`; a request without any id can't say what it is about.
fn names_nothing(action: &Action, verb: Verb, endpoint: &Endpoint, found: &mut Findings<'_>) {
    let says_what =
        |field: &&str| field.starts_with("data.") || matches!(*field, "sagaId" | "requestId");
    if endpoint.placeholders().iter().any(says_what) {
        return;
    }
    let name = &action.name;
    let message =
        format!("the request to {verb} `{name}` says only in its headers what it is about");
    found.add(
        Diagnostic::new(codes::REQUEST_NAMES_NOTHING, action.span, message)
            .with_label("no placeholder of it names a saga, a request or a business field")
            .with_help("does the service read `Saga-Id`? If not, name what it knows, e.g. `path: \"/payments/{data.paymentId}/refund\"`"),
    );
}

fn unmapped_success(action: &Action, verb: Verb, endpoint: &Endpoint, found: &mut Findings<'_>) {
    let ends = [Mapped::Done, Mapped::Already, Mapped::Accepted];
    if ends.iter().any(|meaning| endpoint.answers.of(*meaning).next().is_some()) {
        return;
    }
    let name = &action.name;
    let message = format!("no answer to {verb} `{name}` is said to be `done`");
    found.add(
        Diagnostic::new(codes::UNMAPPED_SUCCESS, action.span, message)
            .with_help("200, 201 and 204 count as done, and any other success is for a person; say it: `done: [2xx]`"),
    );
}

/// 404 means that a thing is not there, and 2xx that the service has done something.
fn swapped(action: &Action, verb: Verb, answers: &AnswerMap, found: &mut Findings<'_>) {
    let bare = |meaning, status| {
        answers.of(meaning).any(|pattern| pattern.status == status && pattern.body.is_empty())
    };
    let absent = bare(Mapped::Done, StatusSet::One(404));
    let success = [StatusSet::Class(2), StatusSet::One(200), StatusSet::One(201)]
        .into_iter()
        .any(|status| bare(Mapped::Nothing, status));
    if absent && success {
        let name = &action.name;
        let message = format!("`done` and `nothing` of {verb} `{name}` look swapped");
        found.add(
            Diagnostic::new(codes::SWAPPED_ANSWERS, action.span, message)
                .with_label("a 404 counts as done, and a success as nothing to do")
                .with_help("write `done: [2xx]` and `nothing: [404]`"),
        );
    }
}

/// Headers whose values are secrets.
const SECRET_HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// A rulebook is read by many, and kept in version control.
fn written_out(action: &Action, verb: Verb, endpoint: &Endpoint, found: &mut Findings<'_>) {
    for (name, value) in &endpoint.headers {
        if SECRET_HEADERS.contains(&name.as_str()) && value.fields().next().is_none() {
            let of = &action.name;
            let message =
                format!("the header `{name}` to {verb} `{of}` holds a secret, written out");
            found.add(
                Diagnostic::new(codes::SECRET_WRITTEN_OUT, action.span, message)
                    .with_help(format!("write `{name}: \"Bearer {{secret.NAME}}\"`, and give the secret in `secrets` of the server's configuration")),
            );
        }
    }
}
