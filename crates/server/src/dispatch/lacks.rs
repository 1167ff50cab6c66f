//! Rulebooks against what the configuration knows of destinations: what services would ask for in vain, and what no
//! rulebook asks for. Told before the first step waits for a person.

use super::Destinations;
use super::route::Route;
use amends_protocol::{ActionName, Verb};
use amends_rulebook::{Action, Rulebook, Service};
use http::Uri;
use http::uri::Authority;
use std::collections::BTreeSet;

/// What placeholders of secrets begin with.
const SECRET: &str = "secret.";

impl Destinations {
    /// Why nothing, or not everything, could be sent to the services of a rulebook: a signing key or a secret is
    /// missing, or an address or secret may not be used. In the order of the services; each sentence names its
    /// service.
    #[must_use]
    pub fn lacks(&self, book: &Rulebook) -> Vec<String> {
        // One that only calls others may have no address; all others must, or it is no rulebook.
        let asked = book.services().iter().filter(|service| service.url.is_some());
        asked.flat_map(|service| self.lacks_for(book, service)).collect()
    }

    fn lacks_for(&self, book: &Rulebook, service: &Service) -> Vec<String> {
        let mut lacks: Vec<String> = Route::new(book, service, self).err().into_iter().collect();
        let host = service.url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let host: Option<Authority> = host.and_then(|uri| uri.authority().cloned());
        for (action, secret) in secrets(book, service) {
            // Without a host, the address is wrong, which is told above.
            let why = host.as_ref().and_then(|host| self.secrets.reveal(secret, host).err());
            lacks.extend(why.map(|why| format!("service `{}`, `{action}`: {why}", service.name)));
        }
        lacks
    }

    /// Keys of the configuration that none of these rulebooks names, as the configuration calls them. `also` are names
    /// that the configuration itself uses.
    #[must_use]
    pub fn unused<'b>(
        &self,
        books: impl IntoIterator<Item = &'b Rulebook> + Clone,
        also: &[&str],
    ) -> Vec<String> {
        let mut used: BTreeSet<&str> = also.iter().copied().collect();
        for service in books.clone().into_iter().flat_map(Rulebook::services) {
            used.extend(service.signing_key.as_deref());
        }
        for book in books {
            let services = book.services().iter();
            used.extend(services.flat_map(|service| secrets(book, service)).map(|(_, name)| name));
        }
        let signers = self.signers.keys().map(|name| ("signing_keys", name.as_str()));
        let secrets = self.secrets.names().map(|name| ("secrets", name));
        let left = signers.chain(secrets).filter(|(_, name)| !used.contains(name));
        left.map(|(table, name)| format!("{table}.{name}")).collect()
    }
}

/// The secrets that the requests to a service take, each once with the first action that takes it.
fn secrets<'b>(book: &'b Rulebook, service: &'b Service) -> Vec<(&'b ActionName, &'b str)> {
    let mut seen = BTreeSet::new();
    let actions = service.actions.iter().map(|id| book.get(*id));
    let of_action = |action: &'b Action| {
        let endpoints = Verb::ALL.iter().filter_map(|verb| action.endpoints.get(*verb));
        let polls = endpoints.clone().filter_map(|endpoint| endpoint.poll.as_ref()?.path.as_ref());
        let named = endpoints.flat_map(|endpoint| endpoint.placeholders());
        let all = named.chain(polls.flat_map(|path| path.fields()));
        all.filter_map(|field| Some((&action.name, field.strip_prefix(SECRET)?)))
            .collect::<Vec<_>>()
    };
    let all = actions.flat_map(of_action);
    all.filter(|(_, name)| seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{Secrets, Signer};
    use std::sync::Arc;

    const BOOK: &str = "rulebook: shop
services:
  shop: { actions: { sell: { effect: none, calls: [pay.charge, mail.send] } } }
  pay:
    url: \"http://pay.example:8080\"
    signing_key: payments
    actions:
      charge:
        compensation: refund
        endpoints:
          compensate:
            path: /refunds
            headers: { authorization: \"Bearer {secret.provider}\" }
            done: [200]
  mail: { url: \"http://mail.example\", actions: { send: { compensation: recall } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

    #[test]
    fn what_services_would_ask_for_in_vain_is_told_of_each() {
        let book = Rulebook::from_yaml(BOOK).expect("a rulebook");
        let lacks = Destinations::default().lacks(&book).join("\n");
        for part in [
            "`pay` wants the signing key `payments`",
            "service `pay`, `pay.charge`: there is no secret `provider`",
        ] {
            assert!(lacks.contains(part), "`{part}` is missing in\n{lacks}");
        }
        assert!(!lacks.contains("`shop`"), "nothing is sent to it: {lacks}");
        assert!(!lacks.contains("`mail`"), "it lacks nothing: {lacks}");

        let mut secrets = Secrets::default();
        secrets.add("provider", "long enough", vec!["other.example".to_owned()]).expect("a secret");
        let given = Destinations { secrets: Arc::new(secrets), ..Destinations::default() };
        let lacks = given.lacks(&book).join("\n");
        assert!(lacks.contains("may not go to `pay.example:8080`"), "{lacks}");
    }

    #[test]
    fn keys_that_nobody_names_are_listed() {
        let book = Rulebook::from_yaml(BOOK).expect("a rulebook");
        let signers = ["payments", "alerts", "old"].map(|n| (n.to_owned(), Signer::without_keys()));
        let mut secrets = Secrets::default();
        for name in ["provider", "proxy", "forgotten"] {
            secrets.add(name, "long enough", vec!["pay.example".to_owned()]).expect("a secret");
        }
        let given = Destinations {
            signers: signers.into(),
            secrets: Arc::new(secrets),
            ..Destinations::default()
        };
        let unused = given.unused([&*book], &["alerts", "proxy"]);
        assert_eq!(unused, ["signing_keys.old", "secrets.forgotten"]);
    }
}
