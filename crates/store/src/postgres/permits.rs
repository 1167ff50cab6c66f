//! Permits, as rows: one for each request that may be under way at a service, with who has it and until when.

use super::{
    lease::Me,
    session::{Session, database, has_code},
};
use crate::{PermitsHeld, PermitsWanted, StoreError};
use std::{sync::Arc, time::Duration};

const DOING: &str = "ask for permits";
/// How often it is tried anew that PostgreSQL took back for another's sake.
const REPEATS: usize = 3;

const MAKE: &str = "
    INSERT INTO permit (service, slot)
    SELECT w.service, slot FROM unnest($1::text[], $2::int[]) AS w(service, slots), generate_series(0, w.slots - 1) AS slot
    WHERE NOT EXISTS (SELECT FROM permit p WHERE p.service = w.service AND p.slot = w.slots - 1)
    ON CONFLICT DO NOTHING";
/// A row that another takes at the same moment is passed over, and one that it has taken since is looked at anew: one
/// less is held then. Nodes look for free ones in orders of their own.
const ASK: &str = "
    WITH w AS MATERIALIZED (
      SELECT * FROM unnest($3::text[], $4::int[], $5::int[]) AS w(service, slots, wanted)),
    seen AS MATERIALIZED (
      SELECT p.service, p.slot, w.wanted, p.is_mine,
        row_number() OVER (PARTITION BY p.service ORDER BY p.is_mine DESC, hashtextextended($1, p.slot)) AS nth
      FROM w JOIN (
        SELECT service, slot, until,
          coalesce(node = $1 AND incarnation = $2::uuid AND until > clock_timestamp(), false) AS is_mine
        FROM permit WHERE service = ANY($3)) AS p USING (service)
      WHERE p.slot < w.slots AND (p.is_mine OR p.until <= clock_timestamp())),
    given_back AS (
      UPDATE permit p SET until = '-infinity' FROM seen s
      WHERE p.service = s.service AND p.slot = s.slot AND s.is_mine AND s.nth > s.wanted
        AND p.node = $1 AND p.incarnation = $2::uuid),
    locked AS MATERIALIZED (
      SELECT p.service, p.slot FROM permit p JOIN seen s ON s.service = p.service AND s.slot = p.slot
      WHERE s.nth <= s.wanted
        AND (p.until <= clock_timestamp() OR (p.node = $1 AND p.incarnation = $2::uuid))
      FOR UPDATE OF p SKIP LOCKED),
    taken AS (
      UPDATE permit p SET node = $1, incarnation = $2::uuid, until = clock_timestamp() + make_interval(secs => $6)
      FROM locked l WHERE p.service = l.service AND p.slot = l.slot RETURNING p.service)
    SELECT service, count(*) FROM taken GROUP BY service";

const GIVE_BACK: &str = "UPDATE permit SET until = '-infinity' WHERE node = $1 AND incarnation = $2::uuid AND until > clock_timestamp()";

/// Gives all back, at the end.
pub(super) fn give_all_back(session: &Session, me: &Me) -> Result<(), StoreError> {
    let given = session.run(async |line| {
        sqlx::query(GIVE_BACK).bind(&me.node).bind(&me.incarnation).execute(line).await
    });
    given.map(drop).map_err(database("give permits back"))
}

/// Asks for permits that last so long.
pub(super) fn ask(
    session: &Session,
    me: &Me,
    wanted: &[PermitsWanted],
    lasts: Duration,
) -> Result<Vec<PermitsHeld>, StoreError> {
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    // Whoever locks several rows does it in one order, as far as that can be said.
    let mut sorted: Vec<&PermitsWanted> = wanted.iter().filter(|one| one.slots > 0).collect();
    sorted.sort_by(|a, b| a.service.cmp(&b.service));
    let services: Vec<&str> = sorted.iter().map(|one| &*one.service).collect();
    let slots: Vec<i32> = sorted.iter().map(|one| number(one.slots)).collect();
    let most: Vec<i32> = sorted.iter().map(|one| number(one.wanted)).collect();
    let mut left = REPEATS;
    let held = loop {
        let asked = session.run(async |line| {
            let make = sqlx::query(MAKE).bind(&services[..]).bind(&slots[..]);
            make.execute(&mut *line).await?;
            sqlx::query_as::<_, (String, i64)>(ASK)
                .bind(&me.node)
                .bind(&me.incarnation)
                .bind(&services[..])
                .bind(&slots[..])
                .bind(&most[..])
                .bind(lasts.as_secs_f64())
                .fetch_all(line)
                .await
        });
        match asked {
            Ok(held) => break held,
            Err(error) if left > 0 && has_code(&error, &["40P01"]) => left -= 1,
            Err(error) => return Err(database(DOING)(error)),
        }
    };
    let of = |service: &Arc<str>| {
        let found = held.iter().find(|(name, _)| **name == **service);
        found.and_then(|(_, count)| u32::try_from(*count).ok()).unwrap_or(0)
    };
    let held = wanted
        .iter()
        .map(|one| PermitsHeld { service: Arc::clone(&one.service), held: of(&one.service) });
    Ok(held.collect())
}
