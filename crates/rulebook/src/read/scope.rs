//! The names of one rulebook: which services, actions and tags there are, and what a reference to one of them means.

use crate::book::Names;
use crate::mistakes::{Diagnostics, quote};
use crate::{Action, ActionId, Diagnostic, Service, ServiceId, Span, codes};
use std::sync::Arc;

/// Whether several names stand in one text; it is told.
pub(crate) fn tell_several(text: &str, at: Span, found: &mut Diagnostics) -> bool {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if !text.contains(',') {
        return false;
    }
    let message = format!("{} is not one name", quote(text));
    let help = match parts.as_slice() {
        [one] => format!("leave out the comma: `{one}`"),
        several => format!("write a list: `[{}]`", several.join(", ")),
    };
    found.add(Diagnostic::new(codes::UNKNOWN_ACTION, at, message).with_help(help));
    true
}

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
        if tell_several(text, at, found) {
            return None;
        }
        let Some((service, action)) = text.split_once('.') else {
            let message = format!("{} is not an action", quote(text));
            let meant = self.by_bare_name(text).or_else(|| self.with_other_sign(text));
            found.add(Diagnostic::new(codes::UNKNOWN_ACTION, at, message).with_help(match meant {
                Some(name) => format!("did you mean `{name}`?"),
                None => "an action is written `service.action`".to_owned(),
            }));
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
        let id = self.names.actions[service.0 as usize].get(action).copied();
        if id.is_none() {
            let help = self.help_for_action(&self.services[service.0 as usize], action, found);
            self.no_such_action(service, action, at, help, found);
        }
        id
    }

    /// Tells that a service has no such action, unless what it has could not be read.
    fn no_such_action(
        &self,
        service: ServiceId,
        action: &str,
        at: Span,
        help: String,
        found: &mut Diagnostics,
    ) {
        if self.broken_services[service.0 as usize] {
            return;
        }
        let owner = &self.services[service.0 as usize].name;
        let message = format!("service `{owner}` has no action {}", quote(action));
        found.add(Diagnostic::new(codes::UNKNOWN_ACTION, at, message).with_help(help));
    }

    /// The same where the service is known and not written again.
    pub(crate) fn find_own(
        &self,
        service: ServiceId,
        action: &str,
        at: Span,
        found: &mut Diagnostics,
    ) -> Option<ActionId> {
        let id = self.names.actions[service.0 as usize].get(action).copied();
        if id.is_none() {
            let owner = &self.services[service.0 as usize];
            let names = || owner.actions.iter().map(|id| &*self.action(*id).name.action);
            let own = action.strip_prefix(&*owner.name).and_then(|rest| rest.strip_prefix('.'));
            let help = match own.filter(|own| names().any(|name| name == *own)) {
                Some(own) => Some(format!("write `{own}`: the service stands in `on`")),
                None => found.did_you_mean(own.unwrap_or(action), names()),
            };
            let help =
                help.unwrap_or_else(|| "name one of its actions, without the service".to_owned());
            self.no_such_action(service, action, at, help, found);
        }
        id
    }

    /// Whether any service has an action of this name; if none has, it is told.
    pub(crate) fn find_anywhere(&self, action: &str, at: Span, found: &mut Diagnostics) -> bool {
        let is_there = |name: &str| self.actions.iter().any(|a| &*a.name.action == name);
        if is_there(action) || self.broken_services.contains(&true) {
            return true;
        }
        let own = action.rsplit('.').next().filter(|own| *own != action && is_there(own));
        let names = self.actions.iter().map(|a| &*a.name.action);
        let help = match own {
            Some(own) => Some(format!(
                "write `{own}`, without the service, and the service in `on`: `{}/*`",
                action.split('.').next().unwrap_or_default()
            )),
            None => found.did_you_mean(action, names),
        };
        let message = format!("no service has an action {}", quote(action));
        found.add(
            Diagnostic::new(codes::UNKNOWN_ACTION, at, message).with_help(
                help.unwrap_or_else(|| "name an action, without its service".to_owned()),
            ),
        );
        false
    }

    /// `service/action`, `service:action`: what such a name means with a dot.
    fn with_other_sign(&self, text: &str) -> Option<String> {
        let (service, action) = ["::", "->", "/", ":", "#", ">", " "]
            .into_iter()
            .find_map(|sign| text.split_once(sign))?;
        let service = self.names.services.get(service.trim())?;
        let id = self.names.actions[service.0 as usize].get(action.trim())?;
        Some(self.action(*id).name.to_string())
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
