//! Values that are never shown, and how they are found however they are written down.

use super::shapes::{without_credentials, write_over};
use aho_corasick::{AhoCorasick, MatchKind};
use amends_protocol::spelled;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Shortest value that is looked for, in bytes: a shorter one would be found in ordinary words.
const SHORTEST: usize = 8;
/// Shortest part of a value that is looked for first: letters and digits are written the same everywhere.
const SHORTEST_SEED: usize = 4;

/// Values that are never shown; clones are the same ones.
#[derive(Clone, Default)]
pub struct Withheld {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    values: Vec<String>,
    /// Each with its part that is written the same everywhere.
    seeds: Vec<String>,
    found: Option<AhoCorasick>,
    /// What stands at the patterns of `found`: a whole value in another writing, or a seed of some value.
    is_whole: Vec<bool>,
}

impl Withheld {
    /// Takes one more; what is too short to be told from ordinary words is left out.
    pub fn add(&self, value: &str) {
        let value = value.trim();
        if value.len() < SHORTEST {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.values.iter().all(|one| one != value) {
            known.values.push(value.to_owned());
            known.build();
        }
    }

    /// Takes a key of webhooks, also as it is without the sign that it begins with.
    pub fn add_key(&self, key: &str) {
        self.add(key);
        for sign in ["whsec_", "whsk_"] {
            key.strip_prefix(sign).into_iter().for_each(|rest| self.add(rest));
        }
    }

    /// Takes what is secret of an address: its password, and the parts of it that look like a token; of one that is a
    /// secret itself, everything behind its host.
    pub fn add_address(&self, address: &str, is_secret: bool) {
        let Some((_, rest)) = address.split_once("://") else { return };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if let Some((user, _)) = authority.rsplit_once('@') {
            self.add(user);
            user.split_once(':').into_iter().for_each(|(_, password)| self.add(password));
        }
        if is_secret {
            self.add(address);
            self.add(path);
        }
        let looks_like_token =
            |part: &&str| part.len() >= 2 * SHORTEST && part.bytes().any(|b| b.is_ascii_digit());
        path.split(['/', '?', '&', '=']).filter(looks_like_token).for_each(|part| self.add(part));
    }

    /// Takes the private keys of a file, line by line, since a line is what somebody may quote. A file that can't be
    /// read holds nothing that could be shown; whoever needs it says so.
    pub fn add_private_keys(&self, file: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut is_private = false;
        for line in text.lines().map(str::trim) {
            if let Some(label) = line.strip_prefix("-----BEGIN ") {
                is_private = label.contains("PRIVATE KEY");
            } else if is_private && !line.starts_with("-----") {
                // A last line may be so short that it stands in ordinary text.
                if line.len() >= 2 * SHORTEST {
                    self.add(line);
                }
            }
        }
    }

    /// Takes the text of a file.
    pub fn add_file(&self, file: &Path) {
        self.add(&std::fs::read_to_string(file).unwrap_or_default());
    }

    /// A text without the values, each written over.
    #[must_use]
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.hidden(text.as_bytes()) {
            // Only whole characters were written over, by others that are whole.
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// A text of strangers that is kept or sent on: also without credentials that are known by their shape.
    #[must_use]
    pub fn hide_in_text(&self, text: &str) -> String {
        without_credentials(&self.hide(text)).into_owned()
    }

    /// Bytes without the values; none if there are none in them.
    #[must_use]
    pub fn hidden(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.found.as_ref()?;
        let (mut out, mut has_seed) = (None::<Vec<u8>>, false);
        for place in found.find_iter(bytes) {
            if known.is_whole[place.pattern().as_usize()] {
                write_over(&mut out.get_or_insert_with(|| bytes.to_vec())[place.range()]);
            } else {
                has_seed = true;
            }
        }
        if has_seed {
            let looked_through = out.clone().unwrap_or_else(|| bytes.to_vec());
            let mut at = 0;
            for chunk in looked_through.utf8_chunks() {
                for range in known.spelled_in(chunk.valid()) {
                    let whole = at + range.start..at + range.end;
                    write_over(&mut out.get_or_insert_with(|| bytes.to_vec())[whole]);
                }
                at += chunk.valid().len() + chunk.invalid().len();
            }
        }
        out
    }
}

impl Known {
    /// Everything that is looked for at once.
    fn build(&mut self) {
        let mut patterns: Vec<(Vec<u8>, bool)> = Vec::new();
        self.seeds = self.values.iter().map(|value| seed(value)).collect();
        for (value, seed) in self.values.iter().zip(&self.seeds) {
            patterns.extend(writings(value).into_iter().map(|writing| (writing, true)));
            let begin = if seed.is_empty() { value } else { seed };
            patterns.push((begin.clone().into_bytes(), seed.is_empty()));
        }
        self.is_whole = patterns.iter().map(|(_, is_whole)| *is_whole).collect();
        let texts = patterns.into_iter().map(|(text, _)| text);
        // Leftmost first: a whole value in another writing comes before a seed within it.
        self.found = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(texts).ok();
    }

    /// Where values stand in a text.
    fn spelled_in(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let mut ranges = Vec::new();
        for (value, seed) in self.values.iter().zip(&self.seeds) {
            if seed.is_empty() || !text.contains(seed.as_str()) {
                continue;
            }
            let mut from = 0;
            while let Some(found) = spelled::find(&text[from..], value) {
                ranges.push(from + found.start..from + found.end);
                from += found.end;
            }
        }
        ranges
    }
}

/// The longest run of letters and digits, if one is long enough to look for.
fn seed(value: &str) -> String {
    let runs = value.split(|c: char| !c.is_ascii_alphanumeric());
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    if longest.len() >= SHORTEST_SEED { longest.to_owned() } else { String::new() }
}

/// A value as base64 and in hexadecimal digits: none of its characters is left as it was.
fn writings(value: &str) -> Vec<Vec<u8>> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut writings = vec![hex.to_uppercase().into_bytes(), hex.into_bytes()];
    // What stands before it moves its bits: three ways, and the digits that it shares with its neighbours are left out.
    for before in 0..3 {
        let padded = [vec![0; before], value.as_bytes().to_vec()].concat();
        let whole_digits = padded.len() * 8 / 6;
        let shared = [0, 2, 3][before];
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            writings.push(text.as_bytes()[shared..whole_digits].to_vec());
        }
    }
    writings.sort();
    writings.dedup();
    writings
}

/// How many there are, and nothing else.
impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Withheld({})", known.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const KEY: &str = "sk_live+Zm9v/YmFy=\"4711";

    fn withheld(values: &[&str]) -> Withheld {
        let withheld = Withheld::default();
        values.iter().for_each(|value| withheld.add(value));
        withheld
    }

    #[test]
    fn a_value_is_found_in_every_writing_and_its_length_stays() {
        let withheld = withheld(&[KEY, "another-value"]);
        let in_base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{KEY} and more"));
        for writing in [
            KEY.to_owned(),
            serde_json::json!({ "key": KEY }).to_string(),
            "sk_live%2BZm9v%2FYmFy%3D%224711".to_owned(),
            "sk_live%252BZm9v%252FYmFy%253D%25224711".to_owned(),
            "sk_live&#43;Zm9v&#x2F;YmFy=&quot;4711".to_owned(),
            KEY.bytes().map(|byte| format!("{byte:02X}")).collect(),
            in_base64(""),
            in_base64("a"),
            in_base64("ab"),
            URL_SAFE_NO_PAD.encode(format!("user:{KEY}")),
        ] {
            let text = format!("재고: `{writing}`, twice: {writing}");
            let shown = withheld.hide(&text);
            assert_eq!(shown.len(), text.len(), "{writing}");
            assert_eq!(shown.matches("[hidden]").count(), 2, "{writing}: {shown}");
            assert!(!shown.contains("Zm9v"), "{shown}");
        }
        assert!(matches!(withheld.hide("nothing of it: sk_live Zm9v"), Cow::Borrowed(_)));
    }

    #[test]
    fn bytes_that_are_no_text_hide_it_as_well() {
        let withheld = withheld(&[KEY]);
        let bytes = [b"\xff\xfe".as_slice(), KEY.as_bytes(), b"\xff"].concat();
        let shown = withheld.hidden(&bytes).expect("it is there");
        assert_eq!(shown.len(), bytes.len());
        assert!(!shown.windows(4).any(|four| four == b"4711"));
        assert_eq!(withheld.hidden(b"\xff\xfe nothing"), None);
    }

    #[test]
    fn what_is_short_is_no_value_and_signs_alone_are() {
        assert!(matches!(withheld(&["short"]).hide("a short text"), Cow::Borrowed(_)));
        assert_eq!(withheld(&["!!##$$%%&&"]).hide("a !!##$$%%&& b"), "a [hidden]** b");
        assert_eq!(format!("{:?}", withheld(&[KEY])), "Withheld(1)");
    }

    #[test]
    fn of_an_address_the_password_and_the_tokens_are_withheld() {
        let withheld = Withheld::default();
        withheld.add_address(
            "https://ops:correct-horse@hooks.example/amends?token=0123456789abcdef",
            false,
        );
        withheld.add_address("https://hooks.slack.example/services/T0/B0/XyZ", true);
        for (said, shown) in [
            ("no: correct-horse", "no: [hidden]*****"),
            ("0123456789abcdef", "[hidden]********"),
            ("at hooks.example/amends", "at hooks.example/amends"),
            ("POST /services/T0/B0/XyZ", "POST [hidden]***********"),
        ] {
            assert_eq!(withheld.hide(said), shown);
        }
    }

    #[test]
    fn of_a_file_the_lines_of_private_keys_are_withheld() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let line = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        let certificate = "MIIBszCCAVmgAwIBAgIUQ2VydGlmaWNhdGUwCgYIKoZIzj0E";
        writeln!(
            file,
            "-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----"
        )
        .expect("written");
        let withheld = Withheld::default();
        withheld.add_private_keys(file.path());
        withheld.add_private_keys(Path::new("/nowhere"));
        assert!(!withheld.hide(line).contains("MIGH"));
        assert_eq!(withheld.hide(certificate), certificate);
    }
}
