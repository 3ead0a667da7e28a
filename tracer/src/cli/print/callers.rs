//! What the code of a site is inlined into.

use super::line::{Ink, Line, Page};
use super::source::at;
use crate::api::types::{ArmedSite, InlinedInto};
use crate::escape::Escaped;

/// Sites that are listed with their callers before the first capture.
const SITES_SHOWN: usize = 12;

/// `  inlined into order_total at billing.c:40, in checkout at billing.c:71`; nothing for a function's
/// own code.
pub(super) fn inlined_into(callers: &[InlinedInto], page: &mut Page) {
    if !callers.is_empty() {
        page.line(&Line::new().with(Ink::Dim, "  inlined into ").and(chain(callers)));
    }
}

/// The sites of a probe that are in inlined copies, a line each.
pub(super) fn of_sites(sites: &[ArmedSite], page: &mut Page) {
    let inlined = sites.iter().filter(|site| !site.inlined_into.is_empty());
    for site in inlined.clone().take(SITES_SHOWN) {
        let line = Line::new().text("  ").text(Escaped::hex(site.pc.0));
        page.line(&line.with(Ink::Dim, " inlined into ").and(chain(&site.inlined_into)));
    }
    match inlined.count().saturating_sub(SITES_SHOWN) {
        0 => {}
        more => page.line(&Line::new().text("  … ").text(more).text(" more inlined copies")),
    }
}

fn chain(callers: &[InlinedInto]) -> Line {
    let mut line = Line::new();
    for (number, caller) in callers.iter().enumerate() {
        if number > 0 {
            line = line.with(Ink::Dim, ", in ");
        }
        line = match &caller.function {
            Some(name) => line.with(Ink::Bold, Escaped::name(name)),
            None => line.text("<unknown function>"),
        };
        if let Some(file) = &caller.file {
            line = line.with(Ink::Dim, " at ").and(at(file, caller.line));
        }
    }
    line
}
