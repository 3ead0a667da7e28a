//! Lists: functions that were found, checks of this machine, all errors.

use super::line::{Ink, Line, Page};
use super::source::at;
use crate::api::types::{CheckLine, CheckStatus, FoundLine};
use crate::escape::Escaped;

/// `0x55d0c0a01234  process_payment  billing.c:42  in billing`.
pub(crate) fn found(found: &FoundLine) -> Page {
    let mut line = Line::new()
        .with(Ink::Dim, Escaped::hex(found.address.0))
        .text("  ")
        .with(Ink::Bold, Escaped::name(&found.function));
    if let Some(file) = &found.file {
        line = line.text("  ").and(at(file, found.line));
    }
    let mut page = Page::new();
    if found.inlined_copies > 0 {
        line = line.with(Ink::Dim, "  inlined ").text(found.inlined_copies);
        line = line.with(Ink::Dim, if found.inlined_copies == 1 { " time" } else { " times" });
        for (number, caller) in found.inlined_into.iter().enumerate() {
            line = line.with(Ink::Dim, if number == 0 { ", into " } else { ", " });
            line = line.text(Escaped::name(caller));
        }
    }
    page.line(&line.with(Ink::Dim, "  in ").with(Ink::Dim, Escaped::name(&found.module)));
    page
}

/// `ok    kernel  6.18.44`, with what to do below.
pub(crate) fn check(check: &CheckLine) -> Page {
    let (ink, word) = match check.status {
        CheckStatus::Ok => (Ink::Value, "ok"),
        CheckStatus::Warn => (Ink::Missing, "warn"),
        CheckStatus::Fail => (Ink::Error, "FAIL"),
    };
    let name = Line::new().with(ink, word).pad(6).with(Ink::Bold, Escaped::name(&check.name));
    let mut page = Page::new();
    page.line(&name.pad(28).text(Escaped::name(&check.detail)));
    if let Some(remedy) = &check.remedy {
        let help = Line::new().pad(6).with(Ink::Advice, "help").text(": ");
        page.line(&help.text(Escaped::name(remedy)));
    }
    page
}

/// An exit code with its code in JSON, what it means and what to do.
pub(crate) fn exit_code(
    number: u8,
    code: &'static str,
    text: &'static str,
    remedy: &'static str,
) -> Page {
    let mut page = Page::new();
    let head = Line::new().pad(if number < 10 {
        3
    } else if number < 100 {
        2
    } else {
        1
    });
    let head = head.with(Ink::Bold, u32::from(number)).pad(6).with(Ink::Name, code);
    page.line(&head.pad(if code.is_empty() { 6 } else { 31 }).text(text));
    if !remedy.is_empty() {
        page.line(&Line::new().pad(8).with(Ink::Dim, remedy));
    }
    page
}
