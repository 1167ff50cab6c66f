//! Texts of strangers and of people on their way in: they are kept, shown and sent on without our secrets, and without
//! what looks like somebody's credentials. What is sent to services (data) stays as it came.

use crate::withheld::Withheld;
use amends_engine::Input;
use amends_protocol::Report;
use std::sync::Arc;

/// An input whose texts hold none of them.
pub(crate) fn without_secrets(withheld: &Withheld, mut input: Input) -> Input {
    let hide = |text: &mut String| *text = withheld.hide_in_text(text);
    let hide_shared = |text: &mut Arc<str>| {
        let hidden = withheld.hide_in_text(text);
        if hidden != **text {
            *text = hidden.into();
        }
    };
    match &mut input {
        Input::Report { report, .. } => {
            if report.data.message.is_some() {
                let report: &mut Report = Arc::make_mut(report);
                report.data.message.iter_mut().for_each(hide);
            }
        }
        Input::StepCalledBack { callback, .. } => callback.message.iter_mut().for_each(hide),
        Input::StepAct { act, .. } => hide(act.reason_mut()),
        Input::CaseAct { act, .. } => hide(act.reason_mut()),
        Input::QuestionAct { act, .. } => hide(act.reason_mut()),
        Input::StrangerAct { act, .. } => hide(act.reason_mut()),
        Input::Pause { reason, .. }
        | Input::HoldRule { reason, .. }
        | Input::Limit { reason, .. }
        | Input::Audit { reason, .. } => hide_shared(reason),
        Input::Activate { activation, .. } => hide_shared(&mut activation.reason),
        Input::Mend { mend, .. } => hide_shared(&mut mend.reason),
        Input::Erase { erase, .. } => hide_shared(&mut erase.reason),
        // Nobody writes a text into these, or their texts are looked at where answers are read (`dispatch`).
        Input::SagaBegan { .. }
        | Input::SagaEnded { .. }
        | Input::StepEnded { .. }
        | Input::EndedElsewhere { .. }
        | Input::HistoryEnded { .. }
        | Input::Unheld(_)
        | Input::Tick => {}
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::StepAct;
    use amends_protocol::StepId;

    #[test]
    fn what_a_person_writes_is_kept_without_secrets_and_data_stay_as_they_are() {
        let withheld = Withheld::default();
        withheld.add("sk_live_4711").expect("it can be withheld");
        let reason = "it said sk_live_4711 and Bearer 0123456789abcdef".to_owned();
        let data = serde_json::json!({ "key": "sk_live_4711" });
        let act = StepAct::edit(reason, data.as_object().cloned().expect("an object"));
        let step: StepId = "s-1-1-0123456789abcdef".parse().expect("an id");
        let actor = "ann".into();
        let input = Input::StepAct { step, act, actor, bulk: None, ticket: 1 };
        match without_secrets(&withheld, input) {
            Input::StepAct { act: StepAct::Edit { reason, data: kept, .. }, .. } => {
                assert_eq!(reason, "it said [hidden]**** and Bearer [hidden]********");
                assert_eq!(serde_json::Value::Object(kept), data);
            }
            other => panic!("{other:?}"),
        }
    }
}
