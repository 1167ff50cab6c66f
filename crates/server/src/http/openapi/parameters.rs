//! What lists can be asked for, name and meaning: the same for a list, its export and an act on what it finds.

pub(super) const LIMIT: (&str, &str) = ("limit", "Most rows.");
pub(super) const CURSOR: (&str, &str) = ("cursor", "`next` of the page before.");
pub(super) const REASON: (&str, &str) = ("reason", "Why, for the audit.");

/// What cases can be asked for, between what else a list of them takes.
macro_rules! of_cases {
    ([$($before:expr),*], [$($after:expr),*]) => {
        &[
            $($before,)*
            ("state", "In one of these states: open, stuck, unmatched, settled."),
            ("closed_on", "Settled on one of these: proven, forward, quiet, by_person."),
            ("saga", "Of this saga."),
            ("rulebook", "Planned with this rulebook, by name."),
            ("report", "With this first report: `service/code` or `service/*`."),
            ("service", "That has to do with this service."),
            ("action", "With a step on this `service.action`."),
            ("q", "With this in the saga id or the first report's message."),
            ("customer", "That concerns this customer (the field with the role `customer`)."),
            ("currency", "About an amount of this currency, e.g. EUR."),
            ("amount_min", "About this much or more, of that currency or of any: a decimal number."),
            ("amount_max", "About this much or less."),
            ("opened_after", "Opened at this moment or later."),
            ("opened_before", "Opened before this moment."),
            ("older_than", "Opened longer ago than this: 90s, 15m, 2h, 7d."),
            ("younger_than", "Opened less long ago than this."),
            ("group", "Of this group of open work, by its id."),
            ("sort", "`newest` (the default) or `oldest` first."),
            $($after,)*
        ]
    };
}

pub(super) const CASE_FILTER: &[(&str, &str)] = of_cases!([], [LIMIT, CURSOR]);
pub(super) const EXPORT: &[(&str, &str)] =
    of_cases!([("format", "`ndjson` (the default) or `csv`.")], []);

pub(super) const QUESTION_FILTER: &[(&str, &str)] = &[
    (
        "kind",
        "Of these kinds: contradiction, stranger, dropped, history_unavailable, data_conflict, past_the_pivot.",
    ),
    ("effect", "`hold`: those that hold their case; `note`: those that are only shown."),
    ("service", "About this service."),
    ("case", "Of this case."),
    ("rulebook", "Of cases that are planned with this rulebook, by name."),
    LIMIT,
    CURSOR,
];

pub(super) const STEP_FILTER: &[(&str, &str)] = &[
    ("case", "Of this case."),
    ("saga", "Of this saga."),
    ("rulebook", "Of cases planned with this rulebook, by name."),
    ("service", "Asked of this service."),
    ("action", "On this `service.action`."),
    ("verb", "compensate, retry or notify."),
    ("state", "In one of these states."),
    ("outcome", "Ended so."),
    ("reason", "Stuck for this reason."),
    ("q", "With this in the message of the last try."),
    ("group", "Of this group of open work, by its id."),
    LIMIT,
    CURSOR,
];
