//! A place without a hit: where each variable is, or why not and where instead.

use super::callers;
use super::line::{Ink, Line, Page};
use super::source::{Sources, at};
use super::value::WIDTH;
use crate::api::types::VariableKind;
use crate::api::vars::{Frame, Nearest, Place, Site, Variable, VarsLine};
use crate::escape::Escaped;
use tracer_core::model::reason::ReasonCode;

/// Columns of names and types that places are lined up behind; longer ones push theirs away.
const LABEL_WIDTH_MAX: usize = 40;

/// Variables of other blocks that are shown; large functions have hundreds.
const OTHER_BLOCKS_MAX: usize = 20;

/// All sites of a location, one page.
pub(crate) fn vars(vars: &VarsLine, sources: &mut Sources) -> Page {
    let mut page = Page::new();
    page.line(&heading(vars));
    for (number, site) in vars.sites.iter().enumerate() {
        let numbered = vars.sites.len() > 1;
        if numbered {
            page.blank();
        }
        at_site(numbered.then_some(number + 1), site, sources, &mut page);
    }
    for issue in &vars.not_probed {
        let line = Line::new().with(Ink::Error, "can't be probed").text(": ");
        page.line(&line.text(Escaped::name(&issue.text)));
    }
    page
}

/// `billing.c:42 in billing[4242]: 2 sites`.
fn heading(vars: &VarsLine) -> Line {
    let sites = vars.sites.len();
    Line::new()
        .with(Ink::Bold, Escaped::name(&vars.requested))
        .with(Ink::Dim, " in ")
        .text(Escaped::name_bytes(vars.target.comm.bytes()))
        .text("[")
        .text(vars.target.pid)
        .text("]: ")
        .text(sites)
        .text(if sites == 1 { " site" } else { " sites" })
}

fn at_site(number: Option<usize>, site: &Site, sources: &mut Sources, page: &mut Page) {
    let line = match number {
        Some(number) => Line::new().with(Ink::Dim, "site ").text(number).text("  "),
        None => Line::new(),
    };
    let mut line = line
        .with(Ink::Dim, "pc ")
        .text(Escaped::hex(site.pc.0))
        .with(Ink::Dim, " in ")
        .text(Escaped::name(&site.module));
    if site.pc != site.requested_pc {
        line = line.with(Ink::Dim, " for ").text(Escaped::hex(site.requested_pc.0));
    }
    page.line(&line);
    page.line(&Line::new().text("  ").with(Ink::Dim, Escaped::name(&site.why)));
    callers::inlined_into(&site.inlined_into, page);
    if let Some(Frame { file: Some(file), line: Some(line), .. }) = site.frames.first()
        && let Some(source) = sources.line(file, *line, Some(&site.module))
    {
        page.line(&source.numbered(*line));
    }
    for (number, frame) in site.frames.iter().enumerate() {
        in_frame(number, frame, page);
    }
    if site.frames.iter().all(|frame| frame.variables.is_empty()) {
        let why = match site.debug_issue {
            None => "no variables in scope",
            Some(_) => "no debug info: a snapshot shows registers and stack only",
        };
        page.line(&Line::new().pad(4).with(Ink::Missing, why));
    }
}

/// `#0  process_payment at billing.c:42` with its variables.
fn in_frame(number: usize, frame: &Frame, page: &mut Page) {
    let mut line = Line::new().with(Ink::Dim, "#").with(Ink::Dim, number).pad(4);
    line = match &frame.function {
        Some(name) => line.with(Ink::Bold, Escaped::name(name)),
        None => line.text("<unknown function>"),
    };
    if let Some(file) = &frame.file {
        line = line.with(Ink::Dim, " at ").and(at(file, frame.line));
    }
    if frame.inlined {
        line = line.with(Ink::Dim, "  (inlined)");
    }
    page.line(&line);
    let labels = frame.variables.iter().map(|variable| label(variable).width());
    let width = labels.max().unwrap_or(0).min(LABEL_WIDTH_MAX);
    for group in [Group::Arguments, Group::Locals, Group::OtherBlocks] {
        let mut variables = frame.variables.iter().filter(|v| Group::of(v) == group).peekable();
        if variables.peek().is_some() {
            page.line(&Line::new().pad(4).with(Ink::Dim, group.heading()));
        }
        for variable in variables.by_ref().take(group.shown_max()) {
            placed(variable, width, frame.file.as_deref(), page);
        }
        match variables.count() {
            0 => {}
            more => page.line(&Line::new().pad(6).text("… ").text(more).text(" more; see --json")),
        }
    }
}

/// What stands together under a heading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Arguments,
    Locals,
    OtherBlocks,
}

impl Group {
    fn of(variable: &Variable) -> Self {
        match &variable.place {
            Place::Missing { unavailable, .. }
                if unavailable.code == ReasonCode::NotInScope.code() =>
            {
                Self::OtherBlocks
            }
            _ if variable.kind == VariableKind::Parameter => Self::Arguments,
            _ => Self::Locals,
        }
    }

    fn shown_max(self) -> usize {
        if self == Self::OtherBlocks { OTHER_BLOCKS_MAX } else { usize::MAX }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Locals => "locals",
            Self::OtherBlocks => "locals of blocks that are not around this place",
        }
    }
}

/// `total: int`.
fn label(variable: &Variable) -> Line {
    Line::new()
        .with(Ink::Name, Escaped::name(&variable.name))
        .with(Ink::Dim, ": ")
        .with(Ink::Dim, Escaped::name(&variable.type_name))
}

/// `total: int  in rdi`, or `total: int  not here; on line 44` with the reason. `here` is the file
/// of the function.
fn placed(variable: &Variable, width: usize, here: Option<&str>, page: &mut Page) {
    let indent = Line::new().pad(6);
    let start = indent.clone().and(label(variable).pad(width + 1)).text(" ");
    let (reason, instead) = match &variable.place {
        Place::Here { location } => {
            page.line(&start.with(Ink::Value, Escaped::name(location)));
            return;
        }
        Place::Missing { unavailable, nearest: Some(nearest), .. } => {
            (unavailable, instead(nearest, here))
        }
        Place::Missing { unavailable, nearest: None, searched_all } => {
            (unavailable, nowhere(*searched_all))
        }
    };
    // The heading says why.
    if Group::of(variable) == Group::OtherBlocks {
        page.line(&start.and(instead));
        return;
    }
    let start = start.with(Ink::Missing, "not here; ");
    let why = Line::new().with(Ink::Missing, Escaped::name(&reason.text));
    // Where to go comes first: it stays on the line, however long the reason is.
    if start.width() + instead.width() + why.width() + 2 <= WIDTH {
        page.line(&start.and(instead).text("; ").and(why));
    } else {
        page.line(&start.and(instead));
        page.line(&indent.text("  ").and(why));
    }
}

/// `on line 44`.
fn instead(nearest: &Nearest, here: Option<&str>) -> Line {
    let line = match here {
        Some(here) if here == nearest.file => Line::new().text("line ").text(nearest.line),
        _ => at(&nearest.file, Some(nearest.line)),
    };
    if nearest.is_whole_line() {
        Line::new().with(Ink::Advice, "on ").and(line)
    } else {
        let part = Line::new().with(Ink::Advice, "at ").text("*").text(Escaped::hex(nearest.pc.0));
        part.text(", a part of ").and(line)
    }
}

fn nowhere(searched_all: bool) -> Line {
    Line::new().with(
        Ink::Missing,
        match searched_all {
            true => "nowhere in the function",
            false => "not on the nearest lines; others were not searched",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::vars_page;
    use super::*;
    use crate::api::samples::{missing, nearest, placed, vars as sample};
    use tracer_core::engine::findings::{Missing, Vars};
    use tracer_core::model::issue::{Issue, IssueKind};
    use tracer_core::model::resolved::{Elsewhere, VariableKind};

    fn plain(sample: &Vars) -> String {
        vars_page(sample).plain()
    }

    #[test]
    fn a_place_where_everything_is_there_is_a_line_for_each_variable() {
        let mut sample = sample(vec![
            placed("item", VariableKind::Parameter, Ok("in rdi")),
            placed("total", VariableKind::Local, Ok("constant 7")),
        ]);
        sample.issues.clear();
        assert_eq!(
            plain(&sample),
            "\
billing.c:42 in billing[4242]: 1 site
pc 0x558100001234 in /usr/bin/billing for 0x558100001230
  moved +4 past endbr64 to push rbp (emulated)
  inlined into process_payment at /no/such/src/billing.c:40
#0  price_of at /no/such/src/billing.c:42  (inlined)
    arguments
      item: int   in rdi
    locals
      total: int  constant 7
#1  process_payment at /no/such/src/billing.c:40
    arguments
      amount: int  at CFA-40 (rsp+24)
"
        );
    }

    #[test]
    fn what_is_missing_says_where_to_go_and_why_it_is_not_here() {
        let local = |name, code, elsewhere| {
            placed(name, VariableKind::Local, Err(missing(code, elsewhere)))
        };
        let mut other = local("far", ReasonCode::EntryValue, nearest(44, true));
        if let Err(Missing { elsewhere: Elsewhere::Line { line, .. }, .. }) = &mut other.place {
            line.file = "/no/such/src/other.c".to_owned();
        }
        let mut sample = sample(vec![
            local("whole", ReasonCode::OptimizedOut, nearest(44, true)),
            local("part", ReasonCode::NotDeclaredYet, nearest(45, false)),
            local("gone", ReasonCode::OptimizedOut, Elsewhere::Nowhere),
            other,
            local("block", ReasonCode::NotInScope, nearest(47, true)),
            local("searching", ReasonCode::NotInScope, Elsewhere::NotFound),
        ]);
        sample.sites[0].frames.truncate(1);
        assert_eq!(
            plain(&sample),
            "\
billing.c:42 in billing[4242]: 1 site
pc 0x558100001234 in /usr/bin/billing for 0x558100001230
  moved +4 past endbr64 to push rbp (emulated)
  inlined into process_payment at /no/such/src/billing.c:40
#0  price_of at /no/such/src/billing.c:42  (inlined)
    locals
      whole: int      not here; on line 44; the compiler kept no location for it here
      part: int       not here; at *0x558100001240, a part of line 45
        its declaration is on this line or a later one, so it was not set yet
      gone: int       not here; nowhere in the function; the compiler kept no location for it here
      far: int        not here; on /no/such/src/other.c:44
        only its value at function entry is known to the compiler
    locals of blocks that are not around this place
      block: int      on line 47
      searching: int  not on the nearest lines; others were not searched
can't be probed: billing.c:42: an instruction that can't be probed safely is there (syscall)
"
        );
    }

    #[test]
    fn several_sites_are_numbered_and_many_blocks_are_cut() {
        let block = || {
            let place = Err(missing(ReasonCode::NotInScope, nearest(47, true)));
            placed("i", VariableKind::Local, place)
        };
        let mut sample = sample((0..25).map(|_| block()).collect());
        sample.sites.push(sample.sites[0].clone());
        let text = plain(&sample);
        assert!(
            text.starts_with("billing.c:42 in billing[4242]: 2 sites\n\nsite 1  pc "),
            "{text}"
        );
        assert!(text.contains("\n\nsite 2  pc "), "{text}");
        assert_eq!(text.matches("i: int").count(), 2 * OTHER_BLOCKS_MAX);
        assert_eq!(text.matches("… 5 more; see --json").count(), 2);
    }

    #[test]
    fn nothing_to_show_says_whether_debug_info_is_missing() {
        let mut sample = sample(Vec::new());
        sample.sites[0].frames.iter_mut().for_each(|frame| frame.variables.clear());
        assert!(plain(&sample).contains("no variables in scope"));
        let issue = Issue::new(IssueKind::NoDebugInfo, "x", "");
        sample.sites[0].module.debug_issue = Some(issue);
        assert!(plain(&sample).contains("no debug info: a snapshot shows registers"));
    }
}
