//! The console in a real Chromium: every page, every act, as a person at a desk and at a telephone would meet them.

#[path = "../support/mod.rs"]
mod support;

mod accessibility;
mod acts;
mod acts_on_many;
mod browser;
mod hero;
mod house;
#[cfg(feature = "tls")]
mod login;
mod pages;
mod plain_http;
mod questions;
mod rig;
mod rules;
mod truth;
mod truth_lists;
#[cfg(feature = "demo")]
mod walk;
mod webdriver;
