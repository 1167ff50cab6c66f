//! The console's files: style, scripts, picture. They are part of the binary, and their addresses carry their hash, so
//! that a browser keeps them for good and never mixes two versions.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// One file.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: Cow<'static, [u8]>,
    /// The first half of its SHA-256, in hex.
    hash: String,
}

const STYLE: &str = "console.css";
const PICTURES: &str = "pictures.css";
const SCRIPT: &str = "console.js";
const HTMX: &str = "htmx.min.js";
const SSE: &str = "hx-sse.min.js";
const ICON: &str = "icon.svg";

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Made once: hashing costs more than a page.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let of = |name, kind, bytes: Cow<'static, [u8]>| {
        let hash = hash(&bytes)[..16].to_owned();
        Asset { name, kind, bytes, hash }
    };
    vec![
        of(STYLE, CSS, include_bytes!("assets/console.css").into()),
        of(PICTURES, CSS, amends_workbench::stylesheet().into_bytes().into()),
        of(SCRIPT, JAVASCRIPT, include_bytes!("assets/console.js").into()),
        of(HTMX, JAVASCRIPT, include_bytes!("assets/vendor/htmx.min.js").into()),
        of(SSE, JAVASCRIPT, include_bytes!("assets/vendor/hx-sse.min.js").into()),
        of(ICON, "image/svg+xml", include_bytes!("assets/icon.svg").into()),
    ]
});

/// Where a page finds them.
pub(super) struct Addresses {
    pub(super) style: String,
    pub(super) pictures: String,
    pub(super) script: String,
    pub(super) htmx: String,
    pub(super) sse: String,
    pub(super) icon: String,
}

/// For the frame of every page.
pub(super) static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| Addresses {
    style: address(STYLE),
    pictures: address(PICTURES),
    script: address(SCRIPT),
    htmx: address(HTMX),
    sse: address(SSE),
    icon: address(ICON),
});

fn address(name: &str) -> String {
    let hash = ASSETS.iter().find(|a| a.name == name).map_or("none", |a| &a.hash);
    format!("/assets/{hash}/{name}")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `GET /assets/{hash}/{name}`. Another hash means a page of another version: it gets this version's file, and may not
/// keep it.
pub(super) async fn serve(Path((given, name)): Path<(String, String)>) -> Response {
    let Some(asset) = ASSETS.iter().find(|a| a.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = if asset.hash == given { "public, max-age=31536000, immutable" } else { "no-store" };
    let mut answer = asset.bytes.clone().into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::signs::Tone;

    #[test]
    fn files_of_others_are_those_that_are_named() {
        let list = include_str!("assets/vendor/VENDORED.md");
        for name in [HTMX, SSE] {
            let row = list.lines().find(|l| l.starts_with(&format!("| {name} |"))).expect(name);
            let asset = ASSETS.iter().find(|a| a.name == name).expect("known");
            assert!(row.contains(&hash(&asset.bytes)), "{name} is {}", hash(&asset.bytes));
        }
    }

    /// INVARIANT: what the signs tell by colour, the style sheet colours; the words and shapes are held by
    /// `amends_api::signs`.
    #[test]
    fn every_tone_has_its_colour() {
        let style = include_str!("assets/console.css");
        for tone in Tone::ALL {
            assert!(style.contains(&format!(".{} ", tone.as_str())), "no colour for {tone:?}");
        }
    }

    #[test]
    fn nothing_is_asked_of_another_host() {
        for text in [include_str!("assets/console.css"), include_str!("assets/console.js")] {
            assert!(!text.contains("http://") && !text.contains("https://"), "an outside address");
        }
    }
}
