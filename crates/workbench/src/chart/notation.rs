//! The chart as text for other drawing programs: Mermaid and Graphviz.

use super::{Chart, ChartCall};
use crate::CellKind;
use crate::drawing::colors;
use amends_protocol::wire::xml::escape;
use std::fmt::Write as _;

impl Chart {
    /// A Mermaid flowchart, as GitHub draws it.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut out = format!(
            "---\ntitle: {}\n---\nflowchart LR\n",
            serde_json::Value::from(self.title.as_str())
        );
        for (n, node) in self.nodes.iter().enumerate() {
            let word = node
                .kind
                .filter(|k| *k != CellKind::NotReached)
                .map_or(String::new(), |k| format!("<br>{}", k.word()));
            let _ = writeln!(
                out,
                "  n{n}[\"{}<br><small>{}</small>{word}\"]",
                escape(&node.name),
                escape(&node.note)
            );
        }
        for ChartCall { from, to, optional, how } in &self.calls {
            let line = if *optional { "-.->" } else { "-->" };
            let label = if how.is_empty() { String::new() } else { format!("|{how}|") };
            let _ = writeln!(out, "  n{from} {line}{label} n{to}");
        }
        for kind in CellKind::ALL {
            let of: Vec<_> = (0..self.nodes.len())
                .filter(|n| self.nodes[*n].kind == Some(kind))
                .map(|n| format!("n{n}"))
                .collect();
            if !of.is_empty() {
                let (fill, ink) = colors(kind);
                let _ = writeln!(
                    out,
                    "  classDef {} fill:{fill},color:{ink}\n  class {} {}",
                    kind.as_str(),
                    of.join(","),
                    kind.as_str()
                );
            }
        }
        out
    }

    /// A Graphviz digraph.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let text = |t: &str| serde_json::Value::from(t).to_string();
        let mut out = format!(
            "digraph amends {{\n  label={};\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", fontname=\"sans-serif\"];\n",
            text(&self.title)
        );
        for (n, node) in self.nodes.iter().enumerate() {
            let (fill, ink) = node.kind.map_or(("#ffffff", "#1c2330"), colors);
            let word = node
                .kind
                .filter(|k| *k != CellKind::NotReached)
                .map_or(String::new(), |k| format!("\n{}", k.word()));
            let label = text(&format!("{}\n{}{word}", node.name, node.note));
            let _ =
                writeln!(out, "  n{n} [label={label}, fillcolor=\"{fill}\", fontcolor=\"{ink}\"];");
        }
        for ChartCall { from, to, optional, how } in &self.calls {
            let style = optional.then(|| "style=dashed".to_owned());
            let label = (!how.is_empty()).then(|| format!("label={}", text(how)));
            let said: Vec<String> = style.into_iter().chain(label).collect();
            let said =
                if said.is_empty() { String::new() } else { format!(" [{}]", said.join(", ")) };
            let _ = writeln!(out, "  n{from} -> n{to}{said};");
        }
        out.push_str("}\n");
        out
    }
}
