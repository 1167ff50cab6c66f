//! `amends rules schema`: the JSON Schema of rulebooks and manifests, for editors.

use crate::failure::Outcome;
use crate::output;
use amends_workbench::{manifest_schema, rulebook_schema};

/// Options of `rules schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules schema > rulebook.schema.json\n  \
amends rules schema --manifest > manifest.schema.json\n\nIn the first line of a rulebook, for editors with the YAML language server:\n  \
# yaml-language-server: $schema=rulebook.schema.json")]
pub struct SchemaOptions {
    /// That of a service's manifest
    #[arg(long)]
    manifest: bool,
    /// It is JSON in any case; for scripts that ask every verb so
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &SchemaOptions) -> Outcome {
    let SchemaOptions { manifest, json: _ } = options;
    output::json(&if *manifest { manifest_schema() } else { rulebook_schema() })
}
