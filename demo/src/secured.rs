//! What a run with `--secure` has besides: an authority of its own, a certificate for everybody, a token for everybody
//! whom the supervisor must know, and its configuration. All of it is made anew at each start and lies in the run's
//! folder; the authority's key lies nowhere.

use crate::business::Business;
use amends_service::{Certificates, OwnCertificate, SupervisorToken};
use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Who is somebody besides the services.
pub(crate) const SUPERVISOR: &str = "supervisor";
/// Customers, and the demo itself where it reads what has become of its orders.
pub(crate) const CUSTOMER: &str = "customer";
/// What stands before a service in a run with `--gateways`.
pub(crate) const GATEWAY: &str = "gateway";
/// A person who may do everything.
pub(crate) const ADMIN: &str = "admin";
/// Somebody whom only another authority knows (see [`crate::attacks`]).
pub(crate) const STRANGER: &str = "stranger";

/// How long certificates are valid: longer than anybody keeps a run up.
const VALID: Duration = Duration::from_secs(30 * 86_400);
/// Clocks of one machine agree, but for when somebody sets them.
const VALID_BEFORE: Duration = Duration::from_secs(3_600);

/// The folder of all that.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    folder: PathBuf,
}

impl Secured {
    /// What was made for the run in a folder.
    pub(crate) fn of(run: &Path) -> Self {
        Self { folder: run.join("secure") }
    }

    /// Makes everything anew.
    ///
    /// # Errors
    /// When a file can't be written, or the system gives no random numbers.
    pub(crate) fn make(run: &Path, business: &Business) -> anyhow::Result<Self> {
        let secured = Self::of(run);
        let mut folder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder
            .recursive(true)
            .create(&secured.folder)
            .with_context(|| format!("cannot create `{}`", secured.folder.display()))?;
        let (ours, other) = (authority("amends demo")?, authority("somebody else")?);
        secured.put("authority.pem", &ours.pem())?;
        for name in business.names().chain([SUPERVISOR, CUSTOMER, GATEWAY]) {
            secured.certify(name, &ours)?;
        }
        secured.certify(STRANGER, &other)?;
        for name in business.names().chain([CUSTOMER, ADMIN]) {
            secured.put(&format!("{name}.token"), &random_token()?)?;
        }
        secured.put("amends.toml", &secured.configuration_text(business)?)?;
        Ok(secured)
    }

    /// Whom somebody believes, and what they show.
    pub(crate) fn certificates(&self, of: &str) -> Certificates {
        Certificates {
            authorities: Some(self.authority()),
            own: Some(OwnCertificate {
                certificate: self.file(of, "pem"),
                key: self.file(of, "key"),
            }),
        }
    }

    /// The authority whose word counts.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Where the token of a service stands.
    pub(crate) fn token_file(&self, of: &str) -> SupervisorToken {
        SupervisorToken::InFile(self.file(of, "token"))
    }

    /// The token itself.
    ///
    /// # Errors
    /// When its file can't be read.
    pub(crate) fn token(&self, of: &str) -> anyhow::Result<String> {
        let file = self.file(of, "token");
        std::fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))
    }

    /// The supervisor's configuration.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("amends.toml")
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}.{kind}"))
    }

    /// Everybody must be known; services report as themselves, customers only look.
    fn configuration_text(&self, business: &Business) -> anyhow::Result<String> {
        // What JSON takes for a text, TOML does, too.
        let path = |file: &Path| serde_json::to_string(file);
        let (certificate, key) = (self.file(SUPERVISOR, "pem"), self.file(SUPERVISOR, "key"));
        let (certificate, key) = (path(&certificate)?, path(&key)?);
        let authority = path(&self.authority())?;
        let mut text = format!(
            "[tls]\ncertificate = {certificate}\nkey = {key}\nclient_authorities = {authority}\n\n\
             [access]\nrequired = \"on\"\n\n\
             [dispatch]\nallow_hosts = [\"127.0.0.1\"]\n\n\
             [ca]\ndemo = {{ file = {authority}, hosts = [\"127.0.0.1\"], only = true }}\n\n\
             [client_certificates]\nsupervisor = {{ file = {certificate}, key = {key} }}\n\n[tokens]\n"
        );
        let services = business.names().map(|name| (name, format!("report:{name}")));
        let people = [(CUSTOMER, "read:data".to_owned()), (ADMIN, "admin".to_owned())];
        for (name, grant) in services.chain(people) {
            let file = path(&self.file(name, "token"))?;
            writeln!(text, "{name} = {{ file = {file}, grants = [\"{grant}\"] }}")?;
        }
        Ok(text)
    }

    /// A certificate for whoever is on this machine, as server and as client.
    fn certify(&self, name: &str, by: &CertifiedIssuer<'_, KeyPair>) -> anyhow::Result<()> {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        describe(&mut params, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, by)?;
        self.put(&format!("{name}.pem"), &signed.pem())?;
        self.put(&format!("{name}.key"), &key.serialize_pem())
    }

    /// Writes a file for its owner alone.
    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&file)
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write `{}`", file.display()))
    }
}

fn authority(name: &str) -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    describe(&mut params, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn describe(params: &mut CertificateParams, name: &str) {
    let now = SystemTime::now();
    params.not_before = (now - VALID_BEFORE).into();
    params.not_after = (now + VALID).into();
    params.distinguished_name.push(DnType::CommonName, name);
}

/// 256 bits that nobody can guess.
fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    let mut text = String::with_capacity(64);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::food::FOOD_ORDER;

    #[test]
    fn everybody_has_files_of_their_own_which_nobody_else_can_read() {
        let run = tempfile::tempdir().expect("a folder");
        let secured = Secured::make(run.path(), &FOOD_ORDER).expect("made");
        for name in FOOD_ORDER.names().chain([SUPERVISOR, CUSTOMER, GATEWAY, STRANGER]) {
            secured.certificates(name).client_config().expect(name);
        }
        let tokens: std::collections::BTreeSet<_> = FOOD_ORDER
            .names()
            .chain([CUSTOMER, ADMIN])
            .map(|name| secured.token(name).expect(name))
            .collect();
        assert_eq!(tokens.len(), FOOD_ORDER.names().len() + 2, "no two are the same");
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let files = std::fs::read_dir(&secured.folder).expect("a folder");
            let files = files.map(|file| file.expect("a file").path());
            for path in files.chain([secured.folder.clone()]) {
                let mode = std::fs::metadata(&path).expect("a mode").mode();
                assert_eq!(mode & 0o077, 0, "{}", path.display());
            }
        }
    }

    #[test]
    fn another_run_has_other_keys() {
        let (one, two) = (tempfile::tempdir(), tempfile::tempdir());
        let [one, two] = [one, two].map(|run| {
            let run = run.expect("a folder");
            let secured = Secured::make(run.path(), &FOOD_ORDER).expect("made");
            let key = std::fs::read_to_string(secured.file(SUPERVISOR, "key")).expect("a key");
            (secured.token(ADMIN).expect("a token"), key)
        });
        assert!(one.0 != two.0 && one.1 != two.1);
    }
}
