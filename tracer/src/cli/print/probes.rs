//! Probes of a daemon: the list, one that is left to it, one that is removed.

use super::line::{Ink, Line, Page};
use super::summary;
use crate::api::probes::{Gap, ProbeLine, ProbeState};
use crate::escape::Escaped;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `4f1c22ab  armed  4242  billing.c:42  3 of 10  uid 0  57m left`, one line each.
pub(crate) fn table(probes: &[ProbeLine], now: SystemTime) -> Page {
    let mut page = Page::new();
    if probes.is_empty() {
        page.line(&Line::new().with(Ink::Dim, "no probes"));
        return page;
    }
    let head = Line::new().text("ID").pad(10).text("STATE").pad(20).text("PID").pad(30);
    let head = head.text("USER").pad(38).text("CAPTURES").pad(52).text("LEFT").pad(60);
    page.line(&Line::new().and(head.text("LOCATION")));
    for probe in probes {
        let (ink, word) = state(probe);
        let line = Line::new().with(Ink::Bold, Escaped::name(&probe.id)).pad(10);
        let line = line.with(ink, word).pad(20).and(pid(probe.pid)).pad(30);
        let line = line.text(probe.owner_uid).pad(38).text(probe.written);
        let line = match probe.request.hits {
            0 => line,
            hits => line.with(Ink::Dim, " of ").text(hits),
        };
        let line = line.pad(52).and(left(probe, now)).pad(60);
        let line = line.text(Escaped::name(&probe.request.location));
        let line = match &probe.request.exe {
            Some(exe) => line.with(Ink::Dim, " in ").text(Escaped::name(exe)),
            None => line,
        };
        page.line(&match probe.children {
            0 => line,
            1 => line.with(Ink::Missing, "  1 forked child carries it"),
            many => line.with(Ink::Missing, "  ").text(many).text(" forked children carry it"),
        });
    }
    page
}

fn state(probe: &ProbeLine) -> (Ink, &'static str) {
    let ink = match probe.state {
        ProbeState::Starting | ProbeState::Ended => Ink::Dim,
        ProbeState::Armed => Ink::Value,
        ProbeState::Pending | ProbeState::Paused | ProbeState::Tripped => Ink::Missing,
        ProbeState::Failed => Ink::Error,
    };
    (ink, probe.state.code())
}

/// The target, once there is one.
pub(crate) fn pid(pid: Option<u32>) -> Line {
    match pid {
        Some(pid) => Line::new().text(pid),
        None => Line::new().with(Ink::Dim, "-"),
    }
}

/// There may be no process yet.
pub(crate) fn waiting(exe: &str) -> Page {
    let line = Line::new().with(Ink::Dim, "waiting for a process that runs ");
    let mut page = Page::new();
    page.line(&line.text(Escaped::name(exe)).with(Ink::Dim, " (Ctrl-C ends it)"));
    page
}

/// How long it may live still; nothing once it does not.
pub(crate) fn left(probe: &ProbeLine, now: SystemTime) -> Line {
    let expires = UNIX_EPOCH + Duration::from_millis(probe.expires_unix_ms);
    let left = expires.duration_since(now).unwrap_or_default();
    if probe.state.lives() {
        Line::new().text(summary::duration(summary::rounded(left)))
    } else {
        Line::new()
    }
}

/// A probe is left to the daemon: how it is read and removed. Its name is told elsewhere.
pub(crate) fn detached(probe: &ProbeLine) -> Page {
    let id = || Escaped::name(&probe.id);
    let lives = Duration::from_millis(probe.request.timeout_ms);
    let mut page = Page::new();
    let line = Line::new().with(Ink::Dim, "probing ");
    let line = line.with(Ink::Bold, Escaped::name(&probe.request.location));
    let line = line.with(Ink::Dim, " for up to ").text(summary::duration(lives));
    page.line(&match probe.request.hits {
        0 => line,
        hits => line.with(Ink::Dim, " or ").text(hits).with(Ink::Dim, " captures"),
    });
    if let (ProbeState::Pending, Some(exe)) = (probe.state, &probe.request.exe) {
        let line = Line::new().with(Ink::Dim, "  waiting for a process that runs ");
        page.line(&line.text(Escaped::name(exe)));
    }
    for (command, what) in [("captures", "shows what it takes"), ("remove", "takes it out")] {
        let line = Line::new().text("  tracer ").text(command).text(" ").with(Ink::Bold, id());
        page.line(&line.pad(30).with(Ink::Dim, what));
    }
    page
}

/// A probe's name alone: what a script takes.
pub(crate) fn id(probe: &ProbeLine) -> Page {
    let mut page = Page::new();
    page.line(&Line::new().text(Escaped::name(&probe.id)));
    page
}

/// A probe is out for a while.
pub(crate) fn paused(probe: &ProbeLine) -> Page {
    let line = Line::new().with(Ink::Bold, Escaped::name(&probe.id)).text(" is paused");
    let mut page = Page::new();
    page.line(&match probe.text_restored {
        Some(true) => line.with(Ink::Dim, "; the code is as before"),
        Some(false) => line.with(Ink::Error, "; the code could not be verified to be as before"),
        None => line,
    });
    page
}

/// A probe is in place again.
pub(crate) fn resumed(probe: &ProbeLine) -> Page {
    let mut page = Page::new();
    page.line(&Line::new().with(Ink::Bold, Escaped::name(&probe.id)).text(" is in place again"));
    page
}

/// A probe lives longer.
pub(crate) fn extended(probe: &ProbeLine, now: SystemTime) -> Page {
    let line = Line::new().with(Ink::Bold, Escaped::name(&probe.id)).text(" lives for ");
    let mut page = Page::new();
    page.line(&line.and(left(probe, now)));
    page
}

/// A probe is out.
pub(crate) fn removed(probe: &ProbeLine) -> Page {
    let line = Line::new().with(Ink::Bold, Escaped::name(&probe.id)).text(" is out; ");
    let line = line.text(probe.written);
    let mut page = Page::new();
    page.line(&line.text(if probe.written == 1 { " capture" } else { " captures" }));
    page
}

/// Captures are gone that should stand here.
pub(crate) fn gap(gap: &Gap) -> Page {
    let line = Line::new().with(Ink::Missing, "captures ").with(Ink::Missing, gap.from);
    let line = line.with(Ink::Missing, " to ").with(Ink::Missing, gap.to);
    let mut page = Page::new();
    page.line(&line.with(Ink::Missing, " are gone: ").text(Escaped::name(&gap.text)));
    page
}
