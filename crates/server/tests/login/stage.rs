//! A supervisor that believes one provider.

use crate::browser::{Browser, Page};
use crate::liar::{Asked, Liar, SECRET};
use amends_server::config::Layers;
use amends_server::{Config, Running, start};
use std::path::Path;
use tempfile::TempDir;

/// A supervisor, and the provider that it believes.
pub struct Stage {
    pub running: Running,
    pub liar: Liar,
    _folder: TempDir,
}

impl Stage {
    /// With a provider that lies as it is told.
    pub async fn set() -> Self {
        let liar = Liar::start().await;
        Self::with(liar, "").await
    }

    /// With more of a configuration.
    pub async fn with(liar: Liar, more: &str) -> Self {
        let (folder, running) = supervisor(&liar.issuer(), more).await;
        Self { running, liar, _folder: folder }
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.running.address)
    }

    /// Begins a login that leads to `next`.
    pub async fn begin(&self, browser: &mut Browser, next: &str) -> Asked {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        let page = browser.get(&Browser::at(&format!("/login/provider?{query}"))).await;
        let to = page.location.unwrap_or_else(|| panic!("it leads to the provider: {}", page.body));
        assert!(to.as_str().starts_with(&format!("{}/authorize?", self.liar.issuer())), "{to}");
        Asked::of(&to)
    }

    /// Comes back from the provider as it should.
    pub async fn come_back(&self, browser: &mut Browser, asked: &Asked) -> Page {
        let code = self.liar.code(asked);
        self.answer(
            browser,
            &[("code", &code), ("state", &asked.state), ("iss", &self.liar.issuer())],
        )
        .await
    }

    /// Comes back with an answer of the test's own.
    pub async fn answer(&self, browser: &mut Browser, answer: &[(&str, &str)]) -> Page {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
        browser.get(&Browser::at(&format!("/login/callback?{query}"))).await
    }

    /// A whole login of somebody who may.
    pub async fn log_in(&self, browser: &mut Browser) {
        let asked = self.begin(browser, "/").await;
        let page = self.come_back(browser, &asked).await;
        assert_eq!(page.status, 303, "{}", page.body);
    }
}

/// Starts one that believes an issuer.
pub async fn supervisor(issuer: &str, more: &str) -> (TempDir, Running) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("secret"), SECRET).expect("written");
    let host = issuer.trim_start_matches("http://");
    let text = format!(
        "listen = '127.0.0.1:0'
        data = '{data}'
        [alerts]
        public_url = '{public}'
        [access]
        required = 'on'
        [access.oidc]
        issuer = '{issuer}'
        client_id = 'amends'
        client_secret = 'oidc'
        roles_claim = 'groups'
        [access.oidc.roles]
        operators = ['read:data', 'act']
        viewers = ['read']
        [secrets]
        oidc = {{ file = '{secret}', hosts = ['{host}'] }}
        {more}",
        data = at("data").display(),
        public = crate::browser::PUBLIC,
        secret = at("secret").display(),
    );
    let mut layers = Layers::defaults();
    layers.file(Path::new("amends.toml"), &text).expect("known keys");
    let config = Config::from_layers(&layers).unwrap_or_else(|why| panic!("{why}"));
    let running = start(config).await.expect("it starts");
    (folder, running)
}
