//! Mapped requests that can be sent and are wrong all the same: they name nothing of their saga, or their answers are
//! taken for what they are not.

use super::Findings;
use amends_protocol::Verb;
use amends_rulebook::{
    Action, ActionClass, ActionId, AnswerPattern, BodyTemplate, Diagnostic, Endpoint, Mapped,
    Rulebook, Span, StatusSet, Target, Template, codes, fits,
};
use std::collections::HashSet;

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    for action in book.actions() {
        for verb in Verb::ALL {
            if let Some(endpoint) = action.endpoints.get(*verb) {
                names_nothing(action, *verb, endpoint, found);
                unmapped_success(action, *verb, endpoint, found);
                opposite(action, *verb, endpoint, found);
                accepted_without_poll(action, *verb, endpoint, found);
                get_that_changes(action, *verb, endpoint, found);
                written_out(action, *verb, endpoint, found);
            }
        }
    }
    unserved(book, found);
    written_out_keys(book, found);
}

/// `signing_key` names a key of the configuration; `whsec_…` is one.
fn written_out_keys(book: &Rulebook, found: &mut Findings<'_>) {
    for service in book.services() {
        if service.signing_key.as_deref().is_some_and(|key| key.starts_with("whsec_")) {
            let message =
                format!("`signing_key` of `{}` holds a secret, written out", service.name);
            found.add(Diagnostic::new(codes::SECRET_WRITTEN_OUT, service.span, message).with_help(
                "write the name of a key, e.g. `signing_key: payments`, and give the key in the server's configuration",
            ));
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
        Diagnostic::new(codes::REQUEST_NAMES_NOTHING, endpoint.places.verb, message)
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
        Diagnostic::new(codes::UNMAPPED_SUCCESS, endpoint.places.verb, message)
            .with_help("200, 201 and 204 count as done, and any other success is for a person; say it: `done: [2xx]`"),
    );
}

/// An answer that is taken for its opposite: 404 means that a thing is not there, 2xx that the service has done
/// something, 5xx that nobody knows.
fn opposite(action: &Action, verb: Verb, endpoint: &Endpoint, found: &mut Findings<'_>) {
    let bare = |meaning, is: fn(StatusSet) -> bool| {
        endpoint.answers.of(meaning).find(|p| p.body.is_empty() && is(p.status)).map(|p| p.status)
    };
    let success: fn(StatusSet) -> bool =
        |s| matches!(s, StatusSet::Class(2) | StatusSet::One(200 | 201 | 204));
    let broken: fn(StatusSet) -> bool =
        |s| matches!(s, StatusSet::Class(5) | StatusSet::One(500..=599));
    let said_done = [Mapped::Done, Mapped::Already, Mapped::Accepted]
        .into_iter()
        .any(|m| endpoint.answers.of(m).any(|p| success(p.status)));
    let absent = bare(Mapped::Done, |s| s == StatusSet::One(404)).is_some();
    let found_one = if let Some(status) = bare(Mapped::Nothing, success).filter(|_| absent) {
        Some((
            status,
            "nothing to do",
            "and a 404 as done",
            "write `done: [2xx]` and `nothing: [404]`",
        ))
    } else if let Some(status) = bare(Mapped::Nothing, success).filter(|_| !said_done) {
        Some((
            status,
            "nothing to do",
            "and no success as done",
            "write `done: [2xx]` and `nothing: [404]`",
        ))
    } else if let Some(status) = bare(Mapped::Done, broken).or(bare(Mapped::Already, broken)) {
        Some((
            status,
            "done",
            "though the service failed",
            "leave it out: the step is asked for again until it is done",
        ))
    } else if let Some(status) = bare(Mapped::Nothing, broken) {
        Some((
            status,
            "nothing to do",
            "though the service failed",
            "leave it out: the step is asked for again until it is done",
        ))
    } else if let Some(status) = bare(Mapped::Done, |s| s == StatusSet::Class(4)) {
        Some((
            status,
            "done",
            "though the service refused",
            "name the single status that means done before, under `already`",
        ))
    } else {
        let not_done = [Mapped::Retry, Mapped::Refused, Mapped::Stuck];
        let first = not_done.into_iter().find_map(|m| Some((m, bare(m, success)?)));
        first.filter(|_| !said_done).map(|(m, status)| {
            (
                status,
                m.as_str(),
                "and no success as done",
                "write `done: [2xx]`, or say which success is done by its body",
            )
        })
    };
    if let Some((status, taken_for, beside, help)) = found_one {
        let name = &action.name;
        let message = format!("{status} of {verb} `{name}` is taken for `{taken_for}`, {beside}");
        found.add(
            Diagnostic::new(codes::SWAPPED_ANSWERS, endpoint.places.verb, message)
                .with_label("the answers look swapped")
                .with_help(help),
        );
    }
}

/// What was accepted is looked at where `poll` or the answer's `Location` says. A 202 has one by habit; another status
/// that was mapped by hand mostly hasn't.
fn accepted_without_poll(
    action: &Action,
    verb: Verb,
    endpoint: &Endpoint,
    found: &mut Findings<'_>,
) {
    let other = |p: &&AnswerPattern| p.status != StatusSet::One(202);
    let Some(pattern) = endpoint.answers.of(Mapped::Accepted).find(other) else { return };
    if endpoint.poll.is_some() {
        return;
    }
    let name = &action.name;
    let message = format!("{pattern} of {verb} `{name}` is `accepted`, and there is no `poll`");
    found.add(
        Diagnostic::new(codes::ACCEPTED_WITHOUT_POLL, endpoint.places.verb, message)
            .with_label("without a `Location` in the answer nobody looks what came of it")
            .with_help("add `poll: { path: \"/refunds/{answer.id}\", done: […] }`"),
    );
}

/// RFC 9110, 9.2.1: `GET` is safe, so everything on the way may repeat it or answer it from a cache.
fn get_that_changes(action: &Action, verb: Verb, endpoint: &Endpoint, found: &mut Findings<'_>) {
    if endpoint.method != "GET" {
        return;
    }
    let name = &action.name;
    let message = format!("the request to {verb} `{name}` is a `GET`");
    found.add(
        Diagnostic::new(
            codes::GET_THAT_CHANGES,
            endpoint.places.method.unwrap_or(endpoint.places.verb),
            message,
        )
        .with_label("caches and proxies may answer it, and nothing has changed")
        .with_help("let the service offer `POST`, `PUT` or `DELETE` for it"),
    );
}

/// What an action is asked for and maps no request for goes by the participant protocol, to a service that is mapped
/// because it doesn't speak it.
fn unserved(book: &Rulebook, found: &mut Findings<'_>) {
    let mapped: Vec<ActionId> = book.action_ids().filter(|id| maps_any(book.get(*id))).collect();
    let (mut told, mut lacking) = (HashSet::new(), HashSet::new());
    for rule in book.rules().iter().filter(|_| !mapped.is_empty()) {
        let given_up = rule.give_up.as_ref().map(|give_up| &give_up.then);
        for stage in std::iter::once(&rule.demand).chain(given_up).flat_map(|d| &d.stages) {
            let asked = [
                (Verb::Compensate, &stage.compensate),
                (Verb::Retry, &stage.retry),
                (Verb::Notify, &stage.notify),
            ];
            for (verb, target) in asked.iter().flat_map(|(v, all)| all.iter().map(|t| (*v, t))) {
                // Of a target that was looked at before, nothing new is to be said.
                if !told.insert((verb, target)) {
                    continue;
                }
                for id in mapped.iter().filter(|id| names(book, verb, target, **id)) {
                    if lacking.insert((verb, *id)) {
                        unserved_verb(book.get(*id), verb, rule.span, found);
                    }
                }
            }
        }
    }
}

fn maps_any(action: &Action) -> bool {
    Verb::ALL.iter().any(|verb| action.endpoints.get(*verb).is_some())
}

/// Whether a target may ask for an action.
fn names(book: &Rulebook, verb: Verb, target: &Target, id: ActionId) -> bool {
    let action = book.get(id);
    match target {
        Target::Action(named) => *named == id,
        Target::Tag(tag) => action.tags.contains(tag) && fits(verb, action),
        Target::Recorded | Target::All | Target::Downstream => {
            action.class == ActionClass::Compensable
        }
    }
}

fn unserved_verb(action: &Action, verb: Verb, at: Span, found: &mut Findings<'_>) {
    if action.endpoints.get(verb).is_some() {
        return;
    }
    let name = &action.name;
    let message = format!("`{name}` maps no request to {verb} it, and a rule asks for that");
    found.add(
        Diagnostic::new(codes::UNSERVED_VERB, action.span, message)
            .with_label(
                "so it is asked by the participant protocol, which its service may not speak",
            )
            .with_place(at, "this rule asks for it")
            .with_help(format!("add `{verb}:` to its `endpoints`, or ask for something else")),
    );
}

/// A rulebook is read by many, and kept in version control.
fn written_out(action: &Action, verb: Verb, endpoint: &Endpoint, found: &mut Findings<'_>) {
    let places = &endpoint.places;
    let mut tell = |at: Span, place: String| {
        let of = &action.name;
        let message = format!("{place} to {verb} `{of}` holds a secret, written out");
        found.add(Diagnostic::new(codes::SECRET_WRITTEN_OUT, at, message).with_help(
            "write `{secret.NAME}` in its place, e.g. `\"Bearer {secret.NAME}\"`, and give the secret in `secrets` of the server's configuration",
        ));
    };
    for (name, value) in &endpoint.headers {
        if holds_secret(name) && is_literal(value) {
            tell(places.header(name), format!("the header `{name}`"));
        }
    }
    let path: String = endpoint.path.texts().collect();
    let query = path.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if holds_secret(name) && !value.is_empty() {
            tell(places.path, format!("`{name}` in the query of the request"));
        }
    }
    if let Some(body) = &endpoint.body {
        let mut names = Vec::new();
        secrets_in(body, &mut names);
        for name in names {
            tell(
                places.body.unwrap_or(places.verb),
                format!("`{name}` in the body of the request"),
            );
        }
    }
}

fn is_literal(template: &Template) -> bool {
    template.fields().next().is_none() && template.texts().any(|text| !text.trim().is_empty())
}

/// As deep as the body is; the depth of a rulebook is limited.
fn secrets_in<'b>(body: &'b BodyTemplate, names: &mut Vec<&'b str>) {
    match body {
        BodyTemplate::Object(entries) => {
            for (name, value) in entries {
                if matches!(value, BodyTemplate::Text(text) if holds_secret(name) && is_literal(text))
                {
                    names.push(name);
                }
                secrets_in(value, names);
            }
        }
        BodyTemplate::List(items) => items.iter().for_each(|item| secrets_in(item, names)),
        BodyTemplate::Constant(_) | BodyTemplate::Text(_) => {}
    }
}

/// Whether what stands under a name is a secret by its name: `authorization`, `x-api-key`, `clientSecret`.
fn holds_secret(name: &str) -> bool {
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' });
        before = c;
    }
    let words: Vec<&str> = words.split_whitespace().collect();
    let alone = [
        "authorization",
        "cookie",
        "apikey",
        "token",
        "secret",
        "password",
        "passwd",
        "passphrase",
    ];
    words.last().is_some_and(|last| alone.contains(last))
        || words
            .windows(2)
            .any(|pair| matches!(pair, ["api" | "access" | "private" | "auth", "key"]))
}
