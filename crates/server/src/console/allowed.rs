//! What of a page is offered to whoever looks at it. An act that somebody may not do is absent, not disabled: only what
//! a state forbids is shown with the reason. The gate refuses all the same.

use super::page::{Frame, Part};
use amends_api::access::{Right, Within};

impl Frame {
    /// Whether they may look at a part. Where it is not known who looks, each is named: the gate will say.
    pub(super) fn may_see(&self, part: Part) -> bool {
        let within = match part {
            Part::Cases | Part::Questions | Part::Rules => Within::Somewhere,
            _ => Within::Everywhere,
        };
        self.caller.as_ref().is_none_or(|caller| caller.may(Right::Read, within))
    }

    /// Whether they may look at what is counted over all rulebooks.
    pub(super) fn sees_everything(&self) -> bool {
        self.may(Right::Read, Within::Everywhere)
    }

    /// Whether they may look at business data of everything.
    pub(super) fn reads_data(&self) -> bool {
        self.may(Right::ReadData, Within::Everywhere)
    }

    /// Whether they may act on what belongs to a rulebook; on what belongs to none, who may do so everywhere.
    pub(super) fn acts_in(&self, rulebook: &Option<String>) -> bool {
        match rulebook {
            Some(name) => self.acts_on(name),
            None => self.acts_everywhere(),
        }
    }

    /// Whether they may act on what belongs to a rulebook.
    pub(super) fn acts_on(&self, rulebook: &str) -> bool {
        self.may(Right::Act, Within::Rulebook(rulebook))
    }

    /// Whether they may act on something; on what, is judged when it is known.
    pub(super) fn acts_somewhere(&self) -> bool {
        self.may(Right::Act, Within::Somewhere)
    }

    /// Whether they may act on what belongs to no one rulebook, such as a service.
    pub(super) fn acts_everywhere(&self) -> bool {
        self.may(Right::Act, Within::Everywhere)
    }

    /// Whether they may make a new version of a rulebook.
    pub(super) fn changes_rules_of(&self, rulebook: &str) -> bool {
        self.may(Right::Rules, Within::Rulebook(rulebook))
    }

    /// Whether they may add rulebooks.
    pub(super) fn changes_rules(&self) -> bool {
        self.may(Right::Rules, Within::Somewhere)
    }

    /// Whether they may do what touches the supervisor as a whole.
    pub(super) fn administers(&self) -> bool {
        self.may(Right::Admin, Within::Everywhere)
    }

    /// Whether they are known, so that there is something to tell them of themselves.
    pub(super) fn knows_who(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.is_known())
    }

    /// Whether they have logged in.
    pub(super) fn has_session(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.session.is_some())
    }

    fn may(&self, right: Right<'_>, within: Within<'_>) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may(right, within))
    }
}
