//! Calls as reports name them: an action, or the way on which it was called, `b>d.go`.

use super::scope::Scope;
use crate::fields;
use crate::graph::Graph;
use crate::mistakes::{Diagnostics, quote};
use crate::tree::Node;
use crate::{ActionId, Diagnostic, NamedCall, Span, codes};
use std::collections::BTreeSet;

/// Ways that are reported.
const WAYS_SHOWN: usize = 8;

/// The calls of `after` or `without`, made by `from` directly or through others.
pub(super) fn read<'n>(
    node: &'n Node,
    from: Option<ActionId>,
    scope: &Scope,
    graph: &Graph,
    found: &mut Diagnostics,
) -> Vec<(NamedCall, &'n Node)> {
    let items = fields::one_or_many(node).iter();
    items.filter_map(|item| Some((read_one(item, from, scope, graph, found)?, item))).collect()
}

/// One of them.
pub(super) fn read_one(
    item: &Node,
    from: Option<ActionId>,
    scope: &Scope,
    graph: &Graph,
    found: &mut Diagnostics,
) -> Option<NamedCall> {
    let text = fields::text(item, "a call", found)?;
    let mut parts = text.rsplit('>').map(str::trim);
    let id = scope.find_action(parts.next()?, item.span, found)?;
    if let Some(from) = from.filter(|from| graph.downstream(*from).binary_search(&id).is_err()) {
        let message = format!(
            "`{}` doesn't call `{}`, directly or through others",
            scope.action(from).name,
            scope.action(id).name
        );
        found.add(
            Diagnostic::new(codes::NOT_CALLED, item.span, message)
                .with_help("add it to `calls:`, or leave it out here"),
        );
        return (!text.contains('>')).then(|| NamedCall::of(id));
    }
    let way = Way { from, scope, graph, at: item.span };
    let mut chain = vec![id];
    for part in parts {
        let caller = way.caller(part, &chain, found)?;
        chain.insert(0, caller);
    }
    NamedCall::by_way(chain)
}

/// Where a way is looked for.
struct Way<'a> {
    from: Option<ActionId>,
    scope: &'a Scope,
    graph: &'a Graph,
    at: Span,
}

impl Way<'_> {
    /// Who of this service or name calls the first of the chain; a name that means nobody or several is told.
    fn caller(&self, name: &str, chain: &[ActionId], found: &mut Diagnostics) -> Option<ActionId> {
        let callers = self.callers(*chain.first()?);
        let is_meant = |id: &&ActionId| {
            let own = &self.scope.action(**id).name;
            match name.split_once('.') {
                Some((service, action)) => *own.service == *service && *own.action == *action,
                None => *own.service == *name,
            }
        };
        let meant: Vec<ActionId> = callers.iter().filter(is_meant).copied().collect();
        let ([] | [_, _, ..]) = meant.as_slice() else { return meant.first().copied() };
        let called = self.written(chain);
        let (message, shown) = if meant.is_empty() {
            let from = self.from.map_or(String::new(), |from| {
                format!(" in the work of `{}`", self.scope.action(from).name)
            });
            (format!("{} doesn't call `{called}` itself{from}", quote(name)), &callers)
        } else {
            (format!("several actions of {} call `{called}`", quote(name)), &meant)
        };
        let ways: Vec<String> = shown
            .iter()
            .take(WAYS_SHOWN)
            .map(|id| format!("`{}>{called}`", self.scope.action(*id).name))
            .collect();
        let help = match (ways.is_empty(), shown.len() > WAYS_SHOWN) {
            (true, _) => format!("nobody calls it: write `{called}`"),
            (false, true) => format!("the ways to it are {}, …", ways.join(", ")),
            (false, false) => format!("the ways to it are {}", ways.join(", ")),
        };
        found.add(Diagnostic::new(codes::NO_SUCH_WAY, self.at, message).with_help(help));
        None
    }

    /// Who calls an action in the work of the reporting one, by name.
    fn callers(&self, id: ActionId) -> Vec<ActionId> {
        let is_at_work = |caller: &ActionId| {
            self.from.is_none_or(|from| {
                from == *caller || self.graph.downstream(from).binary_search(caller).is_ok()
            })
        };
        let callers: BTreeSet<ActionId> =
            self.graph.callers(id).iter().copied().filter(is_at_work).collect();
        let mut callers: Vec<ActionId> = callers.into_iter().collect();
        callers.sort_by_key(|id| self.scope.action(*id).name.to_string());
        callers
    }

    fn written(&self, chain: &[ActionId]) -> String {
        let names = chain.iter().map(|id| self.scope.action(*id).name.to_string());
        names.collect::<Vec<_>>().join(">")
    }
}
