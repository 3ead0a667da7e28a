//! The sites and entries of a probe: as attach is given them, and as the maps take them.

use super::maps::{EntryPlan, SitePlan};
use crate::model::address::{Avma, FileOffset};
use crate::model::cost::CostModel;
use crate::model::issue::{Issue, IssueKind};
use crate::model::plan::Plan;
use crate::model::resolved::{Entry, TrapClass};
use std::os::fd::BorrowedFd;

/// A site as attach needs it.
#[derive(Debug, Clone)]
pub struct SiteToArm<'a> {
    /// The file that is mapped at the site.
    pub file: BorrowedFd<'a>,
    /// Its name, for messages.
    pub file_name: &'a str,
    /// Where the site is in the file.
    pub offset: FileOffset,
    /// Where it is in the process.
    pub pc: Avma,
    /// The instruction, as the decoder saw it.
    pub instruction: &'a [u8],
    /// What a trap there is like.
    pub trap: TrapClass,
    /// What to capture.
    pub plan: &'a Plan,
    /// The entry of its function, where the plan uses what is kept there.
    pub entry: Option<&'a Entry>,
}

/// The sites as the maps take them; those at the same place of one file know of each other.
pub(super) fn site_plans<'p>(
    costs: &CostModel,
    sites: &[SiteToArm<'p>],
    entries: &[SiteToArm<'_>],
) -> Result<Vec<SitePlan<'p>>, Issue> {
    let twins = twins(sites)?;
    let index_of = |entry: &Entry| entries.iter().position(|other| other.pc == entry.pc);
    let plans = sites.iter().zip(twins).map(|(site, has_twin)| SitePlan {
        pc: site.pc,
        has_twin,
        trap_ns: costs.trap_ns(site.trap) as u32,
        plan: site.plan,
        entry: site.entry.and_then(index_of),
    });
    Ok(plans.collect())
}

/// Which of these places have another one at the same place of the file.
fn twins(sites: &[SiteToArm<'_>]) -> Result<Vec<bool>, Issue> {
    let mut places = Vec::new();
    for site in sites {
        let stat = rustix::fs::fstat(site.file).map_err(|error| {
            Issue::new(IssueKind::MalformedFile, site.file_name, error.to_string())
        })?;
        places.push((stat.st_dev, stat.st_ino, site.offset));
    }
    let is_twin = |place| places.iter().filter(|other| *other == place).count() > 1;
    Ok(places.iter().map(is_twin).collect())
}

/// The entries that the sites' plans use, each once, as places for breakpoints.
pub(super) fn entries_of<'a>(sites: &[SiteToArm<'a>]) -> Vec<SiteToArm<'a>> {
    let mut entries: Vec<SiteToArm<'a>> = Vec::new();
    for site in sites {
        let Some(entry) = site.entry else { continue };
        if entries.iter().all(|other| other.pc != entry.pc) {
            entries.push(SiteToArm {
                offset: entry.file_offset,
                pc: entry.pc,
                instruction: &entry.instruction,
                trap: entry.trap,
                entry: Some(entry),
                ..site.clone()
            });
        }
    }
    entries
}

/// The entries as the maps take them.
pub(super) fn entry_plans(
    costs: &CostModel,
    entries: &[SiteToArm<'_>],
) -> Result<Vec<EntryPlan>, Issue> {
    let twins = twins(entries)?;
    // The program does at an entry about what it does for a hit that it counts.
    let plans = entries.iter().zip(twins).map(|(site, has_twin)| EntryPlan {
        pc: site.pc,
        has_twin,
        trap_ns: (costs.trap_ns(site.trap) + costs.count_ns) as u32,
        frame_offset: site.entry.map_or(0, |entry| entry.frame_offset),
    });
    Ok(plans.collect())
}
