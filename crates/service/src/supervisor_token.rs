//! What a service shows the supervisor to be known: a token, for the supervisor's own address and for no other.

use amends_protocol::wire::bearer;
use http::{HeaderValue, Uri};
use std::fmt;
use std::path::PathBuf;

/// A token of the service's, made by `amends token create NAME --grant report:SERVICE`, or given by its platform.
#[derive(Clone)]
pub enum SupervisorToken {
    /// The token itself.
    Here(String),
    /// A file that holds it and nothing else. It is read for each report, so that it can be renewed at any time.
    InFile(PathBuf),
}

/// Says where it stands, never what it is.
impl fmt::Debug for SupervisorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(_) => f.write_str("Here(…)"),
            Self::InFile(path) => f.debug_tuple("InFile").field(path).finish(),
        }
    }
}

impl SupervisorToken {
    /// That it can be read and shown.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.authorization().map(drop)
    }

    /// The value of `Authorization`; an error says in words why there is none.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, String> {
        let (token, of) = match self {
            Self::Here(token) => (token.clone(), "the supervisor's token".to_owned()),
            Self::InFile(path) => {
                let of = format!("the file of the supervisor's token `{}`", path.display());
                let text = std::fs::read_to_string(path);
                (text.map_err(|error| format!("{of} can't be read: {error}"))?, of)
            }
        };
        let token = bearer::token(&token).map_err(|why| format!("{of} holds no token: {why}"))?;
        let value = HeaderValue::from_str(&bearer::authorization(token));
        let mut value = value.map_err(|why| format!("{of} can't be sent: {why}"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Whether an address is one of the supervisor's own: the same scheme, host and port.
pub(crate) fn is_of(supervisor: Option<&str>, uri: &Uri) -> bool {
    let own = supervisor.and_then(|url| url.parse::<Uri>().ok());
    own.is_some_and(|own| own.scheme() == uri.scheme() && own.authority() == uri.authority())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_the_supervisor_alone() {
        let supervisor = Some("https://amends.example:7100/");
        for own in
            ["https://amends.example:7100/v1/steps/s-1/outcome", "https://amends.example:7100"]
        {
            assert!(is_of(supervisor, &own.parse().expect("an address")), "{own}");
        }
        for other in [
            "http://amends.example:7100/v1/reports",
            "https://amends.example/v1/reports",
            "https://amends.example.evil:7100/v1/reports",
            "https://evil.example:7100/v1/reports",
            "https://amends.example:7100@evil.example/v1/reports",
        ] {
            assert!(!is_of(supervisor, &other.parse().expect("an address")), "{other}");
        }
        assert!(!is_of(None, &"https://amends.example".parse().expect("an address")));
    }

    #[test]
    fn a_token_is_read_anew_and_never_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let token = SupervisorToken::InFile(path.clone());
        assert!(token.check().is_err(), "there is no file");
        for text in ["first\n", "second"] {
            std::fs::write(&path, text).expect("written");
            let shown = token.authorization().expect("a value");
            assert_eq!(shown.as_bytes(), format!("Bearer {}", text.trim()).as_bytes());
            assert!(!format!("{shown:?}").contains(text.trim()));
        }
        for wrong in ["", " \n", "two words", "naïve", "a\nb"] {
            std::fs::write(&path, wrong).expect("written");
            let told = token.authorization().expect_err(wrong);
            assert!(wrong.trim().is_empty() || !told.contains(wrong.trim()), "{told}");
        }
        assert_eq!(format!("{:?}", SupervisorToken::Here("secret".to_owned())), "Here(…)");
    }
}
