//! What operators hold: `GET`, `PUT` and `DELETE /v1/rulebooks/{name}/hold`, of the whole rulebook or, with `?rule=`,
//! of one of its rules.

use super::answers::{Rows, Set};
use super::body::{Actor, Sent, check_reason};
use super::filters::{Asked, questions};
use super::path::Id;
use super::{ApiError, App};
use amends_api::{ReasonGiven, RuleHoldView};
use amends_engine::HoldScope;
use amends_store::Store;
use axum::extract::State;

questions! {
    /// What is held.
    pub(crate) struct Held {
        /// Label of one rule; absent: the whole rulebook.
        rule: Option<String>,
    }

    /// What is released, and why.
    pub(crate) struct Released {
        /// Label of one rule; absent: the whole rulebook.
        rule: Option<String>,
        /// Why, for the audit.
        reason: Option<String>,
    }
}

/// `GET /v1/rulebooks/{name}/hold`: what is held of it.
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
) -> Result<Rows<RuleHoldView>, ApiError> {
    let held = app.supervisor.rule_holds(Some(&name));
    let is_known = app.supervisor.active_books().iter().any(|book| book.name() == name);
    if held.is_empty() && !is_known {
        return Err(ApiError::not_found(format!("there is no active rulebook `{name}`")));
    }
    Ok(Rows(held))
}

/// `PUT /v1/rulebooks/{name}/hold`: nothing that it asks for is sent until it is released.
pub(crate) async fn hold<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Asked(Held { rule }): Asked<Held>,
    Actor(actor): Actor,
    Sent(ReasonGiven { reason }): Sent<ReasonGiven>,
) -> Result<Set<Rows<RuleHoldView>>, ApiError> {
    check_reason(&reason)?;
    let late = app.supervisor.hold_rule(scope(&name, rule), true, &actor, &reason).await?;
    Ok(Set(late, Rows(app.supervisor.rule_holds(Some(&name)))))
}

/// `DELETE /v1/rulebooks/{name}/hold?reason=…`: what waited is sent. The reason is in the query, since not every
/// client sends a body with a `DELETE`.
pub(crate) async fn release<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Asked(Released { rule, reason }): Asked<Released>,
    Actor(actor): Actor,
) -> Result<Set<Rows<RuleHoldView>>, ApiError> {
    let reason = reason.unwrap_or_default();
    check_reason(&reason)?;
    let late = app.supervisor.hold_rule(scope(&name, rule), false, &actor, &reason).await?;
    Ok(Set(late, Rows(app.supervisor.rule_holds(Some(&name)))))
}

fn scope(name: &str, rule: Option<String>) -> HoldScope {
    HoldScope { rulebook: name.into(), rule: rule.map(Into::into) }
}
