//! The sagas of a run: what each asks for is told by its number. Their rulebook, and their reports.

use super::services::{PRINTER, SERVICES};

/// Cases by the limited rule that go by themselves, in a minute.
pub const LIMIT: usize = 300;

/// What a saga asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A compensation at each of the services but the last.
    Usual,
    /// One at the service that bears one request at a time.
    Narrow,
    /// One by the rule that has a limit, above which a person is asked; nobody answers.
    Limited,
}

/// Which kinds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Usual ones alone.
    Usual,
    /// One in a hundred is narrow, and one in twenty is limited.
    All,
}

impl Mix {
    pub fn kind(self, saga: usize) -> Kind {
        match self {
            Self::All if saga % 100 == 7 => Kind::Narrow,
            Self::All if saga % 20 == 13 => Kind::Limited,
            _ => Kind::Usual,
        }
    }
}

impl Kind {
    /// Which services are asked.
    pub const fn services(self) -> &'static [usize] {
        match self {
            Self::Usual => &[0, 1, 2, 3],
            Self::Narrow => &[PRINTER],
            Self::Limited => &[3],
        }
    }

    /// How its report is called.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Usual => "report-1",
            Self::Narrow => "report-2",
            Self::Limited => "report-3",
        }
    }

    fn actions(self) -> String {
        let names: Vec<String> =
            self.services().iter().map(|n| format!("{}.act", SERVICES[*n])).collect();
        names.join(", ")
    }
}

/// With the services at these addresses, in their order.
pub fn rulebook(urls: &[String]) -> String {
    let mut text = "rulebook: bench\nservices:\n".to_owned();
    for (n, (name, url)) in SERVICES.iter().zip(urls).enumerate() {
        let concurrency = if n == PRINTER { 1 } else { 64 };
        text += &format!(
            "  {name}: {{ url: \"{url}\", concurrency: {concurrency}, actions: {{ act: {{ compensation: undo }} }} }}\n"
        );
    }
    let calls = SERVICES.map(|name| format!("{name}.act")).join(", ");
    let others = urls.first().map_or("", String::as_str);
    text += &format!(
        "  order: {{ url: \"{others}\", actions: {{ place: {{ compensation: cancel, calls: [{calls}] }} }} }}\nrules:\n"
    );
    let [usual, narrow, limited] = [Kind::Usual, Kind::Narrow, Kind::Limited].map(Kind::actions);
    text += &format!(
        "  - {{ on: order/{}, compensate: [{narrow}] }}\n  - {{ on: order/{}, compensate: [{limited}], limit: {LIMIT} per minute }}\n  - {{ on: \"*/*\", compensate: [{usual}] }}\n",
        Kind::Narrow.code(),
        Kind::Limited.code(),
    );
    text
}

/// The report of a saga.
pub fn report(host: &str, saga: usize, kind: Kind) -> String {
    let succeeded = |n: &usize| {
        let service = SERVICES[*n];
        format!(
            r#",{{"service":"{service}","action":"act","requestId":"{service}-{saga}","state":"succeeded"}}"#
        )
    };
    // Of the usual ones, what the report tells is not all that there is to undo.
    let told = if kind == Kind::Usual { &[1, 2] } else { kind.services() };
    let succeeded: String = told.iter().map(succeeded).collect();
    let body = format!(
        r#"{{"code":"{}","action":"place","requestId":"r-{saga}","message":"out of stock","history":[{{"service":"order","action":"place","requestId":"r-{saga}","state":"failed"}}{succeeded}],"data":{{"amount":1200,"currency":"KRW"}}}}"#,
        kind.code()
    );
    format!(
        "POST /v1/reports HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         ce-specversion: 1.0\r\nce-type: dev.amends.report.v1\r\nce-id: bench-{saga}\r\nce-source: order\r\n\
         ce-subject: bench-{saga}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_rulebook::Rulebook;

    #[test]
    fn the_rulebook_is_one_and_each_kind_has_its_rule() {
        let urls = SERVICES.map(|name| format!("http://{name}"));
        let book = Rulebook::from_yaml(&rulebook(&urls));
        assert!(book.is_ok(), "{book:?}");
        let kinds: Vec<Kind> = (0..100).map(|n| Mix::All.kind(n)).collect();
        for (kind, count) in [(Kind::Usual, 94), (Kind::Narrow, 1), (Kind::Limited, 5)] {
            assert_eq!(kinds.iter().filter(|one| **one == kind).count(), count);
        }
    }
}
