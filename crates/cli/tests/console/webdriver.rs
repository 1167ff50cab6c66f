//! The W3C WebDriver protocol as far as these tests speak it: one request per call.
//! By hand, because the crate for it (thirtyfour) turns on `serde_json/preserve_order` for the whole build: the
//! supervisor under test would not be the one that is shipped.

use crate::plain_http::request;
use serde_json::{Value, json};
use std::fmt;

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Why a command was not carried out, e.g. `stale element reference: …`.
#[derive(Clone, Debug)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self(format!("chromedriver does not answer: {error}"))
    }
}

/// An element of the page, until the page replaces it.
#[derive(Clone, Debug)]
pub struct Element(String);

impl Element {
    /// The element that a script returned.
    pub fn of(value: &Value) -> Option<Self> {
        value[ELEMENT].as_str().map(|id| Self(id.to_owned()))
    }
}

/// A session: one browser.
#[derive(Debug)]
pub struct Session {
    port: u16,
    path: String,
}

impl Session {
    /// Starts a browser with these capabilities.
    pub fn start(port: u16, capabilities: &Value) -> Result<Self, Refusal> {
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let started = command(port, "POST", "/session", Some(&body))?;
        let id = started["sessionId"].as_str().ok_or_else(|| Refusal(started.to_string()))?;
        Ok(Self { port, path: format!("/session/{id}") })
    }

    fn post(&self, path: &str, body: Value) -> Result<Value, Refusal> {
        command(self.port, "POST", &format!("{}/{path}", self.path), Some(&body))
    }

    /// Ends the browser.
    pub fn end(&self) -> Result<(), Refusal> {
        command(self.port, "DELETE", &self.path, None).map(drop)
    }

    /// Opens an address and waits until it is loaded.
    pub fn open(&self, url: &str) -> Result<(), Refusal> {
        self.post("url", json!({ "url": url })).map(drop)
    }

    /// Runs a function's body in the page; gives what it returns, or what its promise brings.
    pub fn script(&self, body: &str, arguments: &[Value]) -> Result<Value, Refusal> {
        self.post("execute/sync", json!({ "script": body, "args": arguments }))
    }

    /// The first element of a CSS selector.
    pub fn find(&self, selector: &str) -> Result<Element, Refusal> {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.post("element", body)?;
        Element::of(&found).ok_or_else(|| Refusal(found.to_string()))
    }

    /// What has the focus.
    pub fn focused(&self) -> Result<Element, Refusal> {
        let found = command(self.port, "GET", &format!("{}/element/active", self.path), None)?;
        Element::of(&found).ok_or_else(|| Refusal(found.to_string()))
    }

    /// Clicks into the middle of an element, if nothing covers it.
    pub fn click(&self, element: &Element) -> Result<(), Refusal> {
        self.post(&format!("element/{}/click", element.0), json!({})).map(drop)
    }

    /// Empties a field.
    pub fn clear(&self, element: &Element) -> Result<(), Refusal> {
        self.post(&format!("element/{}/clear", element.0), json!({})).map(drop)
    }

    /// Types into an element.
    pub fn type_into(&self, element: &Element, keys: &str) -> Result<(), Refusal> {
        self.post(&format!("element/{}/value", element.0), json!({ "text": keys })).map(drop)
    }

    /// A command of the Chrome DevTools protocol.
    pub fn devtools(&self, method: &str, parameters: Value) -> Result<Value, Refusal> {
        self.post("goog/cdp/execute", json!({ "cmd": method, "params": parameters }))
    }

    /// What the browser logged since the last call: a list of `{level, message}`.
    pub fn log(&self) -> Result<Value, Refusal> {
        self.post("se/log", json!({ "type": "browser" }))
    }
}

fn command(port: u16, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let address = format!("127.0.0.1:{port}");
    let (status, body) = request(&address, method, path, "application/json", &body)?;
    let read: Value = serde_json::from_str(&body).map_err(|_| Refusal(body))?;
    let value = &read["value"];
    if status == 200 {
        return Ok(value.clone());
    }
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    Err(Refusal(format!("{method} {path}: {}: {}", text("error"), text("message"))))
}
