//! What can go wrong between us and the kernel.

use super::btf::BtfError;
use super::support;
use crate::model::issue::{Issue, IssueKind};
use std::io;
use std::path::PathBuf;

/// Why the kernel side could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The request can't be served.
    #[error(transparent)]
    Issue(#[from] Issue),
    /// The kernel program or its maps were refused.
    #[error("the kernel refused {what}: {source}\n{log}")]
    Kernel {
        /// What was refused.
        what: &'static str,
        /// How.
        source: io::Error,
        /// The verifier's log; may be empty.
        log: String,
    },
    /// The kernel program could not be prepared for this kernel.
    #[error("the kernel program could not be prepared: {0}")]
    Object(String),
    /// The kernel's types are not known.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The process that holds the breakpoints could not be started.
    #[error("the guardian could not be started from {}: {source}", program.display())]
    Guardian {
        /// The tracer program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The process that holds the breakpoints ended just now.
    #[error("the guardian ended while the probe was being placed ({0}): try again")]
    GuardianGone(io::Error),
    /// The breakpoints were placed and removed at once.
    #[error("the probe was removed while it was being placed")]
    Removed,
    /// The maps are full.
    #[error("no room for {count} more {what}: remove probes first")]
    MapFull {
        /// Of what.
        what: &'static str,
        /// How many were asked for.
        count: usize,
    },
}

impl AttachError {
    pub(crate) fn kernel(what: &'static str, source: io::Error) -> Self {
        Self::refused(what, source, String::new())
    }

    /// The kernel's refusal; of an old kernel it is to be expected. A version number alone tells
    /// nothing, for distributions port features back.
    pub(crate) fn refused(what: &'static str, source: io::Error, log: String) -> Self {
        match support::kernel_release() {
            (release, Some(version)) if version < support::OLDEST_KERNEL => {
                let detail = format!("it is {release} and refused {what}: {source}");
                Issue::new(IssueKind::KernelTooOld, "the kernel", detail).into()
            }
            _ => Self::Kernel { what, source, log },
        }
    }

    /// What aya could not do; a refusal by the kernel that is behind it is told as such.
    pub(crate) fn aya(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let behind = std::iter::successors(Some(error), |error| error.source());
        let refusal = behind.filter_map(|error| error.downcast_ref::<io::Error>()).next();
        match refusal.and_then(io::Error::raw_os_error) {
            Some(code) => Self::kernel(what, io::Error::from_raw_os_error(code)),
            None => Self::object(error),
        }
    }

    pub(crate) fn object(error: impl std::fmt::Display) -> Self {
        Self::Object(error.to_string())
    }
}
