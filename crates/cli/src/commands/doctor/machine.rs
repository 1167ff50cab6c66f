//! What this machine holds: rulebook files, the store, room on its disk.

use super::Finding;
use amends_protocol::Timestamp;
use amends_rulebook::{Diagnostic, Rulebook, Severity};
use amends_server::access::Exposure;
use amends_server::books::load_path;
use amends_server::{Config, certificate_standing};
use amends_store::{StoreError, inspect};
use std::path::Path;

/// Below this nothing should run any more, in bytes: SQLite's log alone may take 16 MiB, and a checkpoint as much again.
const TOO_LITTLE: u64 = 100 << 20;
/// Below this somebody should look, in bytes.
const LITTLE: u64 = 1 << 30;

/// Rulebook files. Adds the services that they name, with their addresses.
pub(super) fn rules(config: &Config, services: &mut Vec<(String, String)>) -> Vec<Finding> {
    let Some(path) = &config.rules else {
        let help = "set `rules` to a file or folder, or put rulebooks over the API";
        return vec![Finding::warn("rulebooks", "no file or folder is set", help)];
    };
    let files = match load_path(path) {
        Ok(files) => files,
        Err(error) => return vec![Finding::fail("rulebooks", error.to_string(), "check `rules`")],
    };
    if files.is_empty() {
        let text = format!("`{}` holds no rulebook", path.display());
        return vec![Finding::fail("rulebooks", text, "put a `*.yaml` file there")];
    }
    let mut found = Vec::new();
    for file in files {
        let check = format!("rulebook {}", file.path.display());
        let see =
            format!("`amends rules check {}` shows them with their lines", file.path.display());
        let count = file.loaded.diagnostics.len();
        found.extend(file.loaded.rulebook.iter().flat_map(|book| nowhere(config, book)));
        found.push(match &file.loaded.rulebook {
            Some(book) => {
                let with_url = book.services().iter();
                services
                    .extend(with_url.filter_map(|s| Some((s.name.to_string(), s.url.clone()?))));
                match count {
                    0 => Finding::ok(&check, format!("`{}` has no mistakes", book.name())),
                    n => Finding::warn(&check, format!("{n} warnings"), see),
                }
            }
            None => Finding::fail(&check, format!("{count} findings, and it can't be used"), see),
        });
    }
    found
}

/// Services that the supervisor would send nothing to.
fn nowhere(config: &Config, book: &Rulebook) -> Vec<Finding> {
    let findings = config.outbound.destinations.allow_hosts.findings(book).into_iter();
    let finding = |d: Diagnostic| {
        let check = format!("rulebook {}", book.name());
        let help = d.help.unwrap_or_default();
        match d.severity {
            Severity::Error => Finding::fail(&check, d.message, help),
            Severity::Warning | Severity::Note => Finding::warn(&check, d.message, help),
        }
    };
    findings.map(finding).collect()
}

/// The way out: who may be asked, and through whom.
pub(super) fn outbound(config: &Config) -> Vec<Finding> {
    let out = &config.outbound;
    let check = "outbound";
    let mut found = Vec::new();
    let listening = config.listen.parse().ok();
    if let Some(why) = listening.and_then(|listening| config.open_to_all(listening)) {
        let help = "list them in `dispatch.allow_hosts`; see docs/guides/calling-outside.md";
        found.push(Finding::warn(check, why, help));
    }
    let proxies: Vec<String> = out.proxies.addresses().map(ToString::to_string).collect();
    let by = match &proxies[..] {
        [] => "directly".to_owned(),
        some => format!("through {}", some.join(" and ")),
    };
    let whom = match out.destinations.allow_hosts.is_open() {
        true => "any host but link-local and metadata addresses",
        false => "the hosts of `dispatch.allow_hosts`",
    };
    let believed = match out.authorities.is_empty() {
        true => "",
        false => ", and believe the authorities in `[ca]`",
    };
    let shown = match out.identities.is_empty() {
        true => "",
        false => ", and show the certificates in `[client_certificates]` where they are asked for",
    };
    found.push(Finding::ok(check, format!("requests go {by}, to {whom}{believed}{shown}")));
    found
}

/// The way in: whether what is said there is encrypted, and until when its certificate is valid.
pub(super) fn inbound(config: &Config, now: Timestamp) -> Vec<Finding> {
    let help = "`chmod 600` keeps it to its owner";
    let loose = config.loose_files.iter().map(|why| Finding::warn("key files", why.clone(), help));
    let mut found: Vec<Finding> = loose.collect();
    let addresses = std::iter::once(&config.listen).chain(&config.listen_services);
    for address in addresses.filter_map(|address| address.parse().ok()) {
        let exposure = Exposure {
            encrypted: config.tls.is_some(),
            behind_proxy: config.access.behind_proxy,
            controlled: config.access.required.at(address),
            insecure: config.access.insecure,
        };
        let help = "docs/guides/tls.md tells what an address needs that others reach";
        match exposure.judge(address) {
            Ok(None) => {}
            Ok(Some(why)) => found.push(Finding::warn("listen", why, help)),
            Err(why) => found.push(Finding::fail("listen", why, help)),
        }
    }
    found.extend(certificate(config, now));
    found
}

/// Until when the certificate is valid that it is reached by.
fn certificate(config: &Config, now: Timestamp) -> Option<Finding> {
    let tls = config.tls.as_ref()?;
    let check = "certificate";
    let shown = tls.certificate.display();
    let help = "put a new certificate and its key into their files; a running supervisor takes them by itself";
    Some(match certificate_standing(tls, now) {
        Ok((ends, None)) => Finding::ok(check, format!("`{shown}` is valid until {ends}")),
        Ok((ends, Some(why))) if ends > now => {
            Finding::warn(check, format!("{why} ({ends})"), help)
        }
        Ok((ends, Some(why))) => Finding::fail(check, format!("{why} ({ends})"), help),
        Err(why) => Finding::fail(check, why, help),
    })
}

/// The store: whether it can be read, is of a known version, and is whole.
pub(super) fn store(config: &Config) -> Finding {
    let folder = config.data.display();
    match inspect(&config.data) {
        Ok(None) => Finding::warn(
            "store",
            format!("there is none in `{folder}` yet"),
            "`amends serve` begins one; check `data` if you expected one",
        ),
        Ok(Some(seen)) => {
            let used = if seen.in_use { ", in use by a supervisor" } else { "" };
            let size = size(seen.bytes);
            let text = format!("`{folder}` holds {} cases in {size}{used}", seen.cases);
            match (seen.damage, seen.checked) {
                (Some(damage), _) => Finding::fail(
                    "store",
                    format!("`{folder}` is damaged: {damage}"),
                    "stop the supervisor and restore the last backup",
                ),
                (None, false) => {
                    Finding::ok("store", format!("{text}; too large to be looked through now"))
                }
                (None, true) => Finding::ok("store", text),
            }
        }
        Err(error @ StoreError::NewerSchema { .. }) => {
            Finding::fail("store", error.to_string(), "use the newer `amends`")
        }
        Err(error) => Finding::fail("store", error.to_string(), "check `data` and who may read it"),
    }
}

/// Room on the disk of the store.
pub(super) fn disk(config: &Config) -> Finding {
    // The folder may not be there yet; then the nearest one that is.
    let absolute = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    let Some(place) = absolute.ancestors().find(|path| path.is_dir()) else {
        return Finding::fail(
            "disk space",
            format!("`{}` leads nowhere", absolute.display()),
            "check `data`",
        );
    };
    match free(place) {
        Ok(bytes) => {
            let text = format!("{} are free at `{}`", size(bytes), place.display());
            let help = "make room, keep settled cases for less long (`retention.settled`), or move backups away";
            match bytes {
                ..TOO_LITTLE => Finding::fail("disk space", text, help),
                TOO_LITTLE..LITTLE => Finding::warn("disk space", text, help),
                LITTLE.. => Finding::ok("disk space", text),
            }
        }
        Err(error) => Finding::warn(
            "disk space",
            format!("it can't be read: {error}"),
            "look at it with `df`",
        ),
    }
}

#[cfg(unix)]
fn free(place: &Path) -> std::io::Result<u64> {
    let seen = rustix::fs::statvfs(place)?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
}

#[cfg(not(unix))]
fn free(_place: &Path) -> std::io::Result<u64> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// `12.3 GiB`.
pub(super) fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // one digit after the point
    let bytes = bytes as f64;
    match bytes {
        b if b < 1_048_576.0 => format!("{:.1} KiB", b / 1_024.0),
        b if b < 1_073_741_824.0 => format!("{:.1} MiB", b / 1_048_576.0),
        b => format!("{:.1} GiB", b / 1_073_741_824.0),
    }
}
