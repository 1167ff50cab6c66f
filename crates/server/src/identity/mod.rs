//! Who somebody is, by the word of others: services by a JWT of an issuer that the configuration knows, people by
//! OpenID Connect. Verifying is pure, the time and the keys are arguments; fetching keys and codes is apart. What
//! somebody may do then is `amends_api::access`'s to say.

mod algorithm;
mod believed;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod grants;
mod key_source;
mod keys;
mod login;
mod login_error;
mod machines;
mod metadata;
mod provider;
mod refused;
mod token;

pub(crate) use algorithm::Algorithm;
pub use believed::{Believed, IdentityOptions};
pub(crate) use grants::{GrantRule, Roles};
pub(crate) use key_source::{KeysPlace, check_key_file};
pub(crate) use login::{LOGIN_S, local_path};
pub(crate) use login_error::LoginError;
pub(crate) use machines::{JwtIssuer, Machines};
pub(crate) use metadata::is_loopback;
pub(crate) use provider::{OidcOptions, Person, Provider};
pub(crate) use refused::Refused;
pub(crate) use token::is_jwt;
