//! Where to get what a site does not have, told with the reason why it is missing there.
//!
//! To look for it takes a while, so it is done for a site when its first capture is decoded: the
//! target does not wait then, and a place that is never hit costs nothing.

use crate::binary::modules::Code;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::{Elsewhere, Resolved, Site};
use crate::model::types::TypeGraph;
use crate::resolve::elsewhere::elsewhere;
use std::cell::OnceCell;
use std::path::Path;

/// Addresses of other lines that are looked at for one site.
const PLACES_MAX: usize = 100;

/// The sites of a resolution as their captures are decoded.
pub(super) struct Nearest {
    resolved: Resolved,
    text: String,
    sites: Vec<OnceCell<Site>>,
}

impl Nearest {
    /// Nothing is looked for yet. `text` is the location in the user's words.
    pub(super) fn new(resolved: Resolved, text: String) -> Self {
        let sites = resolved.sites.iter().map(|_| OnceCell::new()).collect();
        Self { resolved, text, sites }
    }

    /// The types of the sites.
    pub(super) fn types(&self) -> &TypeGraph {
        &self.resolved.types
    }

    /// A site whose variables that are missing name the nearest place that has them.
    pub(super) fn site(&self, index: usize, code: &Code<'_>) -> Option<&Site> {
        let (site, cell) = (self.resolved.sites.get(index)?, self.sites.get(index)?);
        Some(cell.get_or_init(|| self.told(site, code)))
    }

    fn told(&self, site: &Site, code: &Code<'_>) -> Site {
        let mut told = site.clone();
        if !site.variables.iter().any(|variable| may_be_elsewhere(&variable.location)) {
            return told;
        }
        // Without it a capture says less, and nothing wrong.
        let Ok(absent) = elsewhere(site, &self.text, code, PLACES_MAX) else { return told };
        for (variable, place) in told.variables.iter_mut().zip(absent.missing) {
            if let (true, Some(place)) = (may_be_elsewhere(&variable.location), place)
                && let Err(reason) = &mut variable.location
                && let Some(words) = words(&place)
            {
                let before = if reason.detail.is_empty() { "" } else { "; " };
                reason.detail.push_str(before);
                reason.detail.push_str(&words);
            }
        }
        told
    }
}

/// Another place may help.
fn may_be_elsewhere<T>(location: &Result<T, Reason>) -> bool {
    let Err(reason) = location else { return false };
    matches!(
        reason.code,
        ReasonCode::OptimizedOut
            | ReasonCode::NotLiveHere
            | ReasonCode::BeforePrologue
            | ReasonCode::NotDeclaredYet
            | ReasonCode::VectorRegister
            | ReasonCode::EntryValue
    )
}

/// `it is at billing.rs:43 (*0x401156)`.
fn words(place: &Elsewhere) -> Option<String> {
    match place {
        Elsewhere::Line { line, pc, .. } => {
            let file = Path::new(&line.file).file_name().map(|name| name.display().to_string());
            let file = file.unwrap_or_else(|| line.file.clone());
            Some(format!("it can be had at {file}:{} (*{pc})", line.line))
        }
        Elsewhere::Nowhere => Some("it is so at every place of the function".to_owned()),
        Elsewhere::NotFound => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::Avma;
    use crate::model::resolved::SourceLine;

    #[test]
    fn the_nearest_place_is_named_as_one_asks_for_it() {
        let line = SourceLine { file: "/src/main.c".to_owned(), line: 42 };
        let place = Elsewhere::Line { line, pc: Avma(0x40_1156), whole: true };
        assert_eq!(words(&place).unwrap(), "it can be had at main.c:42 (*0x401156)");
        assert_eq!(words(&Elsewhere::NotFound), None);
    }

    #[test]
    fn another_place_helps_only_where_the_place_is_the_reason() {
        let missing = |code: ReasonCode| may_be_elsewhere::<()>(&Err(code.into()));
        assert!(missing(ReasonCode::NotLiveHere) && missing(ReasonCode::VectorRegister));
        assert!(!missing(ReasonCode::IncompleteType) && !may_be_elsewhere(&Ok(())));
    }
}
