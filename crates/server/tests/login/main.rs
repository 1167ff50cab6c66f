//! People log in, and services show who they are: with two real providers, and with one that lies in every way that we
//! know of. What is tried, and where it is refused; `id` stands for `crates/server/src/identity`.
//!
//! | what is tried | where it is refused |
//! | --- | --- |
//! | `state` missing, twice, of another login | `attacks`: an answer that belongs to no login of this browser |
//! | answer in a browser that began nothing, or began another (login CSRF) | the same |
//! | cookie of a login that was changed, or is over | `id/login.rs` |
//! | `iss` of the answer missing or of another | `attacks`: the same |
//! | login used again, with a code that was not | `attacks`: a login is used once |
//! | code used again, code of another login (PKCE) | `attacks`: a code is good for one login |
//! | `nonce` missing or of another login | `attacks`: what the provider says is not taken for true |
//! | issuer, audience, several without `azp`, `azp` of another | the same, `id/token_tests.rs` |
//! | expired, no end, not yet valid, issued in the future | the same, `id/token_tests.rs` |
//! | `none`, HMAC with the public key, other algorithm, own key inside | the same, `id/token_tests.rs` |
//! | token of another type, no role, another access token | the same, `id/token_tests.rs` |
//! | discovery of another issuer, endpoints without TLS, no PKCE | `attacks`: a provider that calls itself otherwise |
//! | key that was taken back; new key without a restart | `attacks`: a new key is found and an old one dies |
//! | flood of made-up names of keys | `attacks`: made-up names of keys are not turned into requests |
//! | redirect to elsewhere, before and after | `attacks`: nobody is led to another site |
//! | session fixed before the login | `sessions`: a login begins a new session |
//! | session after logout; ended elsewhere; of another | `sessions` |
//! | session idle, over, revoked | `crates/server/src/access/keyring_tests.rs`: the time is an argument there |
//! | JWT of a service: each claim, other namespace, JWT of a person | `machines`, `id/token_tests.rs`, `id/grants.rs` |

mod attacks;
mod browser;
mod liar;
mod machines;
mod real;
mod sessions;
mod stage;

#[allow(dead_code)] // the tests of single tokens use the rest
#[path = "../issuer/mod.rs"]
mod issuer;
