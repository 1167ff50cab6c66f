//! Why a login failed, in words for whoever tried. Each says what to do now.

use super::refused::Refused;
use crate::random::NoRandomness;
use amends_protocol::{Problem, ProblemCode};

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// What came back is no answer to a login.
    #[error("this is no answer of the identity provider: {0}; log in again")]
    Malformed(&'static str),
    /// This browser began no login, or too long ago.
    #[error(
        "no login is under way in this browser, or it took longer than 10 minutes; log in again"
    )]
    NotBegun,
    /// The answer is to another login than the one that this browser began.
    #[error(
        "the answer belongs to another login than the one that was begun in this browser; log in again"
    )]
    AnotherLogin,
    /// The answer was used before.
    #[error("this login has been used already; log in again")]
    Spent,
    /// Another provider answered.
    #[error("another identity provider answered than the one that was asked; log in again")]
    AnotherIssuer,
    /// The provider says no.
    #[error("the identity provider refused the login: {0}")]
    Declined(String),
    /// The provider can't be asked.
    #[error("the identity provider can't be reached: {0}; try again, or use a token")]
    Away(String),
    /// The provider is not what it should be.
    #[error("the identity provider is not as it should be: {0}")]
    Odd(String),
    /// It says who logged in, but is not believed.
    #[error("what the identity provider says is not believed: {0}")]
    Refused(#[from] Refused),
    /// Nothing can be drawn by chance.
    #[error("{0}; try again")]
    NoRandomness(#[from] NoRandomness),
    /// Somebody logged in who has no role here.
    #[error(
        "you are known as `{name}`, and have no role here: the claim `{claim}` names none of the roles in `access.oidc.roles`; ask whoever runs this supervisor"
    )]
    NoRole { name: String, claim: String },
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let code = match &error {
            LoginError::Malformed(_) | LoginError::NotBegun | LoginError::AnotherLogin => {
                ProblemCode::InvalidRequest
            }
            LoginError::Spent | LoginError::AnotherIssuer => ProblemCode::InvalidRequest,
            LoginError::Declined(_) | LoginError::Refused(_) | LoginError::NoRole { .. } => {
                ProblemCode::Forbidden
            }
            LoginError::Away(_) | LoginError::Odd(_) | LoginError::NoRandomness(_) => {
                ProblemCode::Unavailable
            }
        };
        Self::new(code, error.to_string())
    }
}
