//! What the participant knows: requests, calls, fences, steps, reports on their way. One lock stands for one transaction.

use super::{Defect, Participant, problem_body};
use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};

/// Which of a few words it is.
type Word = &'static str;

#[derive(Default, Serialize, Deserialize)]
pub struct Ledger {
    pub requests: Vec<Row>,
    pub calls: Vec<CallRow>,
    pub fences: HashSet<(String, String)>,
    /// Outcomes of steps by id; none while a step that was taken is at work.
    pub steps: HashMap<String, Option<StepEnd>>,
    /// The saga and the verb that each step came with first.
    pub step_firsts: HashMap<String, (String, String)>,
    pub effects: HashMap<String, i64>,
    pub receipts: HashMap<String, i64>,
    pub outbox: VecDeque<Report>,
    /// What the supervisor refused, for a person and the next start.
    pub refused: Vec<Report>,
    reports: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stands {
    Started,
    Succeeded,
    Failed,
    Unknown,
    Compensated,
    Fenced,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub saga: String,
    pub action: String,
    pub body: Value,
    pub bytes: Vec<u8>,
    #[serde(with = "written")]
    pub headers: HeaderMap,
    pub stands: Stands,
    pub answer: Option<Stored>,
}

impl Row {
    /// Whether its action has an effect to be seen, and an undo.
    pub fn is_effective(&self) -> bool {
        self.action == "redeem"
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallRow {
    pub saga: String,
    pub id: String,
    pub parent: String,
    #[serde(deserialize_with = "word")]
    pub state: Word,
}

/// An answer that is given again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    pub status: u16,
    pub body: Value,
    pub report: Option<String>,
}

/// How a step ended: an outcome, or a problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum StepEnd {
    Outcome(#[serde(deserialize_with = "word")] Word),
    Problem(u16, #[serde(deserialize_with = "word")] Word),
}

/// There are few, and a test ends soon.
fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    String::deserialize(from).map(|text| &*text.leak())
}

/// Headers as pairs.
mod written {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(headers: &HeaderMap, to: S) -> Result<S::Ok, S::Error> {
        let pair = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().expect("text").to_owned())
        };
        headers.iter().map(pair).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderMap, D::Error> {
        let pair = |(name, value): (String, String)| -> (HeaderName, HeaderValue) {
            (name.parse().expect("a name"), value.parse().expect("a value"))
        };
        Ok(Vec::<(String, String)>::deserialize(from)?.into_iter().map(pair).collect())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub id: String,
    pub saga: String,
    pub data: Value,
}

/// Why an action failed.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: String,
    pub causes: Vec<String>,
}

impl Ledger {
    pub fn find(&mut self, id: &str) -> Option<&mut Row> {
        self.requests.iter_mut().find(|row| row.id == id)
    }

    pub fn is_fenced(&self, participant: &Participant, saga: &str, action: &str) -> bool {
        let any = participant.has(Defect::FencesAllSagas) && !self.fences.is_empty();
        let of_saga = participant.has(Defect::FencesWholeSaga)
            && self.fences.iter().any(|(fenced, _)| fenced == saga);
        any || of_saga || self.fences.contains(&(saga.to_owned(), action.to_owned()))
    }

    /// Whether a run may go on to its effect, and make calls.
    pub fn may_go_on(&self, participant: &Participant, row: &Row) -> bool {
        let fenced = self.fences.contains(&(row.saga.clone(), row.action.clone()));
        let commits = participant.has(Defect::CommitsAfterRefusal);
        row.stands == Stands::Started && (!fenced || commits)
    }

    pub fn change_effect(&mut self, saga: &str, by: i64) {
        *self.effects.entry(saga.to_owned()).or_default() += by;
    }

    /// What a new process does with what it finds: nobody works on it any more.
    pub fn take_over(&mut self, participant: &Participant) {
        let has = |defect| participant.has(defect);
        if has(Defect::ForgetsRequests) {
            self.requests.clear();
        }
        if has(Defect::ForgetsFences) {
            self.fences.clear();
        }
        if has(Defect::ForgetsOutcomes) {
            self.steps.clear();
        }
        if has(Defect::ForgetsReports) {
            self.outbox.clear();
        }
        let refused = std::mem::take(&mut self.refused);
        self.outbox.extend(refused.into_iter().filter(|_| !has(Defect::BuriesRefusedReports)));
        for call in self.calls.iter_mut().filter(|call| call.state == "started") {
            call.state = if has(Defect::CrashedCallStarted) { "started" } else { "unknown" };
        }
        let left: Vec<Row> =
            self.requests.iter().filter(|row| row.stands == Stands::Started).cloned().collect();
        for mut row in left.into_iter().filter(|_| !has(Defect::NeverRecovers)) {
            row.stands = match has(Defect::RecoversAsFailed) {
                true => Stands::Failed,
                false => Stands::Unknown,
            };
            let kept = self.find(&row.id).expect("it was there");
            kept.stands = row.stands;
            let failure = Failure { code: "crashed".to_owned(), causes: Vec::new() };
            let report = match has(Defect::RecoversSilently) {
                true => None,
                false => Some(self.report(participant, &row, &failure)),
            };
            let body = problem_body(500, "effect-unknown", "crashed");
            let kept = self.find(&row.id).expect("it was there");
            kept.answer = Some(Stored { status: 500, body, report });
        }
    }

    /// A report about a failed request, in the outbox.
    pub fn report(&mut self, participant: &Participant, row: &Row, failure: &Failure) -> String {
        self.reports += 1;
        let id = format!(
            "report-{}-{}",
            row.saga.replace(|c: char| !c.is_alphanumeric(), "-"),
            self.reports
        );
        let mut history = Vec::new();
        for own in self.requests.iter().filter(|own| own.saga == row.saga) {
            let state = match own.stands {
                Stands::Started | Stands::Failed => "failed",
                Stands::Succeeded => "succeeded",
                Stands::Unknown => "unknown",
                Stands::Compensated if participant.has(Defect::ReportsUndone) => "succeeded",
                Stands::Compensated | Stands::Fenced => continue,
            };
            let state = if participant.has(Defect::EvidenceInOwnWords) { "broken" } else { state };
            let own = json!({ "service": "coupon", "action": own.action, "requestId": own.id, "state": state });
            if !participant.has(Defect::ReportWithoutEvidence) {
                history.push(own);
            }
        }
        for call in self.calls.iter().filter(|call| call.saga == row.saga) {
            let call = json!({ "service": "payment", "action": "pay", "requestId": call.id, "state": call.state });
            history.push(call);
        }
        let request = (!participant.has(Defect::ReportWithoutRequest)).then_some(&row.id);
        let causes = match participant.has(Defect::NoCause) {
            true => &Vec::new(),
            false => &failure.causes,
        };
        let data = json!({
            "code": failure.code, "action": row.action, "requestId": request, "message": "it failed",
            "causedBy": causes, "history": history,
        });
        self.outbox.push_back(Report { id: id.clone(), saga: row.saga.clone(), data });
        id
    }

    /// The end of a run: effect and row at once, or failure and report at once. Nothing if it may not end so any more.
    pub fn finish(
        &mut self,
        participant: &Participant,
        id: &str,
        run: Result<(), Failure>,
        reported: bool,
    ) -> Option<Stored> {
        let row = self.find(id)?.clone();
        if !self.may_go_on(participant, &row) && !participant.has(Defect::RunningNotFenced) {
            if row.stands == Stands::Started && !participant.has(Defect::TurnedAwayStaysStarted) {
                // Its compensation was refused: what it did outside of these tables nobody knows.
                let body = problem_body(409, "saga-fenced", "saga-fenced");
                let row = self.find(id)?;
                row.stands = Stands::Unknown;
                row.answer = Some(Stored { status: 409, body, report: None });
            }
            return None;
        }
        let (stands, answer) = match run {
            Ok(()) => {
                let by = i64::from(row.is_effective() && !participant.has(Defect::DoesNothing));
                self.change_effect(&row.saga, by);
                let body = json!({ "redeemed": row.body["coupon"] });
                (Stands::Succeeded, Stored { status: 200, body, report: None })
            }
            Err(failure) => {
                if participant.has(Defect::FailureWithEffect) && row.is_effective() {
                    self.change_effect(&row.saga, 1);
                }
                let earlier = row.answer.as_ref().and_then(|answer| answer.report.clone());
                let report = match reported {
                    true => Some(self.report(participant, &row, &failure)),
                    false => earlier,
                };
                let mut body = problem_body(422, "action-failed", &failure.code);
                if participant.has(Defect::PlainProblem) {
                    body["type"] = json!("about:blank");
                }
                (Stands::Failed, Stored { status: 422, body, report })
            }
        };
        let row = self.find(id)?;
        (row.stands, row.answer) = (stands, Some(answer.clone()));
        Some(answer)
    }
}
