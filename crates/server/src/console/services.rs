//! `/services`: health, speed and errors of each service; pause, resume and limits, which hold over restarts.

use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::picture::Bar;
use super::visitor::{Visitor, tell_late};
use super::words::{date_and_time, relative};
use crate::http::{ApiError, App};
use crate::views::bare_services;
use amends_api::signs::Signed;
use amends_api::{OverHttpView, Overview, ServiceHealth, ServiceView, WayView};
use amends_engine::NewLimits;
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

#[derive(Template)]
#[template(path = "services.html")]
struct Page {
    frame: Frame,
    services: Vec<ServiceView>,
    /// The brokers that reports come from.
    ways: Vec<WayView>,
    over_http: OverHttpView,
}

/// `GET /services`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let mut frame = Frame::live(&app, Part::Services, "Services", "/services".to_owned(), &visitor);
    let Overview { mut services, ways, over_http, silent_nodes, .. } =
        app.supervisor.overview(frame.now).await?;
    frame.silent = silent_nodes;
    if !visitor.caller.sees_data() {
        bare_services(&mut services);
    }
    Ok(show(&Page { frame, services, ways, over_http }))
}

/// `POST /services/{name}/acts`: `pause`, `resume`, `limit` or `unlimit`.
pub(super) async fn act<S: Store>(
    State(app): State<App<S>>,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/services");
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let acted = match form.text("act") {
        "pause" => app.supervisor.pause(&name, true, &who, &reason).await,
        "resume" => app.supervisor.pause(&name, false, &who, &reason).await,
        "limit" => {
            let limits = NewLimits {
                concurrency: form.number("concurrency").map_err(wrong)?,
                per_second: form.number("per_second").map_err(wrong)?,
            };
            app.supervisor.limit(&name, limits, &who, &reason).await
        }
        "unlimit" => app.supervisor.limit(&name, NewLimits::default(), &who, &reason).await,
        other => return Err(wrong(ApiError::invalid(format!("`{other}` is no act of this form")))),
    };
    let late = acted.map_err(|problem| PageError::from(problem).back("/services"))?;
    Ok(form.remember(tell_late(&late, see(&format!("/services#{name}")))))
}

fn bar(service: &ServiceView) -> Bar {
    Bar::of(&service.progress)
}

fn percent(share: &f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn number(limit: &Option<u32>) -> String {
    limit.map_or_else(String::new, |n| n.to_string())
}

fn latency(ms: &Option<f64>) -> String {
    ms.map_or_else(
        || "–".to_owned(),
        |ms| if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") },
    )
}
