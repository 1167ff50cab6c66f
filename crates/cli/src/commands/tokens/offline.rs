//! A token in the folder of the store of a supervisor that does not run: how the first one comes to be.

use crate::failure::{Failure, Outcome};
use crate::moment::now;
use amends_api::access::{TokenMade, TokenWanted};
use amends_server::access::{NewToken, TokenMistake, offline_token};
use amends_store::FILE_NAME;
use amends_store::StoreError;
use anyhow::anyhow;
use std::path::Path;

/// Who has made it, as the audit and `amends token show` tell.
const MAKER: &str = "the command line, in the store's folder";

/// Makes it there.
pub(super) async fn make(data: &Path, wanted: TokenWanted) -> Outcome<TokenMade> {
    let place = data.display();
    check_owner(data)?;
    let is_new = !data.join(FILE_NAME).is_file();
    let new = NewToken {
        name: wanted.name,
        grants: wanted.grants,
        expires_in: wanted.expires_in,
        break_glass: wanted.break_glass,
        made_by: MAKER.to_owned(),
    };
    let made = offline_token(data, new, now()).await.map_err(|mistake| match mistake {
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
