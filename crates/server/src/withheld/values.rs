//! Values that are never shown, and how they are found however they are written down.

use super::shapes::{without_credentials, write_over};
use aho_corasick::{AhoCorasick, MatchKind};
use amends_protocol::spelled;
use amends_protocol::wire::signature::key_bytes;
use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// Shortest value that is looked for, in bytes: a shorter one would be found in ordinary words.
const SHORTEST: usize = 8;
/// Shortest part of a value that is looked for first: letters and digits are written the same everywhere.
const SHORTEST_SEED: usize = 4;
/// Longest value, in bytes: a line of a key, a token of a platform, an address have a tenth of it.
const LONGEST: usize = 16 << 10;
/// All values together, in bytes: what is looked for takes some twenty times as much memory.
const MOST: usize = 256 << 10;
/// Bytes of a file that are looked at: what is longer is no secret, and whoever needs it says so.
const FILE_LIMIT: u64 = 1 << 20;
/// Of a text that was cut short, the beginning of a value that gives it away, in bytes.
const TELLING: usize = 6;
/// What stands where a text was cut short.
const CUT: &str = "…";

/// Values that are never shown; clones are the same ones.
#[derive(Clone, Default)]
pub struct Withheld {
    known: Arc<RwLock<Known>>,
}

#[derive(Clone, Default)]
struct Known {
    values: Vec<Value>,
    /// Files whose text is withheld, each read anew when it has changed.
    files: Vec<WithheldFile>,
    found: Option<AhoCorasick>,
    /// What stands at the patterns of `found`: a whole value in another writing, or a seed of some value.
    is_whole: Vec<bool>,
}

#[derive(Clone)]
struct Value {
    bytes: Vec<u8>,
    /// The same as text, where it is one, with its part that is written the same everywhere.
    text: Option<(String, String)>,
}

#[derive(Clone)]
struct WithheldFile {
    path: PathBuf,
    private_keys: bool,
    changed: Option<SystemTime>,
}

/// A value can't be withheld. Whoever has it must not use it: what can't be kept back is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWithheld {
    /// It is too long to be a secret.
    #[error(
        "it has {0} bytes, and what is kept out of all answers and logs has at most {LONGEST}; is it the right file?"
    )]
    TooLong(usize),
    /// All of them are too many.
    #[error(
        "everything secret has {0} bytes together, and at most {MOST} can be kept out of answers and logs"
    )]
    TooMuch(usize),
    /// There is no way to look for it.
    #[error("it can't be kept out of answers and logs: {0}")]
    NoSearch(String),
}

impl Withheld {
    /// Takes one more; what is too short to be told from ordinary words is left out.
    ///
    /// # Errors
    /// When it can't be looked for; nothing has changed then, and the value must not be used.
    pub fn add(&self, value: &str) -> Result<(), NotWithheld> {
        self.add_bytes(value.trim().as_bytes())
    }

    /// The same of a value that need not be text.
    ///
    /// # Errors
    /// See [`Self::add`].
    pub fn add_bytes(&self, value: &[u8]) -> Result<(), NotWithheld> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Nothing is known by half: what can't be made leaves all as it was.
        if let Some(more) = known.with(value)? {
            *known = more;
        }
        Ok(())
    }

    /// Takes what proves us to somebody: whole, and what is left of `Bearer token` and of `user:password` without the
    /// first of them.
    ///
    /// # Errors
    /// See [`Self::add`].
    pub fn add_secret(&self, value: &str) -> Result<(), NotWithheld> {
        self.add(value)?;
        let parts = [' ', ':'].into_iter().filter_map(|sign| value.split_once(sign));
        parts.map(|(_, rest)| rest).try_for_each(|rest| self.add(rest))
    }

    /// Takes a key of webhooks: as it is written, without the sign that it begins with, and the bytes that it stands
    /// for.
    ///
    /// # Errors
    /// See [`Self::add`].
    pub fn add_key(&self, key: &str) -> Result<(), NotWithheld> {
        self.add(key)?;
        for sign in ["whsec_", "whsk_"] {
            key.strip_prefix(sign).map_or(Ok(()), |rest| self.add(rest))?;
        }
        // What is no key is refused by whoever signs with it.
        key_bytes(key).map_or(Ok(()), |bytes| self.add_bytes(&bytes))
    }

    /// Takes what is secret of an address: its password, and the parts of it that look like a token; of one that is a
    /// secret itself, everything behind its host.
    ///
    /// # Errors
    /// See [`Self::add`].
    pub fn add_address(&self, address: &str, is_secret: bool) -> Result<(), NotWithheld> {
        let Some((_, rest)) = address.split_once("://") else { return Ok(()) };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if let Some((user, _)) = authority.rsplit_once('@') {
            self.add(user)?;
            user.split_once(':').map_or(Ok(()), |(_, password)| self.add(password))?;
        }
        if is_secret {
            self.add(address)?;
            self.add(path)?;
        }
        let looks_like_token =
            |part: &&str| part.len() >= 2 * SHORTEST && part.bytes().any(|b| b.is_ascii_digit());
        path.split(['/', '?', '&', '='])
            .filter(looks_like_token)
            .try_for_each(|part| self.add(part))
    }

    /// Takes the private keys of a file, line by line, since a line is what somebody may quote.
    ///
    /// # Errors
    /// See [`Self::add`].
    pub fn add_private_keys(&self, file: &Path) -> Result<(), NotWithheld> {
        self.add_watched(file, true)
    }

    /// Takes the text of a file.
    ///
    /// # Errors
    /// See [`Self::add`].
    pub fn add_file(&self, file: &Path) -> Result<(), NotWithheld> {
        self.add_watched(file, false)
    }

    fn add_watched(&self, file: &Path, private_keys: bool) -> Result<(), NotWithheld> {
        let changed = changed(file);
        self.add_text_of(file, private_keys)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.files.push(WithheldFile { path: file.to_owned(), private_keys, changed });
        Ok(())
    }

    /// Takes what stands in files that have changed since they were read, besides what stood there before: for whoever
    /// is about to use them as they are now.
    ///
    /// # Errors
    /// The first file whose text can't be withheld, and why.
    pub fn read_anew(&self) -> Result<(), (PathBuf, NotWithheld)> {
        let known = |s: &Self| s.known.read().unwrap_or_else(PoisonError::into_inner).files.clone();
        for (n, file) in known(self).into_iter().enumerate() {
            let now = changed(&file.path);
            if now == file.changed {
                continue;
            }
            let added = self.add_text_of(&file.path, file.private_keys);
            added.map_err(|why| (file.path.clone(), why))?;
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.files[n].changed = now;
        }
        Ok(())
    }

    /// A file that can't be read holds nothing that could be used or shown now; whoever needs it says so, and once it
    /// can be read it has changed.
    fn add_text_of(&self, file: &Path, private_keys: bool) -> Result<(), NotWithheld> {
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(file).and_then(|f| f.take(FILE_LIMIT).read_to_end(&mut bytes));
        if read.is_err() {
            return Ok(());
        }
        // Readers of keys take what is around them for nothing, whatever it is.
        let text = String::from_utf8_lossy(&bytes);
        if !private_keys {
            return self.add(&text);
        }
        let mut is_private = false;
        for line in text.lines().map(str::trim) {
            if let Some(label) = line.strip_prefix("-----BEGIN ") {
                is_private = label.contains("PRIVATE KEY");
            } else if is_private && !line.starts_with("-----") && line.len() >= 2 * SHORTEST {
                // A last line may be so short that it stands in ordinary text.
                self.add(line)?;
            }
        }
        Ok(())
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

    /// A text of strangers that is kept or sent on: also without credentials that are known by their shape, and without
    /// the beginning of a value where the text was cut short.
    #[must_use]
    pub fn hide_in_text(&self, text: &str) -> String {
        let hidden = self.hide(text);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match known.cut_short_in(&hidden) {
            None => without_credentials(&hidden).into_owned(),
            Some(from) => {
                let mut bytes = hidden.as_bytes().to_vec();
                let until = bytes.len() - CUT.len();
                write_over(&mut bytes[from..until]);
                without_credentials(&String::from_utf8_lossy(&bytes)).into_owned()
            }
        }
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
    /// With one more value; none if there is nothing to add.
    fn with(&self, value: &[u8]) -> Result<Option<Self>, NotWithheld> {
        if value.len() < SHORTEST || self.values.iter().any(|one| one.bytes == value) {
            return Ok(None);
        }
        if value.len() > LONGEST {
            return Err(NotWithheld::TooLong(value.len()));
        }
        let all = value.len() + self.values.iter().map(|one| one.bytes.len()).sum::<usize>();
        if all > MOST {
            return Err(NotWithheld::TooMuch(all));
        }
        let mut more = self.clone();
        more.values.push(Value::new(value));
        more.build().map_err(|why| NotWithheld::NoSearch(why.to_string()))?;
        Ok(Some(more))
    }

    /// Everything that is looked for at once.
    fn build(&mut self) -> Result<(), aho_corasick::BuildError> {
        let mut patterns: Vec<(Vec<u8>, bool)> = Vec::new();
        for Value { bytes, text } in &self.values {
            patterns.extend(
                spelled::encodings(bytes).into_iter().map(|text| (text.into_bytes(), true)),
            );
            match text {
                Some((_, seed)) if !seed.is_empty() => {
                    patterns.push((seed.clone().into_bytes(), false));
                }
                _ => patterns.push((bytes.clone(), true)),
            }
        }
        self.is_whole = patterns.iter().map(|(_, is_whole)| *is_whole).collect();
        let texts = patterns.into_iter().map(|(text, _)| text);
        // Leftmost first: a whole value in another writing comes before a seed within it.
        let found = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(texts)?;
        self.found = Some(found);
        Ok(())
    }

    /// Where values stand in a text.
    fn spelled_in(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let mut ranges = Vec::new();
        for (value, seed) in self.values.iter().filter_map(|value| value.text.as_ref()) {
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

    /// Where the beginning of a value stands at the end of a text that was cut short: neither the value nor its seed
    /// need be whole there.
    fn cut_short_in(&self, text: &str) -> Option<usize> {
        let head = text.strip_suffix(CUT)?;
        let begins = |writing: &[u8]| {
            let longest = (TELLING..writing.len().min(head.len() + 1)).rev();
            let mut fits = longest.filter(|length| head.as_bytes().ends_with(&writing[..*length]));
            fits.next().map(|length| head.len() - length)
        };
        let starts = self.values.iter().flat_map(|Value { bytes, text: value }| {
            let found = value.as_ref().and_then(|(value, _)| {
                let found = spelled::find(text, value)?;
                (found.end == text.len()).then_some(found.start)
            });
            found.into_iter().chain(
                spelled::encodings(bytes)
                    .iter()
                    .filter_map(|text| begins(text.as_bytes()))
                    .collect::<Vec<_>>(),
            )
        });
        starts.min()
    }
}

impl Value {
    fn new(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().map(|text| (text.to_owned(), seed(text)));
        Self { bytes: bytes.to_vec(), text }
    }
}

/// The longest run of letters and digits, if one is long enough to look for.
fn seed(value: &str) -> String {
    let runs = value.split(|c: char| !c.is_ascii_alphanumeric());
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    if longest.len() >= SHORTEST_SEED { longest.to_owned() } else { String::new() }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|about| about.modified()).ok()
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
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use std::io::Write as _;

    const KEY: &str = "sk_live+Zm9v/YmFy=\"4711";

    fn withheld(values: &[&str]) -> Withheld {
        let withheld = Withheld::default();
        values.iter().for_each(|value| withheld.add(value).expect("it can be withheld"));
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
        withheld
            .add_address(
                "https://ops:correct-horse@hooks.example/amends?token=0123456789abcdef",
                false,
            )
            .and_then(|()| {
                withheld.add_address("https://hooks.slack.example/services/T0/B0/XyZ", true)
            })
            .expect("they can be withheld");
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
        withheld.add_private_keys(file.path()).expect("it can be withheld");
        withheld.add_private_keys(Path::new("/nowhere")).expect("there is nothing");
        assert!(!withheld.hide(line).contains("MIGH"));
        assert_eq!(withheld.hide(certificate), certificate);
    }

    #[test]
    fn a_key_of_webhooks_is_withheld_as_text_and_as_the_bytes_that_it_stands_for() {
        let bytes: Vec<u8> = (200..=231).collect();
        let withheld = Withheld::default();
        let text = STANDARD_NO_PAD.encode(&bytes);
        withheld.add_key(&format!("whsec_{text}=")).expect("it can be withheld");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for writing in [hex.to_uppercase(), hex, URL_SAFE_NO_PAD.encode(&bytes), text] {
            let shown = withheld.hide(&writing).into_owned();
            assert!(shown.starts_with("[hidden]**"), "{writing}: {shown}");
        }
        assert!(withheld.hidden(&bytes).is_some(), "its bytes as they are");
    }

    #[test]
    fn a_password_is_withheld_without_its_user_and_a_token_without_its_scheme() {
        let withheld = Withheld::default();
        for value in ["ops:proxy-pass-4711", "Bearer token-of-the-bank"] {
            withheld.add_secret(value).expect("it can be withheld");
        }
        for said in ["no: proxy-pass-4711", "no: token-of-the-bank"] {
            assert!(withheld.hide(said).starts_with("no: [hidden]**"), "{said}");
        }
    }

    #[test]
    fn the_beginning_of_a_value_where_a_text_was_cut_short_is_hidden() {
        let withheld = withheld(&[KEY, "proxy-pass-4711"]);
        let in_base64 = STANDARD_NO_PAD.encode(format!("a{KEY}"));
        for begun in [&KEY[..9], "sk_live%2BZm9", "proxy-pa", &in_base64[2..14]] {
            let shown = withheld.hide_in_text(&format!("no such key: {begun}…"));
            assert!(!shown.contains(begun), "{begun}: {shown}");
            assert!(shown.starts_with("no such key: [hidden]"), "{shown}");
        }
        assert_eq!(withheld.hide_in_text("a task; sk_…"), "a task; sk_…", "too little to tell");
    }

    #[test]
    fn what_cannot_be_withheld_is_an_error_and_changes_nothing() {
        let withheld = withheld(&[KEY]);
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(withheld.add(&long), Err(NotWithheld::TooLong(long.len())));
        assert!(!withheld.hide(KEY).contains("Zm9v"), "what was known stays withheld");
        // Not by adding them: each is looked for with all others, which takes a while.
        withheld.known.write().expect("not poisoned").values.push(Value::new(&[b'x'; MOST]));
        let told = withheld.add("one-more-secret").expect_err("too many").to_string();
        assert!(
            told.contains("at most") && !told.contains("one-more"),
            "without the value: {told}"
        );
    }

    #[test]
    fn a_file_that_has_changed_is_withheld_as_it_is_now_and_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let withheld = Withheld::default();
        withheld.add_file(&path).expect("there is nothing yet");
        let mut hours = 0;
        let mut write = |text: &str| {
            // A clock of the file system may be too coarse to tell two writes of a test apart.
            hours += 1;
            let at = SystemTime::now() + std::time::Duration::from_secs(hours * 3_600);
            std::fs::write(&path, text).expect("written");
            let file = std::fs::File::options().append(true).open(&path);
            file.and_then(|file| file.set_modified(at)).expect("set");
        };
        for value in ["first-token-4711", "second-token-0815"] {
            write(value);
            withheld.read_anew().expect("it can be withheld");
            assert!(withheld.hide(value).starts_with("[hidden]"));
        }
        assert!(withheld.hide("first-token-4711").starts_with("[hidden]"), "the one before");
        write(&"x".repeat(LONGEST + 1));
        let (file, why) = withheld.read_anew().expect_err("no token is that long");
        assert_eq!((file, why), (path, NotWithheld::TooLong(LONGEST + 1)));
    }
}
