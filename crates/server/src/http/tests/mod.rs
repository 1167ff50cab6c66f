//! The API as its users meet it: a real driver and a real store behind the routes, and services that answer as told.

mod access;
mod acts;
mod backups;
mod bounds;
mod bulk;
mod business;
mod callbacks;
mod console;
mod console_access;
mod described;
mod desk;
mod keeping;
mod open_work;
mod operating;
mod proof;
mod quarantine;
mod questions;
mod reporting;
mod rule_holds;
mod rules;
mod secrets;
mod strangers;
mod verdicts;
mod watching;
mod which_rulebook;
mod withheld;
