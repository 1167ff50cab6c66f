//! What each route needs: the one table. A route that is not in it is denied to everybody; a test walks all routes of
//! the API and the console against it.

use amends_api::access::Right;

/// What a route needs of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: anybody may ask, known or not.
    Nothing,
    /// To be known.
    Known,
    /// A right.
    The(Right<'static>, About),
}

/// What a route is about: for which rulebook a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Everything at once: a right for one rulebook is not enough.
    All,
    /// The case in its path.
    Case,
    /// The case of the step in its path.
    Step,
    /// The case of the question in its path.
    Question,
    /// The rulebook that stands there in its path.
    Rulebook(&'static str),
    /// What its query finds: for who has the right for some rulebooks only, `rulebook` must name one of them.
    Found,
    /// What it lists: its handler shows of it what they may see.
    Each,
    /// What is in its body: its handler judges.
    Sent,
}

use About::{All, Case, Each, Found, Question, Rulebook, Sent, Step};
use Needs::{Known, Nothing, The};
use Right::{Act, Admin, Read, ReadData, Rules, Tokens};

const REPORT: Needs = The(Right::Report(None), Sent);

/// Method, path, and what is needed. `HEAD` is asked for as `GET` is.
#[rustfmt::skip]
pub(crate) const ROUTES: &[(&str, &str, Needs)] = &[
    // Reports, sagas and late outcomes: as the service itself.
    ("POST",    "/v1/reports",                              REPORT),
    ("OPTIONS", "/v1/reports",                              REPORT),
    ("POST",    "/v1/reports:batch",                        REPORT),
    ("OPTIONS", "/v1/reports:batch",                        REPORT),
    ("POST",    "/v1/sagas",                                REPORT),
    ("GET",     "/v1/sagas/{id}",                           Known), // its service, or who may read
    ("POST",    "/v1/sagas/{id}/end",                       REPORT),
    ("POST",    "/v1/steps/{id}/outcome",                   Nothing), // the step's proof, or its service
    ("GET",     "/v1/letters/{id}",                         Known), // nothing is told of what it says
    // Messages of brokers that could not be taken: nobody can say of which rulebook they are.
    ("GET",     "/v1/reports/rejected",                     The(Read, All)),
    ("GET",     "/v1/reports/rejected/{id}",                The(ReadData, All)),
    ("POST",    "/v1/reports/rejected/{id}/acts",           The(Act, All)),
    // Cases.
    ("GET",     "/v1/cases",                                The(Read, Found)),
    ("GET",     "/v1/cases:export",                         The(Read, Found)),
    ("GET",     "/v1/cases/{id}",                           The(Read, Case)),
    ("GET",     "/v1/cases/{id}/proof",                     The(Read, Case)),
    ("GET",     "/v1/cases/{id}/reports/{position}",        The(ReadData, Case)),
    ("POST",    "/v1/cases/{id}/acts",                      The(Act, Case)),
    ("GET",     "/v1/quarantine",                           The(Read, All)),
    ("GET",     "/v1/quarantine/{id}",                      The(ReadData, All)),
    ("POST",    "/v1/quarantine/{id}/acts",                 The(Admin, All)),
    // Questions.
    ("GET",     "/v1/questions",                            The(ReadData, Found)),
    ("GET",     "/v1/questions/{id}",                       The(ReadData, Question)),
    ("POST",    "/v1/questions/{id}/acts",                  The(Act, Question)),
    ("GET",     "/v1/strangers",                            The(Read, Found)),
    ("POST",    "/v1/strangers/{rulebook}/{action}/acts",   The(Act, Rulebook("rulebook"))),
    // Steps.
    ("GET",     "/v1/steps",                                The(Read, Found)),
    ("POST",    "/v1/steps:act",                            The(Act, Sent)),
    ("GET",     "/v1/steps/{id}",                           The(Read, Step)),
    ("POST",    "/v1/steps/{id}/acts",                      The(Act, Step)),
    // Bulk acts: the right for every target.
    ("POST",    "/v1/bulk",                                 The(Act, Sent)),
    ("GET",     "/v1/bulk",                                 The(Read, All)),
    ("GET",     "/v1/bulk/{id}",                            The(Read, Sent)),
    ("POST",    "/v1/bulk/{id}/start",                      The(Act, Sent)),
    ("POST",    "/v1/bulk/{id}/stop",                       The(Act, Sent)),
    // Rulebooks.
    ("GET",     "/v1/rulebooks",                            The(Read, Each)),
    ("POST",    "/v1/rulebooks:check",                      The(Rules, Sent)),
    ("GET",     "/v1/rulebooks/{name}",                     The(Read, Rulebook("name"))),
    ("PUT",     "/v1/rulebooks/{name}",                     The(Rules, Rulebook("name"))),
    ("GET",     "/v1/rulebooks/{name}/versions/{hash}",     The(Read, Rulebook("name"))),
    ("GET",     "/v1/rulebooks/{name}/verdict",             The(Read, Rulebook("name"))),
    ("GET",     "/v1/rulebooks/{name}/hold",                The(Read, Rulebook("name"))),
    ("PUT",     "/v1/rulebooks/{name}/hold",                The(Act, Rulebook("name"))),
    ("DELETE",  "/v1/rulebooks/{name}/hold",                The(Act, Rulebook("name"))),
    ("GET",     "/v1/rulebooks/{name}/questions",           The(Read, Rulebook("name"))),
    // Services: they are shared by rulebooks.
    ("GET",     "/v1/services",                             The(Read, All)),
    ("POST",    "/v1/services/{name}/pause",                The(Act, All)),
    ("POST",    "/v1/services/{name}/resume",               The(Act, All)),
    ("POST",    "/v1/services/{name}/limits",               The(Act, All)),
    // Nodes: who may stop one.
    ("GET",     "/v1/nodes",                                The(Read, All)),
    ("POST",    "/v1/nodes/{name}/drain",                   The(Admin, All)),
    ("POST",    "/v1/nodes/{name}/resume",                  The(Admin, All)),
    // Watching.
    ("GET",     "/v1/acts",                                 The(Read, All)),
    ("GET",     "/v1/acts/head",                            The(Read, All)),
    ("GET",     "/v1/groups",                               The(Read, All)),
    ("GET",     "/v1/overview",                             The(Read, All)),
    ("GET",     "/v1/events",                               The(Read, All)),
    ("GET",     "/metrics",                                 The(Read, All)),
    // Access itself.
    ("GET",     "/v1/whoami",                               Known),
    ("GET",     "/v1/tokens",                               The(Tokens, All)),
    ("POST",    "/v1/tokens",                               The(Tokens, All)), // for no more than one holds
    ("GET",     "/v1/tokens/{id}",                          The(Tokens, All)),
    ("DELETE",  "/v1/tokens/{id}",                          The(Tokens, All)), // of no more than one holds
    ("GET",     "/v1/sessions",                             Known), // one's own; all for who administers
    ("DELETE",  "/v1/sessions/{id}",                        Known), // one's own; any for who administers
    // Business data that goes: who may erase sees what would go.
    ("POST",    "/v1/erasures",                             The(Admin, All)),
    ("GET",     "/v1/erasures",                             The(Read, All)),
    ("GET",     "/v1/erasures/{id}",                        The(Read, All)),
    ("POST",    "/v1/erasures/{id}/confirm",                The(Admin, All)),
    // Running.
    ("POST",    "/v1/backups",                              The(Admin, All)),
    ("GET",     "/v1",                                      Nothing),
    ("GET",     "/openapi.json",                            Nothing),
    ("GET",     "/livez",                                   Nothing),
    ("GET",     "/readyz",                                  Nothing),
    ("GET",     "/healthz",                                 Nothing),
    // The console.
    ("GET",     "/",                                        The(Read, Each)), // others begin at their cases
    ("GET",     "/cases",                                   The(Read, Found)),
    ("GET",     "/cases/{id}",                              The(Read, Case)),
    ("GET",     "/cases/{id}/proof",                        The(Read, Case)),
    ("POST",    "/cases/{id}/acts",                         The(Act, Case)),
    ("POST",    "/steps/{id}/acts",                         The(Act, Step)),
    ("GET",     "/questions",                               The(ReadData, Found)),
    ("POST",    "/questions/{id}/acts",                     The(Act, Question)),
    ("POST",    "/strangers/{rulebook}/{action}/acts",      The(Act, Rulebook("rulebook"))),
    ("GET",     "/quarantine",                              The(Read, All)),
    ("GET",     "/quarantine/{id}",                         The(ReadData, All)),
    ("POST",    "/quarantine/{id}/acts",                    The(Admin, All)),
    ("GET",     "/rejected",                                The(Read, All)),
    ("GET",     "/rejected/{id}",                           The(ReadData, All)),
    ("POST",    "/rejected/{id}/acts",                      The(Act, All)),
    ("GET",     "/services",                                The(Read, All)),
    ("POST",    "/services/{name}/acts",                    The(Act, All)),
    ("GET",     "/nodes",                                   The(Read, All)),
    ("POST",    "/nodes/{name}/acts",                       The(Admin, All)),
    ("GET",     "/rules",                                   The(Read, Each)),
    ("GET",     "/rules/new",                               The(Rules, Sent)),
    ("POST",    "/rules/preview",                           The(Rules, Sent)),
    ("POST",    "/rules/activate",                          The(Rules, Sent)),
    ("GET",     "/rules/{name}",                            The(Read, Rulebook("name"))),
    ("GET",     "/rules/{name}/versions/{hash}",            The(Read, Rulebook("name"))),
    ("POST",    "/rules/{name}/holds",                      The(Act, Rulebook("name"))),
    ("GET",     "/rules/{name}/edit",                       The(Rules, Rulebook("name"))),
    ("GET",     "/rules/{name}/versions/{hash}/edit",       The(Rules, Rulebook("name"))),
    ("GET",     "/bulk",                                    The(Read, All)),
    ("POST",    "/bulk",                                    The(Act, Sent)),
    ("GET",     "/bulk/new",                                The(Act, Found)),
    ("GET",     "/bulk/{id}",                               The(Read, Sent)),
    ("POST",    "/bulk/{id}/acts",                          The(Act, Sent)),
    ("GET",     "/login",                                   Nothing),
    ("POST",    "/login",                                   Nothing),
    ("GET",     "/login/provider",                          Nothing),
    ("GET",     "/login/callback",                          Nothing),
    ("POST",    "/logout",                                  Nothing),
    ("GET",     "/me",                                      Known),
    ("POST",    "/me/sessions/{id}/end",                    Known), // one's own
    ("POST",    "/me/sessions/end-others",                  Known), // one's own
    ("GET",     "/audit",                                   The(Read, All)),
    ("GET",     "/erasures",                                The(Read, All)),
    ("GET",     "/erasures/{id}",                           The(Read, All)),
    ("POST",    "/cases/{id}/erasures",                     The(Admin, All)),
    ("GET",     "/live",                                    The(Read, All)),
    ("GET",     "/assets/{hash}/{name}",                    Nothing),
];

/// What a route needs; none if it is not in the table, and then nobody may ask.
pub(crate) fn needs(method: &str, path: &str) -> Option<Needs> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|(m, p, _)| *m == method && *p == path).map(|(_, _, needs)| *needs)
}

/// Whether what a route brings waits for the loop in a line of its sender's, which bounds it better than a pace would.
pub(crate) fn waits_in_line(method: &str, path: &str) -> bool {
    needs(method, path) == Some(REPORT) || path == "/v1/steps/{id}/outcome"
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::access::scope_for;
    use std::fmt::Write as _;

    /// The table as people read it.
    fn page() -> String {
        let mut text = "| route | scope | which one asks |\n| --- | --- | --- |\n".to_owned();
        for (method, path, needs) in ROUTES {
            let (scope, about) = match needs {
                Nothing => ("none".to_owned(), "anybody"),
                Known => ("any".to_owned(), "whoever is known"),
                The(right, about) => {
                    let about = match about {
                        All => "for everything",
                        Case | Step | Question => "its case",
                        Rulebook(_) => "its rulebook",
                        Found => "found",
                        Each => "each for itself",
                        Sent => "sent",
                    };
                    (format!("`{}`", scope_for(*right)), about)
                }
            };
            let _ = writeln!(text, "| `{method} {path}` | {scope} | {about} |"); // a text takes everything
        }
        text
    }

    #[test]
    fn the_page_has_the_table() {
        const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/access.md");
        let text = std::fs::read_to_string(PAGE).expect("the page");
        let (head, rest) = text.split_once(" -->\n").expect("a mark");
        let (_, tail) = rest.split_once("<!-- end -->").expect("a mark");
        let wanted = format!("{head} -->\n\n{}\n<!-- end -->{tail}", page());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PAGE, &wanted).expect("written");
        } else {
            assert!(text == wanted, "set UPDATE_DOCS=1 to write the table anew");
        }
    }

    #[test]
    fn each_route_stands_there_once() {
        for (n, (method, path, _)) in ROUTES.iter().enumerate() {
            let twin = ROUTES[..n].iter().any(|(m, p, _)| m == method && p == path);
            assert!(!twin, "{method} {path}");
        }
    }

    #[test]
    fn what_its_path_is_about_stands_in_it() {
        for (method, path, needs) in ROUTES {
            let name = match needs {
                The(_, Case | Step | Question) => "id",
                The(_, Rulebook(name)) => name,
                _ => continue,
            };
            assert!(path.contains(&format!("{{{name}}}")), "{method} {path}");
        }
    }

    #[test]
    fn whatever_changes_something_needs_more_than_reading() {
        for (method, path, needs) in ROUTES.iter().filter(|(method, _, _)| *method != "GET") {
            let is_own = path.starts_with("/me/")
                || ["/v1/steps/{id}/outcome", "/v1/sessions/{id}", "/login", "/logout"]
                    .contains(path);
            let is_more = matches!(needs, The(right, _) if !matches!(right, Read | ReadData));
            assert!(is_more || is_own, "{method} {path} needs {needs:?}");
        }
    }
}
