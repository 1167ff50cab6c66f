//! One way in which a saga and its aftermath can go: what fails, and in which order and how close the rest happens.

use crate::fault::Fault;
use crate::flow::Flow;
use amends_rulebook::Rulebook;

/// One run of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What fails; at most two in the schedules that are listed.
    pub faults: Vec<Fault>,
    /// In which order the reports (and crashed services, late requests, slow work) come in.
    pub order: Order,
    /// What the supervisor does in between.
    pub spacing: Spacing,
    /// Every report comes twice.
    pub twice: bool,
    /// Something between supervisor and services goes wrong as well.
    pub disturbance: Option<Disturbance>,
    /// What is no report (a service that is back, a late request, slow work) comes only after so many effects.
    pub late_after: Option<usize>,
    /// Reports say neither where the saga began nor who called: whoever doesn't use the kit may leave that out.
    pub nameless: bool,
}

/// An order of what comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As it happened.
    AsItHappened,
    /// The n-th of all orders, counted from the one as it happened.
    Permuted(usize),
    /// The last first.
    Reversed,
}

/// What the supervisor does between two things that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Nothing: all comes in before the first step goes out.
    Together,
    /// One effect.
    OneEffect,
    /// All that it can, to the end of the case.
    Apart,
}

/// Trouble between the supervisor and the services, at the n-th effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The service does it, but the answer is lost.
    AnswerLost(usize),
    /// The service is out of reach.
    NotSent(usize),
    /// The supervisor dies before it and starts again on what it had written.
    Restart(usize),
}

impl Schedule {
    /// These faults, and all else as it should be.
    #[must_use]
    pub fn plain(faults: Vec<Fault>) -> Self {
        Self {
            faults,
            order: Order::AsItHappened,
            spacing: Spacing::Apart,
            twice: false,
            disturbance: None,
            late_after: None,
            nameless: false,
        }
    }

    /// One line for each thing that is not as it should be.
    #[must_use]
    pub fn describe(&self, book: &Rulebook, flow: &Flow) -> Vec<String> {
        let mut lines: Vec<String> = self.faults.iter().map(|f| f.describe(book, flow)).collect();
        match self.order {
            Order::AsItHappened => {}
            Order::Permuted(n) => {
                lines.push(format!("what follows comes in another order (number {n})"));
            }
            Order::Reversed => lines.push("what follows comes the last first".to_owned()),
        }
        match self.spacing {
            Spacing::Apart => {}
            Spacing::Together => lines.push("all reports come before the first step".to_owned()),
            Spacing::OneEffect => lines.push("reports come between the steps".to_owned()),
        }
        match self.late_after {
            None => {}
            Some(usize::MAX) => lines.push("what is late comes after everything else".to_owned()),
            Some(n) => lines.push(format!("what is late comes after effect {n}")),
        }
        if self.nameless {
            lines.push("no report says where the saga began, or who called".to_owned());
        }
        if self.twice {
            lines.push("every report comes twice".to_owned());
        }
        match self.disturbance {
            None => {}
            Some(Disturbance::AnswerLost(n)) => {
                lines.push(format!("the answer to effect {} is lost", n + 1));
            }
            Some(Disturbance::NotSent(n)) => {
                lines.push(format!("effect {} finds nobody at home", n + 1));
            }
            Some(Disturbance::Restart(n)) => {
                lines.push(format!("the supervisor dies before effect {}", n + 1));
            }
        }
        lines
    }
}

impl Order {
    /// Puts `items` in this order. The factorial number system counts the orders; what is past the last begins anew.
    pub(crate) fn apply<T>(self, items: Vec<T>) -> Vec<T> {
        let (mut n, mut left) = match self {
            Self::AsItHappened => return items,
            Self::Reversed => return items.into_iter().rev().collect(),
            Self::Permuted(n) => (n, items),
        };
        let mut sorted = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let take = n % left.len();
            n /= left.len();
            sorted.push(left.remove(take));
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::Order;
    use std::collections::BTreeSet;

    #[test]
    fn every_order_of_four_comes_once() {
        let orders: BTreeSet<Vec<u8>> =
            (0..24).map(|n| Order::Permuted(n).apply(vec![1, 2, 3, 4])).collect();
        assert_eq!(orders.len(), 24);
        assert_eq!(Order::Permuted(0).apply(vec![1, 2, 3]), [1, 2, 3]);
    }
}
