//! `amends export`: all cases that a filter finds, as NDJSON or CSV, streamed: its length costs no memory.

use super::cases::filters::CaseFilters;
use super::{Connection, block_on};
use crate::failure::Outcome;
use crate::output;
use anyhow::Context;
use http_body_util::BodyExt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Options of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends export --state stuck > stuck.ndjson\n  \
amends export --format csv --report 'payment/*' --to payment.csv")]
pub struct ExportOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    filters: CaseFilters,
    /// How rows are written
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// Into this file, which must not exist, rather than to standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// One JSON object per line
    Ndjson,
    /// A table with a head
    Csv,
}

pub(super) fn run(options: ExportOptions) -> Outcome {
    let client = options.connection.client()?;
    let mut query = options.filters.query();
    query.push(
        "format",
        match options.format {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        },
    );
    block_on(async {
        let mut body = client.stream(&format!("/v1/cases:export{}", query.as_str()), None).await?;
        let mut out = match &options.to {
            Some(path) => To::File(BufWriter::new(
                File::create_new(path)
                    .with_context(|| format!("cannot create `{}`", path.display()))?,
            )),
            None => To::Output(Vec::new()),
        };
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|e| client.unreachable(format!("the export broke off: {e}")))?;
            if let Ok(bytes) = frame.into_data() {
                out.write(&bytes)?;
            }
        }
        out.finish()
    })
}

/// Where the rows go.
enum To {
    /// As they were sent.
    File(BufWriter<File>),
    /// Line by line, since it may be a terminal; here is the beginning of the next one.
    Output(Vec<u8>),
}

impl To {
    fn write(&mut self, bytes: &[u8]) -> Outcome {
        match self {
            Self::File(file) => Ok(file.write_all(bytes)?),
            Self::Output(begun) => {
                begun.extend_from_slice(bytes);
                let Some(end) = begun.iter().rposition(|byte| *byte == b'\n') else {
                    return Ok(());
                };
                let whole: Vec<u8> = begun.drain(..=end).collect();
                output::exported(&String::from_utf8_lossy(&whole))
            }
        }
    }

    fn finish(self) -> Outcome {
        match self {
            Self::File(mut file) => Ok(file.flush()?),
            Self::Output(rest) => output::exported(&String::from_utf8_lossy(&rest)),
        }
    }
}
