//! Connections that outlive their process: a machine that is cut off closes nothing, and its server goes on with what
//! it was asked, and holds on to leases meanwhile. What two claims in a row have passed over because of that is set
//! free.

use super::session::{Session, database, has_code};
use crate::StoreError;
use std::collections::BTreeSet;

/// Connections of whoever owns these parts and is dead; of one that lives under the same name again, those of its
/// earlier processes. Their names end with eight letters of the incarnation (PostgreSQL cuts names at 63: of nodes
/// whose own has more than 47 letters none is found).
const LINGERING: &str = "
    SELECT a.pid, a.application_name, coalesce(a.usename, '')
    FROM (SELECT DISTINCT owner FROM lease WHERE partition = ANY($1::int[]) AND owner IS NOT NULL) AS o
    JOIN pg_stat_activity a ON starts_with(a.application_name, 'amends/' || o.owner || '/')
    LEFT JOIN node n ON n.id = o.owner AND n.alive_until > clock_timestamp()
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND length(a.application_name) = length('amends//') + length(o.owner) + 8
      AND (n.id IS NULL OR a.application_name <> 'amends/' || n.id || '/' || left(n.incarnation::text, 8))
    ORDER BY a.pid";
const END: &str = "SELECT pg_terminate_backend($1)";
/// What PostgreSQL says to a user who may not.
const NOT_ALLOWED: &str = "42501";
const DOING: &str = "end connections of dead nodes";

/// Parts that could be claimed, but for somebody who holds on to their leases.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    parts: BTreeSet<i32>,
    /// What may not be ended has been told of.
    is_told: bool,
}

impl PassedOver {
    /// A claim has passed over these. Where the one before it did so, too, whoever is dead lets go.
    pub(super) fn again(
        &mut self,
        session: &Session,
        parts: BTreeSet<i32>,
    ) -> Result<(), StoreError> {
        let twice: Vec<i32> = parts.intersection(&self.parts).copied().collect();
        self.parts = parts;
        if twice.is_empty() {
            return Ok(());
        }
        let lingering = session.run(async |line| {
            sqlx::query_as::<_, (i32, String, String)>(LINGERING)
                .bind(&twice[..])
                .fetch_all(line)
                .await
        });
        for (pid, name, user) in lingering.map_err(database(DOING))? {
            let ended = session.run(async |line| {
                sqlx::query_scalar::<_, bool>(END).bind(pid).fetch_one(line).await
            });
            match ended {
                Ok(_) => {
                    tracing::warn!(%name, pid, "a connection of a dead node held on to what it had, and was ended");
                }
                Err(error) if has_code(&error, &[NOT_ALLOWED]) => self.cannot_end(&name, &user),
                Err(error) => return Err(database(DOING)(error)),
            }
        }
        Ok(())
    }

    fn cannot_end(&mut self, name: &str, user: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                %name, %user,
                "a connection of a dead node holds on to what it had, and this node's database user may not end it; give all nodes the same user, or grant it `pg_signal_backend`"
            );
        }
    }
}

/// Users of other nodes whose connections could not be ended from here.
pub(super) const OUT_OF_REACH: &str = "
    SELECT coalesce(string_agg(DISTINCT usename::text, ', '), '') FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, 'amends/')
      AND NOT pg_has_role(usesysid, 'USAGE') AND NOT pg_has_role('pg_signal_backend', 'USAGE')";
