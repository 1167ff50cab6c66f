//! `amends context`: names for supervisors, each with its address and how one identifies there, kept in one file of the
//! person's own. No secret of it is ever printed.

use super::block_on;
use crate::complete;
use crate::connection::variable;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use crate::target::contexts::{Context, Contexts, ContextsFile};
use crate::target::shown_header;
use crate::target::token::Token;
use anyhow::anyhow;
use clap_complete::ArgValueCompleter;
use serde::Serialize;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Longest name: it is a word in a line.
const NAME_LIMIT: usize = 64;
/// Most that is read of standard input for a token.
const TOKEN_LIMIT: u64 = 64 << 10;

/// What to do with contexts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends context\n  \
amends context set prod --url https://amends.example.com --token-file prod.token\n  \
amends context set prod --token-stdin < prod.token\n  \
amends context set prod --token-command op read op://ops/amends/token\n  \
amends context use prod\n  amends cases list --context prod\n\n\
The file is amends/contexts.toml in $XDG_CONFIG_HOME or ~/.config. It is not used if others may change it, or read a \
secret in it. A context is used whole or not at all: with --url or AMENDS_URL its token goes nowhere.")]
pub struct ContextOptions {
    #[command(subcommand)]
    command: Option<ContextCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum ContextCommand {
    /// List contexts [default]
    List,
    /// Show one context, without its secrets
    Show {
        /// Which one [default: the one in use]
        #[arg(add = ArgValueCompleter::new(complete::contexts_of_file))]
        name: Option<String>,
    },
    /// Use this one from now on, where no command says another
    Use {
        /// Which one
        #[arg(required_unless_present = "none", add = ArgValueCompleter::new(complete::contexts_of_file))]
        name: Option<String>,
        /// Use none: commands ask http://127.0.0.1:7100 again
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Make a context, or change what is said of one; the first becomes the one in use
    Set(Box<Set>),
    /// Forget a context, and the token that is kept in it
    Delete {
        /// Which one
        #[arg(add = ArgValueCompleter::new(complete::contexts_of_file))]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Set {
    /// Its name
    #[arg(add = ArgValueCompleter::new(complete::contexts_of_file))]
    name: String,
    /// Address of the supervisor, without a name or a password in it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File that holds the token; it is read anew by each command
    #[arg(long, value_name = "FILE", group = "token")]
    token_file: Option<PathBuf>,
    /// Read the token from standard input, and keep it in the file of contexts
    #[arg(long, group = "token")]
    token_stdin: bool,
    /// Command that prints the token, with its arguments; stands last. It has a minute to end, and may ask you
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true, group = "token")]
    token_command: Option<Vec<String>>,
    /// PEM file of the authorities to trust, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file of a client certificate
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// PEM file of its private key, if it is not in the same file
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Send this header too, in place of those that were said before; may be given several times
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Let a token go over plain http to another machine, where everybody on the way can take it
    #[arg(long)]
    insecure_http: bool,
    /// Forget what was said of this
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    unset: Vec<Part>,
}

/// What can be forgotten of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Token,
    Ca,
    Cert,
    Header,
    InsecureHttp,
}

pub(super) fn run(options: ContextOptions) -> Outcome {
    let file = ContextsFile::of(&variable).ok_or_else(|| {
        anyhow!("nobody knows where contexts would be kept; set HOME or XDG_CONFIG_HOME")
    })?;
    let mut all = file.read()?;
    match options.command.unwrap_or(ContextCommand::List) {
        ContextCommand::List => {
            let views = all.contexts.iter().map(|(name, one)| ContextView::of(name, one, &all));
            let views: Vec<_> = views.collect();
            return block_on(options.printing.list(async || Ok(views.clone()), list));
        }
        ContextCommand::Show { name } => {
            let name = name.or_else(|| all.current.clone()).ok_or_else(|| {
                Failure::Usage(
                    "no context is in use; name one, or `amends context use` one".to_owned(),
                )
            })?;
            let view = ContextView::of(&name, all.named(&name)?, &all);
            return block_on(options.printing.one(async || Ok(view.clone()), ContextView::tell));
        }
        ContextCommand::Use { name: Some(name), .. } => {
            let url = all.named(&name)?.url.clone();
            all.current = Some(name.clone());
            file.write(&all)?;
            output::tell(&format!("commands ask {url} now (context `{name}`)"));
            said_elsewhere();
        }
        ContextCommand::Use { name: None, .. } => {
            all.current = None;
            file.write(&all)?;
            output::tell("no context is in use now");
        }
        ContextCommand::Set(set) => set_one(&file, all, *set)?,
        ContextCommand::Delete { name } => {
            all.named(&name)?;
            all.contexts.remove(&name);
            let was_used = all.current.as_ref() == Some(&name);
            all.current = all.current.filter(|_| !was_used);
            file.write(&all)?;
            let more = if was_used { "; it was in use, and none is now" } else { "" };
            output::tell(&format!(
                "context `{name}` is forgotten here{more}. Its token is still good: `amends token revoke` ends it"
            ));
        }
    }
    Ok(())
}

/// The environment says another supervisor than the context in use.
fn said_elsewhere() {
    for name in ["AMENDS_URL", "AMENDS_CONTEXT"] {
        if variable(name).is_some() {
            output::tell(&format!("but {name} is set, and stands above it; unset it"));
        }
    }
}

fn set_one(file: &ContextsFile, mut all: Contexts, set: Set) -> Outcome {
    let name = set.name.clone();
    check_name(&name)?;
    let is_new = !all.contexts.contains_key(&name);
    if is_new && set.url.is_none() {
        let why = format!("there is no context `{name}` yet; a new one needs --url");
        return Err(Failure::Usage(why));
    }
    let context = all.contexts.entry(name.clone()).or_default();
    set.apply(context)?;
    context.check()?;
    if all.contexts.len() == 1 && is_new {
        all.current = Some(name.clone());
    }
    file.write(&all)?;
    let used = if all.current.as_ref() == Some(&name) { " and in use" } else { "" };
    let place = file.path().display();
    output::tell(&format!(
        "context `{name}` is set{used}, in `{place}`; `amends whoami --context {name}` tries it"
    ));
    Ok(())
}

fn check_name(name: &str) -> Outcome {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(plain) {
        return Err(Failure::Usage(format!(
            "a context is named by letters, digits, `-`, `_` and `.`, at most {NAME_LIMIT} of them"
        )));
    }
    Ok(())
}

impl Set {
    fn apply(self, context: &mut Context) -> Outcome {
        for part in self.unset {
            part.forget(context);
        }
        if let Some(url) = self.url {
            // A token that was given for one supervisor is not for another one.
            let moves = !context.url.is_empty() && context.url != url;
            let says_token =
                self.token_stdin || self.token_file.is_some() || self.token_command.is_some();
            if moves && context.token_source().is_some() && !says_token {
                return Err(Failure::Usage(
                    "with another address, say again which token it gets, or --unset token"
                        .to_owned(),
                ));
            }
            context.url = url;
        }
        if self.token_stdin {
            Part::Token.forget(context);
            context.token = Some(token_of_stdin()?);
        }
        if let Some(path) = self.token_file {
            Part::Token.forget(context);
            context.token_file = Some(absolute(&path)?);
        }
        if let Some(command) = self.token_command {
            Part::Token.forget(context);
            context.token_command = Some(command);
        }
        if let Some(path) = self.ca {
            context.ca = Some(absolute(&path)?);
        }
        if let Some(path) = self.cert {
            Part::Cert.forget(context);
            context.cert = Some(absolute(&path)?);
        }
        if let Some(path) = self.key {
            context.key = Some(absolute(&path)?);
        }
        if !self.header.is_empty() {
            context.headers = self.header;
        }
        context.insecure_http |= self.insecure_http;
        Ok(())
    }
}

impl Part {
    fn forget(self, context: &mut Context) {
        match self {
            Self::Token => {
                (context.token, context.token_file, context.token_command) = (None, None, None);
            }
            Self::Ca => context.ca = None,
            Self::Cert => (context.cert, context.key) = (None, None),
            Self::Header => context.headers.clear(),
            Self::InsecureHttp => context.insecure_http = false,
        }
    }
}

fn absolute(path: &Path) -> Outcome<PathBuf> {
    Ok(std::path::absolute(path)?)
}

fn token_of_stdin() -> Outcome<Token> {
    if io::stdin().is_terminal() {
        output::prompt("the token (it will be seen on the screen), then Enter and Ctrl-D: ")?;
    }
    let mut text = String::new();
    io::stdin().take(TOKEN_LIMIT).read_to_string(&mut text)?;
    Token::new(&text).map_err(|why| Failure::Usage(format!("standard input holds no token: {why}")))
}

/// A context without its secrets.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextView {
    name: String,
    current: bool,
    url: String,
    /// Where the token comes from, and its id where it is known.
    token: Option<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    headers: Vec<String>,
    insecure_http: bool,
}

impl ContextView {
    fn of(name: &str, context: &Context, all: &Contexts) -> Self {
        let kept = context.token.as_ref().map(Token::shown);
        let file = context.token_file.as_ref().map(|path| format!("file {}", path.display()));
        let command = context.token_command.as_ref().map(|words| format!("command {}", words[0]));
        Self {
            name: name.to_owned(),
            current: all.current.as_deref() == Some(name),
            url: context.url.clone(),
            token: kept.or(file).or(command),
            ca: context.ca.clone(),
            cert: context.cert.clone(),
            key: context.key.clone(),
            headers: context.headers.iter().map(|line| shown_header(line)).collect(),
            insecure_http: context.insecure_http,
        }
    }

    fn tell(&self) -> Outcome {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let used = if self.current { " (in use)" } else { "" };
        output::line(&format!("context {}{used}", self.name))?;
        let headers = (!self.headers.is_empty()).then(|| self.headers.join(", "));
        let http =
            self.insecure_http.then(|| "a token may go over it to other machines".to_owned());
        for (what, said) in [
            ("address", Some(self.url.clone())),
            ("token", self.token.clone().or_else(|| Some("none".to_owned()))),
            ("authorities", path(&self.ca)),
            ("certificate", path(&self.cert)),
            ("key", path(&self.key)),
            ("headers", headers),
            ("plain http", http),
        ] {
            if let Some(said) = said {
                output::line(&format!("  {:13}{said}", format!("{what}:")))?;
            }
        }
        Ok(())
    }
}

fn list(views: &Vec<ContextView>, width: Width) -> Outcome {
    if views.is_empty() {
        output::tell("there is no context; `amends context set NAME --url URL` makes one");
        return Ok(());
    }
    let mut heads = vec!["in use", "context", "address", "token"];
    if width == Width::Wide {
        heads.extend(["authorities", "certificate", "headers"]);
    }
    let mut grid = Grid::new(&heads);
    let path =
        |path: &Option<PathBuf>| path.as_ref().map_or("-".to_owned(), |p| p.display().to_string());
    for view in views {
        let mut row = vec![
            if view.current { "*" } else { "" }.to_owned(),
            view.name.clone(),
            view.url.clone(),
            view.token.clone().unwrap_or_else(|| "none".to_owned()),
        ];
        if width == Width::Wide {
            row.extend([path(&view.ca), path(&view.cert), view.headers.len().to_string()]);
        }
        grid.row(row);
    }
    grid.print()
}
