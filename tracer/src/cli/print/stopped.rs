//! What became of probes that were all taken out.

use super::line::{Ink, Line, Page};
use crate::api::probes::{StopLine, TextAfter};
use crate::escape::Escaped;

/// `4f1c22ab  restored  4242  1 site  billing.c:42`, one line each, and what it comes to.
pub(crate) fn table(lines: &[StopLine]) -> Page {
    let mut page = Page::new();
    for line in lines {
        let ink = match line.text {
            TextAfter::Restored => Ink::Value,
            TextAfter::Gone => Ink::Dim,
            TextAfter::Changed | TextAfter::Unknown => Ink::Error,
        };
        let shown = Line::new().with(Ink::Bold, Escaped::name(&line.id)).pad(18);
        let shown = shown.with(ink, line.text.code()).pad(28).text(line.pid).pad(38);
        let shown = shown.text(line.sites).text(if line.sites == 1 { " site" } else { " sites" });
        let shown = shown.pad(48).text(Escaped::name(&line.location));
        page.line(&match line.detail.as_str() {
            "" => shown,
            detail => shown.with(Ink::Error, ": ").with(Ink::Error, Escaped::name(detail)),
        });
    }
    page.line(&total(lines));
    page
}

fn total(lines: &[StopLine]) -> Line {
    let unclean = lines.iter().filter(|line| !line.text.is_clean()).count();
    match (lines.len(), unclean) {
        (0, _) => Line::new().with(Ink::Dim, "no probes"),
        (count, 0) => Line::new()
            .text(count)
            .text(if count == 1 { " is out" } else { " are out" })
            .with(Ink::Dim, "; the code of every target is as before"),
        (_, unclean) => {
            Line::new().with(Ink::Error, unclean).with(Ink::Error, " can't be proven to be out")
        }
    }
}
