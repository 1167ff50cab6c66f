//! A browser as far as a login needs one: cookies by host and path, redirects, forms. It takes the public address of
//! the supervisor for the address where it really is, as a proxy in front does.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use url::Url;

/// Where people reach the supervisor: nothing listens there.
pub const PUBLIC: &str = "http://127.0.0.1:1";
/// Most steps of one login.
const STEPS: usize = 20;

/// One browser, with its cookies.
pub struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    supervisor: SocketAddr,
    /// By host, path and name.
    pub cookies: BTreeMap<(String, String, String), String>,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub url: Url,
    pub location: Option<Url>,
    pub set_cookies: Vec<String>,
    pub body: String,
}

impl Browser {
    pub fn new(supervisor: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { client, supervisor, cookies: BTreeMap::new() }
    }

    /// Asks for a page, and follows nothing.
    pub async fn get(&mut self, address: &str) -> Page {
        self.send(Method::GET, address, None).await
    }

    /// Sends a form, and follows nothing.
    pub async fn post(&mut self, address: &str, fields: &[(String, String)]) -> Page {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, address, Some(form)).await
    }

    /// Where a path of the supervisor is.
    pub fn at(path: &str) -> String {
        format!("{PUBLIC}{path}")
    }

    /// Follows redirects, and fills in the forms of providers as somebody, until the supervisor shows a page.
    pub async fn go_as(&mut self, who: &str, mut page: Page) -> Page {
        for _ in 0..STEPS {
            if let Some(to) = &page.location {
                let to = to.to_string();
                page = self.get(&to).await;
            } else if page.url.as_str().starts_with(PUBLIC) {
                return page;
            } else {
                let (action, fields) = form(&page, who);
                page = self.post(&action, &fields).await;
            }
        }
        panic!("the login does not end: {page:?}");
    }

    async fn send(&mut self, method: Method, address: &str, form: Option<String>) -> Page {
        let url = Url::parse(address).expect("an address");
        let at = match address.strip_prefix(PUBLIC) {
            Some(path) => format!("http://{}{path}", self.supervisor),
            None => address.to_owned(),
        };
        let mut request = Request::builder().method(method).uri(at).header(ACCEPT, "text/html");
        let cookies = self.cookies_for(&url);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            request = request.header("sec-fetch-site", "same-origin");
        }
        let body = Full::new(Bytes::from(form.unwrap_or_default()));
        let request = request.body(body).expect("a request");
        let answer = self.client.request(request).await;
        let answer = answer.unwrap_or_else(|e| panic!("{address}: {e:?}"));
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let texts = |name| head.headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        let set_cookies: Vec<String> = texts(SET_COOKIE).map(str::to_owned).collect();
        set_cookies.iter().for_each(|cookie| self.keep(&url, cookie));
        let location = texts(LOCATION).next().map(|to| url.join(to).expect("an address"));
        let body = String::from_utf8_lossy(&body).into_owned();
        Page { status: head.status, url, location, set_cookies, body }
    }

    fn cookies_for(&self, url: &Url) -> String {
        let host = url.authority();
        let meant = self
            .cookies
            .iter()
            .filter(|((h, path, _), _)| h == host && url.path().starts_with(path));
        meant.map(|((_, _, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, url: &Url, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
        let mut path = "/".to_owned();
        let mut is_over = value.is_empty();
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.to_ascii_lowercase().as_str() {
                "path" => value.clone_into(&mut path),
                "max-age" => is_over |= value == "0",
                "expires" => is_over |= value.contains("1970"),
                _ => {}
            }
        }
        let key = (url.authority().to_owned(), path, name.to_owned());
        match is_over {
            true => drop(self.cookies.remove(&key)),
            false => drop(self.cookies.insert(key, value.to_owned())),
        }
    }
}

/// The first form of a page, filled in: hidden fields as they stand, and whatever else providers commonly ask for.
fn form(page: &Page, who: &str) -> (String, Vec<(String, String)>) {
    let start = page.body.find("<form").unwrap_or_else(|| panic!("a page with a form: {page:?}"));
    let form = page.body[start..].split("</form>").next().unwrap_or_default();
    let action = attribute(form, "action").unwrap_or_else(|| page.url.to_string());
    let action = page.url.join(&action).expect("an address").to_string();
    let typed = [("login", who), ("password", "any"), ("sub", who)];
    let mut fields: Vec<(String, String)> = Vec::new();
    for input in form.split("<input").skip(1) {
        let Some(name) = attribute(input, "name") else { continue };
        let typed =
            typed.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let value = typed.or_else(|| attribute(input, "value")).unwrap_or_default();
        fields.push((name, value));
    }
    (action, fields)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next().unwrap_or_default();
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(|value| value.replace("&amp;", "&"))
}
