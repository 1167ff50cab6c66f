//! The console in a real Chromium: every page, every act, as a person at a desk and at a telephone would meet them.

#[path = "../support/mod.rs"]
mod support;

mod accessibility;
mod browser;
mod rig;
mod webdriver;
