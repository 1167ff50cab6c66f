//! Small pictures in SVG: bars and lines. Holds no text from outside, so it needs no template to escape it.

use amends_api::{MinuteView, Progress};
use std::fmt::Write as _;

/// Width of a bar in its own units.
const WIDTH: f64 = 1_000.0;
/// Height of the lines of the last hour.
const HEIGHT: f64 = 60.0;
/// Narrowest piece of a bar, so that one stuck step among a million is seen.
const NARROWEST: f64 = 14.0;

/// How far a service has come, as one bar.
pub(super) struct Bar {
    pieces: Vec<(&'static str, f64)>,
    label: String,
}

impl Bar {
    pub(super) fn of(progress: &Progress) -> Self {
        let Progress { done, waived, waiting, in_flight, retrying, stuck } = *progress;
        let pieces = [
            ("done", "done", done),
            ("waived", "waived", waived),
            ("flight", "in flight", in_flight),
            ("queue", "waiting", waiting),
            ("retrying", "retrying", retrying),
            ("stuck", "stuck", stuck),
        ];
        Self::with(&pieces, "nothing in open cases")
    }

    /// Of pieces by class, word and number; with what is said when there is none.
    pub(super) fn with(counts: &[(&'static str, &str, u64)], empty: &str) -> Self {
        let sum = counts.iter().map(|(.., n)| *n).sum::<u64>();
        let widths: Vec<(&'static str, f64)> = counts
            .iter()
            .map(|(class, _, n)| {
                let width = if *n == 0 { 0.0 } else { (share(*n, sum) * WIDTH).max(NARROWEST) };
                (*class, width)
            })
            .collect();
        let all: f64 = widths.iter().map(|(_, w)| w).sum();
        let pieces = widths
            .into_iter()
            .filter(|(_, width)| *width > 0.0)
            .map(|(class, width)| (class, width * WIDTH / all))
            .collect();
        let told = counts.iter().map(|(_, word, n)| format!("{n} {word}"));
        let told = told.collect::<Vec<_>>().join(", ");
        let label = if sum == 0 { empty.to_owned() } else { told };
        Self { pieces, label }
    }

    pub(super) fn svg(&self) -> String {
        let mut out = format!(
            "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            self.label
        );
        let mut x = 0.0;
        for (class, width) in &self.pieces {
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"10\"/>"
            );
            x += width;
        }
        out.push_str("</svg>");
        out
    }
}

/// Reports and settled cases by the minute, as two lines.
pub(super) struct Spark {
    minutes: Vec<(u64, u64)>,
}

impl Spark {
    pub(super) fn of(minutes: &[MinuteView]) -> Self {
        Self { minutes: minutes.iter().map(|m| (m.reported, m.settled)).collect() }
    }

    pub(super) fn most_reported(&self) -> u64 {
        self.minutes.iter().map(|m| m.0).max().unwrap_or_default()
    }

    pub(super) fn most_settled(&self) -> u64 {
        self.minutes.iter().map(|m| m.1).max().unwrap_or_default()
    }

    pub(super) fn svg(&self) -> String {
        let most = self.most_reported().max(self.most_settled()).max(1);
        let last = self.minutes.len().saturating_sub(1).max(1);
        let line = |pick: fn(&(u64, u64)) -> u64| {
            let mut points = String::new();
            for (n, minute) in self.minutes.iter().enumerate() {
                let x = share(n as u64, last as u64) * WIDTH;
                let y = HEIGHT - share(pick(minute), most) * (HEIGHT - 4.0) - 2.0;
                let _ = write!(points, "{x:.0},{y:.1} ");
            }
            points
        };
        format!(
            "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Reports and settled cases of the last hour by the minute\"><line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/><polyline class=\"reported\" vector-effect=\"non-scaling-stroke\" points=\"{}\"/><polyline class=\"settled\" vector-effect=\"non-scaling-stroke\" points=\"{}\"/></svg><ul class=\"legend\" aria-hidden=\"true\"><li>— reports</li><li>- - settled</li></ul>",
            line(|m| m.0),
            line(|m| m.1)
        )
    }
}

#[allow(clippy::cast_precision_loss)] // a picture is not wider than its precision
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stuck_step_among_a_million_is_seen() {
        let bar = Bar::of(&Progress { done: 1_000_000, stuck: 1, ..Progress::default() });
        let (_, width) = bar.pieces.iter().find(|(class, _)| *class == "stuck").expect("a piece");
        assert!(*width > 10.0, "{width}");
        let all: f64 = bar.pieces.iter().map(|(_, w)| w).sum();
        assert!((all - WIDTH).abs() < 0.01);
    }

    #[test]
    fn nothing_is_drawn_without_work() {
        assert!(Bar::of(&Progress::default()).pieces.is_empty());
        assert!(Spark::of(&[]).svg().contains("points=\"\""));
    }
}
