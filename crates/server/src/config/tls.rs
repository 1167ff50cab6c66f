//! How our own addresses are encrypted. The files are read once, so that a mistake is told before anything runs.

use super::value::Reader;
use crate::tls::{AskClients, Offered, TlsOptions};
use std::path::PathBuf;

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "tls.client_authorities";
const CLIENTS: &str = "tls.client_certificates";

pub(super) fn read(read: &mut Reader<'_>) -> Option<TlsOptions> {
    let (certificate, key) = (read.text(CERTIFICATE), read.text(KEY));
    let clients = clients(read);
    if certificate.is_empty() {
        if !key.is_empty() {
            read.mistake(KEY, "there is no `tls.certificate` that it could belong to");
        }
        if clients != AskClients::Never {
            read.mistake(
                AUTHORITIES,
                "only an address with a `tls.certificate` can ask clients for theirs",
            );
        }
        return None;
    }
    // Both commonly stand in one file.
    let key = if key.is_empty() { certificate.clone() } else { key };
    let options = TlsOptions { certificate: certificate.into(), key: key.into(), clients };
    match Offered::new(options.clone()) {
        Ok(_) => Some(options),
        Err(why) => {
            read.mistake(CERTIFICATE, &why);
            None
        }
    }
}

fn clients(read: &mut Reader<'_>) -> AskClients {
    let authorities = read.text(AUTHORITIES);
    let must = match &*read.text(CLIENTS) {
        "optional" => false,
        "required" => true,
        _ => {
            read.mistake(CLIENTS, "it must be \"optional\" or \"required\"");
            false
        }
    };
    let file = PathBuf::from(&authorities);
    match (authorities.is_empty(), must) {
        (true, false) => AskClients::Never,
        (true, true) => {
            read.mistake(
                CLIENTS,
                "`tls.client_authorities` must name whose certificates are believed",
            );
            AskClients::Never
        }
        (false, false) => AskClients::MayShow(file),
        (false, true) => AskClients::MustShow(file),
    }
}
