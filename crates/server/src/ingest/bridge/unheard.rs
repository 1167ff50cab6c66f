//! Whether anybody listens to what a bridge reports: rulebooks that declare its service, and rules for its codes.

use super::mapping::Bridge;
use amends_rulebook::{CodePattern, Rulebook};
use std::collections::BTreeSet;

impl Bridge {
    /// What rulebooks make of its reports that people should know: in sentences, none if all is well.
    pub fn unheard<'b>(&self, books: impl IntoIterator<Item = &'b Rulebook>) -> Vec<String> {
        let books: Vec<&Rulebook> = books.into_iter().collect();
        let mut told = Vec::new();
        for service in self.source.all().unwrap_or_default() {
            let own: Vec<_> = books.iter().filter(|book| book.service(service).is_some()).collect();
            if own.is_empty() {
                told.push(format!(
                    "no active rulebook declares the service `{service}`: its reports would be `unmatched`, and wait for a person"
                ));
                continue;
            }
            for code in self.code.all().unwrap_or_default() {
                if !own.iter().any(|book| answers(book, service, code)) {
                    told.push(format!(
                        "no rule answers `{service}/{code}`: its reports would be `unmatched`, and wait for a person"
                    ));
                }
            }
            for book in own {
                told.extend(self.lacks(book, service));
            }
        }
        told.into_iter().map(|why| format!("the bridge `{}`: {why}", self.name)).collect()
    }

    /// Business fields that reports of a service are declared to carry, and that this one does not give.
    fn lacks(&self, book: &Rulebook, service: &str) -> Vec<String> {
        let given: BTreeSet<&str> =
            self.data.iter().filter_map(|(path, _)| path.first()).map(String::as_str).collect();
        let codes = self.code.all();
        let declared = book.reports().iter().filter(|report| {
            let is_ours = book.services()[report.service.0 as usize].name.as_ref() == service;
            is_ours && codes.as_ref().is_none_or(|codes| codes.contains(&&*report.code))
        });
        let lacks = declared.flat_map(|report| {
            let fields =
                report.data.iter().flatten().filter_map(|field| field.path.split('.').next());
            let fields: BTreeSet<&str> = fields.filter(|name| !given.contains(name)).collect();
            fields.into_iter().map(move |name| (report, name))
        });
        lacks
            .map(|(report, name)| {
                format!(
                    "rulebook `{}` declares that `{service}/{}` carries `{name}`, and there is no `data.{name}`",
                    book.name(),
                    report.code
                )
            })
            .collect()
    }
}

fn answers(book: &Rulebook, service: &str, code: &str) -> bool {
    book.rules().iter().any(|rule| {
        let is_service = rule.pattern.service.as_deref().is_none_or(|one| one == service);
        is_service
            && match &rule.pattern.code {
                CodePattern::Exact(one) => **one == *code,
                CodePattern::Prefix(prefix) => code.starts_with(&**prefix),
            }
    })
}
