//! As whom the supervisor is asked: whether what the command line, the environment and the contexts say can be used.

use super::Finding;
use crate::client::Client;
use crate::commands::tokens::{in_words, runs_out_soon};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::moment::{clock, now, relative};
use crate::target::Target;
use amends_api::access::{PrincipalKind, WhoAmI};

/// What is said of the supervisor and of who asks; a client, if that can be used.
pub(super) fn look(connection: &Connection, found: &mut Vec<Finding>) -> Option<Client> {
    let check = "access";
    let help = "docs/reference/connecting.md says who may say what of it";
    let made = connection.target().and_then(|target| {
        let client = connection.client_of(&target)?;
        Ok((target, client))
    });
    match made {
        Ok((target, client)) => {
            let with = client.identifies_by();
            let text = format!(
                "`{}`, named by {}, is asked with {with}",
                target.address.as_str(),
                target.named_by
            );
            found.push(Finding::ok(check, text));
            found.extend(weak(&target));
            Some(client)
        }
        Err(failure) => {
            found.push(Finding::fail(check, failure.lines().join(" "), help));
            None
        }
    }
}

/// Whether one is let in, as whom, and for how long. Nothing is said if the supervisor can't be asked.
pub(super) async fn who(client: &Client) -> Option<Finding> {
    let check = "token";
    let who: WhoAmI = match client.get("/v1/whoami").await {
        Ok(who) => who,
        Err(failure @ Failure::Denied(_)) => {
            let mut lines = failure.lines();
            let help = lines.pop().unwrap_or_default();
            let help = help.trim_start_matches("help: ").to_owned();
            return Some(Finding::fail(check, lines.join(" "), help));
        }
        Err(_) => return None,
    };
    if who.kind == PrincipalKind::Anybody {
        let text = "nobody needs to identify: whoever reaches the supervisor may do everything";
        return Some(Finding::ok(check, text));
    }
    let text = format!("you are `{}`, and may {}", who.name, in_words(&who.grants));
    let now = now();
    Some(match who.expires_at {
        Some(at) if runs_out_soon(at, now) => Finding::warn(
            check,
            format!("{text}; it runs out {}", relative(at, now)),
            "`amends token create` makes another one; let both work until everybody has the new one",
        ),
        Some(at) => Finding::ok(check, format!("{text}, until {}", clock(at))),
        None => Finding::ok(check, text),
    })
}

/// What works, and should not.
fn weak(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some((source, _)) = &target.token else { return found };
    if let Some((text, help)) = source.open_to_all() {
        found.push(Finding::warn("token file", text, help));
    }
    if target.address.is_open_to_others() {
        found.push(Finding::warn(
            "plain http",
            "the token goes over plain http to another machine; everybody on the way can take it",
            "use the supervisor's https address",
        ));
    }
    found
}
