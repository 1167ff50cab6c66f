//! `amends config`: what `serve` would run with, and where each value comes from.

mod check;
mod default;
mod show;

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_server::config::{Config, ConfigError, Layers};
use anyhow::Context;
use std::path::PathBuf;

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its value
    Show(show::ShowOptions),
    /// Find every mistake in the configuration
    Check(check::CheckOptions),
    /// Print the default configuration file, with a comment for each key
    Default,
}

pub(super) fn run(command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Show(options) => show::run(options),
        ConfigCommand::Check(options) => check::run(options),
        ConfigCommand::Default => default::run(),
    }
}

/// The layers that a command line adds. Flags win over the environment, that over the file, that over the defaults.
#[derive(Debug, Default, clap::Args)]
pub struct ConfigArguments {
    /// A rulebook file, or a folder of them
    #[arg(long, value_name = "PATH")]
    rules: Option<PathBuf>,
    /// Folder of the store
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address for services alone; `--listen` is for people and their tools then
    #[arg(long, value_name = "HOST:PORT")]
    listen_services: Option<String>,
    /// A proxy in front speaks TLS, and nobody can read along between it and here
    #[arg(long)]
    behind_proxy: bool,
    /// Listen where others can come without TLS, or without asking who they are
    #[arg(long)]
    insecure: bool,
    /// Certificate to be reached by `https` with, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Its key, if it does not stand in the same file
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "AMENDS_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArguments {
    /// All layers, unchecked values included; and what of them can't be understood at all.
    fn read_layers(&self) -> Outcome<(Layers, Vec<String>)> {
        let mut layers = Layers::defaults();
        let mut mistakes = Vec::new();
        if let Some(path) = &self.config {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            mistakes.extend(layers.file(path, &text).err().into_iter().flat_map(|wrong| wrong.0));
        }
        // A name or value that is not UTF-8 can be none of ours.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        layers.environment(std::env::vars_os().filter_map(text));
        let paths = [
            ("rules", "rules", &self.rules),
            ("data", "data", &self.data),
            ("tls-certificate", "tls.certificate", &self.tls_certificate),
            ("tls-key", "tls.key", &self.tls_key),
        ];
        for (name, key, path) in paths {
            if let Some(path) = path {
                let text = path.to_str().ok_or_else(|| {
                    Failure::Usage(format!("--{name}: `{}` is not UTF-8", path.display()))
                })?;
                layers.flag(name, key, text);
            }
        }
        let addresses = [
            ("listen", "listen", &self.listen),
            ("listen-services", "listen_services", &self.listen_services),
        ];
        for (name, key, address) in addresses {
            if let Some(address) = address {
                layers.flag(name, key, address);
            }
        }
        let flags = [
            ("behind-proxy", "access.behind_proxy", self.behind_proxy),
            ("insecure", "access.insecure", self.insecure),
        ];
        for (name, key, _) in flags.iter().filter(|(_, _, given)| *given) {
            layers.flag(name, key, "true");
        }
        Ok((layers, mistakes))
    }

    /// Those of a configuration file alone, for a command that has flags of its own.
    pub fn of_file(config: Option<PathBuf>) -> Self {
        Self { config, ..Self::default() }
    }

    /// The checked configuration, with more flags laid over it: each with the key that it sets.
    #[cfg(feature = "postgres")]
    pub fn read_with(&self, flags: &[(&str, &str, Option<&str>)]) -> Outcome<Config> {
        let mut layers = self.layers()?;
        for (flag, key, text) in flags {
            if let Some(text) = text {
                layers.flag(flag, key, text);
            }
        }
        Config::from_layers(&layers).map_err(|wrong| findings(&wrong))
    }

    /// All layers, unchecked values included.
    fn layers(&self) -> Outcome<Layers> {
        let (layers, mistakes) = self.read_layers()?;
        if mistakes.is_empty() { Ok(layers) } else { Err(findings(&ConfigError(mistakes))) }
    }

    /// The checked configuration; mistakes are shown.
    pub fn read(&self) -> Outcome<Config> {
        self.check()?.map_err(|wrong| findings(&wrong))
    }

    /// The checked configuration, or every mistake in it.
    pub fn check(&self) -> Outcome<Result<Config, ConfigError>> {
        let (layers, mut mistakes) = self.read_layers()?;
        Ok(match Config::from_layers(&layers) {
            Ok(config) if mistakes.is_empty() => Ok(config),
            Ok(_) => Err(ConfigError(mistakes)),
            Err(wrong) => {
                mistakes.extend(wrong.0);
                Err(ConfigError(mistakes))
            }
        })
    }
}

fn findings(error: &ConfigError) -> Failure {
    for mistake in &error.0 {
        output::tell(&format!("error: {mistake}"));
    }
    Failure::Findings
}
