//! `amends rules schema`: the JSON Schema of rulebooks and manifests, for editors.

use crate::failure::Outcome;
use crate::output;
use amends_rulebook::{manifest_schema, rulebook_schema};

/// Options of `rules schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules schema > rulebook.schema.json\n  \
amends rules schema --manifest > manifest.schema.json\n\nIn the first line of a rulebook, for editors with the YAML language server:\n  \
# yaml-language-server: $schema=rulebook.schema.json")]
pub struct SchemaOptions {
    /// That of a service's manifest
    #[arg(long)]
    manifest: bool,
}

pub(super) fn run(options: &SchemaOptions) -> Outcome {
    output::json(&if options.manifest { manifest_schema() } else { rulebook_schema() })
}
