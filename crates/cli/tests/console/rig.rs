//! The rig finds what it is there to find: a good page passes, and each planted mistake is named.

use crate::accessibility::{findings, is_accessible};
use crate::browser::{Browser, WIDTHS, pictures_folder};
use crate::support::process::{Process, Streams};
use crate::support::{scratch, write};
use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use tokio::net::TcpListener;

const GOOD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Good</title>
<meta name=viewport content='width=device-width'>
<link rel=icon href=data:,><style>:root { color-scheme: light dark }</style></head>
<body><main><h1>Cases</h1><form action=/good method=get><label>Reason <input name=reason></label>
<label>Outcome <select name=outcome><option value=>none</option><option value=waived>waived</option></select></label>
<label>File <input type=file name=file></label>
<button>Retry now</button></form><p id=late></p><p id=wait>Wait.</p></main>
<script>setTimeout(() => { late.textContent = 'It came later.'; wait.remove() }, 300)</script></body></html>";

const BAD: &str = "<!doctype html><html><head><meta charset=utf-8><title>Bad</title>
<link rel=icon href=data:,></head>
<body><main><h1>Cases</h1><img src=data:,><input name=reason>
<p id=faint style='color: #bbb; background: #fff'>You can hardly read this.</p>
<div id=wide style='width: 500px'>Too wide for a telephone.</div></main>
<script>console.error('a planted error')</script></body></html>";

/// A page with a policy that forbids the script that it has.
const STRICT: &str =
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>Strict</title></head>
<body><main><h1>Strict</h1></main><script>document.title = 'it ran'</script></body></html>";

/// Serves the pages on a free port for as long as the runtime lives.
fn pages() -> (tokio::runtime::Runtime, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let strict = async || {
        ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], Html(STRICT)).into_response()
    };
    let app = Router::new()
        .route("/good", get(async || Html(GOOD)))
        .route("/bad", get(async || Html(BAD)))
        .route("/strict", get(strict));
    runtime.spawn(async move { axum::serve(listener, app).await });
    (runtime, url)
}

#[test]
fn a_good_page_passes() {
    let (_runtime, url) = pages();
    let folder = scratch();
    write(folder.path(), "rules.yaml", "rulebook: shop");
    let browser = Browser::start();
    browser.open(&format!("{url}/good"));
    browser.see_in("#late", "it came  LATER");
    browser.see_no("#wait");
    assert_eq!((browser.see("h1").as_str(), browser.count("label")), ("Cases", 3));
    is_accessible(&browser);
    browser.choose("select", "waived");
    browser.give_file("input[type=file]", &folder.path().join("rules.yaml"));
    browser.click("input[name=reason]");
    browser.press("the bank");
    browser.fill("input[name=reason]", "the bank is back");
    browser.click_named("Retry now");
    browser.wait_script("the form is sent", "return location.search.includes('reason')", &[]);
    assert_eq!(browser.address(), "/good?reason=the+bank+is+back&outcome=waived&file=rules.yaml");
    browser.see_text("it came later");
    for width in WIDTHS {
        browser.width(width);
        browser.fits();
    }
    browser.pictures("rig-good");
    for width in WIDTHS {
        let file = pictures_folder().join(format!("rig-good-{width}.png"));
        let bytes = std::fs::read(file).expect("a picture");
        // A PNG says its width in bytes 16 to 19.
        assert_eq!(&bytes[16..20], &width.to_be_bytes());
    }
    browser.is_content();
}

#[test]
fn planted_mistakes_are_found() {
    let (_runtime, url) = pages();
    let browser = Browser::start();
    browser.open(&format!("{url}/bad"));
    let found = findings(&browser);
    for (rule, times) in
        [("html-has-lang", 4), ("image-alt", 4), ("label", 4), ("color-contrast", 4)]
    {
        let named = found.iter().filter(|f| f.contains(&format!(" {rule}: "))).count();
        assert_eq!(named, times, "{rule} at two widths in two schemes: {found:#?}");
    }
    assert!(found.iter().any(|f| f.contains("#faint")), "{found:#?}");
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|c| c.contains("a planted error")), "{complaints:?}");
    browser.width(390);
    let too_wide = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| browser.fits()));
    assert!(too_wide.is_err(), "an element of 500 px fits into 390");
}

#[test]
fn a_breach_of_the_policy_is_a_complaint() {
    let (_runtime, url) = pages();
    let browser = Browser::start();
    browser.open(&format!("{url}/strict"));
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|c| c.contains("Content Security Policy")), "{complaints:?}");
    assert_eq!(browser.script("return document.title", &[]), "Strict");
    // axe-core comes with the driver and not with the page, so the policy doesn't keep it out.
    is_accessible(&browser);
}

#[test]
fn axe_core_is_the_file_that_its_page_says() {
    let readme = include_str!("vendor/README.md");
    let sum = Sha256::digest(include_bytes!("vendor/axe-core-4.14.1.min.js"));
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(readme.contains(&sum), "vendor/README.md does not name {sum}");
    assert!(include_str!("vendor/axe-core-LICENSE").starts_with("Mozilla Public License"));
}

#[test]
fn what_a_process_started_ends_with_it() {
    // The shell tells the number of a child that would outlive it, and waits for a line that never comes.
    let script = "sleep 600 & echo $!; read line";
    let streams = Streams { stdin: Stdio::piped(), stdout: Stdio::piped(), ..Streams::none() };
    let mut shell = Process::start(Command::new("sh").args(["-c", script]), streams, "sh runs");
    let mut told = String::new();
    let mut stdout = BufReader::new(shell.stdout.take().expect("piped"));
    stdout.read_line(&mut told).expect("readable");
    drop(shell);
    // Whoever else has the pipe has ended when it is closed.
    assert_eq!(stdout.read_line(&mut told).expect("readable"), 0, "{told}");
}
