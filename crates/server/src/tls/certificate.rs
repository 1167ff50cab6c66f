//! What a certificate says of whom it is for and until when. Its signature and its time are checked by rustls, before
//! anything of it is believed; here it is only read.

use crate::access::PeerCertificate;
use amends_protocol::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Most names that are read of one: those of a service are a few.
const MOST_NAMES: usize = 64;

/// The alternative names of a client's certificate. Its subject is no name: it is text for people.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> PeerCertificate {
    let Ok(read) = Certificate::from_der(certificate) else { return PeerCertificate::default() };
    let Ok(Some((_, SubjectAltName(all)))) = read.tbs_certificate().get_extension() else {
        return PeerCertificate::default();
    };
    let names = all.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(format!("dns:{}", name.as_str().to_ascii_lowercase())),
        GeneralName::UniformResourceIdentifier(uri) => Some(format!("uri:{}", uri.as_str())),
        GeneralName::Rfc822Name(address) => Some(format!("email:{}", address.as_str())),
        _ => None,
    });
    PeerCertificate { names: names.take(MOST_NAMES).collect() }
}

/// When a chain ends to be valid: the earliest end of all of it.
///
/// # Errors
/// Says which certificate can't be read.
pub(crate) fn expiry(chain: &[CertificateDer<'_>]) -> Result<Timestamp, String> {
    let mut earliest = i64::MAX;
    for (n, one) in chain.iter().enumerate() {
        let read = Certificate::from_der(one)
            .map_err(|e| format!("certificate {} can't be read: {e}", n + 1))?;
        let end = read.tbs_certificate().validity().not_after.to_unix_duration();
        earliest = earliest.min(i64::try_from(end.as_millis()).unwrap_or(i64::MAX));
    }
    Ok(Timestamp(earliest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    fn certificate(names: Vec<SanType>, ends: (i32, u8, u8)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = date_time_ymd(ends.0, ends.1, ends.2);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }

    fn text(text: &str) -> Ia5String {
        text.try_into().expect("ASCII")
    }

    #[test]
    fn the_alternative_names_are_told_each_with_its_kind() {
        let all = vec![
            SanType::DnsName(text("Payment.shop.svc")),
            SanType::URI(text("spiffe://shop/Payment")),
            SanType::Rfc822Name(text("ops@shop.example")),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        let names = names(&certificate(all, (2030, 1, 1))).names;
        let told = ["dns:payment.shop.svc", "uri:spiffe://shop/Payment", "email:ops@shop.example"];
        assert_eq!(names, told, "an address is no name; a domain has no case, a path has");
    }

    #[test]
    fn a_certificate_without_names_or_without_sense_has_none() {
        assert!(names(&certificate(vec![], (2030, 1, 1))).names.is_empty());
        assert!(names(&CertificateDer::from(vec![0x30, 0x82, 0xff])).names.is_empty());
    }

    #[test]
    fn a_chain_is_valid_as_long_as_all_of_it() {
        let (long, short) = (certificate(vec![], (2040, 1, 1)), certificate(vec![], (2030, 1, 2)));
        let ends = expiry(&[long.clone(), short]).expect("readable");
        assert_eq!(ends, Timestamp::parse("2030-01-02T00:00:00Z").expect("a time"));
        let broken = expiry(&[long, CertificateDer::from(vec![1, 2, 3])]).expect_err("broken");
        assert!(broken.starts_with("certificate 2 can't be read"), "{broken}");
    }
}
