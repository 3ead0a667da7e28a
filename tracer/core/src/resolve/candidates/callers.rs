//! `function@caller`: only the copies of a function that are inlined into one of its callers.

use super::Hit;
use crate::binary::instances::Instance;
use crate::binary::modules::Code;
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::InlinedInto;
use crate::resolve::function::Target;
use crate::resolve::name::Query;
use std::collections::BTreeSet;

/// Callers that are offered.
const OFFERED_MAX: usize = 20;
/// Copies that are looked at for that.
const LOOKED_AT: usize = 1024;

/// Leaves the copies that are inlined into `caller`, at whatever depth.
pub(super) fn keep(
    code: &Code<'_>,
    hits: &mut Vec<Hit<'_>>,
    function: &str,
    caller: &str,
) -> Result<(), Issue> {
    let query = Query::new(caller);
    let all = hits.clone();
    hits.retain(|hit| callers(code, hit).iter().filter_map(name).any(|name| query.means(&name)));
    if !hits.is_empty() {
        return Ok(());
    }
    let seen = all.iter().take(LOOKED_AT).flat_map(|hit| callers(code, hit));
    let candidates = texts(function, seen);
    let detail = match candidates.is_empty() {
        true => format!("no copy of {function} is inlined anywhere"),
        false => format!("no copy of {function} is inlined into {caller}"),
    };
    let subject = format!("{function}@{caller}");
    Err(Issue::new(IssueKind::NoFunction, subject, detail).with_candidates(candidates))
}

fn callers(code: &Code<'_>, hit: &Hit<'_>) -> Vec<InlinedInto> {
    let copy = || {
        let (unit, offset) = hit.die.filter(|_| hit.inlined)?;
        Instance::find(code.debug_info(hit.module).ok()?, unit, offset, hit.svma)
    };
    copy().map(|copy| copy.callers()).unwrap_or_default()
}

fn name(caller: &InlinedInto) -> Option<String> {
    caller.function.clone()
}

/// What to ask for instead of a function that has too many copies: those in one caller.
pub(in crate::resolve) fn offers(
    code: &Code<'_>,
    function: &str,
    targets: &[Target],
) -> Vec<String> {
    let seen = targets.iter().take(LOOKED_AT).flat_map(|target| {
        let copy = || {
            let info = code.debug_info(target.module).ok()?;
            let unit = info.index_of(info.function_at(target.svma)?.unit)?;
            Instance::find(info, unit, target.instance?, target.svma)
        };
        copy().map(|copy| copy.callers()).unwrap_or_default()
    });
    texts(function, seen)
}

fn texts(function: &str, callers: impl Iterator<Item = InlinedInto>) -> Vec<String> {
    let mut names = BTreeSet::new();
    for caller in callers {
        if names.len() >= OFFERED_MAX {
            break;
        }
        names.extend(name(&caller));
    }
    names.into_iter().map(|name| format!("{function}@{name}")).collect()
}
