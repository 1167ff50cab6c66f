//! Backups while the supervisor runs: `POST /v1/backups`.

use super::answers::Created;
use super::backup_folder::{checked, default_name, internal};
use super::body::{Actor, Sent, check_reason};
use super::{ApiError, App};
use crate::clock::{Clock, SystemClock};
use amends_api::{AuditActName, BackupView, BackupWanted};
use amends_store::Store;
use axum::extract::State;

/// `POST /v1/backups`: answers once the copy is whole and synced.
pub(crate) async fn make<S: Store>(
    State(app): State<App<S>>,
    Actor(actor): Actor,
    Sent(wanted): Sent<BackupWanted>,
) -> Result<Created<BackupView>, ApiError> {
    if let Some(reason) = &wanted.reason {
        check_reason(reason)?;
    }
    let Some(backups) = app.backups else {
        return Err(ApiError::not_found("this supervisor has no folder for backups"));
    };
    let name = match wanted.name {
        Some(ref name) => checked(name.clone())?,
        None => default_name(SystemClock.now()),
    };
    let turn = backups.turn()?;
    let supervisor = app.supervisor.clone();
    // A task of its own: a client that goes away must not give the turn to the next one before this one has ended.
    let made = tokio::spawn(async move {
        let made = backups.write(supervisor.store(), name, turn).await?;
        tracing::info!(path = made.path, bytes = made.bytes, %actor, "a backup was made");
        let detail = serde_json::json!({ "path": made.path, "bytes": made.bytes });
        let reason = wanted.reason.as_deref().unwrap_or("asked over the API");
        if let Err(problem) = supervisor.audit(AuditActName::Backup, &actor, reason, detail).await {
            // The copy is whole all the same.
            tracing::warn!(detail = problem.detail, "a backup is not in the audit");
        }
        Ok::<_, ApiError>(made)
    });
    match made.await {
        Ok(made) => Ok(Created { location: None, body: made? }),
        Err(fault) => Err(internal(format!("the backup ended by a fault: {fault}"))),
    }
}
