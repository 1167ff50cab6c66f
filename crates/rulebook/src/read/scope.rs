//! The names of one rulebook: which services, actions and tags there are, and what a reference to one of them means.

use crate::book::Names;
use crate::mistakes::{Diagnostics, quote};
use crate::{Action, ActionId, Diagnostic, Service, ServiceId, Span, codes};
use std::sync::Arc;

/// Everything that has a name.
#[derive(Default)]
pub(crate) struct Scope {
    pub(crate) services: Vec<Service>,
    pub(crate) actions: Vec<Action>,
    pub(crate) names: Names,
    /// By service: its actions could not be read, so an unknown one is no mistake of the referrer.
    pub(crate) broken_services: Vec<bool>,
    /// By action: it has a mistake of its own, so nothing is concluded from its class.
    pub(crate) broken_actions: Vec<bool>,
}

impl Scope {
    pub(crate) fn add_service(&mut self, service: Service) -> ServiceId {
        let id = ServiceId(u32::try_from(self.services.len()).unwrap_or(u32::MAX));
        self.names.services.insert(service.name.clone(), id);
        self.names.actions.push(Default::default());
        self.names.reports.push(Default::default());
        self.services.push(service);
        self.broken_services.push(false);
        id
    }

    pub(crate) fn add_action(&mut self, action: Action) -> ActionId {
        let id = ActionId(u32::try_from(self.actions.len()).unwrap_or(u32::MAX));
        let service = action.service.0 as usize;
        self.names.actions[service].insert(action.name.action.clone(), id);
        self.services[service].actions.push(id);
        self.actions.push(action);
        self.broken_actions.push(false);
        id
    }

    pub(crate) fn action(&self, id: ActionId) -> &Action {
        &self.actions[id.0 as usize]
    }

    pub(crate) fn is_broken(&self, id: ActionId) -> bool {
        self.broken_actions[id.0 as usize]
    }

    /// The service of a name; an unknown one is reported.
    pub(crate) fn find_service(
        &self,
        name: &str,
        at: Span,
        found: &mut Diagnostics,
    ) -> Option<ServiceId> {
        let id = self.names.services.get(name).copied();
        if id.is_none() {
            let mut mistake =
                Diagnostic::new(codes::UNKNOWN_SERVICE, at, format!("no service {}", quote(name)));
            let known = self.services.iter().map(|s| &*s.name);
            mistake.help = found.did_you_mean(name, known);
            found.add(mistake);
        }
        id
    }

    /// The action of a name, written `service.action`; an unknown one is reported.
    pub(crate) fn find_action(
        &self,
        text: &str,
        at: Span,
        found: &mut Diagnostics,
    ) -> Option<ActionId> {
        let Some((service, action)) = text.split_once('.') else {
            let mut mistake = Diagnostic::new(
                codes::UNKNOWN_ACTION,
                at,
                format!("{} is not an action", quote(text)),
            );
            mistake.help = Some(match self.by_bare_name(text) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "an action is written `service.action`".to_owned(),
            });
            found.add(mistake);
            return None;
        };
        let Some(id) = self.names.services.get(service).copied() else {
            return self.no_service_of_action(text, service, at, found);
        };
        self.find_in_service(id, action, at, found)
    }

    /// The action of a service; an unknown one is reported.
    pub(crate) fn find_in_service(
        &self,
        service: ServiceId,
        action: &str,
        at: Span,
        found: &mut Diagnostics,
    ) -> Option<ActionId> {
        let known = &self.names.actions[service.0 as usize];
        let id = known.get(action).copied();
        if id.is_none() && !self.broken_services[service.0 as usize] {
            let owner = &self.services[service.0 as usize];
            let message = format!("service `{}` has no action {}", owner.name, quote(action));
            let mut mistake = Diagnostic::new(codes::UNKNOWN_ACTION, at, message);
            mistake.help = Some(self.help_for_action(owner, action, found));
            found.add(mistake);
        }
        id
    }

    fn help_for_action(&self, owner: &Service, action: &str, found: &Diagnostics) -> String {
        let mut actions = owner.actions.iter().map(|id| self.action(*id));
        if let Some(undone) = actions.clone().find(|a| a.compensation.as_deref() == Some(action)) {
            return format!(
                "`{action}` is the compensation of `{}`: name the action itself",
                undone.name
            );
        }
        let names = owner.actions.iter().map(|id| &*self.action(*id).name.action);
        match found.closest(action, names) {
            Some(close) => format!("did you mean `{}.{close}`?", owner.name),
            None => match actions.next() {
                Some(_) => {
                    let few: Vec<_> = owner
                        .actions
                        .iter()
                        .take(12)
                        .map(|id| format!("`{}`", self.action(*id).name))
                        .collect();
                    format!("its actions are: {}", few.join(", "))
                }
                None => {
                    format!("declare it under `services: {{ {}: {{ actions: … }} }}`", owner.name)
                }
            },
        }
    }

    fn no_service_of_action(
        &self,
        text: &str,
        service: &str,
        at: Span,
        found: &mut Diagnostics,
    ) -> Option<ActionId> {
        let full: Vec<String> =
            self.actions.iter().take(2_000).map(|a| a.name.to_string()).collect();
        let mut mistake = Diagnostic::new(
            codes::UNKNOWN_SERVICE,
            at,
            format!("no service {} for {}", quote(service), quote(text)),
        );
        let close = found.closest(text, full.iter().map(String::as_str));
        let known = self.services.iter().map(|s| &*s.name);
        mistake.help = match close {
            Some(close) => Some(format!("did you mean `{close}`?")),
            None => found.did_you_mean(service, known),
        };
        found.add(mistake);
        None
    }

    fn by_bare_name(&self, text: &str) -> Option<String> {
        let mut all = self.actions.iter().filter(|a| &*a.name.action == text);
        let first = all.next()?;
        all.next().is_none().then(|| first.name.to_string())
    }

    /// The tag of a name; an unknown one is reported.
    pub(crate) fn find_tag(
        &self,
        name: &str,
        at: Span,
        found: &mut Diagnostics,
    ) -> Option<Arc<str>> {
        if let Some((tag, _)) = self.names.tags.get_key_value(name) {
            return Some(tag.clone());
        }
        let mut known: Vec<&str> = self.names.tags.keys().map(|t| &**t).collect();
        known.sort_unstable();
        let mut mistake = Diagnostic::new(
            codes::UNKNOWN_TAG,
            at,
            format!("no action has the tag {}", quote(name)),
        );
        let close = found.did_you_mean(name, known.iter().copied());
        mistake.help = close.or_else(|| Some("give it to an action: `tags: [money]`".to_owned()));
        found.add(mistake);
        None
    }

    pub(crate) fn into_parts(self) -> (Vec<Service>, Vec<Action>, Names) {
        (self.services, self.actions, self.names)
    }
}
