//! As whom the supervisor is asked: whether what the command line, the environment and the contexts say can be used.

use super::Finding;
use crate::client::Client;
use crate::connection::Connection;
use crate::target::Target;

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
            let with = client.credential().map_or("no token".to_owned(), |one| one.shown());
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
