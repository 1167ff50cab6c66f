//! The inboxes: letters are read by the transaction that brought them, since numbers are given out before commits are
//! done, and whoever went by them would pass over what is committed late.

use super::{
    columns::Asked,
    session::{Session, database, get},
    tables::storable,
};
use crate::{
    Letter, LetterId, LetterMark, LettersRead, LettersWanted, Partition, StoreError,
    letters::LETTERS_LIMIT,
};
use sqlx::postgres::PgRow;

const DOING: &str = "read letters";
/// The horizon: all transactions before it have ended, so nothing comes before it any more. A row of it without a
/// letter comes first.
const READ: &str = "
    SELECT NULL::text, NULL::text, NULL::text, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, NULL::bigint,
      NULL::bigint
    UNION ALL SELECT i.id::text, i.kind, i.body, i.xid, i.seq, w.place
    FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[])
      WITH ORDINALITY AS w(part, xid, seq, most, place)
    CROSS JOIN LATERAL (
      SELECT id, kind, body, xid, seq FROM inbox WHERE partition = w.part AND (xid, seq) > (w.xid, w.seq)
      ORDER BY xid, seq LIMIT w.most) AS i
    ORDER BY 6 NULLS FIRST, 4, 5";
const FROM_THE_BEGINNING: LetterMark = LetterMark([i64::MIN; 2]);
const WAITS: &str = "SELECT count(*) FROM inbox WHERE id = $1::uuid";
const WAITING: &str = "
    SELECT part::smallint, (SELECT count(*) FROM (SELECT FROM inbox WHERE partition = part LIMIT $1) AS i)
    FROM generate_series(0, 64) AS part";
/// The first of each inbox: the oldest there, but for moments.
const OLDEST: &str = "
    SELECT (extract(epoch FROM clock_timestamp() - min(first.sent_at)) * 1000)::bigint
    FROM generate_series(0, 64) AS part
    CROSS JOIN LATERAL (SELECT sent_at FROM inbox WHERE partition = part ORDER BY xid, seq LIMIT 1) AS first";

/// Letters that come with a commit, as lists.
#[derive(Default)]
pub(super) struct Posted {
    ids: Vec<String>,
    parts: Vec<i16>,
    kinds: Vec<&'static str>,
    bodies: Vec<String>,
}

impl Posted {
    pub(super) fn of(letters: &[&Letter]) -> Result<Self, StoreError> {
        let mut posted = Self::default();
        for letter in letters {
            let most = letter.kind.most_bytes();
            if letter.body.len() > most {
                return Err(StoreError::Unstorable {
                    row: format!("letter `{}`", letter.id),
                    case: None,
                    what: format!("it is longer than {most} bytes"),
                });
            }
            posted.ids.push(letter.id.to_string());
            posted.parts.push(letter.partition.0.cast_signed());
            posted.kinds.push(letter.kind.as_str());
            posted.bodies.push(storable(&letter.body).into_owned());
        }
        Ok(posted)
    }

    pub(super) fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        query.bind(&self.ids[..]).bind(&self.parts[..]).bind(&self.kinds[..]).bind(&self.bodies[..])
    }
}

/// Reads some of each inbox, in one look at all of them.
pub(super) fn read(
    session: &Session,
    wanted: &[LettersWanted],
) -> Result<Vec<LettersRead>, StoreError> {
    let marks = wanted.iter().map(|wanted| wanted.after.unwrap_or(FROM_THE_BEGINNING).0);
    let (xids, seqs): (Vec<i64>, Vec<i64>) = marks.map(|[xid, seq]| (xid, seq)).unzip();
    let parts: Vec<i16> = wanted.iter().map(|wanted| wanted.partition.0.cast_signed()).collect();
    let limits = wanted.iter().map(|wanted| i64::try_from(wanted.most).unwrap_or(i64::MAX));
    let limits: Vec<i64> = limits.collect();
    let rows = session.run(async |line| {
        let ask = sqlx::query(READ).bind(&parts[..]).bind(&xids[..]).bind(&seqs[..]);
        ask.bind(&limits[..]).fetch_all(line).await
    });
    let rows = rows.map_err(database(DOING))?;
    let mut horizon = i64::MIN;
    let mut told: Vec<Told> = wanted.iter().map(|_| Told::default()).collect();
    for row in &rows {
        let xid = get(row, 3).map_err(database(DOING))?;
        let Some(place) = get::<Option<i64>>(row, 5).map_err(database(DOING))? else {
            horizon = xid;
            continue;
        };
        let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
        if let Some((told, wanted)) = told.get_mut(place).zip(wanted.get(place)) {
            told.last = told.last.max(Some([xid, get(row, 4).map_err(database(DOING))?]));
            match letter(wanted.partition, row)? {
                Ok(letter) => told.letters.push(letter),
                Err(of_a_newer_version) => told.unread.push(of_a_newer_version),
            }
        }
    }
    Ok(wanted.iter().zip(told).map(|(wanted, told)| told.read(wanted, horizon)).collect())
}

/// What was found in one inbox.
#[derive(Default)]
struct Told {
    letters: Vec<Letter>,
    unread: Vec<(LetterId, String)>,
    last: Option<[i64; 2]>,
}

impl Told {
    fn read(self, wanted: &LettersWanted, horizon: i64) -> LettersRead {
        let Self { letters, unread, last } = self;
        let ended = letters.len() + unread.len() < wanted.most;
        let settled = [horizon, i64::MIN];
        // What lies past the horizon is told again: something may yet come in between.
        let next = LetterMark(last.filter(|_| !ended).map_or(settled, |last| last.min(settled)));
        LettersRead { partition: wanted.partition, letters, unread, next, ended }
    }
}

/// A letter; of one whose kind nobody knows here, its id and what is wrong.
type Known = Result<Letter, (LetterId, String)>;

fn letter(partition: Partition, row: &PgRow) -> Result<Known, StoreError> {
    let text = |n| get::<String>(row, n).map_err(database(DOING));
    let id = text(0)?;
    let unreadable = |what: String| StoreError::Corrupt { row: format!("letter `{id}`"), what };
    let number = u128::from_str_radix(&id.replace('-', ""), 16);
    let number = LetterId(number.map_err(|error| unreadable(error.to_string()))?);
    Ok(match text(1)?.parse() {
        Ok(kind) => Ok(Letter { id: number, partition, kind, body: text(2)? }),
        Err(why) => Err((number, format!("letter {id}: {why}"))),
    })
}

/// Whether a letter is there still.
pub(super) fn waits(session: &Session, id: LetterId) -> Result<bool, StoreError> {
    let count = session.run(async |line| {
        sqlx::query_scalar::<_, i64>(WAITS).bind(id.to_string()).fetch_one(line).await
    });
    count.map(|count| count > 0).map_err(database(DOING))
}

/// Counts what waits.
pub(super) fn waiting(session: &Session) -> Result<Vec<(Partition, u64)>, StoreError> {
    let most = LETTERS_LIMIT.cast_signed() + 1;
    let rows = session.run(async |line| {
        sqlx::query_as::<_, (i16, i64)>(WAITING).bind(most).fetch_all(line).await
    });
    let rows = rows.map_err(database("count letters"))?;
    let some = rows.into_iter().filter(|(_, count)| *count > 0);
    Ok(some.map(|(part, n)| (Partition(part.cast_unsigned()), n.cast_unsigned())).collect())
}

/// For how long the oldest has waited, in milliseconds; none without letters.
pub(super) fn oldest_ms(session: &Session) -> Result<Option<u64>, StoreError> {
    let oldest = session
        .run(async |line| sqlx::query_scalar::<_, Option<i64>>(OLDEST).fetch_one(line).await);
    let oldest = oldest.map_err(database("look for the oldest letter"))?;
    Ok(oldest.map(|ms| u64::try_from(ms).unwrap_or(0)))
}
