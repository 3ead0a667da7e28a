//! What is said before the first capture and after the last one.

use super::callers;
use super::line::{Ink, Line, Page};
use crate::api::types::{Armed, AttachedBy, BudgetOf, Ended, Overload, Predicted, Summary, Trap};
use crate::escape::Escaped;
use std::time::Duration;
use tracer_common::outcome::Outcome;
use tracer_core::engine::figures;

/// The breakpoints are in place: where, and how long it waits.
pub(crate) fn armed(armed: &Armed) -> Page {
    let mut page = Page::new();
    let sites = armed.sites.len();
    let mut line = Line::new()
        .with(Ink::Dim, "probing ")
        .with(Ink::Bold, Escaped::name(&armed.requested))
        .with(Ink::Dim, " in ")
        .text(Escaped::name_bytes(armed.target.comm.bytes()))
        .text("[")
        .text(armed.target.pid)
        .text("]");
    if sites > 1 {
        line = line.with(Ink::Dim, " at ").text(sites).with(Ink::Dim, " sites");
    }
    line = line
        .with(Ink::Dim, "; waiting up to ")
        .text(duration(Duration::from_millis(armed.timeout_ms)));
    line = match armed.hits {
        0 => line.with(Ink::Dim, " for hits"),
        1 => line.with(Ink::Dim, " for a hit"),
        hits => line.with(Ink::Dim, " for ").text(hits).with(Ink::Dim, " hits"),
    };
    page.line(&line.with(Ink::Dim, " (Ctrl-C ends it)"));
    if armed.attached_by == AttachedBy::Perf {
        let line = Line::new().with(Ink::Dim, "  by perf events: the removal takes 0.1 s for each");
        page.line(
            &line.with(Ink::Dim, " site, and forked children lose theirs at their first hit"),
        );
    }
    callers::of_sites(&armed.sites, &mut page);
    predicted(&mut page, armed.predicted);
    kept(&mut page, armed);
    for issue in &armed.not_probed {
        let line = Line::new().with(Ink::Error, "  not probed").text(": ");
        page.line(&line.text(Escaped::name(&issue.text)));
    }
    page
}

/// Whether arguments that are gone at the sites are kept where their functions are entered.
fn kept(page: &mut Page, armed: &Armed) {
    let mut entries: Vec<_> = armed.sites.iter().filter_map(|site| site.entry).collect();
    entries.dedup_by_key(|entry| entry.pc.0);
    for entry in entries {
        let trap = match entry.trap {
            Trap::Emulated => "emulated",
            Trap::SingleStepped => "single-stepped",
        };
        let line =
            Line::new().with(Ink::Dim, "  arguments that are gone there are kept at the entry, ");
        let line = line.text(Escaped::name(&entry.pc.to_string())).with(Ink::Dim, " (");
        page.line(&line.with(Ink::Dim, trap).with(Ink::Dim, "); each call costs that too"));
    }
    left_out(page, armed.entry_left_out.as_deref());
}

fn left_out(page: &mut Page, why: Option<&str>) {
    if let Some(why) = why {
        let line = Line::new().with(Ink::Missing, "  without the arguments that are gone there");
        page.line(&line.text(": ").text(Escaped::name(why)));
    }
}

/// What a hit costs and, where that was learned, the probe.
fn predicted(page: &mut Page, predicted: Predicted) {
    let Predicted { trap_ns, capture_ns, wake_ns, .. } = predicted;
    let hit_ns = trap_ns.saturating_add(capture_ns).saturating_add(wake_ns) as f64;
    let line = Line::new().with(Ink::Dim, "  predicted: ");
    let line = line.text(Escaped::name(&figures::time(hit_ns))).with(Ink::Dim, " a hit");
    page.line(&match (predicted.hits_per_second, predicted.cpu_percent) {
        (Some(rate), Some(percent)) => line
            .with(Ink::Dim, ", ")
            .text(Escaped::name(&figures::rate(rate).replace("/s", " hits/s")))
            .with(Ink::Dim, ": ")
            .text(Escaped::name(&figures::share(percent / 100.0)))
            .with(Ink::Dim, " of a core"),
        _ => line,
    });
    if let Some(rate) = predicted.sampled_per_second {
        let line = Line::new().with(Ink::Missing, "  sampled").text(": at most ").text(rate);
        page.line(&line.text(" captures a second fit into the budget; other hits are counted"));
    }
}

/// How all hits ended.
pub(crate) fn finished(summary: &Summary) -> Page {
    let written = summary.written;
    let mut page = Page::new();
    let mut line = Line::new()
        .with(Ink::Bold, written)
        .with(Ink::Bold, if written == 1 { " capture" } else { " captures" })
        .text(" of ")
        .text(summary.hits)
        .text(if summary.hits == 1 { " hit; " } else { " hits; " })
        .text(match summary.ended {
            Ended::Complete => "all that were asked for",
            Ended::Timeout => "the timeout passed",
            Ended::Idle => "no more hits came",
            Ended::Stopped => "stopped",
            Ended::Tripped => "it cost more than it may",
            Ended::Silence => "tracer did not answer, so the probe was taken out",
            Ended::GuardianDied => "the process that held the breakpoints died",
            Ended::ProcessGone => "the process ended",
            Ended::CodeGone => "the probed code is no longer there",
            Ended::CodeChanged => "the file of the probed code was written to",
            Ended::Unread => "what was captured could not be read any more",
        });
    if summary.text_restored == Some(true) {
        line = line.with(Ink::Dim, "; the probe is out, the code is as before");
    }
    page.line(&line);
    let count = |outcome: Outcome| summary.outcomes.get(outcome.code()).copied();
    for outcome in Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Captured) {
        note(&mut page, count(*outcome), outcome.code(), outcome.text());
    }
    note(
        &mut page,
        Some(summary.entered),
        if summary.entered == 1 { "call" } else { "calls" },
        "seen at the function's entry, to keep the arguments; they are no hits",
    );
    left_out(&mut page, summary.entry_left_out.as_deref());
    if let Some(overload) = &summary.overload {
        page.line(&Line::new().text("  ").with(Ink::Missing, Escaped::name(&spent(overload))));
    }
    let captured = count(Outcome::Captured).unwrap_or(0);
    let not_shown = captured.saturating_sub(written).saturating_sub(summary.malformed);
    note(&mut page, Some(not_shown), "captured, but not shown", "it came after the end");
    note(&mut page, Some(summary.malformed), "malformed", "records that could not be read");
    note(
        &mut page,
        Some(summary.reader_stalls),
        "reader stalls",
        "looks at the ring that found records lost: the reader was too slow",
    );
    note(
        &mut page,
        Some(summary.kernel_misses),
        "kernel misses",
        "hits that the kernel did not hand to the program; not among the hits above",
    );
    note(
        &mut page,
        Some(summary.children),
        if summary.children == 1 { "forked child" } else { "forked children" },
        "carried the breakpoint and paid for it; their hits are not among the hits above",
    );
    if summary.text_restored == Some(false) {
        let warning = "  the code of the target could not be verified to be as before";
        page.line(&Line::new().with(Ink::Error, warning));
    }
    page
}

/// What a probe had cost when it was tripped: `tripped 2 times: 0.31 ms of 10 ms were spent, 0.30 ms of
/// which its process may cost`.
pub(crate) fn spent(overload: &Overload) -> String {
    let ms = |ns: u64| ns as f64 / 1e6;
    let whose = match overload.of {
        BudgetOf::Probe => "the probe",
        BudgetOf::Process => "all probes of the process",
        BudgetOf::Node => "all probes together",
    };
    format!(
        "tripped {}: {:.2} ms of CPU time in {} ms, where {whose} may cost {:.2} ms ({:.2} % of a core); \
         the last hit came {:.2} ms later",
        if overload.trips == 1 { "once".to_owned() } else { format!("{} times", overload.trips) },
        ms(overload.spent_ns),
        ms(overload.window_ns),
        ms(overload.limit_ns),
        overload.limit_ns as f64 * 100.0 / overload.window_ns as f64,
        ms(overload.lasted_ns),
    )
}

/// `  12 rate_limit: the probe's capture rate was exceeded`, unless there were none.
fn note(page: &mut Page, count: Option<u64>, name: &'static str, text: &'static str) {
    if let Some(count) = count.filter(|count| *count != 0) {
        let line = Line::new().text("  ").with(Ink::Missing, count).text(" ");
        page.line(&line.with(Ink::Missing, name).with(Ink::Dim, ": ").with(Ink::Dim, text));
    }
}

/// `500ms`, `30s`, `2m`.
pub(crate) fn duration(time: Duration) -> Escaped {
    let ms = time.as_millis();
    Escaped::name(&match ms {
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    })
}

/// A time as it is told that runs down: whole minutes where there are some.
pub(crate) fn rounded(left: Duration) -> Duration {
    let seconds = left.as_secs();
    Duration::from_secs(match seconds {
        0..60 => seconds,
        _ => seconds - seconds % 60,
    })
}
