//! Why a value, or a part of it, is not shown. One table: code, sentence, what to do.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($($name:ident $code:literal $text:literal $remedy:literal;)+) => {
        /// Why a value is not shown.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum ReasonCode { $(#[doc = $text] $name,)+ }

        impl ReasonCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// The stable short code in JSON.
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code,)+ } }
            /// One sentence.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
            /// What the reader can do about it; empty where nothing helps.
            pub const fn remedy(self) -> &'static str { match self { $(Self::$name => $remedy,)+ } }
        }
    };
}

reasons! {
    OptimizedOut "optimized_out" "the compiler kept no location for it here"
        "try another line of the same function";
    NotLiveHere "not_live_here" "it has a location elsewhere in the function, but not at this pc"
        "try another line of the same function";
    BeforePrologue "before_prologue" "it is not stored yet at this pc: the prologue has not ended"
        "place the probe on the function's first line of code";
    NotDeclaredYet "not_declared_yet" "its declaration is on this line or a later one, so it was not set yet"
        "place the probe on a later line";
    NotInScope "not_in_scope" "it is declared in a block of the function that is not around this place"
        "place the probe in that block";
    VectorRegister "vector_register" "it is in a vector or x87 register, which uprobes can't read"
        "try a line where it is in memory";
    EntryValue "entry_value" "only its value at function entry is known to the compiler"
        "place the probe at the function's entry";
    UnsupportedLocation "unsupported_location" "its DWARF location is not understood" "";
    UnsupportedType "unsupported_type" "its type is not understood" "";
    IncompleteType "incomplete_type" "debug info only declares its type" "";
    ThreadLocal "thread_local" "it is in thread-local storage" "";
    NotResident "not_resident" "not resident: the page is mapped but was not in memory at the hit"
        "";
    TooLate "too_late"
        "not resident: the page was not in memory at the hit and did not arrive in time after it" "";
    NoAccess "no_access" "the process itself may not read the memory at this address" "";
    Unmapped "unmapped" "nothing was mapped at this address right after the hit" "";
    Unreadable "unreadable" "the memory could not be read at the hit" "";
    ExpressionFault "expression_fault" "its location reads memory that could not be read" "";
    LimitDepth "limit_depth" "the depth limit was met" "raise --depth";
    LimitBytes "limit_bytes" "the byte limit was met" "raise --limit-bytes";
    LimitNodes "limit_nodes" "the limit of objects was met" "lower --depth or --max-items";
    LimitText "limit_text" "the limit of string bytes was met" "raise --max-string";
    LimitItems "limit_items" "the limit of elements was met" "raise --max-items";
    LimitSteps "limit_steps" "the kernel program's step limit was met"
        "lower --depth or --max-items";
    StackCut "stack_cut" "it lies beyond the copied part of the stack" "raise --stack";
    BadDiscriminant "bad_discriminant" "no variant has this discriminant" "";
    Contradiction "contradiction"
        "its own data contradict each other: it was changing at the hit, or it is corrupted" "";
    Dropped "dropped" "all its owners have let it go" "";
    CodeMoved "code_moved" "the hit was not at the probed address: the process replaced its program"
        "place the probe again";
    NotCaptured "not_captured" "it was not copied at the hit" "";
}

/// A [`ReasonCode`] with what is special about this case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reason {
    /// Which reason.
    pub code: ReasonCode,
    /// Facts of this case, such as an address; empty where the code says it all.
    pub detail: String,
}

impl Reason {
    /// A reason with a detail.
    pub fn new(code: ReasonCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<ReasonCode> for Reason {
    fn from(code: ReasonCode) -> Self {
        Self { code, detail: String::new() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.text())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        if !self.code.remedy().is_empty() {
            write!(f, "; {}", self.code.remedy())?;
        }
        Ok(())
    }
}
