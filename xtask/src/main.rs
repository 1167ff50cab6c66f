//! Checks and generators of this repository: `cargo xtask test`, `tidy`, `openapi`, `schemas`, `deny`, `notices`,
//! `sbom`, `image`, `sim`, `mutants`. No part of the product.

mod circles;
mod clocks;
mod code_map;
mod docs_lead;
mod docs_links;
mod hashing;
mod image;
mod manifests;
mod modules;
mod mutants;
mod openapi;
mod participants;
mod purity;
mod ratchet;
mod release;
mod schemas;
mod sim;
mod sources;
mod supply;
mod test;
mod threats;
mod tidy;
mod words;

use anyhow::bail;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  test      format check, lints, all tests; what .ci/test runs
  install   bring what the participants in Python and TypeScript, the tools and the brokers of tests need, by their lock
            files; a part of `test`
  tidy      the tree's own rules: dependencies, purity, file heads, links, dead files, and what may only shrink;
            with `--lower` it writes down what has shrunk
  openapi   write docs/reference/openapi.json anew
  schemas   write docs/reference/schemas anew
  deny      judge all third-party crates by deny.toml: licences, bans, sources, advisories; a part of `test`
  advisories --from CLONE
            write the snapshot of the RustSec advisory database anew, from a clone of it
  notices   write THIRD-PARTY-NOTICES.txt anew
  sbom      write the binary's bill of materials (CycloneDX 1.5) to target/amends.cdx.json; `sbom FILE` elsewhere
  image     write the program as an OCI image to target/image; `image --binary PATH` takes one that is built
  sim       play days of a supervisor from seeds and check the invariants; `cargo xtask sim --help` tells how
  mutants   plant known faults in a copy and measure how soon they are found; `mutants WORD…` for some, by their
            name or folder; with `--nodes` those that take several nodes, with `--write` into their page";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test::run(),
        ["install"] => participants::run(),
        ["tidy"] => tidy::run(),
        ["tidy", "--lower"] => tidy::lower(),
        ["openapi"] => openapi::run(),
        ["schemas"] => schemas::run(),
        ["deny"] => supply::deny::run(),
        ["advisories", "--from", clone] => supply::advisories::run(clone),
        ["notices"] => supply::notices::run(),
        ["sbom"] => supply::sbom::run(None),
        ["sbom", file] => supply::sbom::run(Some(file)),
        ["image", rest @ ..] => image::run(rest),
        ["sim", rest @ ..] => sim::run(rest),
        ["mutants", rest @ ..] => mutants::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => (|| bail!("unknown command `{}`\n{USAGE}", other.join(" ")))(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
