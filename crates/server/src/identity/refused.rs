//! Why a token or a login is not believed, in words for whoever sent it. Nothing of the token stands in them.

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Longer than any issuer makes them.
    #[error("the token is longer than {0} bytes")]
    TooLong(usize),
    /// It is no signed JWT.
    #[error("the token is no signed JWT: {0}")]
    Malformed(&'static str),
    /// Its algorithm is not among those that are allowed.
    #[error("the token is signed by an algorithm that is not allowed for its issuer")]
    Algorithm,
    /// It is a token for something else.
    #[error("the token is of another type: {0}")]
    Type(&'static str),
    /// Nobody knows the issuer.
    #[error("no issuer of the configuration made this token")]
    UnknownIssuer,
    /// The issuer has no such key.
    #[error("the issuer has no key by which this token could have been signed")]
    NoKey,
    /// The keys can't be had.
    #[error("the keys of the issuer can't be had now: {0}")]
    KeysAway(String),
    /// It was not signed by the issuer, or was changed since.
    #[error("the signature does not fit the token")]
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    // without TLS no signature is looked at
    Signature,
    /// A claim is not there, or not of its kind.
    #[error("the token has no proper `{0}`")]
    Claim(&'static str),
    /// It is of somebody else.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet; are the clocks right?")]
    NotYet,
    /// It was made in the future.
    #[error("the token was issued in the future; are the clocks right?")]
    FromTheFuture,
    /// It does not answer the login that was begun.
    #[error("the token belongs to another login")]
    Nonce,
    /// It was given to another client.
    #[error("the token was given to another client")]
    AuthorizedParty,
    /// The access token beside it is not the one that it was made with.
    #[error("the token does not belong to the access token beside it")]
    AccessToken,
}
