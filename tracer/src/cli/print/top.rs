//! The table of `tracer top`.

use super::line::{Ink, Line, Page};
use super::summary;
use crate::api::probes::ProbeState;
use crate::api::top::{TopLine, TopProbe};
use crate::escape::Escaped;
use std::time::Duration;

/// The columns, and where each ends.
const COLUMNS: [(&str, usize); 12] = [
    ("ID", 10),
    ("STATE", 19),
    ("PID", 28),
    ("HITS/S", 37),
    ("CAPT/S", 46),
    ("NS/HIT", 55),
    ("CPU%", 62),
    ("FEELS%", 69),
    ("BUDGET%", 78),
    ("LEFT", 84),
    ("LOCATION", 114),
    ("OTHERS/S", 0),
];

/// All probes, one a line; no more than `rows`.
pub(crate) fn table(top: &TopLine, rows: usize) -> Page {
    let mut page = Page::new();
    if top.probes.is_empty() {
        page.line(&Line::new().with(Ink::Dim, "no probes"));
        return page;
    }
    let head = COLUMNS.iter().fold(Line::new(), |line, (name, end)| line.text(*name).pad(*end));
    page.line(&head);
    for probe in top.probes.iter().take(rows) {
        page.line(&row(probe));
    }
    let more = top.probes.len().saturating_sub(rows);
    if more > 0 {
        page.line(&Line::new().with(Ink::Dim, "and ").with(Ink::Dim, more).with(Ink::Dim, " more"));
    }
    page
}

fn row(probe: &TopProbe) -> Line {
    let [id, state, pid, hits, captured, ns, cpu, feels, budget, left, location, _] =
        COLUMNS.map(|(_, end)| end);
    let line = Line::new().with(Ink::Bold, Escaped::name(&probe.id)).pad(id);
    let ink = match probe.state {
        ProbeState::Armed => Ink::Value,
        ProbeState::Pending | ProbeState::Paused | ProbeState::Tripped => Ink::Missing,
        _ => Ink::Dim,
    };
    let line = line.with(ink, probe.state.code()).pad(state);
    let line = line.and(super::probes::pid(probe.pid)).pad(pid);
    let line = line.and(rate(probe.hits)).pad(hits).and(rate(probe.captured)).pad(captured);
    // Without the trap it is the least that it may be.
    let least = if probe.trap { "" } else { ">" };
    let line = match probe.ns_per_hit {
        Some(_) => line.with(Ink::Dim, least),
        None => line,
    };
    let line = line.and(rate(probe.ns_per_hit)).pad(ns).and(percent(probe.cpu_percent)).pad(cpu);
    let line = line.and(percent(probe.target_percent)).pad(feels);
    let line = line.and(percent(probe.budget_left_percent)).pad(budget);
    let expires = Duration::from_secs(probe.expires_in_ms / 1000);
    let line = line.text(summary::duration(summary::rounded(expires))).pad(left);
    let line = line.text(Escaped::name(&probe.location)).pad(location);
    probe.others.iter().fold(line, |line, (code, count)| {
        line.with(Ink::Dim, Escaped::name(code)).text(" ").and(rate(Some(*count))).text("  ")
    })
}

/// `0`, `0.42`, `17`, `1234`, `56k`, `1.2M`.
fn rate(rate: Option<f64>) -> Line {
    let Some(rate) = rate else { return Line::new().with(Ink::Dim, "-") };
    let text = match rate {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{rate:.2}"),
        ..10_000.0 => format!("{rate:.0}"),
        ..1e6 => format!("{:.0}k", rate / 1e3),
        _ => format!("{:.1}M", rate / 1e6),
    };
    Line::new().text(Escaped::name(&text))
}

fn percent(percent: Option<f64>) -> Line {
    let Some(percent) = percent else { return Line::new().with(Ink::Dim, "-") };
    Line::new().text(Escaped::name(&format!("{percent:.2}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(id: &str, location: &str) -> TopProbe {
        TopProbe {
            id: id.to_owned(),
            state: ProbeState::Armed,
            pid: Some(4242),
            location: location.to_owned(),
            hits: Some(1_234_567.0),
            captured: Some(0.5),
            others: [("rate_limit".into(), 12_345.0)].into(),
            ns_per_hit: Some(910.4),
            trap: true,
            cpu_percent: Some(0.912),
            target_percent: None,
            budget_left_percent: Some(0.088),
            expires_in_ms: 3_599_000,
        }
    }

    fn shown(probes: Vec<TopProbe>, rows: usize) -> String {
        let schema = crate::api::top::TOP.into();
        table(&TopLine { schema, time_unix_ms: 0, interval_ms: 1000, probes }, rows).plain()
    }

    #[test]
    fn a_row_has_all_figures_in_short() {
        let text = shown(vec![probe("4f1c22ab", "billing.c:42")], 10);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        let expected = [
            "4f1c22ab",
            "armed",
            "4242",
            "1.2M",
            "0.50",
            "910",
            "0.91",
            "-",
            "0.09",
            "59m",
            "billing.c:42",
            "rate_limit",
            "12k",
        ];
        assert_eq!(row, expected);
        let untold = TopProbe { trap: false, ..probe("a", "f") };
        assert!(shown(vec![untold], 1).contains(" >910 "), "the trap is not in it");
        assert_eq!(shown(Vec::new(), 1), "no probes\n");
    }

    #[test]
    fn a_terminal_gets_no_more_rows_than_it_has_and_no_escape_sequence_of_a_location() {
        let probes = vec![probe("a", "f\x1b[2J"), probe("b", "g"), probe("c", "h")];
        let text = shown(probes, 2);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.ends_with("and 1 more\n") && !text.contains('\x1b'), "{text}");
    }
}
