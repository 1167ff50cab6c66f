//! The token that requests show: read at the start, and once more when it is not taken. Tokens in files are changed
//! while commands run that follow something, and a request that was not let in has done nothing.

use crate::failure::Outcome;
use crate::target::Credential;
use crate::target::token::TokenSource;
use http::{HeaderMap, header};
use std::sync::{Mutex, PoisonError};

/// A token and where it comes from.
pub(super) struct TokenInUse {
    source: TokenSource,
    now: Mutex<Credential>,
}

impl TokenInUse {
    /// Reads it.
    pub(super) fn read(source: &TokenSource, said_by: &str) -> Outcome<Self> {
        let now = Credential { token: source.read()?, said_by: said_by.to_owned() };
        Ok(Self { source: source.clone(), now: Mutex::new(now) })
    }

    /// Shows it with a request.
    pub(super) fn put_into(&self, headers: &mut HeaderMap) -> Outcome {
        headers.insert(header::AUTHORIZATION, self.now().token.header()?);
        Ok(())
    }

    /// Reads it once more; whether another one stands there now.
    pub(super) fn has_changed(&self) -> bool {
        if matches!(self.source, TokenSource::Value(_)) {
            return false;
        }
        // Where it can't be read now, that the one before was not taken is what matters.
        let Ok(token) = self.source.read() else { return false };
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = now.token != token;
        now.token = token;
        is_new
    }

    /// As people may see it, with who said it.
    pub(super) fn shown(&self) -> String {
        self.now().shown()
    }

    fn now(&self) -> Credential {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
