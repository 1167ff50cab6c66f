//! Where requests go: addresses of a rulebook's services, parsed once per version. A host comes only from a rulebook,
//! never from a report or an answer.

use super::allowed::AllowedHosts;
use super::secrets::Secrets;
use super::sign::Signer;
use amends_protocol::Verb;
use amends_protocol::wire::percent;
use amends_rulebook::{Action, ActionClass, ActionId, Endpoints, Rulebook, Service};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use url::{Position, Url};

/// Versions of rulebooks whose addresses are kept. Cases keep theirs, so there may be some; beyond this all are parsed
/// again, which costs microseconds per service.
const VERSIONS_KEPT: usize = 64;

/// What the configuration allows and knows about destinations.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    /// Signing keys by the name that rulebooks use.
    pub signers: BTreeMap<String, Signer>,
    /// The hosts that requests may go to.
    pub allow_hosts: AllowedHosts,
    /// Secrets by the name that rulebooks use.
    pub secrets: Arc<Secrets>,
    /// Where services reach this supervisor, without a slash at the end; none if that is not known.
    pub callbacks: Option<Arc<str>>,
}

/// The address of one service.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    scheme: Scheme,
    authority: Authority,
    /// Path of the service's URL without a slash at the end.
    prefix: String,
    pub(crate) signer: Option<Signer>,
    /// Every action that steps can be about is mapped to endpoints of its own, so there is no History to ask for.
    pub(crate) without_history: bool,
    secrets: Arc<Secrets>,
}

/// The addresses of one version of a rulebook.
#[derive(Debug)]
pub(crate) struct Routes {
    /// By `ServiceId`; the error says why nothing can be sent there.
    services: Vec<Result<Route, String>>,
    /// By `ActionId` and verb: the participant protocol's address.
    actions: Vec<Option<[Uri; 3]>>,
    callbacks: Option<Arc<str>>,
}

/// The addresses of all versions in use.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    destinations: Destinations,
    versions: RwLock<FxHashMap<Box<str>, Arc<Routes>>>,
}

impl RouteTable {
    pub(crate) fn new(destinations: Destinations) -> Self {
        Self { destinations, versions: RwLock::default() }
    }

    pub(crate) fn of(&self, book: &Rulebook) -> Arc<Routes> {
        if let Some(routes) =
            self.versions.read().unwrap_or_else(PoisonError::into_inner).get(book.hash())
        {
            return Arc::clone(routes);
        }
        let routes = Arc::new(Routes::new(book, &self.destinations));
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= VERSIONS_KEPT {
            versions.clear();
        }
        versions.insert(book.hash().into(), Arc::clone(&routes));
        routes
    }
}

impl Routes {
    fn new(book: &Rulebook, destinations: &Destinations) -> Self {
        let services: Vec<_> =
            book.services().iter().map(|s| Route::new(book, s, destinations)).collect();
        let protocol = |action: &Action| {
            let route = services.get(action.service.0 as usize)?.as_ref().ok()?;
            let uri = |verb: Verb| {
                let name = percent::segment(&action.name.action);
                route.at(&format!("/amends/v1/{verb}/{name}")).ok()
            };
            Some([uri(Verb::Compensate)?, uri(Verb::Retry)?, uri(Verb::Notify)?])
        };
        let actions = book.actions().iter().map(protocol).collect();
        Self { services, actions, callbacks: destinations.callbacks.clone() }
    }

    /// Where the service of an action is.
    pub(crate) fn service(&self, index: usize) -> Result<&Route, String> {
        match self.services.get(index) {
            Some(Ok(route)) => Ok(route),
            Some(Err(why)) => Err(why.clone()),
            None => Err("the rulebook has no such service".to_owned()),
        }
    }

    /// Where the late outcome of a step goes, if it is known where services reach us.
    pub(crate) fn callback(&self, step: &str) -> Option<String> {
        self.callbacks.as_ref().map(|base| format!("{base}/v1/steps/{step}/outcome"))
    }

    /// The participant protocol's address of a step.
    pub(crate) fn step(&self, action: ActionId, verb: Verb) -> Option<&Uri> {
        let [compensate, retry, notify] = self.actions.get(action.0 as usize)?.as_ref()?;
        Some(match verb {
            Verb::Compensate => compensate,
            Verb::Retry => retry,
            Verb::Notify => notify,
        })
    }
}

impl Route {
    pub(super) fn new(
        book: &Rulebook,
        service: &Service,
        destinations: &Destinations,
    ) -> Result<Self, String> {
        let name = &service.name;
        let url = service.url.as_deref().ok_or_else(|| {
            format!("service `{name}` has no `url` in rulebook `{}`; give it one", book.name())
        })?;
        let uri: Uri =
            url.parse().map_err(|e| format!("`{url}` of service `{name}` is not a URL: {e}"))?;
        let parts = uri.clone().into_parts();
        let scheme = parts
            .scheme
            .ok_or_else(|| format!("`{url}` of service `{name}` needs `http://` in front"))?;
        if scheme != Scheme::HTTP && !(cfg!(feature = "tls") && scheme == Scheme::HTTPS) {
            return Err(format!("`{url}` of service `{name}`: this build speaks no `{scheme}`"));
        }
        let authority =
            parts.authority.ok_or_else(|| format!("`{url}` of service `{name}` has no host"))?;
        if authority.as_str().contains('@') {
            // They would end up in logs, and nobody would send them.
            return Err(format!(
                "the `url` of service `{name}` holds credentials; map a header in `endpoints` instead"
            ));
        }
        destinations
            .allow_hosts
            .judge(&uri)
            .map_err(|refusal| format!("service `{name}`: {refusal}"))?;
        let signer = match &service.signing_key {
            None => None,
            Some(key) => Some(destinations.signers.get(key).cloned().ok_or_else(|| {
                format!("service `{name}` wants the signing key `{key}`; add it to `signing_keys` of the configuration")
            })?),
        };
        let prefix = parts
            .path_and_query
            .map(|p| p.path().trim_end_matches('/').to_owned())
            .unwrap_or_default();
        Ok(Self {
            scheme,
            authority,
            prefix,
            signer,
            without_history: is_mapped_throughout(book, service),
            secrets: Arc::clone(&destinations.secrets),
        })
    }

    /// The address of a path (with query) of this service.
    pub(crate) fn at(&self, path: &str) -> Result<Uri, String> {
        self.absolute(&format!("{}{path}", self.prefix))
    }

    /// A secret for a request to this service.
    ///
    /// # Errors
    /// There is none of that name, or it may not go there.
    pub(crate) fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets.reveal(name, &self.authority)
    }

    /// The address of a saga's History, or of the page behind this `next`.
    pub(crate) fn history(&self, saga: &str, after: Option<&str>) -> Result<Uri, String> {
        let after = after.map(|next| format!("?after={}", percent::part(next))).unwrap_or_default();
        self.at(&format!("/amends/v1/history/{}{after}", percent::segment(saga)))
    }

    fn absolute(&self, path: &str) -> Result<Uri, String> {
        let path: PathAndQuery =
            path.parse().map_err(|e| format!("`{path}` is not a path: {e}"))?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|e| e.to_string())
    }

    /// Where a `Location` of the answer to `asked` points, as path and query of this service.
    ///
    /// # Errors
    /// It leaves this scheme, host and port, or can't be read.
    pub(crate) fn resolve(&self, asked: &Uri, location: &str) -> Result<String, String> {
        // RFC 9110 section 10.2.2: relative to the address of the request itself, by RFC 3986 section 5.
        let base = Url::parse(&asked.to_string()).map_err(|e| e.to_string())?;
        let target = base.join(location).map_err(|_| self.leaves(location))?;
        let named = Url::parse(&format!("{}://{}", self.scheme, self.authority));
        if !named.is_ok_and(|here| here.origin() == target.origin())
            || !target.username().is_empty()
        {
            return Err(self.leaves(location));
        }
        Ok(target[Position::BeforePath..Position::AfterQuery].to_owned())
    }

    /// The address of what [`Route::resolve`] gave.
    pub(crate) fn locate(&self, location: &str) -> Result<Uri, String> {
        let base = self.at("/")?;
        self.absolute(&self.resolve(&base, location)?)
    }

    fn leaves(&self, location: &str) -> String {
        format!("the `Location` `{location}` leaves `{}://{}`", self.scheme, self.authority)
    }
}

/// Whether `host` or `host:port` of the configuration names it.
pub(super) fn names(one: &str, authority: &Authority) -> bool {
    one.eq_ignore_ascii_case(authority.host()) || one.eq_ignore_ascii_case(authority.as_str())
}

fn is_mapped_throughout(book: &Rulebook, service: &Service) -> bool {
    let mut asked = service
        .actions
        .iter()
        .map(|id| book.get(*id))
        .filter(|a| a.class != ActionClass::Free)
        .peekable();
    asked.peek().is_some() && asked.all(|a| a.endpoints != Endpoints::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn book(url: &str, more: &str) -> Arc<Rulebook> {
        let text = format!(
            "rulebook: r\nservices:\n  pay:\n    url: \"{url}\"\n{more}    actions: {{ charge: {{ compensation: refund }} }}\nrules:\n  - {{ on: \"*/*\", compensate: recorded }}\n"
        );
        Rulebook::from_yaml(&text).expect("a valid rulebook")
    }

    fn route(url: &str) -> Route {
        let book = book(url, "");
        Route::new(&book, &book.services()[0], &Destinations::default()).expect("a route")
    }

    #[test]
    fn steps_go_below_the_services_url() {
        let routes = Routes::new(&book("http://pay.local:8080/base", ""), &Destinations::default());
        let uri = routes.step(ActionId(0), Verb::Compensate).expect("an address");
        assert_eq!(uri, "http://pay.local:8080/base/amends/v1/compensate/charge");
        let history =
            routes.service(0).expect("a route").history("o/1?x", None).expect("an address");
        assert_eq!(history, "http://pay.local:8080/base/amends/v1/history/o%2F1%3Fx");
        let page = routes.service(0).expect("a route").history("o-1", Some("7&x")).expect("one");
        assert_eq!(page, "http://pay.local:8080/base/amends/v1/history/o-1?after=7%26x");
    }

    #[test]
    fn a_location_stays_with_its_service() {
        let route = route("http://pay.local/base");
        for (location, wanted) in [
            ("/jobs/7?x=1", "http://pay.local/jobs/7?x=1"),
            ("jobs/7", "http://pay.local/base/jobs/7"),
            ("job", "http://pay.local/base/job"),
            ("http://pay.local/jobs/7", "http://pay.local/jobs/7"),
            ("http://PAY.local:80/jobs/7#part", "http://pay.local/jobs/7"),
        ] {
            assert_eq!(route.locate(location).expect(location), wanted);
        }
        for location in [
            "https://pay.local/jobs/7",
            "http://pay.local:81/jobs/7",
            "http://169.254.169.254/latest/meta-data",
            "http://pay.local@evil.example/",
            "//evil.example/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://evil.example:80/jobs/7",
        ] {
            assert!(route.locate(location).is_err(), "{location} must not be followed");
        }
    }

    #[test]
    fn a_location_is_relative_to_the_request_that_it_answers() {
        let route = route("http://pay.local/base");
        let asked: Uri = "http://pay.local/base/payments/7/return".parse().expect("an address");
        for (location, wanted) in [
            ("status", "/base/payments/7/status"),
            ("../jobs/7", "/base/payments/jobs/7"),
            ("/jobs/7?x=1#part", "/jobs/7?x=1"),
            ("?look", "/base/payments/7/return?look"),
            ("http://pay.local:80/jobs/7", "/jobs/7"),
        ] {
            let place = route.resolve(&asked, location).expect(location);
            assert_eq!(place, wanted);
            assert_eq!(route.resolve(&asked, &place), Ok(place.clone()), "it stays where it is");
        }
    }

    #[test]
    fn the_configuration_can_narrow_the_hosts() {
        let book = book("http://pay.local:8080", "");
        let with = |allowed: &str| {
            let allow_hosts = AllowedHosts::read(&[allowed.to_owned()]).expect("a host");
            let destinations = Destinations { allow_hosts, ..Destinations::default() };
            Route::new(&book, &book.services()[0], &destinations)
        };
        assert!(with("pay.local").is_ok() && with("PAY.local:8080").is_ok());
        let error = with("other.local").expect_err("not allowed");
        assert!(error.contains("allow_hosts") && error.contains("pay.local"), "{error}");
    }

    #[test]
    fn a_signing_key_must_be_configured() {
        let book = book("http://pay.local", "    signing_key: payments\n");
        let mut destinations = Destinations::default();
        let error = Route::new(&book, &book.services()[0], &destinations).expect_err("unknown key");
        assert!(error.contains("`payments`") && error.contains("signing_keys"), "{error}");
        destinations.signers.insert("payments".to_owned(), Signer::new(&[KEY]).expect("a key"));
        assert!(
            Route::new(&book, &book.services()[0], &destinations)
                .expect("a route")
                .signer
                .is_some()
        );
    }

    #[test]
    fn many_versions_do_not_pile_up() {
        let table = RouteTable::default();
        for n in 0..200 {
            let book = book(&format!("http://pay.local:{}", 1000 + n), "");
            let routes = table.of(&book);
            assert!(Arc::ptr_eq(&routes, &table.of(&book)), "parsed once");
        }
        assert!(table.versions.read().expect("not poisoned").len() <= VERSIONS_KEPT);
    }
}
