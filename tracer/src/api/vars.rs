//! What `tracer vars --json` writes: its shape, field by field, and how it is made;
//! `vars.schema.json` is the contract.

use super::convert::{coded, inlined_into, kind, known_line, process, trap, unavailable};
use super::scalar::Address;
use super::types::{Code, Coded, InlinedInto, Process, Trap, VariableKind};
use super::value::Unavailable;
use serde::{Deserialize, Serialize};
use tracer_core::engine::findings::{self, Placed, SiteVars};
use tracer_core::model::resolved::Elsewhere;
use utoipa::ToSchema;

/// What [`VarsLine::schema`] says; a changed meaning gets a new number.
pub const VARS: &str = "tracer/vars/1";

/// A location with all its sites.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct VarsLine {
    /// [`VARS`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// The location as the user wrote it.
    pub requested: String,
    /// The process.
    pub target: Process,
    /// Where a probe would sit; at least one.
    pub sites: Vec<Site>,
    /// Places of the location that can't be probed.
    pub not_probed: Vec<Coded>,
}

/// An address that would be probed.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Site {
    /// The address that the location means.
    pub requested_pc: Address,
    /// The address that would be probed.
    pub pc: Address,
    /// Why this address.
    pub why: String,
    /// The instruction there.
    pub instruction: String,
    /// What a hit costs.
    pub trap: Trap,
    /// The module's path in the target.
    pub module: String,
    /// The module's build-id.
    pub build_id: Option<String>,
    /// Why its debug info is missing or incomplete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_issue: Option<Coded>,
    /// The functions that the code of what was asked for is inlined into, the one that calls first;
    /// missing where it is a function's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlined_into: Vec<InlinedInto>,
    /// The functions that the address is in, innermost inlined first.
    pub frames: Vec<Frame>,
}

/// A function at a site.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Frame {
    /// Demangled.
    pub function: Option<String>,
    /// The source file as the compiler recorded it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// Its code is part of the next frame's.
    pub inlined: bool,
    /// Its variables.
    pub variables: Vec<Variable>,
}

/// A variable of a function.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, as the language writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it is.
    pub kind: VariableKind,
    /// `location`, or `unavailable` with what goes with it.
    #[serde(flatten)]
    pub place: Place,
}

/// Where a variable is.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
#[serde(untagged)]
pub enum Place {
    /// At the site.
    Here {
        /// In words.
        location: String,
    },
    /// Not at the site.
    Missing {
        /// Why.
        unavailable: Unavailable,
        /// Where instead; none if nowhere.
        nearest: Option<Nearest>,
        /// All lines of its function were looked at.
        searched_all: bool,
    },
}

/// The nearest line of its function where a variable is.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Nearest {
    /// What to give to `tracer snapshot`: `file:line`, or `*0xADDRESS` where other code of that
    /// line in the function does not have the variable.
    pub location: String,
    /// The source file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The address that would be probed.
    pub pc: Address,
}

impl Nearest {
    /// All code of the line in the function has the variable.
    pub fn is_whole_line(&self) -> bool {
        self.location != at_address(self.pc)
    }
}

/// An address as a location.
fn at_address(pc: Address) -> String {
    format!("*{pc}")
}

/// The line of a location.
pub fn line(vars: &findings::Vars) -> VarsLine {
    VarsLine {
        schema: VARS.into(),
        requested: vars.location_text.clone(),
        target: process(&vars.process),
        sites: vars.sites.iter().map(site).collect(),
        not_probed: vars.issues.iter().map(coded).collect(),
    }
}

fn site(site: &SiteVars) -> Site {
    Site {
        requested_pc: Address(site.requested.0),
        pc: Address(site.pc.0),
        why: site.why.clone(),
        instruction: site.disassembly.clone(),
        trap: trap(site.trap),
        module: site.module.path.clone(),
        build_id: site.module.build_id.clone(),
        debug_issue: site.module.debug_issue.as_ref().map(coded),
        inlined_into: site.inlined_into.iter().map(inlined_into).collect(),
        frames: site.frames.iter().map(frame).collect(),
    }
}

fn frame(frame: &findings::FrameVars) -> Frame {
    Frame {
        function: frame.function.clone(),
        file: frame.line.as_ref().map(|line| line.file.clone()),
        line: frame.line.as_ref().and_then(|line| known_line(line.line)),
        inlined: frame.inlined,
        variables: frame.variables.iter().map(variable).collect(),
    }
}

fn variable(variable: &Placed) -> Variable {
    Variable {
        name: variable.name.clone(),
        type_name: variable.type_name.clone(),
        kind: kind(variable.kind),
        place: match &variable.place {
            Ok(location) => Place::Here { location: location.clone() },
            Err(missing) => Place::Missing {
                unavailable: unavailable(&missing.reason, &mut false),
                nearest: nearest(&missing.elsewhere),
                searched_all: missing.elsewhere != Elsewhere::NotFound,
            },
        },
    }
}

fn nearest(elsewhere: &Elsewhere) -> Option<Nearest> {
    let Elsewhere::Line { line, pc, whole } = elsewhere else { return None };
    let pc = Address(pc.0);
    let location = match whole {
        true => format!("{}:{}", line.file, line.line),
        false => at_address(pc),
    };
    Some(Nearest { location, file: line.file.clone(), line: line.line, pc })
}
