//! What this node knows of the open work of its part, and the sum over all nodes.

use super::asking::{silent_view, works};
use super::hub::Answers;
use super::said::Inquiry;
use super::work::{AllWork, OpenWork};
use crate::clock::{Clock, SystemClock};
use crate::supervisor::Supervisor;
use amends_api::SilentNodeView;
use amends_protocol::{Problem, Timestamp};
use amends_store::Store;
use std::sync::{Arc, PoisonError};

impl<S: Store> Supervisor<S> {
    /// What this node knows of its part.
    pub(crate) async fn own_work(&self, now: Timestamp) -> Result<OpenWork, Problem> {
        let survey = Arc::unwrap_or_clone(self.survey().await?);
        let queues = self.shared().queues.lock().unwrap_or_else(PoisonError::into_inner).to_vec();
        let (throughput, unusable) = (&self.shared().observers.throughput, self.quarantine());
        let held = self.held().unwrap_or_default();
        Ok(OpenWork {
            parts: held.iter().map(|part| part.0).collect(),
            survey,
            queues,
            answers: throughput.answers(now),
            pace: throughput.pace(now),
            quarantined: unusable.cases.iter().map(|found| found.case.id).collect(),
            unreadable: unusable.rows.iter().map(|row| row.row.clone()).collect(),
            ways: self.metrics().ways().views(),
            over_http: self.metrics().ways().over_http(),
        })
    }

    /// What all nodes know of theirs. Of one that does not answer, what it told last, if it holds the same still.
    pub(crate) async fn all_work(&self, now: Timestamp) -> Result<AllWork, Problem> {
        let (own, others) = tokio::join!(self.own_work(now), self.work_of_others());
        let (own, others) = (own?, others?);
        let Some(me) = self.store().own_name() else {
            return Ok(AllWork { work: own, ..AllWork::default() });
        };
        let (hub, at) = (&self.shared().hub, SystemClock.now());
        let mut all = AllWork::default();
        all.note_breakers(&me, &own);
        all.work = own;
        for (node, work) in &others.told {
            all.add(node, work);
            hub.keep(node, at, Arc::clone(work));
        }
        for node in others.silent.iter().filter(|node| works(node)) {
            let last = hub.last_of(&node.name).filter(|(_, work)| work.is_of(node));
            all.silent.push(SilentNodeView {
                as_of: last.as_ref().map(|(at, _)| *at),
                ..silent_view(node)
            });
            if let Some((_, work)) = last {
                all.add(&node.name, &work);
            }
        }
        Ok(all)
    }

    /// What the others know of theirs, at a moment after this call. Who comes while they are asked waits, and all of
    /// those have them asked once more.
    async fn work_of_others(&self) -> Result<Arc<Answers<Arc<OpenWork>>>, Problem> {
        let wanted = SystemClock.monotonic();
        let mut asked = self.shared().hub.asked.lock().await;
        if let Some((at, answers)) = &*asked
            && *at >= wanted
        {
            return Ok(Arc::clone(answers));
        }
        let at = SystemClock.monotonic();
        let Answers { told, silent } = self.ask_others(&Inquiry::OpenWork).await?;
        let told = told.into_iter().map(|(node, work)| (node, Arc::new(work))).collect();
        let answers = Arc::new(Answers { told, silent });
        *asked = Some((at, Arc::clone(&answers)));
        Ok(answers)
    }
}
