//! Errors: what it is about, what is wrong, what could be meant, what to do.

use super::line::{Ink, Line, Page};
use crate::api::types::Error;
use crate::escape::Escaped;

/// `error: SUBJECT: text (detail)`, the candidates, `help: remedy`.
pub(crate) fn error(error: &Error) -> Page {
    let mut page = Page::new();
    let mut line = Line::new().with(Ink::Error, "error").text(": ");
    if !error.subject.is_empty() {
        line = line.with(Ink::Bold, Escaped::name(&error.subject)).text(": ");
    }
    line = line.text(Escaped::name(&error.text));
    if !error.detail.is_empty() {
        line = line.text(" (").text(Escaped::name(&error.detail)).text(")");
    }
    page.line(&line);
    for candidate in &error.candidates {
        page.line(&Line::new().text("  ").with(Ink::Name, Escaped::name(candidate)));
    }
    if !error.remedy.is_empty() {
        let remedy = Escaped::name(&error.remedy);
        page.line(&Line::new().with(Ink::Advice, "help").text(": ").text(remedy));
    }
    page
}
