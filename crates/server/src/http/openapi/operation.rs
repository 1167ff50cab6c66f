//! What is told of one operation, and how most of them are written.

/// A body: content type and schema.
pub(super) struct Body(pub(super) &'static str, pub(super) &'static str);

/// An answer: status, meaning, content type and schema (empty: no body).
pub(super) struct Answer(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

/// One method on one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// Name and meaning.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// Name, whether it is required, meaning.
    pub(super) headers: &'static [(&'static str, bool, &'static str)],
    pub(super) bodies: &'static [Body],
    pub(super) answers: &'static [Answer],
}

pub(super) const ACTOR: (&str, bool, &str) =
    ("Amends-Actor", false, "Who acts, for the audit; `api` if not given.");

/// Sets what most operations do not have.
pub(super) const NONE: Operation = Operation {
    method: "get",
    path: "",
    tag: "",
    id: "",
    summary: "",
    query: &[],
    headers: &[],
    bodies: &[],
    answers: &[],
};

/// A `GET` that answers one JSON schema.
pub(super) const fn get(
    path: &'static str,
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation { path, tag, id, summary, answers, ..NONE }
}

/// A `POST` of one JSON schema by a person.
pub(super) const fn post(
    path: &'static str,
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    bodies: &'static [Body],
    answers: &'static [Answer],
) -> Operation {
    Operation { method: "post", path, tag, id, summary, bodies, answers, headers: &[ACTOR], ..NONE }
}
