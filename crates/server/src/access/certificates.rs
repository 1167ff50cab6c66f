//! Who somebody is by their certificate: what each of its names allows. The certificate's signature and time have been
//! checked in the handshake; here only names are compared. Pure.

use super::PeerCertificate;
use amends_api::access::{Grant, Principal, PrincipalKind};

/// What names allow; the order is that of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateGrants(Vec<(NamePattern, Vec<Grant>)>);

/// A name, of which one part may be any.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NamePattern {
    Exactly(String),
    /// `dns:*.shop.svc`: one label, and this after it.
    LabelBefore(String),
    /// `uri:spiffe://shop/*`: this, and one segment after it.
    SegmentAfter(String),
}

const HOW: &str = "write `dns:payment.shop.svc`, `dns:*.shop.svc`, `uri:spiffe://shop/payment`, `uri:spiffe://shop/*` or `email:ops@shop.example`; `*` is one whole label, or the last segment of a path";

impl NamePattern {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no name of a certificate; {HOW}");
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let is_plain = |name: &str| !name.is_empty() && !name.contains('*') && name.is_ascii();
        match kind {
            "dns" => match name.strip_prefix("*.") {
                // Below a name of one label is everybody.
                Some(rest) if is_plain(rest) && rest.contains('.') => {
                    Ok(Self::LabelBefore(format!(".{}", rest.to_ascii_lowercase())))
                }
                None if is_plain(name) => {
                    Ok(Self::Exactly(format!("dns:{}", name.to_ascii_lowercase())))
                }
                _ => Err(wrong()),
            },
            "uri" if name.contains("://") => match name.strip_suffix("/*") {
                // `spiffe://*` would be everybody.
                Some(rest) if is_plain(rest) && !rest.ends_with('/') => {
                    Ok(Self::SegmentAfter(format!("uri:{rest}/")))
                }
                None if is_plain(name) => Ok(Self::Exactly(text.to_owned())),
                _ => Err(wrong()),
            },
            "email" if is_plain(name) => Ok(Self::Exactly(text.to_owned())),
            _ => Err(wrong()),
        }
    }

    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exactly(one) => one == name,
            Self::LabelBefore(rest) => {
                let label = name.strip_prefix("dns:").and_then(|name| name.strip_suffix(&**rest));
                label.is_some_and(|label| {
                    !label.is_empty() && !label.contains('.') && !label.contains('*')
                })
            }
            Self::SegmentAfter(start) => name.strip_prefix(&**start).is_some_and(|segment| {
                !segment.is_empty() && !segment.contains(['/', '?', '#', '%'])
            }),
        }
    }
}

impl CertificateGrants {
    /// Adds what a name allows.
    ///
    /// # Errors
    /// When it is no name.
    pub fn add(&mut self, name: &str, grants: Vec<Grant>) -> Result<(), String> {
        self.0.push((NamePattern::read(name)?, grants));
        Ok(())
    }

    /// Whoever shows this certificate: all that any of its names allows, under the first name that allows anything;
    /// none if nothing is said of them.
    #[must_use]
    pub fn principal(&self, shown: &PeerCertificate) -> Option<Principal> {
        let mut grants: Vec<Grant> = Vec::new();
        let mut known = None;
        for name in &shown.names {
            for (_, more) in self.0.iter().filter(|(pattern, _)| pattern.fits(name)) {
                known.get_or_insert(name);
                grants.extend(more.iter().cloned());
            }
        }
        let name = format!("certificate:{}", known?);
        grants.sort();
        grants.dedup();
        Some(Principal { name, kind: PrincipalKind::Service, grants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[(&str, &str)]) -> CertificateGrants {
        let mut all = CertificateGrants::default();
        for (name, grant) in lines {
            all.add(name, vec![grant.parse().expect("a grant")]).expect("a name");
        }
        all
    }

    fn who(all: &CertificateGrants, names: &[&str]) -> Option<(String, Vec<String>)> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let principal = all.principal(&PeerCertificate { names })?;
        let grants = principal.grants.iter().map(ToString::to_string);
        Some((principal.name, grants.collect()))
    }

    #[test]
    fn a_service_is_known_by_a_name_of_its_certificate() {
        let all = grants(&[
            ("dns:payment.shop.svc", "report:payment"),
            ("uri:spiffe://shop/order", "report:order"),
        ]);
        let payment = who(&all, &["dns:payment.shop.svc"]).expect("known");
        let name = "certificate:dns:payment.shop.svc".to_owned();
        assert_eq!(payment, (name, vec!["report:payment".to_owned()]));
        assert!(who(&all, &["email:x@shop.example", "uri:spiffe://shop/order"]).is_some());
    }

    #[test]
    fn a_name_that_nearly_fits_is_nobodys() {
        let all = grants(&[
            ("dns:payment.shop.svc", "report:payment"),
            ("dns:*.pay.svc", "report:*"),
            ("uri:spiffe://shop/payment", "report:payment"),
            ("uri:spiffe://shop/ns/*", "report:*"),
            ("email:ops@shop.example", "read"),
        ]);
        for near in [
            "dns:payment.shop.svc.evil.example",
            "dns:evil-payment.shop.svc",
            "dns:payment.shop.svc.",
            "dns:payment.shop",
            "dns:pay.svc",
            "dns:.pay.svc",
            "dns:a.b.pay.svc",
            "dns:*.pay.svc",
            "dns:evilpay.svc",
            "uri:spiffe://shop/payment/",
            "uri:spiffe://shop/Payment",
            "uri:spiffe://shop.evil/payment",
            "uri:spiffe://shop/ns/",
            "uri:spiffe://shop/ns/a/b",
            "uri:spiffe://shop/ns/a?b",
            "uri:spiffe://shop/ns/%2e%2e",
            "uri:spiffe://evil/ns/a",
            "uri:dns:payment.shop.svc",
            "email:ops@shop.example.evil",
            "payment.shop.svc",
            "",
        ] {
            assert_eq!(who(&all, &[near]), None, "{near}");
        }
        assert!(who(&all, &["dns:a.pay.svc"]).is_some());
        assert!(who(&all, &["uri:spiffe://shop/ns/a"]).is_some());
    }

    #[test]
    fn several_names_allow_together_what_each_allows() {
        let all = grants(&[
            ("dns:payment.shop.svc", "report:payment"),
            ("dns:*.shop.svc", "read"),
            ("uri:spiffe://shop/payment", "report:payment"),
        ]);
        let names = ["dns:unknown.example", "uri:spiffe://shop/payment", "dns:payment.shop.svc"];
        let (name, grants) = who(&all, &names).expect("known");
        assert_eq!(name, "certificate:uri:spiffe://shop/payment");
        assert_eq!(grants, ["report:payment", "read"], "each once");
    }

    #[test]
    fn a_certificate_without_names_is_nobodys() {
        let all = grants(&[("dns:payment.shop.svc", "admin")]);
        assert_eq!(who(&all, &[]), None);
        assert_eq!(who(&CertificateGrants::default(), &["dns:payment.shop.svc"]), None);
    }

    #[test]
    fn a_pattern_for_everybody_is_refused() {
        for wrong in [
            "*",
            "dns:*",
            "dns:*.svc",
            "dns:pay*.shop.svc",
            "dns:a.*.svc",
            "dns:",
            "uri:*",
            "uri:spiffe://*",
            "uri:spiffe://shop/*/x",
            "uri:shop",
            "email:*@shop.example",
            "payment.shop.svc",
            "ip:10.0.0.7",
            "",
        ] {
            let why = CertificateGrants::default().add(wrong, Vec::new()).expect_err(wrong);
            assert!(why.contains("dns:payment.shop.svc"), "{why}");
        }
    }
}
