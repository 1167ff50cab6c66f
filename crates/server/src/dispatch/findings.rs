//! What of a rulebook is not for the hosts that the configuration allows: told when it is put, read or checked, and not
//! only when its first step waits.

use super::allowed::{AllowedHosts, Refusal};
use amends_rulebook::{Diagnostic, Rulebook, Service, Severity};
use http::Uri;

impl AllowedHosts {
    /// What of a rulebook is not for these hosts: an error where a service is at an address that no request goes
    /// to, a warning where the configuration names the hosts that are allowed and this is none of them.
    #[must_use]
    pub fn findings(&self, book: &Rulebook) -> Vec<Diagnostic> {
        let finding = |service: &Service| {
            let uri: Uri = service.url.as_deref()?.parse().ok()?;
            let refusal = self.judge(&uri).err()?;
            let (code, severity, label, help) = match refusal {
                Refusal::NotNamed(_) => (
                    "host-not-allowed",
                    Severity::Warning,
                    "its steps would wait for a person",
                    "add the host to `dispatch.allow_hosts` of the supervisor's configuration, or correct the `url`",
                ),
                Refusal::Address { .. } | Refusal::Metadata(_) => (
                    "refused-address",
                    Severity::Error,
                    "nothing is ever sent there",
                    "correct the `url`; if it is meant, name the address itself in `dispatch.allow_hosts` of the supervisor's configuration",
                ),
            };
            Some(Diagnostic {
                code,
                severity,
                message: format!("service `{}`: {refusal}", service.name),
                at: service.span,
                label: label.to_owned(),
                related: Vec::new(),
                help: Some(help.to_owned()),
            })
        };
        book.services().iter().filter_map(finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_nothing_is_sent_to_are_found_in_the_rulebook() {
        let found = |url: &str, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|one| (*one).to_owned()).collect();
            let allow_hosts = AllowedHosts::read(&allowed).expect("hosts");
            let text = format!(
                "rulebook: r\nservices:\n  pay:\n    url: \"{url}\"\n    actions: {{ charge: {{ compensation: refund }} }}\nrules:\n  - {{ on: \"*/*\", compensate: recorded }}\n"
            );
            let found = allow_hosts.findings(&Rulebook::from_yaml(&text).expect("a rulebook"));
            found.iter().map(|one| (one.code, one.severity)).collect::<Vec<_>>()
        };
        assert_eq!(found("http://pay.local", &[]), []);
        assert_eq!(found("http://127.0.0.1:1", &[]), []);
        let refused = [("refused-address", Severity::Error)];
        assert_eq!(found("http://169.254.169.254", &[]), refused);
        assert_eq!(found("http://0xa9fea9fe/", &["*"]), refused);
        assert_eq!(found("http://169.254.169.254", &["169.254.169.254"]), []);
        let warned = [("host-not-allowed", Severity::Warning)];
        assert_eq!(found("http://pay.local", &["other.local"]), warned);
    }
}
