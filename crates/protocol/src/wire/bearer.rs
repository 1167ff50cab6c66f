//! Bearer tokens, RFC 6750: what can be one, wherever it stands: in a file, in the environment, after `Bearer` in
//! `Authorization`. Whoever shows one and whoever is shown one ask here, so that nobody sends what nobody takes.

use std::fmt;

/// Longest token, in bytes: signed tokens of a platform have one or two kilobytes, and servers refuse longer headers.
pub const LONGEST: usize = 16 << 10;

/// Why a text is no token; says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// Nothing is there.
    Empty,
    /// It is longer than [`LONGEST`].
    TooLong,
    /// It holds something that stands in no token.
    NotOneWord,
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => write!(f, "it is longer than {LONGEST} bytes"),
            Self::NotOneWord => {
                f.write_str("a token is one word of letters, digits and the signs `-._~+/=`")
            }
        }
    }
}

impl std::error::Error for NoToken {}

/// The token in a text that holds nothing else but spaces and the end of a line around it.
///
/// # Errors
/// When there is none.
pub fn token(text: &str) -> Result<&str, NoToken> {
    let token = text.trim_matches([' ', '\t', '\r', '\n']);
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    match token.len() {
        0 => Err(NoToken::Empty),
        length if length > LONGEST => Err(NoToken::TooLong),
        _ if token.bytes().all(is_of_token) => Ok(token),
        _ => Err(NoToken::NotOneWord),
    }
}

/// The value of `Authorization` that shows a token.
#[must_use]
pub fn authorization(token: &str) -> String {
    format!("Bearer {token}")
}

/// The token of a value of `Authorization`; none if it is of another scheme. The scheme's case does not matter
/// (RFC 9110, section 11.1).
#[must_use]
pub fn shown(authorization: &str) -> Option<Result<&str, NoToken>> {
    let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_whatever_stands_around_it() {
        for text in ["amends_1_x", " amends_1_x", "amends_1_x\n", "\tamends_1_x \r\n"] {
            assert_eq!(token(text), Ok("amends_1_x"), "{text:?}");
        }
        assert_eq!(token("eyJ.a-b_c.d~e+f/g=="), Ok("eyJ.a-b_c.d~e+f/g=="));
    }

    #[test]
    fn what_no_header_can_carry_is_no_token() {
        for text in ["", " \r\n"] {
            assert_eq!(token(text), Err(NoToken::Empty), "{text:?}");
        }
        for text in
            ["a b", "a\nInjected: b", "a,b", "a\"b", "a;b", "ä", "a\0", "a\u{a0}", "a\u{200b}"]
        {
            assert_eq!(token(text), Err(NoToken::NotOneWord), "{text:?}");
        }
        assert_eq!(token(&"a".repeat(LONGEST + 1)), Err(NoToken::TooLong));
        assert!(token(&"a".repeat(LONGEST)).is_ok());
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let read = |text: &'static str| shown(text);
        assert_eq!(shown(&authorization("amends_1_x")), Some(Ok("amends_1_x")));
        assert_eq!(read("bEARER a"), Some(Ok("a")));
        assert_eq!(read("Bearer"), Some(Err(NoToken::Empty)));
        assert_eq!(read("Bearer a, Bearer b"), Some(Err(NoToken::NotOneWord)));
        for other in ["", "Basic dXNlcjpwdw==", "Bearers a", "Bearer=a", " Bearer a"] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}
