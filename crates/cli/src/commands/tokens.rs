//! `amends token`: making, listing and revoking tokens. A token is told once, on standard output or into a file of its
//! own; from then on only its id is.

mod offline;

use super::{Connection, block_on};
use crate::client::Client;
use crate::complete;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::access::{Grant, Scope, TokenMade, TokenView, TokenWanted};
use amends_protocol::Timestamp;
use amends_protocol::wire::percent;
use amends_rulebook::duration::parse_ms;
use anyhow::anyhow;
use clap_complete::ArgValueCompleter;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How long a token for everything works if nobody says otherwise: until the first others are made.
const ADMIN_SECONDS: u64 = 60 * 60;
/// A token that runs out within this time should be looked at, in milliseconds.
const SOON_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// What to do with tokens, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends token list\n  \
amends token create payment --grant report:payment --expires-in 90d --to payment.token\n  \
amends token create night-shift --grant act@food-order --grant read:data@food-order\n  \
amends token create --admin --data amends-data\n  amends token create --admin --config amends.toml\n  amends token revoke 9f86d0818840\n\n\
What can be granted: report:SERVICE, report:*, read, read:data, act, rules, tokens, admin; read, read:data, act and rules \
perhaps for one rulebook, as in act@food-order. Nobody grants more than they hold.")]
pub struct TokensOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<TokensCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum TokensCommand {
    /// List tokens that work; none is told [default]
    List {
        /// Also those that have run out or were revoked
        #[arg(long)]
        all: bool,
    },
    /// Show one token: what it may do, who made it, when it was used last
    Show {
        /// Its id: the middle part, amends_<id>_…
        #[arg(value_parser = id, add = ArgValueCompleter::new(complete::tokens))]
        id: String,
    },
    /// Make a token; it is told this once
    Create(Create),
    /// Let tokens work no more, from now on; sessions that they began are over too
    Revoke {
        /// Their ids: the middle part, amends_<id>_…
        #[arg(required = true, value_name = "ID", value_parser = id, add = ArgValueCompleter::new(complete::tokens))]
        ids: Vec<String>,
    },
}

/// What a new token is to be.
#[derive(Debug, clap::Args)]
struct Create {
    /// Whose it is, as the audit tells it [default with --admin: admin]
    #[arg(required_unless_present = "admin")]
    name: Option<String>,
    /// What it may do; may be given several times
    #[arg(
        long = "grant",
        value_name = "GRANT",
        required_unless_present = "admin",
        conflicts_with = "admin"
    )]
    grants: Vec<Grant>,
    /// It may do everything but report; it works for an hour, unless --expires-in says otherwise
    #[arg(long)]
    admin: bool,
    /// How long it works: 12h, 90d [default: 90 days]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<u64>,
    /// Tell loudly of every use: for the hour in which the identity provider is down
    #[arg(long)]
    break_glass: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["data", "config"])]
    reason: Option<String>,
    /// Into this file, for its owner alone, rather than to standard output; it must not exist
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// In the folder of the store of a supervisor that does not run (yet), rather than by asking one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The same in the store that this configuration names: a folder, or a database
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
}

/// The id in what a person copies: the id itself, or a token, shown or whole.
fn id(text: &str) -> Result<String, String> {
    let id =
        text.strip_prefix("amends_").map_or(text, |rest| rest.split('_').next().unwrap_or(rest));
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned()).ok_or_else(|| {
        // It may be a secret of another kind.
        "an id is the middle part of a token, amends_<id>_…; `amends token list` lists them"
            .to_owned()
    })
}

fn seconds(text: &str) -> Result<u64, String> {
    let ms =
        parse_ms(text).map_err(|_| format!("`{text}` is no time; write e.g. `12h` or `90d`"))?;
    if ms < 1_000 { Err("a token works for a second at least".to_owned()) } else { Ok(ms / 1_000) }
}

pub(super) fn run(options: TokensOptions) -> Outcome {
    let TokensOptions { connection, command, printing } = options;
    match command.unwrap_or(TokensCommand::List { all: false }) {
        TokensCommand::List { all } => {
            let client = connection.client()?;
            let read = async || {
                let mut found: Vec<TokenView> = client.get("/v1/tokens").await?;
                found.retain(|token| all || State::of(token, now()).works());
                Ok(found)
            };
            block_on(printing.list(read, |found, width| list(found, width)))
        }
        TokensCommand::Show { id } => {
            let client = connection.client()?;
            block_on(printing.one(async || client.get(&path(&id)).await, tell))
        }
        TokensCommand::Create(create) => make(&connection, create, printing),
        TokensCommand::Revoke { ids } => revoke(&connection.client()?, &ids, printing),
    }
}

fn path(id: &str) -> String {
    format!("/v1/tokens/{}", percent::part(id))
}

fn make(connection: &Connection, create: Create, printing: Printing) -> Outcome {
    let as_json = printing.act_as_json()?;
    let (to, data, config) = (create.to.clone(), create.data.clone(), create.config.clone());
    // Before it is made: a token that can't be kept is lost.
    let file = to.as_deref().map(new_file).transpose()?;
    let wanted = create.wanted();
    let made = match (&data, config) {
        (Some(data), _) => block_on(offline::make(data, wanted)),
        (None, Some(config)) => offline::make_where_configured(config, wanted),
        (None, None) => {
            let client = connection.client()?;
            block_on(client.post("/v1/tokens", &wanted))
        }
    };
    let made: TokenMade = match made {
        Ok(made) => made,
        Err(failure) => {
            // Nothing is left behind that looks like a token.
            let _ = to.map(std::fs::remove_file);
            return Err(failure);
        }
    };
    let view = &made.view;
    let grants = in_words(&view.grants);
    output::tell(&format!(
        "token `amends_{}_…` of `{}` may {grants}, until {}. It is told this once",
        view.id,
        view.name,
        clock(view.expires_at)
    ));
    match (file, to) {
        (Some(mut file), Some(to)) => {
            writeln!(file, "{}", made.token).and_then(|()| file.sync_all())?;
            if as_json { output::json(view) } else { output::line(&to.display().to_string()) }
        }
        _ if as_json => output::json(&made),
        _ => output::line(&made.token),
    }
}

impl Create {
    fn wanted(self) -> TokenWanted {
        let all = || vec![Grant { scope: Scope::Admin, rulebook: None }];
        let (grants, expires_in) = match self.admin {
            true => (all(), self.expires_in.or(Some(ADMIN_SECONDS))),
            false => (self.grants, self.expires_in),
        };
        TokenWanted {
            name: self.name.unwrap_or_else(|| "admin".to_owned()),
            grants,
            expires_in,
            break_glass: self.break_glass,
            reason: self.reason,
        }
    }
}

/// A file that was not there, for its owner alone.
fn new_file(path: &Path) -> Outcome<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let name = path.display();
    Ok(options.open(path).map_err(|e| anyhow!("the file `{name}` can't be made: {e}"))?)
}

fn revoke(client: &Client, ids: &[String], printing: Printing) -> Outcome {
    let as_json = printing.act_as_json()?;
    let revoked = block_on(async {
        let mut revoked: Vec<TokenView> = Vec::new();
        for id in ids {
            match client.delete(&path(id)).await {
                Ok(view) => revoked.push(view),
                // What was done is told all the same.
                Err(failure) if !revoked.is_empty() => return Ok((revoked, Some(failure))),
                Err(failure) => return Err(failure),
            }
        }
        Ok((revoked, None))
    });
    let (revoked, failure) = revoked?;
    if as_json {
        output::json(&revoked)?;
    } else {
        for view in &revoked {
            output::line(&format!(
                "token `amends_{}_…` of `{}` works no more",
                view.id, view.name
            ))?;
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Whether a token works.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Works,
    RunsOutSoon,
    RanOut,
    Revoked,
}

impl State {
    fn of(token: &TokenView, now: Timestamp) -> Self {
        match token.revoked_at {
            Some(_) => Self::Revoked,
            None if token.expires_at <= now => Self::RanOut,
            None if token.expires_at.0.saturating_sub(now.0) < SOON_MS => Self::RunsOutSoon,
            None => Self::Works,
        }
    }

    fn works(self) -> bool {
        matches!(self, Self::Works | Self::RunsOutSoon)
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Works => "✓ works",
            Self::RunsOutSoon => "! runs out soon",
            Self::RanOut => "○ ran out",
            Self::Revoked => "✕ revoked",
        }
    }
}

/// `act@food-order, read`.
pub(super) fn in_words(grants: &[Grant]) -> String {
    match grants {
        [] => "nothing".to_owned(),
        some => some.iter().map(Grant::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn list(found: &[TokenView], width: Width) -> Outcome {
    if found.is_empty() {
        output::tell("there is no token that works; `amends token create` makes one");
        return Ok(());
    }
    let mut heads = vec!["id", "name", "may", "state", "runs out", "last used"];
    if width == Width::Wide {
        heads.extend(["made", "by", "break glass"]);
    }
    let mut grid = Grid::new(&heads);
    let now = now();
    for token in found {
        let mut row = vec![
            token.id.clone(),
            token.name.clone(),
            in_words(&token.grants),
            State::of(token, now).shown().to_owned(),
            relative(token.expires_at, now),
            token.last_used_at.map_or("never".to_owned(), |at| relative(at, now)),
        ];
        if width == Width::Wide {
            let loud = if token.break_glass { "yes" } else { "-" };
            row.extend([clock(token.made_at), token.made_by.clone(), loud.to_owned()]);
        }
        grid.row(row);
    }
    grid.print()
}

fn tell(token: &TokenView) -> Outcome {
    let state = State::of(token, now()).shown();
    let mut lines = vec![
        format!("{state}: token amends_{}_… of {}", token.id, token.name),
        format!("may {}", in_words(&token.grants)),
        format!(
            "made {} by {}; runs out {}",
            clock(token.made_at),
            token.made_by,
            clock(token.expires_at)
        ),
        token.last_used_at.map_or("never used".to_owned(), |at| format!("last used {}", clock(at))),
    ];
    if let Some(at) = token.revoked_at {
        lines.push(format!("revoked {}", clock(at)));
    }
    if token.break_glass {
        lines.push("every use is told loudly (break glass)".to_owned());
    }
    output::line(&lines.join("\n"))
}

/// Whether something that runs out then should be looked at.
pub(super) fn runs_out_soon(at: Timestamp, now: Timestamp) -> bool {
    at.0.saturating_sub(now.0) < SOON_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_whatever_is_copied_and_no_secret_is_repeated() {
        for text in ["9f86d0818840", "amends_9f86d0818840_…", "amends_9f86d0818840_s3cr3t-x"] {
            assert_eq!(id(text).as_deref(), Ok("9f86d0818840"), "{text}");
        }
        for bad in ["", "amends_", "s3cr3t/../x", "eyJ.s3cr3t.x"] {
            assert!(!id(bad).expect_err("no id").contains("s3cr3t"));
        }
    }

    #[test]
    fn times_are_told_in_seconds() {
        assert_eq!((seconds("90d"), seconds("12h")), (Ok(7_776_000), Ok(43_200)));
        assert!(seconds("0s").is_err() && seconds("soon").is_err());
    }
}
