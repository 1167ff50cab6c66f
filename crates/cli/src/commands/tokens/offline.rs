//! A token in the store of a supervisor that does not run: how the first one comes to be.

use crate::commands::block_on;
use crate::commands::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::moment::now;
use amends_api::access::{TokenMade, TokenWanted};
#[cfg(feature = "postgres")]
use amends_server::access::token_in;
use amends_server::access::{NewToken, TokenMistake, offline_token};
use amends_store::FILE_NAME;
use amends_store::StoreError;
use anyhow::anyhow;
use std::path::{Path, PathBuf};

/// Who has made it, as the audit and `amends token show` tell.
const MAKER: &str = "the command line, in the store's folder";
/// The same, of a store in a database.
#[cfg(feature = "postgres")]
const MAKER_IN_DATABASE: &str = "the command line, in the store's database";

/// Makes it in the store that a configuration names.
pub(super) fn make_where_configured(config: PathBuf, wanted: TokenWanted) -> Outcome<TokenMade> {
    let config = ConfigArguments::of_file(Some(config)).read()?;
    #[cfg(feature = "postgres")]
    if let Some(cluster) = &config.cluster {
        return block_on(make_in_database(cluster, wanted));
    }
    block_on(make(&config.data, wanted))
}

#[cfg(feature = "postgres")]
async fn make_in_database(
    cluster: &amends_server::ClusterOptions,
    wanted: TokenWanted,
) -> Outcome<TokenMade> {
    let place = cluster.database.place();
    let store = cluster.open().map_err(anyhow::Error::from)?;
    let made = token_in(&store, new(wanted, MAKER_IN_DATABASE), now()).await;
    made.map_err(|mistake| match mistake {
        TokenMistake::Wrong(why) => Failure::Usage(why),
        TokenMistake::Store(StoreError::NotHeld { .. }) => anyhow!(
            "a supervisor works on the database {place}, or did a moment ago; ask it instead: leave out --config, and say a \
             token that may make others"
        )
        .into(),
        other => anyhow!("no token can be made in the database {place}: {other}").into(),
    })
}

fn new(wanted: TokenWanted, made_by: &str) -> NewToken {
    NewToken {
        name: wanted.name,
        grants: wanted.grants,
        expires_in: wanted.expires_in,
        break_glass: wanted.break_glass,
        made_by: made_by.to_owned(),
    }
}

/// Makes it there.
pub(super) async fn make(data: &Path, wanted: TokenWanted) -> Outcome<TokenMade> {
    let place = data.display();
    check_owner(data)?;
    let is_new = !data.join(FILE_NAME).is_file();
    let made = offline_token(data, new(wanted, MAKER), now()).await.map_err(|mistake| match mistake {
        TokenMistake::Wrong(why) => Failure::Usage(why),
        TokenMistake::Store(StoreError::Locked { .. }) => anyhow!(
            "a supervisor runs on `{place}`; ask it instead: leave out --data, and say a token that may make others"
        )
        .into(),
        other => anyhow!("no token can be made in `{place}`: {other}").into(),
    })?;
    if is_new {
        crate::output::tell(&format!("there was no store in `{place}`; a new one was made"));
    }
    Ok(made)
}

/// Files that somebody else than the folder's owner makes there could not be read by the supervisor.
#[cfg(unix)]
fn check_owner(data: &Path) -> Outcome {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = std::fs::metadata(data) else { return Ok(()) };
    if found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "`{}` belongs to the user of number {}, and what you write there the supervisor could not read; run this as that \
         user (`sudo -u`)",
        data.display(),
        found.uid()
    )))
}

#[cfg(not(unix))]
fn check_owner(_: &Path) -> Outcome {
    Ok(())
}
