//! A headless Chromium of one test: opens pages, waits for what a person would wait for, clicks, types, takes pictures.
//! Every wait has a deadline; nothing sleeps for a fixed time. Methods fail the test with what the page shows.

use crate::support::process::{Process, Streams};
use crate::support::scratch;
use crate::webdriver::{Element, Refusal, Session};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a page does happens within a second; a machine that compiles meanwhile gets more.
const WAIT_LIMIT: Duration = Duration::from_secs(40);
/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// How often chromedriver is started before the test gives up.
const STARTS: usize = 10;

/// No page needs to be higher than this to be judged.
const PICTURE_LIMIT: u64 = 4_000;

/// The widths at which every page is looked at: a desk and a telephone.
pub const WIDTHS: [u32; 2] = [1400, 390];

/// Flags of Chromium: no window, no sandbox (the tests may run as root), nothing that calls home.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
];

/// `prefers-color-scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub const BOTH: [Self; 2] = [Self::Light, Self::Dark];

    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A Chromium with a new profile, driven by a chromedriver on a free port. Both end with the test.
pub struct Browser {
    session: Session,
    // Fields end in this order: a turn is over when its Chromium is gone.
    _chromedriver: Process,
    _profile: TempDir,
    _turn: Turn,
}

impl Browser {
    /// Starts both.
    pub fn start() -> Self {
        let turn = Turn::take();
        let profile = scratch();
        let (chromedriver, port) = start_chromedriver(profile.path());
        let session = Session::start(port, &capabilities(profile.path()));
        let session = session.unwrap_or_else(|why| panic!("Chromium does not start: {why}"));
        let browser = Self { session, _chromedriver: chromedriver, _profile: profile, _turn: turn };
        browser.width(WIDTHS[0]);
        browser.scheme(Scheme::Light);
        browser
    }

    #[track_caller]
    fn devtools(&self, method: &str, parameters: Value) -> Value {
        let sent = self.session.devtools(method, parameters);
        sent.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// Runs a function's body in the page and gives what it returns, or what its promise brings.
    #[track_caller]
    pub fn script(&self, body: &str, arguments: &[Value]) -> Value {
        let ran = self.session.script(body, arguments);
        ran.unwrap_or_else(|why| panic!("{why}\nin the script\n{body}"))
    }

    /// From now on the page is this wide, as high as a screen of that width.
    #[track_caller]
    pub fn width(&self, width: u32) {
        let height = if width < 600 { 844 } else { 900 };
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// From now on the page is shown to somebody who prefers this scheme and nothing that moves.
    #[track_caller]
    pub fn scheme(&self, scheme: Scheme) {
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme.name() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    /// The cookies of the page, as Chromium keeps them: scripts don't see all.
    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        let cookies = self.devtools("Network.getCookies", json!({}))["cookies"].clone();
        cookies.as_array().expect("a list").clone()
    }

    /// Puts a cookie back, as it was.
    #[track_caller]
    pub fn keep_cookie(&self, cookie: &Value) {
        let fields = ["name", "value", "domain", "path", "secure", "httpOnly", "sameSite"];
        let put: Map<String, Value> =
            fields.iter().map(|name| ((*name).to_owned(), cookie[*name].clone())).collect();
        self.devtools("Network.setCookie", Value::Object(put));
    }

    /// Forgets all cookies.
    #[track_caller]
    pub fn forget_cookies(&self) {
        self.devtools("Network.clearBrowserCookies", json!({}));
    }

    /// Opens an address and waits until the page is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.session.open(url).unwrap_or_else(|why| panic!("cannot open {url}: {why}"));
    }

    /// Where the page is now, from the path on.
    #[track_caller]
    pub fn address(&self) -> String {
        text(self.script("return location.pathname + location.search + location.hash", &[]))
    }

    /// Asks the page again until the script returns something that is neither null nor false.
    #[track_caller]
    pub fn wait_script(&self, what: &str, body: &str, arguments: &[Value]) -> Value {
        self.until(what, || {
            // A page that is just being left has no answer.
            let found = self.session.script(body, arguments).unwrap_or(Value::Null);
            (!matches!(found, Value::Null | Value::Bool(false))).then_some(found)
        })
    }

    #[track_caller]
    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > deadline {
                panic!("in vain: {what}\nat {}\n{}", self.address(), self.text("body"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until an element of this selector is on the page and visible; gives its text.
    #[track_caller]
    pub fn see(&self, selector: &str) -> String {
        let body =
            "const e = [...document.querySelectorAll(arguments[0])].find(e => e.checkVisibility());
            return e ? e.innerText : null";
        text(self.wait_script(&format!("`{selector}` is seen"), body, &[json!(selector)]))
    }

    /// Waits until the text of an element of this selector contains these words.
    #[track_caller]
    pub fn see_in(&self, selector: &str, words: &str) -> String {
        let body = "const squeeze = t => t.replace(/\\s+/g, ' ').toLowerCase();
            return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility())
                .map(e => e.innerText).find(t => squeeze(t).includes(squeeze(arguments[1]))) ?? null";
        let what = format!("`{selector}` says \"{words}\"");
        text(self.wait_script(&what, body, &[json!(selector), json!(words)]))
    }

    /// Waits until the page contains these words, whatever their case and the blanks between them.
    #[track_caller]
    pub fn see_text(&self, words: &str) {
        self.see_in("body", words);
    }

    /// Waits until nothing of this selector is visible.
    #[track_caller]
    pub fn see_no(&self, selector: &str) {
        let body =
            "return ![...document.querySelectorAll(arguments[0])].some(e => e.checkVisibility())";
        self.wait_script(&format!("`{selector}` is gone"), body, &[json!(selector)]);
    }

    /// The text of the first element of this selector as it is now; empty if there is none.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let body = "return document.querySelector(arguments[0])?.innerText ?? ''";
        text(self.script(body, &[json!(selector)]))
    }

    /// How many elements of this selector there are now.
    #[track_caller]
    pub fn count(&self, selector: &str) -> u64 {
        let body = "return document.querySelectorAll(arguments[0]).length";
        self.script(body, &[json!(selector)]).as_u64().expect("a number")
    }

    /// Clicks the element of this selector as soon as it can be clicked.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.act_on(&format!("`{selector}` is clicked"), selector, |e| self.session.click(e));
    }

    /// Clicks the visible link, button or summary whose text is this.
    #[track_caller]
    pub fn click_named(&self, name: &str) {
        self.click_named_in("body", name);
    }

    /// The same within the first element of a selector. What is disabled is waited for, as a person would: a click on
    /// it does nothing and tells nobody.
    #[track_caller]
    pub fn click_named_in(&self, scope: &str, name: &str) {
        let body = "const squeeze = t => (t ?? '').replace(/\\s+/g, ' ').trim();
            const within = document.querySelector(arguments[0]);
            const all = [...(within?.querySelectorAll('a, button, summary, label, [role=button], [role=tab]') ?? [])];
            return all.filter(e => e.checkVisibility() && !e.disabled).find(e => squeeze(e.innerText) === arguments[1]
                || e.getAttribute('aria-label') === arguments[1]) ?? null";
        let what = format!("\"{name}\" of `{scope}` is clicked");
        self.until(&what, || {
            let found = self.session.script(body, &[json!(scope), json!(name)]).ok()?;
            self.session.click(&Element::of(&found)?).ok()
        });
    }

    /// Opens a fold, if it is not open.
    #[track_caller]
    pub fn unfold(&self, selector: &str) {
        let is_open = "return document.querySelector(arguments[0])?.open ?? null";
        let open = self.until(&format!("`{selector}` is there"), || {
            self.session.script(is_open, &[json!(selector)]).ok()?.as_bool()
        });
        if !open {
            self.click(&format!("{selector} > summary"));
        }
    }

    /// Empties a field and types into it.
    #[track_caller]
    pub fn fill(&self, selector: &str, words: &str) {
        self.act_on(&format!("`{selector}` is filled"), selector, |e| {
            self.session.clear(e)?;
            self.session.type_into(e, words)
        });
    }

    /// Chooses the option of a `select` by its value.
    #[track_caller]
    pub fn choose(&self, selector: &str, value: &str) {
        let option = format!("{selector} option[value=\"{value}\"]");
        self.act_on(&format!("`{option}` is chosen"), &option, |e| self.session.click(e));
    }

    /// Gives a file to an `input` of the kind `file`.
    #[track_caller]
    pub fn give_file(&self, selector: &str, file: &Path) {
        let path = file.to_str().expect("UTF-8");
        self.act_on(&format!("`{selector}` has a file"), selector, |e| {
            self.session.type_into(e, path)
        });
    }

    /// Presses keys at what has the focus.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let pressed = self.session.focused().and_then(|e| self.session.type_into(&e, keys));
        pressed.unwrap_or_else(|why| panic!("{keys:?}: {why}"));
    }

    /// Presses a key until an element of this selector has the focus, as somebody without a mouse would.
    #[track_caller]
    pub fn press_until(&self, key: &str, selector: &str) {
        let has_it = "return document.activeElement.matches(arguments[0])";
        // More stops than a page has before its first act would tire everybody.
        for _ in 0..60 {
            if self.script(has_it, &[json!(selector)]) == json!(true) {
                return;
            }
            self.press(key);
        }
        panic!("`{selector}` is out of reach for the keyboard at {}", self.address());
    }

    /// Does something with the first element that is found, again while it is being replaced or covered.
    #[track_caller]
    fn act_on(&self, what: &str, selector: &str, act: impl Fn(&Element) -> Result<(), Refusal>) {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            let Err(why) = self.session.find(selector).and_then(|e| act(&e)) else { return };
            if Instant::now() > deadline {
                panic!("in vain: {what}: {why}\nat {}\n{}", self.address(), self.text("body"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A picture of the page from top to bottom in `target/console-screenshots/NAME-WIDTH.png`, at both widths. The
    /// first width is set when it returns.
    #[track_caller]
    pub fn pictures(&self, name: &str) {
        for width in WIDTHS.into_iter().rev() {
            self.width(width);
            self.picture(&format!("{name}-{width}"), PICTURE_LIMIT);
        }
    }

    /// A picture of the page as it is now, from the top to at most this height; gives its file.
    #[track_caller]
    pub fn picture(&self, name: &str, most: u64) -> PathBuf {
        let height = self.script("return document.documentElement.scrollHeight", &[]);
        let width = self.script("return document.documentElement.clientWidth", &[]);
        let clip = json!({
            "x": 0, "y": 0, "width": width, "height": height.as_u64().unwrap_or(900).min(most), "scale": 1,
        });
        let shot = self.devtools(
            "Page.captureScreenshot",
            json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
        );
        let bytes = base64(shot["data"].as_str().expect("base64"));
        let folder = pictures_folder();
        std::fs::create_dir_all(&folder).expect("target is ours");
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, bytes).expect("target is ours");
        file
    }

    /// Fails the test if the page is wider than the screen, so that people would have to scroll sideways.
    #[track_caller]
    pub fn fits(&self) {
        let body = "const wide = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= wide) return [];
            return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide + 1)
                .map(e => e.outerHTML.slice(0, 160))";
        let wide = self.script(body, &[]);
        let wide = wide.as_array().expect("a list");
        assert!(wide.is_empty(), "{} is wider than the screen: {wide:#?}", self.address());
    }

    /// What the page and Chromium complained of since the last call: errors of scripts, things that did not load,
    /// breaches of the content security policy.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.session.log().unwrap_or_else(|why| panic!("{why}"));
        let entries = log.as_array().into_iter().flatten();
        let bad = entries.filter(|e| matches!(e["level"].as_str(), Some("SEVERE" | "WARNING")));
        bad.map(|e| format!("{}: {}", e["level"], e["message"])).collect()
    }

    /// Fails the test if there was a complaint.
    #[track_caller]
    pub fn is_content(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "at {}: {complaints:#?}", self.address());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.session.end(); // it may have crashed; its driver ends in any case
    }
}

/// Where pictures go: build artefacts, kept until the next run.
pub fn pictures_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is within target")
        .join("console-screenshots")
}

/// One of the few Chromiums that this process may run at a time. Each keeps two cores busy while a page is loaded.
/// Under nextest, where each test is a process of its own, the group in `.config/nextest.toml` holds the same limit.
struct Turn;

/// How many Chromiums run at a time.
const TURNS: usize = 2;
static TAKEN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Turn {
    /// Waits until fewer than [`TURNS`] are taken.
    fn take() -> Self {
        let full = |taken: &mut usize| *taken >= TURNS;
        let waited = TAKEN.1.wait_while(Self::taken(), full);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }

    fn taken() -> MutexGuard<'static, usize> {
        TAKEN.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *Self::taken() -= 1;
        TAKEN.1.notify_one();
    }
}

/// Starts a chromedriver on a port of its own choice; gives the port. It chooses one that is free for IPv4 and ends if
/// somebody has it for IPv6, so it is started again then.
fn start_chromedriver(folder: &Path) -> (Process, u16) {
    let started = (0..STARTS).find_map(|_| try_chromedriver(folder));
    started.expect("chromedriver says its port")
}

fn try_chromedriver(folder: &Path) -> Option<(Process, u16)> {
    let mut command = Command::new("chromedriver");
    // Chromium puts its sockets and crash dumps here instead of the person's home.
    command.arg("--port=0").env("HOME", folder).env("TMPDIR", folder);
    let advice = "chromedriver runs; install the packages `chromium` and `chromium-driver`";
    let streams = Streams { stdout: Stdio::piped(), ..Streams::none() };
    let mut chromedriver = Process::start(&mut command, streams, advice);
    let mut lines = BufReader::new(chromedriver.stdout.take().expect("piped")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // It must never wait for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    Some((chromedriver, port?))
}

fn capabilities(folder: &Path) -> Value {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let flags: Vec<&str> = FLAGS.iter().copied().chain([profile.as_str()]).collect();
    json!({
        "browserName": "chrome",
        // Supervisors that speak TLS show a certificate that this machine doesn't know.
        "acceptInsecureCerts": true,
        "goog:chromeOptions": { "args": flags },
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("no text: {other}"),
    }
}

fn base64(text: &str) -> Vec<u8> {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}
