//! `docs/guides/calling-outside.md` as its reader lives it: a proxy that asks who one is, a provider that only the
//! proxy finds, the page's configuration, rulebook and commands.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use support::page::{blocks, run, shows};
use support::{Supervisor, eventually, scratch, write};

const PAGE: &str = include_str!("../../../docs/guides/calling-outside.md");
const AUTHORITY: &str = include_str!("../../server/src/dispatch/certificates/authority-a.pem");

/// A proxy with one provider behind it, which says yes to everything. Keeps who was asked for what.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(&stream, &seen));
            }
        });
        Self { address, asked }
    }

    /// The page's text with this proxy in place of its own.
    fn instead(&self, text: &str) -> String {
        text.replace("proxy.internal:3128", &self.address)
    }
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
            head.push(std::mem::take(&mut line).trim_end().to_ascii_lowercase());
        }
        let Some(asked) = head.first().cloned() else { return };
        let length = head.iter().find_map(|h| h.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |n| n.parse().expect("a number"))];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        // `amends:a-password`, as the page has it.
        let known = head.iter().any(|h| h == "proxy-authorization: basic yw1lbmrzometcgfzc3dvcmq=");
        let answer = if known { "204 No Content" } else { "407 Proxy Authentication Required" };
        seen.lock().expect("not poisoned").push(format!("{asked} {answer}"));
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        if (&mut &*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The first block of a language on the page.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).expect("the page has one");
    rest.split_once("```").expect("it ends").0
}

#[test]
fn the_guide_works_as_printed() {
    let folder = scratch();
    let proxy = Proxy::start();
    write(folder.path(), "amends.toml", &proxy.instead(block("toml")));
    write(folder.path(), "shop.yaml", block("yaml"));
    write(folder.path(), "company-ca.pem", AUTHORITY);
    let mut supervisor: Option<Supervisor> = None;
    let mut ran = 0;
    for block in blocks(PAGE) {
        if let Some(arguments) = block.script.strip_prefix("amends serve ") {
            let arguments: Vec<_> = arguments.split_whitespace().collect();
            supervisor = Some(Supervisor::start(folder.path(), &arguments));
            continue;
        }
        let url = supervisor.as_ref().map(|s| s.url.as_str());
        let script = block.script.replace("http://127.0.0.1:7100", url.unwrap_or_default());
        let mut output = run(&script, folder.path(), url);
        let place = format!("docs/guides/calling-outside.md:{}", block.line);
        assert!(output.ok, "{place}: the commands failed:\n{script}\n{}", output.text);
        let look = script.lines().last().filter(|line| line.starts_with("amends cases show "));
        for line in block.shown.lines() {
            let line = proxy.instead(line);
            eventually(&format!("{place} shows\n  {line}\nafter\n{}", output.text), || {
                if output.text.lines().any(|there| shows(there, &line)) {
                    return Some(());
                }
                output = run(look?, folder.path(), url);
                None
            });
        }
        ran += 1;
    }
    assert!(ran > 3, "the page has lost its commands");
    let asked = proxy.asked.lock().expect("not poisoned");
    let refund = "post http://pay.example/refunds/order-1 http/1.1 204 No Content";
    assert!(asked.iter().any(|one| one == refund), "{asked:?}");
    assert!(asked.iter().all(|one| !one.contains(" 407 ")), "{asked:?}");
}
